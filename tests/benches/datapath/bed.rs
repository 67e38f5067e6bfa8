//! A host with a NIC and two containers, and a wire.

use std::any::Any;
use std::net::Ipv4Addr;
use std::thread;
use std::time::Duration;

use serde_json::Value;
use tests::{Fixture, LAB, eventually, mac_of, silence};
use vnet_user::lab::{Lab, Mac, Netns};

use crate::path::Path;
use crate::sink::Sink;

/// The NIC, and the far end of its cable.
pub const UPLINK: &str = "enp0s8";
/// The containers' VLAN.
pub const VLAN: u16 = 200;
/// The containers' interface.
pub const IFNAME: &str = "eth0";
/// How many packets show that a path works.
const CHECKED: u64 = 200;

/// How long the first of them have to arrive.
const WARM_UP: Duration = Duration::from_millis(100);

/// A container.
pub struct Container {
    pub netns: Netns,
    pub address: Ipv4Addr,
    pub mac: Mac,
}

/// A host, on which frames come and go, and end in a [`Sink`] each.
pub struct Bed {
    pub fixture: Fixture,
    pub containers: [Container; 2],
    /// The NIC's.
    pub host_mac: Mac,
    /// The tag on the wire.
    pub vlan: Option<u16>,
    /// What keeps the datapath alive.
    pub kept: Vec<Box<dyn Any>>,
}

/// No station's address.
pub const NOBODY: Mac = Mac([0x02, 0, 0, 0, 0, 0x77]);

/// Where frames end.
#[derive(Clone, Copy, Debug)]
pub enum End {
    Container,
    Wire,
    Host,
    Nowhere,
}

/// The addresses of the containers.
pub const ADDRESSES: [Ipv4Addr; 2] = [
    Ipv4Addr::new(192, 168, 200, 11),
    Ipv4Addr::new(192, 168, 200, 12),
];
/// The address of who is on the wire.
pub const WIRE_ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 168, 200, 100);
/// The containers' roles in the lab.
pub const ROLES: [&str; 2] = ["c1", "c2"];

/// A host without a datapath, on which nobody talks by himself.
pub fn host() -> Fixture {
    let lab = Lab::new(LAB)
        .host("host")
        .host("wire")
        .host(ROLES[0])
        .host(ROLES[1]);
    let lab = lab
        .wire(("host", UPLINK), ("wire", UPLINK))
        .build()
        .unwrap();
    for role in ["host", "wire", ROLES[0], ROLES[1]] {
        silence(lab.get(role).unwrap());
    }
    Fixture::with(lab)
}

/// As `attach` asks for it with XDP, which sees no tag that a device took off or will put on.
pub fn keep_tags_in_frames(fixture: &Fixture) {
    for netns in [fixture.host(), fixture.wire()] {
        let features = "rxvlan off rx-vlan-stag-hw-parse off txvlan off tx-vlan-stag-hw-insert off";
        netns
            .sh(&format!("ethtool -K {UPLINK} {features}"))
            .unwrap();
    }
}

impl Bed {
    /// A host whose containers have their interface and their address, up.
    pub fn new(fixture: Fixture, vlan: Option<u16>) -> Self {
        let netns = |role| Netns::clone(fixture.lab.get(role).unwrap());
        let containers = [0, 1].map(|index: usize| {
            let netns = netns(ROLES[index]);
            let mac = mac_of(&netns, IFNAME);
            Container {
                netns,
                address: ADDRESSES[index],
                mac,
            }
        });
        let wire_mac = mac_of(&fixture.wire(), UPLINK);
        for (own, other) in [(0, 1), (1, 0)] {
            let Container { netns, .. } = &containers[own];
            let Container { address, mac, .. } = &containers[other];
            for (address, mac) in [(address, mac), (&WIRE_ADDRESS, &wire_mac)] {
                netns
                    .ip(&format!(
                        "neigh replace {address} lladdr {mac} dev {IFNAME} nud permanent"
                    ))
                    .unwrap();
            }
        }
        Self {
            host_mac: mac_of(&fixture.host(), UPLINK),
            fixture,
            containers,
            vlan,
            kept: Vec::new(),
        }
    }

    /// Lets the frames of a path end where they arrive.
    pub fn sink(&self, path: Path) -> Sink {
        match path.end() {
            End::Container | End::Nowhere => Sink::open(&self.containers[0].netns, IFNAME),
            End::Wire => Sink::open(&self.fixture.wire(), UPLINK),
            // Behind all programs.
            End::Host => Sink::open(&self.fixture.host(), UPLINK),
        }
    }

    /// Checks that every packet of a path arrives where it should: what is lost early is cheap.
    pub fn check(&self, path: Path, sink: &Sink) {
        // Of what is dropped, that it came to the NIC; and of that nothing to the container.
        let expected = match path.end() {
            End::Nowhere => (0, CHECKED),
            _ => (CHECKED, 0),
        };
        // A process may have to decide first what becomes of such packets.
        let what = format!("packets that arrive, and are dropped, by {}", path.name());
        eventually(&what, &expected, || {
            path.nanoseconds(self, CHECKED);
            thread::sleep(WARM_UP);
            let before = self.received_by_nic();
            let arrived = sink.counted(|| _ = path.nanoseconds(self, CHECKED));
            match path.end() {
                End::Nowhere => (arrived, self.received_by_nic() - before),
                _ => (arrived, 0),
            }
        });
    }

    fn received_by_nic(&self) -> u64 {
        let shown = self
            .fixture
            .host()
            .ip(&format!("-s -j link show dev {UPLINK}"))
            .unwrap();
        let shown: Value = serde_json::from_str(&shown).unwrap();
        shown[0]["stats64"]["rx"]["packets"].as_u64().unwrap()
    }
}
