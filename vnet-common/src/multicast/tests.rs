extern crate std;

use std::{vec, vec::Vec};

use super::*;

struct Slice(Vec<u8>);

impl Bytes for Slice {
    fn u8(&self, at: usize) -> Option<u8> {
        self.0.get(at).copied()
    }

    fn u16(&self, at: usize) -> Option<u16> {
        let bytes = self.0.get(at..at + 2)?;
        Some(u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    fn four(&self, at: usize) -> Option<[u8; 4]> {
        self.0.get(at..at + 4)?.try_into().ok()
    }
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Heard {
    joined: Vec<Mac>,
    left: Vec<Mac>,
    everything: bool,
}

impl Members for Heard {
    fn join(&mut self, group: &Mac) -> bool {
        self.joined.push(*group);
        true
    }

    fn leave(&mut self, group: &Mac) {
        self.left.push(*group);
    }

    fn everything(&mut self) {
        self.everything = true;
    }
}

const MDNS4: [u8; 4] = [224, 0, 0, 251];
const GROUP4: [u8; 4] = [239, 1, 2, 3];
const GROUP4_MAC: Mac = [0x01, 0, 0x5e, 1, 2, 3];

fn mac4([_, b, c, d]: [u8; 4]) -> Mac {
    [0x01, 0, 0x5e, b & 0x7f, c, d]
}

/// An IPv4 datagram to a group, with the router alert option that IGMP has.
fn frame4(to: [u8; 4], protocol: u8, payload: &[u8]) -> (Slice, Mac) {
    let mac = mac4(to);
    let mut frame = vec![];
    frame.extend(mac);
    frame.extend([2, 0, 0, 0, 0, 1, 0x08, 0x00]);
    frame.extend([0x46, 0, 0, 0, 0, 0, 0, 0, 1, protocol, 0, 0, 10, 0, 0, 1]);
    frame.extend(to);
    frame.extend([0x94, 4, 0, 0]);
    frame.extend(payload);
    (Slice(frame), mac)
}

fn frame6(to: [u8; 16], icmp: &[u8]) -> (Slice, Mac) {
    let mac = [0x33, 0x33, to[12], to[13], to[14], to[15]];
    let mut frame = vec![];
    frame.extend(mac);
    frame.extend([2, 0, 0, 0, 0, 1, 0x86, 0xdd]);
    frame.extend([0x60, 0, 0, 0, 0, 0, HOP_BY_HOP, 1]);
    frame.extend([0; 16]);
    frame.extend(to);
    frame.extend([ICMPV6, 0, 5, 2, 0, 0, 1, 0]);
    frame.extend(icmp);
    (Slice(frame), mac)
}

const fn ip6(high: u16, low: [u8; 4]) -> [u8; 16] {
    let mut address = [0; 16];
    address[0] = (high >> 8) as u8;
    address[1] = high as u8;
    let mut index = 0;
    while index < 4 {
        address[12 + index] = low[index];
        index += 1;
    }
    address
}

const ALL_NODES: [u8; 16] = ip6(0xff02, [0, 0, 0, 1]);
const ALL_ROUTERS: [u8; 16] = ip6(0xff02, [0, 0, 0, 0x16]);
const SITE_GROUP: [u8; 16] = ip6(0xff05, [0, 1, 0, 3]);

fn solicited_node() -> [u8; 16] {
    let mut address = ip6(0xff02, [0xff, 1, 2, 3]);
    address[11] = 1;
    address
}

fn heard(frame: &Slice, mac: &Mac) -> Heard {
    let mut heard = Heard::default();
    let multicast = parse(frame, mac);
    assert!(multicast.is_report(), "{multicast:?}");
    read_report(frame, &multicast, &mut heard);
    heard
}

#[test]
fn what_is_local_floods_and_what_is_not_is_for_members() {
    let audience_of = |(frame, mac): (Slice, Mac)| parse(&frame, &mac).audience;
    let udp = 17;
    assert_eq!(audience_of(frame4(MDNS4, udp, &[])), audience::ALL);
    assert_eq!(audience_of(frame4(GROUP4, udp, &[])), audience::MEMBERS);
    assert_eq!(audience_of(frame6(ALL_NODES, &[])), audience::ALL);
    assert_eq!(audience_of(frame6(SITE_GROUP, &[])), audience::MEMBERS);
    assert_eq!(
        audience_of(frame6(solicited_node(), &[])),
        audience::MEMBERS
    );
    // An address like that of a solicited-node group, which is none.
    let other = ip6(0xff02, [0xff, 1, 2, 3]);
    assert_eq!(audience_of(frame6(other, &[])), audience::ALL);
    // Broadcast, and groups of other protocols (spanning tree, LLDP).
    let (frame, _) = frame4(GROUP4, udp, &[]);
    assert_eq!(parse(&frame, &[0xff; 6]), Multicast::OTHER);
    assert_eq!(parse(&frame, &[1, 0x80, 0xc2, 0, 0, 0]), Multicast::OTHER);
}

#[test]
fn reports_of_the_old_versions_are_for_routers_alone() {
    for message in [0x12, 0x16] {
        let (frame, mac) = frame4(GROUP4, 2, &[message, 0, 0, 0, 239, 1, 2, 3]);
        assert_eq!(parse(&frame, &mac).audience, audience::ROUTERS);
        assert_eq!(heard(&frame, &mac).joined, [GROUP4_MAC]);
    }
    let mut report = vec![131, 0, 0, 0, 0, 0, 0, 0];
    report.extend(SITE_GROUP);
    let (frame, mac) = frame6(SITE_GROUP, &report);
    assert_eq!(parse(&frame, &mac).audience, audience::ROUTERS);
    assert_eq!(heard(&frame, &mac).joined, [[0x33, 0x33, 0, 1, 0, 3]]);
}

#[test]
fn who_leaves_is_left_out() {
    let (frame, mac) = frame4([224, 0, 0, 2], 2, &[0x17, 0, 0, 0, 239, 1, 2, 3]);
    assert_eq!(parse(&frame, &mac).audience, audience::ALL);
    assert_eq!(heard(&frame, &mac).left, [GROUP4_MAC]);
    let mut done = vec![132, 0, 0, 0, 0, 0, 0, 0];
    done.extend(SITE_GROUP);
    let (frame, mac) = frame6(ip6(0xff02, [0, 0, 0, 2]), &done);
    assert_eq!(heard(&frame, &mac).left, [[0x33, 0x33, 0, 1, 0, 3]]);
}

#[test]
fn group_records_are_read_one_by_one() {
    let record = |kind: u8, sources: u8, auxiliary: u8, last: u8| {
        let mut record = vec![kind, auxiliary, 0, sources, 239, 1, 2, last];
        record.extend(vec![
            9;
            usize::from(sources) * 4 + usize::from(auxiliary) * 4
        ]);
        record
    };
    let mut report = vec![0x22, 0, 0, 0, 0, 0, 0, 7];
    report.extend(record(MODE_IS_EXCLUDE, 0, 2, 1));
    report.extend(record(CHANGE_TO_EXCLUDE, 3, 0, 2));
    report.extend(record(MODE_IS_INCLUDE, 1, 1, 3));
    report.extend(record(ALLOW_NEW_SOURCES, 1, 0, 4));
    report.extend(record(CHANGE_TO_INCLUDE, 0, 0, 5));
    report.extend(record(6, 1, 0, 6));
    report.extend(record(77, 0, 0, 7));
    let (frame, mac) = frame4([224, 0, 0, 22], 2, &report);
    let group = |last| [0x01, 0, 0x5e, 1, 2, last];
    let expected = Heard {
        joined: [1, 2, 3, 4].map(group).to_vec(),
        left: vec![group(5)],
        everything: false,
    };
    assert_eq!(heard(&frame, &mac), expected);

    let mut report = vec![143, 0, 0, 0, 0, 0, 0, 2];
    for address in [SITE_GROUP, solicited_node()] {
        report.extend([MODE_IS_EXCLUDE, 0, 0, 0]);
        report.extend(address);
    }
    let (frame, mac) = frame6(ALL_ROUTERS, &report);
    let groups = [[0x33, 0x33, 0, 1, 0, 3], [0x33, 0x33, 0xff, 1, 2, 3]];
    assert_eq!(heard(&frame, &mac).joined, groups);
}

#[test]
fn who_cannot_be_understood_gets_everything() {
    let mut report = vec![0x22, 0, 0, 0, 0, 0, 0, 2];
    report.extend([MODE_IS_EXCLUDE, 0, 0, 0, 239, 1, 2, 3]);
    let (cut, mac) = frame4([224, 0, 0, 22], 2, &report);
    let heard_cut = heard(&cut, &mac);
    assert!(heard_cut.everything && heard_cut.joined == [GROUP4_MAC]);
    for (records, all_read) in [(MAX_RECORDS, true), (MAX_RECORDS + 1, false)] {
        let mut report = vec![0x22, 0, 0, 0, 0, 0, 0, records as u8];
        for last in 0..records {
            report.extend([MODE_IS_EXCLUDE, 0, 0, 0, 239, 1, 2, last as u8]);
        }
        let (frame, mac) = frame4([224, 0, 0, 22], 2, &report);
        let heard = heard(&frame, &mac);
        assert_eq!((heard.everything, heard.joined.len()), (!all_read, 32));
    }
}

#[test]
fn queries_for_all_groups_say_when_all_have_answered() {
    let delay = |(frame, mac): (Slice, Mac)| general_query(&frame, &parse(&frame, &mac));
    let all_hosts = [224, 0, 0, 1];
    let igmp = |code: u8| frame4(all_hosts, 2, &[0x11, code, 0, 0, 0, 0, 0, 0]);
    let second = 1_000_000_000;
    assert_eq!(delay(igmp(100)), Some(11 * second));
    assert_eq!(delay(igmp(0)), Some(11 * second));
    // (0 | 0x10) << (0 + 3) tenths.
    assert_eq!(delay(igmp(0x80)), Some(12_800_000_000 + second));
    let specific = frame4(GROUP4, 2, &[0x11, 10, 0, 0, 239, 1, 2, 3]);
    assert_eq!(delay(specific), None);
    let mut mld = vec![130, 0, 0, 0, 0x27, 0x10, 0, 0];
    mld.extend([0; 16]);
    assert_eq!(delay(frame6(ALL_NODES, &mld)), Some(11 * second));
    mld[23] = 1;
    assert_eq!(delay(frame6(ALL_NODES, &mld)), None);
}

#[test]
fn no_frame_is_too_short_to_be_read() {
    let mut report = vec![143, 0, 0, 0, 0, 0, 0, 1, MODE_IS_EXCLUDE, 0, 0, 0];
    report.extend(SITE_GROUP);
    for (frame, mac) in [
        frame6(ALL_ROUTERS, &report),
        frame4(GROUP4, 2, &[0x16, 0, 0, 0, 239, 1, 2, 3]),
    ] {
        for length in 0..frame.0.len() {
            let cut = Slice(frame.0[..length].to_vec());
            let multicast = parse(&cut, &mac);
            let mut heard = Heard::default();
            if multicast.is_report() {
                read_report(&cut, &multicast, &mut heard);
                assert!(heard.everything, "{length} bytes: {heard:?}");
            }
            let _ = general_query(&cut, &multicast);
        }
    }
}
