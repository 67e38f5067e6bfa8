//! The tables that the tests of the rules share, and who is in them.

use super::{Tables, early::HostTables};
use crate::{
    FIRST_QINQ_SEGMENT, Frame, QinqKey, Receiver, Segment, Tag, UNTAGGED, flags, frame::Mac, mode,
};

pub const HOST: Mac = [2, 0, 0, 0, 0, 1];
pub const A: Mac = [2, 0, 0, 0, 0, 0xa];
pub const B: Mac = [2, 0, 0, 0, 0, 0xb];
pub const P: Mac = [2, 0, 0, 0, 0, 0xc];
pub const V: Mac = [2, 0, 0, 0, 0, 0xd];
pub const S: Mac = [2, 0, 0, 0, 0, 0xe];
pub const PRIORITY: Mac = [2, 0, 0, 0, 0, 0x1f];
/// On the wire.
pub const FAR: Mac = [2, 0, 0, 0, 0, 0x77];
/// On the wire, and S listens to it.
pub const HEARD: Mac = [2, 0, 0, 0, 0, 0x78];
/// Nobody has it.
pub const STRANGER: Mac = [2, 0, 0, 0, 0, 0x99];
/// A may send from it beside its own, where it is untagged.
pub const VIRTUAL: Mac = [0, 0, 0x5e, 0, 1, 1];
pub const BROADCAST: Mac = [0xff; 6];
pub const MULTICAST: Mac = [0x33, 0x33, 0, 0, 0, 1];

pub const QINQ: u16 = FIRST_QINQ_SEGMENT;

pub const SEGMENT: Segment = Segment {
    flood_slots: 2,
    relay_ifindex: 0,
    passthru_ifindex: 0,
    passthru_endpoint: 0,
    passthru_flags: 0,
};
pub const A_UNTAGGED: Receiver = receiver(1, mode::BRIDGE, 0);
pub const A_200: Receiver = receiver(2, mode::BRIDGE, 0);
pub const B_200: Receiver = receiver(3, mode::BRIDGE, 0);
pub const P_200: Receiver = receiver(4, mode::PRIVATE, 0);
pub const V_200: Receiver = receiver(5, mode::VEPA, 0);
pub const S_200: Receiver = receiver(6, mode::SOURCE, 0);
pub const X_300: Receiver = receiver(7, mode::PASSTHRU, 0);
pub const A_QINQ: Receiver = receiver(8, mode::BRIDGE, 0);
pub const PRIORITY_200: Receiver = receiver(9, mode::BRIDGE, flags::INGRESS_PRIORITY);

const fn receiver(number: u16, mode: u8, flags: u8) -> Receiver {
    Receiver {
        ifindex: 10 + number as u32,
        endpoint: number,
        mode,
        flags,
    }
}

/// A untagged; on VLAN 200 A (the same MAC) and B in bridge mode, one in each other mode but passthru, and one in bridge
/// mode with priorities of its own; VLAN 201 without endpoints; VLAN 300 in passthru, with the host's own address; A on
/// 802.1ad VLAN 100 with VLAN 60 inside; and a VLAN 7 of the host's own, which no network uses.
pub struct Lab;

impl Tables for Lab {
    fn fdb(&self, segment: u16, mac: &Mac) -> Option<Receiver> {
        match (segment, *mac) {
            (UNTAGGED, A) => Some(A_UNTAGGED),
            (200, A) => Some(A_200),
            (200, B) => Some(B_200),
            (200, P) => Some(P_200),
            (200, V) => Some(V_200),
            (200, S) => Some(S_200),
            (200, PRIORITY) => Some(PRIORITY_200),
            (300, HOST) => Some(X_300),
            (QINQ, A) => Some(A_QINQ),
            _ => None,
        }
    }

    fn segment(&self, segment: u16) -> Option<Segment> {
        match segment {
            UNTAGGED | 200 | 201 | QINQ => Some(SEGMENT),
            300 => Some(Segment {
                passthru_ifindex: X_300.ifindex,
                passthru_endpoint: X_300.endpoint,
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
        (endpoint, *mac) == (A_UNTAGGED.endpoint, VIRTUAL)
    }
}

impl HostTables for Lab {
    fn is_known_vlan(&self, tag: Tag) -> bool {
        let known = [7, 200, 201, 300].contains(&tag.vlan());
        known && tag.ethertype == 0x8100 || tag == Tag::dot1ad(100)
    }

    fn is_hosts(&self, mac: &Mac) -> bool {
        *mac == HOST
    }

    fn is_heard(&self, segment: u16, source: &Mac) -> bool {
        (segment, *source) == (200, HEARD)
    }
}

pub fn frame(src: Mac, dst: Mac, tag: Tag, inner: Tag) -> Frame {
    Frame {
        dst,
        src,
        tag,
        inner,
    }
}
