//! ICMP and ICMPv6 echo (RFC 792, RFC 4443), by a raw socket.

use std::{
    io, mem,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6},
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
    process, ptr,
    sync::atomic::{AtomicU16, Ordering},
    time::{Duration, Instant},
};

use crate::lab::{LabError, Netns, Result, packet};

/// Between two requests of one probe. The first one often only starts address resolution.
const INTERVAL: Duration = Duration::from_millis(200);
const ECHO_HEADER_BYTES: usize = 8;
const IPV4_HEADER_BYTES: usize = 20;
const IPV6_HEADER_BYTES: usize = 40;

/// Tells the probes of one process apart.
static IDENTIFIER: AtomicU16 = AtomicU16::new(0);

/// An answered ping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Echo {
    /// From the request to its answer.
    pub round_trip: Duration,
    /// Time to live (hop limit) that the answer arrived with: 64 less the routers on its way, from a Linux machine.
    pub ttl: u8,
}

/// Asks `destination` for an echo, again and again until one comes or the time is up.
///
/// # Errors
///
/// [`LabError::Io`] when no socket can be made, or there is no route at all: that is a broken lab, not a silent network.
pub fn ping(netns: &Netns, destination: IpAddr, within: Duration) -> Result<Option<Echo>> {
    let mut probe = Probe::open(netns, destination, None)?;
    probe.until(within, |answer| match answer {
        Answer::Echo(echo) => Some(echo),
        Answer::TimeExceeded(_) => None,
    })
}

/// Sends echo requests that may pass `ttl - 1` routers, and returns who says that their time is exceeded.
///
/// # Errors
///
/// As [`ping`].
pub fn hop(
    netns: &Netns,
    destination: IpAddr,
    ttl: u8,
    within: Duration,
) -> Result<Option<IpAddr>> {
    let mut probe = Probe::open(netns, destination, Some(ttl))?;
    probe.until(within, |answer| match answer {
        Answer::Echo(_) => None,
        Answer::TimeExceeded(by) => Some(by),
    })
}

/// What can come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Echo(Echo),
    TimeExceeded(IpAddr),
}

/// A message that belongs to this probe, before it is timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Message {
    Reply { sequence: u16 },
    TimeExceeded,
}

struct Probe {
    fd: OwnedFd,
    destination: IpAddr,
    identifier: u16,
    /// When each request left, by its sequence number.
    sent: Vec<Instant>,
}

impl Probe {
    fn open(netns: &Netns, destination: IpAddr, ttl: Option<u8>) -> Result<Self> {
        let (family, protocol, level, ttl_option) = match destination {
            IpAddr::V4(_) => (
                libc::AF_INET,
                libc::IPPROTO_ICMP,
                libc::IPPROTO_IP,
                libc::IP_TTL,
            ),
            IpAddr::V6(_) => (
                libc::AF_INET6,
                libc::IPPROTO_ICMPV6,
                libc::IPPROTO_IPV6,
                libc::IPV6_UNICAST_HOPS,
            ),
        };
        let fd = netns.run(|| {
            let flags = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
            // SAFETY: no pointers are passed.
            let fd = unsafe { libc::socket(family, flags, protocol) };
            if fd < 0 {
                return Err(LabError::last_os("open a raw ICMP socket"));
            }
            // SAFETY: the kernel just gave us this descriptor, and nobody else has it.
            Ok(unsafe { OwnedFd::from_raw_fd(fd) })
        })?;
        let set = |option, value: libc::c_int| {
            packet::set_option(&fd, level, option, &value)
                .map_err(LabError::io("set an option of an ICMP socket"))
        };
        if let Some(ttl) = ttl {
            set(ttl_option, ttl.into())?;
        }
        if destination.is_ipv6() {
            // An IPv6 raw socket delivers no header, so the hop limit has to come beside the message.
            set(libc::IPV6_RECVHOPLIMIT, 1)?;
        }
        let number = IDENTIFIER.fetch_add(1, Ordering::Relaxed);
        Ok(Self {
            fd,
            destination,
            identifier: number.wrapping_mul(257).wrapping_add(process::id() as u16),
            sent: Vec::new(),
        })
    }

