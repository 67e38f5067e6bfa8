//! Keys and values of the pinned maps. `bpftool map dump pinned …` prints these field names.

use crate::{
    frame::{ETHER_TYPE_8021AD, Mac, Tag},
    reason::Reason,
};

/// The number of the untagged segment (0 is no VLAN: IEEE 802.1Q table 9-2). A VLAN's segment has its id for a number.
pub const UNTAGGED: u16 = 0;
/// From here on, segments of two tags have the numbers that `qinq` gives them.
pub const FIRST_QINQ_SEGMENT: u16 = 4096;
/// Segments of two tags on one uplink.
pub const MAX_QINQ_SEGMENTS: usize = 4096;
/// Endpoints on one uplink: the size of `fdb`, `endpoints`, `flood` and `counters`.
pub const MAX_ENDPOINTS: usize = 4096;
/// Endpoints in one segment: how far a broadcast's loop runs.
pub const MAX_FLOOD_SLOTS: usize = 512;
/// Segments on one uplink: untagged, VLAN 1 to 4094, and those of two tags.
pub const MAX_SEGMENTS: usize = 4095 + MAX_QINQ_SEGMENTS;
/// Source addresses that endpoints in source mode are told to hear, on one uplink.
pub const MAX_SOURCES: usize = 16384;
/// Endpoints in one segment that hear the same source address.
pub const MAX_SOURCE_SLOTS: usize = 64;
/// Addresses beside their own that endpoints may send from, on one uplink.
pub const MAX_ALLOWED_MACS: usize = 16384;
/// A row for each of an endpoint's eight priority code points.
pub const MAX_INGRESS_PRIORITIES: usize = MAX_ENDPOINTS * 8;
/// Priorities that endpoints have a priority code point for, on one uplink.
pub const MAX_EGRESS_PRIORITIES: usize = MAX_ENDPOINTS * 16;
/// Segments with a querier, for IPv4 and IPv6 each.
pub const MAX_QUERIERS: usize = MAX_SEGMENTS * 2;
/// Groups that endpoints are members of, on one uplink. An endpoint for whose groups there is no room gets everything.
pub const MAX_MEMBERS: usize = 65536;
/// Endpoints that report groups, for IPv4 and IPv6 each.
pub const MAX_REPORTERS: usize = MAX_ENDPOINTS * 2;
/// Words of the bitmap `known_vlans`: a bit for each VLAN id of 802.1Q, and then of 802.1ad.
pub const KNOWN_VLAN_WORDS: usize = 2 * VLAN_WORDS;
const VLAN_WORDS: usize = 4096 / u64::BITS as usize;
/// Addresses by which the host is reached through one uplink.
pub const MAX_HOST_MACS: usize = 4096;
/// Stands in `host_macs` for every address: the host wants all frames now. No station has it (IEEE 802 clause 8.2.2).
pub const EVERY_MAC: Mac = [0; 6];

