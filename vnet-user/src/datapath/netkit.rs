//! netkit's own program link, which aya does not know yet (`drivers/net/netkit.c`, Linux 6.7).

use std::{
    os::fd::{AsFd, AsRawFd},
    path::Path,
};

use aya::programs::SchedClassifier;

use super::{bpf, error::DatapathError};

/// `enum bpf_attach_type` of `include/uapi/linux/bpf.h`.
const BPF_NETKIT_PEER: u32 = 55;

/// Attaches a program to what the container's end sends, and pins the link; without a pin it only
/// tries, and detaches again.
///
/// `ifindex` is the primary, the host's end: the kernel looks the peer up itself.
pub fn attach_peer(
    program: &SchedClassifier,
    ifindex: u32,
    pin: Option<&Path>,
) -> Result<(), DatapathError> {
    let link = bpf::create_link(raw_fd(program)?, ifindex, BPF_NETKIT_PEER, 0)
        .map_err(|error| DatapathError::io("attach to the netkit pair", error))?;
    match pin {
        Some(path) => bpf::pin(&link, path)
            .map_err(|error| DatapathError::io(format!("pin {}", path.display()), error)),
        None => Ok(()),
    }
}

/// Replaces the program of a pinned link.
pub fn replace(program: &SchedClassifier, pin: &Path) -> Result<(), DatapathError> {
    let program = raw_fd(program)?;
    bpf::open(pin)
        .and_then(|link| bpf::update_link(&link, program))
        .map_err(|error| {
            DatapathError::io(format!("replace the program of {}", pin.display()), error)
        })
}

fn raw_fd(program: &SchedClassifier) -> Result<i32, DatapathError> {
    let fd = program
        .fd()
        .map_err(DatapathError::program("use from_endpoint"))?;
    Ok(fd.as_fd().as_raw_fd())
}
