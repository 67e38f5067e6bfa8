//! Many endpoints on one segment, up to the limit: a burst of broadcasts reaches all of them.

use std::time::{Duration, Instant};

use tests::{Fixture, burst, expected, silence};
use vnet_common::MAX_FLOOD_SLOTS;
use vnet_user::lab::{EthernetFrame, Mac, Netns};

const FAR: Mac = Mac([2, 0, 0, 0, 0, 0x77]);
/// As many as a NIC hands over in one poll (`NAPI_POLL_WEIGHT`).
const BURST: u32 = 64;
/// How long no more copies may come, when all that will come have.
const QUIET: Duration = Duration::from_millis(500);
/// Endpoints in an emulated machine, where each takes long to make: enough for a burst to overflow a CPU's backlog
/// (`netdev_max_backlog`, 1000) if nobody took care.
const SMALL_CROWD: usize = 48;

/// Frames that all interfaces of a namespace but loopback have received.
fn received(netns: &Netns) -> u64 {
    let table = netns.sh("cat /proc/thread-self/net/dev").unwrap();
    let lines = table.lines().filter_map(|line| line.split_once(':'));
    let ours = lines.filter(|(name, _)| name.trim() != "lo");
    let packets =
        ours.filter_map(|(_, counts)| counts.split_whitespace().nth(1)?.parse::<u64>().ok());
    packets.sum()
}

/// How many copies of a burst on VLAN 200 arrive in a namespace's interfaces.
fn copies(fixture: &Fixture, container: &Netns, wanted: u64) -> u64 {
    let frame = EthernetFrame::experiment(Mac::BROADCAST, FAR, "to all of you");
    let before = received(container);
    burst(&fixture.wire(), "enp0s8", &frame.tagged(200, 0), BURST);
    let mut last = (before, Instant::now());
    while last.1.elapsed() < QUIET {
        let now = received(container);
        if now != last.0 {
            last = (now, Instant::now());
        }
        if now - before == wanted {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    last.0 - before
}

/// Kernel macvlan delivers all of such a burst, up to a queue of 1000 frames (`MACVLAN_DEFAULT_BC_QUEUE_LEN`).
#[test]
fn a_burst_of_broadcasts_reaches_a_crowd() {
    let crowd = match expected::is_emulated() {
        true => SMALL_CROWD,
        false => MAX_FLOOD_SLOTS,
    };
    let mut fixture = Fixture::attached();
    fixture.network("web", "--vlan 200");
    let netns = Netns::clone(fixture.lab.add("crowd").unwrap());
    for quiet in [&netns, &fixture.host(), &fixture.wire()] {
        silence(quiet);
    }
    let add = |n| {
        let name = netns.name();
        format!("endpoint add --network web --netns {name} --ifname e{n}")
    };
    let ids: Vec<_> = (0..crowd).map(|n| fixture.ok(&add(n))).collect();
    let sent = u64::from(BURST) * crowd as u64;
    assert_eq!(copies(&fixture, &netns, sent), sent);
    if crowd == MAX_FLOOD_SLOTS {
        fixture.refused(&add(crowd), &["512", "VLAN 200"]);
    }
    // Holes, one of them where the first round of copies ends; and the endpoint that later rounds went by.
    for gone in [0, 7, crowd - 1] {
        let id = ids[gone].split_whitespace().next().unwrap();
        fixture.ok(&format!("endpoint remove {id}"));
    }
    let sent = sent - 3 * u64::from(BURST);
    assert_eq!(copies(&fixture, &netns, sent), sent);
}
