//! An endpoint that comes tells its neighbours where its addresses are.

use std::net::{Ipv4Addr, Ipv6Addr};

use tests::{Fixture, PATIENCE};
use vnet_user::lab::{Captured, ETHERNET_HEADER_BYTES, Mac};

const ETH_P_ARP: u16 = 0x0806;
const ETH_P_IPV6: u16 = 0x86dd;

/// RFC 5227, section 3: an ARP packet whose sender and target address are the same one.
fn announces_ipv4(frame: &Captured, mac: Mac, address: Ipv4Addr) -> bool {
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

/// RFC 4861, section 7.2.6: a neighbour advertisement (ICMPv6 type 136) to all nodes.
fn announces_ipv6(frame: &Captured, address: Ipv6Addr) -> bool {
    const IPV6_HEADER_BYTES: usize = 40;
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

#[test]
fn an_endpoint_that_comes_announces_its_addresses() {
    let mut fixture = Fixture::attached();
    fixture.network(
        "web",
        "--vlan 200 --subnet 192.168.200.0/24 --subnet fd00:200::/64",
    );
    let wire = fixture.wire_raw();
    let a = fixture.container("a", "web", "--ip 192.168.200.2 --ip fd00:200::2");
    let ipv4 = "192.168.200.2".parse().unwrap();
    let seen = wire.find(PATIENCE, |frame| announces_ipv4(frame, a.mac, ipv4));
    let seen = seen.unwrap().expect("a gratuitous ARP");
    assert_eq!(seen.tag.map(|tag| tag.vlan()), Some(200));

    let wire = fixture.wire_raw();
    fixture.container("b", "web", "--ip 192.168.200.3 --ip fd00:200::3");
    let ipv6 = "fd00:200::3".parse().unwrap();
    let seen = wire.find(PATIENCE, |frame| announces_ipv6(frame, ipv6));
    let seen = seen
        .unwrap()
        .expect("an unsolicited neighbour advertisement");
    assert_eq!(seen.tag.map(|tag| tag.vlan()), Some(200));
}
