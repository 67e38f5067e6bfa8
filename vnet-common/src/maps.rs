//! Keys and values of the pinned maps. `bpftool map dump pinned …` prints these field names.

use crate::{frame::Mac, reason::Reason};

/// The VLAN id that stands for the untagged segment (0 is no VLAN: IEEE 802.1Q table 9-2).
pub const UNTAGGED: u16 = 0;
/// Endpoints on one uplink: the size of `fdb`, `endpoints`, `flood` and `counters`.
pub const MAX_ENDPOINTS: usize = 4096;
/// Endpoints in one segment: how far a broadcast's loop runs.
pub const MAX_FLOOD_SLOTS: usize = 512;
/// Segments on one uplink: VLAN 1 to 4094, and untagged.
pub const MAX_SEGMENTS: usize = 4095;

macro_rules! map_types {
    ($($(#[doc = $doc:literal])+ pub struct $name:ident { $($(#[doc = $field_doc:literal])* pub $field:ident: $type:ty,)+ })+) => {$(
        $(#[doc = $doc])+
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, bytemuck::Pod, bytemuck::Zeroable)]
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
    let mut index = 0;
    while index < Reason::COUNT {
        hash = fnv1a(hash, Reason::ALL[index].name().as_bytes());
        index += 1;
    }
    hash
};

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
        /// The segment: a VLAN id, or [`UNTAGGED`].
        pub vlan: u16,
        pub mac: Mac,
    }

    /// Value of `fdb`: who has this MAC.
    pub struct FdbEntry {
        /// The host side of the endpoint's link.
        pub ifindex: u32,
        /// The endpoint's number, which is its index into `counters`.
        pub endpoint: u32,
    }

    /// Value of `endpoints`, whose key is the ifindex of the host side.
    pub struct Endpoint {
        /// The endpoint's number, which is its index into `counters`.
        pub endpoint: u32,
        /// The segment: a VLAN id, or [`UNTAGGED`].
        pub vlan: u16,
        pub mac: Mac,
    }

    /// Key of `segments`.
    pub struct SegmentKey {
        /// A VLAN id, or [`UNTAGGED`].
        pub vlan: u16,
    }

    /// Value of `segments`: a segment that some network uses.
    pub struct Segment {
        /// One past the highest used slot of the segment in `flood`.
        pub flood_slots: u32,
    }

    /// Key of `flood`. Slots of a segment may have holes where an endpoint was removed.
    pub struct FloodKey {
        pub vlan: u16,
        pub slot: u16,
    }

    /// Value of `flood`: one receiver of the segment's broadcasts and multicasts.
    pub struct FloodEntry {
        /// The host side of the endpoint's link.
        pub ifindex: u32,
        /// The endpoint's number, which is its index into `counters`.
        pub endpoint: u32,
    }

    /// Value of `counters`, per CPU. `rx` is towards the container, as its own interface counts.
    pub struct Counters {
        pub rx_packets: u64,
        pub rx_bytes: u64,
        pub tx_packets: u64,
        pub tx_bytes: u64,
    }
}

impl core::ops::AddAssign for Counters {
    fn add_assign(&mut self, other: Self) {
        let Self {
            rx_packets,
            rx_bytes,
            tx_packets,
            tx_bytes,
        } = other;
        self.rx_packets += rx_packets;
        self.rx_bytes += rx_bytes;
        self.tx_packets += tx_packets;
        self.tx_bytes += tx_bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_is_that_of_the_fields() {
        assert!(DEFINITION.starts_with("FdbKey{vlan:u16,mac:Mac,}FdbEntry{"));
        assert_ne!(LAYOUT, FNV_OFFSET);
        // The test vector of draft-eastlake-fnv for "a".
        assert_eq!(fnv1a(FNV_OFFSET, b"a"), 0xaf63_dc4c_8601_ec8c);
    }
}
