//! The fast path: it does what the general one does, and what it has no answer for it leaves to that.

use std::collections::{BTreeMap, BTreeSet};

use aya::maps::{Array, Map, MapData};
use tests::{
    Container, Fixture, Flow, PATIENCE, Source, link, mac_of, send_even_if_dropped, silence,
};
use vnet_common::{DirectRow, direct};
use vnet_user::lab::{EthernetFrame, Mac, PacketType, RawSocket, Tag};

const NOBODY: Mac = Mac([2, 0, 0, 0, 0, 0x99]);
const FORGED: Mac = Mac([2, 0, 0, 0, 0, 0x66]);
const DOT1AD: u16 = 0x88a8;

/// Networks of different kinds, with a container each; two in the first.
struct Networks {
    fixture: Fixture,
    containers: BTreeMap<&'static str, Container>,
    sockets: BTreeMap<&'static str, RawSocket>,
    far: Mac,
}

/// Role of a container, its network, and the network's options.
const ENDPOINTS: [(&str, &str, &str); 7] = [
    ("a", "web", "--vlan 200"),
    ("b", "web", ""),
    ("vepa", "beside", "--vlan 200 --mode vepa"),
    ("private", "apart", "--vlan 201 --mode private"),
    ("unguarded", "open", "--vlan 202 --guard off"),
    ("passthru", "whole", "--vlan 203 --mode passthru"),
    ("untagged", "pub", ""),
];

/// What arrived of a frame, and where.
type Arrivals = BTreeMap<String, BTreeSet<(String, Vec<u8>, Option<u16>, bool)>>;

impl Networks {
    fn new() -> Self {
        let mut fixture = Fixture::attached();
        silence(&fixture.host());
        silence(&fixture.wire());
        let mut containers = BTreeMap::new();
        for (role, network, options) in ENDPOINTS {
            if role != "b" {
                fixture.network(network, options);
            }
            silence(fixture.lab.add(role).unwrap());
            containers.insert(role, fixture.endpoint(role, network, ""));
        }
        let mut sockets: BTreeMap<_, _> = containers
            .iter()
            .map(|(role, container)| (*role, container.raw()))
            .collect();
        sockets.insert("wire", fixture.wire_raw());
        let far = mac_of(&fixture.wire(), "enp0s8");
        Self {
            fixture,
            containers,
            sockets,
            far,
        }
    }

    fn mac(&self, role: &str) -> Mac {
        self.containers[role].mac
    }

    /// Frames of all kinds that the fast path may take for its own, with who sends them.
    fn frames(&self) -> Vec<(&'static str, EthernetFrame)> {
        let frame = |number: usize, to, from| {
            EthernetFrame::experiment(to, from, &format!("frame {number:02}."))
        };
        let mut frames = Vec::new();
        let destinations: Vec<Mac> = self.containers.values().map(|it| it.mac).collect();
        for to in destinations.iter().copied().chain([NOBODY]) {
            // Untagged, a priority alone, each network's VLAN, and one that no network uses.
            for vlan in [
                None,
                Some(0),
                Some(200),
                Some(201),
                Some(202),
                Some(203),
                Some(999),
            ] {
                let plain = frame(frames.len(), to, self.far);
                let tagged = vlan.map(|vlan| plain.clone().tagged(vlan, 3));
                frames.push(("wire", tagged.unwrap_or(plain)));
            }
            for tag in [(DOT1AD, 200), (0x8100, 200)] {
                let inner = frame(frames.len(), to, self.far).tagged(7, 0);
                frames.push(("wire", inner.tagged_as(tag.0, tag.1, 0)));
            }
            for role in self.containers.keys() {
                for from in [self.mac(role), FORGED] {
                    frames.push((role, frame(frames.len(), to, from)));
                }
                for tpid in [0x8100, DOT1AD] {
                    let plain = frame(frames.len(), to, self.mac(role));
                    frames.push((role, plain.tagged_as(tpid, 7, 0)));
                }
            }
        }
        frames
    }

    /// Sends all of them, and returns what arrived where, and by how much the counters grew: of reasons, and of endpoints.
    fn send_all(&self) -> (Arrivals, BTreeMap<String, u64>) {
        let before = self.counters();
        let mut arrivals = Arrivals::new();
        for (number, (role, frame)) in self.frames().iter().enumerate() {
            send_even_if_dropped(&self.sockets[role], frame);
            // Few at a time, so that no queue has to lose one.
            if number % 20 == 19 {
                self.listen(&mut arrivals);
            }
        }
        self.listen(&mut arrivals);
        let after = self.counters();
        let grown = after
            .iter()
            .map(|(name, count)| (name.clone(), count - before[name]));
        (arrivals, grown.collect())
    }

