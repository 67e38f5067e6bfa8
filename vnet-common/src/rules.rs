//! A frame's way, decided: the rule table of `docs/ARCHITECTURE.md` as two pure functions.
//!
//! They follow `macvlan_handle_frame` and `macvlan_queue_xmit` of `drivers/net/macvlan.c`.

use crate::{
    Endpoint, FdbEntry, Frame, Reason, Segment, Tag, UNTAGGED, VLAN_ID_MASK, frame::Mac, is_group,
};

/// The tables that the rules read: BPF maps in the kernel, plain collections in a test.
pub trait Tables {
    /// Who has `mac` in segment `vlan`.
    fn fdb(&self, vlan: u16, mac: &Mac) -> Option<FdbEntry>;
    /// The segment, if a network uses it.
    fn segment(&self, vlan: u16) -> Option<Segment>;
}

/// The way of a frame that came from the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FromUplink {
    /// Pop the tag and give it to this endpoint.
    Deliver(FdbEntry),
    /// A copy for each endpoint of the segment; the frame itself goes on to the host.
    Flood { vlan: u16, segment: Segment },
    /// On to the host's own stack, untouched.
    HandOn(Reason),
}

/// The way of a frame that came from an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FromEndpoint {
    /// To a sibling in the same segment, as it is.
    Deliver(FdbEntry),
    /// Push the segment's tag, and out.
    ToWire,
    /// A copy for each sibling, and out.
    Flood(Segment),
    Drop(Reason),
}

/// Decides a frame from the wire.
#[inline(always)]
pub fn from_uplink(frame: &Frame, tables: &impl Tables) -> FromUplink {
    let vlan = match frame.tag {
        Tag::None => UNTAGGED,
        // VLAN id 0 only carries a priority: the frame belongs to the untagged segment.
        Tag::Dot1q(tci) => tci & VLAN_ID_MASK,
        Tag::Other => return FromUplink::HandOn(Reason::UnknownVlan),
    };
    if !is_group(&frame.dst) {
        return match tables.fdb(vlan, &frame.dst) {
            Some(entry) => FromUplink::Deliver(entry),
            None if tables.segment(vlan).is_some() => FromUplink::HandOn(Reason::UnknownUnicast),
            None => FromUplink::HandOn(Reason::UnknownVlan),
        };
    }
    match tables.segment(vlan) {
        None => FromUplink::HandOn(Reason::UnknownVlan),
        Some(_) if tables.fdb(vlan, &frame.src).is_some() => FromUplink::HandOn(Reason::Reflected),
        Some(segment) => FromUplink::Flood { vlan, segment },
    }
}

