//! Keys and values of the pinned maps. `bpftool map dump pinned …` prints these field names.

use crate::frame::Mac;

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
    )+};
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
