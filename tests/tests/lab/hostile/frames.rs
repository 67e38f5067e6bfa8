//! Makes the frames, and knows them again.

use std::collections::VecDeque;

use tests::Dice;
use vnet_user::lab::{Captured, ETHERNET_HEADER_BYTES, Mac, Offload};

/// The uplink's MTU, in bytes.
pub const MTU: usize = 9000;
/// Of a frame that is to be cut up.
const LONGEST_OFFLOAD: usize = 30_000;

pub const FAR: Mac = Mac([2, 0, 0, 0, 0, 0x77]);
pub const GROUP: Mac = Mac([1, 0, 0x5e, 0, 0, 1]);
const TPIDS: [u16; 4] = [0x8100, 0x8100, 0x88a8, 0x9100];
const VLANS: [u16; 8] = [0, 1, 60, 100, 200, 201, 4094, 4095];
const ETHERTYPES: [u16; 6] = [0x0800, 0x86dd, 0x0806, 0x88b5, 0x0000, 0xffff];
/// What a frame's number stands behind, in the payload.
const MAGIC: &[u8; 8] = b"\xf0vnethst";
/// What tells a frame in its payload.
const MARK_BYTES: usize = 24;
/// The same, in the source of a frame from the wire that is too short for a payload, or whose payload is cut up.
const NUMBERED: [u8; 2] = [0x02, 0xf0];

/// A segment's tags, outermost first.
pub type Tags = &'static [(u16, u16)];

/// Who sends a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    Wire,
    Container(usize),
}

/// A frame that is sent.
#[derive(Clone, Debug)]
pub struct Sent {
    pub from: From,
    pub bytes: Vec<u8>,
    /// What is left to the device.
    pub offload: Option<Offload>,
}

/// The addresses that mean something, and those of the containers.
pub struct Addresses {
    pub containers: Vec<Mac>,
    pub host: Mac,
}

impl Addresses {
    /// Any frame with a number in it. What is not random enough to mean anything is made of what is known here.
    pub fn frame(&self, dice: &mut Dice, from: From, number: usize) -> Sent {
        match dice.below(8) {
            0 => self.short(dice, from, number),
            1 | 2 => self.with_offload(dice, from, number),
            _ => self.plain(dice, from, number),
        }
    }

    fn plain(&self, dice: &mut Dice, from: From, number: usize) -> Sent {
        let mut bytes = self.destination(dice).0.to_vec();
        let own = match from {
            From::Container(index) if !dice.once_in(4) => self.containers[index],
            _ => self.destination(dice),
        };
        bytes.extend(own.0);
        push_tags(dice, &mut bytes);
        bytes.extend(dice.of(&ETHERTYPES).to_be_bytes());
        let longest = MTU - 64 - MARK_BYTES;
        let length = dice.of(&[0, 1, 20, 46, 1480, longest]);
        let mut payload = vec![0; dice.below(length + 1)];
        dice.fill(&mut payload);
        if let Some(first) = payload.first_mut() {
            // Often the beginning of an IP header, whose lengths then lie.
            *first = dice.of(&[0x45, 0x60, *first]);
        }
        bytes.extend(mark(number));
        bytes.extend(payload);
        Sent {
            from,
            bytes,
            offload: None,
        }
    }

    /// From a header alone to one that has room for a tag or two.
    fn short(&self, dice: &mut Dice, from: From, number: usize) -> Sent {
        let mut bytes = self.addresses(dice, from, number);
        push_tags(dice, &mut bytes);
        bytes.extend(dice.of(&ETHERTYPES).to_be_bytes());
        let more = bytes.len() + dice.below(4);
        bytes.resize(more, 0x45);
        bytes.truncate(ETHERNET_HEADER_BYTES + dice.below(16));
        Sent {
            from,
            bytes,
            offload: None,
        }
    }

