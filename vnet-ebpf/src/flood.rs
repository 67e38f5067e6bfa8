//! A clone for each of several receivers.

use aya_ebpf::{bindings::BPF_F_INGRESS, helpers::bpf_redirect, programs::TcContext};
use vnet_common::{
    Endpoint, Frame, MAX_FLOOD_SLOTS, MAX_SOURCE_SLOTS, Reason, Receiver, Segment, flags, mode,
    rules::Place,
};

use crate::{HAND_ON, config, count, drop_counted, note, priority, tables, vlan};

/// The mark of a frame on its way back in.
const REINJECTED: u32 = u32::from_be_bytes(*b"vnet");

/// A group frame from the wire: copies without the tags to the endpoints; then the frame, as it came, on to the host,
/// whose own ARP and neighbour discovery live there.
#[inline(always)]
pub fn from_uplink(
    ctx: &TcContext,
    place: Place,
    frame: &Frame,
    segment: Segment,
    modes: u8,
    except: u16,
) -> i32 {
    let own = HostsOwn::take(ctx);
    if vlan::pop(ctx, place).is_err() {
        return drop_counted(Reason::TagFailed);
    }
    let pcp = priority::pcp(frame, place);
    copies(ctx, place.segment, segment.flood_slots, modes, except, pcp);
    own.give_back(ctx);
    match vlan::restore(ctx, place, frame) {
        Ok(()) => go_on(ctx, frame),
        Err(_) => drop_counted(Reason::TagFailed),
    }
}

/// A frame that has its tags back goes on; where the kernel needs that, by coming in anew.
#[inline(always)]
pub fn go_on(ctx: &TcContext, frame: &Frame) -> i32 {
    if config::reinject_restored() && frame.inner.is_some() {
        ctx.set_mark(REINJECTED);
        // SAFETY: a helper without pointers.
        return unsafe { bpf_redirect(config::uplink_ifindex(), u64::from(BPF_F_INGRESS)) as i32 };
    }
    HAND_ON
}

/// True for a frame that [`go_on`] let come in anew; it has been here.
#[inline(always)]
pub fn was_reinjected(ctx: &TcContext) -> bool {
    if !config::reinject_restored() || mark(ctx) != REINJECTED {
        return false;
    }
    ctx.set_mark(0);
    true
}

/// Copies for all endpoints of the sender's segment in bridge mode but itself.
#[inline(always)]
pub fn to_siblings(ctx: &TcContext, sender: &Endpoint, segment: Segment) {
    ctx.set_mark(0);
    copies(
        ctx,
        sender.segment,
        segment.flood_slots,
        mode::BRIDGE,
        sender.endpoint,
        0,
    );
}

/// What became of a frame that endpoints in source mode may listen to.
pub enum Listeners {
    /// Nobody listens to its source.
    None,
    /// The frame also goes its usual way; it had its tags off, and has them again.
    GoOn,
    /// The frame was for the listeners alone.
    Consumed,
    /// A tag could not be popped or pushed.
    TagFailed,
}

/// A copy for each endpoint that listens to the frame's source address (`macvlan_forward_source`).
#[inline(always)]
pub fn to_listeners(ctx: &TcContext, place: Place, frame: &Frame) -> Listeners {
    if tables::listener(place.segment, &frame.src, 0).is_none() {
        return Listeners::None;
    }
    let own = HostsOwn::take(ctx);
    if vlan::pop(ctx, place).is_err() {
        return Listeners::TagFailed;
    }
    let pcp = priority::pcp(frame, place);
    let bytes = ctx.len();
    let mut any_flags = 0;
    for slot in 0..MAX_SOURCE_SLOTS as u32 {
        let Some(to) = tables::listener(place.segment, &frame.src, slot as u16) else {
            break;
        };
        any_flags |= to.flags;
        note::for_receiver(ctx, to, pcp, true);
        copy(ctx, to, bytes);
    }
    if any_flags & flags::NODST != 0 {
        return Listeners::Consumed;
    }
    own.give_back(ctx);
    match vlan::restore(ctx, place, frame) {
        Ok(()) => Listeners::GoOn,
        Err(_) => Listeners::TagFailed,
    }
}

#[inline(always)]
fn copies(ctx: &TcContext, segment: u16, slots: u32, modes: u8, except: u16, pcp: u16) {
    let bytes = ctx.len();
    for slot in 0..MAX_FLOOD_SLOTS as u32 {
        if slot >= slots {
            break;
        }
        let Some(to) = tables::receiver(segment, slot as u16) else {
            continue;
        };
        if to.mode & modes != 0 && to.endpoint != except {
            note::for_receiver(ctx, to, pcp, false);
            copy(ctx, to, bytes);
        }
    }
}

/// By the host side of the link, not `bpf_redirect_peer`: so the receiving device sets the packet type (broadcast,
/// multicast) itself.
#[inline(always)]
fn copy(ctx: &TcContext, to: Receiver, bytes: u32) {
    match ctx.clone_redirect(to.ifindex, 0) {
        // A copy that the link itself lost (`NET_XMIT_DROP`, and others above zero) is in the link's own count.
        Ok(()) | Err(1..) => count::rx(to.endpoint, bytes),
        Err(_) => count::reason(Reason::CloneFailed),
    }
}

/// What the host's own rules have written on a frame: it means nothing in a container, and goes on with the frame itself.
struct HostsOwn {
    mark: u32,
    tc_index: u32,
}

impl HostsOwn {
    #[inline(always)]
    fn take(ctx: &TcContext) -> Self {
        let own = Self {
            mark: mark(ctx),
            tc_index: note::tc_index(ctx),
        };
        ctx.set_mark(0);
        own
    }

    #[inline(always)]
    fn give_back(self, ctx: &TcContext) {
        ctx.set_mark(self.mark);
        if config::has_notes() {
            note::set_tc_index(ctx, self.tc_index);
        }
    }
}

#[inline(always)]
fn mark(ctx: &TcContext) -> u32 {
    // SAFETY: the context outlives the program's run.
    unsafe { (*ctx.skb.skb).mark }
}
