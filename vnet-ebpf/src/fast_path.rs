//! What nearly every frame needs, and nothing else: unicast where no network has two tags, priorities or source lists.
//!
//! It decides as `vnet_common::rules` do, by tables whose lookup costs a few instructions (`vnet_common::direct`). A frame that
//! it has no answer for goes the general way.

use aya_ebpf::{
    bindings::__sk_buff,
    btf_maps::Array,
    helpers::{bpf_skb_vlan_pop, bpf_skb_vlan_push},
    programs::TcContext,
};
use network_types::eth::EthHdr;
use vnet_common::{
    DirectRow, ETHER_TYPE_8021AD, ETHER_TYPE_8021Q, Reason, UNTAGGED, VLAN_ID_MASK, direct,
    fast_path, mode,
};

use crate::{
    HAND_ON, count,
    deliver::{self, Destination},
    drop_counted,
    tables::{DIRECT_FDB, DIRECT_SEGMENTS, DIRECT_SENDERS},
};

/// The protocol identifier of a segment's tag, as it stands in a frame.
const PROTOCOL: u16 = ETHER_TYPE_8021Q.to_be();
/// The bit of a group's address (IEEE 802 clause 8.2.2), in a word that begins with it.
const GROUP: u64 = 1;

/// A frame's header, in the linear part of the skb.
struct Header {
    start: usize,
}

impl Header {
    #[inline(always)]
    fn of(ctx: &TcContext) -> Option<Self> {
        let start = ctx.data();
        (start + EthHdr::LEN <= ctx.data_end()).then_some(Self { start })
    }

    /// The destination, and the source's first two bytes.
    #[inline(always)]
    fn dst_word(&self) -> u64 {
        self.word::<0>()
    }

    /// The source, and the protocol identifier behind it.
    #[inline(always)]
    fn src_word(&self) -> u64 {
        self.word::<6>()
    }

    #[inline(always)]
    fn word<const AT: usize>(&self) -> u64 {
        // SAFETY: within the frame, as `of` has checked. That it may be at an odd address is more than Rust allows; for
        // this target it becomes one load of the BPF machine, which may be anywhere in a packet where the architecture has
        // such loads (x86-64, arm64, and all with CONFIG_HAVE_EFFICIENT_UNALIGNED_ACCESS), and which the verifier refuses
        // elsewhere.
        unsafe { ((self.start + AT) as *const u64).read_volatile() }
    }
}

/// A known unicast frame from the wire.
#[inline(always)]
pub fn from_uplink(ctx: &TcContext, kind: u8) -> Option<i32> {
    let segment = segment(skb(ctx), kind)?;
    let to = Header::of(ctx)?.dst_word();
    let key = direct::key(segment, to);
    let row = Row::of(&DIRECT_FDB, direct::fdb_row(key))?;
    let found = row.key();
    if found != key {
        return match to & GROUP == 0 && !row.has_to_ask(found) {
            true => hand_on_unknown(segment),
            false => None,
        };
    }
    if key as u16 != UNTAGGED {
        // SAFETY: the context is the program's own.
        let popped = unsafe { bpf_skb_vlan_pop(ctx.skb.skb) };
        if popped != 0 {
            return Some(drop_counted(Reason::TagFailed));
        }
    }
    Some(deliver::from_uplink(ctx, row))
}

/// Unicast of nobody here goes on to the host.
#[inline(always)]
fn hand_on_unknown(segment: u16) -> Option<i32> {
    let reason = match *DIRECT_SEGMENTS.get(u32::from(segment))? {
        direct::UNUSED => Reason::UnknownVlan,
        direct::BY_ADDRESS => Reason::UnknownUnicast,
        _ => return None,
    };
    count::reason(reason);
    Some(HAND_ON)
}

