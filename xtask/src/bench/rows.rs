//! What is measured on which kernel. How a row is set up, and by which paths frames go through it, is in `tests/benches/datapath`.

use crate::vm::kernel::{Flavour, LINUX_6_1, LINUX_6_12};

/// One way from the NIC to containers.
#[derive(Clone, Copy)]
pub struct Row {
    /// As the benchmark calls it.
    pub name: &'static str,
    /// As a reader does.
    pub title: &'static str,
}

/// A kernel, and the rows for which it has what they need.
pub struct Machine {
    pub flavour: Flavour,
    pub rows: &'static [Row],
}

const fn row(name: &'static str, title: &'static str) -> Row {
    Row { name, title }
}

/// What all others are compared with.
pub const REFERENCE: Row = row("macvlan-on-vlan", "macvlan on a VLAN device");
/// What the cost of other traffic is compared with.
pub const EMPTY_PROGRAM: Row = row("empty-program", "an empty tcx program");

pub const MACHINES: [Machine; 2] = [
    Machine {
        flavour: LINUX_6_12,
        rows: &[
            REFERENCE,
            row("macvlan-untagged", "macvlan, untagged"),
            row("ipvlan-on-vlan", "ipvlan on a VLAN device"),
            row("bridge", "VLAN-filtering bridge and veth"),
            row("openvswitch", "Open vSwitch, access ports"),
            row("vnet-netkit", "vnet, netkit"),
            row("vnet-veth", "vnet, veth"),
            row(
                "macvlan-tags-in-frames",
                "macvlan on a VLAN device, tags in frames",
            ),
            row("vnet-xdp-filter", "vnet, XDP filter, tags in frames"),
            row("floor-netkit", "floor, netkit"),
            row("floor-veth", "floor, veth"),
            row("floor-macvlan", "floor, macvlan on the NIC"),
            row("no-program", "no program"),
            EMPTY_PROGRAM,
        ],
    },
    Machine {
        flavour: LINUX_6_1,
        rows: &[
            REFERENCE,
            row("macvlan-untagged", "macvlan, untagged"),
            row("ipvlan-on-vlan", "ipvlan on a VLAN device"),
            row("bridge", "VLAN-filtering bridge and veth"),
            row("vnet-veth", "vnet, veth, clsact"),
            row("no-program", "no program"),
        ],
    },
];

/// A path, as the benchmark calls it and as a reader does.
pub struct Path {
    pub name: &'static str,
    pub title: &'static str,
}

const fn path(name: &'static str, title: &'static str) -> Path {
    Path { name, title }
}

/// To and from containers: the main table.
pub const CONTAINERS: &[Path] = &[
    path("rx", "RX"),
    path("tx", "TX"),
    path("c2c", "container to container"),
];
/// From the wire, through the driver with native XDP.
pub const DRIVER: &[Path] = &[path("from-driver", "RX"), path("dropped", "drop")];
/// What is not for containers.
pub const BESIDE: &[Path] = &[
    path("beside-untagged", "untagged"),
    path("beside-tagged", "another VLAN"),
];
