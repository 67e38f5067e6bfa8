//! The uplink's XDP program: reads a frame, and gives it to a veth endpoint.
//!
//! Here all tags are in the data. One that the NIC took off is nowhere, so user space attaches nothing that needs tags
//! where a NIC does that.

use core::mem::size_of;

use aya_ebpf::{
    bindings::xdp_action,
    helpers::{bpf_check_mtu, bpf_xdp_adjust_head, bpf_xdp_get_buff_len},
    programs::XdpContext,
};
use network_types::eth::EthHdr;
use vnet_common::{
    ETHER_TYPE_8021AD, ETHER_TYPE_8021Q, Frame, Reason, Receiver, Tag, VLAN_TAG_BYTES,
};

use crate::{config, count, tables::XDP_RECEIVERS};

/// Both addresses of a frame.
type Addresses = [u32; 3];

/// The frame's addresses and tags; nothing if it is shorter than its header.
#[inline(always)]
pub fn parse(ctx: &XdpContext) -> Option<Frame> {
    let header: EthHdr = read(ctx, 0)?;
    let tag = tag(ctx, u16::from_be(header.ether_type), EthHdr::LEN)?;
    let inner = match config::has_qinq() && tag.is_some() {
        true => {
            let behind = EthHdr::LEN + VLAN_TAG_BYTES;
            let ethertype = read::<u16>(ctx, behind - size_of::<u16>())?;
            self::tag(ctx, u16::from_be(ethertype), behind)?
        }
        false => Tag::NONE,
    };
    Some(Frame {
        dst: header.dst_addr,
        src: header.src_addr,
        tag,
        inner,
    })
}

/// The tag of this protocol identifier whose control information is at `at`; nothing where the frame ends before it.
#[inline(always)]
fn tag(ctx: &XdpContext, ethertype: u16, at: usize) -> Option<Tag> {
    match ethertype {
        ETHER_TYPE_8021Q | ETHER_TYPE_8021AD => Some(Tag {
            ethertype,
            tci: u16::from_be(read(ctx, at)?),
        }),
        _ => Some(Tag::NONE),
    }
}

/// Pops the tags and gives the frame to an endpoint; one that can't go this way passes to tc, as it came.
#[inline(always)]
pub fn deliver(ctx: &XdpContext, to: Receiver, tags: u8) -> u32 {
    let popped = u32::from(tags) * VLAN_TAG_BYTES as u32;
    let Some(bytes) = deliverable(ctx, to, popped) else {
        return xdp_action::XDP_PASS;
    };
    if popped > 0 && pop(ctx, popped).is_none() {
        count::reason(Reason::TagFailed);
        return xdp_action::XDP_DROP;
    }
    match XDP_RECEIVERS.redirect(to.ifindex, u64::from(xdp_action::XDP_DROP)) {
        Ok(way) => {
            count::rx(to.endpoint, bytes);
            way
        }
        // Its row went this instant, and so did its tags.
        Err(way) => {
            count::reason(Reason::NotAnEndpoint);
            way
        }
    }
}

/// The frame's length without its tags, if XDP can give it to the endpoint: one whose other end takes frames by NAPI, which
/// is what a row in `xdp_receivers` says; and of a frame in one buffer that is not longer than the link takes.
#[inline(always)]
fn deliverable(ctx: &XdpContext, to: Receiver, popped: u32) -> Option<u32> {
    XDP_RECEIVERS.get_ifindex(to.ifindex)?;
    // SAFETY: the context is the program's own.
    let bytes = unsafe { bpf_xdp_get_buff_len(ctx.ctx) } as u32;
    if bytes as usize > ctx.data_end() - ctx.data() {
        return None;
    }
    let mut any_mtu = 0;
    // SAFETY: as above; the number is the program's own.
    let fits = unsafe {
        bpf_check_mtu(
            ctx.ctx.cast(),
            to.ifindex,
            &raw mut any_mtu,
            -(popped as i32),
            0,
        )
    };
    (fits == 0).then_some(bytes - popped)
}

/// Takes `popped` bytes of tags out from behind the addresses.
#[inline(always)]
fn pop(ctx: &XdpContext, popped: u32) -> Option<()> {
    let addresses: Addresses = read(ctx, 0)?;
    // SAFETY: the context is the program's own.
    if unsafe { bpf_xdp_adjust_head(ctx.ctx, popped as i32) } != 0 {
        return None;
    }
    let start = ctx.data();
    if start + size_of::<Addresses>() > ctx.data_end() {
        return None;
    }
    // SAFETY: within the frame, as just checked.
    unsafe { (start as *mut Addresses).write_unaligned(addresses) };
    Some(())
}

/// What stands at an offset of the frame, in the frame's byte order.
#[inline(always)]
fn read<T: Copy>(ctx: &XdpContext, offset: usize) -> Option<T> {
    let start = ctx.data() + offset;
    if start + size_of::<T>() > ctx.data_end() {
        return None;
    }
    // SAFETY: within the frame, as just checked; every bit pattern is a value of the types that are read here.
    Some(unsafe { (start as *const T).read_unaligned() })
}
