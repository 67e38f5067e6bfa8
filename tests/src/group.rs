//! IGMP and MLD frames, as a multicast router and its hosts send them.

use std::net::{Ipv4Addr, Ipv6Addr};

use vnet_user::lab::{EthernetFrame, Mac};

const ETHER_TYPE_IPV4: u16 = 0x0800;
const ETHER_TYPE_IPV6: u16 = 0x86dd;
const IGMP: u8 = 2;
const ICMPV6: u8 = 58;

/// A query for all groups that asks to be answered within a tenth of a second (RFC 3376 section 4.1).
pub fn igmp_query(source: Mac, router: Ipv4Addr) -> EthernetFrame {
    let query = with_checksum(vec![0x11, 1, 0, 0, 0, 0, 0, 0, 2, 125, 0, 0], &[]);
    igmp(source, router, Ipv4Addr::new(224, 0, 0, 1), &query)
}

/// A report of one group in IGMPv2 (RFC 2236 section 2), to the group itself.
pub fn igmpv2_report(source: Mac, host: Ipv4Addr, group: Ipv4Addr) -> EthernetFrame {
    let mut report = vec![0x16, 0, 0, 0];
    report.extend(group.octets());
    igmp(source, host, group, &with_checksum(report, &[]))
}

/// A report with more groups than are in it.
pub fn igmpv3_report_cut(source: Mac, host: Ipv4Addr) -> EthernetFrame {
    let report = with_checksum(vec![0x22, 0, 0, 0, 0, 0, 0, 3], &[]);
    igmp(source, host, Ipv4Addr::new(224, 0, 0, 22), &report)
}

/// A UDP datagram to a group.
pub fn datagram(source: Mac, host: Ipv4Addr, group: Ipv4Addr, text: &str) -> EthernetFrame {
    ipv4(source, host, group, 17, &udp(text))
}

/// The same in IPv6.
pub fn datagram6(source: Mac, host: Ipv6Addr, group: Ipv6Addr, text: &str) -> EthernetFrame {
    ipv6(source, host, group, 17, &udp(text))
}

/// A query for all groups in MLDv2 that asks to be answered within a tenth of a second (RFC 3810 section 5.1).
pub fn mld_query(source: Mac, router: Ipv6Addr) -> EthernetFrame {
    let all_nodes = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
    let mut query = vec![130, 0, 0, 0, 0, 100, 0, 0];
    query.extend([0; 16]);
    query.extend([2, 125, 0, 0]);
    let mut pseudo = Vec::new();
    pseudo.extend(router.octets());
    pseudo.extend(all_nodes.octets());
    pseudo.extend([0, 0, 0, query.len() as u8, 0, 0, 0, ICMPV6]);
    let mut payload = vec![ICMPV6, 0, 5, 2, 0, 0, 1, 0];
    payload.extend(with_checksum(query, &pseudo));
    ipv6(source, router, all_nodes, 0, &payload)
}

fn igmp(source: Mac, from: Ipv4Addr, to: Ipv4Addr, message: &[u8]) -> EthernetFrame {
    ipv4(source, from, to, IGMP, message)
}

fn ipv4(source: Mac, from: Ipv4Addr, to: Ipv4Addr, protocol: u8, payload: &[u8]) -> EthernetFrame {
    let length = (24 + payload.len()) as u16;
    let mut header = vec![0x46, 0xc0];
    header.extend(length.to_be_bytes());
    header.extend([0, 0, 0, 0, 1, protocol, 0, 0]);
    header.extend(from.octets());
    header.extend(to.octets());
    // Router alert (RFC 2113).
    header.extend([0x94, 4, 0, 0]);
    let sum = checksum(&header);
    header[10..12].copy_from_slice(&sum.to_be_bytes());
    header.extend(payload);
    let [_, b, c, d] = to.octets();
    let group = Mac([0x01, 0, 0x5e, b & 0x7f, c, d]);
    EthernetFrame::new(group, source, ETHER_TYPE_IPV4, &header)
}

fn ipv6(source: Mac, from: Ipv6Addr, to: Ipv6Addr, next: u8, payload: &[u8]) -> EthernetFrame {
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend((payload.len() as u16).to_be_bytes());
    packet.extend([next, 1]);
    packet.extend(from.octets());
    packet.extend(to.octets());
    packet.extend(payload);
    let [.., a, b, c, d] = to.octets();
    let group = Mac([0x33, 0x33, a, b, c, d]);
    EthernetFrame::new(group, source, ETHER_TYPE_IPV6, &packet)
}

/// Without a checksum, which IPv4 allows and nobody here looks at.
fn udp(text: &str) -> Vec<u8> {
    let length = (8 + text.len()) as u16;
    let mut datagram = vec![0x27, 0x10, 0x27, 0x10];
    datagram.extend(length.to_be_bytes());
    datagram.extend([0, 0]);
    datagram.extend(text.bytes());
    datagram
}

/// A message with its checksum in bytes 2 and 3, over a pseudo header too.
fn with_checksum(mut message: Vec<u8>, pseudo: &[u8]) -> Vec<u8> {
    let sum = checksum(&[pseudo, &message].concat());
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    message
}

/// RFC 1071.
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|pair| {
        let [high, low] = [pair[0], pair.get(1).copied().unwrap_or(0)];
        u32::from(u16::from_be_bytes([high, low]))
    });
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}
