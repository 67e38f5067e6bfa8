//! The note that goes with a frame between the two ends of an endpoint's link, see `vnet_common::note`.

use aya_ebpf::programs::TcContext;
use vnet_common::{Receiver, note::Note};

use crate::{config, priority};

/// `PACKET_HOST` of `include/uapi/linux/if_packet.h`: the frame is for this host.
const PACKET_HOST: u32 = 0;

/// Writes for the container's end what a frame of a priority code point is there. `listens` if it gets the frame for its
/// source, whomever it is for.
#[inline(always)]
pub fn for_receiver(ctx: &TcContext, to: Receiver, pcp: u16, listens: bool) {
    if !config::has_notes() {
        return;
    }
    // SAFETY: the context outlives the program's run.
    let for_host = listens && unsafe { (*ctx.skb.skb).pkt_type } == PACKET_HOST;
    write(ctx, Note::new(priority::ingress(to, pcp), for_host));
}

/// What a sibling must not take for its own: what the sender's end wrote.
#[inline(always)]
pub fn clear(ctx: &TcContext) {
    if config::has_notes() {
        set_tc_index(ctx, 0);
    }
}

/// What the other end of the link wrote.
#[inline(always)]
pub fn read(ctx: &TcContext) -> Note {
    Note::from_tc_index(tc_index(ctx))
}

/// Writes a note for the other end of the link.
#[inline(always)]
pub fn write(ctx: &TcContext, note: Note) {
    set_tc_index(ctx, note.tc_index());
}

/// What the host's own filters may have written there.
#[inline(always)]
pub fn tc_index(ctx: &TcContext) -> u32 {
    // SAFETY: the context outlives the program's run.
    unsafe { (*ctx.skb.skb).tc_index }
}

#[inline(always)]
pub fn set_tc_index(ctx: &TcContext, tc_index: u32) {
    // SAFETY: as above; tc programs may write it.
    unsafe { (*ctx.skb.skb).tc_index = tc_index };
}
