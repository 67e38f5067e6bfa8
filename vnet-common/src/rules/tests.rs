//! The rule table, case by case: what is sent, from where, and which way it goes.

use super::{lab::*, *};
use crate::Tag;

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
        let frame = frame(FAR, A, tag, inner);
        assert_eq!(place(&frame, true, &Lab), expected, "{what}");
    }
    let two = frame(FAR, A, q(100), q(60));
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
        ("unicast, untagged", FAR, A, UNTAGGED, Deliver(A_UNTAGGED)),
        ("unicast on a VLAN", FAR, A, 200, Deliver(A_200)),
        ("unicast behind two tags", FAR, A, QINQ, Deliver(A_QINQ)),
        ("private", FAR, P, 200, Deliver(P_200)),
        ("VEPA", FAR, V, 200, Deliver(V_200)),
        ("source mode hears by its list alone", FAR, S, 200, unknown),
        ("a MAC of another VLAN", FAR, B, 201, unknown),
        ("a MAC of a VLAN, untagged", FAR, B, UNTAGGED, unknown),
        ("the host's own", FAR, HOST, UNTAGGED, unknown),
        ("a VLAN of nobody", FAR, A, 7, nobodys),
        ("broadcast in a VLAN of nobody", FAR, BROADCAST, 7, nobodys),
        ("passthru, its own MAC", FAR, HOST, 300, Deliver(X_300)),
        ("passthru, any MAC", FAR, B, 300, Deliver(X_300)),
        ("broadcast", FAR, BROADCAST, 200, all),
        ("multicast", FAR, MULTICAST, UNTAGGED, all),
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
        ("to the wire", bridge(200), FAR, none, Ok(ToWire)),
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
        ("priority tag", bridge(UNTAGGED), FAR, Tag::dot1q(0), hop),
        ("an inner tag in a VLAN", bridge(200), FAR, tag, Ok(ToWire)),
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
        ("its own", guard, A, FAR, Ok(FromEndpoint::ToWire)),
        ("another", guard, B, FAR, spoofed),
        ("another, to all", guard, B, BROADCAST, spoofed),
        ("unguarded", 0, B, FAR, Ok(FromEndpoint::ToWire)),
        ("not on its list", guard, VIRTUAL, FAR, spoofed),
        (
            "on its list",
            guard | flags::EXTRA_MACS,
            VIRTUAL,
            FAR,
            Ok(FromEndpoint::ToWire),
        ),
        (
            "not on its list either",
            guard | flags::EXTRA_MACS,
            B,
            FAR,
            spoofed,
        ),
    ];
    for (what, flags, src, dst, expected) in cases {
        let frame = frame(src, dst, Tag::NONE, Tag::NONE);
        assert_eq!(way(&frame, &sender(flags)), expected, "{what}");
    }
}
