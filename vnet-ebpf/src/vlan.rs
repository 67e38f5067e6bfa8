//! Pushes and pops a segment's tags. The kernel keeps the outer one in `skb->vlan_tci`, so with one tag neither touches
//! the data, and GSO frames stay whole.

use aya_ebpf::{
    helpers::{bpf_skb_vlan_pop, bpf_skb_vlan_push},
    programs::TcContext,
};
use vnet_common::{ETHER_TYPE_8021Q, Endpoint, Frame, Tag, rules::Place};

use crate::config;

/// The kernel's helper failed.
pub struct TagFailed;

/// Takes the tags off by which a frame belongs to its segment. A tag of its own behind them, if any, moves up.
#[inline(always)]
pub fn pop(ctx: &TcContext, place: Place) -> Result<(), TagFailed> {
    if place.tags > 0 {
        pop_one(ctx)?;
    }
    if config::has_qinq() && place.tags > 1 {
        pop_one(ctx)?;
    }
    Ok(())
}

/// Puts the tags back that [`pop`] took off.
#[inline(always)]
pub fn restore(ctx: &TcContext, place: Place, frame: &Frame) -> Result<(), TagFailed> {
    if config::has_qinq() && place.tags > 1 {
        push_one(ctx, frame.inner)?;
    }
    if place.tags > 0 {
        push_one(ctx, frame.tag)?;
    }
    Ok(())
}

/// Puts the tags of the sender's segment outside of what the frame has, all with the same priority code point, which is
/// in its place in a tag.
#[inline(always)]
pub fn push(ctx: &TcContext, sender: &Endpoint, pcp: u16) -> Result<(), TagFailed> {
    if sender.vlan == 0 {
        return Ok(());
    }
    push_one(
        ctx,
        Tag {
            ethertype: ETHER_TYPE_8021Q,
            tci: sender.vlan | pcp,
        },
    )?;
    if config::has_qinq() && sender.outer_vlan != 0 {
        push_one(
            ctx,
            Tag {
                ethertype: sender.outer_ethertype,
                tci: sender.outer_vlan | pcp,
            },
        )?;
    }
    Ok(())
}

#[inline(always)]
fn pop_one(ctx: &TcContext) -> Result<(), TagFailed> {
    // SAFETY: the context is the program's own.
    match unsafe { bpf_skb_vlan_pop(ctx.skb.skb) } {
        0 => Ok(()),
        _ => Err(TagFailed),
    }
}

#[inline(always)]
fn push_one(ctx: &TcContext, tag: Tag) -> Result<(), TagFailed> {
    // SAFETY: the context is the program's own.
    match unsafe { bpf_skb_vlan_push(ctx.skb.skb, tag.ethertype.to_be(), tag.tci) } {
        0 => Ok(()),
        _ => Err(TagFailed),
    }
}
