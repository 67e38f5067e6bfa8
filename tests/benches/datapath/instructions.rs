//! Instructions per packet of one way after another.
//!
//! For a machine whose clock counts instructions, so that a nanosecond is one: QEMU's `-icount shift=0,sleep=off`.

use serde_json::json;

use crate::bed::Bed;
use crate::path::Path;
use crate::{floor, kernel, openvswitch, vnet};

/// What a host can put between its NIC and its containers.
struct Row {
    name: &'static str,
    paths: &'static [Path],
    build: fn() -> Bed,
}

use Path::{BesideTagged, BesideUntagged, ContainerToContainer, Dropped, FromDriver, Rx, Tx};

const ROWS: &[Row] = &[
    row("macvlan-on-vlan", EVERY, kernel::macvlan_on_vlan),
    row("macvlan-untagged", CONTAINERS, kernel::macvlan_untagged),
    row("ipvlan-on-vlan", CONTAINERS, kernel::ipvlan_on_vlan),
    row("bridge", CONTAINERS, kernel::bridge),
    row("openvswitch", CONTAINERS, openvswitch::access_ports),
    row("vnet-netkit", EVERY, || {
        vnet::attached("--endpoint-device netkit")
    }),
    row("vnet-veth", EVERY, || {
        vnet::attached("--endpoint-device veth")
    }),
    row(
        "macvlan-tags-in-frames",
        DRIVER,
        kernel::macvlan_with_tags_in_frames,
    ),
    row("vnet-xdp-filter", DRIVER, || vnet::attached(XDP_FILTER)),
    row("floor-netkit", CONTAINERS, || floor::with_device("netkit")),
    row("floor-veth", CONTAINERS, || floor::with_device("veth")),
    row("floor-macvlan", CONTAINERS, floor::with_macvlan),
    row("no-program", BESIDE, kernel::nothing),
    row("empty-program", BESIDE, floor::empty_program),
];

const CONTAINERS: &[Path] = &[Rx, Tx, ContainerToContainer];
const DRIVER: &[Path] = &[FromDriver, Dropped];
const BESIDE: &[Path] = &[BesideUntagged, BesideTagged];
const EVERY: &[Path] = &[
    Rx,
    Tx,
    ContainerToContainer,
    FromDriver,
    Dropped,
    BesideUntagged,
    BesideTagged,
];

const XDP_FILTER: &str = "--xdp filter --unknown-vlan drop --unknown-unicast drop";

/// How many packets make a slope: so many, and twice as many.
const PACKETS: u64 = 5_000;
/// How many slopes make a figure, which is their median: now and then the kernel has work of its own to do.
const SLOPES: usize = 11;

const fn row(name: &'static str, paths: &'static [Path], build: fn() -> Bed) -> Row {
    Row { name, paths, build }
}

/// Measures the row of this name.
pub fn measure(name: &str) {
    let row = ROWS.iter().find(|row| row.name == name);
    let row = row.unwrap_or_else(|| panic!("there is no row {name}"));
    let bed = (row.build)();
    for path in row.paths {
        let sink = bed.sink(*path);
        bed.check(*path, &sink);
        let instructions = median_slope(|packets| path.nanoseconds(&bed, packets));
        let line = json!({"row": row.name, "path": path.name(), "instructions": instructions});
        println!("{line}");
    }
}

/// What one packet more takes, of what so many take; what it takes to begin and to end is not in it.
pub fn median_slope(nanoseconds: impl Fn(u64) -> u64) -> f64 {
    let mut slopes = [(); SLOPES].map(|()| {
        shrink_caches();
        let [once, twice] = [1, 2].map(|times| nanoseconds(times * PACKETS));
        (twice as f64 - once as f64) / PACKETS as f64
    });
    slopes.sort_by(f64::total_cmp);
    slopes[SLOPES / 2]
}

/// Lets the kernel's object caches begin anew. Whether freeing a packet takes a short way or a long one depends on which
/// other objects are free, and so on all that was done since the machine booted (mm/slub.c).
fn shrink_caches() {
    for cache in std::fs::read_dir("/sys/kernel/slab").unwrap() {
        let shrink = cache.unwrap().path().join("shrink");
        // One may go meanwhile.
        let _ = std::fs::write(shrink, "1");
    }
}
