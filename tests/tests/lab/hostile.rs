//! Frames that nobody would send by mistake: none crosses a segment, none leaves with a wrong tag, none vanishes uncounted.
//!
//! A failure names its seed; `VNET_FUZZ_SEED=<seed>` repeats it. `cargo xtask test --fuzz` sends a million.

mod books;
mod frames;

use std::time::{Duration, Instant};

use tests::{Container, Dice, Fixture, PATIENCE, expected, silence};
use vnet_user::lab::{LabError, OffloadSocket, RawSocket, Result};

use self::books::{Books, Counts};
use self::frames::{Addresses, From, History, MTU, Sent, Tags, is_cut_short, is_of};

const FRAMES: usize = 20_000;
/// An emulated machine is some ten times slower.
const FRAMES_EMULATED: usize = 1_500;
/// As many as all queues hold, if all of them are long and for everybody.
const BATCH: usize = 50;

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

/// One end that frames are sent from, and at which they arrive.
struct End {
    raw: RawSocket,
    offload: OffloadSocket,
}

struct Member {
    container: Container,
    end: End,
    tags: Tags,
}

struct Lab {
    fixture: Fixture,
    members: Vec<Member>,
    wire: End,
    addresses: Addresses,
    is_netkit: bool,
    seed: u64,
}

impl Lab {
    fn new(seed: u64) -> Self {
        let mut fixture = Fixture::new();
        for netns in [fixture.host(), fixture.wire()] {
            silence(&netns);
            netns.ip(&format!("link set enp0s8 mtu {MTU}")).unwrap();
        }
        fixture.attach();
        let mut members: Vec<Member> = Vec::new();
        for (index, (role, options, tags)) in MEMBERS.into_iter().enumerate() {
            let network = format!("n{}", tags.iter().map(|(_, vlan)| vlan).sum::<u16>());
            if !members.iter().any(|member| member.tags == tags) {
                fixture.network(&network, options);
            }
            silence(fixture.lab.add(role).unwrap());
            let mac = format!("--mac 02:00:00:00:01:{index:02x}");
            let container = fixture.endpoint(role, &network, &mac);
            let end = End {
                raw: container.raw(),
                offload: OffloadSocket::open(&container.netns, "eth0").unwrap(),
            };
            members.push(Member {
                container,
                end,
                tags,
            });
        }
        let addresses = Addresses {
            containers: members.iter().map(|member| member.container.mac).collect(),
            host: fixture.host().mac_of("enp0s8").unwrap(),
        };
        let wire = End {
            raw: fixture.wire_raw(),
            offload: OffloadSocket::open(&fixture.wire(), "enp0s8").unwrap(),
        };
        Self {
            wire,
            fixture,
            members,
            addresses,
            is_netkit: expected::endpoint_device().as_deref() == Some("netkit"),
            seed,
        }
    }

    /// Sends one frame, and notes what is known already of its fate.
    fn send(&self, frame: &Sent, books: &mut Books) {
        let end = match frame.from {
            From::Wire => &self.wire,
            From::Container(index) => &self.members[index].end,
        };
        let sent = match frame.offload {
            Some(offload) => end.offload.send(offload, &frame.bytes),
            None => end.raw.send_bytes(&frame.bytes),
        };
        books.with_offload += u64::from(sent.is_ok() && frame.offload.is_some());
        let is_cut_short = sent.is_ok() && is_cut_short(&frame.bytes);
        match frame.from {
            From::Wire => books.cut_short_from_wire += u64::from(is_cut_short),
            // By netkit, a frame goes to the program with its tags in the data.
            From::Container(sender) if self.is_netkit => {
                books.refused_by_netkit += u64::from(is_out_of_memory(&sent));
                if is_cut_short {
                    books.cut_short_to_siblings += self.siblings(sender, &frame.bytes);
                }
            }
            From::Container(_) => books.cut_short_from_containers += u64::from(is_cut_short),
        }
    }

