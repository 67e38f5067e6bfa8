//! A clone for each of several receivers.

use aya_ebpf::programs::TcContext;
use vnet_common::{
    Endpoint, Frame, MAX_FLOOD_SLOTS, MAX_SOURCE_SLOTS, Reason, Receiver, Segment, flags, mode,
    rules::Place,
};

use crate::{HAND_ON, count, drop_counted, tables, vlan};

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
    let mark = mark(ctx);
    if vlan::pop(ctx, place).is_err() {
        return drop_counted(Reason::TagFailed);
    }
    copies(ctx, place.segment, segment.flood_slots, modes, except);
    ctx.set_mark(mark);
    if vlan::restore(ctx, place, frame).is_err() {
        return drop_counted(Reason::TagFailed);
    }
    HAND_ON
}

/// Copies for all endpoints of the sender's segment in bridge mode but itself.
#[inline(always)]
pub fn to_siblings(ctx: &TcContext, sender: &Endpoint, segment: Segment) {
    copies(
        ctx,
        sender.segment,
        segment.flood_slots,
        mode::BRIDGE,
        sender.endpoint,
    );
}

/// What became of a frame that endpoints in source mode may listen to.
pub enum Listeners {
    /// Nobody listens to its source, or the frame also goes its usual way.
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
        return Listeners::GoOn;
    }
    let mark = mark(ctx);
    if vlan::pop(ctx, place).is_err() {
        return Listeners::TagFailed;
    }
    ctx.set_mark(0);
    let bytes = ctx.len();
    let mut any_flags = 0;
    for slot in 0..MAX_SOURCE_SLOTS as u32 {
        let Some(to) = tables::listener(place.segment, &frame.src, slot as u16) else {
            break;
        };
        any_flags |= to.flags;
        copy(ctx, to, bytes);
    }
    if any_flags & flags::NODST != 0 {
        return Listeners::Consumed;
    }
    ctx.set_mark(mark);
    match vlan::restore(ctx, place, frame) {
        Ok(()) => Listeners::GoOn,
        Err(_) => Listeners::TagFailed,
    }
}

#[inline(always)]
fn copies(ctx: &TcContext, segment: u16, slots: u32, modes: u8, except: u16) {
    ctx.set_mark(0);
    let bytes = ctx.len();
    for slot in 0..MAX_FLOOD_SLOTS as u32 {
        if slot >= slots {
            break;
        }
        let Some(to) = tables::receiver(segment, slot as u16) else {
            continue;
        };
        if to.mode & modes != 0 && to.endpoint != except {
            copy(ctx, to, bytes);
        }
    }
}

/// By the host side of the link, not `bpf_redirect_peer`: so the receiving device sets the packet type (broadcast,
/// multicast) itself.
#[inline(always)]
fn copy(ctx: &TcContext, to: Receiver, bytes: u32) {
    match ctx.clone_redirect(to.ifindex, 0) {
        Ok(()) => count::rx(to.endpoint, bytes),
        Err(_) => count::reason(Reason::CloneFailed),
    }
}

#[inline(always)]
fn mark(ctx: &TcContext) -> u32 {
    // SAFETY: the context outlives the program's run.
    unsafe { (*ctx.skb.skb).mark }
}
