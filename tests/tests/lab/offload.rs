//! TCP at full length: checksums, segmentation, sizes.

use std::net::SocketAddr;

use tests::{Fixture, PATIENCE, link, mac_of};
use vnet_user::lab::{Netns, probe};

const STREAM_BYTES: u64 = 20 << 20;

fn both_ways(container: &Netns, other: &Netns, here: &str, there: &str) {
    let at = |address: &str, port| SocketAddr::new(address.parse().unwrap(), port);
    probe::stream(container, other, at(there, 7001), STREAM_BYTES, PATIENCE).unwrap();
    probe::stream(other, container, at(here, 7002), STREAM_BYTES, PATIENCE).unwrap();
}

#[test]
fn a_stream_arrives_as_it_was_sent_on_the_untagged_lan() {
    let mut fixture = Fixture::attached();
    fixture
        .wire()
        .ip("addr add 192.168.1.100/24 dev enp0s8")
        .unwrap();
    fixture.network("pub", "--subnet 192.168.1.0/24");
    let a = fixture.container("a", "pub", "--ip 192.168.1.2");
    both_ways(&a.netns, &fixture.wire(), "192.168.1.2", "192.168.1.100");
}

#[test]
fn a_stream_arrives_as_it_was_sent_on_a_vlan_and_between_siblings() {
    let mut fixture = Fixture::attached();
    let _end = fixture.vlan_end(200, &["192.168.200.100/24", "fd00:200::100/64"]);
    fixture.network(
        "web",
        "--vlan 200 --subnet 192.168.200.0/24 --subnet fd00:200::/64",
    );
    let a = fixture.container("a", "web", "--ip 192.168.200.2 --ip fd00:200::2");
    let b = fixture.container("b", "web", "--ip 192.168.200.3");
    both_ways(
        &a.netns,
        &fixture.wire(),
        "192.168.200.2",
        "192.168.200.100",
    );
    both_ways(&a.netns, &fixture.wire(), "fd00:200::2", "fd00:200::100");
    both_ways(&a.netns, &b.netns, "192.168.200.2", "192.168.200.3");
}

#[test]
fn a_macvlan_on_a_vlan_of_the_wire_is_a_peer_like_any_other() {
    let mut fixture = Fixture::attached();
    let end = fixture.vlan_end(200, &[]);
    let peer = Netns::clone(fixture.lab.add("peer").unwrap());
    let wire = fixture.wire();
    wire.ip(&format!(
        "link add mv0 link {} type macvlan mode bridge",
        end.name()
    ))
    .unwrap();
    wire.ip(&format!("link set mv0 netns {}", peer.name()))
        .unwrap();
    peer.ip("addr add 192.168.200.50/24 dev mv0").unwrap();
    peer.ip("link set mv0 up").unwrap();
    fixture.network("web", "--vlan 200 --subnet 192.168.200.0/24");
    let a = fixture.container("a", "web", "--ip 192.168.200.2");
    assert_ne!(a.mac, mac_of(&peer, "mv0"));
    let there = "192.168.200.50".parse().unwrap();
    assert!(probe::ping(&a.netns, there, PATIENCE).unwrap().is_some());
    both_ways(&a.netns, &peer, "192.168.200.2", "192.168.200.50");
}

#[test]
fn an_endpoint_has_the_sizes_of_its_uplink() {
    let mut fixture = Fixture::new();
    let host = fixture.host();
    host.ip("link set dev enp0s8 mtu 1400 gso_max_size 32768")
        .unwrap();
    fixture.attach();
    fixture.network("web", "--vlan 200 --subnet 192.168.200.0/24");
    fixture.network("small", "--vlan 201 --subnet 192.168.201.0/24 --mtu 1300");
    let a = fixture.container("a", "web", "");
    let b = fixture.container("b", "small", "");
    let (uplink, eth0) = (link(&host, "enp0s8"), link(&a.netns, "eth0"));
    for size in ["mtu", "gso_max_size", "gso_max_segs"] {
        assert_eq!(eth0[size], uplink[size], "{size}");
    }
    assert_eq!(eth0["mtu"], 1400);
    assert_eq!(link(&b.netns, "eth0")["mtu"], 1300);
}
