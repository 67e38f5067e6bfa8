//! Other users of the same NIC keep working beside vnet, and vnet beside them.

use tests::{Fixture, PATIENCE, expected, machine::wait_for_carrier, side_by_side};
use vnet_user::lab::{Lab, Netns, probe};

fn pings(from: &Netns, to: &str) {
    let answer = probe::ping(from, to.parse().unwrap(), PATIENCE).unwrap();
    assert!(answer.is_some(), "{to} does not answer {}", from.name());
}

#[test]
fn the_uplink_may_be_a_port_of_a_bridge() {
    let mut fixture = Fixture::new();
    let (host, wire) = (fixture.host(), fixture.wire());
    let machine = Netns::clone(fixture.lab.add("machine").unwrap());
    // A virtual machine host as it is everywhere: the NIC is in a bridge, which has the host's address.
    for step in [
        "link add br0 type bridge forward_delay 0",
        "link set enp0s8 master br0",
        &format!(
            "link add port1 type veth peer name eth0 netns {}",
            machine.name()
        ),
        "link set port1 master br0",
        "link set port1 up",
        "link set br0 up",
        "addr add 192.168.1.1/24 dev br0",
    ] {
        host.ip(step).unwrap();
    }
    machine.ip("addr add 192.168.1.7/24 dev eth0").unwrap();
    machine.ip("link set eth0 up").unwrap();
    wire.ip("addr add 192.168.1.100/24 dev enp0s8").unwrap();
    pings(&machine, "192.168.1.100");

    fixture.attach();
    let _router = fixture.vlan_end(200, &["192.168.200.100/24"]);
    fixture.network("pub", "--subnet 192.168.1.0/24");
    fixture.network("web", "--vlan 200 --subnet 192.168.200.0/24");
    let a = fixture.container("a", "pub", "--ip 192.168.1.201");
    let b = fixture.container("b", "web", "--ip 192.168.200.2");
    a.pings("192.168.1.100");
    b.pings("192.168.200.100");
    pings(&wire, "192.168.1.201");
    pings(&machine, "192.168.1.100");
    pings(&wire, "192.168.1.7");
    pings(&host, "192.168.1.100");
    pings(&wire, "192.168.1.1");

    fixture.ok("detach --iface enp0s8 --force");
    pings(&machine, "192.168.1.100");
    let shown = host.ip("-o link show dev enp0s8").unwrap();
    assert!(shown.contains("master br0"), "{shown}");
}

#[test]
fn all_users_of_one_nic_talk_at_once() {
    side_by_side(&mut Fixture::new());
}

#[test]
fn all_users_of_a_bond_talk_at_once() {
    let lab = Lab::new("vnet-test")
        .host("host")
        .host("wire")
        .wire(("host", "port0"), ("wire", "port0"))
        .wire(("host", "port1"), ("wire", "port1"))
        .build()
        .unwrap();
    let mut fixture = Fixture::with(lab);
    let (host, wire) = (fixture.host(), fixture.wire());
    let bond = "link add enp0s8 type bond mode active-backup miimon 100";
    match host.ip(bond) {
        Err(error) if expected::lacks_kind(&error) => return,
        made => made.unwrap(),
    };
    // Both ports lead to one switch.
    wire.ip("link add enp0s8 type bridge forward_delay 0 mcast_snooping 0")
        .unwrap();
    for port in ["port0", "port1"] {
        host.ip(&format!("link set {port} down")).unwrap();
        for end in [&host, &wire] {
            end.ip(&format!("link set {port} master enp0s8")).unwrap();
            end.ip(&format!("link set {port} up")).unwrap();
        }
    }
    for end in [&host, &wire] {
        end.ip("link set enp0s8 up").unwrap();
    }
    for end in [&host, &wire] {
        wait_for_carrier(end);
    }
    side_by_side(&mut fixture);
}
