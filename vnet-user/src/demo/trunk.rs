//! Scenario 2: containers on two VLANs of one trunk, and a router on the wire between them.

use std::net::SocketAddr;

use super::{
    report::Report,
    stage::{PATIENCE, Stage, UPLINK},
};
use crate::lab::{EthernetFrame, Lab, Mac, RawSocket, VlanEnd, VlanEndKind, probe::WhoAmI};

const PICTURE: &str = "\
docker host                                  router                          behind it
┌────────────────────────────────────┐      ┌───────────────────────────┐   ┌───────────┐
│ web200 .200.2 ──┐                  │      │  ┌─ enp0s8.200  .200.100  │   │ internet  │
│ db200  .200.3 ──┼─ vnet ─ enp0s8 ──┼──────┼──┤                        │   │           │
│ web201 .201.2 ──┘                  │      │  └─ enp0s8.201  .201.100  │   │           │
└────────────────────────────────────┘      │     enp0s3 10.0.2.15 SNAT─┼───┼─ 10.0.2.2 │
   192.168.200.0/24 on VLAN 200             └───────────────────────────┘   └───────────┘
   192.168.201.0/24 on VLAN 201
";

/// Texts to recognise frames by.
const HELLO: &str = "hello, VLAN 200";
const MARKER: &str = "the frame after it";

/// Plays it. What it makes is gone when it returns.
pub(super) fn play(report: &mut Report<'_>) -> anyhow::Result<()> {
    report.heading(
        "2. 802.1Q trunk: containers on two VLANs through one NIC, and a router between them",
    )?;
    report.block(PICTURE)?;
    report.line("")?;
    let lab = Lab::new(super::LAB)
        .host("host")
        .host("router")
        .host("internet")
        .wire(("host", UPLINK), ("router", UPLINK))
        .wire(("router", "enp0s3"), ("internet", "eth0"))
        .address("router", "enp0s3", "10.0.2.15/24")
        .address("internet", "eth0", "10.0.2.2/24")
        .build()?;
    let mut stage = Stage::new(report, lab)?;
    let router = stage.netns("router")?;
    let ends = [
        VlanEnd::new(&router, UPLINK, 200, "enp0s8.200", &["192.168.200.100/24"])?,
        VlanEnd::new(&router, UPLINK, 201, "enp0s8.201", &["192.168.201.100/24"])?,
    ];
    router.sysctl("net/ipv4/ip_forward", "1")?;
    router.nft(
        "table ip nat { chain postrouting { \
           type nat hook postrouting priority srcnat; oifname \"enp0s3\" snat to 10.0.2.15; }; }",
    )?;
    let kind = match ends[0].kind() {
        VlanEndKind::Kernel => "the kernel's own 802.1Q devices",
        VlanEndKind::Tap => {
            "TAPs whose tags the demo handles by hand (this kernel has no 802.1Q devices)"
        }
    };
    stage
        .report
        .line(&format!("  The router's VLAN interfaces are {kind}."))?;

    stage.vnet("attach --iface enp0s8")?;
    for vlan in [200, 201] {
        stage.vnet(&format!(
            "network create macvlan{vlan} --parent enp0s8.{vlan} --subnet 192.168.{vlan}.0/24 \
             --gateway 192.168.{vlan}.100"
        ))?;
    }
    stage.container("web200", "macvlan200", "192.168.200.2")?;
    stage.container("db200", "macvlan200", "192.168.200.3")?;
    stage.container("web201", "macvlan201", "192.168.201.2")?;
    stage.report.line("")?;

    stage.reaches(
        "VLAN 200: container → sibling",
        "web200",
        "192.168.200.3",
        64,
    )?;
    stage.reaches(
        "VLAN 200: container → its gateway",
        "web200",
        "192.168.200.100",
        64,
    )?;
    stage.reaches(
        "VLAN 201: container → its gateway",
        "web201",
        "192.168.201.100",
        64,
    )?;
    stage.reaches(
        "VLAN 200 → VLAN 201, through the router: ttl 63",
        "web200",
        "192.168.201.2",
        63,
    )?;
    stage.reaches(
        "VLAN 201 → VLAN 200, through the router: ttl 63",
        "web201",
        "192.168.200.2",
        63,
    )?;
    stage.first_hop(
        "hop 1 from VLAN 200 is its own gateway",
        "web200",
        "192.168.201.2",
        "192.168.200.100",
    )?;
    stage.first_hop(
        "hop 1 from VLAN 201 is its own gateway",
        "web201",
        "192.168.200.2",
        "192.168.201.100",
    )?;
    let server = SocketAddr::from(([10, 0, 2, 2], 7000));
    let serving = WhoAmI::serve(stage.lab.get("internet")?, server)?;
    stage.seen_as(
        "10.0.2.2 behind the router, reached through its SNAT",
        "web200",
        server,
        "10.0.2.15",
    )?;
    drop(serving);
    broadcast_stays(&mut stage)?;

    stage.look_inside()?;

    stage.report.line("")?;
    stage
        .report
        .line("  Now the router loses its two VLAN interfaces.")?;
    drop(ends);
    stage.cannot_reach(
        "VLAN 200 → VLAN 201 without the router: no way",
        "web200",
        "192.168.201.2",
    )?;
    stage.reaches(
        "VLAN 200: container → sibling, still",
        "web200",
        "192.168.200.3",
        64,
    )?;
    stage.leave()
}

/// Sends a broadcast in VLAN 200, and looks for it everywhere.
///
/// That it did not come to VLAN 201 is known once a later frame has come there.
fn broadcast_stays(stage: &mut Stage<'_, '_>) -> anyhow::Result<()> {
    let on = |stage: &Stage<'_, '_>, role: &str, device: &str| -> anyhow::Result<RawSocket> {
        Ok(RawSocket::open(stage.lab.get(role)?, device)?)
    };
    let sender = on(stage, "web200", "eth0")?;
    let sibling = on(stage, "db200", "eth0")?;
    let stranger = on(stage, "web201", "eth0")?;
    let wire = on(stage, "router", UPLINK)?;
    let source = stage.lab.get("web200")?.mac_of("eth0")?;
    sender.send(&EthernetFrame::experiment(Mac::BROADCAST, source, HELLO))?;
    let outside = wire.expect(HELLO, PATIENCE)?;
    let inside = sibling.expect(HELLO, PATIENCE)?;
    wire.send(
        &EthernetFrame::experiment(Mac::BROADCAST, Mac([2, 0, 0, 0, 2, 1]), MARKER).tagged(201, 0),
    )?;
    let strayed = stranger.before(HELLO, MARKER, PATIENCE)?.len();

    stage.report.check(
        "a broadcast of VLAN 200 comes to its sibling, untagged",
        inside.tag.is_none(),
        &format!("{} bytes", inside.bytes.len()),
    )?;
    let seen = outside.tag.map_or("no tag".to_owned(), |tag| {
        format!("802.1Q, VLAN {}", tag.vlan())
    });
    let tagged = outside
        .tag
        .is_some_and(|tag| (tag.tpid, tag.vlan()) == (0x8100, 200));
    stage
        .report
        .check("… and to the wire, with its tag", tagged, &seen)?;
    let seen = if strayed == 0 {
        "it did not come"
    } else {
        "it came"
    };
    stage
        .report
        .check("… but not to VLAN 201", strayed == 0, seen)
}
