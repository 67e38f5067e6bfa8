//! A packet socket that leaves checksums and segmentation to the device, as a virtual machine's NIC does.

use std::{
    os::fd::{AsRawFd as _, OwnedFd},
    ptr,
};

use super::{LabError, Netns, Result, packet};

/// What a sender says of its frame: `struct virtio_net_hdr` (include/uapi/linux/virtio_net.h). All of it may be a lie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offload {
    /// `VIRTIO_NET_HDR_F_*`.
    pub flags: u8,
    /// `VIRTIO_NET_HDR_GSO_*`.
    pub gso_type: u8,
    /// Bytes that stand before each segment's payload.
    pub header_bytes: u16,
    /// Bytes of payload in a segment.
    pub gso_bytes: u16,
    /// Where the sum begins that is to be made.
    pub checksum_start: u16,
    /// Where it goes, from there.
    pub checksum_offset: u16,
}

impl Offload {
    /// The checksum is to be made.
    pub const NEEDS_CHECKSUM: u8 = 1;
    /// TCP over IPv4, to be cut up.
    pub const TCPV4: u8 = 1;
    /// UDP, to be fragmented.
    pub const UDP: u8 = 3;
    /// TCP over IPv6, to be cut up.
    pub const TCPV6: u8 = 4;
    /// UDP, to be cut up into datagrams.
    pub const UDP_SEGMENTS: u8 = 5;
    /// May stand beside the types of TCP: explicit congestion notification.
    pub const ECN: u8 = 0x80;

    /// As the kernel reads it from a packet socket: in its own byte order.
    fn to_bytes(self) -> [u8; 10] {
        let Self {
            flags,
            gso_type,
            header_bytes,
            gso_bytes,
            checksum_start,
            checksum_offset,
        } = self;
        let mut bytes = [flags, gso_type, 0, 0, 0, 0, 0, 0, 0, 0];
        let words = [header_bytes, gso_bytes, checksum_start, checksum_offset];
        for (two, word) in bytes[2..].chunks_exact_mut(2).zip(words) {
            two.copy_from_slice(&word.to_ne_bytes());
        }
        bytes
    }
}

/// A socket on one device of one namespace that only sends.
#[derive(Debug)]
pub struct OffloadSocket {
    fd: OwnedFd,
    place: String,
}

impl OffloadSocket {
    /// Opens it.
    ///
    /// # Errors
    ///
    /// [`LabError::Io`] when the device is not there, or we are not root.
    #[doc(alias = "PACKET_VNET_HDR")]
    pub fn open(netns: &Netns, device: &str) -> Result<Self> {
        let place = format!("{device} in {}", netns.name());
        // By protocol 0, it receives nothing.
        let fd = netns.run(|| packet::open(Some(device), 0))?;
        packet::set_option(&fd, libc::SOL_PACKET, libc::PACKET_VNET_HDR, &1_i32).map_err(
            LabError::io(format!("ask for offloads on a socket on {place}")),
        )?;
        Ok(Self { fd, place })
    }

    /// Sends one frame, whatever is said of it.
    ///
    /// # Errors
    ///
    /// [`LabError::Io`], with `EINVAL` where the kernel sees through the lie, and `ENOMEM` where it finds it out only
    /// when it must cut the frame up.
    pub fn send(&self, offload: Offload, bytes: &[u8]) -> Result<()> {
        let header = offload.to_bytes();
        let parts = [&header[..], bytes].map(|part| libc::iovec {
            iov_base: part.as_ptr().cast_mut().cast(),
            iov_len: part.len(),
        });
        // SAFETY: both parts are live slices, which the kernel only reads.
        let sent = unsafe { libc::writev(self.fd.as_raw_fd(), ptr::from_ref(&parts).cast(), 2) };
        if sent < 0 {
            return Err(LabError::last_os(format!(
                "send {} bytes with {offload:?} on {}",
                bytes.len(),
                self.place
            )));
        }
        Ok(())
    }
}
