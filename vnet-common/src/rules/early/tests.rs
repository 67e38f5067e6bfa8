//! What XDP decides, case by case.

use super::*;
use crate::{FIRST_QINQ_SEGMENT, QinqKey, Segment, UNTAGGED, rules::FromUplink};

const HOST: Mac = [2, 0, 0, 0, 0, 1];
const A: Mac = [2, 0, 0, 0, 0, 0xa];
const S: Mac = [2, 0, 0, 0, 0, 0xe];
const PRIORITY: Mac = [2, 0, 0, 0, 0, 0x1f];
const FAR: Mac = [2, 0, 0, 0, 0, 0x77];
const HEARD: Mac = [2, 0, 0, 0, 0, 0x78];
const NOBODY: Mac = [2, 0, 0, 0, 0, 0x99];
const BROADCAST: Mac = [0xff; 6];

const QINQ: u16 = FIRST_QINQ_SEGMENT;

const fn receiver(number: u16, mode: u8, flags: u8) -> Receiver {
    Receiver {
        ifindex: 10 + number as u32,
        endpoint: number,
        mode,
        flags,
    }
}

const A_UNTAGGED: Receiver = receiver(1, mode::BRIDGE, 0);
const A_200: Receiver = receiver(2, mode::PRIVATE, 0);
const S_200: Receiver = receiver(3, mode::SOURCE, 0);
const PRIORITY_200: Receiver = receiver(4, mode::BRIDGE, flags::INGRESS_PRIORITY);
const X_300: Receiver = receiver(5, mode::PASSTHRU, 0);
const A_QINQ: Receiver = receiver(6, mode::VEPA, 0);

/// A untagged, on VLAN 200 and on 802.1ad VLAN 100 with VLAN 60 inside; S on VLAN 200 in source mode, who hears HEARD; the
/// host's own address in passthru on VLAN 300; and a VLAN 7 of the host's own.
struct Lab;

impl Tables for Lab {
    fn fdb(&self, segment: u16, mac: &Mac) -> Option<Receiver> {
        match (segment, *mac) {
            (UNTAGGED, A) => Some(A_UNTAGGED),
            (200, A) => Some(A_200),
            (200, S) => Some(S_200),
            (200, PRIORITY) => Some(PRIORITY_200),
            (300, HOST) => Some(X_300),
            (QINQ, A) => Some(A_QINQ),
            _ => None,
        }
    }

    fn segment(&self, segment: u16) -> Option<Segment> {
        let passthru_ifindex = match segment {
            UNTAGGED | 200 | QINQ => 0,
            300 => X_300.ifindex,
            _ => return None,
        };
        Some(Segment {
            passthru_ifindex,
            ..Segment::default()
        })
    }

    fn qinq(&self, key: QinqKey) -> Option<u16> {
        let known = QinqKey {
            outer_ethertype: 0x88a8,
            outer_vlan: 100,
            vlan: 60,
        };
        (key == known).then_some(QINQ)
    }

    fn is_allowed(&self, _: u16, _: &Mac) -> bool {
        false
    }
}

impl HostTables for Lab {
    fn is_known_vlan(&self, tag: Tag) -> bool {
        let known = [Tag::dot1q(200), Tag::dot1q(300), Tag::dot1q(7)];
        known.contains(&Tag::dot1q(tag.vlan())) && tag.ethertype == 0x8100
            || tag == Tag::dot1ad(100)
    }

    fn is_hosts(&self, mac: &Mac) -> bool {
        *mac == HOST
    }

    fn is_heard(&self, segment: u16, source: &Mac) -> bool {
        (segment, *source) == (200, HEARD)
    }
}

const ALL: Powers = Powers {
    drops_unknown_vlan: true,
    drops_unknown_unicast: true,
    redirects: true,
    has_qinq: true,
    has_source_mode: true,
};

fn frame(src: Mac, dst: Mac, tag: Tag, inner: Tag) -> Frame {
    Frame {
        dst,
        src,
        tag,
        inner,
    }
}

fn redirect(to: Receiver, tags: u8) -> Early {
    Early::Redirect { to, tags }
}

