//! Containers on the untagged LAN of their host.

use std::time::Duration;

use tests::{Fixture, PATIENCE, SILENCE, mac_of};
use vnet_user::lab::{Captured, EthernetFrame, Mac, PacketType, RawSocket, probe};

const NETWORK: &str = "--subnet 192.168.1.0/24 --gateway 192.168.1.100";

#[test]
fn a_container_reaches_sibling_and_gateway_but_not_its_host() {
    let mut fixture = Fixture::attached();
    let (host, wire) = (fixture.host(), fixture.wire());
    host.ip("addr add 192.168.1.1/24 dev enp0s8").unwrap();
    wire.ip("addr add 192.168.1.100/24 dev enp0s8").unwrap();
    fixture.network("pub", NETWORK);
    let web = fixture.container("web", "pub", "--ip 192.168.1.201");
    let db = fixture.container("db", "pub", "--ip 192.168.1.202");

    let macs = [
        web.mac,
        db.mac,
        mac_of(&host, "enp0s8"),
        mac_of(&wire, "enp0s8"),
    ];
    for (position, mac) in macs.iter().enumerate() {
        assert!(
            !macs[..position].contains(mac),
            "each has a MAC of its own: {macs:?}"
        );
    }
    let routes = web.netns.ip("route show default").unwrap();
    assert!(routes.contains("via 192.168.1.100 dev eth0"), "{routes}");
    let ping = |from, to: &str| probe::ping(from, to.parse().unwrap(), PATIENCE).unwrap();
    assert_eq!(
        ping(&web.netns, "192.168.1.202").map(|echo| echo.ttl),
        Some(64)
    );
    assert!(ping(&web.netns, "192.168.1.100").is_some());
    assert!(ping(&wire, "192.168.1.201").is_some());
    let host_address = "192.168.1.1".parse().unwrap();
    assert_eq!(
        probe::ping(&web.netns, host_address, SILENCE).unwrap(),
        None
    );
    let container_address = "192.168.1.201".parse().unwrap();
    assert_eq!(
        probe::ping(&host, container_address, SILENCE).unwrap(),
        None
    );
}

#[test]
fn a_container_without_a_wish_gets_the_lowest_free_address() {
    let mut fixture = Fixture::attached();
    fixture.network("pub", NETWORK);
    let address =
        |container: &tests::Container| container.netns.ip("-o -4 addr show dev eth0").unwrap();
    let first = fixture.container("a", "pub", "");
    assert!(
        address(&first).contains("192.168.1.1/24"),
        "{}",
        address(&first)
    );
    let second = fixture.container("b", "pub", "--mac 02:00:00:00:00:0b --ifname eth0");
    assert!(
        address(&second).contains("192.168.1.2/24"),
        "{}",
        address(&second)
    );
    assert_eq!(second.mac, Mac([2, 0, 0, 0, 0, 0xb]));
    fixture.ok(&format!("endpoint remove {}", first.id));
    let third = fixture.container("c", "pub", "");
    assert!(
        address(&third).contains("192.168.1.1/24"),
        "{}",
        address(&third)
    );
}

#[test]
fn frames_pass_unchanged_between_container_and_wire() {
    let mut fixture = Fixture::attached();
    fixture.network("pub", NETWORK);
    let container = fixture.container("a", "pub", "");
    let (inside, wire) = (container.raw(), fixture.wire_raw());
    let far = Mac([2, 0, 0, 0, 0, 0x77]);

    let out = EthernetFrame::experiment(far, container.mac, "outwards");
    inside.send(&out).unwrap();
    let seen = wire.expect("outwards", PATIENCE).unwrap();
    assert_eq!((seen.bytes.as_slice(), seen.tag), (out.bytes(), None));

    let back = EthernetFrame::experiment(container.mac, far, "inwards");
    wire.send(&back).unwrap();
    let seen = inside.expect("inwards", PATIENCE).unwrap();
    assert_eq!((seen.bytes.as_slice(), seen.tag), (back.bytes(), None));
    assert_eq!(seen.packet_type, PacketType::Host);
}

#[test]
fn a_tag_that_only_carries_a_priority_belongs_to_the_untagged_lan() {
    let mut fixture = Fixture::attached();
    fixture.network("pub", NETWORK);
    let container = fixture.container("a", "pub", "");
    let inside = container.raw();
    let far = Mac([2, 0, 0, 0, 0, 0x77]);
    for (destination, text) in [(container.mac, "to one"), (Mac::BROADCAST, "to all")] {
        let frame = EthernetFrame::experiment(destination, far, text);
        fixture
            .wire_raw()
            .send(&frame.clone().tagged(0, 5))
            .unwrap();
        let seen = inside.expect(text, PATIENCE).unwrap();
        assert_eq!(
            (seen.bytes.as_slice(), seen.tag),
            (frame.bytes(), None),
            "{text}"
        );
    }
}

#[test]
fn a_frame_between_siblings_does_not_go_to_the_wire() {
    let mut fixture = Fixture::attached();
    fixture.network("pub", NETWORK);
    let (a, b) = (
        fixture.container("a", "pub", ""),
        fixture.container("b", "pub", ""),
    );
    let (from, to, wire) = (a.raw(), b.raw(), fixture.wire_raw());
    let local = EthernetFrame::experiment(b.mac, a.mac, "between us");
    from.send(&local).unwrap();
    let seen = to.expect("between us", PATIENCE).unwrap();
    assert_eq!((seen.bytes.as_slice(), seen.tag), (local.bytes(), None));
    assert_eq!(seen.packet_type, PacketType::Host);
    from.send(&EthernetFrame::experiment(
        Mac([2, 0, 0, 0, 0, 9]),
        a.mac,
        "marker",
    ))
    .unwrap();
    assert!(
        wire.before("between us", "marker", PATIENCE)
            .unwrap()
            .is_empty()
    );
}

#[test]
fn no_frame_of_the_host_itself_enters_a_container() {
    let mut fixture = Fixture::attached();
    fixture.network("pub", NETWORK);
    // The wire says nothing, and the host all it can when a link comes up, so that what is heard is the host.
    let (host, wire) = (fixture.host(), fixture.wire());
    wire.sysctl("net/ipv6/conf/enp0s8/disable_ipv6", "1")
        .unwrap();
    for (key, value) in [
        ("router_solicitations", "3"),
        ("accept_dad", "1"),
        ("dad_transmits", "1"),
    ] {
        host.sysctl(&format!("net/ipv6/conf/default/{key}"), value)
            .unwrap();
    }
    let netns = fixture.lab.add("a").unwrap();
    let ears = RawSocket::open_any(netns).unwrap();
    let container = fixture.endpoint("a", "pub", "");
    // What the container's own loopback carries has no Ethernet addresses.
    let is_foreign = |frame: &Captured| {
        frame
            .source()
            .is_some_and(|source| source != container.mac && source.0 != [0; 6])
    };
    // A router solicitation waits for up to a second after the link came up.
    let heard = ears.find(Duration::from_millis(2500), is_foreign).unwrap();
    assert!(heard.is_none(), "the container heard {heard:02x?}");

    // A plain veth in the same place is heard: the ears are no deaf ones.
    host.ip(&format!(
        "link add plain0 type veth peer name eth1 netns {}",
        container.netns.name()
    ))
    .unwrap();
    container.netns.ip("link set eth1 up").unwrap();
    let plain = mac_of(&host, "plain0");
    host.ip("link set plain0 up").unwrap();
    let heard = ears
        .find(PATIENCE, |frame| frame.source() == Some(plain))
        .unwrap();
    assert!(heard.is_some(), "even a plain veth was not heard");
}
