//! Multicast that is larger than a frame arrives whole: datagrams that leave as one frame of several segments, and such as
//! IP cuts into fragments.

use std::net::SocketAddr;

use tests::{Container, Fixture, GroupMember, PATIENCE, SILENCE, expected};
use vnet_user::lab::{Netns, RawSocket, VlanEnd};

/// Of a datagram that fits into a frame.
const SEGMENT_BYTES: u16 = 1200;
/// At once: as many as IPv4 carries in a frame.
const SEGMENTS: usize = 48;
/// Of a datagram that does not.
const FRAGMENTED_BYTES: usize = 40_000;
/// So many siblings that copies are made in rounds (`ROUND_SLOTS` of vnet-common).
const CROWD: usize = 10;
/// The same in an emulated machine, where each takes long to make.
const SMALL_CROWD: usize = 3;

/// A network with containers, the wire, and the host, each with an interface on the segment.
struct Stage {
    fixture: Fixture,
    containers: Vec<Container>,
    /// The wire's and the host's interface.
    device: &'static str,
    _ends: Vec<VlanEnd>,
}

impl Stage {
    fn untagged(crowd: usize) -> Self {
        let fixture = Fixture::attached();
        for (netns, number) in [(fixture.wire(), 100), (fixture.host(), 99)] {
            for address in [
                format!("192.168.200.{number}/24"),
                format!("fd00:200::{number}/64"),
            ] {
                netns.ip(&format!("addr add {address} dev enp0s8")).unwrap();
            }
        }
        Self::with(fixture, "", crowd, "enp0s8", Vec::new())
    }

    fn tagged(crowd: usize) -> Self {
        let fixture = Fixture::attached();
        let wire = fixture.vlan_end(200, &["192.168.200.100/24", "fd00:200::100/64"]);
        let host = VlanEnd::new(
            &fixture.host(),
            "enp0s8",
            200,
            "enp0s8.200",
            &["192.168.200.99/24", "fd00:200::99/64"],
        )
        .unwrap();
        expected::check_vlan_end(&host);
        Self::with(fixture, "--vlan 200", crowd, "enp0s8.200", vec![wire, host])
    }

    fn with(
        mut fixture: Fixture,
        options: &str,
        crowd: usize,
        device: &'static str,
        ends: Vec<VlanEnd>,
    ) -> Self {
        let subnets = "--subnet 192.168.200.0/24 --subnet fd00:200::/64";
        fixture.network("web", &format!("{options} {subnets}"));
        let containers = (1..=crowd)
            .map(|n| {
                let addresses = format!("--ip 192.168.200.{n} --ip fd00:200::{n}");
                fixture.container(&format!("c{n}"), "web", &addresses)
            })
            .collect();
        Self {
            fixture,
            containers,
            device,
            _ends: ends,
        }
    }

    /// From a container to its siblings and to the wire, and from the wire to all containers and to the host.
    fn play(&self, group: SocketAddr) {
        let join = |netns: &Netns, device| GroupMember::join(netns, device, group);
        let wire = join(&self.fixture.wire(), self.device);
        let host = join(&self.fixture.host(), self.device);
        let mut members = self.containers.iter().map(|it| join(&it.netns, "eth0"));
        let first = members.next().unwrap();
        let siblings: Vec<_> = members.collect();

        let from_container: Vec<_> = siblings.iter().chain([&wire]).collect();
        let from_wire: Vec<_> = siblings.iter().chain([&first, &host]).collect();
        // Each with some that show whether it came in one frame.
        let sibling = self.containers[1].raw();
        let at_wire = self.fixture.wire_raw();
        for (sender, receivers, ears) in [
            (&first, from_container, vec![&sibling, &at_wire]),
            (&wire, from_wire, vec![&sibling]),
        ] {
            arrives_as_segments(sender, &receivers, &ears);
            arrives_as_fragments(sender, &receivers);
        }
        let to_host = host.receive(1, SILENCE);
        assert!(to_host.is_empty(), "the host hears no container");
    }
}

/// One frame of several datagrams, which the last stack cuts up.
fn arrives_as_segments(sender: &GroupMember, receivers: &[&GroupMember], ears: &[&RawSocket]) {
    let sent = pattern(SEGMENTS * usize::from(SEGMENT_BYTES));
    sender.send_segments(&sent, SEGMENT_BYTES);
    for receiver in receivers {
        let came = receiver.receive(sent.len(), PATIENCE);
        let what = format!("{} → {}", sender.place(), receiver.place());
        let lengths: Vec<_> = came.iter().map(Vec::len).collect();
        assert_eq!(lengths, [usize::from(SEGMENT_BYTES); SEGMENTS], "{what}");
        assert!(came.concat() == sent, "{what}: not as it was sent");
    }
    for ears in ears {
        let whole = ears.find(PATIENCE, |frame| frame.bytes.len() > sent.len());
        assert!(
            whole.unwrap().is_some(),
            "from {} in one frame",
            sender.place()
        );
    }
}

fn arrives_as_fragments(sender: &GroupMember, receivers: &[&GroupMember]) {
    let sent = pattern(FRAGMENTED_BYTES);
    sender.send(&sent);
    for receiver in receivers {
        let came = receiver.receive(sent.len(), PATIENCE);
        let what = format!("{} → {}", sender.place(), receiver.place());
        assert_eq!(came.len(), 1, "{what}");
        assert!(came[0] == sent, "{what}: not as it was sent");
    }
}

/// Bytes of which no part of a frame's length repeats (xorshift32).
fn pattern(bytes: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32;
    let next = move || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as u8
    };
    std::iter::repeat_with(next).take(bytes).collect()
}

const GROUPS: [&str; 2] = ["239.1.2.3:7010", "[ff05::1:7]:7010"];

fn crowd() -> usize {
    match expected::is_emulated() {
        true => SMALL_CROWD,
        false => CROWD,
    }
}

#[test]
fn large_multicast_arrives_whole_on_the_untagged_lan() {
    let stage = Stage::untagged(crowd());
    for group in GROUPS {
        stage.play(group.parse().unwrap());
    }
}

#[test]
fn large_multicast_arrives_whole_on_a_vlan() {
    let stage = Stage::tagged(crowd());
    for group in GROUPS {
        stage.play(group.parse().unwrap());
    }
}
