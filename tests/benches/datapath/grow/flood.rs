//! A broadcast, and an ARP request, for more and more endpoints of one VLAN.

use std::net::Ipv4Addr;

use tests::{Fixture, mac_of};
use vnet_user::lab::{Mac, Netns, RawSocket};

use super::batch::{self, Vlans};
use super::{busy, print};
use crate::bed::{self, ROLES, UPLINK, VLAN, WIRE_ADDRESS};
use crate::sink::Sink;

/// How many endpoints there are.
const COUNTS: [usize; 4] = [1, 10, 100, 500];
/// How many frames make a slope: so many, and twice as many. macvlan keeps no more than a thousand at once
/// (`MACVLAN_DEFAULT_BC_QUEUE_LEN` in drivers/net/macvlan.c).
const FRAMES: u64 = 40;

const BROADCAST: Mac = Mac([0xff; 6]);
/// EtherTypes.
const DOT1Q: u16 = 0x8100;
const IPV4: u16 = 0x0800;
const ARP: u16 = 0x0806;
/// The smallest frame with a tag, in octets without its check sequence (IEEE 802.3 clause 3.2.7).
const SMALLEST: usize = 64;

pub fn measure() {
    for count in COUNTS {
        let fixture = bed::host();
        let container = Netns::clone(fixture.lab.get(ROLES[0]).unwrap());
        batch::vlan_devices(Vlans::One, count).by_ip(&fixture.host());
        let [macvlans, addresses] = batch::macvlans(&fixture, Vlans::One, count);
        macvlans.by_ip(&fixture.host());
        addresses.by_ip(&container);
        flood(&fixture, "macvlan-on-vlan", count);
        for device in ["netkit", "veth"] {
            let fixture = bed::host();
            fixture.ok(&format!(
                "attach --iface {UPLINK} --endpoint-device {device}"
            ));
            batch::endpoints(&fixture, Vlans::One, count).by_vnet(&fixture);
            flood(&fixture, &format!("vnet-{device}"), count);
        }
    }
}

/// Prints what it takes that a frame comes to all endpoints.
fn flood(fixture: &Fixture, way: &str, count: usize) {
    let container = fixture.lab.get(ROLES[0]).unwrap();
    let names: Vec<String> = (1..=count).map(batch::ifname).collect();
    let sink = Sink::open_many(container, &names);
    let wire = RawSocket::open(&fixture.wire(), UPLINK).unwrap();
    let source = mac_of(&fixture.wire(), UPLINK);
    let request = arp_request(source, batch::address(1));
    for (what, frame) in [
        ("broadcast", frame(source, IPV4, &[])),
        ("arp", frame(source, ARP, &request)),
    ] {
        let send = |frames: u64| {
            busy::nanoseconds(|| (0..frames).for_each(|_| wire.send_bytes(&frame).unwrap()))
        };
        let arrived = sink.counted(|| _ = send(FRAMES));
        assert_eq!(arrived, FRAMES * count as u64, "{what} by {way}");
        let [once, twice] = [1, 2].map(|times| send(times * FRAMES));
        print(
            what,
            way,
            count,
            (twice as f64 - once as f64) / FRAMES as f64,
        );
    }
}

/// A frame to all on the VLAN.
fn frame(source: Mac, ethertype: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = [BROADCAST.0, source.0].concat();
    for field in [DOT1Q, VLAN, ethertype] {
        frame.extend(field.to_be_bytes());
    }
    frame.extend(payload);
    frame.resize(frame.len().max(SMALLEST), 0);
    frame
}

/// Who has that address? (RFC 826)
fn arp_request(source: Mac, target: Ipv4Addr) -> Vec<u8> {
    const ETHERNET: u16 = 1;
    const REQUEST: u16 = 1;
    let mut request = Vec::new();
    request.extend(ETHERNET.to_be_bytes());
    request.extend(IPV4.to_be_bytes());
    request.extend([6, 4]);
    request.extend(REQUEST.to_be_bytes());
    request.extend(source.0);
    request.extend(WIRE_ADDRESS.octets());
    request.extend([0; 6]);
    request.extend(target.octets());
    request
}
