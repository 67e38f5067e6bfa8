//! The rule table, case by case: what is sent, from where, and which way it goes.

use super::*;
use crate::{FIRST_QINQ_SEGMENT, Tag};

const HOST: Mac = [2, 0, 0, 0, 0, 1];
const A: Mac = [2, 0, 0, 0, 0, 0xa];
const B: Mac = [2, 0, 0, 0, 0, 0xb];
const P: Mac = [2, 0, 0, 0, 0, 0xc];
const V: Mac = [2, 0, 0, 0, 0, 0xd];
const S: Mac = [2, 0, 0, 0, 0, 0xe];
const GATEWAY: Mac = [2, 0, 0, 0, 0, 0xf];
const VIRTUAL: Mac = [0, 0, 0x5e, 0, 1, 1];
const BROADCAST: Mac = [0xff; 6];
const MULTICAST: Mac = [0x33, 0x33, 0, 0, 0, 1];

const QINQ: u16 = FIRST_QINQ_SEGMENT;

const SEGMENT: Segment = Segment {
    flood_slots: 2,
    relay_ifindex: 0,
    passthru_ifindex: 0,
    passthru_endpoint: 0,
    passthru_flags: 0,
};
const A_UNTAGGED: Receiver = receiver(1, mode::BRIDGE);
const A_200: Receiver = receiver(2, mode::BRIDGE);
const B_200: Receiver = receiver(3, mode::BRIDGE);
const P_200: Receiver = receiver(4, mode::PRIVATE);
const V_200: Receiver = receiver(5, mode::VEPA);
const S_200: Receiver = receiver(6, mode::SOURCE);
const X_300: Receiver = receiver(7, mode::PASSTHRU);
const A_QINQ: Receiver = receiver(8, mode::BRIDGE);

const fn receiver(number: u16, mode: u8) -> Receiver {
    Receiver {
        ifindex: 10 + number as u32,
        endpoint: number,
        mode,
        flags: 0,
    }
}

/// A untagged; on VLAN 200 A (the same MAC) and B in bridge mode and one in each other mode but passthru; VLAN 201
/// without endpoints; VLAN 300 in passthru; A on 802.1ad VLAN 100 with VLAN 60 inside.
struct Lab;

impl Tables for Lab {
    fn fdb(&self, segment: u16, mac: &Mac) -> Option<Receiver> {
        match (segment, *mac) {
            (UNTAGGED, A) => Some(A_UNTAGGED),
            (200, A) => Some(A_200),
            (200, B) => Some(B_200),
            (200, P) => Some(P_200),
            (200, V) => Some(V_200),
            (200, S) => Some(S_200),
            (300, HOST) => Some(X_300),
            (QINQ, A) => Some(A_QINQ),
            _ => None,
        }
    }

    fn segment(&self, segment: u16) -> Option<Segment> {
        match segment {
            UNTAGGED | 200 | 201 | QINQ => Some(SEGMENT),
            300 => Some(Segment {
                relay_ifindex: 0,
                passthru_ifindex: X_300.ifindex,
                passthru_endpoint: X_300.endpoint,
                passthru_flags: 0,
                ..SEGMENT
            }),
            _ => None,
        }
    }

    fn qinq(&self, key: QinqKey) -> Option<u16> {
        let known = QinqKey {
            outer_ethertype: 0x88a8,
            outer_vlan: 100,
            vlan: 60,
        };
        (key == known).then_some(QINQ)
    }

    fn is_allowed(&self, endpoint: u16, mac: &Mac) -> bool {
        (endpoint, *mac) == (1, VIRTUAL)
    }
}

fn frame(src: Mac, dst: Mac, tag: Tag, inner: Tag) -> Frame {
    Frame {
        dst,
        src,
        tag,
        inner,
    }
}

