//! What XDP decides of a frame from the wire, before the kernel makes an skb of it.
//!
//! It only decides what it can finish by itself. All else passes to tc, where [`super::from_uplink`] decides.

use super::{Place, Tables, place};
use crate::{Frame, Reason, Receiver, Tag, flags, frame::Mac, is_group, mode};

/// What XDP may do beside letting frames pass, and which networks it has to reckon with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Powers {
    /// Drop VLANs that nobody uses.
    pub drops_unknown_vlan: bool,
    /// Drop unicast that is for nobody here.
    pub drops_unknown_unicast: bool,
    /// Give unicast to endpoints.
    pub redirects: bool,
    /// A network has two tags.
    pub has_qinq: bool,
    /// A network is in source mode.
    pub has_source_mode: bool,
}

/// The tables that these rules read beside [`Tables`].
pub trait HostTables: Tables {
    /// True for a VLAN that a network or a device of the host uses.
    fn is_known_vlan(&self, tag: Tag) -> bool;
    /// True for an address by which the host is reached.
    fn is_hosts(&self, mac: &Mac) -> bool;
    /// True if an endpoint in source mode listens to `source`.
    fn is_heard(&self, segment: u16, source: &Mac) -> bool;
}

/// The way of a frame that has just come from the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Early {
    /// On to tc, untouched.
    Pass,
    Drop(Reason),
    /// Pop as many tags, and give it to this endpoint.
    Redirect {
        to: Receiver,
        tags: u8,
    },
}

/// Decides a frame.
#[inline(always)]
pub fn early(frame: &Frame, powers: Powers, tables: &impl HostTables) -> Early {
    let tag = frame.tag;
    // VLAN id 0 is no VLAN (IEEE 802.1Q table 9-2): its frames are the untagged segment's.
    let has_vlan = tag.is_some() && tag.vlan() != 0;
    if powers.drops_unknown_vlan && has_vlan && !tables.is_known_vlan(tag) {
        return Early::Drop(Reason::FilteredVlan);
    }
    if is_group(&frame.dst) {
        return Early::Pass;
    }
    if let Some(place) = place(frame, powers.has_qinq, tables) {
        // A listener's copy, or the whole frame (`nodst`), is tc's to give.
        if powers.has_source_mode && tables.is_heard(place.segment, &frame.src) {
            return Early::Pass;
        }
        match receiver(frame, place, tables) {
            Known::Endpoint(to) if powers.redirects && fits(to) => {
                return Early::Redirect {
                    to,
                    tags: place.tags,
                };
            }
            Known::Endpoint(_) | Known::Passthru => return Early::Pass,
            Known::Nobody => {}
        }
    }
    if powers.drops_unknown_unicast && !tables.is_hosts(&frame.dst) {
        return Early::Drop(Reason::FilteredUnicast);
    }
    Early::Pass
}

/// Who takes a unicast frame in its segment.
enum Known {
    Endpoint(Receiver),
    /// One that has the whole segment, to whom the frame is not addressed: only tc can make it one for the container.
    Passthru,
    Nobody,
}

#[inline(always)]
fn receiver(frame: &Frame, place: Place, tables: &impl Tables) -> Known {
    match tables.fdb(place.segment, &frame.dst) {
        Some(to) if to.mode == mode::SOURCE => Known::Nobody,
        Some(to) => Known::Endpoint(to),
        None => match tables.segment(place.segment) {
            Some(segment) if segment.passthru_ifindex != 0 => Known::Passthru,
            _ => Known::Nobody,
        },
    }
}

/// True if an endpoint needs nothing of a frame that only an skb has.
#[inline(always)]
fn fits(to: Receiver) -> bool {
    to.flags & flags::INGRESS_PRIORITY == 0
}

#[cfg(test)]
mod tests;
