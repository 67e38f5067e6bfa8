//! What XDP decides, case by case.

use super::*;
use crate::rules::{FromUplink, from_uplink, lab::*};

const ALL: Powers = Powers {
    drops_unknown_vlan: true,
    drops_unknown_unicast: true,
    redirects: true,
    has_qinq: true,
    has_source_mode: true,
};

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
        ("to a private one", FAR, P, q(200), none, redirect(P_200, 1)),
        ("to a VEPA one", FAR, V, q(200), none, redirect(V_200, 1)),
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
            STRANGER,
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
            STRANGER,
            q(300),
            none,
            Early::Pass,
        ),
        ("to the host", FAR, HOST, none, none, Early::Pass),
        ("to the host's VLAN", FAR, HOST, q(7), none, Early::Pass),
        ("to nobody", FAR, STRANGER, none, none, unicast),
        ("to nobody on a VLAN", FAR, STRANGER, q(200), none, unicast),
        ("on a VLAN without endpoints", FAR, A, q(201), none, unicast),
        ("to A on the host's VLAN", FAR, A, q(7), none, unicast),
        ("on an unknown VLAN", FAR, A, q(202), none, vlan),
        ("to all there", FAR, BROADCAST, q(202), none, vlan),
        ("the host there", FAR, HOST, q(202), none, vlan),
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
        (frame(FAR, STRANGER, Tag::NONE, Tag::NONE), "unicast"),
        (frame(FAR, BROADCAST, Tag::dot1q(202), Tag::NONE), "VLAN"),
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
    let macs = [HOST, A, P, V, S, PRIORITY, STRANGER, BROADCAST];
    let tags = [
        Tag::NONE,
        Tag::dot1q(0),
        Tag::dot1q(200),
        Tag::dot1q(201),
        Tag::dot1q(300),
        Tag::dot1ad(100),
    ];
    for dst in macs {
        for tag in tags {
            for inner in [Tag::NONE, Tag::dot1q(60)] {
                let frame = frame(FAR, dst, tag, inner);
                let place = place(&frame, true, &Lab);
                let by_tc = place.map(|place| from_uplink(&frame, place.segment, &Lab));
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