#[test]
fn a_frame_goes_as_the_table_says() {
    let q = Tag::dot1q;
    let none = Tag::NONE;
    let vlan = Early::Drop(Reason::FilteredVlan);
    let unicast = Early::Drop(Reason::FilteredUnicast);
    let cases = [
        ("to A", FAR, A, none, none, redirect(A_UNTAGGED, 0)),
        ("to A on a VLAN", FAR, A, q(200), none, redirect(A_200, 1)),
        (
            "a priority tag",
            FAR,
            A,
            q(0xE000),
            none,
            redirect(A_UNTAGGED, 1),
        ),
        (
            "with PCP and DEI",
            FAR,
            A,
            q(0xF0C8),
            none,
            redirect(A_200, 1),
        ),
        (
            "two tags",
            FAR,
            A,
            Tag::dot1ad(100),
            q(60),
            redirect(A_QINQ, 2),
        ),
        (
            "another inner tag",
            FAR,
            A,
            Tag::dot1ad(100),
            q(61),
            unicast,
        ),
        (
            "a tag of its own",
            FAR,
            A,
            q(200),
            q(60),
            redirect(A_200, 1),
        ),
        (
            "its own frame, sent back",
            A,
            A,
            q(200),
            none,
            redirect(A_200, 1),
        ),
        (
            "to one with priorities",
            FAR,
            PRIORITY,
            q(200),
            none,
            Early::Pass,
        ),
        (
            "from one that is heard",
            HEARD,
            A,
            q(200),
            none,
            Early::Pass,
        ),
        (
            "the same to nobody",
            HEARD,
            NOBODY,
            q(200),
            none,
            Early::Pass,
        ),
        (
            "heard elsewhere",
            HEARD,
            A,
            none,
            none,
            redirect(A_UNTAGGED, 0),
        ),
        ("to one in source mode", FAR, S, q(200), none, unicast),
        (
            "passthru, by its address",
            FAR,
            HOST,
            q(300),
            none,
            redirect(X_300, 1),
        ),
        (
            "passthru, by another",
            FAR,
            NOBODY,
            q(300),
            none,
            Early::Pass,
        ),
        ("to the host", FAR, HOST, none, none, Early::Pass),
        ("to the host's VLAN", FAR, HOST, q(7), none, Early::Pass),
        ("to nobody", FAR, NOBODY, none, none, unicast),
        ("to nobody on a VLAN", FAR, NOBODY, q(200), none, unicast),
        ("to A on the host's VLAN", FAR, A, q(7), none, unicast),
        ("on an unknown VLAN", FAR, A, q(201), none, vlan),
        ("to all there", FAR, BROADCAST, q(201), none, vlan),
        ("the host there", FAR, HOST, q(201), none, vlan),
        (
            "802.1ad of that number",
            FAR,
            A,
            Tag::dot1ad(200),
            none,
            vlan,
        ),
        (
            "802.1ad without a VLAN",
            FAR,
            HOST,
            Tag::dot1ad(0),
            none,
            Early::Pass,
        ),
        ("to all", FAR, BROADCAST, none, none, Early::Pass),
        (
            "to all on a VLAN",
            FAR,
            BROADCAST,
            q(200),
            none,
            Early::Pass,
        ),
    ];
    for (text, src, dst, tag, inner, expected) in cases {
        assert_eq!(
            early(&frame(src, dst, tag, inner), ALL, &Lab),
            expected,
            "{text}"
        );
    }
}

#[test]
fn what_was_not_asked_for_passes() {
    let frames = [
        (frame(FAR, A, Tag::dot1q(200), Tag::NONE), "redirect"),
        (frame(FAR, NOBODY, Tag::NONE, Tag::NONE), "unicast"),
        (frame(FAR, BROADCAST, Tag::dot1q(201), Tag::NONE), "VLAN"),
    ];
    for (frame, power) in frames {
        let without = Powers {
            drops_unknown_vlan: power != "VLAN",
            drops_unknown_unicast: power != "unicast",
            redirects: power != "redirect",
            ..ALL
        };
        assert_eq!(early(&frame, without, &Lab), Early::Pass, "{power}");
        assert_ne!(early(&frame, ALL, &Lab), Early::Pass, "{power}");
    }
}

/// Whoever XDP redirects to is who tc would have delivered to; and what it drops, tc would have handed on.
#[test]
fn tc_would_have_decided_the_same() {
    let macs = [HOST, A, S, PRIORITY, NOBODY, BROADCAST];
    let tags = [
        Tag::NONE,
        Tag::dot1q(0),
        Tag::dot1q(200),
        Tag::dot1q(300),
        Tag::dot1ad(100),
    ];
    for dst in macs {
        for tag in tags {
            for inner in [Tag::NONE, Tag::dot1q(60)] {
                let frame = frame(FAR, dst, tag, inner);
                let place = place(&frame, true, &Lab);
                let by_tc =
                    place.map(|place| crate::rules::from_uplink(&frame, place.segment, &Lab));
                match early(&frame, ALL, &Lab) {
                    Early::Redirect { to, .. } => {
                        assert_eq!(by_tc, Some(FromUplink::Deliver(to)), "{frame:?}");
                    }
                    Early::Drop(_) => assert!(
                        matches!(by_tc, None | Some(FromUplink::HandOn(_))),
                        "{frame:?}: {by_tc:?}"
                    ),
                    Early::Pass => {}
                }
            }
        }
    }
}