#[test]
fn places() {
    let at = |segment, tags| Some(Place { segment, tags });
    let q = Tag::dot1q;
    let cases = [
        ("no tag", Tag::NONE, Tag::NONE, at(UNTAGGED, 0)),
        ("a VLAN", q(200), Tag::NONE, at(200, 1)),
        (
            "PCP and DEI do not matter",
            q(0xF0C8),
            Tag::NONE,
            at(200, 1),
        ),
        ("a priority tag", q(0xE000), Tag::NONE, at(UNTAGGED, 1)),
        ("an 802.1ad tag alone", Tag::dot1ad(100), Tag::NONE, None),
        ("two tags", Tag::dot1ad(100), q(60), at(QINQ, 2)),
        (
            "two tags with PCP",
            Tag::dot1ad(0x6064),
            q(0xA03C),
            at(QINQ, 2),
        ),
        ("two tags of nobody", Tag::dot1ad(100), q(61), None),
        ("another outer protocol", q(100), q(60), at(100, 1)),
        (
            "another inner protocol",
            Tag::dot1ad(100),
            Tag::dot1ad(60),
            None,
        ),
        (
            "a VLAN with a tag of its own inside",
            q(200),
            q(5),
            at(200, 1),
        ),
    ];
    for (what, tag, inner, expected) in cases {
        let frame = frame(GATEWAY, A, tag, inner);
        assert_eq!(place(&frame, true, &Lab), expected, "{what}");
    }
    let two = frame(GATEWAY, A, q(100), q(60));
    assert_eq!(place(&two, false, &Lab), at(100, 1));
}

#[test]
fn frames_from_the_wire() {
    use FromUplink::{Deliver, HandOn, Return};
    let flood = |modes, except, reason| FromUplink::Flood {
        segment: SEGMENT,
        modes,
        except,
        reason,
    };
    let all = flood(mode::HEARS_BROADCAST, NOBODY, Reason::Group);
    let unknown = HandOn(Reason::UnknownUnicast);
    let nobodys = HandOn(Reason::UnknownVlan);
    let cases = [
        (
            "unicast, untagged",
            GATEWAY,
            A,
            UNTAGGED,
            Deliver(A_UNTAGGED),
        ),
        ("unicast on a VLAN", GATEWAY, A, 200, Deliver(A_200)),
        ("unicast behind two tags", GATEWAY, A, QINQ, Deliver(A_QINQ)),
        ("private", GATEWAY, P, 200, Deliver(P_200)),
        ("VEPA", GATEWAY, V, 200, Deliver(V_200)),
        (
            "source mode hears by its list alone",
            GATEWAY,
            S,
            200,
            unknown,
        ),
        ("a MAC of another VLAN", GATEWAY, B, 201, unknown),
        ("a MAC of a VLAN, untagged", GATEWAY, B, UNTAGGED, unknown),
        ("the host's own", GATEWAY, HOST, UNTAGGED, unknown),
        ("a VLAN of nobody", GATEWAY, A, 7, nobodys),
        (
            "broadcast in a VLAN of nobody",
            GATEWAY,
            BROADCAST,
            7,
            nobodys,
        ),
        ("passthru, its own MAC", GATEWAY, HOST, 300, Deliver(X_300)),
        ("passthru, any MAC", GATEWAY, B, 300, Deliver(X_300)),
        ("broadcast", GATEWAY, BROADCAST, 200, all),
        ("multicast", GATEWAY, MULTICAST, UNTAGGED, all),
        (
            "a bridge endpoint's own broadcast, sent back",
            A,
            BROADCAST,
            200,
            flood(mode::VEPA, A_200.endpoint, Reason::Reflected),
        ),
        (
            "a VEPA endpoint's own broadcast, sent back",
            V,
            BROADCAST,
            200,
            flood(mode::VEPA | mode::BRIDGE, V_200.endpoint, Reason::Reflected),
        ),
        ("a private endpoint's own", P, BROADCAST, 200, Return(P_200)),
        ("a source endpoint's own", S, BROADCAST, 200, Return(S_200)),
        ("a MAC that is local elsewhere only", A, BROADCAST, 201, all),
    ];
    for (what, src, dst, segment, way) in cases {
        let frame = frame(src, dst, Tag::NONE, Tag::NONE);
        assert_eq!(from_uplink(&frame, segment, &Lab), way, "{what}");
    }
}

/// The way of a frame from an endpoint, or why it has none.
fn way(frame: &Frame, sender: &Endpoint) -> Result<FromEndpoint, Reason> {
    match guard(frame, sender, &Lab) {
        Some(reason) => Err(reason),
        None => Ok(from_endpoint(frame, sender, &Lab)),
    }
}

