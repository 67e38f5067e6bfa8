//! The thread between a TAP and the device below: pops the tag of one VLAN on the way in, pushes it on the way out.

use std::{
    fs::File,
    io::{self, Read as _, Write as _},
    mem,
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
    thread::{self, JoinHandle},
};

use super::tap;
use crate::lab::{LabError, Netns, Result, packet};

/// `struct virtio_net_hdr` (include/uapi/linux/virtio_net.h): flags, gso_type, hdr_len, gso_size, csum_start,
/// csum_offset. TAP and packet socket speak the same one, so an unfinished checksum and an uncut TCP frame pass as they
/// are: no offload has to be switched off on the device.
const HEADER_BYTES: usize = 10;
/// The checksum from `csum_start` on is still to be computed.
const NEEDS_CSUM: u8 = 1;
const FLAGS: usize = 0;
const GSO_TYPE: usize = 1;
const HDR_LEN: usize = 2;
const CSUM_START: usize = 6;

/// Where a tag goes, counted from the frame's start, and how much room it needs.
const TAG_OFFSET: usize = 12;
const TAG_BYTES: u16 = 4;

/// Larger than any frame: 64 KiB of payload uncut, with headers.
const BUFFER_BYTES: usize = 128 * 1024;
const QUEUE_BYTES: libc::c_int = 16 * 1024 * 1024;

/// A running pump. Dropping it stops the thread and removes the TAP.
#[derive(Debug)]
pub(super) struct Pump {
    /// An eventfd; readable once the thread shall end.
    stop: File,
    thread: Option<JoinHandle<()>>,
}

impl Pump {
    /// Makes the TAP and the packet socket, and starts to carry frames.
    pub(super) fn start(netns: &Netns, device: &str, vlan: u16, name: &str) -> Result<Self> {
        let wire = netns.run(|| packet::open(Some(device), libc::ETH_P_ALL as u16))?;
        let set = |option, value: libc::c_int| {
            packet::set_option(&wire, libc::SOL_PACKET, option, &value).map_err(LabError::io(
                format!("set packet option {option} on {device}"),
            ))
        };
        set(libc::PACKET_AUXDATA, 1)?;
        set(libc::PACKET_VNET_HDR, 1)?;
        // Larger queues are a comfort: a lost frame is only sent again.
        let _ = packet::set_option(&wire, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, &QUEUE_BYTES);
        let _ = packet::set_option(&wire, libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, &QUEUE_BYTES);
        let tap = tap::open(netns, name)?;
        let stop = event()?;
        let stopped = stop.try_clone().map_err(LabError::io("share an eventfd"))?;
        let thread = thread::Builder::new()
            .name(format!("vlan-{vlan}"))
            .spawn(move || carry(&wire, tap, &stopped, vlan))
            .map_err(LabError::io("start a pump's thread"))?;
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }
}

impl Drop for Pump {
    fn drop(&mut self) {
        // An eventfd takes 1 unless it counts 2^64 - 2 already.
        let _ = self.stop.write_all(&1_u64.to_ne_bytes());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn event() -> Result<File> {
    // SAFETY: no pointers are passed.
    let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
    if fd < 0 {
        return Err(LabError::last_os("make an eventfd"));
    }
    // SAFETY: the kernel just gave us this descriptor, and nobody else has it.
    Ok(unsafe { File::from_raw_fd(fd) })
}

/// Carries frames both ways until told to stop, or until TAP or device are gone.
fn carry(wire: &OwnedFd, mut tap: File, stop: &File, vlan: u16) {
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let ready =
            packet::wait_readable([stop.as_raw_fd(), wire.as_raw_fd(), tap.as_raw_fd()], None);
        let alive = match ready {
            Err(_) | Ok([true, ..]) => return,
            Ok([_, from_wire, from_tap]) => {
                (!from_wire || still_alive(&pop(wire, &mut tap, &mut buffer, vlan)))
                    && (!from_tap || still_alive(&push(&mut tap, wire, &mut buffer, vlan)))
            }
        };
        if !alive {
            return;
        }
    }
}

/// A frame that cannot be carried is lost, as on a real wire; only a device that went away ends the pump.
fn still_alive(carried: &io::Result<()>) -> bool {
    match carried {
        Ok(()) => true,
        Err(error) => !matches!(
            error.raw_os_error(),
            Some(libc::ENODEV | libc::ENXIO | libc::EBADFD | libc::EBADF)
        ),
    }
}

/// Wire to TAP: only frames of this VLAN, and the tag is out of their bytes already.
fn pop(wire: &OwnedFd, tap: &mut File, buffer: &mut [u8], vlan: u16) -> io::Result<()> {
    let message = packet::receive(wire, buffer)?;
    let ours = message
        .tag
        .is_some_and(|tag| tag.tpid == libc::ETH_P_8021Q as u16 && tag.vlan() == vlan);
    if !ours || message.length <= HEADER_BYTES {
        return Ok(());
    }
    // "Checksum verified" means nothing to a TAP.
    buffer[FLAGS] &= NEEDS_CSUM;
    tap.write_all(&buffer[..message.length])
}

/// TAP to wire: the tag goes in behind the addresses, and what the header says of positions moves with it.
fn push(tap: &mut File, wire: &OwnedFd, buffer: &mut [u8], vlan: u16) -> io::Result<()> {
    let room = usize::from(TAG_BYTES);
    let length = tap.read(&mut buffer[room..])?;
    let header_and_addresses = HEADER_BYTES + TAG_OFFSET;
    if length < header_and_addresses + mem::size_of::<u16>() {
        return Ok(());
    }
    buffer.copy_within(room..room + header_and_addresses, 0);
    let tag = &mut buffer[header_and_addresses..header_and_addresses + room];
    tag[..2].copy_from_slice(&(libc::ETH_P_8021Q as u16).to_be_bytes());
    tag[2..].copy_from_slice(&vlan.to_be_bytes());
    if buffer[FLAGS] & NEEDS_CSUM != 0 {
        add_to_u16(buffer, CSUM_START, TAG_BYTES);
    }
    if buffer[GSO_TYPE] != 0 {
        add_to_u16(buffer, HDR_LEN, TAG_BYTES);
    }
    let frame = &buffer[..length + room];
    // SAFETY: the pointer and the length are those of one live slice.
    let sent = unsafe { libc::send(wire.as_raw_fd(), frame.as_ptr().cast(), frame.len(), 0) };
    if sent < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// Adds to a number in the header, which is in the machine's byte order.
fn add_to_u16(buffer: &mut [u8], at: usize, more: u16) {
    let value = u16::from_ne_bytes([buffer[at], buffer[at + 1]]).wrapping_add(more);
    buffer[at..at + 2].copy_from_slice(&value.to_ne_bytes());
}
