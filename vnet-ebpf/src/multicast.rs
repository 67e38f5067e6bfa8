//! Snooping: multicast goes to who asked for it, while somebody on the segment keeps asking who does.

use aya_ebpf::{bindings::BPF_NOEXIST, helpers::bpf_ktime_get_ns, programs::TcContext};
use vnet_common::{
    Endpoint, Mac, Member, MemberKey, Querier, QuerierKey, Receiver, Reporter, ReporterKey, flags,
    multicast::{self, Bytes, MEMBERSHIP_NS, Members, Multicast, QUERIER_NS, audience},
};

use crate::{
    config,
    opaque::Opaque,
    tables::{MEMBERS, QUERIERS, REPORTERS},
};

/// Who may get copies of a frame.
#[derive(Clone, Copy)]
pub struct Audience {
    /// One of [`audience`].
    kind: u16,
    family: u16,
    group: Mac,
    /// `CLOCK_MONOTONIC`, nanoseconds.
    now: u64,
}

impl Audience {
    /// Everybody.
    #[inline(always)]
    pub fn all() -> Self {
        Self {
            kind: audience::ALL,
            family: 0,
            group: [0; 6],
            now: 0,
        }
    }

    /// True if a receiver may get a copy. One that never said what it wants gets everything.
    #[inline(always)]
    pub fn has(&self, to: Receiver) -> bool {
        if !config::has_snooping()
            || self.kind == audience::ALL
            || to.flags & flags::ALL_MULTICAST != 0
        {
            return true;
        }
        let key = ReporterKey {
            endpoint: to.endpoint,
            family: self.family,
        };
        // SAFETY: as the module `tables` says.
        let Some(reporter) = (unsafe { REPORTERS.get(key) }) else {
            return true;
        };
        if reporter.everything_until_ns > self.now {
            return true;
        }
        let key = MemberKey {
            endpoint: to.endpoint,
            group: self.group,
        };
        // SAFETY: as above.
        let member = unsafe { MEMBERS.get(key) };
        self.kind == audience::MEMBERS && member.is_some_and(|member| member.until_ns > self.now)
    }
}

impl Opaque for Audience {
    #[inline(always)]
    fn opaque(self) -> Self {
        Self {
            kind: self.kind.opaque(),
            family: self.family.opaque(),
            ..self
        }
    }
}

impl Opaque for Multicast {
    #[inline(always)]
    fn opaque(self) -> Self {
        Self {
            family: self.family.opaque(),
            message: self.message.opaque(),
            ..self
        }
    }
}

/// The audience of a group frame from the wire, without its segment's tags.
#[inline(always)]
pub fn from_uplink(ctx: &TcContext, segment: u16, dst: &Mac) -> Audience {
    if !config::has_snooping() || is_tagged(ctx) {
        return Audience::all();
    }
    let multicast = multicast::parse(&Packet(ctx), dst);
    note_query(ctx, segment, &multicast);
    audience_of(segment, &multicast, dst)
}

/// The audience of a group frame from an endpoint.
#[inline(always)]
pub fn audience(ctx: &TcContext, segment: u16, dst: &Mac) -> Audience {
    if !config::has_snooping() || is_tagged(ctx) {
        return Audience::all();
    }
    audience_of(segment, &multicast::parse(&Packet(ctx), dst), dst)
}

/// Learns what an endpoint wants from a group frame of its own.
#[inline(always)]
pub fn learn(ctx: &TcContext, sender: &Endpoint, dst: &Mac) {
    if is_tagged(ctx) {
        return;
    }
    let multicast = multicast::parse(&Packet(ctx), dst);
    let mut said = Said {
        endpoint: sender.endpoint,
        family: multicast.family.opaque(),
        now: now(),
    };
    if multicast.is_query() {
        note_query(ctx, sender.segment, &multicast);
        // Who asks is a router, which needs what others want (RFC 4541 section 2.1.1).
        said.everything();
    } else if multicast.is_report() {
        let multicast = multicast.opaque();
        let key = said.key();
        let first = Reporter {
            everything_until_ns: 0,
        };
        let _ = REPORTERS.insert(key, first, u64::from(BPF_NOEXIST));
        multicast::read_report(&Packet(ctx), &multicast, &mut said);
    }
}

