//! A clone for each of several receivers.

use aya_ebpf::{bindings::BPF_F_INGRESS, helpers::bpf_redirect, programs::TcContext};
use vnet_common::{
    Endpoint, Frame, MAX_FLOOD_SLOTS, MAX_SOURCE_SLOTS, Mac, Reason, Receiver, Segment,
    crowd::{NO_PCP, ROUND_SLOTS, Round},
    flags, mode,
    rules::{Place, Tables as _},
};

use crate::{
    HAND_ON, config, count, drop_counted,
    multicast::{self, Audience},
    note,
    opaque::Opaque as _,
    priority,
    tables::{self, Maps},
    vlan,
};

/// The mark of a frame on its way back in.
const REINJECTED: u32 = u32::from_be_bytes(*b"vnet");

/// A group frame from the wire: copies without the tags to the endpoints; then the frame, as it came, on to the host,
/// whose own ARP and neighbour discovery live there.
#[inline(always)]
pub fn from_uplink(
    ctx: &TcContext,
    place: Place,
    frame: &Frame,
    segment: Segment,
    modes: u8,
    except: u16,
    reason: Reason,
) -> i32 {
    let own = HostsOwn::take(ctx);
    if vlan::pop(ctx, place).is_err() {
        return drop_counted(Reason::TagFailed);
    }
    count::reason(reason);
    let pcp = priority::pcp(frame, place);
    let audience = multicast::from_uplink(ctx, place.segment, &frame.dst);
    let copies = Copies {
        round: Round {
            segment: place.segment,
            slot: 0,
            modes,
            except,
            pcp,
        },
        slots: segment.flood_slots,
        audience,
        relay: segment.relay_ifindex,
    };
    let (place, frame) = (place.opaque(), (*frame).opaque());
    copies.send(ctx);
    own.give_back(ctx);
    match vlan::restore(ctx, place, &frame) {
        Ok(()) => go_on(ctx, &frame),
        Err(_) => drop_counted(Reason::TagFailed),
    }
}

/// A frame that has its tags back goes on; where the kernel needs that, by coming in anew.
#[inline(always)]
pub fn go_on(ctx: &TcContext, frame: &Frame) -> i32 {
    if config::reinject_restored() && frame.inner.is_some() {
        ctx.set_mark(REINJECTED);
        // SAFETY: a helper without pointers.
        return unsafe { bpf_redirect(config::uplink_ifindex(), u64::from(BPF_F_INGRESS)) as i32 };
    }
    HAND_ON
}

/// True for a frame that [`go_on`] let come in anew; it has been here.
#[inline(always)]
pub fn was_reinjected(ctx: &TcContext) -> bool {
    if !config::reinject_restored() || mark(ctx) != REINJECTED {
        return false;
    }
    ctx.set_mark(0);
    true
}

/// Copies for all endpoints of the sender's segment in bridge mode but itself.
#[inline(always)]
pub fn to_siblings(ctx: &TcContext, sender: &Endpoint, segment: Segment, dst: &Mac) {
    ctx.set_mark(0);
    let copies = Copies {
        round: Round {
            segment: sender.segment,
            slot: 0,
            modes: mode::BRIDGE,
            except: sender.endpoint,
            // To a sibling no priority goes (`____dev_forward_skb`), not even that of code point 0.
            pcp: NO_PCP,
        },
        slots: segment.flood_slots,
        audience: multicast::audience(ctx, sender.segment, dst),
        relay: segment.relay_ifindex,
    };
    copies.send(ctx);
}

/// What became of a frame that endpoints in source mode may listen to.
pub enum Listeners {
    /// Nobody listens to its source.
    None,
    /// The frame also goes its usual way; it had its tags off, and has them again.
    GoOn,
    /// The frame was for the listeners alone.
    Consumed,
    /// A tag could not be popped or pushed.
    TagFailed,
}

/// A copy for each endpoint that listens to the frame's source address (`macvlan_forward_source`).
#[inline(always)]
pub fn to_listeners(ctx: &TcContext, place: Place, frame: &Frame) -> Listeners {
    if tables::listener(place.segment, &frame.src, 0).is_none() {
        return Listeners::None;
    }
    let own = HostsOwn::take(ctx);
    if vlan::pop(ctx, place).is_err() {
        return Listeners::TagFailed;
    }
    let pcp = priority::pcp(frame, place);
    let bytes = ctx.len();
    let mut any_flags = 0;
    for slot in 0..MAX_SOURCE_SLOTS as u32 {
        // As in `Copies::send`: no more endpoints are on the segment.
        if !config::has_crowd() && slot >= ROUND_SLOTS {
            break;
        }
        let Some(to) = tables::listener(place.segment, &frame.src, slot as u16) else {
            break;
        };
        any_flags |= to.flags;
        note::for_receiver(ctx, to, pcp, true);
        copy(ctx, to, bytes);
    }
    if any_flags & flags::NODST != 0 {
        return Listeners::Consumed;
    }
    own.give_back(ctx);
    match vlan::restore(ctx, place, frame) {
        Ok(()) => Listeners::GoOn,
        Err(_) => Listeners::TagFailed,
    }
}

