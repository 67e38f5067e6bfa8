//! The books: what the devices took and gave, and what vnet says became of it.

use serde_json::Value;
use tests::{Container, Fixture, expected};
use vnet_user::lab::Netns;

/// What the sockets gave, and what they were refused.
#[derive(Debug, Default)]
pub struct Books {
    /// In containers.
    pub arrived: u64,
    /// Of these, what came from the wire for one alone.
    pub unicast: u64,
    /// Frames that the kernel took although they are to be cut up, or lack their checksum.
    pub with_offload: u64,
    /// Frames from the wire that the kernel drops before any program sees them.
    pub cut_short_from_wire: u64,
    /// The same from containers.
    pub cut_short_from_containers: u64,
    /// Copies for siblings that the kernel drops for the same reason, where they come in by netkit.
    pub cut_short_to_siblings: u64,
    /// Frames that a container's netkit has counted, and that were dropped when it was to cut them up.
    pub refused_by_netkit: u64,
}

/// What the devices and vnet have counted since the beginning.
#[derive(Debug)]
pub struct Counts {
    /// What the wire sent into the cable.
    from_wire: u64,
    /// What the containers' ends of their links took. More than was sent: the kernel cuts up what a device can't.
    from_containers: u64,
    rx: u64,
    tx: u64,
    lost: u64,
    handed_on: u64,
    dropped_from_wire: u64,
    dropped_from_containers: u64,
}

impl Counts {
    pub fn now<'a>(fixture: &Fixture, containers: impl Iterator<Item = &'a Container>) -> Self {
        let stats: Value = serde_json::from_str(&fixture.ok("stats --json")).unwrap();
        let stats = &stats[0];
        let number = |value: &Value| value.as_u64().unwrap();
        let reasons = |names: &[&str]| {
            names
                .iter()
                .map(|name| number(&stats["reasons"][name]))
                .sum()
        };
        let endpoints = stats["endpoints"].as_array().unwrap();
        let sum = |name: &str| {
            endpoints
                .iter()
                .map(|endpoint| number(&endpoint[name]))
                .sum()
        };
        Self {
            from_wire: sent(&fixture.wire(), "enp0s8", false),
            from_containers: containers
                .map(|container| sent(&container.netns, "eth0", is_netkit()))
                .sum(),
            rx: sum("rx_packets"),
            tx: sum("tx_packets"),
            lost: sum("lost") + reasons(&["clone_failed"]),
            handed_on: reasons(&["unknown_vlan", "unknown_unicast", "group", "reflected"]),
            // An inner tag that the frame's end cuts short can't be taken off. None ever failed to be put on.
            dropped_from_wire: reasons(&[
                "short_frame",
                "pull_failed",
                "type_failed",
                "tag_failed",
            ]),
            dropped_from_containers: reasons(&["vlan_not_allowed", "source_not_allowed"]),
        }
    }

    /// Whether each frame since `before` is accounted for.
    pub fn balance(&self, before: &Self, books: &Books) -> bool {
        let grown = |of: fn(&Self) -> u64| of(self) - of(before);
        let wire = books.unicast
            + books.cut_short_from_wire
            + grown(|c| c.handed_on)
            + grown(|c| c.dropped_from_wire);
        let containers = grown(|c| c.tx)
            + grown(|c| c.dropped_from_containers)
            + books.cut_short_from_containers;
        let arrived = books.arrived + books.cut_short_to_siblings + grown(|c| c.lost);
        // A few copies for siblings are dropped behind netkit by the kernel, as it receives them, and nobody counts these.
        let all_arrived = match is_netkit() {
            true => arrived <= grown(|c| c.rx),
            false => arrived == grown(|c| c.rx),
        };
        all_arrived
            && wire == grown(|c| c.from_wire)
            && containers + books.refused_by_netkit == grown(|c| c.from_containers)
    }
}

fn is_netkit() -> bool {
    expected::endpoint_device().as_deref() == Some("netkit")
}

/// Frames that a device has taken. What netkit's program drops, the device counts as dropped.
fn sent(netns: &Netns, device: &str, with_dropped: bool) -> u64 {
    let links = netns.ip(&format!("-s -j link show dev {device}")).unwrap();
    let links: Value = serde_json::from_str(&links).unwrap();
    let tx = &links[0]["stats64"]["tx"];
    let number = |name: &str| tx[name].as_u64().unwrap();
    let dropped = if with_dropped { number("dropped") } else { 0 };
    number("packets") + dropped
}
