//! Reads of a frame what the rules need.

use aya_ebpf::programs::TcContext;
use network_types::eth::{EthHdr, EtherType};
use vnet_common::{Frame, Reason, Tag};

/// The frame's addresses and outermost tag, or why they can't be read.
#[inline(always)]
pub fn parse(ctx: &TcContext) -> Result<Frame, Reason> {
    let header = match header(ctx) {
        Some(header) => header,
        None => pull_header(ctx)?,
    };
    Ok(Frame {
        dst: header.dst_addr,
        src: header.src_addr,
        tag: tag(ctx, header.ether_type),
    })
}

/// The header of a frame that keeps it outside the linear part of the skb.
#[inline(always)]
fn pull_header(ctx: &TcContext) -> Result<EthHdr, Reason> {
    if ctx.len() < EthHdr::LEN as u32 {
        return Err(Reason::ShortFrame);
    }
    if ctx.pull_data(EthHdr::LEN as u32).is_err() {
        return Err(Reason::PullFailed);
    }
    header(ctx).ok_or(Reason::ShortFrame)
}

#[inline(always)]
fn header(ctx: &TcContext) -> Option<EthHdr> {
    let start = ctx.data();
    if start + EthHdr::LEN > ctx.data_end() {
        return None;
    }
    // SAFETY: within the frame, as just checked; the kernel aligns no Ethernet header to more than
    // two bytes, which `read_unaligned` covers.
    Some(unsafe { (start as *const EthHdr).read_unaligned() })
}

/// The kernel keeps a tag beside the frame (`skb->vlan_tci`), or, where a sender wrote it himself
/// and nobody took it out yet (netkit, packet sockets), in the data.
#[inline(always)]
fn tag(ctx: &TcContext, ether_type: u16) -> Tag {
    const DOT1Q: u16 = EtherType::Ieee8021q as u16;
    const DOT1AD: u16 = EtherType::Ieee8021ad as u16;

    // SAFETY: the context outlives the program's run.
    let skb = unsafe { &*ctx.skb.skb };
    if skb.vlan_present != 0 {
        return if skb.vlan_proto as u16 == DOT1Q {
            Tag::Dot1q(skb.vlan_tci as u16)
        } else {
            Tag::Other
        };
    }
    match ether_type {
        // At the uplink `skb_vlan_untag` has run, so this is an endpoint's, whose id nobody reads.
        DOT1Q | DOT1AD => Tag::Other,
        _ => Tag::None,
    }
}
