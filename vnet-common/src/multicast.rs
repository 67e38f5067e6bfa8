//! IGMP and MLD, as a snooping switch reads them (RFC 4541): who wants which group, and whether somebody asks for it.

use crate::frame::Mac;

/// IPv4 and IGMP (RFC 2236, RFC 3376).
pub const IPV4: u16 = 4;
/// IPv6 and MLD (RFC 2710, RFC 3810).
pub const IPV6: u16 = 6;

/// How long a report holds: the group membership interval (RFC 3376 section 8.4, RFC 3810 section 9.4).
pub const MEMBERSHIP_NS: u64 = 260 * NS_PER_SECOND;
/// How long a query holds: the other querier present interval (RFC 3376 section 8.5).
pub const QUERIER_NS: u64 = 255 * NS_PER_SECOND;
/// How much later than asked for an answer may come.
const SLACK_NS: u64 = NS_PER_SECOND;
const NS_PER_SECOND: u64 = 1_000_000_000;
const NS_PER_MS: u64 = 1_000_000;

/// Group records that are read of one report.
pub const MAX_RECORDS: u16 = 32;

const ETHERNET_HEADER: usize = 14;
const ETHER_TYPE_AT: usize = 12;
const ETHER_TYPE_IPV4: u16 = 0x0800;
const ETHER_TYPE_IPV6: u16 = 0x86dd;

/// The shortest IPv4 header, in words of four bytes (RFC 791 section 3.1).
const IP_HEADER_WORDS: u16 = 5;
const IP_PROTOCOL_AT: usize = ETHERNET_HEADER + 9;
const IP_FRAGMENT_AT: usize = ETHERNET_HEADER + 6;
/// Everything but "don't fragment": more fragments, and the offset.
const IP_FRAGMENT_MASK: u16 = 0xbfff;
const PROTOCOL_IGMP: u8 = 2;
const IGMP_QUERY: u8 = 0x11;
const IGMPV1_REPORT: u8 = 0x12;
const IGMPV2_REPORT: u8 = 0x16;
const IGMP_LEAVE: u8 = 0x17;
const IGMPV3_REPORT: u8 = 0x22;

const IPV6_NEXT_HEADER_AT: usize = ETHERNET_HEADER + 6;
const IPV6_DESTINATION_AT: usize = ETHERNET_HEADER + 24;
const IPV6_PAYLOAD_AT: usize = ETHERNET_HEADER + 40;
const HOP_BY_HOP: u8 = 0;
const ICMPV6: u8 = 58;
const MLD_QUERY: u8 = 130;
const MLDV1_REPORT: u8 = 131;
const MLD_DONE: u8 = 132;
const MLDV2_REPORT: u8 = 143;

/// Group record types (RFC 3376 section 4.2.12, RFC 3810 section 5.2.12).
const MODE_IS_INCLUDE: u8 = 1;
const MODE_IS_EXCLUDE: u8 = 2;
const CHANGE_TO_INCLUDE: u8 = 3;
const CHANGE_TO_EXCLUDE: u8 = 4;
const ALLOW_NEW_SOURCES: u8 = 5;

/// A frame's bytes, from its Ethernet header on, without tags. Nothing where it ends before.
pub trait Bytes {
    fn u8(&self, at: usize) -> Option<u8>;
    /// In network byte order, as everywhere in a frame.
    fn u16(&self, at: usize) -> Option<u16>;
    fn four(&self, at: usize) -> Option<[u8; 4]>;
}

/// What becomes of what a report says.
pub trait Members {
    /// False where there is no room for one more.
    fn join(&mut self, group: &Mac) -> bool;
    fn leave(&mut self, group: &Mac);
    /// It could not be read to the end, or it is a router's: who sent it shall get everything.
    fn everything(&mut self);
}

/// What a multicast frame is to a snooping switch. Plain numbers, for Linux 6.1's verifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Multicast {
    /// [`IPV4`], [`IPV6`], or 0 for anything else.
    pub family: u16,
    /// Who may get it: one of [`audience`].
    pub audience: u16,
    /// The type of the IGMP or MLD message; 0 for other frames.
    pub message: u16,
    /// Where the message begins.
    pub at: u16,
}

/// Who may get a multicast frame, while a querier is heard.
pub mod audience {
    /// Everybody.
    pub const ALL: u16 = 0;
    /// Who reported the group, and who gets everything.
    pub const MEMBERS: u16 = 1;
    /// Who gets everything. A host that heard another's report would not send its own (RFC 4541 section 2.1.1).
    pub const ROUTERS: u16 = 2;
}

