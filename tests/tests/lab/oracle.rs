//! The same frames through the kernel's macvlan and through vnet: everybody receives the same.

use tests::{
    expected,
    oracle::{self, Member, QINQ, QINQ_OF_CUSTOMER_TAGS, Segment, UNTAGGED, VLAN},
};
use vnet_user::lab::Mac;

const A: Member = member("a", "bridge", 0xa);
const B: Member = member("b", "bridge", 0xb);
const P: Member = member("p", "private", 0x11);
const Q: Member = member("q", "private", 0x12);
const V: Member = member("v", "vepa", 0x21);
const W: Member = member("w", "vepa", 0x22);
const S: Member = member("s", "source", 0x31);
const T: Member = member("t", "source", 0x32);

const fn member(name: &'static str, mode: &'static str, last: u8) -> Member {
    Member {
        name,
        mode,
        mac: Mac([2, 0, 0, 0, 1, last]),
    }
}

/// The segments that this kernel's own devices can have.
fn segments() -> &'static [Segment] {
    if expected::has_8021q() {
        &[UNTAGGED, VLAN, QINQ, QINQ_OF_CUSTOMER_TAGS]
    } else {
        &[UNTAGGED]
    }
}

/// On the segment that most networks have.
fn compare(members: &[Member]) {
    let segment = if expected::has_8021q() {
        VLAN
    } else {
        UNTAGGED
    };
    oracle::compare(segment, members, false);
}

#[test]
fn bridge_is_macvlans_bridge() {
    compare(&[A, B]);
}

#[test]
fn private_is_macvlans_private() {
    compare(&[P, Q]);
}

#[test]
fn vepa_is_macvlans_vepa() {
    compare(&[V, W]);
}

#[test]
fn source_is_macvlans_source() {
    compare(&[S, T]);
}

#[test]
fn source_without_destination_is_macvlans_too() {
    let segment = if expected::has_8021q() {
        VLAN
    } else {
        UNTAGGED
    };
    oracle::compare(segment, &[S, A], true);
}

#[test]
fn passthru_is_macvlans_passthru() {
    for segment in segments() {
        oracle::compare_passthru(*segment);
    }
}

#[test]
fn modes_on_one_segment_treat_each_other_as_macvlans_do() {
    for segment in segments() {
        oracle::compare(*segment, &[A, B, P, V, S], false);
    }
}
