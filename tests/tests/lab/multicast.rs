//! Multicast goes to who asked for it, while a querier is heard: real memberships of real kernels.

use std::{
    net::{Ipv4Addr, Ipv6Addr, UdpSocket},
    time::{Duration, Instant},
};

use aya::maps::{HashMap, Map, MapData};
use tests::{Container, Fixture, PATIENCE, group};
use vnet_common::{Querier, QuerierKey};
use vnet_user::lab::{EthernetFrame, LabError, Mac, RawSocket};

const FAR: Mac = Mac([2, 0, 0, 0, 0, 0x77]);
const ROUTER: Ipv4Addr = Ipv4Addr::new(192, 168, 200, 100);
const GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 2, 3);
const OTHER: Ipv4Addr = Ipv4Addr::new(239, 1, 2, 4);
const OSPF: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 5);
const ROUTER6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0x77);
const GROUP6: Ipv6Addr = Ipv6Addr::new(0xff05, 0, 0, 0, 0, 0, 1, 3);
const OTHER6: Ipv6Addr = Ipv6Addr::new(0xff05, 0, 0, 0, 0, 0, 1, 4);
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// A network on VLAN 200 with three containers.
struct Stage {
    fixture: Fixture,
    wire: RawSocket,
    containers: Vec<Container>,
    ears: Vec<RawSocket>,
    number: std::cell::Cell<u32>,
}

impl Stage {
    fn new(options: &str) -> Self {
        let mut fixture = Fixture::attached();
        fixture.network(
            "web",
            &format!("--vlan 200 --subnet 192.168.200.0/24 --subnet fd00:200::/64 {options}"),
        );
        let containers: Vec<_> = (1..4)
            .map(|n| {
                let addresses = format!("--ip 192.168.200.{n} --ip fd00:200::{n}");
                fixture.container(&format!("c{n}"), "web", &addresses)
            })
            .collect();
        let ears = containers.iter().map(Container::raw).collect();
        Self {
            wire: fixture.wire_raw(),
            fixture,
            containers,
            ears,
            number: 0.into(),
        }
    }

    /// A socket of a container's that is a member of a group.
    fn join(&self, container: usize, group: Ipv4Addr) -> UdpSocket {
        let address = Ipv4Addr::new(192, 168, 200, container as u8 + 1);
        let member = || {
            let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
            socket.join_multicast_v4(&group, &address)?;
            Ok(socket)
        };
        let joined = || member().map_err(LabError::io("join a group"));
        self.containers[container].netns.run(joined).unwrap()
    }

    fn join6(&self, container: usize, group: Ipv6Addr) -> UdpSocket {
        let member = || {
            let socket = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0))?;
            let ifindex: u32 = std::fs::read_to_string("/proc/thread-self/net/dev_mcast")?
                .lines()
                .find_map(|line| {
                    let mut words = line.split_whitespace();
                    let index = words.next()?.parse().ok()?;
                    (words.next()? == "eth0").then_some(index)
                })
                .unwrap();
            socket.join_multicast_v6(&group, ifindex)?;
            Ok(socket)
        };
        let joined = || member().map_err(LabError::io("join a group"));
        self.containers[container].netns.run(joined).unwrap()
    }

    fn inject(&self, frame: EthernetFrame) {
        self.wire.send(&frame.tagged(200, 0)).unwrap();
    }

    /// Which containers hear a frame, from the wire or a container, before a broadcast that all hear but its sender.
    fn heard(&self, from: Option<usize>, frame: impl Fn(Mac, &str) -> EthernetFrame) -> Vec<usize> {
        let number = self.number.get() + 1;
        self.number.set(number);
        let (text, marker) = (format!("frame {number}."), format!("marker {number}."));
        let source = from.map_or(FAR, |sender| self.containers[sender].mac);
        let last = EthernetFrame::experiment(Mac::BROADCAST, source, &marker);
        match from {
            Some(sender) => {
                let out = self.containers[sender].raw();
                out.send(&frame(source, &text)).unwrap();
                out.send(&last).unwrap();
            }
            None => {
                self.inject(frame(source, &text));
                self.inject(last);
            }
        }
        let others = (0..self.ears.len()).filter(|ear| Some(*ear) != from);
        let hears = |ear: &usize| {
            let before = self.ears[*ear].before(&text, &marker, PATIENCE).unwrap();
            !before.is_empty()
        };
        others.filter(hears).collect()
    }

    fn of_group(&self, group: Ipv4Addr) -> Vec<usize> {
        self.heard(None, |mac, text| group::datagram(mac, ROUTER, group, text))
    }

    fn of_group6(&self, group: Ipv6Addr) -> Vec<usize> {
        self.heard(None, |mac, text| {
            group::datagram6(mac, ROUTER6, group, text)
        })
    }

    /// A query, and then until the audience of a frame is as it must be.
    fn until(&self, what: &str, hears: &[usize], heard: impl Fn() -> Vec<usize>) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let now = heard();
            if now == hears {
                return;
            }
            assert!(Instant::now() < deadline, "{what}: {now:?}, not {hears:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn query(&self) {
        self.inject(group::igmp_query(FAR, ROUTER));
        self.inject(group::mld_query(FAR, ROUTER6));
    }

    /// As if the last query were long ago.
    fn silence_querier(&self) {
        let path = self.fixture.vnet.pins().join("enp0s8/queriers");
        let map = Map::HashMap(MapData::from_pin(path).unwrap());
        let mut queriers: HashMap<_, QuerierKey, Querier> = HashMap::try_from(map).unwrap();
        let rows: Vec<_> = queriers.iter().map(Result::unwrap).collect();
        assert!(!rows.is_empty(), "a querier was heard");
        for (key, querier) in rows {
            let until_ns = querier.answered_ns;
            queriers
                .insert(
                    key,
                    Querier {
                        until_ns,
                        ..querier
                    },
                    0,
                )
                .unwrap();
        }
    }
}

