//! vnet on real NIC drivers, in a virtual machine: two emulated NICs on one hub are a wire.
//!
//! `VNET_NICS` says which: `virtio-net-pci=MAC,MAC;e1000=MAC,MAC;…`. The first of each pair becomes the uplink, the second
//! the other end. Each model is tried without and with the kernel's 802.1Q module: several drivers filter VLANs only once it
//! is there, and some always.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "in a test, the panic is the report"
)]

use std::{
    env,
    net::SocketAddr,
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use tests::{Fixture, PATIENCE, active_features, link};
use vnet_user::lab::{Lab, Mac, Netns, VlanEnd, probe};

/// Small: an emulated NIC on an emulated CPU is slow.
const STREAM_BYTES: u64 = 1 << 20;

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
    let [uplink, other] = macs_of(model);
    let lab = Lab::new("vnet-nic")
        .host("host")
        .host("wire")
        .build()
        .unwrap();
    take(uplink, lab.get("host").unwrap());
    take(other, lab.get("wire").unwrap());
    let mut fixture = Fixture::with(lab);
    let (host, wire) = (fixture.host(), fixture.wire());
    // The other end shall see all; what the uplink lets through is what is tested.
    wire.ip("link set enp0s8 promisc on").unwrap();
    for end in [&host, &wire] {
        end.ip("link set enp0s8 up").unwrap();
    }
    for end in [&host, &wire] {
        wait_for_carrier(end);
    }

    unload_8021q();
    let end = VlanEnd::tap(&wire, "enp0s8", 200, "vlan200", &["192.168.200.100/24"]).unwrap();
    traffic(&mut fixture, "without", model);
    drop(end);

    modprobe(&["8021q"]);
    let end = VlanEnd::kernel(&wire, "enp0s8", 200, "vlan200", &["192.168.200.100/24"]).unwrap();
    traffic(&mut fixture, "with", model);
    drop(end);
    drop(fixture);
    unload_8021q();
}

/// Attaches, lets a container on VLAN 200 talk to the other end, detaches, and finds the NIC as it was.
fn traffic(fixture: &mut Fixture, module: &str, model: &str) {
    let (host, wire) = (fixture.host(), fixture.wire());
    let before = nic_state(&host);
    println!("{model}, {module} 8021q: {}", fixture.attach().trim());
    fixture.network(
        "web",
        "--vlan 200 --subnet 192.168.200.0/24 --gateway 192.168.200.100",
    );
    let a = fixture.container(module, "web", "--ip 192.168.200.2");
    let links = host.ip("-d -o link show").unwrap();
    assert!(!links.contains("802.1Q"), "a VLAN device was made: {links}");

    let case = format!("{model}, {module} 8021q");
    let there = "192.168.200.100".parse().unwrap();
    let echo = probe::ping(&a.netns, there, PATIENCE).unwrap();
    assert!(
        echo.is_some(),
        "{case}: no ping from the container; {}",
        host.ip("-s -d link show dev enp0s8").unwrap()
    );
    let echo = probe::ping(&wire, "192.168.200.2".parse().unwrap(), PATIENCE).unwrap();
    assert!(echo.is_some(), "{case}: no ping to the container");
    let stream = |from: &Netns, to: &Netns, address: &str| {
        let address: SocketAddr = address.parse().unwrap();
        probe::stream(from, to, address, STREAM_BYTES, 3 * PATIENCE)
            .unwrap_or_else(|error| panic!("{case}: {error:?}"));
    };
    stream(&a.netns, &wire, "192.168.200.100:7001");
    stream(&wire, &a.netns, "192.168.200.2:7002");

    fixture.ok("detach --iface enp0s8 --force");
    fixture.ok("network remove web");
    assert_eq!(nic_state(&host), before, "{case}: the NIC is not as it was");
}

/// What vnet may change on a NIC, and must undo.
fn nic_state(host: &Netns) -> (Value, Vec<u32>, String) {
    let shown = link(host, "enp0s8");
    let flags = serde_json::json!([
        shown["flags"],
        shown["promiscuity"],
        shown["allmulti"],
        shown["mtu"]
    ]);
    let filter = host.sh("bridge fdb show dev enp0s8").unwrap();
    (flags, active_features(host, "enp0s8"), filter)
}

/// The pair of addresses that `VNET_NICS` gives for a model.
fn macs_of(model: &str) -> [Mac; 2] {
    let nics = env::var("VNET_NICS")
        .expect("VNET_NICS must name the emulated NICs: model=MAC,MAC;… (`cargo xtask test`)");
    let pair = nics
        .split(';')
        .find_map(|entry| entry.trim().strip_prefix(model)?.strip_prefix('='))
        .unwrap_or_else(|| panic!("VNET_NICS has no {model}: {nics}"));
    let (first, second) = pair
        .split_once(',')
        .expect("two MACs, with a comma between");
    [first, second].map(|mac| mac.parse().unwrap())
}

/// Moves the NIC with this address from the machine's own namespace, as `enp0s8`.
fn take(mac: Mac, to: &Netns) {
    let machine = Netns::current().unwrap();
    let links: Value = serde_json::from_str(&machine.ip("-j link show").unwrap()).unwrap();
    let name = links
        .as_array()
        .unwrap()
        .iter()
        .find(|link| link["address"] == mac.to_string())
        .unwrap_or_else(|| panic!("this machine has no NIC {mac}: {links}"))["ifname"]
        .as_str()
        .unwrap()
        .to_owned();
    machine.ip(&format!("link set dev {name} down")).unwrap();
    machine
        .ip(&format!(
            "link set dev {name} netns {} name enp0s8",
            to.name()
        ))
        .unwrap();
}

/// Emulated NICs negotiate, as real ones do.
fn wait_for_carrier(netns: &Netns) {
    let deadline = Instant::now() + PATIENCE;
    while link(netns, "enp0s8")["flags"]
        .as_array()
        .is_none_or(|flags| !flags.contains(&"LOWER_UP".into()))
    {
        assert!(Instant::now() < deadline, "no carrier in {}", netns.name());
        thread::sleep(Duration::from_millis(100));
    }
}

fn modprobe(arguments: &[&str]) {
    let status = Command::new("modprobe")
        .args(arguments)
        .status()
        .expect("modprobe runs");
    assert!(status.success(), "modprobe {arguments:?}: {status}");
}

/// Without the module no driver has a VLAN registered. It must really be gone, or the test would tell nothing.
fn unload_8021q() {
    let module = Path::new("/sys/module/8021q");
    let deadline = Instant::now() + PATIENCE;
    while module.exists() {
        // A device whose namespace is just going still holds it.
        let _ = Command::new("modprobe").args(["-r", "8021q"]).status();
        assert!(Instant::now() < deadline, "8021q stays loaded");
        thread::sleep(Duration::from_millis(100));
    }
}
