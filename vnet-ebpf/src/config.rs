//! What is decided at load time. Constants in frozen `.rodata`: the verifier prunes what they rule
//! out, so a choice costs no instruction of the packet path.

use aya_ebpf::Global;
use vnet_common::rules::early::Powers;

#[unsafe(no_mangle)]
static UPLINK_IFINDEX: Global<u32> = Global::new(0);

#[unsafe(no_mangle)]
static ENDPOINT_IS_NETKIT: Global<u8> = Global::new(0);

#[unsafe(no_mangle)]
static FAST_PATH: Global<u8> = Global::new(0);

#[unsafe(no_mangle)]
static HAS_QINQ: Global<u8> = Global::new(0);

#[unsafe(no_mangle)]
static HAS_SOURCE_MODE: Global<u8> = Global::new(0);

#[unsafe(no_mangle)]
static HAS_PRIORITIES: Global<u8> = Global::new(0);

#[unsafe(no_mangle)]
static HAS_SNOOPING: Global<u8> = Global::new(0);

#[unsafe(no_mangle)]
static HAS_CROWD: Global<u8> = Global::new(0);

#[unsafe(no_mangle)]
static XDP_DROPS_UNKNOWN_VLAN: Global<u8> = Global::new(0);

#[unsafe(no_mangle)]
static XDP_DROPS_UNKNOWN_UNICAST: Global<u8> = Global::new(0);

#[unsafe(no_mangle)]
static XDP_REDIRECTS: Global<u8> = Global::new(0);

#[unsafe(no_mangle)]
static REINJECT_RESTORED: Global<u8> = Global::new(0);

/// The uplink's interface.
#[inline(always)]
pub fn uplink_ifindex() -> u32 {
    UPLINK_IFINDEX.load()
}

/// True where endpoints are netkit pairs, false where they are veth pairs.
#[inline(always)]
pub fn endpoint_is_netkit() -> bool {
    ENDPOINT_IS_NETKIT.load() != 0
}

/// One of [`vnet_common::fast_path`].
#[inline(always)]
pub fn fast_path() -> u8 {
    FAST_PATH.load()
}

/// True if a network has two tags.
#[inline(always)]
pub fn has_qinq() -> bool {
    HAS_QINQ.load() != 0
}

/// True if a network is in source mode.
#[inline(always)]
pub fn has_source_mode() -> bool {
    HAS_SOURCE_MODE.load() != 0
}

/// True if a network maps priorities.
#[inline(always)]
pub fn has_priorities() -> bool {
    HAS_PRIORITIES.load() != 0
}

/// True if a network prunes multicast.
#[inline(always)]
pub fn has_snooping() -> bool {
    HAS_SNOOPING.load() != 0
}

/// True if a segment has so many endpoints that copies of a broadcast are made in rounds.
#[inline(always)]
pub fn has_crowd() -> bool {
    HAS_CROWD.load() != 0
}

/// What XDP may do.
#[inline(always)]
pub fn xdp_powers() -> Powers {
    Powers {
        drops_unknown_vlan: XDP_DROPS_UNKNOWN_VLAN.load() != 0,
        drops_unknown_unicast: XDP_DROPS_UNKNOWN_UNICAST.load() != 0,
        redirects: XDP_REDIRECTS.load() != 0,
        has_qinq: has_qinq(),
        has_source_mode: has_source_mode(),
    }
}

/// True if frames go with notes between the ends of an endpoint's link.
#[inline(always)]
pub fn has_notes() -> bool {
    has_priorities() || has_source_mode()
}

/// True where a frame whose second tag was pushed back can't just go on. Before Linux 6.12 that push leaves
/// `skb->mac_len` too long, and the stack then looks for the second tag behind itself (commit 938863727076, "tc: adjust
/// network header after 2nd vlan push").
#[inline(always)]
pub fn reinject_restored() -> bool {
    REINJECT_RESTORED.load() != 0
}
