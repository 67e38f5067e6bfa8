//! Every frame is accounted for: delivered, handed on, dropped for a reason, or lost behind vnet and counted there.

use std::{thread, time::Duration};

use serde_json::Value;
use tests::{Container, Fixture, PATIENCE, expected, send_even_if_dropped, silence};
use vnet_user::lab::{EthernetFrame, Mac, Netns, RawSocket};

const FAR: Mac = Mac([2, 0, 0, 0, 0, 0x77]);
const NOBODY: Mac = Mac([2, 0, 0, 0, 0, 0x99]);

/// Frames in all, on this machine. An emulated one is some ten times slower.
const FRAMES: u64 = 1_000_000;
const FRAMES_EMULATED: u64 = 50_000;

/// A kind of frame: who sends it, and what must become of each.
struct Kind {
    from: From,
    frame: EthernetFrame,
    /// Copies that each container gets.
    to_containers: [u64; 3],
    /// To the wire.
    to_wire: u64,
    /// Under which reason it is counted.
    reason: Option<&'static str>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum From {
    Wire,
    /// One of the containers.
    Container(usize),
}

/// Two containers on VLAN 200 and one untagged, with nobody on any machine who speaks by himself.
struct Lab {
    fixture: Fixture,
    containers: [Container; 3],
}

impl Lab {
    fn new() -> Self {
        let mut fixture = Fixture::new();
        for netns in [fixture.host(), fixture.wire()] {
            silence(&netns);
        }
        fixture.attach();
        fixture.network("web", "--vlan 200");
        fixture.network("pub", "");
        let containers = [("a", "web"), ("b", "web"), ("c", "pub")].map(|(role, network)| {
            silence(fixture.lab.add(role).unwrap());
            fixture.endpoint(role, network, "")
        });
        Self {
            fixture,
            containers,
        }
    }

    fn kinds(&self) -> Vec<Kind> {
        let [a, b, c] = self.containers.each_ref().map(|container| container.mac);
        let frame = |to, from| EthernetFrame::experiment(to, from, "counted");
        let kind = |from, frame, to_containers, to_wire, reason| Kind {
            from,
            frame,
            to_containers,
            to_wire,
            reason,
        };
        let wire = |frame, to_containers, reason| kind(From::Wire, frame, to_containers, 0, reason);
        let all = Mac::BROADCAST;
        let [from_a, from_c] = [From::Container(0), From::Container(2)];
        vec![
            wire(frame(a, FAR).tagged(200, 0), [1, 0, 0], None),
            wire(frame(c, FAR), [0, 0, 1], None),
            wire(frame(all, FAR).tagged(200, 0), [1, 1, 0], Some("group")),
            wire(frame(all, a).tagged(200, 0), [0; 3], Some("reflected")),
            wire(
                frame(NOBODY, FAR).tagged(200, 0),
                [0; 3],
                Some("unknown_unicast"),
            ),
            wire(frame(a, FAR).tagged(7, 0), [0; 3], Some("unknown_vlan")),
            kind(from_a, frame(b, a), [0, 1, 0], 0, None),
            kind(from_a, frame(FAR, a), [0; 3], 1, None),
            kind(from_a, frame(all, a), [0, 1, 0], 1, None),
            kind(
                from_a,
                frame(FAR, NOBODY),
                [0; 3],
                0,
                Some("source_not_allowed"),
            ),
            kind(
                from_c,
                frame(FAR, c).tagged(200, 0),
                [0; 3],
                0,
                Some("vlan_not_allowed"),
            ),
        ]
    }

    fn socket(&self, from: From) -> RawSocket {
        match from {
            From::Wire => self.fixture.wire_raw(),
            From::Container(index) => self.containers[index].raw(),
        }
    }

    fn stats(&self) -> Value {
        let stats = self.fixture.ok("stats --json");
        let stats: Value = serde_json::from_str(&stats).unwrap();
        stats[0].clone()
    }

