//! The uplink's XDP program, by a pinned link.
//!
//! Made by `bpf(2)` itself: `aya` falls back to netlink in silence where the kernel refuses a link, and what netlink attaches
//! can neither be pinned nor told from somebody else's.

use std::os::fd::{AsFd, AsRawFd};

use aya::{Ebpf, programs::Xdp};

use super::{
    bpf,
    error::DatapathError,
    load::{XDP_UPLINK, XDP_UPLINK_GENERIC},
    pins::Pins,
};
use crate::model::xdp::XdpMode;

/// `enum bpf_attach_type` of `include/uapi/linux/bpf.h`.
const BPF_XDP: u32 = 37;
/// `include/uapi/linux/if_link.h`.
const XDP_FLAGS_SKB_MODE: u32 = 1 << 1;
const XDP_FLAGS_DRV_MODE: u32 = 1 << 2;

/// Attaches the program in this very mode, and pins the link.
///
/// # Errors
///
/// What the kernel says; of a driver that can't, see [`DatapathError::errno`].
pub fn attach(
    ebpf: &mut Ebpf,
    ifindex: u32,
    mode: XdpMode,
    pins: &Pins,
) -> Result<(), DatapathError> {
    let flags = match mode {
        XdpMode::Native => XDP_FLAGS_DRV_MODE,
        XdpMode::Generic => XDP_FLAGS_SKB_MODE,
    };
    let program = raw_fd(ebpf, mode)?;
    let link = bpf::create_link(program, ifindex, BPF_XDP, flags).map_err(|error| {
        DatapathError::io(
            format!("attach {XDP_UPLINK} in {} mode", mode.name()),
            error,
        )
    })?;
    let pin = pins.link(XDP_UPLINK);
    bpf::pin(&link, &pin)
        .map_err(|error| DatapathError::io(format!("pin {}", pin.display()), error))
}

/// Puts the program in the place of the one that runs, in the same mode.
///
/// # Errors
///
/// What the kernel says.
pub fn replace(ebpf: &mut Ebpf, mode: XdpMode, pins: &Pins) -> Result<(), DatapathError> {
    let program = raw_fd(ebpf, mode)?;
    let pin = pins.link(XDP_UPLINK);
    bpf::open(&pin)
        .and_then(|link| bpf::update_link(&link, program))
        .map_err(|error| {
            DatapathError::io(format!("replace the program of {}", pin.display()), error)
        })
}

/// The program for a mode, loaded into the kernel.
///
/// # Errors
///
/// What the kernel or its verifier says.
pub fn program(ebpf: &mut Ebpf, mode: XdpMode) -> Result<&mut Xdp, DatapathError> {
    let name = match mode {
        XdpMode::Native => XDP_UPLINK,
        XdpMode::Generic => XDP_UPLINK_GENERIC,
    };
    let program = ebpf.program_mut(name).ok_or(DatapathError::Missing(name))?;
    let program: &mut Xdp = program
        .try_into()
        .map_err(DatapathError::program(format!("use {name}")))?;
    if program.fd().is_err() {
        program
            .load()
            .map_err(DatapathError::program(format!("load {name}")))?;
    }
    Ok(program)
}

fn raw_fd(ebpf: &mut Ebpf, mode: XdpMode) -> Result<i32, DatapathError> {
    let fd = program(ebpf, mode)?
        .fd()
        .map_err(DatapathError::program("use the XDP program"))?;
    Ok(fd.as_fd().as_raw_fd())
}
