//! The maps, under the names that their pins have, and the rules' view of them.

use aya_ebpf::{
    btf_maps::{HashMap, PerCpuArray},
    macros::btf_map,
    programs::TcContext,
};
use vnet_common::{
    Counters, Endpoint, FdbEntry, FdbKey, FloodEntry, FloodKey, MAX_ENDPOINTS, MAX_SEGMENTS, Mac,
    Reason, Segment, SegmentKey, rules::Tables,
};

/// Not preallocated: an uplink with three endpoints pays for three.
const NO_PREALLOC: usize = aya_ebpf::bindings::BPF_F_NO_PREALLOC as usize;

#[btf_map(name = "fdb")]
static FDB: HashMap<FdbKey, FdbEntry, MAX_ENDPOINTS, NO_PREALLOC> = HashMap::new();

#[btf_map(name = "endpoints")]
static ENDPOINTS: HashMap<u32, Endpoint, MAX_ENDPOINTS, NO_PREALLOC> = HashMap::new();

#[btf_map(name = "segments")]
static SEGMENTS: HashMap<SegmentKey, Segment, MAX_SEGMENTS, NO_PREALLOC> = HashMap::new();

#[btf_map(name = "flood")]
static FLOOD: HashMap<FloodKey, FloodEntry, MAX_ENDPOINTS, NO_PREALLOC> = HashMap::new();

#[btf_map(name = "counters")]
pub static COUNTERS: PerCpuArray<Counters, MAX_ENDPOINTS> = PerCpuArray::new();

#[btf_map(name = "reasons")]
pub static REASONS: PerCpuArray<u64, { Reason::COUNT }> = PerCpuArray::new();

/// The pinned maps, as the rules read them.
pub struct Maps;

impl Tables for Maps {
    #[inline(always)]
    fn fdb(&self, vlan: u16, mac: &Mac) -> Option<FdbEntry> {
        // SAFETY: eight bytes, aligned, that user space only ever replaces as a whole element.
        unsafe { FDB.get(FdbKey { vlan, mac: *mac }).copied() }
    }

    #[inline(always)]
    fn segment(&self, vlan: u16) -> Option<Segment> {
        // SAFETY: as above.
        unsafe { SEGMENTS.get(SegmentKey { vlan }).copied() }
    }
}

/// The endpoint that the frame came from, by the host side of its link.
#[inline(always)]
pub fn sender(ctx: &TcContext) -> Option<Endpoint> {
    // SAFETY: the context outlives the program's run.
    let ifindex = unsafe { (*ctx.skb.skb).ifindex };
    // SAFETY: user space only ever replaces a whole element.
    unsafe { ENDPOINTS.get(ifindex).copied() }
}

/// The receiver in `slot` of segment `vlan`'s broadcasts, if that slot is in use.
#[inline(always)]
pub fn receiver(vlan: u16, slot: u16) -> Option<FloodEntry> {
    // SAFETY: eight bytes, aligned, that user space only ever replaces as a whole element.
    unsafe { FLOOD.get(FloodKey { vlan, slot }).copied() }
}
