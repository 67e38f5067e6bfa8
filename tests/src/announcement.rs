//! How a station tells its neighbours where its addresses are.

use std::net::{Ipv4Addr, Ipv6Addr};

use vnet_user::lab::{Captured, ETHERNET_HEADER_BYTES, Mac};

const ETH_P_ARP: u16 = 0x0806;
const ETH_P_IPV6: u16 = 0x86dd;

/// RFC 5227, section 3: an ARP packet whose sender and target address are the same one.
pub fn announces_ipv4(frame: &Captured, mac: Mac, address: Ipv4Addr) -> bool {
    let Some(arp) = frame
        .bytes
        .get(ETHERNET_HEADER_BYTES..ETHERNET_HEADER_BYTES + 28)
    else {
        return false;
    };
    frame.ethertype() == Some(ETH_P_ARP)
        && frame.destination() == Some(Mac::BROADCAST)
        && arp[8..14] == mac.0
        && arp[14..18] == address.octets()
        && arp[24..28] == address.octets()
}

const IPV6_HEADER_BYTES: usize = 40;

/// Whether an announcement says that its sender is a router.
pub fn announces_router(frame: &Captured) -> bool {
    const ROUTER: u8 = 0x80;
    let flags = frame
        .bytes
        .get(ETHERNET_HEADER_BYTES + IPV6_HEADER_BYTES + 4);
    flags.is_some_and(|flags| flags & ROUTER != 0)
}

/// RFC 4861, section 7.2.6: a neighbour advertisement (ICMPv6 type 136) to all nodes.
pub fn announces_ipv6(frame: &Captured, address: Ipv6Addr) -> bool {
    const ICMPV6: u8 = 58;
    const NEIGHBOUR_ADVERTISEMENT: u8 = 136;
    let Some(ip) = frame.bytes.get(ETHERNET_HEADER_BYTES..) else {
        return false;
    };
    let Some(icmp) = ip.get(IPV6_HEADER_BYTES..IPV6_HEADER_BYTES + 24) else {
        return false;
    };
    frame.ethertype() == Some(ETH_P_IPV6)
        && frame.destination() == Some(Mac([0x33, 0x33, 0, 0, 0, 1]))
        && ip[6] == ICMPV6
        && icmp[0] == NEIGHBOUR_ADVERTISEMENT
        && icmp[8..24] == address.octets()
}
