//! Tells the neighbours of an interface anew by which MAC address its addresses are reached, as the kernel does on
//! `NETDEV_NOTIFY_PEERS`.

use std::{
    io, mem,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
    ptr, thread,
    time::Duration,
};

use vnet_common::Mac;

use super::{
    error::LinkError,
    netlink::{Link, Netlink},
    sysctl,
};

const BROADCAST: Mac = [0xff; 6];
/// ff02::1, all nodes.
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
/// RFC 2464, section 7.
const ALL_NODES_MAC: Mac = [0x33, 0x33, 0, 0, 0, 1];
const ICMPV6: u8 = 58;
/// For a carrier that has just come: the kernel takes some time until the interface sends.
const PATIENCE: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(10);
/// How many sockets wait to be closed together: well below the 1024 descriptors that a process may have.
const MOST_SOCKETS: usize = 128;

/// What was announced.
#[derive(Default)]
pub struct Announced {
    /// How many addresses.
    pub addresses: usize,
    /// The sockets that it was sent by. To close one takes the kernel some 15 ms (`packet_release` waits for all
    /// processors), to close many at once no longer.
    sockets: Vec<OwnedFd>,
}

impl Announced {
    /// With what was announced elsewhere.
    pub fn add(&mut self, mut other: Self) {
        self.addresses += other.addresses;
        self.sockets.append(&mut other.sockets);
        if self.sockets.len() >= MOST_SOCKETS {
            self.close();
        }
    }

    fn close(&mut self) {
        thread::scope(|scope| {
            for socket in self.sockets.drain(..) {
                // Where no thread can be had, the closure is dropped here, and with it the socket.
                let _ = thread::Builder::new().spawn_scoped(scope, move || drop(socket));
            }
        });
    }
}

impl Drop for Announced {
    fn drop(&mut self) {
        self.close();
    }
}

/// Announces all addresses of an interface, in the calling thread's namespace, whose name is `netns`.
///
/// # Errors
///
/// What the kernel says.
pub async fn announce(netlink: &Netlink, netns: &str, link: &Link) -> Result<Announced, LinkError> {
    if !link.up {
        return Ok(Announced::default());
    }
    wait_until_running(netlink, link).await?;
    let failed = |source| LinkError::Announce {
        netns: netns.to_owned(),
        ifname: link.name.clone(),
        source,
    };
    let socket = packet_socket().map_err(failed)?;
    let addresses = netlink.announceable(link.index).await?;
    let router = sysctl::forwards_ipv6(&link.name);
    for address in &addresses {
        let frame = match address {
            IpAddr::V4(address) => arp_announcement(link.mac, *address),
            IpAddr::V6(address) => neighbour_advertisement(link.mac, *address, router),
        };
        send(&socket, link.index, &frame).map_err(failed)?;
    }
    Ok(Announced {
        addresses: addresses.len(),
        sockets: vec![socket],
    })
}

async fn wait_until_running(netlink: &Netlink, link: &Link) -> Result<(), LinkError> {
    let waited = tokio::time::timeout(PATIENCE, async {
        loop {
            match netlink.find_index(link.index).await? {
                Some(link) if link.up && !link.running => tokio::time::sleep(PAUSE).await,
                _ => return Ok(()),
            }
        }
    });
    // Without a carrier it is lost, as the kernel's own is.
    waited.await.unwrap_or(Ok(()))
}

/// RFC 5227, section 3: a request whose sender and target address are the same.
fn arp_announcement(mac: Mac, address: Ipv4Addr) -> Vec<u8> {
    // Ethernet and IPv4, with addresses of 6 and 4 bytes; operation 1 is a request.
    const FIXED: [u8; 8] = [0, 1, 0x08, 0, 6, 4, 0, 1];
    let mut frame = ethernet(BROADCAST, mac, 0x0806);
    frame.extend(FIXED);
    frame.extend(mac);
    frame.extend(address.octets());
    frame.extend(Mac::default());
    frame.extend(address.octets());
    frame
}

