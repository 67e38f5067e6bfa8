//! An `AF_PACKET` socket on one device: sends any bytes, and says of each received frame what the kernel knew of it.

use std::{
    io, mem,
    os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd},
    time::{Duration, Instant},
};

use super::{EthernetFrame, LabError, Mac, Netns, Result, packet};

/// Room for a frame that segmentation has not cut up yet, with a header.
const BUFFER_BYTES: usize = 256 * 1024;
/// Receive queue: a burst of large frames must not be lost by the observer.
const RECEIVE_QUEUE_BYTES: libc::c_int = 16 * 1024 * 1024;

/// An 802.1Q or 802.1ad tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag {
    /// Tag protocol identifier: 0x8100 or 0x88a8.
    pub tpid: u16,
    /// Priority, drop eligibility and VLAN id as they are on the wire.
    pub tci: u16,
}

impl Tag {
    /// VLAN id.
    pub fn vlan(self) -> u16 {
        self.tci & 0x0fff
    }

    /// Priority code point.
    #[doc(alias = "PCP")]
    pub fn priority(self) -> u8 {
        (self.tci >> 13) as u8
    }
}

/// How the kernel classed a frame by its destination address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PacketType {
    /// To this device.
    Host,
    /// To all.
    Broadcast,
    /// To a group.
    Multicast,
    /// To somebody else.
    OtherHost,
    /// Sent by this device.
    Outgoing,
    /// A class that this list does not name.
    Unknown(u8),
}

/// A received frame.
#[derive(Clone, Debug)]
pub struct Captured {
    /// The frame without the tag that the kernel (or the NIC) took off; inner tags are still in it.
    pub bytes: Vec<u8>,
    /// The tag that was taken off.
    pub tag: Option<Tag>,
    /// By destination address.
    pub packet_type: PacketType,
}

impl Captured {
    /// Destination address, if the frame has one.
    pub fn destination(&self) -> Option<Mac> {
        self.bytes.first_chunk().copied().map(Mac)
    }

    /// Source address, if the frame has one.
    pub fn source(&self) -> Option<Mac> {
        self.bytes.get(6..12)?.try_into().ok().map(Mac)
    }

    /// Ethertype behind the addresses and the tag that was taken off.
    pub fn ethertype(&self) -> Option<u16> {
        self.bytes
            .get(12..14)?
            .try_into()
            .ok()
            .map(u16::from_be_bytes)
    }

    /// The whole frame as it was on the wire: with the tag put back.
    pub fn wire_bytes(&self) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        if let Some(Tag { tpid, tci }) = self.tag {
            bytes.splice(
                12..12,
                tpid.to_be_bytes().into_iter().chain(tci.to_be_bytes()),
            );
        }
        bytes
    }

    /// Whether the text stands somewhere in the frame.
    pub fn contains(&self, text: &str) -> bool {
        self.bytes
            .windows(text.len())
            .any(|window| window == text.as_bytes())
    }
}

/// A raw socket on one device of one namespace.
#[derive(Debug)]
pub struct RawSocket {
    fd: OwnedFd,
    place: String,
}

impl AsFd for RawSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl RawSocket {
    /// Sees every frame that the device receives, as early as the kernel shows it: before tc and XDP-generic take it.
    /// Frames that the machine itself sends by the device are left out.
    ///
    /// # Errors
    ///
    /// [`LabError::Io`] when the device is not there, or we are not root.
    pub fn open(netns: &Netns, device: &str) -> Result<Self> {
        Self::bound(netns, Some(device), libc::ETH_P_ALL as u16)
    }

    /// As [`RawSocket::open`], on every device that the namespace has or will have: for what happens while one comes up.
    /// It can only listen.
    ///
    /// # Errors
    ///
    /// As [`RawSocket::open`].
    pub fn open_any(netns: &Netns) -> Result<Self> {
        Self::bound(netns, None, libc::ETH_P_ALL as u16)
    }

    /// Sees only frames that tc ingress handed on to the stack, and only those of one Ethertype.
    ///
    /// The kernel shows a frame to a socket for one protocol behind the tc ingress hook and after it has looked for a
    /// VLAN device, so the tag (if any) is gone by then (`__netif_receive_skb_core` in net/core/dev.c).
    ///
    /// # Errors
    ///
    /// As [`RawSocket::open`].
    pub fn open_behind_ingress(netns: &Netns, device: &str, ethertype: u16) -> Result<Self> {
        Self::bound(netns, Some(device), ethertype)
    }

    fn bound(netns: &Netns, device: Option<&str>, protocol: u16) -> Result<Self> {
        let place = format!("{} in {}", device.unwrap_or("any device"), netns.name());
        let fd = netns.run(|| packet::open(device, protocol))?;
        let socket = Self { fd, place };
        socket.set_option(libc::SOL_PACKET, libc::PACKET_AUXDATA, 1)?;
        // The queue's size is a comfort: without CAP_NET_ADMIN in the first user namespace the kernel's default stays.
        let _ = socket.set_option(libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, RECEIVE_QUEUE_BYTES);
        Ok(socket)
    }

    /// What frames that are sent from now on have in `skb->priority`.
    ///
    /// # Errors
    ///
    /// [`LabError::Io`].
    pub fn set_priority(&self, priority: u32) -> Result<()> {
        packet::set_option(&self.fd, libc::SOL_SOCKET, libc::SO_PRIORITY, &priority)
            .map_err(LabError::io(format!("set a priority on {}", self.place)))
    }

