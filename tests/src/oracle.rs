//! The kernel as the oracle: the same frames through its macvlan on a VLAN device, and through vnet, and what each party
//! received.

use std::{
    collections::BTreeMap,
    fmt, thread,
    time::{Duration, Instant},
};

use vnet_user::lab::{
    Captured, ETH_P_EXPERIMENT, EthernetFrame, Lab, Mac, Netns, PacketType, RawSocket,
};

use crate::{Fixture, attach_xdp, clear_for_xdp, expected};

/// The host's own address.
const HOST: Mac = Mac([2, 0, 0, 0, 0, 0x10]);
/// A station on the wire.
pub const FAR: Mac = Mac([2, 0, 0, 0, 0, 0x77]);
/// Another, that endpoints in source mode listen to.
pub const HEARD: Mac = Mac([2, 0, 0, 0, 0, 0x78]);
/// Nobody's.
pub const NOBODY: Mac = Mac([2, 0, 0, 0, 0, 0x99]);
/// All nodes (RFC 2464 section 7), a group that every interface with IPv6 has joined.
pub const GROUP: Mac = Mac([0x33, 0x33, 0, 0, 0, 1]);

/// How long nobody may hear anything more when all was sent: macvlan hands broadcasts out from a work queue.
const QUIET: Duration = Duration::from_millis(300);

/// The tags of a segment, outermost first, as `ip link … type vlan` has them.
#[derive(Clone, Copy, Debug)]
pub struct Segment {
    pub tags: &'static [(&'static str, u16)],
    /// The same, as options of `network create`.
    pub options: &'static str,
}

/// The untagged LAN.
pub const UNTAGGED: Segment = Segment {
    tags: &[],
    options: "",
};
/// VLAN 200.
pub const VLAN: Segment = Segment {
    tags: &[("802.1Q", 200)],
    options: "--vlan 200",
};
/// VLAN 60 in the service VLAN 100.
pub const QINQ: Segment = Segment {
    tags: &[("802.1ad", 100), ("802.1Q", 60)],
    options: "--outer-vlan 100 --vlan 60",
};
/// VLAN 60 in the customer VLAN 100.
pub const QINQ_OF_CUSTOMER_TAGS: Segment = Segment {
    tags: &[("802.1Q", 100), ("802.1Q", 60)],
    options: "--outer-vlan 100 --outer-protocol 802.1q --vlan 60",
};

/// A container: its mode, and its address.
#[derive(Clone, Copy, Debug)]
pub struct Member {
    pub name: &'static str,
    pub mode: &'static str,
    pub mac: Mac,
}

/// Who hands the frames out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Kernel,
    Vnet,
    /// vnet, with unicast from the wire delivered by XDP.
    VnetByXdp,
}

/// Everybody, listening.
struct Stage {
    _fixture: Fixture,
    containers: BTreeMap<&'static str, RawSocket>,
    host: RawSocket,
    wire: RawSocket,
}

/// One frame to send: who sends it, by which name it is known.
struct Shot {
    from: &'static str,
    text: String,
    frame: EthernetFrame,
}

/// What one party received of one frame: as it came, with what the kernel says of it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Received {
    text: String,
    bytes: Vec<u8>,
    packet_type: String,
}

impl fmt::Debug for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = &self.bytes[12..self.bytes.len().min(24)];
        write!(f, "{} ({}, …{head:02x?}…)", self.text, self.packet_type)
    }
}

/// Sends every kind of frame from everybody to everybody through macvlan and through vnet, and compares what each party
/// received.
///
/// # Panics
///
/// When they differ.
pub fn compare(segment: Segment, members: &[Member], nodst: bool) {
    compare_with(segment, |_| members.to_vec(), nodst);
}

fn compare_with(segment: Segment, members: impl Fn(Mac) -> Vec<Member>, nodst: bool) {
    let play = |side| {
        let stage = Stage::build(side, segment, &members, nodst);
        let shots = shots(segment, &members(HOST), HOST);
        stage.play(&shots)
    };
    let kernel = play(Side::Kernel);
    let heard = kernel.values().filter(|frames| !frames.is_empty()).count();
    assert!(heard > 2, "hardly anybody heard anything: {kernel:?}");
    // Into netkit XDP can't redirect.
    let has_netkit = expected::endpoint_device().as_deref() == Some("netkit");
    let ways = [Side::Vnet, Side::VnetByXdp];
    for side in ways.into_iter().take(if has_netkit { 1 } else { 2 }) {
        check_same(&kernel, &play(side), &format!("{segment:?}, {side:?}"));
    }
}

