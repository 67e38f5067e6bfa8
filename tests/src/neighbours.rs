//! Other users of the uplink, beside vnet: the host itself, its VLAN device, and one of macvlan, ipvlan and a bridge, of which
//! the kernel allows one at a time.

use std::net::Ipv4Addr;

use vnet_user::lab::{LabError, Netns, VlanEnd};

use crate::{Fixture, Party, exchange, expected, mac_of};

/// VLAN of the host's own device, which containers share.
const SHARED_VLAN: u16 = 300;
/// VLAN of containers alone.
const OWN_VLAN: u16 = 200;
/// Subnet that the wire routes by the host's address: behind ipvlan's layer 3 nobody answers ARP.
const ROUTED: &str = "192.168.77.0/24";

/// What takes all frames that come in by the NIC, or some of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Upper {
    Macvlan,
    IpvlanL2,
    IpvlanL3,
    Bridge,
}

const UPPERS: [Upper; 4] = [
    Upper::Macvlan,
    Upper::IpvlanL2,
    Upper::IpvlanL3,
    Upper::Bridge,
];

/// Attaches vnet to `enp0s8` of a host and a wire without addresses, and lets its containers, the host and the other users of
/// the NIC talk with the wire at the same time; for each kind of other user, and at the end without vnet.
///
/// # Panics
///
/// When anybody's frames were lost, doubled, or went to somebody else.
pub fn side_by_side(fixture: &mut Fixture) {
    let (host, wire) = (fixture.host(), fixture.wire());
    host.ip("addr add 192.168.1.1/24 brd + dev enp0s8").unwrap();
    wire.ip("addr add 192.168.1.100/24 brd + dev enp0s8")
        .unwrap();
    wire.ip(&format!("route add {ROUTED} via 192.168.1.1"))
        .unwrap();
    let _ends = [
        vlan_end(&host, SHARED_VLAN, "192.168.30.1/24"),
        vlan_end(&wire, SHARED_VLAN, "192.168.30.100/24"),
        vlan_end(&wire, OWN_VLAN, "192.168.20.100/24"),
    ];
    let hosts = vec![
        party("host", &host, [192, 168, 1, 1]),
        party("host's VLAN", &host, [192, 168, 30, 1]),
    ];

    fixture.attach();
    fixture.network("pub", "--subnet 192.168.1.0/24");
    fixture.network("shared", "--vlan 300 --subnet 192.168.30.0/24");
    fixture.network("own", "--vlan 200 --subnet 192.168.20.0/24");
    let mut all = hosts.clone();
    for (network, address) in [
        ("pub", [192, 168, 1, 201]),
        ("shared", [192, 168, 30, 2]),
        ("own", [192, 168, 20, 2]),
    ] {
        let option = format!("--ip {}", Ipv4Addr::from(address));
        let container = fixture.container(network, network, &option);
        all.push(party(network, &container.netns, address));
    }

    let theirs = Netns::clone(fixture.lab.add("theirs").unwrap());
    for upper in UPPERS {
        let Some(other) = upper.add(&host, &theirs) else {
            continue;
        };
        let parties: Vec<_> = all.iter().cloned().chain([other]).collect();
        exchange(&format!("{upper:?}"), &wire, &parties);
        if upper != Upper::Bridge {
            theirs.ip("link del eth0").unwrap();
        }
    }
    fixture.ok("detach --iface enp0s8 --force");
    let mut left = hosts;
    left.push(party("Bridge", &theirs, Upper::Bridge.address()));
    exchange("without vnet", &wire, &left);
}

/// A party of a subnet with 24 bits, whose station on the wire has the number 100.
fn party(name: &str, netns: &Netns, address: [u8; 4]) -> Party {
    let [a, b, c, _] = address;
    Party {
        name: name.to_owned(),
        netns: netns.clone(),
        address: address.into(),
        wire: [a, b, c, 100].into(),
        broadcast: Some([a, b, c, 255].into()),
    }
}

fn vlan_end(netns: &Netns, vlan: u16, address: &str) -> VlanEnd {
    let name = format!("enp0s8.{vlan}");
    let end = VlanEnd::new(netns, "enp0s8", vlan, &name, &[]).unwrap();
    expected::check_vlan_end(&end);
    netns
        .ip(&format!("addr add {address} brd + dev {name}"))
        .unwrap();
    end
}

impl Upper {
    fn address(self) -> [u8; 4] {
        match self {
            Self::Macvlan => [192, 168, 1, 50],
            Self::IpvlanL2 => [192, 168, 1, 51],
            Self::IpvlanL3 => [192, 168, 77, 2],
            Self::Bridge => [192, 168, 1, 7],
        }
    }

    /// Puts it onto the host's `enp0s8`, with its other end in a namespace. None on a kernel without such devices, which must
    /// be one of which nobody expects any.
    fn add(self, host: &Netns, theirs: &Netns) -> Option<Party> {
        let kind = match self {
            Self::Macvlan => "macvlan mode bridge",
            Self::IpvlanL2 => "ipvlan mode l2",
            Self::IpvlanL3 => "ipvlan mode l3",
            Self::Bridge => "",
        };
        let added = match self {
            Self::Bridge => add_bridge(host, theirs),
            _ => host
                .ip(&format!(
                    "link add link enp0s8 name eth0 netns {} type {kind}",
                    theirs.name()
                ))
                .map(drop),
        };
        match added {
            Err(error) if expected::lacks_kind(&error) => return None,
            added => added.unwrap(),
        }
        let address = self.address();
        let mut party = party(&format!("{self:?}"), theirs, address);
        let up = format!("addr add {}/24 brd + dev eth0", Ipv4Addr::from(address));
        theirs.ip(&up).unwrap();
        theirs.ip("link set eth0 up").unwrap();
        if self == Self::IpvlanL3 {
            theirs.ip("route add default dev eth0").unwrap();
            party.wire = Ipv4Addr::new(192, 168, 1, 100);
            // It has no broadcasts (Documentation/networking/ipvlan.rst, 4.2).
            party.broadcast = None;
        }
        Some(party)
    }
}

/// A virtual machine host as it is everywhere: the NIC is in a bridge, which has the host's addresses.
fn add_bridge(host: &Netns, theirs: &Netns) -> Result<(), LabError> {
    let mac = mac_of(host, "enp0s8");
    for step in [
        "addr del 192.168.1.1/24 dev enp0s8",
        &format!("link add br0 address {mac} type bridge forward_delay 0"),
        "link set enp0s8 master br0",
        &format!(
            "link add virtual0 type veth peer name eth0 netns {}",
            theirs.name()
        ),
        "link set virtual0 master br0",
        "link set virtual0 up",
        "link set br0 up",
        "addr add 192.168.1.1/24 brd + dev br0",
    ] {
        host.ip(step)?;
    }
    Ok(())
}