macro_rules! map_types {
    ($($(#[doc = $doc:literal])+ pub struct $name:ident { $($(#[doc = $field_doc:literal])* pub $field:ident: $type:ty,)+ })+) => {$(
        $(#[doc = $doc])+
        #[derive(
            Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, bytemuck::Pod,
            bytemuck::Zeroable,
        )]
        #[repr(C)]
        pub struct $name { $($(#[doc = $field_doc])* pub $field: $type,)+ }

        // SAFETY: `bytemuck::Pod` above proves it: plain integers, `repr(C)`, no padding.
        #[cfg(feature = "user")]
        unsafe impl aya::Pod for $name {}
    )+

        /// The types' names and fields, from which [`LAYOUT`] is made.
        const DEFINITION: &str = concat!(
            $(stringify!($name), "{", $(stringify!($field), ":", stringify!($type), ",",)+ "}",)+
        );
    };
}

/// Tells this build's maps from another's whose keys, values or reasons mean something else: programs
/// and commands must not be put on maps of another layout.
pub const LAYOUT: u64 = {
    let mut hash = fnv1a(FNV_OFFSET, DEFINITION.as_bytes());
    hash = fnv1a(hash, &[MEANING]);
    let sizes = [
        MAX_ENDPOINTS,
        MAX_SEGMENTS,
        MAX_QINQ_SEGMENTS,
        MAX_SOURCES,
        MAX_ALLOWED_MACS,
        MAX_INGRESS_PRIORITIES,
        MAX_EGRESS_PRIORITIES,
        MAX_QUERIERS,
        MAX_MEMBERS,
        MAX_REPORTERS,
        KNOWN_VLAN_WORDS,
        MAX_HOST_MACS,
        crate::direct::FDB_ROWS,
        crate::direct::SENDER_ROWS,
        crate::direct::SEGMENT_ROWS,
    ];
    hash = fnv1a(hash, &crate::direct::MEANING.to_le_bytes());
    let mut index = 0;
    while index < sizes.len() {
        hash = fnv1a(hash, &sizes[index].to_le_bytes());
        index += 1;
    }
    index = 0;
    while index < Reason::COUNT {
        hash = fnv1a(hash, Reason::ALL[index].name().as_bytes());
        index += 1;
    }
    hash
};

/// One more for each change of what a field means that its name and type do not show.
const MEANING: u8 = 1;

/// FNV-1a's offset basis and prime for 64 bits (draft-eastlake-fnv, section 5).
const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;

const fn fnv1a(mut hash: u64, bytes: &[u8]) -> u64 {
    let mut index = 0;
    while index < bytes.len() {
        hash = (hash ^ bytes[index] as u64).wrapping_mul(FNV_PRIME);
        index += 1;
    }
    hash
}

map_types! {
    /// Key of `fdb`.
    pub struct FdbKey {
        /// The segment's number.
        pub segment: u16,
        pub mac: Mac,
    }

    /// One place that frames can go to: value of `fdb`, `flood` and `sources`.
    pub struct Receiver {
        /// The host side of the endpoint's link.
        pub ifindex: u32,
        /// The endpoint's number, which is its index into `counters`.
        pub endpoint: u16,
        /// One of [`crate::mode`].
        pub mode: u8,
        /// See [`crate::flags`].
        pub flags: u8,
    }

    /// Value of `endpoints`, whose key is the ifindex of the host side: what an endpoint may send, and how it goes.
    pub struct Endpoint {
        pub mac: Mac,
        /// The segment's number.
        pub segment: u16,
        /// The endpoint's number, which is its index into `counters`.
        pub endpoint: u16,
        /// One of [`crate::mode`].
        pub mode: u8,
        /// See [`crate::flags`].
        pub flags: u8,
        /// The VLAN id to push; 0 for none.
        pub vlan: u16,
        /// The VLAN id to push outside of it; 0 for none.
        pub outer_vlan: u16,
        /// The tag protocol identifier of the outer tag.
        pub outer_ethertype: u16,
    }

    /// Key of `segments`.
    pub struct SegmentKey {
        /// The segment's number.
        pub segment: u16,
    }

    /// Value of `segments`: a segment that some network uses.
    pub struct Segment {
        /// One past the highest used slot of the segment in `flood`.
        pub flood_slots: u32,
        /// The host side of some endpoint of the segment, by which later rounds of copies go.
        pub relay_ifindex: u32,
        /// The endpoint that has the whole segment, in passthru mode; else 0.
        pub passthru_ifindex: u32,
        /// Its number.
        pub passthru_endpoint: u16,
        /// Its flags, see [`crate::flags`].
        pub passthru_flags: u16,
    }

    /// Key of `qinq`: the tags of a segment that has two.
    pub struct QinqKey {
        /// The outer tag's protocol identifier: 0x88a8 or 0x8100.
        pub outer_ethertype: u16,
        pub outer_vlan: u16,
        pub vlan: u16,
    }

    /// Value of `qinq`.
    pub struct QinqEntry {
        /// The segment's number.
        pub segment: u16,
    }

    /// Key of `flood`. Slots of a segment may have holes where an endpoint was removed.
    pub struct FloodKey {
        /// The segment's number.
        pub segment: u16,
        pub slot: u16,
    }

    /// Key of `sources`: who hears a source address, in source mode. Slots are filled from 0 on, without holes.
    pub struct SourceKey {
        /// The segment's number.
        pub segment: u16,
        pub mac: Mac,
        pub slot: u16,
    }

    /// Key of `allowed_macs`: an address that an endpoint may send from beside its own.
    pub struct AllowedMacKey {
        /// The endpoint's number.
        pub endpoint: u16,
        pub mac: Mac,
    }

    /// Key of `ingress_priorities`, whose value is an `skb->priority`.
    pub struct IngressPriorityKey {
        /// The endpoint's number.
        pub endpoint: u16,
        /// The priority code point, 0 to 7.
        pub pcp: u16,
    }

    /// Key of `egress_priorities`, whose value is a priority code point.
    pub struct EgressPriorityKey {
        /// The endpoint's number.
        pub endpoint: u16,
        /// `skb->priority`, as far as [`crate::note::MAX_PRIORITY`].
        pub priority: u16,
    }

    /// Key of `queriers`.
    pub struct QuerierKey {
        /// The segment's number.
        pub segment: u16,
        /// See [`crate::multicast`].
        pub family: u16,
    }

    /// Value of `queriers`: somebody on the segment asks who wants which groups.
    pub struct Querier {
        /// When all have answered: `CLOCK_MONOTONIC`, nanoseconds.
        pub answered_ns: u64,
        /// Until when the last query holds.
        pub until_ns: u64,
    }

    /// Key of `members`.
    pub struct MemberKey {
        /// The endpoint's number.
        pub endpoint: u16,
        /// The group's Ethernet address.
        pub group: Mac,
    }

    /// Value of `members`: an endpoint wants a group.
    pub struct Member {
        /// Until when its report holds: `CLOCK_MONOTONIC`, nanoseconds.
        pub until_ns: u64,
    }

    /// Key of `reporters`.
    pub struct ReporterKey {
        /// The endpoint's number.
        pub endpoint: u16,
        /// See [`crate::multicast`].
        pub family: u16,
    }

    /// Value of `reporters`: an endpoint that says which groups it wants.
    pub struct Reporter {
        /// Until when it gets everything nevertheless, as routers and those that could not be understood do.
        pub everything_until_ns: u64,
    }

    /// Key of `host_macs`: an address by which the host is reached through the uplink.
    pub struct HostMacKey {
        pub mac: Mac,
    }

    /// Value of `direct_fdb` and `direct_senders`, see [`crate::direct`]. The first 8 bytes are what a program looks for.
    pub struct DirectRow {
        /// The segment's number.
        pub segment: u16,
        pub mac: Mac,
        /// The host side of the endpoint's link; 0 in a row that was never an endpoint's.
        pub ifindex: u32,
        /// The endpoint's number, which is its index into `counters`.
        pub endpoint: u16,
        /// One of [`crate::mode`].
        pub mode: u8,
        /// 1 where the row is not all: the hash map has to be asked.
        pub ask: u8,
    }

    /// Value of `counters`, per CPU. `rx` is towards the container, as its own interface counts.
    pub struct Counters {
        pub rx_packets: u64,
        pub rx_bytes: u64,
        pub tx_packets: u64,
        pub tx_bytes: u64,
    }
}

/// Where the bit of a VLAN is in `known_vlans`: the word, and the bit in it.
#[inline(always)]
pub const fn known_vlan_bit(tag: Tag) -> (u32, u64) {
    let vlan = tag.vlan() as u32;
    let first = match tag.ethertype {
        ETHER_TYPE_8021AD => VLAN_WORDS as u32,
        _ => 0,
    };
    (first + vlan / u64::BITS, 1 << (vlan % u64::BITS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_vlan_has_a_bit_of_its_own() {
        let bits = [Tag::dot1q(0xE041), Tag::dot1q(4095), Tag::dot1ad(65)].map(known_vlan_bit);
        assert_eq!(bits, [(1, 2), (63, 1 << 63), (65, 2)]);
        assert!(known_vlan_bit(Tag::dot1ad(4095)).0 < KNOWN_VLAN_WORDS as u32);
    }

    #[test]
    fn the_layout_is_that_of_the_fields() {
        assert!(DEFINITION.starts_with("FdbKey{segment:u16,mac:Mac,}Receiver{"));
        assert_ne!(LAYOUT, FNV_OFFSET);
        // The test vector of draft-eastlake-fnv for "a".
        assert_eq!(fnv1a(FNV_OFFSET, b"a"), 0xaf63_dc4c_8601_ec8c);
    }
}