impl Multicast {
    /// Something that every endpoint gets.
    const OTHER: Self = Self {
        family: 0,
        audience: audience::ALL,
        message: 0,
        at: 0,
    };

    /// True for a message that says who wants what.
    #[inline(always)]
    pub const fn is_report(&self) -> bool {
        let igmp = matches!(
            self.message as u8,
            IGMPV1_REPORT | IGMPV2_REPORT | IGMP_LEAVE | IGMPV3_REPORT
        );
        let mld = matches!(self.message as u8, MLDV1_REPORT | MLD_DONE | MLDV2_REPORT);
        (self.family == IPV4 && igmp) || (self.family == IPV6 && mld)
    }

    /// True for a query, of one group or of all.
    #[inline(always)]
    pub const fn is_query(&self) -> bool {
        match self.family {
            IPV4 => self.message as u8 == IGMP_QUERY,
            IPV6 => self.message as u8 == MLD_QUERY,
            _ => false,
        }
    }
}

/// Reads a frame to a group address.
#[inline(always)]
pub fn parse(bytes: &impl Bytes, dst: &Mac) -> Multicast {
    let is_ipv4 = dst[0] == 0x01 && dst[1] == 0x00 && dst[2] == 0x5e;
    let is_ipv6 = dst[0] == 0x33 && dst[1] == 0x33;
    match bytes.u16(ETHER_TYPE_AT) {
        Some(ETHER_TYPE_IPV4) if is_ipv4 => ipv4(bytes, dst),
        Some(ETHER_TYPE_IPV6) if is_ipv6 => ipv6(bytes),
        _ => Multicast::OTHER,
    }
}

#[inline(always)]
fn ipv4(bytes: &impl Bytes, dst: &Mac) -> Multicast {
    let (Some(version), Some(protocol), Some(fragment)) = (
        bytes.u8(ETHERNET_HEADER),
        bytes.u8(IP_PROTOCOL_AT),
        bytes.u16(IP_FRAGMENT_AT),
    ) else {
        return Multicast::OTHER;
    };
    // 224.0.0.0/24, and what has the same addresses on Ethernet: routing protocols, mDNS, IGMP itself.
    let is_local = dst[3] == 0 && dst[4] == 0;
    let mut multicast = Multicast {
        family: IPV4,
        audience: if is_local {
            audience::ALL
        } else {
            audience::MEMBERS
        },
        message: 0,
        at: 0,
    };
    let header_words = u16::from(version & 0xf);
    let is_whole = fragment & IP_FRAGMENT_MASK == 0;
    if protocol == PROTOCOL_IGMP && is_whole && header_words >= IP_HEADER_WORDS {
        multicast.at = ETHERNET_HEADER as u16 + header_words * 4;
        multicast.message = bytes.u8(multicast.at as usize).map_or(0, u16::from);
        if matches!(multicast.message as u8, IGMPV1_REPORT | IGMPV2_REPORT) {
            multicast.audience = audience::ROUTERS;
        }
    }
    multicast
}

#[inline(always)]
fn ipv6(bytes: &impl Bytes) -> Multicast {
    let (Some(next_header), Some(scope), Some(low)) = (
        bytes.u8(IPV6_NEXT_HEADER_AT),
        bytes.u16(IPV6_DESTINATION_AT),
        bytes.four(IPV6_DESTINATION_AT + 10),
    ) else {
        return Multicast::OTHER;
    };
    // ff02::/16, but for the solicited-node groups (ff02::1:ff00:0/104), of which each address has one.
    let is_solicited_node = low[0] == 0 && low[1] == 1 && low[2] == 0xff;
    let is_local = scope == 0xff02 && !is_solicited_node;
    let mut multicast = Multicast {
        family: IPV6,
        audience: if is_local {
            audience::ALL
        } else {
            audience::MEMBERS
        },
        message: 0,
        at: 0,
    };
    let mut at = IPV6_PAYLOAD_AT as u16;
    let mut header = next_header;
    if header == HOP_BY_HOP {
        let (Some(next), Some(length)) = (bytes.u8(at as usize), bytes.u8(at as usize + 1)) else {
            return multicast;
        };
        header = next;
        at += (u16::from(length) + 1) * 8;
    }
    if header == ICMPV6 {
        let kind = bytes.u8(at as usize).unwrap_or(0);
        if matches!(kind, MLD_QUERY | MLDV1_REPORT | MLD_DONE | MLDV2_REPORT) {
            multicast.message = u16::from(kind);
            multicast.at = at;
        }
        if kind == MLDV1_REPORT {
            multicast.audience = audience::ROUTERS;
        }
    }
    multicast
}