#[test]
fn frames_from_an_endpoint() {
    use FromEndpoint::{Deliver, Flood, ToWire};
    let sender = |segment, mode| Endpoint {
        endpoint: 1,
        segment,
        mac: A,
        mode,
        ..Endpoint::default()
    };
    let bridge = |segment| sender(segment, mode::BRIDGE);
    let hop = Err(Reason::VlanNotAllowed);
    let (none, tag) = (Tag::NONE, Tag::dot1q(5));
    let cases = [
        ("to a sibling", bridge(200), B, none, Ok(Deliver(B_200))),
        ("to a private one", bridge(200), P, none, Ok(ToWire)),
        ("to a VEPA one", bridge(200), V, none, Ok(ToWire)),
        ("to the wire", bridge(200), GATEWAY, none, Ok(ToWire)),
        (
            "to a MAC of another segment",
            bridge(UNTAGGED),
            B,
            none,
            Ok(ToWire),
        ),
        (
            "to the host, which stays apart",
            bridge(UNTAGGED),
            HOST,
            none,
            Ok(ToWire),
        ),
        (
            "broadcast",
            bridge(200),
            BROADCAST,
            none,
            Ok(Flood(SEGMENT)),
        ),
        (
            "multicast",
            bridge(UNTAGGED),
            MULTICAST,
            none,
            Ok(Flood(SEGMENT)),
        ),
        (
            "tagged, untagged segment",
            bridge(UNTAGGED),
            B,
            Tag::dot1q(200),
            hop,
        ),
        (
            "tagged broadcast",
            bridge(UNTAGGED),
            BROADCAST,
            Tag::dot1ad(1),
            hop,
        ),
        (
            "priority tag",
            bridge(UNTAGGED),
            GATEWAY,
            Tag::dot1q(0),
            hop,
        ),
        (
            "an inner tag in a VLAN",
            bridge(200),
            GATEWAY,
            tag,
            Ok(ToWire),
        ),
        (
            "an inner tag to a sibling",
            bridge(200),
            B,
            tag,
            Ok(Deliver(B_200)),
        ),
        (
            "private to a sibling",
            sender(200, mode::PRIVATE),
            B,
            none,
            Ok(ToWire),
        ),
        (
            "private, broadcast",
            sender(200, mode::PRIVATE),
            BROADCAST,
            none,
            Ok(ToWire),
        ),
        (
            "VEPA to a sibling",
            sender(200, mode::VEPA),
            B,
            none,
            Ok(ToWire),
        ),
        (
            "VEPA, broadcast",
            sender(200, mode::VEPA),
            BROADCAST,
            none,
            Ok(ToWire),
        ),
        (
            "source mode",
            sender(200, mode::SOURCE),
            B,
            none,
            Ok(ToWire),
        ),
        ("passthru", sender(300, mode::PASSTHRU), B, none, Ok(ToWire)),
        (
            "passthru, tagged",
            sender(UNTAGGED, mode::PASSTHRU),
            B,
            tag,
            hop,
        ),
    ];
    for (what, sender, dst, tag, expected) in cases {
        let got = way(&frame(A, dst, tag, Tag::NONE), &sender);
        assert_eq!(got, expected, "{what}");
    }
}

#[test]
fn a_guarded_endpoint_sends_from_its_own_addresses_only() {
    let sender = |flags| Endpoint {
        endpoint: 1,
        segment: 200,
        mac: A,
        mode: mode::BRIDGE,
        flags,
        ..Endpoint::default()
    };
    let spoofed = Err(Reason::SourceNotAllowed);
    let guard = flags::GUARD_MAC;
    let cases = [
        ("its own", guard, A, GATEWAY, Ok(FromEndpoint::ToWire)),
        ("another", guard, B, GATEWAY, spoofed),
        ("another, to all", guard, B, BROADCAST, spoofed),
        ("unguarded", 0, B, GATEWAY, Ok(FromEndpoint::ToWire)),
        ("not on its list", guard, VIRTUAL, GATEWAY, spoofed),
        (
            "on its list",
            guard | flags::EXTRA_MACS,
            VIRTUAL,
            GATEWAY,
            Ok(FromEndpoint::ToWire),
        ),
        (
            "not on its list either",
            guard | flags::EXTRA_MACS,
            B,
            GATEWAY,
            spoofed,
        ),
    ];
    for (what, flags, src, dst, expected) in cases {
        let frame = frame(src, dst, Tag::NONE, Tag::NONE);
        assert_eq!(way(&frame, &sender(flags)), expected, "{what}");
    }
}
