//! UDP sockets that are members of a group, for datagrams larger than a frame.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    os::fd::AsRawFd as _,
    time::{Duration, Instant},
};

use vnet_user::lab::{LabError, Netns};

/// `UDP_SEGMENT` of include/uapi/linux/udp.h: what is sent at once leaves as datagrams of so many bytes, cut as late as
/// possible.
const UDP_SEGMENT: libc::c_int = 103;
/// How often a receiver looks at the time.
const GLANCE: Duration = Duration::from_millis(50);

/// A member of a group on one interface.
#[derive(Debug)]
pub struct GroupMember {
    socket: UdpSocket,
    group: SocketAddr,
    place: String,
}

impl GroupMember {
    /// Joins a group, to hear it and to send to it by this device, which must be up and have an address.
    ///
    /// # Panics
    ///
    /// When the kernel refuses.
    pub fn join(netns: &Netns, device: &str, group: SocketAddr) -> Self {
        let place = format!("{device} in {}", netns.name());
        let open = || {
            let ifindex = nix::net::if_::if_nametoindex(device)?;
            let any: IpAddr = match group.ip() {
                IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
                IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
            };
            let socket = UdpSocket::bind((any, group.port()))?;
            match group.ip() {
                IpAddr::V4(address) => {
                    let request = libc::ip_mreqn {
                        imr_multiaddr: libc::in_addr {
                            s_addr: u32::from_ne_bytes(address.octets()),
                        },
                        imr_address: libc::in_addr { s_addr: 0 },
                        imr_ifindex: ifindex as libc::c_int,
                    };
                    set(&socket, libc::IPPROTO_IP, libc::IP_ADD_MEMBERSHIP, &request)?;
                    set(&socket, libc::IPPROTO_IP, libc::IP_MULTICAST_IF, &request)?;
                    socket.set_multicast_loop_v4(false)?;
                }
                IpAddr::V6(address) => {
                    socket.join_multicast_v6(&address, ifindex)?;
                    let index = ifindex as libc::c_int;
                    set(&socket, libc::IPPROTO_IPV6, libc::IPV6_MULTICAST_IF, &index)?;
                    socket.set_multicast_loop_v6(false)?;
                }
            }
            socket.set_read_timeout(Some(GLANCE))?;
            Ok(socket)
        };
        let opened = netns.run(|| open().map_err(LabError::io("join a group")));
        Self {
            socket: opened.unwrap_or_else(|error| panic!("{place}, {group}: {error:?}")),
            group,
            place,
        }
    }

    /// Sends one datagram to the group; one that is larger than a frame is cut into fragments by IP.
    ///
    /// # Panics
    ///
    /// When the kernel refuses.
    pub fn send(&self, bytes: &[u8]) {
        let sent = self.socket.send_to(bytes, self.group);
        assert_eq!(sent.unwrap(), bytes.len(), "from {}", self.place);
    }

    /// Sends datagrams of `segment_bytes` to the group as one frame, which whoever cannot take it cuts up.
    ///
    /// # Panics
    ///
    /// When the kernel refuses.
    pub fn send_segments(&self, bytes: &[u8], segment_bytes: u16) {
        let option = |value: libc::c_int| {
            set(&self.socket, libc::IPPROTO_UDP, UDP_SEGMENT, &value).unwrap();
        };
        option(segment_bytes.into());
        self.send(bytes);
        option(0);
    }

    /// Receives until so many bytes have come, and returns the datagrams in their order; what came until then, if the time
    /// is up before.
    ///
    /// # Panics
    ///
    /// When the kernel refuses.
    pub fn receive(&self, bytes: usize, within: Duration) -> Vec<Vec<u8>> {
        let deadline = Instant::now() + within;
        let mut datagrams: Vec<Vec<u8>> = Vec::new();
        let mut buffer = vec![0; 1 << 16];
        while datagrams.iter().map(Vec::len).sum::<usize>() < bytes && Instant::now() < deadline {
            match self.socket.recv(&mut buffer) {
                Ok(length) => datagrams.push(buffer[..length].to_vec()),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(error) => panic!("{}: {error}", self.place),
            }
        }
        datagrams
    }

    /// Where this is, for messages.
    pub fn place(&self) -> &str {
        &self.place
    }
}

/// Sets a socket option of any plain type.
fn set<T: Copy>(
    socket: &UdpSocket,
    level: libc::c_int,
    option: libc::c_int,
    value: &T,
) -> std::io::Result<()> {
    // SAFETY: the pointer and the length are those of one live value; the kernel only reads it.
    let set = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            option,
            std::ptr::from_ref(value).cast(),
            size_of::<T>() as libc::socklen_t,
        )
    };
    match set {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}
