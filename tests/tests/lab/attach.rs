//! Attaching and detaching: what it says, what it leaves.

use tests::{Fixture, NicState, PATIENCE, expected};
use vnet_user::lab::probe;

#[test]
fn attach_says_what_it_chose_and_pins_what_runs() {
    let fixture = Fixture::new();
    let said = fixture.attach();
    assert_eq!(said.trim().lines().count(), 1, "{said}");
    assert!(said.starts_with("enp0s8: attached ("), "{said}");
    let uplink = fixture.show()["uplinks"][0].clone();
    assert_eq!(uplink["name"], "enp0s8");
    if let Some(hook) = expected::hook() {
        assert!(said.contains(&hook), "expected {hook}: {said}");
        assert_eq!(uplink["hook"], hook.as_str());
    }
    if let Some(device) = expected::endpoint_device() {
        assert!(said.contains(&device), "expected {device}: {said}");
        assert_eq!(uplink["endpoint_device"], device.as_str());
    }
    assert!(
        fixture.vnet.pins().join("enp0s8/fdb").exists(),
        "the FDB is pinned"
    );

    let settled = fixture.settled();
    let again = fixture.attach();
    assert!(again.starts_with("enp0s8: already attached ("), "{again}");
    assert_eq!(
        fixture.settled(),
        settled,
        "the second attach changed something"
    );
}

#[test]
fn detach_undoes_what_attach_and_networks_changed() {
    let mut fixture = Fixture::new();
    let host = fixture.host();
    let before = NicState::of(&host, "enp0s8");
    fixture.attach();
    fixture.network("web", "--vlan 200 --subnet 10.9.200.0/24");
    let container = fixture.container("a", "web", "--ip 10.9.200.2");
    assert_ne!(
        NicState::of(&host, "enp0s8"),
        before,
        "a NIC with an endpoint has at least one link more"
    );

    let refusal = fixture.refused("detach --iface enp0s8", &["enp0s8", &container.id]);
    assert!(
        refusal.contains("--force"),
        "the way out must be named: {refusal}"
    );
    fixture.ok("detach --iface enp0s8 --force");

    assert_eq!(NicState::of(&host, "enp0s8"), before);
    assert!(
        !fixture.vnet.pins().join("enp0s8").exists(),
        "pins are left"
    );
    assert!(
        container.netns.ip("link show dev eth0").is_err(),
        "the container keeps its interface"
    );
    assert_eq!(fixture.show()["uplinks"], serde_json::json!([]));
}

#[test]
fn flags_that_the_user_had_set_stay_when_detached() {
    let mut fixture = Fixture::new();
    let host = fixture.host();
    host.ip("link set enp0s8 promisc on allmulticast on")
        .unwrap();
    let before = NicState::of(&host, "enp0s8");
    fixture.attach();
    fixture.network("web", "--vlan 200 --subnet 10.9.200.0/24");
    fixture.container("a", "web", "--ip 10.9.200.2");
    fixture.ok("detach --iface enp0s8 --force");
    assert_eq!(NicState::of(&host, "enp0s8"), before);
}

#[test]
fn the_host_keeps_its_own_network_beside_vnet() {
    let fixture = Fixture::new();
    let (host, wire) = (fixture.host(), fixture.wire());
    host.ip("addr add 192.168.1.1/24 dev enp0s8").unwrap();
    wire.ip("addr add 192.168.1.100/24 dev enp0s8").unwrap();
    fixture.attach();
    let gateway = "192.168.1.100".parse().unwrap();
    assert!(probe::ping(&host, gateway, PATIENCE).unwrap().is_some());
    let back = "192.168.1.1".parse().unwrap();
    assert!(probe::ping(&wire, back, PATIENCE).unwrap().is_some());
}

#[test]
fn networks_and_their_segments_outlive_an_attach() {
    let mut fixture = Fixture::attached();
    fixture.network(
        "web",
        "--vlan 200 --subnet 10.9.200.0/24 --gateway 10.9.200.100",
    );
    fixture.ok("detach --iface enp0s8");
    fixture.attach();
    let _end = fixture.vlan_end(200, &["10.9.200.100/24"]);
    let container = fixture.container("a", "web", "");
    let gateway = "10.9.200.100".parse().unwrap();
    assert!(
        probe::ping(&container.netns, gateway, PATIENCE)
            .unwrap()
            .is_some()
    );
}
