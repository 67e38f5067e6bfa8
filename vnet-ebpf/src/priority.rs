//! Priority code points and `skb->priority`, as VLAN devices map them (`ingress-qos-map` and `egress-qos-map` of `ip link`).

use aya_ebpf::programs::TcContext;
use vnet_common::{Endpoint, Frame, PCP_SHIFT, Receiver, flags, rules::Place};

use crate::{config, note, tables};

/// The priority code point of a frame in its segment: of two tags the inner one's, as the inner VLAN device has the last
/// word (`vlan_do_receive`).
#[inline(always)]
pub fn pcp(frame: &Frame, place: Place) -> u16 {
    match place.tags {
        0 => 0,
        2 if config::has_qinq() => frame.inner.pcp(),
        _ => frame.tag.pcp(),
    }
}

/// What a frame of a code point has in the container.
#[inline(always)]
pub fn ingress(to: Receiver, pcp: u16) -> u32 {
    if to.flags & flags::INGRESS_PRIORITY == 0 {
        return 0;
    }
    tables::ingress_priority(to.endpoint, pcp)
}

/// The code point, in its place in a tag, of a frame that the container sent. The frame goes on with the priority that it
/// had there.
#[inline(always)]
pub fn egress(ctx: &TcContext, sender: &Endpoint) -> u16 {
    if !config::has_priorities() || sender.flags & flags::EGRESS_PRIORITY == 0 {
        return 0;
    }
    let priority = note::read(ctx).priority();
    set(ctx, priority);
    tables::egress_priority(sender.endpoint, priority as u16) << PCP_SHIFT
}

/// The frame's priority.
#[inline(always)]
pub fn get(ctx: &TcContext) -> u32 {
    // SAFETY: the context outlives the program's run.
    unsafe { (*ctx.skb.skb).priority }
}

/// Sets the frame's priority.
#[inline(always)]
pub fn set(ctx: &TcContext, priority: u32) {
    // SAFETY: as above; tc programs may write it.
    unsafe { (*ctx.skb.skb).priority = priority };
}
