//! Interfaces, by netlink and ethtool. Nobody else talks netlink.

pub mod address;
pub mod announce;
pub mod bridge;
mod error;
pub mod ethtool;
pub mod netlink;
pub mod netns;
pub mod pair;
pub mod qdisc;
pub mod sysctl;
pub mod uplink;
pub mod watch;

pub use error::LinkError;
pub use netlink::{Link, Netlink};
pub use netns::Netns;
pub use watch::{LinkChange, LinkChanges};
