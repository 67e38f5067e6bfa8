//! Which network namespace something is in, whatever its name.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A namespace's file on nsfs: device and inode (`ioctl_ns(2)`). The kernel gives no inode out twice while the
/// namespace lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct NetnsId {
    pub device: u64,
    pub inode: u64,
}

/// As `readlink /proc/PID/ns/net` prints it, so that a person can look for it.
impl fmt::Display for NetnsId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "net:[{}]", self.inode)
    }
}
