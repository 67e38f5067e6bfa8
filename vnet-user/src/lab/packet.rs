//! The system calls behind a packet socket, for [`super::RawSocket`] and for the pump of a VLAN end.

use std::{
    ffi::CString,
    io, mem,
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd},
    ptr,
    time::Duration,
};

use super::{LabError, PacketType, Result, Tag};

/// The auxiliary data's VLAN fields are valid (include/uapi/linux/if_packet.h).
const TP_STATUS_VLAN_VALID: u32 = 1 << 4;
/// So is its tag protocol identifier.
const TP_STATUS_VLAN_TPID_VALID: u32 = 1 << 6;

/// One received message, without its bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Message {
    /// Bytes written to the buffer.
    pub(super) length: usize,
    /// The tag that the kernel or the NIC took off.
    pub(super) tag: Option<Tag>,
    /// Whom the frame is for.
    pub(super) packet_type: PacketType,
}

/// Opens a non-blocking packet socket in the calling thread's namespace, and binds it to a device (or all that are there or
/// will be) and a protocol.
///
/// It is made with protocol 0 and gets its protocol when it is bound: no frame of another device slips in between.
pub(super) fn open(device: Option<&str>, protocol: u16) -> Result<OwnedFd> {
    let flags = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: no pointers are passed.
    let fd = unsafe { libc::socket(libc::AF_PACKET, flags, 0) };
    if fd < 0 {
        return Err(LabError::last_os("open a packet socket"));
    }
    // SAFETY: the kernel just gave us this descriptor, and nobody else has it.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    // What the machine itself sends is not what came in.
    set_option(&fd, libc::SOL_PACKET, libc::PACKET_IGNORE_OUTGOING, &1_i32)
        .map_err(LabError::io("leave out outgoing frames"))?;
    // SAFETY: sockaddr_ll is plain data, for which all zeroes is a value.
    let mut address: libc::sockaddr_ll = unsafe { mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = protocol.to_be();
    address.sll_ifindex = device.map_or(Ok(0), interface_index)?;
    // SAFETY: the pointer and the length are those of one live sockaddr_ll.
    let bound = unsafe {
        libc::bind(
            fd.as_raw_fd(),
            ptr::from_ref(&address).cast(),
            mem::size_of_val(&address) as libc::socklen_t,
        )
    };
    if bound < 0 {
        return Err(LabError::last_os(format!(
            "bind a packet socket to {}",
            device.unwrap_or("all devices")
        )));
    }
    Ok(fd)
}

/// Index of a device in the calling thread's namespace.
pub(super) fn interface_index(device: &str) -> Result<libc::c_int> {
    let name = CString::new(device).map_err(|error| LabError::Io {
        what: format!("interface name {device:?}"),
        source: error.into(),
    })?;
    // SAFETY: the pointer is that of a live, NUL-terminated string.
    match unsafe { libc::if_nametoindex(name.as_ptr()) } {
        0 => Err(LabError::last_os(format!("find interface {device}"))),
        index => Ok(index as libc::c_int),
    }
}

/// Sets a socket option of any plain type.
pub(super) fn set_option<T: Copy>(
    fd: &OwnedFd,
    level: libc::c_int,
    option: libc::c_int,
    value: &T,
) -> io::Result<()> {
    // SAFETY: the pointer and the length are those of one live value; the kernel only reads it.
    let set = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            level,
            option,
            ptr::from_ref(value).cast(),
            mem::size_of::<T>() as libc::socklen_t,
        )
    };
    if set < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// Frames that a packet socket dropped since this was last asked, for want of room in its queue.
pub(super) fn dropped(fd: &OwnedFd) -> io::Result<u32> {
    // SAFETY: tpacket_stats is plain data, for which all zeroes is a value.
    let mut statistics: libc::tpacket_stats = unsafe { mem::zeroed() };
    let mut length = mem::size_of_val(&statistics) as libc::socklen_t;
    // SAFETY: the pointer and the length are those of one live value.
    let got = unsafe {
        libc::getsockopt(
            fd.as_raw_fd(),
            libc::SOL_PACKET,
            libc::PACKET_STATISTICS,
            ptr::from_mut(&mut statistics).cast(),
            &raw mut length,
        )
    };
    if got < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(statistics.tp_drops)
    }
}