    /// A packet that is to be cut up, or lacks its checksum; half of these are honest.
    fn with_offload(&self, dice: &mut Dice, from: From, number: usize) -> Sent {
        let mut bytes = self.addresses(dice, from, number);
        push_tags(dice, &mut bytes);
        let (is_ipv6, is_tcp) = (dice.once_in(2), dice.once_in(2));
        bytes.extend(if is_ipv6 { 0x86dd_u16 } else { 0x0800 }.to_be_bytes());
        let network = bytes.len();
        let length = dice.below(LONGEST_OFFLOAD);
        let transport = if is_tcp { 20 } else { 8 };
        let (protocol, checksum_offset) = if is_tcp { (6, 16) } else { (17, 6) };
        bytes.extend(if is_ipv6 {
            ipv6(transport + length, protocol)
        } else {
            ipv4(transport + length, protocol)
        });
        let start = bytes.len();
        bytes.resize(start + transport, 0);
        match is_tcp {
            // The header's length, in words, and the flag ACK.
            true => bytes[start + 12..start + 14].copy_from_slice(&[0x50, 0x10]),
            false => bytes[start + 4..start + 6]
                .copy_from_slice(&((transport + length) as u16).to_be_bytes()),
        }
        let header = bytes.len();
        bytes.extend(mark(number).iter().cycle().take(length));
        let gso_type = match (is_tcp, is_ipv6) {
            (true, true) => Offload::TCPV6,
            (true, false) => Offload::TCPV4,
            (false, _) => Offload::UDP_SEGMENTS,
        };
        let mut offload = Offload {
            flags: Offload::NEEDS_CHECKSUM,
            gso_type,
            header_bytes: header as u16,
            gso_bytes: 64 + dice.below(1400) as u16,
            checksum_start: start as u16,
            checksum_offset,
        };
        if dice.once_in(2) {
            lie(dice, &mut offload, &mut bytes[network..]);
        }
        Sent {
            from,
            bytes,
            offload: Some(offload),
        }
    }

    /// Both addresses: the source is the frame's number, or the container's own.
    fn addresses(&self, dice: &mut Dice, from: From, number: usize) -> Vec<u8> {
        let source = match from {
            From::Wire => {
                let [a, b] = NUMBERED;
                let [c, d, e, f] = (number as u32).to_be_bytes();
                Mac([a, b, c, d, e, f])
            }
            From::Container(index) => self.containers[index],
        };
        [self.destination(dice).0, source.0].concat()
    }

    fn destination(&self, dice: &mut Dice) -> Mac {
        let others = [self.host, FAR, Mac::BROADCAST, GROUP, Mac([0; 6])];
        let all: Vec<_> = self.containers.iter().copied().chain(others).collect();
        dice.of(&all)
    }
}

fn push_tags(dice: &mut Dice, bytes: &mut Vec<u8>) {
    for _ in 0..dice.of(&[0, 0, 1, 1, 1, 2, 2, 3]) {
        bytes.extend(dice.of(&TPIDS).to_be_bytes());
        let tci = dice.of(&VLANS) | (dice.below(16) as u16) << 12;
        bytes.extend(tci.to_be_bytes());
    }
}

fn ipv4(payload: usize, protocol: u8) -> Vec<u8> {
    let mut header = vec![0; 20];
    header[0] = 0x45;
    header[2..4].copy_from_slice(&((20 + payload) as u16).to_be_bytes());
    header[8..10].copy_from_slice(&[64, protocol]);
    header[12..20].copy_from_slice(&[10, 0, 0, 1, 10, 0, 0, 2]);
    header
}

fn ipv6(payload: usize, protocol: u8) -> Vec<u8> {
    let mut header = vec![0; 40];
    header[0] = 0x60;
    header[4..6].copy_from_slice(&(payload as u16).to_be_bytes());
    header[6..8].copy_from_slice(&[protocol, 64]);
    [header[8], header[24]] = [0xfd; 2];
    header
}