fn check_same(
    kernel: &BTreeMap<&'static str, Vec<Received>>,
    vnet: &BTreeMap<&'static str, Vec<Received>>,
    case: &str,
) {
    let mut wrong = Vec::new();
    for (party, expected) in kernel {
        let got = &vnet[party];
        let missing = expected.iter().filter(|frame| !got.contains(frame));
        wrong.extend(missing.map(|frame| format!("{party}: only with macvlan: {frame:?}")));
        let more = got.iter().filter(|frame| !expected.contains(frame));
        wrong.extend(more.map(|frame| format!("{party}: only with vnet: {frame:?}")));
        if wrong.is_empty() && expected.len() != got.len() {
            wrong.push(format!(
                "{party}: {} and {} frames",
                expected.len(),
                got.len()
            ));
        }
    }
    assert!(wrong.is_empty(), "{case}:\n{}", wrong.join("\n"));
}

/// As [`compare`], with one container that has the segment, and the uplink's own address.
///
/// # Panics
///
/// When they differ.
pub fn compare_passthru(segment: Segment) {
    compare_with(
        segment,
        |host| {
            vec![Member {
                name: "x",
                mode: "passthru",
                mac: host,
            }]
        },
        false,
    );
}

/// From each container, with its own address, to everybody; and from the wire in the segment, as a stranger, as one that
/// is listened to, and as each of the containers (a switch that sends back), to everybody.
fn shots(segment: Segment, members: &[Member], host: Mac) -> Vec<Shot> {
    let named = [
        ("host", host),
        ("far", FAR),
        ("nobody", NOBODY),
        ("all", Mac::BROADCAST),
        ("group", GROUP),
    ];
    let macs = members.iter().map(|member| (member.name, member.mac));
    let destinations: Vec<_> = macs.clone().chain(named).collect();
    let mut shots = Vec::new();
    for (to, destination) in destinations {
        for member in members {
            let text = format!("{}→{to}.", member.name);
            let frame = EthernetFrame::experiment(destination, member.mac, &text);
            shots.push(Shot {
                from: member.name,
                text,
                frame,
            });
            if segment.tags.is_empty() {
                continue;
            }
            // A tag of the container's own: ours goes outside of it.
            let text = format!("{}⇉{to}.", member.name);
            let frame = EthernetFrame::experiment(destination, member.mac, &text).tagged(5, 1);
            shots.push(Shot {
                from: member.name,
                text,
                frame,
            });
        }
        for (from, source) in macs.clone().chain([("far", FAR), ("heard", HEARD)]) {
            for (kind, inner) in [("→", None), ("⇉", Some(5))] {
                if inner.is_some() && segment.tags.is_empty() {
                    continue;
                }
                let text = format!("wire: {from}{kind}{to}.");
                let mut frame = EthernetFrame::experiment(destination, source, &text);
                for (protocol, vlan) in inner
                    .map(|id| ("802.1Q", id))
                    .iter()
                    .chain(segment.tags.iter().rev())
                {
                    frame = frame.tagged_as(protocol_number(protocol), *vlan, 3);
                }
                shots.push(Shot {
                    from: "wire",
                    text,
                    frame,
                });
            }
        }
    }
    shots
}

fn protocol_number(name: &str) -> u16 {
    match name {
        "802.1ad" => 0x88a8,
        _ => 0x8100,
    }
}

impl Stage {
    fn build(
        side: Side,
        segment: Segment,
        members: &impl Fn(Mac) -> Vec<Member>,
        nodst: bool,
    ) -> Self {
        let members = members(HOST);
        let lab = Lab::new("vnet-test")
            .host("host")
            .host("wire")
            .wire(("host", "enp0s8"), ("wire", "enp0s8"))
            .build()
            .unwrap();
        let mut fixture = Fixture::with(lab);
        let host = fixture.host();
        host.ip(&format!("link set enp0s8 address {HOST}")).unwrap();
        // The host lives on the segment too, by the kernel's own devices, beside either.
        let lower = host_device(&host, segment);
        if side != Side::Kernel {
            match side {
                Side::VnetByXdp => {
                    clear_for_xdp(&fixture);
                    attach_xdp(&fixture, "--xdp redirect --far-end-checksums");
                }
                _ => _ = fixture.attach(),
            }
            let modes: std::collections::BTreeSet<_> = members.iter().map(|m| m.mode).collect();
            for mode in modes {
                let nodst = if nodst && mode == "source" {
                    "--nodst"
                } else {
                    ""
                };
                fixture.network(
                    mode,
                    &format!("--mode {mode} --guard off {nodst} {}", segment.options),
                );
            }
        }
        let mut containers = BTreeMap::new();
        for member in &members {
            let netns = match side {
                Side::Kernel => macvlan(&mut fixture, &lower, *member, nodst),
                Side::Vnet | Side::VnetByXdp => endpoint(&mut fixture, *member),
            };
            // What such an endpoint hears becomes the host's own only at its ingress.
            let ears = match member.mode {
                "source" => RawSocket::open_behind_ingress(&netns, "eth0", ETH_P_EXPERIMENT),
                _ => RawSocket::open(&netns, "eth0"),
            };
            containers.insert(member.name, ears.unwrap());
        }
        let ears = RawSocket::open_behind_ingress(&host, &lower, ETH_P_EXPERIMENT).unwrap();
        Self {
            containers,
            host: ears,
            wire: fixture.wire_raw(),
            _fixture: fixture,
        }
    }