    /// Asks every [`INTERVAL`] until an answer is the wanted one.
    fn until<T>(
        &mut self,
        within: Duration,
        wanted: impl Fn(Answer) -> Option<T>,
    ) -> Result<Option<T>> {
        let deadline = Instant::now() + within;
        while Instant::now() < deadline {
            self.request()?;
            let pause = (Instant::now() + INTERVAL).min(deadline);
            while let Some(answer) = self.receive(pause)? {
                if let Some(found) = wanted(answer) {
                    return Ok(Some(found));
                }
            }
        }
        Ok(None)
    }

    fn request(&mut self) -> Result<()> {
        let sequence = self.sent.len() as u16;
        let message = echo_request(self.destination, self.identifier, sequence);
        self.sent.push(Instant::now());
        let sent = send_to(&self.fd, self.destination, &message);
        match sent {
            Ok(()) => Ok(()),
            // Nobody answered address resolution, or an earlier request's error is told now: that is an answer too.
            Err(error)
                if matches!(
                    error.raw_os_error(),
                    Some(libc::EHOSTUNREACH | libc::ECONNREFUSED)
                ) =>
            {
                Ok(())
            }
            Err(source) => Err(LabError::Io {
                what: format!("ping {}", self.destination),
                source,
            }),
        }
    }

    fn receive(&self, deadline: Instant) -> Result<Option<Answer>> {
        let mut buffer = [0; 2048];
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            packet::wait_readable([self.fd.as_raw_fd()], Some(left))
                .map_err(LabError::io("wait for an ICMP answer"))?;
            let Ok((length, from, hop_limit)) = receive_from(&self.fd, &mut buffer) else {
                continue;
            };
            let bytes = &buffer[..length];
            let (message, ttl) = match self.destination {
                IpAddr::V4(_) => (read_v4(bytes, self.identifier), bytes.get(8).copied()),
                IpAddr::V6(_) => (read_v6(bytes, self.identifier), hop_limit),
            };
            match message {
                Some(Message::TimeExceeded) => return Ok(Some(Answer::TimeExceeded(from))),
                Some(Message::Reply { sequence }) => {
                    let Some(sent) = self.sent.get(usize::from(sequence)) else {
                        continue;
                    };
                    return Ok(Some(Answer::Echo(Echo {
                        round_trip: sent.elapsed(),
                        ttl: ttl.unwrap_or_default(),
                    })));
                }
                None => {}
            }
        }
    }
}

fn echo_request(destination: IpAddr, identifier: u16, sequence: u16) -> Vec<u8> {
    let kind = if destination.is_ipv4() { 8 } else { 128 };
    let mut message = vec![kind, 0, 0, 0];
    message.extend(identifier.to_be_bytes());
    message.extend(sequence.to_be_bytes());
    message.extend(b"vnet lab: is anybody there?");
    // For ICMPv6 the kernel computes the checksum: it covers addresses that only the kernel knows.
    if destination.is_ipv4() {
        let sum = internet_checksum(&message);
        message[2..4].copy_from_slice(&sum.to_be_bytes());
    }
    message
}

/// RFC 1071.
fn internet_checksum(bytes: &[u8]) -> u16 {
    let mut sum: u32 = bytes
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or_default()))
        .sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// Reads an IPv4 packet as a raw socket delivers it, with its header.
fn read_v4(packet: &[u8], identifier: u16) -> Option<Message> {
    let icmp = packet.get(usize::from(packet.first()? & 0xf) * 4..)?;
    match icmp.first()? {
        0 => reply(icmp, identifier),
        11 => {
            // The quoted packet's own header may be longer than the usual 20 bytes only with options, and we send none.
            let quoted = icmp.get(ECHO_HEADER_BYTES + IPV4_HEADER_BYTES..)?;
            reply(quoted, identifier).map(|_| Message::TimeExceeded)
        }
        _ => None,
    }
}

