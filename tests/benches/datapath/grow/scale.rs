//! Networks on one uplink, without and with an endpoint each.

use std::path::PathBuf;
use std::time::Instant;

use tests::{Fixture, Watching, mac_of};
use vnet_user::lab::Netns;

use super::batch::{self, Vlans};
use super::{disk, memory, print};
use crate::bed::{self, ROLES, UPLINK};
use crate::instructions::median_slope;
use crate::pktgen::{self, Entrance, Frame};
use crate::sink::Sink;

/// How many VLANs there are.
const COUNTS: [usize; 4] = [1, 100, 1000, 4094];
/// From how many on memory is told.
const MANY: usize = 1000;
/// How many frames show that they arrive.
const CHECKED: u64 = 100;

pub fn measure() {
    let host = bed::host();
    for program in ["/usr/bin/prlimit".into(), ip(), vnet()] {
        disk::keep_in_memory(&host.host(), &program);
    }
    // Their code is in no figure.
    host.host().sh("modprobe --all 8021q macvlan").unwrap();
    drop(host);
    for count in COUNTS {
        networks_of_the_kernel(count);
        networks_of_vnet(count);
    }
    for count in COUNTS {
        endpoints_of_the_kernel(count);
        for device in ["netkit", "veth"] {
            endpoints_of_vnet(device, count);
        }
    }
}

fn ip() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    let mut paths = std::env::split_paths(&path).map(|directory| directory.join("ip"));
    paths.find(|path| path.exists()).unwrap()
}

fn vnet() -> PathBuf {
    tests::expected::binary().into()
}

fn networks_of_the_kernel(count: usize) {
    let fixture = bed::host();
    let batch = batch::vlan_devices(Vlans::Each, count);
    set_up("networks", "vlan-device", count, || {
        batch.by_ip(&fixture.host())
    });
}

fn networks_of_vnet(count: usize) {
    let fixture = bed::host();
    fixture.ok(&format!("attach --iface {UPLINK}"));
    set_up("networks", "vnet", count, || {
        let create = format!("network create t{{vlan}} --parent {UPLINK} --vlans 1-{count}");
        fixture.ok(&create);
    });
}

fn endpoints_of_the_kernel(count: usize) {
    let way = "macvlan-on-vlan";
    let fixture = bed::host();
    let container = Netns::clone(fixture.lab.get(ROLES[0]).unwrap());
    let devices = batch::vlan_devices(Vlans::Each, count);
    let [macvlans, addresses] = batch::macvlans(&fixture, Vlans::Each, count);
    set_up("endpoints", way, count, || {
        devices.by_ip(&fixture.host());
        macvlans.by_ip(&fixture.host());
        addresses.by_ip(&container);
    });
    receive(&fixture, way, count);
}

fn endpoints_of_vnet(device: &str, count: usize) {
    let way = format!("vnet-{device}");
    let fixture = bed::host();
    fixture.ok(&format!(
        "attach --iface {UPLINK} --endpoint-device {device}"
    ));
    let batch = batch::endpoints(&fixture, Vlans::Each, count);
    set_up("endpoints", &way, count, || batch.by_vnet(&fixture));
    receive(&fixture, &way, count);
    let start = Instant::now();
    let watching = Watching::start(&fixture);
    print("restart-ms", &way, count, milliseconds(start));
    drop(watching);
}

/// Prints how long it takes, and how much of the kernel's memory.
fn set_up(what: &str, way: &str, count: usize, work: impl FnOnce()) {
    let before = memory::in_use();
    let start = Instant::now();
    work();
    print(&format!("{what}-ms"), way, count, milliseconds(start));
    // Of few, what else the kernel does in the meantime is more.
    if count >= MANY {
        let bytes = memory::in_use() as f64 - before as f64;
        print(&format!("{what}-bytes"), way, count, bytes / count as f64);
    }
}

/// Prints what it takes that a frame comes to the last endpoint.
fn receive(fixture: &Fixture, way: &str, count: usize) {
    let container = Netns::clone(fixture.lab.get(ROLES[0]).unwrap());
    let ifname = batch::ifname(count);
    let frame = Frame {
        mac: mac_of(&container, &ifname),
        address: batch::address(count),
        vlan: Some(count as u16),
    };
    let sink = Sink::open(&container, &ifname);
    let generate =
        |packets: u64| pktgen::generate(fixture, Entrance::BehindDriver, &frame, packets);
    let arrived = sink.counted(|| _ = generate(CHECKED));
    assert_eq!(arrived, CHECKED, "frames for VLAN {count} by {way}");
    print("rx", way, count, median_slope(generate));
}

fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1000.0
}