/// Unicast of an endpoint in bridge mode that sends from its own address.
#[inline(always)]
pub fn from_endpoint(ctx: &TcContext, kind: u8) -> Option<i32> {
    let skb = skb(ctx);
    let sender = Row::of(&DIRECT_SENDERS, direct::sender_row(skb.ifindex))?;
    if sender.ifindex() != skb.ifindex {
        return None;
    }
    let header = Header::of(ctx)?;
    let (to, from) = (header.dst_word(), header.src_word());
    // Where the addresses are the same, the segment is what is left; and it must be one, for a row may be in change.
    let segment = direct::key(0, from) ^ sender.key();
    if segment > u64::from(VLAN_ID_MASK) || to & GROUP != 0 {
        return None;
    }
    if segment == u64::from(UNTAGGED) && is_tagged(skb, kind, from) {
        return None;
    }
    let key = direct::key(0, to) | segment;
    let row = Row::of(&DIRECT_FDB, direct::fdb_row(key))?;
    let found = row.key();
    if found == key && row.mode() == mode::BRIDGE {
        count::tx(sender.endpoint(), ctx.len());
        return Some(deliver::from_endpoint(ctx, row));
    }
    if row.has_to_ask(found) {
        return None;
    }
    count::tx(sender.endpoint(), ctx.len());
    let segment = key as u16;
    if segment != UNTAGGED {
        // SAFETY: the context is the program's own.
        let pushed = unsafe { bpf_skb_vlan_push(ctx.skb.skb, PROTOCOL, segment) };
        if pushed != 0 {
            return Some(drop_counted(Reason::TagFailed));
        }
    }
    Some(deliver::to_wire(ctx))
}

/// The segment that a frame's one tag names, or its having none.
#[inline(always)]
fn segment(skb: &__sk_buff, kind: u8) -> Option<u16> {
    if kind == fast_path::TAG_BY_FLAG && skb.vlan_present == 0 {
        return Some(UNTAGGED);
    }
    match skb.vlan_proto as u16 {
        PROTOCOL => match skb.vlan_tci as u16 & VLAN_ID_MASK {
            UNTAGGED => None,
            segment => Some(segment),
        },
        0 => Some(UNTAGGED),
        _ => None,
    }
}

/// True for a frame with a tag of its own.
#[inline(always)]
fn is_tagged(skb: &__sk_buff, kind: u8, from: u64) -> bool {
    let is_gone = kind == fast_path::TAG_BY_FLAG && skb.vlan_present == 0;
    let is_beside = skb.vlan_proto != 0 && !is_gone;
    let behind_addresses = (from >> 48) as u16;
    is_beside || behind_addresses == PROTOCOL || behind_addresses == ETHER_TYPE_8021AD.to_be()
}

/// A row, of which each field is read where it is needed: what is kept in a register over a call of the kernel has to be saved
/// first. What a row leads to is the same as long as a program may read it (`vnet_common::direct`).
#[derive(Clone, Copy)]
struct Row(*const DirectRow);

macro_rules! fields {
    ($($name:ident: $type:ty,)+) => {$(
        #[inline(always)]
        fn $name(self) -> $type {
            // SAFETY: `of` made sure that there is a row.
            unsafe { (&raw const (*self.0).$name).read_volatile() }
        }
    )+};
}

impl Row {
    #[inline(always)]
    fn of<const ROWS: usize>(table: &Array<DirectRow, ROWS>, index: u32) -> Option<Self> {
        table.get_ptr(index).map(Self)
    }

    fields! {
        mode: u8,
        ask: u8,
    }

    /// What is compared of it, in one load.
    #[inline(always)]
    fn key(self) -> u64 {
        // SAFETY: as above; the kernel aligns elements to 8 bytes, and a row is longer.
        unsafe { self.0.cast::<u64>().read_volatile() }
    }

    /// True if who is not `found` in it may still be there: the row is in change, or somebody else's too.
    #[inline(always)]
    fn has_to_ask(self, found: u64) -> bool {
        found as u16 == direct::CHANGING || self.ask() != 0
    }
}

impl Destination for Row {
    fields! {
        ifindex: u32,
        endpoint: u16,
    }
}

#[inline(always)]
fn skb(ctx: &TcContext) -> &__sk_buff {
    // SAFETY: the context outlives the program's run.
    unsafe { &*ctx.skb.skb }
}
