//! Large TCP segments: whole from the container to the wire, put together from the wire to the container, and with their
//! checksums right whatever the devices on the way leave to others.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    time::Instant,
};

use tests::{Container, Fixture, Offloads, PATIENCE, expected, mac_of};
use vnet_user::lab::{ETHERNET_HEADER_BYTES, Mac, RawSocket, Tag, VlanEnd, probe};

/// No frame of one segment is longer, with a tag of its own.
const ONE_SEGMENT_BYTES: usize = 1500 + ETHERNET_HEADER_BYTES + 4;
/// Each way. A TCP connection begins with small segments, and this is many times as much.
const STREAM_BYTES: u64 = 4 << 20;
/// The same in an emulated machine.
const SMALL_STREAM_BYTES: u64 = 256 << 10;

/// A container and a machine on the wire, on one segment.
struct Stage {
    fixture: Fixture,
    container: Container,
    /// The host side of the container's link.
    host_ifname: String,
    there: IpAddr,
    /// The outermost tag on the wire.
    vlan: Option<u16>,
    _ends: Vec<VlanEnd>,
}

/// Offloads of the devices on the way: the container's end, the host side, the uplink, and the wire's end.
type OnTheWay = [Offloads; 4];

/// How many segments frames have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Segments {
    One,
    Several,
    /// Of segments that were sent one by one, those are put together that happen to come in one poll of the receiver.
    ByChance,
}

/// What came in of one sender.
#[derive(Clone, Copy, Debug, Default)]
struct Arrival {
    frames: usize,
    bytes: usize,
    /// Of these in frames of more than one segment.
    in_large: usize,
}

impl fmt::Display for Arrival {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            frames,
            bytes,
            in_large: _,
        } = self;
        let percent = self.percent_in_large();
        write!(
            f,
            "{bytes} bytes in {frames} frames, {percent} % of them in large ones"
        )
    }
}

impl Arrival {
    /// Takes what has come to a socket.
    fn of(ears: &RawSocket, sender: Mac, vlan: Option<u16>) -> Self {
        let mut arrival = Self::default();
        while let Some(frame) = ears.receive(Instant::now()).unwrap() {
            if frame.source() != Some(sender) {
                continue;
            }
            assert_eq!(frame.tag.map(Tag::vlan), vlan, "of {sender}");
            arrival.frames += 1;
            arrival.bytes += frame.bytes.len();
            if frame.bytes.len() > ONE_SEGMENT_BYTES {
                arrival.in_large += frame.bytes.len();
            }
        }
        assert_eq!(ears.dropped().unwrap(), 0, "the listener's queue was full");
        arrival
    }

    fn percent_in_large(&self) -> usize {
        100 * self.in_large / self.bytes.max(1)
    }

    fn check(&self, what: &dyn fmt::Display, segments: Segments) {
        assert!(self.bytes as u64 > stream_bytes(), "{what}: {self}");
        match segments {
            Segments::Several => assert!(self.percent_in_large() > 50, "{what}: {self}"),
            Segments::One => assert_eq!(self.in_large, 0, "{what}: {self}"),
            Segments::ByChance => {}
        }
    }
}

fn stream_bytes() -> u64 {
    match expected::is_emulated() {
        true => SMALL_STREAM_BYTES,
        false => STREAM_BYTES,
    }
}

impl Stage {
    fn untagged() -> Self {
        let fixture = Fixture::attached();
        let address = "addr add 192.168.200.100/24 dev enp0s8";
        fixture.wire().ip(address).unwrap();
        Self::with(fixture, "", None, Vec::new())
    }

    fn tagged() -> Self {
        let fixture = Fixture::attached();
        let end = fixture.vlan_end(200, &["192.168.200.100/24"]);
        Self::with(fixture, "--vlan 200", Some(200), vec![end])
    }

    fn twice_tagged() -> Self {
        let fixture = Fixture::attached();
        let outer = fixture.vlan_end(100, &[]);
        let address = ["192.168.200.100/24"];
        let inner = VlanEnd::new(&fixture.wire(), outer.name(), 60, "inner", &address).unwrap();
        let options = "--vlan 60 --outer-vlan 100 --outer-protocol 802.1q";
        Self::with(fixture, options, Some(100), vec![inner, outer])
    }

    fn with(mut fixture: Fixture, options: &str, vlan: Option<u16>, ends: Vec<VlanEnd>) -> Self {
        fixture.network("web", &format!("{options} --subnet 192.168.200.0/24"));
        let container = fixture.container("a", "web", "--ip 192.168.200.2");
        Self {
            host_ifname: fixture.host_ifname(&container.id),
            container,
            there: "192.168.200.100".parse().unwrap(),
            fixture,
            vlan,
            _ends: ends,
        }
    }

