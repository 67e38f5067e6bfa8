//! A TAP interface that speaks of checksums and segmentation as the packet socket on the other side does.

use std::{
    fs::{File, OpenOptions},
    io, mem,
    os::{fd::AsRawFd as _, unix::fs::OpenOptionsExt as _},
    process::{Command, Stdio},
};

use crate::lab::{LabError, Netns, Result};

/// `_IOW('T', 202, int)` and `_IOW('T', 208, unsigned int)` of include/uapi/linux/if_tun.h.
const TUNSETIFF: libc::Ioctl = 0x4004_54ca;
const TUNSETOFFLOAD: libc::Ioctl = 0x4004_54d0;
/// The reader takes frames without a checksum, and IPv4 and IPv6 TCP that is not cut into segments yet.
const TUN_F_CSUM: libc::c_ulong = 0x01;
const TUN_F_TSO4: libc::c_ulong = 0x02;
const TUN_F_TSO6: libc::c_ulong = 0x04;
/// And UDP, from Linux 6.2 on (commit 399e0827642f).
const TUN_F_USO4: libc::c_ulong = 0x20;
const TUN_F_USO6: libc::c_ulong = 0x40;

/// Makes a TAP of this name in the namespace. It lives as long as the file, whose reads and writes each carry one frame
/// behind a `virtio_net_hdr`.
pub(super) fn open(netns: &Netns, name: &str) -> Result<File> {
    // The TAP is made in the namespace of the thread that opens the file.
    netns.run(|| {
        let mut request = request_for(name)?;
        let file = open_tun()?;
        // SAFETY: TUNSETIFF reads and writes one ifreq, and gets the address of a live one.
        let made = unsafe { libc::ioctl(file.as_raw_fd(), TUNSETIFF, &raw mut request) };
        if made < 0 {
            return Err(LabError::last_os(format!(
                "make TAP {name} in {}",
                netns.name()
            )));
        }
        let set = |offloads: libc::c_ulong| {
            // SAFETY: TUNSETOFFLOAD takes its flags by value.
            unsafe { libc::ioctl(file.as_raw_fd(), TUNSETOFFLOAD, offloads) }
        };
        let known = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6;
        if set(known | TUN_F_USO4 | TUN_F_USO6) < 0 && set(known) < 0 {
            return Err(LabError::Io {
                what: format!("set offloads of TAP {name}"),
                source: io::Error::last_os_error(),
            });
        }
        Ok(file)
    })
}

/// Opens the device that TAPs are made by.
///
/// Where no udev runs, its node comes with the module, and the module only by asking for it.
fn open_tun() -> Result<File> {
    let open = || {
        OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NONBLOCK)
            .open("/dev/net/tun")
    };
    let opened = match open() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // Whether that did it, the second try tells.
            let _ = Command::new("modprobe")
                .arg("tun")
                .stderr(Stdio::null())
                .status();
            open()
        }
        other => other,
    };
    opened.map_err(LabError::io("open /dev/net/tun"))
}

fn request_for(name: &str) -> Result<libc::ifreq> {
    // SAFETY: ifreq is plain data, for which all zeroes is a value.
    let mut request: libc::ifreq = unsafe { mem::zeroed() };
    if name.len() >= request.ifr_name.len() {
        return Err(LabError::Unexpected {
            expected: format!(
                "an interface name of at most {} bytes",
                request.ifr_name.len() - 1
            ),
            found: name.to_owned(),
        });
    }
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    request.ifr_ifru.ifru_flags =
        (libc::IFF_TAP | libc::IFF_NO_PI | libc::IFF_VNET_HDR) as libc::c_short;
    Ok(request)
}