    /// Sends `each` frames of each kind, with a pause after every `burst`, and checks the books. Returns how many frames
    /// were lost behind vnet.
    fn check(&self, each: u64, pause: Option<(u64, Duration)>) -> u64 {
        let before = self.stats();
        let devices_before = self.devices();
        let kinds = self.kinds();
        for kind in &kinds {
            let socket = self.socket(kind.from);
            for number in 1..=each {
                send_even_if_dropped(&socket, &kind.frame);
                match pause {
                    Some((burst, pause)) if number % burst == 0 => thread::sleep(pause),
                    _ => {}
                }
            }
        }
        self.wait_until_settled();
        let after = self.stats();
        let devices = self.devices();

        let mut lost = 0;
        for (index, container) in self.containers.iter().enumerate() {
            let wanted: u64 = kinds
                .iter()
                .map(|kind| kind.to_containers[index] * each)
                .sum();
            let grown = |name| {
                endpoint(&after, &container.id)[name].as_u64().unwrap()
                    - endpoint(&before, &container.id)[name].as_u64().unwrap()
            };
            assert_eq!(grown("rx_packets"), wanted, "given to container {index}");
            let allowed = |kind: &&Kind| {
                kind.from == From::Container(index)
                    && !matches!(kind.reason, Some("source_not_allowed" | "vlan_not_allowed"))
            };
            let sent = kinds.iter().filter(allowed).count() as u64 * each;
            assert_eq!(grown("tx_packets"), sent, "taken from container {index}");
            let arrived = devices[index] - devices_before[index];
            assert_eq!(
                arrived + grown("lost"),
                wanted,
                "arrived in container {index}"
            );
            lost += grown("lost");
        }
        let grown = |of: &str, name: &str| {
            after[of][name].as_u64().unwrap() - before[of][name].as_u64().unwrap()
        };
        for (reason, _) in after["reasons"].as_object().unwrap() {
            let counted = kinds.iter().filter(|kind| kind.reason == Some(reason));
            assert_eq!(
                grown("reasons", reason),
                counted.count() as u64 * each,
                "{reason}"
            );
        }
        let wanted: u64 = kinds.iter().map(|kind| kind.to_wire * each).sum();
        let arrived = devices[3] - devices_before[3];
        assert_eq!(
            arrived + grown("lost", "uplink"),
            wanted,
            "arrived on the wire"
        );
        lost + grown("lost", "uplink")
    }

    /// Frames that each container's interface, and the wire's end, has received.
    fn devices(&self) -> [u64; 4] {
        let received = |netns: &Netns, device: &str| {
            let shown = netns.ip(&format!("-s -j link show dev {device}")).unwrap();
            let shown: Value = serde_json::from_str(&shown).unwrap();
            shown[0]["stats64"]["rx"]["packets"].as_u64().unwrap()
        };
        let [a, b, c] = self
            .containers
            .each_ref()
            .map(|c| received(&c.netns, "eth0"));
        [a, b, c, received(&self.fixture.wire(), "enp0s8")]
    }

    /// Backlogs are worked off when nothing grows any more.
    fn wait_until_settled(&self) {
        let deadline = std::time::Instant::now() + PATIENCE;
        let mut last = self.devices();
        loop {
            thread::sleep(Duration::from_millis(50));
            let now = self.devices();
            if now == last {
                return;
            }
            assert!(
                std::time::Instant::now() < deadline,
                "frames still move: {now:?}"
            );
            last = now;
        }
    }
}

fn endpoint<'a>(stats: &'a Value, id: &str) -> &'a Value {
    let endpoints = stats["endpoints"].as_array().unwrap();
    endpoints
        .iter()
        .find(|endpoint| endpoint["id"] == id)
        .unwrap()
}

#[test]
fn each_of_a_million_frames_is_accounted_for() {
    let lab = Lab::new();
    let all = if expected::is_emulated() {
        FRAMES_EMULATED
    } else {
        FRAMES
    };
    let kinds = lab.kinds().len() as u64;
    // First at a pace at which no backlog overflows, then as fast as they go.
    let paced = all / 10 / kinds;
    let pause = Some((100, Duration::from_millis(2)));
    assert_eq!(lab.check(paced, pause), 0, "lost at a pace");
    let lost = lab.check((all / kinds) - paced, None);
    println!("{all} frames, {lost} of them lost behind vnet when flooded");
}

#[test]
fn a_segment_keeps_what_its_endpoints_counted_that_are_gone() {
    let lab = Lab::new();
    lab.check(10, None);
    let segment = |stats: &Value| {
        let segments = stats["segments"].as_array().unwrap();
        let web = segments
            .iter()
            .find(|segment| segment["vlan"] == 200)
            .unwrap();
        (
            web["rx_packets"].as_u64().unwrap(),
            web["tx_packets"].as_u64().unwrap(),
        )
    };
    let before = segment(&lab.stats());
    assert_eq!(before, (50, 30));
    let Lab {
        fixture,
        containers: [a, b, _],
    } = &lab;
    fixture.ok(&format!("endpoint remove {}", a.id));
    fixture.ok(&format!("endpoint remove {}", b.id));
    assert_eq!(segment(&lab.stats()), before);
    let shown = fixture.ok("stats");
    assert!(
        shown.contains("VLAN 200") && shown.contains("source_not_allowed"),
        "{shown}"
    );
}
