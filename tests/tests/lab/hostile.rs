//! Frames that nobody would send by mistake: none crosses a segment, none leaves with a wrong tag, none vanishes uncounted.
//!
//! A failure names its seed; `VNET_FUZZ_SEED=<seed>` repeats it. `cargo xtask test --fuzz` sends a million.

use std::time::{Duration, Instant};

use serde_json::Value;
use tests::{Container, Dice, Fixture, PATIENCE, expected, silence};
use vnet_user::lab::{Captured, ETHERNET_HEADER_BYTES, LabError, Mac, RawSocket};

const FRAMES: usize = 20_000;
/// An emulated machine is some ten times slower.
const FRAMES_EMULATED: usize = 1_500;
/// As many as all queues hold, if all of them are long and for everybody.
const BATCH: usize = 100;
/// The uplink's MTU, in bytes.
const MTU: usize = 9000;

const FAR: Mac = Mac([2, 0, 0, 0, 0, 0x77]);
const GROUP: Mac = Mac([1, 0, 0x5e, 0, 0, 1]);
const TPIDS: [u16; 4] = [0x8100, 0x8100, 0x88a8, 0x9100];
const VLANS: [u16; 8] = [0, 1, 60, 100, 200, 201, 4094, 4095];
const ETHERTYPES: [u16; 6] = [0x0800, 0x86dd, 0x0806, 0x88b5, 0x0000, 0xffff];
/// What each frame's number stands behind.
const MAGIC: &[u8; 8] = b"\xf0vnethst";

/// The tags of a segment, outermost first.
type Tags = &'static [(u16, u16)];

/// Who is there: name, network's options, tags on the wire.
const MEMBERS: [(&str, &str, Tags); 5] = [
    ("a", "--vlan 200", &[(0x8100, 200)]),
    ("b", "--vlan 200", &[(0x8100, 200)]),
    ("c", "--vlan 201", &[(0x8100, 201)]),
    ("d", "", &[]),
    (
        "e",
        "--outer-vlan 100 --vlan 60",
        &[(0x88a8, 100), (0x8100, 60)],
    ),
];

struct Lab {
    fixture: Fixture,
    containers: Vec<(Container, RawSocket, Tags)>,
    wire: RawSocket,
    host_mac: Mac,
    seed: u64,
}

/// Who sends a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum From {
    Wire,
    Container(usize),
}

/// A frame that was sent.
#[derive(Clone, Debug)]
struct Sent {
    from: From,
    bytes: Vec<u8>,
}

impl Lab {
    fn new(seed: u64) -> Self {
        let mut fixture = Fixture::new();
        for netns in [fixture.host(), fixture.wire()] {
            silence(&netns);
            netns.ip(&format!("link set enp0s8 mtu {MTU}")).unwrap();
        }
        fixture.attach();
        let mut containers = Vec::new();
        for (index, (role, options, tags)) in MEMBERS.into_iter().enumerate() {
            let network = format!("n{}", tags.iter().map(|(_, vlan)| vlan).sum::<u16>());
            if !containers.iter().any(|(_, _, known)| *known == tags) {
                fixture.network(&network, options);
            }
            silence(fixture.lab.add(role).unwrap());
            let mac = format!("--mac 02:00:00:00:01:{index:02x}");
            let container = fixture.endpoint(role, &network, &mac);
            let socket = container.raw();
            containers.push((container, socket, tags));
        }
        Self {
            wire: fixture.wire_raw(),
            host_mac: fixture.host().mac_of("enp0s8").unwrap(),
            fixture,
            containers,
            seed,
        }
    }

    /// Any frame, with its number in it. What is not random enough to mean anything is made of what is known here.
    fn frame(&self, dice: &mut Dice, from: From, number: usize) -> Vec<u8> {
        let mut macs: Vec<_> = self.containers.iter().map(|(c, ..)| c.mac).collect();
        macs.extend([self.host_mac, FAR, Mac::BROADCAST, GROUP, Mac([0; 6])]);
        let own = match from {
            From::Container(index) if !dice.once_in(4) => self.containers[index].0.mac,
            _ => dice.of(&macs),
        };
        let mut bytes = Vec::new();
        bytes.extend(dice.of(&macs).0);
        bytes.extend(own.0);
        for _ in 0..dice.of(&[0, 0, 1, 1, 1, 2, 2, 3]) {
            bytes.extend(dice.of(&TPIDS).to_be_bytes());
            let tci = dice.of(&VLANS) | (dice.below(16) as u16) << 12;
            bytes.extend(tci.to_be_bytes());
        }
        bytes.extend(dice.of(&ETHERTYPES).to_be_bytes());
        let longest = MTU - 64 - MAGIC.len() - 8;
        let length = dice.of(&[0, 1, 20, 46, 1480, longest]);
        let mut payload = vec![0; dice.below(length + 1)];
        dice.fill(&mut payload);
        if let Some(first) = payload.first_mut() {
            // Often the beginning of an IP header, whose lengths then lie.
            *first = dice.of(&[0x45, 0x60, *first]);
        }
        bytes.extend(MAGIC);
        bytes.extend((number as u64).to_be_bytes());
        bytes.extend(payload);
        bytes
    }

    /// Sends one frame; false when the socket itself refuses it.
    fn send(&self, from: From, bytes: &[u8]) -> bool {
        let socket = match from {
            From::Wire => &self.wire,
            From::Container(index) => &self.containers[index].1,
        };
        match socket.send_bytes(bytes) {
            Ok(()) => true,
            // netkit tells the sender that the program dropped it.
            Err(LabError::Io { source, .. }) if source.raw_os_error() == Some(libc::ENOBUFS) => {
                true
            }
            Err(_) => false,
        }
    }