    /// Sends all, one after the other, and gathers what came to whom.
    fn play(&self, shots: &[Shot]) -> BTreeMap<&'static str, Vec<Received>> {
        for shot in shots {
            let from = self.containers.get(shot.from).unwrap_or(&self.wire);
            from.send(&shot.frame).unwrap();
            // A thousand copies at once would overflow macvlan's queue and the kernel's backlog.
            thread::sleep(Duration::from_millis(2));
        }
        let mut heard = BTreeMap::new();
        let mut quiet_since = Instant::now();
        while quiet_since.elapsed() < QUIET {
            for (name, ears) in self.parties() {
                let received: &mut Vec<_> = heard.entry(name).or_default();
                let before = received.len();
                receive(ears, shots, received);
                if received.len() > before {
                    quiet_since = Instant::now();
                }
            }
            thread::sleep(Duration::from_millis(20));
        }
        heard.values_mut().for_each(|received| received.sort());
        heard
    }

    fn parties(&self) -> impl Iterator<Item = (&'static str, &RawSocket)> {
        let containers = self.containers.iter().map(|(name, ears)| (*name, ears));
        containers.chain([("host", &self.host), ("wire", &self.wire)])
    }
}

/// Takes what has come to one party.
fn receive(ears: &RawSocket, shots: &[Shot], received: &mut Vec<Received>) {
    while let Some(frame) = ears.receive(Instant::now()).unwrap() {
        let known = shots.iter().find(|shot| frame.contains(&shot.text));
        if let Some(shot) = known {
            received.push(Received {
                text: shot.text.clone(),
                bytes: frame.wire_bytes(),
                packet_type: packet_type(&frame),
            });
        }
    }
}

fn packet_type(frame: &Captured) -> String {
    match frame.packet_type {
        PacketType::Unknown(number) => number.to_string(),
        known => format!("{known:?}"),
    }
}

/// The host's own interface on the segment: the NIC, or VLAN devices on it.
fn host_device(host: &Netns, segment: Segment) -> String {
    let mut lower = "enp0s8".to_owned();
    for (protocol, vlan) in segment.tags {
        let name = format!("v{vlan}");
        host.ip(&format!(
            "link add link {lower} name {name} type vlan protocol {protocol} id {vlan}"
        ))
        .unwrap();
        host.ip(&format!("link set {name} up")).unwrap();
        lower = name;
    }
    lower
}

fn macvlan(fixture: &mut Fixture, lower: &str, member: Member, nodst: bool) -> Netns {
    let Member { name, mode, mac } = member;
    let host = fixture.host();
    let netns = Netns::clone(fixture.lab.add(name).unwrap());
    let flag = if nodst && mode == "source" {
        "nodst"
    } else {
        ""
    };
    let temporary = format!("mv-{name}");
    host.ip(&format!(
        "link add link {lower} name {temporary} type macvlan mode {mode} {flag}"
    ))
    .unwrap();
    if mode != "passthru" {
        host.ip(&format!("link set {temporary} address {mac}"))
            .unwrap();
    }
    if mode == "source" {
        host.ip(&format!(
            "link set {temporary} type macvlan macaddr add {HEARD}"
        ))
        .unwrap();
    }
    host.ip(&format!(
        "link set {temporary} netns {} name eth0",
        netns.name()
    ))
    .unwrap();
    netns.ip("link set eth0 up").unwrap();
    netns
}

fn endpoint(fixture: &mut Fixture, member: Member) -> Netns {
    let Member { name, mode, mac } = member;
    let source = match mode {
        "source" => format!("--source {HEARD}"),
        _ => String::new(),
    };
    let mac = match mode {
        "passthru" => String::new(),
        _ => format!("--mac {mac}"),
    };
    fixture
        .container(name, mode, &format!("{mac} {source}"))
        .netns
}
