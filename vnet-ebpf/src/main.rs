//! vnet's datapath. Entry points only; a frame's way is in `vnet_common::rules`, its steps in the
//! modules here.

#![no_std]
#![no_main]

mod config;
mod container;
mod count;
mod deliver;
mod fast_path;
mod flood;
mod frame;
mod multicast;
mod note;
mod opaque;
mod priority;
mod tables;
mod vlan;
mod xdp;

use aya_ebpf::{
    bindings::{__sk_buff, TC_ACT_SHOT, TC_ACT_UNSPEC, xdp_action},
    macros::{classifier, xdp},
    programs::{TcContext, XdpContext},
};
use aya_log_ebpf::debug;
use flood::Listeners;
use opaque::Opaque as _;
use vnet_common::{
    Frame, Reason, fast_path as kind, is_group,
    rules::{
        self, FromEndpoint, FromUplink,
        early::{Early, early},
    },
};

/// A frame goes on to the next program, and then to the host's own stack.
///
/// `TCX_NEXT` and clsact's `TC_ACT_UNSPEC` are the same number.
const HAND_ON: i32 = TC_ACT_UNSPEC;
/// A frame ends here. `NETKIT_DROP`, `TCX_DROP` and `TC_ACT_SHOT` are the same number.
const DROP: i32 = TC_ACT_SHOT;

/// Frames from the wire: ingress of the uplink.
#[classifier]
pub fn from_uplink(ctx: TcContext) -> i32 {
    let fast = match config::fast_path() {
        kind::NONE => return from_uplink_always(ctx.skb.skb),
        kind => fast_path::from_uplink(&ctx, kind),
    };
    match fast {
        Some(way) => way,
        None => from_uplink_in_general(ctx.skb.skb),
    }
}

/// The same, where there is no fast path. Of a call from one place alone the verifier sees where it never comes about, and
/// removes it with the question.
#[cold]
#[inline(never)]
fn from_uplink_always(skb: *mut __sk_buff) -> i32 {
    from_uplink_in_general(skb)
}

/// The way of every frame from the wire that the fast path leaves.
///
/// A function of its own: what it saves and restores of registers costs the fast path nothing.
#[cold]
#[inline(never)]
fn from_uplink_in_general(skb: *mut __sk_buff) -> i32 {
    let ctx = &TcContext::new(skb);
    if flood::was_reinjected(ctx) {
        return HAND_ON;
    }
    let mut frame = match frame::parse(ctx) {
        Ok(frame) => frame,
        Err(reason) => return drop_counted(reason),
    };
    let Some(mut place) = rules::place(&frame, config::has_qinq(), &tables::Maps) else {
        return hand_on(ctx, &frame, Reason::UnknownVlan);
    };
    let mut restored = false;
    if config::has_source_mode() {
        match flood::to_listeners(ctx, place, &frame) {
            Listeners::None => {}
            Listeners::GoOn => restored = true,
            Listeners::Consumed => return DROP,
            Listeners::TagFailed => return drop_counted(Reason::TagFailed),
        }
        // Else all that follows is followed once for each way out of the loop in there.
        (place, frame) = (place.opaque(), frame.opaque());
    }
    match rules::from_uplink(&frame, place.segment, &tables::Maps) {
        FromUplink::Deliver(to) => match vlan::pop(ctx, place) {
            Ok(()) => {
                note::for_receiver(ctx, to, priority::pcp(&frame, place), false);
                deliver::from_uplink(ctx, to)
            }
            Err(_) => drop_counted(Reason::TagFailed),
        },
        FromUplink::Return(to) => match vlan::pop(ctx, place) {
            Ok(()) => {
                note::for_receiver(ctx, to, priority::pcp(&frame, place), false);
                deliver::group(ctx, to)
            }
            Err(_) => drop_counted(Reason::TagFailed),
        },
        FromUplink::Flood {
            segment,
            modes,
            except,
            reason,
        } => flood::from_uplink(ctx, place, &frame, segment, modes, except, reason),
        FromUplink::HandOn(reason) => {
            let way = hand_on(ctx, &frame, reason);
            match restored {
                true => flood::go_on(ctx, &frame),
                false => way,
            }
        }
    }
}

/// Frames from the wire, in the driver.
///
/// Takes frames in several buffers too (`xdp.frags`), so that a large MTU is no reason for a driver to refuse.
#[xdp(frags)]
pub fn xdp_uplink(ctx: XdpContext) -> u32 {
    from_wire(&ctx)
}

