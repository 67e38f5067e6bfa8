//! Priorities: from a tag's priority code point into the container and back, held against the kernel's own VLAN devices.

use tests::{Fixture, PATIENCE, expected, hear_only, mac_of};
use vnet_user::lab::{ETH_P_EXPERIMENT, EthernetFrame, Mac, Netns, RawSocket};

const FAR: Mac = Mac([2, 0, 0, 0, 0, 0x77]);
const INGRESS: [(&str, u32); 3] = [("0", 2), ("3", 5), ("4", 32766)];
const EGRESS: [(u32, u8); 3] = [(5, 3), (6, 7), (32766, 1)];

/// What carries the frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Kernel,
    Vnet,
}

fn maps() -> [String; 2] {
    let ingress = INGRESS.map(|(pcp, priority)| format!("{pcp}:{priority}"));
    let egress = EGRESS.map(|(priority, pcp)| format!("{priority}:{pcp}"));
    [ingress.join(" "), egress.join(" ")]
}

/// Two containers on VLAN 60, which may be in the service VLAN 100.
fn build(side: Side, qinq: bool) -> (Fixture, [Netns; 2]) {
    let [ingress, egress] = maps();
    let mut fixture = Fixture::new();
    let host = fixture.host();
    match side {
        Side::Vnet => {
            fixture.attach();
            let parent = if qinq { "--outer-vlan 100" } else { "" };
            let [ingress, egress] = [ingress, egress].map(|map| map.replace(' ', ","));
            fixture.network(
                "web",
                &format!(
                    "{parent} --vlan 60 --ingress-qos-map {ingress} --egress-qos-map {egress}"
                ),
            );
            let a = fixture.container("a", "web", "").netns;
            let b = fixture.container("b", "web", "").netns;
            (fixture, [a, b])
        }
        Side::Kernel => {
            let mut lower = "enp0s8".to_owned();
            let tags: &[_] = if qinq {
                &[("802.1ad", 100), ("802.1Q", 60)]
            } else {
                &[("802.1Q", 60)]
            };
            for (protocol, vlan) in tags {
                let name = format!("v{vlan}");
                host.ip(&format!(
                    "link add link {lower} name {name} type vlan protocol {protocol} id {vlan} \
                     ingress-qos-map {ingress} egress-qos-map {egress}"
                ))
                .unwrap();
                host.ip(&format!("link set {name} up")).unwrap();
                lower = name;
            }
            let containers = ["a", "b"].map(|name| {
                let netns = Netns::clone(fixture.lab.add(name).unwrap());
                let far = netns.name();
                host.ip(&format!(
                    "link add link {lower} name eth0 netns {far} type macvlan mode bridge"
                ))
                .unwrap();
                netns.ip("link set eth0 up").unwrap();
                netns
            });
            (fixture, containers)
        }
    }
}

/// Where there is an oracle, it is asked the same.
fn sides() -> &'static [Side] {
    if expected::has_8021q() {
        &[Side::Kernel, Side::Vnet]
    } else {
        &[Side::Vnet]
    }
}

fn egress(fixture: &Fixture, [a, b]: &[Netns; 2], qinq: bool) {
    let sender = RawSocket::open(a, "eth0").unwrap();
    let wire = fixture.wire_raw();
    let sibling = RawSocket::open_behind_ingress(b, "eth0", ETH_P_EXPERIMENT).unwrap();
    hear_only(&sibling, 0);
    for priority in [0, 1, 5, 6, 32766, 32767, 65541] {
        let wanted = EGRESS.iter().find(|(known, _)| *known == priority);
        let wanted = wanted.map_or(0, |(_, pcp)| *pcp);
        sender.set_priority(priority).unwrap();
        for (to, name) in [
            (FAR, "far"),
            (Mac::BROADCAST, "all"),
            (mac_of(b, "eth0"), "b"),
        ] {
            let text = format!("{priority} to {name}.");
            let frame = EthernetFrame::experiment(to, mac_of(a, "eth0"), &text);
            sender.send(&frame).unwrap();
            if name != "far" {
                // Between siblings, a priority goes no further than the sender (`dev_forward_skb`).
                sibling.expect(&text, PATIENCE).unwrap();
            }
            if name == "b" {
                continue;
            }
            let frame = wire.expect(&text, PATIENCE).unwrap();
            let tag = frame.tag.unwrap();
            assert_eq!(tag.priority(), wanted, "{text}");
            if qinq {
                let inner = u16::from_be_bytes([frame.bytes[14], frame.bytes[15]]);
                assert_eq!(inner, u16::from(wanted) << 13 | 60, "{text}: inner tag");
            }
        }
    }
}