    fn play(&self, frames: usize) {
        let mut dice = Dice::new(self.seed);
        let before = self.counts();
        let mut books = Books::default();
        let mut sent = Vec::new();
        for number in 0..frames {
            let from = match dice.below(2) {
                0 => From::Wire,
                _ => From::Container(dice.below(self.containers.len())),
            };
            let bytes = self.frame(&mut dice, from, number);
            if self.send(from, &bytes) {
                match from {
                    From::Wire => books.from_wire += 1,
                    From::Container(_) => books.from_containers += 1,
                }
            }
            sent.push(Sent { from, bytes });
            if number % BATCH == BATCH - 1 {
                self.drain(&sent, &mut books);
            }
        }
        self.settle(&sent, &mut books, &before);
    }

    /// Looks at all that came to somebody.
    fn drain(&self, sent: &[Sent], books: &mut Books) {
        for (index, (_, socket, tags)) in self.containers.iter().enumerate() {
            while let Some(frame) = socket.receive(Instant::now()).unwrap() {
                let Some(original) = original(sent, &frame) else {
                    continue;
                };
                let allowed = match original.from {
                    From::Wire => is_of(&original.bytes, tags),
                    From::Container(sender) => self.containers[sender].2 == *tags,
                };
                assert!(
                    allowed,
                    "seed {}: container {index} got {frame:02x?} from another segment: {original:02x?}",
                    self.seed
                );
                books.arrived += 1;
                books.unicast += u64::from(frame.bytes[0] & 1 == 0 && original.from == From::Wire);
            }
        }
        while let Some(frame) = self.wire.receive(Instant::now()).unwrap() {
            let Some(original) = original(sent, &frame) else {
                continue;
            };
            let From::Container(sender) = original.from else {
                panic!("seed {}: {original:02x?} came back", self.seed);
            };
            let mut expected = original.bytes.clone();
            for (tpid, vlan) in self.containers[sender].2.iter().rev() {
                expected.splice(
                    12..12,
                    tpid.to_be_bytes().into_iter().chain(vlan.to_be_bytes()),
                );
            }
            assert_eq!(
                frame.wire_bytes(),
                expected,
                "seed {}: {original:02x?}",
                self.seed
            );
        }
    }

    /// Waits until all is there that vnet says it has sent on, and checks the books.
    fn settle(&self, sent: &[Sent], books: &mut Books, before: &Counts) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.drain(sent, books);
            let now = self.counts();
            let grown = |of: fn(&Counts) -> u64| of(&now) - of(before);
            let wire = books.unicast + grown(|c| c.handed_on) + grown(|c| c.dropped_from_wire);
            let containers = grown(|c| c.tx) + grown(|c| c.dropped_from_containers);
            let arrived = books.arrived + grown(|c| c.lost);
            let balanced = arrived == grown(|c| c.rx)
                && wire == books.from_wire
                && containers == books.from_containers;
            if balanced {
                println!("seed {}: {books:?}", self.seed);
                return;
            }
            assert!(
                Instant::now() < deadline,
                "seed {}: the books do not balance: {books:?}, {before:?}, {now:?}",
                self.seed
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn counts(&self) -> Counts {
        let stats: Value = serde_json::from_str(&self.fixture.ok("stats --json")).unwrap();
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
        Counts {
            rx: sum("rx_packets"),
            tx: sum("tx_packets"),
            lost: sum("lost") + reasons(&["clone_failed"]),
            handed_on: reasons(&["unknown_vlan", "unknown_unicast", "group", "reflected"]),
            dropped_from_wire: reasons(&["short_frame", "pull_failed", "type_failed"]),
            dropped_from_containers: reasons(&["vlan_not_allowed", "source_not_allowed"]),
        }
    }
}

/// What the sockets took and gave.
#[derive(Debug, Default)]
struct Books {
    from_wire: u64,
    from_containers: u64,
    /// In containers.
    arrived: u64,
    /// Of these, what came from the wire for one alone.
    unicast: u64,
}

/// What vnet counted.
#[derive(Debug)]
struct Counts {
    rx: u64,
    tx: u64,
    lost: u64,
    handed_on: u64,
    dropped_from_wire: u64,
    dropped_from_containers: u64,
}

/// The frame that was sent, by the number in the one that came.
fn original<'a>(sent: &'a [Sent], frame: &Captured) -> Option<&'a Sent> {
    let at = frame
        .bytes
        .windows(MAGIC.len())
        .position(|bytes| bytes == MAGIC)?;
    let number = frame.bytes.get(at + MAGIC.len()..)?.first_chunk()?;
    sent.get(u64::from_be_bytes(*number) as usize)
}

/// Whether a frame's bytes say, by the standard alone, that it is of a segment with these tags.
fn is_of(bytes: &[u8], tags: Tags) -> bool {
    let tag = |index: usize| {
        let at = ETHERNET_HEADER_BYTES - 2 + 4 * index;
        let word = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
        (word(at), word(at + 2) & 0x0fff)
    };
    match tags {
        // A tag with VLAN id 0 only carries a priority.
        [] => !matches!(tag(0).0, 0x8100 | 0x88a8) || tag(0) == (0x8100, 0),
        tags => tags
            .iter()
            .enumerate()
            .all(|(index, wanted)| tag(index) == *wanted),
    }
}

#[test]
fn no_frame_crosses_a_segment_leaves_with_a_wrong_tag_or_vanishes() {
    let seed = Dice::seed();
    let frames = match (expected::fuzz_frames(), expected::is_emulated()) {
        (Some(frames), false) => frames,
        (_, false) => FRAMES,
        (_, true) => FRAMES_EMULATED,
    };
    Lab::new(seed).play(frames);
}
