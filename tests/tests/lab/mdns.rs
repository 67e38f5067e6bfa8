//! mDNS (RFC 6762): a container finds what the wire offers, and the wire and a sibling what a container offers, also while
//! multicast is pruned to its members.

use std::net::SocketAddr;

use tests::{Container, Fixture, GroupMember, PATIENCE, group};
use vnet_user::lab::Mac;

const FAR: Mac = Mac([2, 0, 0, 0, 0, 0x77]);
/// RFC 6762 section 3, on port 5353.
const GROUPS: [&str; 2] = ["224.0.0.251:5353", "[ff02::fb]:5353"];
const ADDRESS_RECORD: u16 = 1;
const INTERNET: u16 = 1;
/// In a response, the class's highest bit: forget older records (section 10.2).
const CACHE_FLUSH: u16 = 0x8000;

/// Who has this name? (RFC 1035 section 4.1.2)
fn query(name: &str) -> Vec<u8> {
    message(0, [1, 0], name, INTERNET)
}

/// It is at this address (RFC 1035 section 4.1.3), an authoritative answer.
fn response(name: &str, address: [u8; 4]) -> Vec<u8> {
    let mut response = message(0x8400, [0, 1], name, INTERNET | CACHE_FLUSH);
    response.extend(120_u32.to_be_bytes());
    response.extend([0, 4]);
    response.extend(address);
    response
}

/// A header with these flags and counts of questions and answers, and a record's name, type and class.
fn message(flags: u16, counts: [u16; 2], name: &str, class: u16) -> Vec<u8> {
    let [questions, answers] = counts;
    let header = [0, flags, questions, answers, 0, 0];
    let mut message: Vec<_> = header.into_iter().flat_map(u16::to_be_bytes).collect();
    for label in name.split('.') {
        message.push(label.len() as u8);
        message.extend(label.bytes());
    }
    message.push(0);
    message.extend(
        [ADDRESS_RECORD, class]
            .into_iter()
            .flat_map(u16::to_be_bytes),
    );
    message
}

/// One asks, all others hear it; one of them answers, and all others hear that.
fn found(members: &[GroupMember], asks: usize, answers: usize) {
    let name = format!("service-of-{answers}.local");
    for (sender, said) in [
        (asks, query(&name)),
        (answers, response(&name, [192, 168, 200, answers as u8])),
    ] {
        members[sender].send(&said);
        for (_, hears) in members.iter().enumerate().filter(|(n, _)| *n != sender) {
            let (from, to) = (members[sender].place(), hears.place());
            let heard = hears.receive(said.len(), PATIENCE);
            assert_eq!(heard, std::slice::from_ref(&said), "{name}: {from} → {to}");
        }
    }
}

/// A container, its sibling and the wire's `device` on one segment.
fn all_find_each_other(mut fixture: Fixture, options: &str, device: &str) {
    fixture.network(
        "web",
        &format!("{options} --subnet 192.168.200.0/24 --subnet fd00:200::/64"),
    );
    let containers: Vec<Container> = (1..3)
        .map(|n| {
            let addresses = format!("--ip 192.168.200.{n} --ip fd00:200::{n}");
            fixture.container(&format!("c{n}"), "web", &addresses)
        })
        .collect();
    // From now on multicast is pruned, but not this one (RFC 4541 section 2.1.2).
    let router = "192.168.200.100".parse().unwrap();
    let router6 = "fe80::77".parse().unwrap();
    for query in [
        group::igmp_query(FAR, router),
        group::mld_query(FAR, router6),
    ] {
        let query = match options {
            "" => query,
            _ => query.tagged(200, 0),
        };
        fixture.wire_raw().send(&query).unwrap();
    }
    for group in GROUPS {
        let group: SocketAddr = group.parse().unwrap();
        let of_containers = containers.iter().map(|it| (&it.netns, "eth0"));
        let wire = fixture.wire();
        let members: Vec<_> = of_containers
            .chain([(&wire, device)])
            .map(|(netns, device)| GroupMember::join(netns, device, group))
            .collect();
        let [first, sibling, wire] = [0, 1, 2];
        for (asks, answers) in [(first, wire), (wire, first), (sibling, first)] {
            found(&members, asks, answers);
        }
    }
}

#[test]
fn mdns_finds_both_ways_on_a_vlan() {
    let fixture = Fixture::attached();
    let _end = fixture.vlan_end(200, &["192.168.200.100/24", "fd00:200::100/64"]);
    all_find_each_other(fixture, "--vlan 200", "enp0s8.200");
}

#[test]
fn mdns_finds_both_ways_on_the_untagged_lan() {
    let fixture = Fixture::attached();
    for address in ["192.168.200.100/24", "fd00:200::100/64"] {
        let add = format!("addr add {address} dev enp0s8");
        fixture.wire().ip(&add).unwrap();
    }
    all_find_each_other(fixture, "", "enp0s8");
}
