//! The container's end of an endpoint's link, where a network needs more than the link itself lets through.

use aya_ebpf::programs::TcContext;
use vnet_common::note::Note;

use crate::{note, priority};

/// `PACKET_HOST` of `include/uapi/linux/if_packet.h`: the frame is for this host.
const PACKET_HOST: u32 = 0;

/// A frame that comes in: what the host's side wrote of it becomes so.
#[inline(always)]
pub fn enter(ctx: &TcContext) {
    let note = note::read(ctx);
    priority::set(ctx, note.priority());
    if note.is_for_host() {
        // Of a type that can't be changed it stays as it is, which is what it would be without this program.
        let _ = ctx.change_type(PACKET_HOST);
    }
    note::set_tc_index(ctx, 0);
}

/// A frame that goes out: its priority goes with it.
#[inline(always)]
pub fn leave(ctx: &TcContext) {
    note::write(ctx, Note::new(priority::get(ctx), false));
}