/// RFC 4861, section 7.2.6: an unsolicited advertisement to all nodes, which overrides what they know. One that did not
/// say that its sender is a router would end its being their default router (section 7.2.5).
fn neighbour_advertisement(mac: Mac, address: Ipv6Addr, router: bool) -> Vec<u8> {
    const ADVERTISEMENT: u8 = 136;
    const ROUTER: u8 = 0x80;
    const OVERRIDE: u8 = 0x20;
    /// Option 2, the target's link-layer address, one unit of eight bytes.
    const TARGET_MAC: [u8; 2] = [2, 1];
    let flags = OVERRIDE | if router { ROUTER } else { 0 };
    let mut icmp = vec![ADVERTISEMENT, 0, 0, 0, flags, 0, 0, 0];
    icmp.extend(address.octets());
    icmp.extend(TARGET_MAC);
    icmp.extend(mac);
    let sum = checksum(address, ALL_NODES, &icmp);
    icmp[2..4].copy_from_slice(&sum.to_be_bytes());

    let mut frame = ethernet(ALL_NODES_MAC, mac, 0x86dd);
    // Version 6; what is behind the header, and how far it may go (RFC 4861, section 4.4).
    frame.extend([0x60, 0, 0, 0, 0, icmp.len() as u8, ICMPV6, 255]);
    frame.extend(address.octets());
    frame.extend(ALL_NODES.octets());
    frame.extend(icmp);
    frame
}

fn ethernet(destination: Mac, source: Mac, ethertype: u16) -> Vec<u8> {
    let mut frame = Vec::from(destination);
    frame.extend(source);
    frame.extend(ethertype.to_be_bytes());
    frame
}

/// RFC 4443, section 2.3.
fn checksum(source: Ipv6Addr, destination: Ipv6Addr, icmp: &[u8]) -> u16 {
    let mut covered = Vec::from(source.octets());
    covered.extend(destination.octets());
    covered.extend([0, 0, 0, icmp.len() as u8, 0, 0, 0, ICMPV6]);
    covered.extend(icmp);
    let words = covered.chunks(2).map(|pair| {
        let low = pair.get(1).copied().unwrap_or_default();
        u32::from(u16::from_be_bytes([pair[0], low]))
    });
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// One that receives nothing: its protocol is 0.
fn packet_socket() -> io::Result<OwnedFd> {
    // SAFETY: no pointers are passed.
    let fd = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel just gave us this descriptor, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn send(socket: &OwnedFd, index: u32, frame: &[u8]) -> io::Result<()> {
    // SAFETY: sockaddr_ll is plain data, for which all zeroes is a value.
    let mut address: libc::sockaddr_ll = unsafe { mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_ifindex = index as libc::c_int;
    // SAFETY: pointers and lengths are those of one live slice and one live sockaddr_ll.
    let sent = unsafe {
        libc::sendto(
            socket.as_raw_fd(),
            frame.as_ptr().cast(),
            frame.len(),
            0,
            ptr::from_ref(&address).cast(),
            mem::size_of_val(&address) as libc::socklen_t,
        )
    };
    match sent {
        0.. => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: Mac = [2, 0, 0, 0, 0, 9];

    #[test]
    fn an_arp_announcement_asks_for_its_own_address() {
        let frame = arp_announcement(MAC, Ipv4Addr::new(192, 168, 200, 2));
        let hex: String = frame.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            hex,
            "ffffffffffff020000000009080600010800060400010200000000\
             09c0a8c802000000000000c0a8c802"
        );
    }

    #[test]
    fn an_advertisement_is_whole() {
        let address = "fd00:200::2".parse().unwrap();
        for (router, flags) in [(false, 0x20), (true, 0xa0)] {
            let frame = neighbour_advertisement(MAC, address, router);
            assert_eq!(frame.len(), 14 + 40 + 32);
            // What is summed up with its own checksum comes to nothing.
            assert_eq!(checksum(address, ALL_NODES, &frame[54..]), 0);
            assert_eq!(frame[54 + 4], flags);
            assert_eq!(frame[54 + 8..54 + 24], address.octets());
            assert_eq!(frame[54 + 26..], MAC);
        }
    }
}