/// Nanoseconds after a general query by which all have answered; nothing for another message.
#[inline(always)]
pub fn general_query(bytes: &impl Bytes, multicast: &Multicast) -> Option<u64> {
    if !multicast.is_query() {
        return None;
    }
    let at = multicast.at as usize;
    let delay = if multicast.family == IPV4 {
        if bytes.four(at + 4)? != [0; 4] {
            return None;
        }
        // Tenths of a second; IGMPv1 has none and means ten seconds (RFC 3376 section 4.1.1).
        match u16::from(bytes.u8(at + 1)?) {
            0 => 100 * 100,
            code if code < 128 => u64::from(code) * 100,
            code => exponential(code, 4) * 100,
        }
    } else {
        for word in 0..4 {
            if bytes.four(at + 8 + word * 4)? != [0; 4] {
                return None;
            }
        }
        // Milliseconds (RFC 3810 section 5.1.3).
        match bytes.u16(at + 4)? {
            code if code < 32768 => u64::from(code),
            code => exponential(code, 12),
        }
    };
    Some(delay * NS_PER_MS + SLACK_NS)
}

/// A three-bit exponent above a mantissa of so many bits, whose leading one is left out.
#[inline(always)]
fn exponential(code: u16, mantissa_bits: u16) -> u64 {
    let mantissa = u64::from(code & ((1 << mantissa_bits) - 1)) | 1 << mantissa_bits;
    let exponent = (code >> mantissa_bits) & 7;
    mantissa << (exponent + 3)
}

/// Reads what a host says of its groups.
#[inline(always)]
pub fn read_report(bytes: &impl Bytes, multicast: &Multicast, members: &mut impl Members) {
    let read = match multicast.message as u8 {
        IGMPV3_REPORT | MLDV2_REPORT => records(bytes, multicast, members),
        _ => one_group(bytes, multicast, members),
    };
    if !read {
        members.everything();
    }
}

/// A report or a leave of the older versions. False when it could not be read, or kept.
#[inline(always)]
fn one_group(bytes: &impl Bytes, multicast: &Multicast, members: &mut impl Members) -> bool {
    let at = multicast.at as usize;
    let group = match multicast.family {
        IPV4 => bytes.four(at + 4),
        _ => bytes.four(at + 20),
    };
    let Some(group) = group else {
        return false;
    };
    let group = group_mac(multicast.family, group);
    if matches!(multicast.message as u8, IGMP_LEAVE | MLD_DONE) {
        members.leave(&group);
        true
    } else {
        members.join(&group)
    }
}

/// Those of a report of the newer versions. False when they could not all be read, or kept.
#[inline(always)]
fn records(bytes: &impl Bytes, multicast: &Multicast, members: &mut impl Members) -> bool {
    let Some(count) = bytes.u16(multicast.at as usize + 6) else {
        return false;
    };
    // Bytes of an address, and of them all but the last four.
    let (address, high) = match multicast.family {
        IPV4 => (4, 0),
        _ => (16, 12),
    };
    let mut at = multicast.at as usize + 8;
    // The limit must be in the loop: by `count` alone Linux 6.1 would not see an end.
    for index in 0..MAX_RECORDS {
        if index >= count {
            return true;
        }
        // In few pieces: the verifier follows each that may be missing, in each round.
        let (Some([kind, auxiliary, high_byte, low_byte]), Some(group)) =
            (bytes.four(at), bytes.four(at + 4 + high))
        else {
            return false;
        };
        let sources = u16::from_be_bytes([high_byte, low_byte]);
        let group = group_mac(multicast.family, group);
        let joins = match kind {
            MODE_IS_EXCLUDE | CHANGE_TO_EXCLUDE => true,
            MODE_IS_INCLUDE | CHANGE_TO_INCLUDE | ALLOW_NEW_SOURCES => sources > 0,
            _ => false,
        };
        if joins {
            if !members.join(&group) {
                return false;
            }
        } else if matches!(kind, MODE_IS_INCLUDE | CHANGE_TO_INCLUDE) {
            members.leave(&group);
        }
        at += 4 + address + usize::from(sources) * address + usize::from(auxiliary) * 4;
    }
    count == MAX_RECORDS
}

/// A group's Ethernet address, from the last four bytes of its IP address (RFC 1112 section 6.4, RFC 2464 section 7).
#[inline(always)]
fn group_mac(family: u16, [a, b, c, d]: [u8; 4]) -> Mac {
    match family {
        IPV4 => [0x01, 0x00, 0x5e, b & 0x7f, c, d],
        _ => [0x33, 0x33, a, b, c, d],
    }
}

#[cfg(test)]
mod tests;