    /// How many siblings a frame from a container is for.
    fn siblings(&self, sender: usize, bytes: &[u8]) -> u64 {
        let tags = self.members[sender].tags;
        let siblings = self.members.iter().enumerate().filter(|(index, member)| {
            let is_for = bytes[0] & 1 == 1 || bytes[..6] == member.container.mac.0;
            // Of an untagged segment, no tag gets out.
            *index != sender && member.tags == tags && !tags.is_empty() && is_for
        });
        siblings.count() as u64
    }

    fn play(&self, frames: usize) {
        let mut dice = Dice::new(self.seed);
        let before = self.counts();
        let mut books = Books::default();
        let mut sent = History::default();
        for number in 0..frames {
            let from = match dice.below(2) {
                0 => From::Wire,
                _ => From::Container(dice.below(self.members.len())),
            };
            let frame = self.addresses.frame(&mut dice, from, number);
            self.send(&frame, &mut books);
            sent.push(frame);
            if number % BATCH == BATCH - 1 {
                self.drain(&sent, &mut books);
            }
        }
        self.settle(&sent, &mut books, &before);
    }

    /// Looks at all that came to somebody.
    fn drain(&self, sent: &History, books: &mut Books) {
        let seed = self.seed;
        for (index, member) in self.members.iter().enumerate() {
            while let Some(frame) = member.end.raw.receive(Instant::now()).unwrap() {
                let Some(origin) = self.addresses.origin(sent, &frame) else {
                    panic!("seed {seed}: container {index} got {frame:02x?}, which nobody sent");
                };
                let allowed = match (origin.from, origin.sent) {
                    (From::Container(sender), _) => self.members[sender].tags == member.tags,
                    (From::Wire, Some(original)) => is_of(&original.bytes, member.tags),
                    (From::Wire, None) => false,
                };
                assert!(
                    allowed,
                    "seed {seed}: container {index} got {frame:02x?} from another segment: {:02x?}",
                    origin.sent
                );
                books.arrived += 1;
                let is_unicast = frame.bytes[0] & 1 == 0;
                books.unicast += u64::from(is_unicast && origin.from == From::Wire);
            }
            let unseen = member.end.raw.dropped().unwrap();
            assert_eq!(unseen, 0, "seed {seed}: the observer itself lost frames");
        }
        while let Some(frame) = self.wire.raw.receive(Instant::now()).unwrap() {
            let Some(origin) = self.addresses.origin(sent, &frame) else {
                panic!("seed {seed}: the wire got {frame:02x?}, which nobody sent");
            };
            let From::Container(sender) = origin.from else {
                panic!("seed {seed}: {:02x?} came back", origin.sent);
            };
            let tags = self.members[sender].tags;
            let tags: Vec<u8> = tags
                .iter()
                .flat_map(|(tpid, vlan)| [tpid.to_be_bytes(), vlan.to_be_bytes()].concat())
                .collect();
            let came = frame.wire_bytes();
            let behind = came
                .get(12..)
                .and_then(|bytes| bytes.strip_prefix(&tags[..]));
            let Some(behind) = behind else {
                panic!(
                    "seed {seed}: {came:02x?} without its tags: {:02x?}",
                    origin.sent
                );
            };
            // What was cut up, or got its checksum, is not what was sent.
            if let Some(Sent {
                bytes,
                offload: None,
                ..
            }) = origin.sent
            {
                assert_eq!(came[..12], bytes[..12], "seed {seed}: {bytes:02x?}");
                assert_eq!(behind, &bytes[12..], "seed {seed}: {bytes:02x?}");
            }
        }
    }

    /// Waits until all is there that vnet says it has sent on, and the books balance.
    fn settle(&self, sent: &History, books: &mut Books, before: &Counts) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.drain(sent, books);
            let now = self.counts();
            if now.balance(before, books) {
                println!("seed {}: {books:?}", self.seed);
                assert_ne!(
                    books.with_offload, 0,
                    "the kernel took no frame with offloads"
                );
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
        let containers = self.members.iter().map(|member| &member.container);
        Counts::now(&self.fixture, containers)
    }
}

/// Whether the kernel dropped a frame on its way to the device.
fn is_out_of_memory(sent: &Result<()>) -> bool {
    matches!(sent, Err(LabError::Io { source, .. }) if source.raw_os_error() == Some(libc::ENOMEM))
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