    /// Puts the device in promiscuous mode for as long as this socket lives.
    ///
    /// # Errors
    ///
    /// [`LabError::Io`].
    pub fn set_promiscuous(&self, netns: &Netns, device: &str) -> Result<()> {
        let ifindex = netns.run(|| packet::interface_index(device))?;
        // SAFETY: packet_mreq is plain data, for which all zeroes is a value.
        let mut request: libc::packet_mreq = unsafe { mem::zeroed() };
        request.mr_ifindex = ifindex;
        request.mr_type = libc::PACKET_MR_PROMISC as u16;
        packet::set_option(
            &self.fd,
            libc::SOL_PACKET,
            libc::PACKET_ADD_MEMBERSHIP,
            &request,
        )
        .map_err(LabError::io(format!("make {} promiscuous", self.place)))
    }

    /// Sends these bytes as one frame; a tag in them goes out as it stands.
    ///
    /// # Errors
    ///
    /// [`LabError::Io`] when the device is down or the frame too large.
    pub fn send(&self, frame: &EthernetFrame) -> Result<()> {
        self.send_bytes(frame.bytes())
    }

    /// Sends any bytes, also such as are no proper frame.
    ///
    /// # Errors
    ///
    /// As [`RawSocket::send`].
    pub fn send_bytes(&self, bytes: &[u8]) -> Result<()> {
        // SAFETY: the pointer and the length are those of one live slice.
        let sent =
            unsafe { libc::send(self.fd.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), 0) };
        if sent < 0 {
            return Err(LabError::last_os(format!(
                "send {} bytes on {}",
                bytes.len(),
                self.place
            )));
        }
        Ok(())
    }

    /// The next frame, or none when the deadline passes first. A deadline in the past takes what is queued already.
    ///
    /// # Errors
    ///
    /// [`LabError::Io`] when the device went down or away.
    pub fn receive(&self, deadline: Instant) -> Result<Option<Captured>> {
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let readable = packet::wait_readable([self.fd.as_raw_fd()], Some(left))
                .map_err(LabError::io(format!("wait on {}", self.place)))?;
            if readable == [false] {
                if Instant::now() < deadline {
                    continue;
                }
                return Ok(None);
            }
            match packet::receive(&self.fd, &mut buffer) {
                Ok(message) => {
                    buffer.truncate(message.length);
                    return Ok(Some(Captured {
                        bytes: buffer,
                        tag: message.tag,
                        packet_type: message.packet_type,
                    }));
                }
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                    ) => {}
                Err(source) => {
                    return Err(LabError::Io {
                        what: format!("receive on {}", self.place),
                        source,
                    });
                }
            }
        }
    }

    /// The next frame that matches; others (neighbour discovery, mostly) are passed over.
    ///
    /// # Errors
    ///
    /// As [`RawSocket::receive`].
    pub fn find(
        &self,
        within: Duration,
        matches: impl Fn(&Captured) -> bool,
    ) -> Result<Option<Captured>> {
        let deadline = Instant::now() + within;
        while let Some(frame) = self.receive(deadline)? {
            if matches(&frame) {
                return Ok(Some(frame));
            }
        }
        Ok(None)
    }

    /// The next frame with this text in it, which must come.
    ///
    /// # Errors
    ///
    /// [`LabError::Timeout`] when it does not come in time.
    pub fn expect(&self, text: &str, within: Duration) -> Result<Captured> {
        self.find(within, |frame| frame.contains(text))?
            .ok_or_else(|| LabError::Timeout {
                what: format!("a frame with \"{text}\" on {}", self.place),
                within,
            })
    }

    /// All frames with this text that are queued now or come within the time. For the proof that something did *not*
    /// come, prefer [`RawSocket::before`]: it waits for a frame that must come instead of for a while.
    ///
    /// # Errors
    ///
    /// As [`RawSocket::receive`].
    pub fn all(&self, text: &str, within: Duration) -> Result<Vec<Captured>> {
        let deadline = Instant::now() + within;
        let mut found = Vec::new();
        while let Some(frame) = self.receive(deadline)? {
            if frame.contains(text) {
                found.push(frame);
            }
        }
        Ok(found)
    }

    /// All frames with `text` that came before the one with `marker`, which must come.
    ///
    /// # Errors
    ///
    /// [`LabError::Timeout`] when the marker does not come in time.
    pub fn before(&self, text: &str, marker: &str, within: Duration) -> Result<Vec<Captured>> {
        let deadline = Instant::now() + within;
        let mut found = Vec::new();
        while let Some(frame) = self.receive(deadline)? {
            if frame.contains(marker) {
                return Ok(found);
            }
            if frame.contains(text) {
                found.push(frame);
            }
        }
        Err(LabError::Timeout {
            what: format!("the marker \"{marker}\" on {}", self.place),
            within,
        })
    }

    /// Frames that the queue had no room for since this was last asked.
    ///
    /// # Errors
    ///
    /// [`LabError::Io`].
    #[doc(alias = "PACKET_STATISTICS")]
    pub fn dropped(&self) -> Result<u32> {
        packet::dropped(&self.fd).map_err(LabError::io(format!("ask for losses on {}", self.place)))
    }

    /// Forgets what is queued.
    ///
    /// # Errors
    ///
    /// As [`RawSocket::receive`].
    pub fn drain(&self) -> Result<()> {
        while self.receive(Instant::now())?.is_some() {}
        Ok(())
    }

    fn set_option(
        &self,
        level: libc::c_int,
        option: libc::c_int,
        value: libc::c_int,
    ) -> Result<()> {
        packet::set_option(&self.fd, level, option, &value).map_err(LabError::io(format!(
            "set option {option} on {}",
            self.place
        )))
    }
}
