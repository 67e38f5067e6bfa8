//! What is wanted, and whether it may be: pure, no I/O.

mod address;
pub mod docker;
pub mod endpoint;
pub mod mac;
pub mod mode;
pub mod netns;
pub mod network;
pub mod nic;
pub mod parent;
pub mod places;
pub mod priority;
pub mod rows;
pub mod segment;
pub mod sizes;
pub mod state;
pub mod traffic;
pub mod variant;
pub mod vlan;
pub mod xdp;

pub use endpoint::{Endpoint, EndpointId, EndpointRequest};
pub use mac::MacAddr;
pub use mode::{Guard, Mode};
pub use netns::NetnsId;
pub use network::{Network, NetworkRequest};
pub use parent::Parent;
pub use places::Places;
pub use priority::{EgressMap, IngressMap};
pub use rows::Rows;
pub use segment::{OuterProtocol, OuterTag, Segment};
pub use sizes::Sizes;
pub use state::{Phase, State, Uplink};
pub use traffic::Traffic;
pub use variant::Variant;
pub use vlan::VlanId;