/// A tag of the frame's own: what is behind it belongs to another network.
#[inline(always)]
fn is_tagged(ctx: &TcContext) -> bool {
    // SAFETY: the context outlives the program's run.
    unsafe { (*ctx.skb.skb).vlan_present != 0 }
}

#[inline(always)]
fn audience_of(segment: u16, multicast: &Multicast, dst: &Mac) -> Audience {
    if multicast.audience == audience::ALL {
        return Audience::all();
    }
    let key = QuerierKey {
        segment,
        family: multicast.family,
    };
    // SAFETY: as the module `tables` says.
    let Some(querier) = (unsafe { QUERIERS.get(key).copied() }) else {
        return Audience::all();
    };
    let now = now();
    if now < querier.answered_ns || now >= querier.until_ns {
        return Audience::all();
    }
    Audience {
        kind: multicast.audience,
        family: multicast.family,
        group: *dst,
        now,
    }
}

/// Notes that somebody asks who wants which groups. Until all have had the time to answer, everybody gets everything.
#[inline(always)]
fn note_query(ctx: &TcContext, segment: u16, multicast: &Multicast) {
    let Some(delay) = multicast::general_query(&Packet(ctx), multicast) else {
        return;
    };
    let key = QuerierKey {
        segment,
        family: multicast.family,
    };
    let now = now();
    // SAFETY: as the module `tables` says.
    let known = unsafe { QUERIERS.get(key).copied() };
    let answered_ns = match known {
        Some(querier) if now < querier.until_ns => querier.answered_ns,
        _ => now + delay,
    };
    let querier = Querier {
        answered_ns,
        until_ns: now + QUERIER_NS,
    };
    // Where there is no room, nobody is left out.
    let _ = QUERIERS.insert(key, querier, 0);
}

/// What an endpoint says of its groups, as it goes into the maps.
struct Said {
    endpoint: u16,
    family: u16,
    now: u64,
}

impl Said {
    #[inline(always)]
    fn key(&self) -> ReporterKey {
        ReporterKey {
            endpoint: self.endpoint,
            family: self.family,
        }
    }

    #[inline(always)]
    fn member(&self, group: &Mac) -> MemberKey {
        MemberKey {
            endpoint: self.endpoint,
            group: *group,
        }
    }
}

impl Members for Said {
    #[inline(always)]
    fn join(&mut self, group: &Mac) -> bool {
        let member = Member {
            until_ns: self.now + MEMBERSHIP_NS,
        };
        MEMBERS.insert(self.member(group), member, 0).is_ok()
    }

    #[inline(always)]
    fn leave(&mut self, group: &Mac) {
        // One that is not there is fine.
        let _ = MEMBERS.remove(self.member(group));
    }

    #[inline(always)]
    fn everything(&mut self) {
        let reporter = Reporter {
            everything_until_ns: self.now + MEMBERSHIP_NS,
        };
        let _ = REPORTERS.insert(self.key(), reporter, 0);
    }
}

/// A frame's bytes.
struct Packet<'a>(&'a TcContext);

impl Bytes for Packet<'_> {
    #[inline(always)]
    fn u8(&self, at: usize) -> Option<u8> {
        self.0.load(at).ok()
    }

    #[inline(always)]
    fn u16(&self, at: usize) -> Option<u16> {
        self.0.load(at).ok().map(u16::from_be)
    }

    #[inline(always)]
    fn four(&self, at: usize) -> Option<[u8; 4]> {
        self.0.load(at).ok()
    }
}

#[inline(always)]
fn now() -> u64 {
    // SAFETY: a helper without arguments.
    unsafe { bpf_ktime_get_ns() }
}
