//! Broadcast and multicast: a clone for each receiver of the segment.

use aya_ebpf::programs::TcContext;
use vnet_common::{Endpoint, MAX_FLOOD_SLOTS, Reason, Segment};

use crate::{HAND_ON, count, drop_counted, tables, vlan};

/// No endpoint has this number: nobody is left out.
const NOBODY: u32 = u32::MAX;

/// Copies without the tag to the endpoints; then the frame, as it came, on to the host, whose own
/// ARP and neighbour discovery live there.
#[inline(always)]
pub fn from_uplink(ctx: &TcContext, vlan: u16, segment: Segment) -> i32 {
    // SAFETY: the context outlives the program's run.
    let skb = unsafe { &*ctx.skb.skb };
    // Plain numbers: of an enum, LLVM fills the payload on one path only and reads it on both, which
    // the verifier of Linux 6.1 refuses.
    let (tagged, tci, mark) = (skb.vlan_present, skb.vlan_tci, skb.mark);
    if tagged != 0 && vlan::pop(ctx).is_err() {
        return drop_counted(Reason::TagFailed);
    }
    copies(ctx, vlan, segment, NOBODY);
    ctx.set_mark(mark);
    if tagged != 0 && vlan::push(ctx, tci as u16).is_err() {
        return drop_counted(Reason::TagFailed);
    }
    HAND_ON
}

/// Copies for all endpoints of the sender's segment but itself.
#[inline(always)]
pub fn to_siblings(ctx: &TcContext, sender: &Endpoint, segment: Segment) {
    copies(ctx, sender.vlan, segment, sender.endpoint);
}

/// By the host side of each link, not `bpf_redirect_peer`: so the receiving device sets the packet
/// type (broadcast, multicast) itself.
#[inline(always)]
fn copies(ctx: &TcContext, vlan: u16, segment: Segment, except: u32) {
    ctx.set_mark(0);
    let bytes = ctx.len();
    for slot in 0..MAX_FLOOD_SLOTS as u32 {
        if slot >= segment.flood_slots {
            break;
        }
        let Some(to) = tables::receiver(vlan, slot as u16) else {
            continue;
        };
        if to.endpoint == except {
            continue;
        }
        match ctx.clone_redirect(to.ifindex, 0) {
            Ok(()) => count::rx(to.endpoint, bytes),
            Err(_) => count::reason(Reason::CloneFailed),
        }
    }
}
