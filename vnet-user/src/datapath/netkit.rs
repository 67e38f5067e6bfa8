//! netkit's own program link, which aya does not know yet (`drivers/net/netkit.c`, Linux 6.7).

use std::{
    ffi::CString,
    io,
    os::{
        fd::{AsFd, AsRawFd, FromRawFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::Path,
};

use aya::programs::SchedClassifier;

use super::error::DatapathError;

/// `enum bpf_cmd` and `enum bpf_attach_type` of `include/uapi/linux/bpf.h`.
const BPF_OBJ_PIN: libc::c_long = 6;
const BPF_OBJ_GET: libc::c_long = 7;
const BPF_LINK_CREATE: libc::c_long = 28;
const BPF_LINK_UPDATE: libc::c_long = 29;
const BPF_NETKIT_PEER: u32 = 55;

/// `union bpf_attr` as `BPF_LINK_CREATE` reads it, up to `netkit.expected_revision`.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct LinkCreate {
    prog_fd: u32,
    target_ifindex: u32,
    attach_type: u32,
    flags: u32,
    relative_fd: u32,
    padding: u32,
    expected_revision: u64,
}

/// `union bpf_attr` as `BPF_LINK_UPDATE` reads it.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct LinkUpdate {
    link_fd: u32,
    new_prog_fd: u32,
    flags: u32,
    old_prog_fd: u32,
}

/// `union bpf_attr` as `BPF_OBJ_PIN` and `BPF_OBJ_GET` read it.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct ObjPin {
    pathname: u64,
    bpf_fd: u32,
    file_flags: u32,
}

/// Attaches a program to what the container's end sends, and pins the link; without a pin it only
/// tries, and detaches again.
///
/// `ifindex` is the primary, the host's end: the kernel looks the peer up itself.
pub fn attach_peer(
    program: &SchedClassifier,
    ifindex: u32,
    pin: Option<&Path>,
) -> Result<(), DatapathError> {
    let fd = program
        .fd()
        .map_err(DatapathError::program("use from_endpoint"))?;
    let attr = LinkCreate {
        prog_fd: fd.as_fd().as_raw_fd() as u32,
        target_ifindex: ifindex,
        attach_type: BPF_NETKIT_PEER,
        ..bytemuck::Zeroable::zeroed()
    };
    let what = "attach to the netkit pair";
    let link = bpf(BPF_LINK_CREATE, &attr).map_err(|error| DatapathError::io(what, error))?;
    // SAFETY: the kernel just made this descriptor, and nobody else has it.
    let link = unsafe { OwnedFd::from_raw_fd(link) };
    match pin {
        Some(path) => self::pin(&link, path)
            .map_err(|error| DatapathError::io(format!("pin {}", path.display()), error)),
        None => Ok(()),
    }
}

/// Replaces the program of a pinned link.
pub fn replace(program: &SchedClassifier, pin: &Path) -> Result<(), DatapathError> {
    let what = || format!("replace the program of {}", pin.display());
    let fd = program.fd().map_err(DatapathError::program(what()))?;
    let replace = || -> io::Result<()> {
        let path = CString::new(pin.as_os_str().as_bytes()).map_err(io::Error::other)?;
        let get = ObjPin {
            pathname: path.as_ptr() as u64,
            ..bytemuck::Zeroable::zeroed()
        };
        // SAFETY: the kernel just made this descriptor, and nobody else has it.
        let link = unsafe { OwnedFd::from_raw_fd(bpf(BPF_OBJ_GET, &get)?) };
        let update = LinkUpdate {
            link_fd: link.as_raw_fd() as u32,
            new_prog_fd: fd.as_fd().as_raw_fd() as u32,
            ..bytemuck::Zeroable::zeroed()
        };
        bpf(BPF_LINK_UPDATE, &update).map(drop)
    };
    replace().map_err(|error| DatapathError::io(what(), error))
}

fn pin(link: &OwnedFd, path: &Path) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes()).map_err(io::Error::other)?;
    let attr = ObjPin {
        pathname: path.as_ptr() as u64,
        bpf_fd: link.as_raw_fd() as u32,
        file_flags: 0,
    };
    bpf(BPF_OBJ_PIN, &attr).map(drop)
}

fn bpf<T: bytemuck::Pod>(command: libc::c_long, attr: &T) -> io::Result<i32> {
    // SAFETY: `attr` is plain data of the size given; the kernel takes what is missing as zero.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, attr, size_of::<T>()) };
    i32::try_from(result)
        .ok()
        .filter(|&result| result >= 0)
        .ok_or_else(io::Error::last_os_error)
}
