//! The maps, under the names that their pins have, and the rules' view of them.
//!
//! A value is copied out of its element at once. User space replaces elements, never parts of them; but an element that
//! is removed may be used again for another key while a program still reads it (`bpf_mem_cache_free` in
//! kernel/bpf/hashtab.c), so in that instant a frame can meet a neighbour's value, or half of it. All values are plain
//! numbers, for which every bit pattern is one, and an interface that is not there drops the frame. Of the direct-mapped
//! tables programs read rows where they are; these are changed in steps that allow for that (`vnet_common::direct`).

use aya_ebpf::{
    btf_maps::{Array, DevMapHash, HashMap, PerCpuArray},
    macros::btf_map,
    programs::TcContext,
};
use vnet_common::{
    AllowedMacKey, Counters, DirectRow, EVERY_MAC, EgressPriorityKey, Endpoint, FdbKey, FloodKey,
    HostMacKey, IngressPriorityKey, KNOWN_VLAN_WORDS, MAX_ALLOWED_MACS, MAX_EGRESS_PRIORITIES,
    MAX_ENDPOINTS, MAX_HOST_MACS, MAX_INGRESS_PRIORITIES, MAX_MEMBERS, MAX_QINQ_SEGMENTS,
    MAX_QUERIERS, MAX_REPORTERS, MAX_SEGMENTS, MAX_SOURCES, Mac, Member, MemberKey, QinqEntry,
    QinqKey, Querier, QuerierKey, Reason, Receiver, Reporter, ReporterKey, Segment, SegmentKey,
    SourceKey, Tag, direct, known_vlan_bit,
    rules::{Tables, early::HostTables},
};

/// Not preallocated: an uplink with three endpoints pays for three.
const NO_PREALLOC: usize = aya_ebpf::bindings::BPF_F_NO_PREALLOC as usize;

#[btf_map(name = "fdb")]
static FDB: HashMap<FdbKey, Receiver, MAX_ENDPOINTS, NO_PREALLOC> = HashMap::new();

#[btf_map(name = "direct_fdb")]
pub static DIRECT_FDB: Array<DirectRow, { direct::FDB_ROWS }> = Array::new();

#[btf_map(name = "direct_senders")]
pub static DIRECT_SENDERS: Array<DirectRow, { direct::SENDER_ROWS }> = Array::new();

#[btf_map(name = "direct_segments")]
pub static DIRECT_SEGMENTS: Array<u32, { direct::SEGMENT_ROWS }> = Array::new();

#[btf_map(name = "endpoints")]
static ENDPOINTS: HashMap<u32, Endpoint, MAX_ENDPOINTS, NO_PREALLOC> = HashMap::new();

#[btf_map(name = "segments")]
static SEGMENTS: HashMap<SegmentKey, Segment, MAX_SEGMENTS, NO_PREALLOC> = HashMap::new();

#[btf_map(name = "qinq")]
static QINQ: HashMap<QinqKey, QinqEntry, MAX_QINQ_SEGMENTS, NO_PREALLOC> = HashMap::new();

#[btf_map(name = "flood")]
static FLOOD: HashMap<FloodKey, Receiver, MAX_ENDPOINTS, NO_PREALLOC> = HashMap::new();

#[btf_map(name = "sources")]
static SOURCES: HashMap<SourceKey, Receiver, MAX_SOURCES, NO_PREALLOC> = HashMap::new();

#[btf_map(name = "allowed_macs")]
static ALLOWED_MACS: HashMap<AllowedMacKey, u32, MAX_ALLOWED_MACS, NO_PREALLOC> = HashMap::new();

#[btf_map(name = "ingress_priorities")]
static INGRESS_PRIORITIES: HashMap<IngressPriorityKey, u32, MAX_INGRESS_PRIORITIES, NO_PREALLOC> =
    HashMap::new();

#[btf_map(name = "egress_priorities")]
static EGRESS_PRIORITIES: HashMap<EgressPriorityKey, u32, MAX_EGRESS_PRIORITIES, NO_PREALLOC> =
    HashMap::new();

#[btf_map(name = "queriers")]
pub static QUERIERS: HashMap<QuerierKey, Querier, MAX_QUERIERS, NO_PREALLOC> = HashMap::new();

#[btf_map(name = "members")]
pub static MEMBERS: HashMap<MemberKey, Member, MAX_MEMBERS, NO_PREALLOC> = HashMap::new();

#[btf_map(name = "reporters")]
pub static REPORTERS: HashMap<ReporterKey, Reporter, MAX_REPORTERS, NO_PREALLOC> = HashMap::new();