/// Copies of one frame, for the endpoints of a segment.
struct Copies {
    round: Round,
    /// One past the highest slot in use.
    slots: u32,
    audience: Audience,
    /// The host side of some endpoint.
    relay: u32,
}

impl Copies {
    /// Makes those of one round, and leaves the rest to the next; all of them, where no next round comes about.
    #[inline(always)]
    fn send(self, ctx: &TcContext) {
        let Round {
            segment,
            slot: first,
            modes,
            except,
            pcp,
        } = self.round.opaque();
        let audience = self.audience.opaque();
        let mut relay = self.relay;
        let bytes = ctx.len();
        // Without a crowd no slot beyond the first round is in use, and the verifier need not follow the loop there.
        let most = match config::has_crowd() {
            true => MAX_FLOOD_SLOTS as u32,
            false => ROUND_SLOTS,
        };
        for index in 0..MAX_FLOOD_SLOTS as u32 {
            if index >= most {
                break;
            }
            let slot = first + index;
            if slot >= self.slots {
                break;
            }
            if config::has_crowd() && index == ROUND_SLOTS {
                let next = Round {
                    segment,
                    slot,
                    modes,
                    except,
                    pcp,
                };
                if leave_to(ctx, next, relay) {
                    break;
                }
            }
            let Some(to) = tables::receiver(segment, slot as u16) else {
                continue;
            };
            if to.mode & modes != 0 && to.endpoint != except && audience.has(to) {
                note::for_receiver(ctx, to, pcp, false);
                if copy(ctx, to, bytes) {
                    relay = to.ifindex;
                }
            }
        }
    }
}

/// Lets a copy come in again for the next round, behind what is in this CPU's backlog. False where there is no room, or no
/// relay.
#[inline(always)]
fn leave_to(ctx: &TcContext, round: Round, relay: u32) -> bool {
    ctx.set_mark(round.mark());
    note::set_tc_index(ctx, round.tc_index());
    let left = ctx.clone_redirect(relay, u64::from(BPF_F_INGRESS)).is_ok();
    ctx.set_mark(0);
    left
}

/// True for a frame that [`leave_to`] let come in.
#[inline(always)]
pub fn is_round(ctx: &TcContext) -> bool {
    config::has_crowd() && Round::is_round(mark(ctx))
}

/// The next round of copies, at the ingress of its relay.
#[inline(always)]
pub fn next_round(ctx: &TcContext, dst: &Mac) {
    let round = Round::read(mark(ctx), note::tc_index(ctx));
    ctx.set_mark(0);
    note::set_tc_index(ctx, 0);
    let Some(segment) = Maps.segment(round.segment) else {
        return;
    };
    let copies = Copies {
        round,
        slots: segment.flood_slots,
        audience: multicast::audience(ctx, round.segment, dst),
        // SAFETY: the context outlives the program's run.
        relay: unsafe { (*ctx.skb.skb).ifindex },
    };
    copies.send(ctx);
}

/// By the host side of the link, not `bpf_redirect_peer`: so the receiving device sets the packet type (broadcast,
/// multicast) itself. False if there is no such link.
#[inline(always)]
fn copy(ctx: &TcContext, to: Receiver, bytes: u32) -> bool {
    match ctx.clone_redirect(to.ifindex, 0) {
        // A copy that the link itself lost (`NET_XMIT_DROP`, and others above zero) is in the link's own count.
        Ok(()) | Err(1..) => {
            count::rx(to.endpoint, bytes);
            true
        }
        Err(_) => {
            count::reason(Reason::CloneFailed);
            false
        }
    }
}

/// What the host's own rules have written on a frame: it means nothing in a container, and goes on with the frame itself.
struct HostsOwn {
    mark: u32,
    tc_index: u32,
}

impl HostsOwn {
    #[inline(always)]
    fn take(ctx: &TcContext) -> Self {
        let own = Self {
            mark: mark(ctx),
            tc_index: note::tc_index(ctx),
        };
        ctx.set_mark(0);
        own
    }

    #[inline(always)]
    fn give_back(self, ctx: &TcContext) {
        ctx.set_mark(self.mark);
        if config::has_notes() || config::has_crowd() {
            note::set_tc_index(ctx, self.tc_index);
        }
    }
}

#[inline(always)]
fn mark(ctx: &TcContext) -> u32 {
    // SAFETY: the context outlives the program's run.
    unsafe { (*ctx.skb.skb).mark }
}