/// Waits until one of the descriptors can be read, or has an error to tell; says which. No time limit means for ever.
pub(super) fn wait_readable<const N: usize>(
    fds: [RawFd; N],
    limit: Option<Duration>,
) -> io::Result<[bool; N]> {
    let mut polled = fds.map(|fd| libc::pollfd {
        fd,
        events: libc::POLLIN,
        revents: 0,
    });
    // Rounded up, or the last part of a millisecond would be a busy loop.
    let milliseconds = limit.map_or(-1, |limit| {
        let rounded = limit.as_micros().div_ceil(1000);
        libc::c_int::try_from(rounded).unwrap_or(libc::c_int::MAX)
    });
    // SAFETY: the pointer and the count are those of one live array.
    let ready = unsafe { libc::poll(polled.as_mut_ptr(), N as libc::nfds_t, milliseconds) };
    if ready < 0 {
        let error = io::Error::last_os_error();
        if error.kind() == io::ErrorKind::Interrupted {
            return Ok([false; N]);
        }
        return Err(error);
    }
    Ok(polled.map(|fd| fd.revents != 0))
}

/// Receives one message with its auxiliary data, which must have been asked for by `PACKET_AUXDATA`.
pub(super) fn receive(fd: &OwnedFd, buffer: &mut [u8]) -> io::Result<Message> {
    // SAFETY: sockaddr_ll is plain data, for which all zeroes is a value.
    let mut from: libc::sockaddr_ll = unsafe { mem::zeroed() };
    // Aligned for cmsghdr, with room for the one control message that was asked for.
    let mut control = [0_u64; 16];
    let mut part = libc::iovec {
        iov_base: buffer.as_mut_ptr().cast(),
        iov_len: buffer.len(),
    };
    // SAFETY: msghdr is plain data, for which all zeroes is a value.
    let mut header: libc::msghdr = unsafe { mem::zeroed() };
    header.msg_name = ptr::from_mut(&mut from).cast();
    header.msg_namelen = mem::size_of_val(&from) as libc::socklen_t;
    header.msg_iov = &raw mut part;
    header.msg_iovlen = 1;
    header.msg_control = control.as_mut_ptr().cast();
    header.msg_controllen = mem::size_of_val(&control);
    // SAFETY: every pointer in the header is to a live local of the length that stands beside it.
    let length = unsafe { libc::recvmsg(fd.as_raw_fd(), &raw mut header, 0) };
    if length < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(Message {
        length: length as usize,
        tag: tag_of(&header),
        packet_type: packet_type_of(from.sll_pkttype),
    })
}

/// The tag that `PACKET_AUXDATA` reports: by then it is out of the frame's bytes.
fn tag_of(header: &libc::msghdr) -> Option<Tag> {
    // SAFETY: the header was filled by recvmsg, and its control buffer is alive in the caller.
    let mut message = unsafe { libc::CMSG_FIRSTHDR(header) };
    while !message.is_null() {
        // SAFETY: CMSG_FIRSTHDR and CMSG_NXTHDR return null or a header that lies inside the control buffer.
        let head = unsafe { &*message };
        if head.cmsg_level == libc::SOL_PACKET && head.cmsg_type == libc::PACKET_AUXDATA {
            // SAFETY: the kernel puts a whole tpacket_auxdata behind a header of this type; it may be unaligned.
            let aux: libc::tpacket_auxdata =
                unsafe { ptr::read_unaligned(libc::CMSG_DATA(message).cast()) };
            if aux.tp_status & TP_STATUS_VLAN_VALID == 0 {
                return None;
            }
            let tpid_known = aux.tp_status & TP_STATUS_VLAN_TPID_VALID != 0;
            return Some(Tag {
                tpid: if tpid_known {
                    aux.tp_vlan_tpid
                } else {
                    libc::ETH_P_8021Q as u16
                },
                tci: aux.tp_vlan_tci,
            });
        }
        // SAFETY: `message` is a header of this message's control buffer.
        message = unsafe { libc::CMSG_NXTHDR(header, message) };
    }
    None
}

fn packet_type_of(kind: u8) -> PacketType {
    match kind {
        libc::PACKET_HOST => PacketType::Host,
        libc::PACKET_BROADCAST => PacketType::Broadcast,
        libc::PACKET_MULTICAST => PacketType::Multicast,
        libc::PACKET_OTHERHOST => PacketType::OtherHost,
        libc::PACKET_OUTGOING => PacketType::Outgoing,
        other => PacketType::Unknown(other),
    }
}