fn ingress(fixture: &Fixture, [a, _]: &[Netns; 2], qinq: bool) {
    let wire = fixture.wire_raw();
    for pcp in 0..8_u8 {
        let wanted = INGRESS.iter().find(|(known, _)| *known == pcp.to_string());
        let ears = RawSocket::open_behind_ingress(a, "eth0", ETH_P_EXPERIMENT).unwrap();
        hear_only(&ears, wanted.map_or(0, |(_, priority)| *priority));
        for to in [mac_of(a, "eth0"), Mac::BROADCAST] {
            let text = format!("{pcp} to {to}.");
            let frame = EthernetFrame::experiment(to, FAR, &text).tagged(60, pcp);
            // Of two tags the inner one has the last word.
            let frame = match qinq {
                true => frame.tagged_as(0x88a8, 100, 4),
                false => frame,
            };
            wire.send(&frame).unwrap();
            ears.expect(&text, PATIENCE).unwrap();
        }
    }
}

fn check(qinq: bool) {
    for side in sides() {
        println!("{side:?}");
        let (fixture, containers) = build(*side, qinq);
        egress(&fixture, &containers, qinq);
        ingress(&fixture, &containers, qinq);
    }
}

#[test]
fn priorities_are_mapped_as_vlan_devices_map_them() {
    check(false);
}

#[test]
fn priorities_of_two_tags_too() {
    check(true);
}

#[test]
fn a_living_network_gets_and_loses_its_maps() {
    let mut fixture = Fixture::attached();
    fixture.network("web", "--vlan 60");
    let a = fixture.container("a", "web", "");
    let (sender, wire) = (a.raw(), fixture.wire_raw());
    sender.set_priority(5).unwrap();
    let sent_with = |text: &str| {
        let frame = EthernetFrame::experiment(FAR, a.mac, text);
        sender.send(&frame).unwrap();
        let tag = wire.expect(text, PATIENCE).unwrap().tag.unwrap();
        assert_eq!(tag.vlan(), 60);
        tag.priority()
    };
    assert_eq!(sent_with("before."), 0);
    fixture.ok("network set web --egress-qos-map 5:3");
    assert_eq!(sent_with("with a map."), 3);
    // The uplink's own programs are replaced, and so are the container's.
    fixture.ok("network create two --parent enp0s8 --outer-vlan 100 --vlan 60");
    assert_eq!(sent_with("after a replacement."), 3);
    let shown = fixture.ok("network inspect web");
    assert!(shown.contains("5:3"), "{shown}");
    fixture.ok("network set web --egress-qos-map none");
    assert_eq!(sent_with("without a map."), 0);
}

#[test]
fn maps_that_make_no_sense_are_refused() {
    let fixture = Fixture::attached();
    let create = |options: &str| format!("network create web --parent enp0s8 {options}");
    fixture.refused(&create("--egress-qos-map 5:3"), &["untagged", "--vlan"]);
    for (options, named) in [
        (
            "--vlan 60 --egress-qos-map 5:8",
            ["code point 8", "0 and 7"],
        ),
        (
            "--vlan 60 --ingress-qos-map 8:1",
            ["code point 8", "0 and 7"],
        ),
        ("--vlan 60 --egress-qos-map 40000:1", ["40000", "32766"]),
        ("--vlan 60 --egress-qos-map 5", ["\"5\"", "FROM:TO"]),
        ("--vlan 60 --egress-qos-map 5:1,5:2", ["5", "twice"]),
    ] {
        let outcome = fixture.vnet.run(&create(options)).unwrap();
        assert_eq!(outcome.code, Some(2), "{outcome:?}");
        for name in named {
            assert!(
                outcome.stderr.contains(name),
                "{options}: {}",
                outcome.stderr
            );
        }
    }
    fixture.network("plain", "");
    fixture.refused("network set plain --ingress-qos-map 3:5", &["untagged"]);
}
