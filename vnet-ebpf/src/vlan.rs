//! Pushes and pops 802.1Q tags. The kernel keeps the outer one in `skb->vlan_tci`, so neither
//! touches the data, and GSO frames stay whole.

use aya_ebpf::{
    helpers::{bpf_skb_vlan_pop, bpf_skb_vlan_push},
    programs::TcContext,
};
use vnet_common::ETHER_TYPE_8021Q;

/// The kernel's helper failed.
pub struct TagFailed;

/// Takes the outermost tag off. An inner one, if any, moves up.
#[inline(always)]
pub fn pop(ctx: &TcContext) -> Result<(), TagFailed> {
    // SAFETY: the context is the program's own.
    match unsafe { bpf_skb_vlan_pop(ctx.skb.skb) } {
        0 => Ok(()),
        _ => Err(TagFailed),
    }
}

/// Puts a tag with this control information outside of what the frame has.
#[inline(always)]
pub fn push(ctx: &TcContext, tci: u16) -> Result<(), TagFailed> {
    // SAFETY: the context is the program's own.
    match unsafe { bpf_skb_vlan_push(ctx.skb.skb, ETHER_TYPE_8021Q.to_be(), tci) } {
        0 => Ok(()),
        _ => Err(TagFailed),
    }
}
