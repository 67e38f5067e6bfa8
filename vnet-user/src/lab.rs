//! A lab of network namespaces: hosts, routers and containers on one machine, joined by veth cables.
//!
//! The demo and the integration tests share it. It drives `ip`, `nft` and sysctl files, never vnet's own netlink code:
//! what is being tested must not vouch for itself. Everything a lab makes lives inside namespaces that it made, and goes
//! when the [`Lab`] is dropped; no interface, address or packet ever shows up outside them.
//!
//! | file | concern |
//! |---|---|
//! | `topology` | [`Lab`], and a builder that reads like the picture of the network |
//! | `namespace` | one namespace: made, entered, removed |
//! | `vlan_end` | the other end of a VLAN: the kernel's device, or a TAP and a pump that handles the tag |
//! | `raw_socket`, `frame` | frames as bytes, with the tag as the kernel saw it |
//! | `offload_socket` | frames that leave segmentation and checksums to the device |
//! | `probe` | ping, hop, UDP and TCP from inside a namespace |
//! | `sweep` | what is left when the process ends without dropping its lab |
//! | `binary` | `vnet-user` itself, with directories of its own |

mod binary;
mod error;
mod frame;
mod namespace;
mod offload_socket;
mod packet;
pub mod probe;
mod raw_socket;
mod sweep;
mod topology;
mod vlan_end;

pub use binary::{Binary, Outcome};
pub use error::{LabError, Result};
pub use frame::{ETH_P_EXPERIMENT, ETHERNET_HEADER_BYTES, EthernetFrame, Mac};
pub use namespace::{Namespace, Netns};
pub use offload_socket::{Offload, OffloadSocket};
pub use raw_socket::{Captured, PacketType, RawSocket, Tag};
pub use sweep::{sweep_dead, sweep_on_signal};
pub use topology::{Lab, LabBuilder};
pub use vlan_end::{VlanEnd, VlanEndKind};