/// Reads an ICMPv6 message, which a raw socket delivers without the IPv6 header.
fn read_v6(icmp: &[u8], identifier: u16) -> Option<Message> {
    match icmp.first()? {
        129 => reply(icmp, identifier),
        3 => {
            let quoted = icmp.get(ECHO_HEADER_BYTES + IPV6_HEADER_BYTES..)?;
            reply(quoted, identifier).map(|_| Message::TimeExceeded)
        }
        _ => None,
    }
}

/// The sequence number of an echo message, if it is ours.
fn reply(echo: &[u8], identifier: u16) -> Option<Message> {
    let number = |at: usize| Some(u16::from_be_bytes(echo.get(at..at + 2)?.try_into().ok()?));
    (number(4)? == identifier).then_some(Message::Reply {
        sequence: number(6)?,
    })
}

fn send_to(fd: &OwnedFd, destination: IpAddr, message: &[u8]) -> io::Result<()> {
    let address: nix::sys::socket::SockaddrStorage = match destination {
        IpAddr::V4(address) => SocketAddr::V4(SocketAddrV4::new(address, 0)).into(),
        IpAddr::V6(address) => SocketAddr::V6(SocketAddrV6::new(address, 0, 0, 0)).into(),
    };
    nix::sys::socket::sendto(
        fd.as_raw_fd(),
        message,
        &address,
        nix::sys::socket::MsgFlags::empty(),
    )?;
    Ok(())
}

/// One message, who sent it, and its hop limit where the kernel tells it beside the message.
fn receive_from(fd: &OwnedFd, buffer: &mut [u8]) -> io::Result<(usize, IpAddr, Option<u8>)> {
    // SAFETY: sockaddr_in6 is plain data, for which all zeroes is a value; it has room for a sockaddr_in too.
    let mut from: libc::sockaddr_in6 = unsafe { mem::zeroed() };
    // Aligned for cmsghdr, with room for the one control message that was asked for.
    let mut control = [0_u64; 8];
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
    let address = if libc::c_int::from(from.sin6_family) == libc::AF_INET6 {
        IpAddr::V6(Ipv6Addr::from(from.sin6_addr.s6_addr))
    } else {
        // sockaddr_in's address stands where sockaddr_in6 has its flow label.
        IpAddr::V4(Ipv4Addr::from(from.sin6_flowinfo.to_ne_bytes()))
    };
    // SAFETY: the header was filled by recvmsg, and its control buffer is alive.
    let first = unsafe { libc::CMSG_FIRSTHDR(&raw const header) };
    let mut hop_limit = None;
    if !first.is_null() {
        // SAFETY: CMSG_FIRSTHDR returned a header that lies inside the control buffer.
        let head = unsafe { &*first };
        if head.cmsg_level == libc::IPPROTO_IPV6 && head.cmsg_type == libc::IPV6_HOPLIMIT {
            // SAFETY: the kernel puts a whole int behind a header of this type; it may be unaligned.
            let limit: libc::c_int = unsafe { ptr::read_unaligned(libc::CMSG_DATA(first).cast()) };
            hop_limit = u8::try_from(limit).ok();
        }
    }
    Ok((length as usize, address, hop_limit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_with_its_checksum_sums_up_to_nothing() {
        let message = echo_request(Ipv4Addr::LOCALHOST.into(), 0x1234, 7);
        assert_eq!(internet_checksum(&message), 0);
    }

    #[test]
    fn only_an_answer_to_our_own_identifier_counts() {
        let mut packet = vec![0x45; 20];
        packet.extend([0, 0, 0, 0, 0x12, 0x34, 0, 7]);
        assert_eq!(
            read_v4(&packet, 0x1234),
            Some(Message::Reply { sequence: 7 })
        );
        assert_eq!(read_v4(&packet, 0x1235), None);
        assert_eq!(read_v4(&packet[..24], 0x1234), None);
    }
}