/// The same behind the driver, on skbs.
///
/// Not for several buffers: for that the kernel copies the skb, and forgets its `mac_len`, without which tc reads an untagged
/// frame from behind its header (`skb_pp_cow_data` in net/core/skbuff.c, since Linux 6.9). Else it makes one buffer of them.
#[xdp]
pub fn xdp_uplink_generic(ctx: XdpContext) -> u32 {
    from_wire(&ctx)
}

/// A frame that has just come from the wire.
#[inline(always)]
fn from_wire(ctx: &XdpContext) -> u32 {
    // One that is too short passes, and is counted by whoever drops it then.
    let Some(frame) = xdp::parse(ctx) else {
        return xdp_action::XDP_PASS;
    };
    match early(&frame, config::xdp_powers(), &tables::Maps) {
        Early::Pass => xdp_action::XDP_PASS,
        Early::Drop(reason) => {
            debug!(
                ctx,
                "xdp_uplink: {:mac} dropped: {}",
                frame.dst,
                reason.name()
            );
            count::reason(reason);
            xdp_action::XDP_DROP
        }
        Early::Redirect { to, tags } => xdp::deliver(ctx, to, tags),
    }
}

/// Frames from a container: ingress of the host side of a veth, or netkit's peer program.
#[classifier]
pub fn from_endpoint(ctx: TcContext) -> i32 {
    let fast = match config::fast_path() {
        kind::NONE => return from_endpoint_always(ctx.skb.skb),
        kind => fast_path::from_endpoint(&ctx, kind),
    };
    match fast {
        Some(way) => way,
        None => from_endpoint_in_general(ctx.skb.skb),
    }
}

/// As [`from_uplink_always`].
#[cold]
#[inline(never)]
fn from_endpoint_always(skb: *mut __sk_buff) -> i32 {
    from_endpoint_in_general(skb)
}

/// The way of every frame from a container that the fast path leaves.
#[cold]
#[inline(never)]
fn from_endpoint_in_general(skb: *mut __sk_buff) -> i32 {
    let ctx = &TcContext::new(skb);
    if flood::is_round(ctx) {
        return next_round(ctx);
    }
    let Some(sender) = tables::sender(ctx) else {
        return drop_counted(Reason::NotAnEndpoint);
    };
    let frame = match frame::parse(ctx) {
        Ok(frame) => frame,
        Err(reason) => return drop_counted(reason),
    };
    if let Some(reason) = rules::guard(&frame, &sender, &tables::Maps) {
        debug!(
            ctx,
            "from_endpoint: {:mac} dropped: {}",
            frame.src,
            reason.name()
        );
        return drop_counted(reason);
    }
    count::tx(sender.endpoint, ctx.len());
    let pcp = priority::egress(ctx, &sender);
    note::clear(ctx);
    match rules::from_endpoint(&frame, &sender, &tables::Maps) {
        FromEndpoint::Deliver(to) => return deliver::from_endpoint(ctx, to),
        FromEndpoint::Flood(segment) => flood::to_siblings(ctx, &sender, segment, &frame.dst),
        FromEndpoint::ToWire => {}
    }
    let (mut sender, mut pcp) = (sender, pcp);
    if config::has_snooping() && is_group(&frame.dst) {
        (sender, pcp) = (sender.opaque(), pcp.opaque());
        multicast::learn(ctx, &sender, &frame.dst);
    }
    if vlan::push(ctx, &sender, pcp).is_err() {
        return drop_counted(Reason::TagFailed);
    }
    deliver::to_wire(ctx)
}

/// A broadcast of which only some endpoints have got their copies, at the host side of one of them.
#[inline(always)]
fn next_round(ctx: &TcContext) -> i32 {
    match frame::parse(ctx) {
        Ok(frame) => {
            flood::next_round(ctx, &frame.dst);
            DROP
        }
        Err(reason) => drop_counted(reason),
    }
}

/// Frames that come into a container: ingress of its end of the link.
#[classifier]
pub fn enter_container(ctx: TcContext) -> i32 {
    container::enter(&ctx);
    HAND_ON
}

/// Frames that a container sends: egress of its end of the link.
#[classifier]
pub fn leave_container(ctx: TcContext) -> i32 {
    container::leave(&ctx);
    HAND_ON
}

/// Lets a frame go on untouched, and says why.
#[inline(always)]
fn hand_on(ctx: &TcContext, frame: &Frame, reason: Reason) -> i32 {
    debug!(
        ctx,
        "from_uplink: {:mac} handed on: {}",
        frame.dst,
        reason.name()
    );
    count::reason(reason);
    HAND_ON
}

/// Ends a frame, and says why.
#[inline(always)]
fn drop_counted(reason: Reason) -> i32 {
    count::reason(reason);
    DROP
}

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo) -> ! {
    loop {}
}

// The helpers in use are open to any licence; GPL-compatible keeps the rest within reach.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