    fn set(&self, offloads: OnTheWay) {
        let Self {
            fixture, container, ..
        } = self;
        let devices = [
            (&container.netns, "eth0"),
            (&fixture.host(), &self.host_ifname),
            (&fixture.host(), "enp0s8"),
            (&fixture.wire(), "enp0s8"),
        ];
        for ((netns, device), offloads) in devices.into_iter().zip(offloads) {
            offloads.set(netns, device);
        }
    }

    /// A stream from the container to the wire and back, and how it came in at the wire and at the container.
    fn stream(&self, what: &dyn fmt::Display) -> [Arrival; 2] {
        let (at_wire, inside) = (self.fixture.wire_raw(), self.container.raw());
        let server = SocketAddr::new(self.there, 7001);
        let (netns, wire) = (&self.container.netns, self.fixture.wire());
        probe::stream(netns, &wire, server, stream_bytes(), PATIENCE)
            .unwrap_or_else(|error| panic!("{what}: {error:?}"));
        let far = mac_of(&wire, "enp0s8");
        let arrivals = [
            Arrival::of(&at_wire, self.container.mac, self.vlan),
            Arrival::of(&inside, far, None),
        ];
        for (place, arrival) in ["wire", "container"].into_iter().zip(arrivals) {
            println!("{what}, at the {place}: {arrival}");
        }
        arrivals
    }

    /// As many segments in a frame at the wire and at the container as these offloads let there be.
    fn check(&self, segment: &str, offloads: OnTheWay) {
        let [container, host_side, uplink, wire] = offloads;
        let what = format!("{segment}, {container}; {host_side}; {uplink}; {wire}");
        self.set(offloads);
        let [at_wire, inside] = self.stream(&what);
        // Nothing depends on the host side, which only receives, and hands on before anything is put together.
        let wanted = if container.tso && uplink.tso {
            Segments::Several
        } else if wire.gro {
            Segments::ByChance
        } else {
            Segments::One
        };
        at_wire.check(&what, wanted);
        // Without the kernel's 802.1Q, segments whose tag is still in them are not put together (`vlan_gro_receive`).
        let puts_together = uplink.gro && (self.vlan.is_none() || expected::has_8021q());
        // What is cut on its way to the device comes back to back.
        let wanted = if wire.tso || puts_together && wire.gso {
            Segments::Several
        } else if puts_together {
            Segments::ByChance
        } else {
            Segments::One
        };
        inside.check(&what, wanted);
    }

    /// The same, for every combination on all devices, and for each device that is unlike all others. An emulated machine has
    /// not the time for all of it twice, nor for the former with the endpoint device that was tested on this machine.
    fn check_all(&self, segment: &str) {
        let has_time = !expected::is_emulated();
        let is_netkit = expected::endpoint_device().as_deref() == Some("netkit");
        let ends = [Offloads::ALL, Offloads::NONE];
        for offloads in Offloads::combinations() {
            if has_time || is_netkit && self.vlan.is_some() || ends.contains(&offloads) {
                self.check(segment, [offloads; 4]);
            }
        }
        if !has_time && self.vlan.is_none() {
            return;
        }
        for (odd, others) in [(ends[0], ends[1]), (ends[1], ends[0])] {
            for one in 0..4 {
                let mut offloads = [others; 4];
                offloads[one] = odd;
                self.check(segment, offloads);
            }
        }
    }
}

#[test]
fn untagged_segments_go_whole_and_right_with_all_kinds_of_offloads() {
    let stage = Stage::untagged();
    // As the devices come.
    for arrival in stage.stream(&"untagged") {
        arrival.check(&"untagged", Segments::Several);
    }
    stage.check_all("untagged");
}

#[test]
fn tagged_segments_go_whole_and_right_with_all_kinds_of_offloads() {
    let stage = Stage::tagged();
    for arrival in stage.stream(&"tagged") {
        arrival.check(&"tagged", Segments::Several);
    }
    stage.check_all("tagged");
}

/// The kernel cuts what has two tags before it gives it to a device, whoever puts them on (`vlan_features_check`).
#[test]
fn twice_tagged_segments_are_right() {
    let stage = Stage::twice_tagged();
    stage.stream(&"twice tagged");
    for offloads in [Offloads::ALL, Offloads::NONE] {
        stage.set([offloads; 4]);
        stage.stream(&format!("twice tagged, {offloads}"));
    }
}
