//! What the eBPF programs and user space share: the keys and values of the maps, the rules that
//! decide a frame's way, and the reasons that count what was not delivered.
//!
//! Nothing here knows a kernel, so the same rules run in the programs and, as a table of cases, in
//! this crate's tests.

#![no_std]

pub mod crowd;
pub mod direct;
pub mod fast_path;
pub mod flags;
mod frame;
mod maps;
pub mod mode;
pub mod multicast;
pub mod note;
pub mod parse;
mod reason;
pub mod rules;

pub use frame::{
    ETHER_TYPE_8021AD, ETHER_TYPE_8021Q, Frame, Mac, PCP_SHIFT, Tag, VLAN_ID_MASK, VLAN_TAG_BYTES,
    is_group,
};
pub use maps::{
    AllowedMacKey, Counters, DirectRow, EVERY_MAC, EgressPriorityKey, Endpoint, FIRST_QINQ_SEGMENT,
    FdbKey, FloodKey, HostMacKey, IngressPriorityKey, KNOWN_VLAN_WORDS, LAYOUT, MAX_ALLOWED_MACS,
    MAX_EGRESS_PRIORITIES, MAX_ENDPOINTS, MAX_FLOOD_SLOTS, MAX_HOST_MACS, MAX_INGRESS_PRIORITIES,
    MAX_MEMBERS, MAX_QINQ_SEGMENTS, MAX_QUERIERS, MAX_REPORTERS, MAX_SEGMENTS, MAX_SOURCE_SLOTS,
    MAX_SOURCES, Member, MemberKey, QinqEntry, QinqKey, Querier, QuerierKey, Receiver, Reporter,
    ReporterKey, Segment, SegmentKey, SourceKey, UNTAGGED, known_vlan_bit,
};
pub use reason::{Effect, Reason};
