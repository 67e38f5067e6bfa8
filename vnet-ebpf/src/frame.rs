//! Reads of a frame what the rules need.

use aya_ebpf::programs::TcContext;
use network_types::eth::{EthHdr, EtherType};
use vnet_common::{Frame, Reason, Tag};

use crate::config;

const DOT1Q: u16 = EtherType::Ieee8021q as u16;
const DOT1AD: u16 = EtherType::Ieee8021ad as u16;

/// The frame's addresses and tags, or why they can't be read.
#[inline(always)]
pub fn parse(ctx: &TcContext) -> Result<Frame, Reason> {
    let header = match header(ctx) {
        Some(header) => header,
        None => pull_header(ctx)?,
    };
    let (tag, inner) = tags(ctx, header.ether_type);
    Ok(Frame {
        dst: header.dst_addr,
        src: header.src_addr,
        tag,
        inner,
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

/// The outermost tag and the one behind it.
///
/// The kernel keeps the outermost beside the frame (`skb->vlan_tci`), or, where a sender wrote it himself and nobody took
/// it out yet (netkit, packet sockets), in the data.
#[inline(always)]
fn tags(ctx: &TcContext, ether_type: u16) -> (Tag, Tag) {
    // SAFETY: the context outlives the program's run.
    let skb = unsafe { &*ctx.skb.skb };
    let in_data = match ether_type {
        DOT1Q | DOT1AD => Tag {
            ethertype: u16::from_be(ether_type),
            tci: tci_in_data(ctx),
        },
        _ => Tag::NONE,
    };
    if skb.vlan_present == 0 {
        // At the uplink `skb_vlan_untag` has run, so this is an endpoint's, of which nobody asks for an inner tag.
        return (in_data, Tag::NONE);
    }
    let beside = Tag {
        ethertype: u16::from_be(skb.vlan_proto as u16),
        tci: skb.vlan_tci as u16,
    };
    (beside, in_data)
}

/// The control information of a tag behind the Ethernet header; 0 where the frame ends before it, which is no VLAN, and
/// where no network has two tags, so that nobody asks for it.
#[inline(always)]
fn tci_in_data(ctx: &TcContext) -> u16 {
    if !config::has_qinq() {
        return 0;
    }
    ctx.load::<u16>(EthHdr::LEN).map_or(0, u16::from_be)
}
