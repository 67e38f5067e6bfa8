//! Each driver without the kernel's 802.1Q module and with it: several filter VLANs only once it is there, and some always.

use tests::{
    Fixture,
    machine::{macs_of, modprobe, take, unload_8021q, wait_for_carrier},
};
use vnet_user::lab::{Lab, VlanEnd};

use super::changes::Nic;

#[test]
fn virtio_net_carries_vlans() {
    carries_vlans("virtio-net-pci");
}

#[test]
fn vmxnet3_carries_vlans() {
    carries_vlans("vmxnet3");
}

#[test]
fn e1000_carries_vlans() {
    carries_vlans("e1000");
}

#[test]
fn e1000e_carries_vlans() {
    carries_vlans("e1000e");
}

fn carries_vlans(model: &str) {
    let mut fixture = wired(model);
    let wire = fixture.wire();
    unload_8021q();
    let address = ["192.168.200.100/24"];
    let end = VlanEnd::tap(&wire, "enp0s8", 200, "vlan200", &address).unwrap();
    let mut nic = Nic::new(&mut fixture, format!("{model} without 8021q"));
    nic.untagged();
    nic.tagged();
    drop(end);

    modprobe(&["8021q"]);
    let end = VlanEnd::kernel(&wire, "enp0s8", 200, "vlan200", &address).unwrap();
    let mut nic = Nic::new(&mut fixture, format!("{model} with 8021q"));
    nic.untagged();
    nic.tagged();
    drop(end);
    drop(fixture);
    unload_8021q();
}

/// A host and a wire with a NIC of this model each.
pub fn wired(model: &str) -> Fixture {
    let [uplink, other] = macs_of(model);
    let lab = Lab::new("vnet-nic")
        .host("host")
        .host("wire")
        .build()
        .unwrap();
    take(uplink, lab.get("host").unwrap());
    take(other, lab.get("wire").unwrap());
    let fixture = Fixture::with(lab);
    let (host, wire) = (fixture.host(), fixture.wire());
    // The other end shall see all; what the uplink lets through is what is tested.
    wire.ip("link set enp0s8 promisc on").unwrap();
    for end in [&host, &wire] {
        end.ip("link set enp0s8 up").unwrap();
    }
    for end in [&host, &wire] {
        wait_for_carrier(end);
    }
    wire.ip("addr add 192.168.1.100/24 dev enp0s8").unwrap();
    fixture
}