/// Decides a frame from an endpoint, in bridge mode.
#[inline(always)]
pub fn from_endpoint(frame: &Frame, sender: &Endpoint, tables: &impl Tables) -> FromEndpoint {
    if sender.vlan == UNTAGGED && frame.tag != Tag::None {
        return FromEndpoint::Drop(Reason::VlanNotAllowed);
    }
    if is_group(&frame.dst) {
        return match tables.segment(sender.vlan) {
            Some(segment) => FromEndpoint::Flood(segment),
            None => FromEndpoint::ToWire,
        };
    }
    match tables.fdb(sender.vlan, &frame.dst) {
        Some(entry) => FromEndpoint::Deliver(entry),
        None => FromEndpoint::ToWire,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: Mac = [2, 0, 0, 0, 0, 1];
    const A: Mac = [2, 0, 0, 0, 0, 0xa];
    const B: Mac = [2, 0, 0, 0, 0, 0xb];
    const GATEWAY: Mac = [2, 0, 0, 0, 0, 0xf];
    const BROADCAST: Mac = [0xff; 6];
    const MULTICAST: Mac = [0x33, 0x33, 0, 0, 0, 1];

    const SEGMENT: Segment = Segment { flood_slots: 2 };
    const A_UNTAGGED: FdbEntry = entry(1);
    const A_200: FdbEntry = entry(2);
    const B_200: FdbEntry = entry(3);

    const fn entry(number: u32) -> FdbEntry {
        FdbEntry {
            ifindex: 10 + number,
            endpoint: number,
        }
    }

    /// A untagged; A (the same MAC) and B on VLAN 200; VLAN 201 without endpoints.
    struct Lab;

    impl Tables for Lab {
        fn fdb(&self, vlan: u16, mac: &Mac) -> Option<FdbEntry> {
            match (vlan, *mac) {
                (UNTAGGED, A) => Some(A_UNTAGGED),
                (200, A) => Some(A_200),
                (200, B) => Some(B_200),
                _ => None,
            }
        }

        fn segment(&self, vlan: u16) -> Option<Segment> {
            matches!(vlan, UNTAGGED | 200 | 201).then_some(SEGMENT)
        }
    }

    fn frame(src: Mac, dst: Mac, tag: Tag) -> Frame {
        Frame { dst, src, tag }
    }

    #[test]
    fn frames_from_the_wire() {
        use FromUplink::{Deliver, Flood, HandOn};
        let flood = |vlan| Flood {
            vlan,
            segment: SEGMENT,
        };
        let tag = |vlan| Tag::Dot1q(vlan);
        let cases = [
            (
                "unicast, untagged",
                GATEWAY,
                A,
                Tag::None,
                Deliver(A_UNTAGGED),
            ),
            ("unicast on a VLAN", GATEWAY, A, tag(200), Deliver(A_200)),
            (
                "PCP and DEI do not matter",
                GATEWAY,
                A,
                tag(0xF0C8),
                Deliver(A_200),
            ),
            (
                "a priority tag is untagged",
                GATEWAY,
                A,
                tag(0xE000),
                Deliver(A_UNTAGGED),
            ),
            (
                "a MAC of another VLAN",
                GATEWAY,
                B,
                tag(201),
                HandOn(Reason::UnknownUnicast),
            ),
            (
                "a MAC of a VLAN, untagged",
                GATEWAY,
                B,
                Tag::None,
                HandOn(Reason::UnknownUnicast),
            ),
            (
                "the host's own",
                GATEWAY,
                HOST,
                Tag::None,
                HandOn(Reason::UnknownUnicast),
            ),
            (
                "a VLAN of nobody",
                GATEWAY,
                A,
                tag(7),
                HandOn(Reason::UnknownVlan),
            ),
            (
                "broadcast in a VLAN of nobody",
                GATEWAY,
                BROADCAST,
                tag(7),
                HandOn(Reason::UnknownVlan),
            ),
            (
                "an 802.1ad tag",
                GATEWAY,
                A,
                Tag::Other,
                HandOn(Reason::UnknownVlan),
            ),
            ("broadcast", GATEWAY, BROADCAST, tag(200), flood(200)),
            ("multicast", GATEWAY, MULTICAST, Tag::None, flood(UNTAGGED)),
            (
                "our own broadcast, reflected",
                A,
                BROADCAST,
                tag(200),
                HandOn(Reason::Reflected),
            ),
            (
                "a MAC that is local elsewhere only",
                A,
                BROADCAST,
                tag(201),
                flood(201),
            ),
        ];
        for (what, src, dst, tag, way) in cases {
            assert_eq!(from_uplink(&frame(src, dst, tag), &Lab), way, "{what}");
        }
    }

    #[test]
    fn frames_from_an_endpoint() {
        use FromEndpoint::{Deliver, Drop, Flood, ToWire};
        let sender = |vlan| Endpoint {
            endpoint: 1,
            vlan,
            mac: A,
        };
        let cases = [
            ("to a sibling", 200, B, Tag::None, Deliver(B_200)),
            ("to the wire", 200, GATEWAY, Tag::None, ToWire),
            (
                "to a MAC of another segment",
                UNTAGGED,
                B,
                Tag::None,
                ToWire,
            ),
            (
                "to the host, which stays apart",
                UNTAGGED,
                HOST,
                Tag::None,
                ToWire,
            ),
            ("broadcast", 200, BROADCAST, Tag::None, Flood(SEGMENT)),
            ("multicast", UNTAGGED, MULTICAST, Tag::None, Flood(SEGMENT)),
            (
                "tagged, untagged segment",
                UNTAGGED,
                B,
                Tag::Dot1q(200),
                Drop(Reason::VlanNotAllowed),
            ),
            (
                "tagged broadcast, untagged segment",
                UNTAGGED,
                BROADCAST,
                Tag::Other,
                Drop(Reason::VlanNotAllowed),
            ),
            (
                "priority tag, untagged segment",
                UNTAGGED,
                GATEWAY,
                Tag::Dot1q(0),
                Drop(Reason::VlanNotAllowed),
            ),
            (
                "an inner tag in a VLAN",
                200,
                GATEWAY,
                Tag::Dot1q(5),
                ToWire,
            ),
            (
                "an inner tag to a sibling",
                200,
                B,
                Tag::Dot1q(5),
                Deliver(B_200),
            ),
        ];
        for (what, vlan, dst, tag, way) in cases {
            let got = from_endpoint(&frame(A, dst, tag), &sender(vlan), &Lab);
            assert_eq!(got, way, "{what}");
        }
    }
}