#[btf_map(name = "known_vlans")]
static KNOWN_VLANS: Array<u64, KNOWN_VLAN_WORDS> = Array::new();

#[btf_map(name = "host_macs")]
static HOST_MACS: HashMap<HostMacKey, u32, MAX_HOST_MACS, NO_PREALLOC> = HashMap::new();

#[btf_map(name = "xdp_receivers")]
pub static XDP_RECEIVERS: DevMapHash<MAX_ENDPOINTS> = DevMapHash::new();

#[btf_map(name = "counters")]
pub static COUNTERS: PerCpuArray<Counters, MAX_ENDPOINTS> = PerCpuArray::new();

#[btf_map(name = "reasons")]
pub static REASONS: PerCpuArray<u64, { Reason::COUNT }> = PerCpuArray::new();

/// The pinned maps, as the rules read them.
pub struct Maps;

impl Tables for Maps {
    #[inline(always)]
    fn fdb(&self, segment: u16, mac: &Mac) -> Option<Receiver> {
        // SAFETY: as the module says.
        unsafe { FDB.get(FdbKey { segment, mac: *mac }).copied() }
    }

    #[inline(always)]
    fn segment(&self, segment: u16) -> Option<Segment> {
        // SAFETY: as above.
        unsafe { SEGMENTS.get(SegmentKey { segment }).copied() }
    }

    #[inline(always)]
    fn qinq(&self, key: QinqKey) -> Option<u16> {
        // SAFETY: as above.
        unsafe { QINQ.get(key).map(|entry| entry.segment) }
    }

    #[inline(always)]
    fn is_allowed(&self, endpoint: u16, mac: &Mac) -> bool {
        let key = AllowedMacKey {
            endpoint,
            mac: *mac,
        };
        // SAFETY: only whether there is an element matters.
        unsafe { ALLOWED_MACS.get(key).is_some() }
    }
}

impl HostTables for Maps {
    #[inline(always)]
    fn is_known_vlan(&self, tag: Tag) -> bool {
        let (word, bit) = known_vlan_bit(tag);
        KNOWN_VLANS.get(word).is_some_and(|word| word & bit != 0)
    }

    #[inline(always)]
    fn is_hosts(&self, mac: &Mac) -> bool {
        let has = |mac| {
            // SAFETY: only whether there is an element matters.
            unsafe { HOST_MACS.get(HostMacKey { mac }).is_some() }
        };
        has(*mac) || has(EVERY_MAC)
    }

    #[inline(always)]
    fn is_heard(&self, segment: u16, source: &Mac) -> bool {
        listener(segment, source, 0).is_some()
    }
}

/// The endpoint that the frame came from, by the host side of its link.
#[inline(always)]
pub fn sender(ctx: &TcContext) -> Option<Endpoint> {
    // SAFETY: the context outlives the program's run.
    let ifindex = unsafe { (*ctx.skb.skb).ifindex };
    // SAFETY: as above.
    unsafe { ENDPOINTS.get(ifindex).copied() }
}

/// The receiver in `slot` of a segment's broadcasts, if that slot is in use.
#[inline(always)]
pub fn receiver(segment: u16, slot: u16) -> Option<Receiver> {
    // SAFETY: as above.
    unsafe { FLOOD.get(FloodKey { segment, slot }).copied() }
}

/// The listener in `slot` of those that hear a source address.
#[inline(always)]
pub fn listener(segment: u16, mac: &Mac, slot: u16) -> Option<Receiver> {
    let key = SourceKey {
        segment,
        mac: *mac,
        slot,
    };
    // SAFETY: as above.
    unsafe { SOURCES.get(key).copied() }
}

/// The `skb->priority` that a priority code point means for an endpoint; 0 where its network says nothing of it.
#[inline(always)]
pub fn ingress_priority(endpoint: u16, pcp: u16) -> u32 {
    let key = IngressPriorityKey { endpoint, pcp };
    // SAFETY: as above.
    unsafe { INGRESS_PRIORITIES.get(key).copied().unwrap_or(0) }
}

/// The priority code point that an `skb->priority` means for an endpoint; 0 where its network says nothing of it.
#[inline(always)]
pub fn egress_priority(endpoint: u16, priority: u16) -> u16 {
    let key = EgressPriorityKey { endpoint, priority };
    // SAFETY: as above.
    unsafe { EGRESS_PRIORITIES.get(key).map_or(0, |pcp| *pcp as u16) }
}
