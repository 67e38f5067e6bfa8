//! A frame's way, decided: the rule table of `docs/ARCHITECTURE.md` as pure functions.
//!
//! They follow `macvlan_handle_frame`, `macvlan_multicast_rx` and `macvlan_queue_xmit` of `drivers/net/macvlan.c`.

pub mod early;

use crate::{
    ETHER_TYPE_8021Q, Endpoint, Frame, QinqKey, Reason, Receiver, Segment, UNTAGGED, flags,
    frame::Mac, is_group, mode,
};

/// The tables that the rules read: BPF maps in the kernel, plain collections in a test.
pub trait Tables {
    /// Who has `mac` in a segment.
    fn fdb(&self, segment: u16, mac: &Mac) -> Option<Receiver>;
    /// The segment, if a network uses it.
    fn segment(&self, segment: u16) -> Option<Segment>;
    /// The number of a segment of two tags, if a network uses it.
    fn qinq(&self, key: QinqKey) -> Option<u16>;
    /// True if an endpoint may send from `mac` beside its own.
    fn is_allowed(&self, endpoint: u16, mac: &Mac) -> bool;
}

/// Where a frame from the wire belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The segment's number, whether a network uses it or not.
    pub segment: u16,
    /// How many tags are the segment's, and not the frame's own.
    pub tags: u8,
}

/// No endpoint has this number: nobody is left out of a flood.
pub const NOBODY: u16 = u16::MAX;

/// The way of a frame that came from the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FromUplink {
    /// Pop the tags and give it to this endpoint.
    Deliver(Receiver),
    /// A group frame of an endpoint's own that the switch sent back: to that endpoint, and nobody else.
    Return(Receiver),
    /// A copy for each endpoint of the segment in one of `modes` but `except`; the frame itself goes on to the host, and
    /// is counted under `reason`.
    Flood {
        segment: Segment,
        modes: u8,
        except: u16,
        reason: Reason,
    },
    /// On to the host's own stack, untouched.
    HandOn(Reason),
}

/// The way of a frame that came from an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FromEndpoint {
    /// To a sibling in the same segment, as it is.
    Deliver(Receiver),
    /// Push the segment's tags, and out.
    ToWire,
    /// A copy for each sibling in bridge mode, and out.
    Flood(Segment),
}

/// The segment that a frame's tags name; nothing for tags that are no segment's. The kernel's VLAN devices find a
/// frame's place in the same order: `eth0.100.60` before what is on `eth0.100` itself.
#[inline(always)]
pub fn place(frame: &Frame, has_qinq: bool, tables: &impl Tables) -> Option<Place> {
    let Frame { tag, inner, .. } = *frame;
    if !tag.is_some() {
        return Some(Place {
            segment: UNTAGGED,
            tags: 0,
        });
    }
    if has_qinq && inner.ethertype == ETHER_TYPE_8021Q {
        let key = QinqKey {
            outer_ethertype: tag.ethertype,
            outer_vlan: tag.vlan(),
            vlan: inner.vlan(),
        };
        if let Some(segment) = tables.qinq(key) {
            return Some(Place { segment, tags: 2 });
        }
    }
    // VLAN id 0 only carries a priority: the frame belongs to the untagged segment, whose number that is.
    (tag.ethertype == ETHER_TYPE_8021Q).then_some(Place {
        segment: tag.vlan(),
        tags: 1,
    })
}

/// Decides a frame from the wire, in its segment.
#[inline(always)]
pub fn from_uplink(frame: &Frame, segment: u16, tables: &impl Tables) -> FromUplink {
    if is_group(&frame.dst) {
        return group_from_uplink(frame, segment, tables);
    }
    match tables.fdb(segment, &frame.dst) {
        Some(to) if to.mode == mode::SOURCE => FromUplink::HandOn(Reason::UnknownUnicast),
        Some(to) => FromUplink::Deliver(to),
        None => match tables.segment(segment) {
            None => FromUplink::HandOn(Reason::UnknownVlan),
            Some(known) if known.passthru_ifindex == 0 => {
                FromUplink::HandOn(Reason::UnknownUnicast)
            }
            Some(known) => FromUplink::Deliver(known.passthru()),
        },
    }
}

#[inline(always)]
fn group_from_uplink(frame: &Frame, segment: u16, tables: &impl Tables) -> FromUplink {
    let Some(known) = tables.segment(segment) else {
        return FromUplink::HandOn(Reason::UnknownVlan);
    };
    let Some(source) = tables.fdb(segment, &frame.src) else {
        return FromUplink::Flood {
            segment: known,
            modes: mode::HEARS_BROADCAST,
            except: NOBODY,
            reason: Reason::Group,
        };
    };
    // An endpoint's own frame, sent back by the switch. Those in bridge mode have seen it on its way out.
    let modes = match source.mode {
        mode::BRIDGE => mode::VEPA,
        mode::VEPA => mode::VEPA | mode::BRIDGE,
        _ => return FromUplink::Return(source),
    };
    FromUplink::Flood {
        segment: known,
        modes,
        except: source.endpoint,
        reason: Reason::Reflected,
    }
}

/// Why a frame from an endpoint goes nowhere; nothing for one that does.
#[inline(always)]
pub fn guard(frame: &Frame, sender: &Endpoint, tables: &impl Tables) -> Option<Reason> {
    if sender.flags & flags::GUARD_MAC != 0 && frame.src != sender.mac {
        let extra = sender.flags & flags::EXTRA_MACS != 0;
        if !(extra && tables.is_allowed(sender.endpoint, &frame.src)) {
            return Some(Reason::SourceNotAllowed);
        }
    }
    if sender.segment == UNTAGGED && frame.tag.is_some() {
        return Some(Reason::VlanNotAllowed);
    }
    None
}

/// Decides a frame from an endpoint that may send it.
#[inline(always)]
pub fn from_endpoint(frame: &Frame, sender: &Endpoint, tables: &impl Tables) -> FromEndpoint {
    if sender.mode != mode::BRIDGE {
        return FromEndpoint::ToWire;
    }
    if is_group(&frame.dst) {
        return match tables.segment(sender.segment) {
            Some(segment) => FromEndpoint::Flood(segment),
            None => FromEndpoint::ToWire,
        };
    }
    match tables.fdb(sender.segment, &frame.dst) {
        Some(to) if to.mode == mode::BRIDGE => FromEndpoint::Deliver(to),
        _ => FromEndpoint::ToWire,
    }
}

impl Segment {
    /// The endpoint that has the whole segment.
    #[inline(always)]
    fn passthru(&self) -> Receiver {
        Receiver {
            ifindex: self.passthru_ifindex,
            endpoint: self.passthru_endpoint,
            mode: mode::PASSTHRU,
            flags: self.passthru_flags as u8,
        }
    }
}

#[cfg(test)]
mod lab;
#[cfg(test)]
mod tests;