#[test]
fn multicast_goes_to_its_members_while_a_querier_is_heard() {
    let stage = Stage::new("");
    let _a = stage.join(0, GROUP);
    let b = stage.join(1, OTHER);
    // The third container never says anything of groups, so it gets all.
    assert_eq!(stage.of_group(GROUP), [0, 1, 2]);
    stage.query();
    stage.until("pruned", &[0, 2], || stage.of_group(GROUP));
    assert_eq!(stage.of_group(OTHER), [1, 2]);
    assert_eq!(
        stage.of_group(OSPF),
        [0, 1, 2],
        "224.0.0.0/24 always floods"
    );

    let b2 = stage.join(1, GROUP);
    stage.until("joined", &[0, 1, 2], || stage.of_group(GROUP));
    drop((b, b2));
    stage.until("left", &[0, 2], || stage.of_group(GROUP));
    // Between siblings too, and from a container to the wire in any case.
    let from_b = |mac: Mac, text: &str| group::datagram(mac, ROUTER, GROUP, text);
    assert_eq!(stage.heard(Some(1), from_b), [0, 2]);
    stage.wire.expect("frame", PATIENCE).unwrap();

    stage.silence_querier();
    assert_eq!(stage.of_group(GROUP), [0, 1, 2], "nobody asks any more");
}

#[test]
fn ipv6_groups_have_members_too() {
    let stage = Stage::new("");
    let _a = stage.join6(0, GROUP6);
    let _b = stage.join6(1, OTHER6);
    assert_eq!(stage.of_group6(GROUP6), [0, 1, 2]);
    stage.query();
    // Every IPv6 host reports its solicited-node groups, so all are heard of.
    stage.until("pruned", &[0], || stage.of_group6(GROUP6));
    assert_eq!(
        stage.of_group6(ALL_NODES),
        [0, 1, 2],
        "ff02::/16 always floods"
    );
    let solicited = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00, 2);
    stage.until("solicited-node", &[1], || stage.of_group6(solicited));
    let _c = stage.join6(2, GROUP6);
    stage.until("joined", &[0, 2], || stage.of_group6(GROUP6));
    stage.containers[0].pings("fd00:200::2");
}

#[test]
fn routers_and_who_is_not_understood_get_everything() {
    let stage = Stage::new("");
    let members = [
        stage.join(0, GROUP),
        stage.join(1, OTHER),
        stage.join(2, OTHER),
    ];
    stage.query();
    stage.until("pruned", &[0], || stage.of_group(GROUP));

    // A report of an old version would keep other members from sending theirs.
    let group = stage.join(1, GROUP);
    stage.until("joined", &[0, 1], || stage.of_group(GROUP));
    let host = Ipv4Addr::new(192, 168, 200, 1);
    let report = |mac: Mac, text: &str| {
        let report = group::igmpv2_report(mac, host, GROUP);
        let to = Mac(*report.bytes().first_chunk().unwrap());
        // Behind the datagram there may be anything.
        let payload = [&report.bytes()[14..], text.as_bytes()].concat();
        EthernetFrame::new(to, mac, 0x0800, &payload)
    };
    assert_eq!(stage.heard(Some(0), report), [0; 0]);
    assert_eq!(stage.heard(None, report), [0; 0]);

    let third = &stage.containers[2];
    let cut = group::igmpv3_report_cut(third.mac, host);
    third.raw().send(&cut).unwrap();
    stage.until("not understood", &[0, 1, 2], || stage.of_group(GROUP));
    let query = group::igmp_query(stage.containers[1].mac, host);
    stage.containers[1].raw().send(&query).unwrap();
    stage.until("a router", &[1, 2], || stage.heard(Some(0), report));
    drop((members, group));
}

#[test]
fn a_network_without_snooping_gets_all_multicast() {
    let stage = Stage::new("--multicast-snooping false");
    let _a = stage.join(0, GROUP);
    let _b = stage.join(1, OTHER);
    // A network that prunes, so that the programs can.
    let prune = "network create other --parent enp0s8 --vlan 201";
    stage.fixture.ok(prune);
    stage.query();
    stage
        .fixture
        .ok("network set web --multicast-snooping true");
    stage.query();
    stage.until("pruned", &[0, 2], || stage.of_group(GROUP));
    stage
        .fixture
        .ok("network set web --multicast-snooping false");
    assert_eq!(stage.of_group(GROUP), [0, 1, 2]);
}

#[test]
fn an_endpoint_that_comes_has_not_said_what_the_one_before_it_said() {
    let mut stage = Stage::new("");
    let _a = stage.join(0, GROUP);
    let _b = stage.join(1, OTHER);
    stage.query();
    stage.until("pruned", &[0, 2], || stage.of_group(GROUP));
    // With the same number in the maps as the second one.
    let id = stage.containers[1].id.clone();
    stage.fixture.ok(&format!("endpoint remove {id}"));
    let again = stage.fixture.endpoint("c2", "web", "--ip 192.168.200.2");
    stage.ears[1] = again.raw();
    assert_eq!(stage.of_group(GROUP), [0, 1, 2]);
}