    fn counters(&self) -> BTreeMap<String, u64> {
        let shown = self.fixture.show();
        let uplink = &shown["uplinks"][0];
        let reasons = uplink["reasons"].as_object().unwrap().iter();
        let mut counters: BTreeMap<_, _> = reasons
            .map(|(name, count)| (name.clone(), count.as_u64().unwrap()))
            .collect();
        for endpoint in uplink["endpoints"].as_array().unwrap() {
            for counter in ["rx_packets", "rx_bytes", "tx_packets", "tx_bytes"] {
                let name = format!("{} {counter}", endpoint["id"].as_str().unwrap());
                counters.insert(name, endpoint[counter].as_u64().unwrap());
            }
        }
        counters
    }

    /// Takes what came until a marker came to everybody.
    fn listen(&self, arrivals: &mut Arrivals) {
        const MARKER: &str = "that was all";
        let to_all = EthernetFrame::experiment(Mac::BROADCAST, self.far, MARKER);
        let wire = &self.sockets["wire"];
        wire.send(&to_all).unwrap();
        for vlan in [200, 201, 202, 203] {
            wire.send(&to_all.clone().tagged(vlan, 0)).unwrap();
        }
        for (role, sockets) in &self.sockets {
            if *role == "wire" {
                let from = self.mac("private");
                let out = EthernetFrame::experiment(self.far, from, MARKER);
                self.sockets["private"].send(&out).unwrap();
            }
            for frame in sockets.before("frame ", MARKER, PATIENCE).unwrap() {
                if frame.packet_type == PacketType::Outgoing {
                    continue;
                }
                let text = String::from_utf8_lossy(&frame.bytes).into_owned();
                let (_, text) = text.split_once("frame ").unwrap();
                let arrival = (
                    (*role).to_owned(),
                    frame.bytes.clone(),
                    frame.tag.map(|Tag { tci, .. }| tci),
                    frame.packet_type == PacketType::Host,
                );
                arrivals
                    .entry(text[..3].to_owned())
                    .or_default()
                    .insert(arrival);
            }
        }
    }
}

#[test]
fn the_fast_path_does_what_the_general_one_does() {
    let networks = Networks::new();
    let (fast, fast_counters) = networks.send_all();
    assert!(fast.len() > 100, "{} frames arrived anywhere", fast.len());
    // A network that needs more than the fast path does, so that there is none.
    networks
        .fixture
        .network("heard", "--vlan 300 --mode source");
    let (general, general_counters) = networks.send_all();
    for (text, arrivals) in &general {
        assert_eq!(fast.get(text), Some(arrivals), "frame {text}");
    }
    assert_eq!(fast.len(), general.len());
    assert_eq!(fast_counters, general_counters);
}

/// A pinned direct-mapped table.
fn direct_table(fixture: &Fixture, name: &str) -> Array<MapData, DirectRow> {
    let path = fixture.vnet.pins().join("enp0s8").join(name);
    let data = MapData::from_pin(path).unwrap();
    Array::try_from(Map::Array(data)).unwrap()
}

#[test]
fn a_row_in_change_leads_to_the_general_path() {
    const VLAN: u16 = 200;
    let mut fixture = Fixture::attached();
    fixture.network("web", "--vlan 200");
    let a = fixture.container("a", "web", "");
    let (inside, wire) = (a.raw(), fixture.wire_raw());
    let far = mac_of(&fixture.wire(), "enp0s8");
    let to_a = |text| EthernetFrame::experiment(a.mac, far, text).tagged(VLAN, 0);

    // Nobody's, which is believed: so it is this table that is asked.
    let mut table = direct_table(&fixture, "direct_fdb");
    let index = direct::fdb_row(direct::key(VLAN, direct::number(&a.mac.0)));
    let row = table.get(&index, 0).unwrap();
    assert_eq!((row.segment, row.mac), (VLAN, a.mac.0));
    let unknown = fixture.reason("unknown_unicast");
    table.set(index, row.taken_out(), 0).unwrap();
    wire.send(&to_a("to nobody")).unwrap();
    fixture.wait_reason("unknown_unicast", unknown + 1);
    table.set(index, row.in_change(), 0).unwrap();
    wire.send(&to_a("to one in change")).unwrap();
    let heard = inside
        .before("to nobody", "to one in change", PATIENCE)
        .unwrap();
    assert!(heard.is_empty());

    // Without an address of its own, a row in change must not be anybody's leave to send.
    let mut senders = direct_table(&fixture, "direct_senders");
    let shown = link(&fixture.host(), &fixture.host_ifname(&a.id));
    let ifindex = shown["ifindex"].as_u64().unwrap() as u32;
    let sender = senders.get(&direct::sender_row(ifindex), 0).unwrap();
    assert_eq!((sender.ifindex, sender.mac), (ifindex, a.mac.0));
    for row in [sender.in_change(), sender.taken_out()] {
        senders.set(direct::sender_row(ifindex), row, 0).unwrap();
        let dropped = fixture.reason("source_not_allowed");
        for to in [far, Mac([0; 6])] {
            let forged = EthernetFrame::experiment(to, Mac([0; 6]), "without an address");
            send_even_if_dropped(&inside, &forged);
        }
        fixture.wait_reason("source_not_allowed", dropped + 2);
        inside
            .send(&EthernetFrame::experiment(far, a.mac, "from its own"))
            .unwrap();
        let heard = wire
            .before("without an address", "from its own", PATIENCE)
            .unwrap();
        assert!(heard.is_empty(), "{heard:02x?}");
    }
}

