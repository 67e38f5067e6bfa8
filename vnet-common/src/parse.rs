//! Reads of a frame what the rules look at, whatever its length and its tags.

use network_types::eth::{EthHdr, EtherType};

use crate::{Frame, Reason, Tag};

const DOT1Q: u16 = EtherType::Ieee8021q as u16;
const DOT1AD: u16 = EtherType::Ieee8021ad as u16;

/// A frame as a kernel gives it: in one piece or in several, the outermost tag beside the data or in it.
pub trait Packet {
    /// Of the whole frame, in bytes, without a tag that is beside it.
    fn length(&self) -> usize;
    /// Nothing where the frame ends before, or while not all of it is in the piece that can be read at once.
    fn header(&self) -> Option<EthHdr>;
    /// Makes the header readable at once. False where that fails.
    fn pull_header(&self) -> bool;
    /// The tag beside the data, [`Tag::NONE`] where there is none.
    fn tag_beside(&self) -> Tag;
    /// The control information of a tag behind the header; nothing where the frame ends before.
    fn tci_in_data(&self) -> Option<u16>;
}

/// The frame's addresses and tags. The inner tag is only read where there are networks of two tags.
///
/// A tag that the frame's end cuts short counts as one with VLAN id 0.
///
/// # Errors
///
/// [`Reason::ShortFrame`] and [`Reason::PullFailed`].
#[inline(always)]
pub fn parse(packet: &impl Packet, has_qinq: bool) -> Result<Frame, Reason> {
    let header = match packet.header() {
        Some(header) => header,
        None => pulled_header(packet)?,
    };
    let (tag, inner) = tags(packet, header.ether_type, has_qinq);
    Ok(Frame {
        dst: header.dst_addr,
        src: header.src_addr,
        tag,
        inner,
    })
}

#[inline(always)]
fn pulled_header(packet: &impl Packet) -> Result<EthHdr, Reason> {
    if packet.length() < EthHdr::LEN {
        return Err(Reason::ShortFrame);
    }
    if !packet.pull_header() {
        return Err(Reason::PullFailed);
    }
    packet.header().ok_or(Reason::ShortFrame)
}

/// The outermost tag and the one behind it.
///
/// A kernel keeps the outermost beside the frame (`skb->vlan_tci`), or, where a sender wrote it himself and nobody took
/// it out yet (netkit, packet sockets), in the data.
#[inline(always)]
fn tags(packet: &impl Packet, ether_type: u16, has_qinq: bool) -> (Tag, Tag) {
    let in_data = match ether_type {
        DOT1Q | DOT1AD => Tag {
            ethertype: u16::from_be(ether_type),
            tci: if has_qinq {
                packet.tci_in_data().unwrap_or(0)
            } else {
                0
            },
        },
        _ => Tag::NONE,
    };
    let beside = packet.tag_beside();
    if !beside.is_some() {
        // At the uplink `skb_vlan_untag` has run, so this is an endpoint's, of which nobody asks for an inner tag.
        return (in_data, Tag::NONE);
    }
    (beside, in_data)
}

#[cfg(test)]
mod tests;
