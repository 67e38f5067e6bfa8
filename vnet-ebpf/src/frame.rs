//! Gives the parser what the kernel has of a frame.

use aya_ebpf::programs::TcContext;
use network_types::eth::EthHdr;
use vnet_common::{
    Frame, Reason, Tag,
    parse::{self, Packet},
};

use crate::config;

/// The frame's addresses and tags, or why they can't be read.
#[inline(always)]
pub fn parse(ctx: &TcContext) -> Result<Frame, Reason> {
    parse::parse(&Skb(ctx), config::has_qinq())
}

struct Skb<'a>(&'a TcContext);

impl Packet for Skb<'_> {
    #[inline(always)]
    fn length(&self) -> usize {
        self.0.len() as usize
    }

    /// Nothing of a frame that keeps its header outside the linear part of the skb.
    #[inline(always)]
    fn header(&self) -> Option<EthHdr> {
        let start = self.0.data();
        if start + EthHdr::LEN > self.0.data_end() {
            return None;
        }
        // SAFETY: within the frame, as just checked; the kernel aligns no Ethernet header to more than
        // two bytes, which `read_unaligned` covers.
        Some(unsafe { (start as *const EthHdr).read_unaligned() })
    }

    #[inline(always)]
    fn pull_header(&self) -> bool {
        self.0.pull_data(EthHdr::LEN as u32).is_ok()
    }

    #[inline(always)]
    fn tag_beside(&self) -> Tag {
        // SAFETY: the context outlives the program's run.
        let skb = unsafe { &*self.0.skb.skb };
        if skb.vlan_present == 0 {
            return Tag::NONE;
        }
        Tag {
            ethertype: u16::from_be(skb.vlan_proto as u16),
            tci: skb.vlan_tci as u16,
        }
    }

    #[inline(always)]
    fn tci_in_data(&self) -> Option<u16> {
        self.0.load::<u16>(EthHdr::LEN).ok().map(u16::from_be)
    }
}
