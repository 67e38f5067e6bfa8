//! Scenario 1: containers beside their host on an untagged LAN.

use super::{
    report::Report,
    stage::{Stage, UPLINK},
};
use crate::lab::Lab;

const PICTURE: &str = "\
docker host                              the wire
┌────────────────────────────────┐      ┌─────────────────┐
│  web .201 ──┐                  │      │ gateway         │
│             ├─ vnet ─ enp0s8 ──┼──────┼─ enp0s8 .100    │
│  db  .202 ──┘         .1       │      │                 │
└────────────────────────────────┘      └─────────────────┘
               192.168.1.0/24, untagged
";

/// Plays it. What it makes is gone when it returns.
pub(super) fn play(report: &mut Report<'_>) -> anyhow::Result<()> {
    report
        .heading("1. Bridge mode: each container has its own MAC and address on the host's LAN")?;
    report.block(PICTURE)?;
    report.line("")?;
    let lab = Lab::new(super::LAB)
        .host("host")
        .host("gateway")
        .wire(("host", UPLINK), ("gateway", UPLINK))
        .address("host", UPLINK, "192.168.1.1/24")
        .address("gateway", UPLINK, "192.168.1.100/24")
        .build()?;
    let mut stage = Stage::new(report, lab)?;

    stage.vnet("attach --iface enp0s8")?;
    stage.vnet(
        "network create pub --parent enp0s8 --subnet 192.168.1.0/24 --gateway 192.168.1.100",
    )?;
    stage.container("web", "pub", "192.168.1.201")?;
    stage.container("db", "pub", "192.168.1.202")?;
    stage.report.line("")?;

    stage.reaches("container .201 → sibling .202", "web", "192.168.1.202", 64)?;
    stage.reaches("container .201 → gateway .100", "web", "192.168.1.100", 64)?;
    stage.reaches(
        "gateway .100 → container .202",
        "gateway",
        "192.168.1.202",
        64,
    )?;
    stage.reaches(
        "host .1 → gateway .100, as before",
        "host",
        "192.168.1.100",
        64,
    )?;
    stage.cannot_reach(
        "container .201 → the host's own .1: not reachable",
        "web",
        "192.168.1.1",
    )?;

    stage.look_inside()?;
    stage.leave()
}
