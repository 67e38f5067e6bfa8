//! The last step of a frame that goes to one place.

use aya_ebpf::{
    helpers::{bpf_redirect, bpf_redirect_peer},
    programs::TcContext,
};
use vnet_common::{Reason, Receiver};

use crate::{config, count, drop_counted};

/// `PACKET_HOST` of `include/uapi/linux/if_packet.h`: the frame is for this host.
const PACKET_HOST: u32 = 0;

/// Who gets a frame.
pub trait Destination: Copy {
    /// The host side of the endpoint's link.
    fn ifindex(self) -> u32;
    /// The endpoint's number.
    fn endpoint(self) -> u16;
}

impl Destination for Receiver {
    #[inline(always)]
    fn ifindex(self) -> u32 {
        self.ifindex
    }

    #[inline(always)]
    fn endpoint(self) -> u16 {
        self.endpoint
    }
}

/// From the wire into a container.
#[inline(always)]
pub fn from_uplink(ctx: &TcContext, to: impl Destination) -> i32 {
    into_peer(ctx, to)
}

/// From a container to its sibling.
#[inline(always)]
pub fn from_endpoint(ctx: &TcContext, to: impl Destination) -> i32 {
    if config::endpoint_is_netkit() {
        // netkit's program runs on the sender's way out, where `bpf_redirect_peer` is refused.
        ctx.set_mark(0);
        count::rx(to.endpoint(), ctx.len());
        // SAFETY: a helper without pointers.
        return unsafe { bpf_redirect(to.ifindex(), 0) as i32 };
    }
    into_peer(ctx, to)
}

/// A group frame to one container alone: by the host side, so that the receiving device sets the packet type itself.
#[inline(always)]
pub fn group(ctx: &TcContext, to: Receiver) -> i32 {
    ctx.set_mark(0);
    count::rx(to.endpoint, ctx.len());
    // SAFETY: a helper without pointers.
    unsafe { bpf_redirect(to.ifindex, 0) as i32 }
}

/// Out of the uplink.
#[inline(always)]
pub fn to_wire(ctx: &TcContext) -> i32 {
    ctx.set_mark(0);
    // SAFETY: a helper without pointers.
    unsafe { bpf_redirect(config::uplink_ifindex(), 0) as i32 }
}

/// Straight into the container's end of the link, without the backlog of the host side.
#[inline(always)]
fn into_peer(ctx: &TcContext, to: impl Destination) -> i32 {
    // A mark of the host's own rules means nothing in the container.
    ctx.set_mark(0);
    // Its MAC is not the device's where it arrived, so the kernel took it for somebody else's.
    if ctx.change_type(PACKET_HOST).is_err() {
        return drop_counted(Reason::TypeFailed);
    }
    count::rx(to.endpoint(), ctx.len());
    // SAFETY: a helper without pointers.
    unsafe { bpf_redirect_peer(to.ifindex(), 0) as i32 }
}
