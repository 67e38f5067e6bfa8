//! Any bytes at all, as they come from a wire that lies.

extern crate std;

use core::cell::Cell;
use std::vec::Vec;

use proptest::{collection::vec, prelude::*, sample::select};

use super::*;
use crate::rules::{self, Place, Tables};
use crate::{Mac, QinqKey, Receiver, Segment, multicast};

/// A frame of which only the first bytes can be read at once, until they are pulled.
#[derive(Debug)]
struct Pieces {
    bytes: Vec<u8>,
    readable: Cell<usize>,
    pull_works: bool,
    beside: Tag,
}

impl Packet for Pieces {
    fn length(&self) -> usize {
        self.bytes.len()
    }

    fn header(&self) -> Option<EthHdr> {
        let readable = self.readable.get().min(self.bytes.len());
        let header: &[u8; EthHdr::LEN] = self.bytes[..readable].first_chunk()?;
        Some(EthHdr {
            dst_addr: header[..6].try_into().ok()?,
            src_addr: header[6..12].try_into().ok()?,
            ether_type: u16::from_ne_bytes([header[12], header[13]]),
        })
    }

    fn pull_header(&self) -> bool {
        if self.pull_works {
            self.readable.set(self.bytes.len());
        }
        self.pull_works
    }

    fn tag_beside(&self) -> Tag {
        self.beside
    }

    fn tci_in_data(&self) -> Option<u16> {
        let bytes = self.bytes.get(14..16)?;
        Some(u16::from_be_bytes([bytes[0], bytes[1]]))
    }
}

impl multicast::Bytes for Pieces {
    fn u8(&self, at: usize) -> Option<u8> {
        self.bytes.get(at).copied()
    }

    fn u16(&self, at: usize) -> Option<u16> {
        let bytes = self.bytes.get(at..at.checked_add(2)?)?;
        Some(u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    fn four(&self, at: usize) -> Option<[u8; 4]> {
        self.bytes.get(at..at.checked_add(4)?)?.try_into().ok()
    }
}

/// Every pair of tags is a segment's, and nobody is in any.
struct AllPairs;

impl Tables for AllPairs {
    fn fdb(&self, _segment: u16, _mac: &Mac) -> Option<Receiver> {
        None
    }

    fn segment(&self, _segment: u16) -> Option<Segment> {
        None
    }

    fn qinq(&self, key: QinqKey) -> Option<u16> {
        Some(5000 + key.vlan)
    }

    fn is_allowed(&self, _endpoint: u16, _mac: &Mac) -> bool {
        false
    }
}

/// Bytes in which tags, and the protocols that are looked into, are more frequent than chance has them.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let ether_types = select(std::vec![
        0x8100_u16, 0x88a8, 0x9100, 0x0800, 0x86dd, 0x0000, 0xffff
    ]);
    (vec(any::<u8>(), 0..120), vec(ether_types, 3), 0..4_usize).prop_map(
        |(mut bytes, ether_types, tags)| {
            for (at, ether_type) in (12..).step_by(4).zip(ether_types).take(tags) {
                if let Some(two) = bytes.get_mut(at..at + 2) {
                    two.copy_from_slice(&ether_type.to_be_bytes());
                }
            }
            // Often the beginning of an IGMP or MLD message, whose lengths then lie.
            if bytes.len() > 24 && bytes[0] & 1 == 1 {
                let is_ipv4 = bytes[0] & 2 == 0;
                let (group, ether_type, protocol_at, protocol) = match is_ipv4 {
                    true => ([0x01, 0x00, 0x5e], [0x08, 0x00], 23, 2),
                    false => ([0x33, 0x33, 0x00], [0x86, 0xdd], 20, 58),
                };
                bytes[..3].copy_from_slice(&group);
                bytes[12..14].copy_from_slice(&ether_type);
                bytes[protocol_at] = protocol;
                if is_ipv4 {
                    // Not a fragment.
                    bytes[20..22].fill(0);
                }
            }
            bytes
        },
    )
}

fn pieces() -> impl Strategy<Value = Pieces> {
    let beside =
        (select(std::vec![0_u16, 0x8100, 0x88a8]), any::<u16>()).prop_map(|(ethertype, tci)| {
            match ethertype {
                0 => Tag::NONE,
                ethertype => Tag { ethertype, tci },
            }
        });
    (bytes(), 0..40_usize, prop::bool::weighted(0.8), beside).prop_map(
        |(bytes, readable, pull_works, beside)| Pieces {
            bytes,
            readable: Cell::new(readable),
            pull_works,
            beside,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn a_frame_is_read_as_it_stands_or_refused_for_its_reason(packet in pieces(), has_qinq: bool) {
        let readable = packet.readable.get().min(packet.bytes.len());
        match parse(&packet, has_qinq) {
            Err(Reason::ShortFrame) => prop_assert!(packet.bytes.len() < 14),
            Err(Reason::PullFailed) => prop_assert!(!packet.pull_works && readable < 14),
            Err(reason) => prop_assert!(false, "{reason:?}"),
            Ok(frame) => {
                prop_assert_eq!(&frame.dst[..], &packet.bytes[..6]);
                prop_assert_eq!(&frame.src[..], &packet.bytes[6..12]);
                prop_assert!(!packet.beside.is_some() || frame.tag == packet.beside);
            }
        }
    }

    #[test]
    fn a_frame_belongs_to_the_segment_that_its_tags_name(packet in pieces(), has_qinq: bool) {
        let Ok(frame) = parse(&packet, has_qinq) else {
            return Ok(());
        };
        let word = |at: usize| packet.bytes.get(at..at + 2).map(|b| u16::from_be_bytes([b[0], b[1]]));
        let ether_type = word(12);
        // As the uplink has it: the outermost tag, if any, is beside the data.
        if !packet.beside.is_some() && matches!(ether_type, Some(0x8100 | 0x88a8)) {
            return Ok(());
        }
        let inner_vlan = (ether_type == Some(0x8100)).then(|| word(14).unwrap_or(0) & 0x0fff);
        let expected = match (packet.beside.ethertype, inner_vlan) {
            (0, _) => Some(Place { segment: 0, tags: 0 }),
            (_, Some(vlan)) if has_qinq => Some(Place { segment: 5000 + vlan, tags: 2 }),
            (0x8100, _) => Some(Place { segment: packet.beside.tci & 0x0fff, tags: 1 }),
            _ => None,
        };
        prop_assert_eq!(rules::place(&frame, has_qinq, &AllPairs), expected);
    }

    #[test]
    fn what_a_report_says_is_looked_for_inside_the_frame_only(packet in pieces()) {
        struct Nothing;
        impl multicast::Members for Nothing {
            fn join(&mut self, _group: &Mac) -> bool {
                true
            }
            fn leave(&mut self, _group: &Mac) {}
            fn everything(&mut self) {}
        }
        let Ok(frame) = parse(&packet, false) else {
            return Ok(());
        };
        let multicast = multicast::parse(&packet, &frame.dst);
        if multicast.message == 0 {
            return Ok(());
        }
        let headers = if multicast.family == multicast::IPV4 { 14 + 20 } else { 14 + 40 };
        prop_assert!((headers..packet.bytes.len()).contains(&usize::from(multicast.at)));
        multicast::general_query(&packet, &multicast);
        if multicast.is_report() {
            multicast::read_report(&packet, &multicast, &mut Nothing);
        }
    }
}