/// Makes something wrong: in what is said of a packet, or in its headers.
fn lie(dice: &mut Dice, offload: &mut Offload, packet: &mut [u8]) {
    let any = dice.roll() as u16;
    match dice.below(8) {
        0 => offload.flags = any as u8,
        1 => {
            let types = [0, 2, Offload::UDP, Offload::TCPV4, Offload::UDP_SEGMENTS];
            offload.gso_type = dice.of(&types) | dice.of(&[0, Offload::ECN]);
        }
        2 => offload.header_bytes = any,
        // Not so small that one frame becomes more than a queue holds.
        3 => offload.gso_bytes = any.max(64),
        4 => offload.checksum_start = any,
        5 => offload.checksum_offset = any,
        6 => packet[2..6].copy_from_slice(&dice.roll().to_be_bytes()[..4]),
        _ => {
            let at = dice.below(packet.len().min(60));
            packet[at] = any as u8;
        }
    }
}

/// The number, and its complement: a checksum may be written to any place.
fn mark(number: usize) -> [u8; MARK_BYTES] {
    let mut mark = [0; MARK_BYTES];
    mark[..8].copy_from_slice(MAGIC);
    mark[8..16].copy_from_slice(&(number as u64).to_be_bytes());
    mark[16..].copy_from_slice(&(!number as u64).to_be_bytes());
    mark
}

/// The last frames that were sent, by their numbers.
#[derive(Default)]
pub struct History {
    forgotten: usize,
    frames: VecDeque<Sent>,
}

impl History {
    /// How many are remembered: more than can be on their way.
    const LENGTH: usize = 10_000;

    pub fn push(&mut self, frame: Sent) {
        if self.frames.len() == Self::LENGTH {
            self.frames.pop_front();
            self.forgotten += 1;
        }
        self.frames.push_back(frame);
    }

    fn get(&self, number: usize) -> Option<&Sent> {
        self.frames.get(number.checked_sub(self.forgotten)?)
    }
}

/// Where a frame that came is from.
pub struct Origin<'a> {
    pub from: From,
    /// Not known of a piece of a container's frame that has no number in it.
    pub sent: Option<&'a Sent>,
}

impl Addresses {
    /// Knows a frame by the number in it, or by the container that it is from.
    pub fn origin<'a>(&self, sent: &'a History, frame: &Captured) -> Option<Origin<'a>> {
        let source = frame.source()?;
        let number = number_in_payload(&frame.bytes).or_else(|| number_in(source));
        if let Some(sent) = number.and_then(|number| sent.get(number)) {
            return Some(Origin {
                from: sent.from,
                sent: Some(sent),
            });
        }
        let index = self.containers.iter().position(|mac| *mac == source)?;
        Some(Origin {
            from: From::Container(index),
            sent: None,
        })
    }
}

fn number_in(Mac([a, b, number @ ..]): Mac) -> Option<usize> {
    ([a, b] == NUMBERED).then_some(u32::from_be_bytes(number) as usize)
}

fn number_in_payload(bytes: &[u8]) -> Option<usize> {
    bytes.windows(MARK_BYTES).find_map(|bytes| {
        let number = u64::from_be_bytes(*bytes.strip_prefix(MAGIC)?.first_chunk()?) as usize;
        (mark(number) == bytes).then_some(number)
    })
}

/// Whether a frame's bytes say, by the standard alone, that it is of a segment with these tags.
pub fn is_of(bytes: &[u8], tags: Tags) -> bool {
    let word = |at: usize| {
        let two = bytes.get(at..at + 2)?;
        Some(u16::from_be_bytes([two[0], two[1]]))
    };
    let tag = |index: usize| {
        let at = ETHERNET_HEADER_BYTES - 2 + 4 * index;
        Some((word(at)?, word(at + 2)? & 0x0fff))
    };
    match tags {
        // A tag with VLAN id 0 only carries a priority.
        [] => !matches!(word(12), Some(0x8100 | 0x88a8)) || tag(0) == Some((0x8100, 0)),
        tags => tags
            .iter()
            .enumerate()
            .all(|(index, wanted)| tag(index) == Some(*wanted)),
    }
}

/// Whether the kernel drops a frame before any program sees it, where it takes the outermost tag off: it wants the tag and
/// the EtherType behind it (`skb_vlan_untag` in net/core/skbuff.c).
pub fn is_cut_short(bytes: &[u8]) -> bool {
    matches!(bytes[12..14], [0x81, 0x00] | [0x88, 0xa8]) && bytes.len() < 14 + 6
}
