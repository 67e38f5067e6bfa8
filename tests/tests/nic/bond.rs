//! vnet on a bond: the one kind of uplink here whose `rx-vlan-filter` can be switched, while its port's is another's matter.

use tests::{
    Fixture, NicState, Watching, eventually,
    machine::{unload_8021q, wait_for_carrier},
};
use vnet_user::lab::VlanEnd;

use super::{
    changes::{Nic, VlanFilter},
    models::wired,
};

#[test]
fn a_filter_that_can_be_switched_is_switched_and_back() {
    // Without 8021q this port's own filter is not at work.
    carries_vlans("e1000e");
}

#[test]
fn a_bond_carries_vlans_though_its_port_filters_them() {
    carries_vlans("virtio-net-pci");
}

/// A container on VLAN 200 talks through a bond `enp0s8` with one port of this model.
fn carries_vlans(model: &str) {
    unload_8021q();
    let mut fixture = bonded(model);
    let (host, wire) = (fixture.host(), fixture.wire());
    let _end = VlanEnd::tap(&wire, "enp0s8", 200, "vlan200", &["192.168.200.100/24"]).unwrap();
    let nic = Nic::new(&mut fixture, format!("bond of {model}"));
    assert_eq!(
        nic.filter,
        VlanFilter::On,
        "a bond's filter can be switched"
    );

    let create = "network create web --parent enp0s8 --vlan 200 --subnet 192.168.200.0/24";
    let created = nic.fixture.vnet.run(create).unwrap();
    assert!(created.ok(), "{created:?}");
    let promiscuous = host.ip("link show dev enp0s8").unwrap().contains("PROMISC");
    let open = promiscuous || VlanFilter::of(&host) == VlanFilter::Off;
    assert!(
        open,
        "the filter is on, and the bond is not promiscuous: {created:?}"
    );
    let said = &created.stderr;
    assert!(
        said.contains("enp0s8") && said.contains("rx-vlan-filter"),
        "{said}"
    );
    assert_eq!(said.contains("promiscuous"), promiscuous, "{said}");

    let container = nic.fixture.container("a", "web", "--ip 192.168.200.2");
    nic.ping(&container.netns, "192.168.200.100");
    nic.ping(&wire, "192.168.200.2");
    nic.fixture.ok("detach --iface enp0s8 --force");
    assert_eq!(NicState::of(&host, "enp0s8"), nic.before);
}

#[test]
fn a_port_that_comes_later_may_filter_too() {
    // It filters VLANs, and can't be told not to.
    let mut fixture = wired("virtio-net-pci");
    let host = fixture.host();
    for step in [
        "link set enp0s8 down",
        "link set enp0s8 name port1",
        "link add port0 type veth peer name far0",
        "link add enp0s8 type bond mode active-backup miimon 100",
        "link set port0 master enp0s8",
        "link set far0 up",
        "link set enp0s8 up",
    ] {
        host.ip(step).unwrap();
    }
    fixture.attach();
    fixture.network("web", "--vlan 200 --subnet 192.168.200.0/24");
    let _container = fixture.container("a", "web", "");
    let promiscuous = || host.ip("link show dev enp0s8").unwrap().contains("PROMISC");
    assert!(!promiscuous());
    let serve = Watching::start(&fixture);
    host.ip("link set port1 master enp0s8").unwrap();
    serve.says(&["enp0s8: promiscuous mode on", "rx-vlan-filter"]);
    assert!(promiscuous());
    host.ip("link set port1 nomaster").unwrap();
    eventually("promiscuous mode", &false, promiscuous);
    serve.end();
}

/// A host whose `enp0s8` is a bond with one port, and the wire behind that.
fn bonded(model: &str) -> Fixture {
    let fixture = wired(model);
    let host = fixture.host();
    for step in [
        "link set enp0s8 down",
        "link set enp0s8 name port0",
        "link add enp0s8 type bond mode active-backup miimon 100",
        "link set port0 master enp0s8",
        "link set enp0s8 up",
    ] {
        host.ip(step).unwrap();
    }
    wait_for_carrier(&host);
    fixture
}
