//! IPv6: neighbour discovery finds a container, and duplicate address detection finds duplicates and nothing else.

use std::time::{Duration, Instant};

use tests::{Container, Fixture, PATIENCE, Reflector};
use vnet_user::lab::{Netns, probe};

const NETWORK: &str =
    "--vlan 200 --subnet 192.168.200.0/24 --subnet fd00:200::/64 --gateway fd00:200::100";

/// A container whose addresses, when added from now on, are looked for on the segment first.
fn container_that_detects(fixture: &mut Fixture) -> Container {
    let netns = fixture.lab.add("a").unwrap();
    netns.set_duplicate_detection(true).unwrap();
    // The nonce of RFC 7527 would hide a reflected solicitation from the very test of it.
    for scope in ["default", "all"] {
        netns
            .sysctl(&format!("net/ipv6/conf/{scope}/enhanced_dad"), "0")
            .unwrap();
    }
    fixture.endpoint("a", "web", "--ip fd00:200::2")
}

/// Waits until the kernel has decided on an address: whether it found a duplicate.
fn is_duplicate(netns: &Netns, address: &str) -> bool {
    is_duplicate_on(netns, "eth0", address)
}

fn is_duplicate_on(netns: &Netns, device: &str, address: &str) -> bool {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let shown = netns.ip(&format!("-o -6 addr show dev {device}")).unwrap();
        let line = shown.lines().find(|line| line.contains(address));
        let line = line.unwrap_or_else(|| panic!("{address} is not on {device}: {shown}"));
        if line.contains("dadfailed") {
            return true;
        }
        if !line.contains("tentative") {
            return false;
        }
        assert!(
            Instant::now() < deadline,
            "{address} stays tentative: {shown}"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn container_router_and_sibling_find_each_other() {
    let mut fixture = Fixture::attached();
    let _end = fixture.vlan_end(200, &["fd00:200::100/64"]);
    fixture.network("web", NETWORK);
    let a = fixture.container("a", "web", "--ip fd00:200::2");
    let b = fixture.container("b", "web", "--ip fd00:200::3 --ip 192.168.200.3");
    let ping = |from: &Netns, to: &str| {
        probe::ping(from, to.parse().unwrap(), PATIENCE)
            .unwrap()
            .map(|echo| echo.ttl)
    };
    assert_eq!(ping(&a.netns, "fd00:200::100"), Some(64));
    assert_eq!(ping(&fixture.wire(), "fd00:200::3"), Some(64));
    assert_eq!(ping(&a.netns, "fd00:200::3"), Some(64));
    let routes = b.netns.ip("-6 route show default").unwrap();
    assert!(routes.contains("via fd00:200::100 dev eth0"), "{routes}");
}

#[test]
fn an_address_that_the_wire_holds_already_is_found_to_be_a_duplicate() {
    let mut fixture = Fixture::attached();
    let _end = fixture.vlan_end(200, &["fd00:200::100/64"]);
    fixture.network("web", NETWORK);
    let container = container_that_detects(&mut fixture);
    container
        .netns
        .ip("-6 addr add fd00:200::100/64 dev eth0")
        .unwrap();
    assert!(is_duplicate(&container.netns, "fd00:200::100/"));
    container
        .netns
        .ip("-6 addr add fd00:200::77/64 dev eth0")
        .unwrap();
    assert!(!is_duplicate(&container.netns, "fd00:200::77/"));
}

#[test]
fn an_address_that_a_sibling_holds_already_is_found_to_be_a_duplicate() {
    let mut fixture = Fixture::attached();
    fixture.network("web", NETWORK);
    fixture.container("b", "web", "--ip fd00:200::3");
    let container = container_that_detects(&mut fixture);
    container
        .netns
        .ip("-6 addr add fd00:200::3/64 dev eth0")
        .unwrap();
    assert!(is_duplicate(&container.netns, "fd00:200::3/"));
}

#[test]
fn the_wire_finds_a_containers_address_to_be_a_duplicate() {
    let mut fixture = Fixture::attached();
    let end = fixture.vlan_end(200, &["fd00:200::100/64"]);
    fixture.network("web", NETWORK);
    fixture.container("a", "web", "--ip fd00:200::2");
    let wire = fixture.wire();
    for key in ["accept_dad", "dad_transmits"] {
        let key = format!("net/ipv6/conf/{}/{key}", end.name());
        wire.sysctl(&key, "1").unwrap();
    }
    for (address, is_taken) in [("fd00:200::2/64", true), ("fd00:200::77/64", false)] {
        wire.ip(&format!("-6 addr add {address} dev {}", end.name()))
            .unwrap();
        assert_eq!(is_duplicate_on(&wire, end.name(), address), is_taken);
    }
}

#[test]
fn a_wire_that_sends_everything_back_makes_no_duplicates() {
    let mut fixture = Fixture::attached();
    fixture.network("web", NETWORK);
    let reflector = Reflector::start(&fixture.wire(), "enp0s8");
    let container = container_that_detects(&mut fixture);
    container
        .netns
        .ip("-6 addr add fd00:200::77/64 dev eth0")
        .unwrap();
    assert!(!is_duplicate(&container.netns, "fd00:200::77/"));
    assert!(
        reflector.reflected() > 0,
        "nothing was reflected, so nothing was tested"
    );
}