#[test]
fn endpoints_that_share_a_row_are_both_reached() {
    const VLAN: u16 = 200;
    let first = mac(1);
    let mut sharing = sharing_with(first);
    let [second, third] = [(); 2].map(|()| sharing.next().unwrap());

    let mut fixture = Fixture::attached();
    fixture.network("web", "--vlan 200 --subnet 192.168.200.0/24");
    let _end = fixture.vlan_end(VLAN, &["192.168.200.100/24"]);
    let add = |fixture: &mut Fixture, role: &str, mac: Mac, ip: &str| {
        fixture.container(role, "web", &format!("--mac {mac} --ip {ip}"))
    };
    let a = add(&mut fixture, "a", first, "192.168.200.2");
    let b = add(&mut fixture, "b", second, "192.168.200.3");
    let all_reach_each_other = |containers: [&Container; 2]| {
        for container in containers {
            for address in ["192.168.200.2", "192.168.200.3", "192.168.200.100"] {
                container.pings(address);
            }
        }
    };
    all_reach_each_other([&a, &b]);

    // One goes and another comes, and neither is taken for the other.
    fixture.ok(&format!("endpoint remove {}", a.id));
    b.pings("192.168.200.100");
    let frame = EthernetFrame::experiment(first, second, "to one who left");
    let wire = fixture.wire_raw();
    b.raw().send(&frame).unwrap();
    wire.expect("to one who left", PATIENCE).unwrap();
    let c = add(&mut fixture, "c", third, "192.168.200.2");
    // The neighbours' tables have who had the address before.
    for netns in [&b.netns, &fixture.wire()] {
        netns.ip("neigh flush all").unwrap();
    }
    all_reach_each_other([&b, &c]);

    // The row is nobody's in the end.
    let stays = add(&mut fixture, "stays", FORGED, "192.168.200.4");
    for gone in [&b, &c] {
        fixture.ok(&format!("endpoint remove {}", gone.id));
    }
    let frame = EthernetFrame::experiment(third, stays.mac, "to the last who left");
    stays.raw().send(&frame).unwrap();
    wire.expect("to the last who left", PATIENCE).unwrap();
}

#[test]
fn rows_change_under_traffic_without_losing_a_frame() {
    const ROUNDS: u16 = 3;
    let mut fixture = Fixture::attached();
    fixture.network("web", "--vlan 200 --subnet 192.168.200.0/24");
    let first = mac(1);
    let a = fixture.container("a", "web", &format!("--mac {first}"));
    let b = fixture.container("b", "web", "");
    let far = mac_of(&fixture.wire(), "enp0s8");
    let source = |container: &Container| Source {
        socket: container.raw(),
        mac: container.mac,
        tag: None,
    };
    let flows = [
        Flow::start("across", source(&b), a.mac, a.raw()),
        Flow::start("out", source(&a), far, fixture.wire_raw()),
    ];
    let unknown = fixture.reason("unknown_unicast");
    for (round, sharing) in (0..ROUNDS).zip(sharing_with(first)) {
        flows
            .iter()
            .for_each(|flow| flow.wait_sent(100 * u32::from(round + 1)));
        // Its row is a's, which says so from now on; then a's sender row goes and comes.
        let role = format!("c{round}");
        let c = fixture.container(&role, "web", &format!("--mac {sharing}"));
        fixture.ok("network set web --guard off");
        fixture.ok(&format!("endpoint remove {}", c.id));
        fixture.ok("network set web --guard mac");
    }
    for flow in flows {
        flow.finish();
    }
    assert_eq!(fixture.reason("unknown_unicast"), unknown);
    assert_eq!(fixture.reason("source_not_allowed"), 0);
}

fn mac(number: u16) -> Mac {
    let [high, low] = number.to_be_bytes();
    Mac([2, 0, 0, 0, high, low])
}

/// Addresses whose row on VLAN 200 is the same.
fn sharing_with(mac_address: Mac) -> impl Iterator<Item = Mac> {
    let row = |mac: Mac| direct::fdb_row(direct::key(200, direct::number(&mac.0)));
    let others = (2..=u16::MAX).map(mac);
    others.filter(move |other| row(*other) == row(mac_address))
}
