//! Programs that are replaced while traffic flows: no frame is lost, none comes twice, and nothing is forgotten.
//!
//! What makes `attach` replace programs here is another log level; another build of vnet does the same.

use std::collections::BTreeMap;

use nix::sys::signal::Signal;
use tests::{
    Container, Fixture, Flow, Foreground, PATIENCE, Running, Source, attach_arguments, expected,
    mac_of,
};
use vnet_user::lab::{EthernetFrame, Mac, probe};

const VLAN: u16 = 200;
/// Each round replaces twice: by programs that log, and back.
const ROUNDS: u32 = 2;
/// At least so many frames of each flow, and of those some before, between and after all replacements.
const FRAMES: u32 = 2000;
/// An emulated machine sends some ten times slower, and the replacements take as much longer.
const FRAMES_EMULATED: u32 = 300;
/// So many before the first replacement, and after the last.
const FRAMES_AROUND: u32 = 100;
/// The maps that hold what vnet knows and has counted.
const MAPS: [&str; 9] = [
    "qinq",
    "sources",
    "allowed_macs",
    "fdb",
    "endpoints",
    "segments",
    "flood",
    "counters",
    "reasons",
];

#[test]
fn programs_are_replaced_without_losing_a_frame() {
    let mut fixture = Fixture::attached();
    fixture.network(
        "web",
        "--vlan 200 --subnet 192.168.200.0/24 --gateway 192.168.200.100",
    );
    let [a, b] = ["a", "b"].map(|role| fixture.container(role, "web", ""));
    let router = mac_of(&fixture.wire(), "enp0s8");
    let flows = [
        Flow::start("out", source(&a), router, fixture.wire_raw()),
        Flow::start("in", from_wire(&fixture, router), a.mac, a.raw()),
        Flow::start("across", source(&a), b.mac, b.raw()),
    ];
    let sent = |flows: &[Flow]| flows.iter().map(Flow::sent).min().unwrap_or_default();
    flows.iter().for_each(|flow| flow.wait_sent(FRAMES_AROUND));

    let places = [
        "enp0s8".to_owned(),
        fixture.host_ifname(&a.id),
        fixture.host_ifname(&b.id),
    ];
    let mut programs = running(&fixture, &places);
    let mut counted = counters(&fixture, &[&a, &b]);
    let mut check = |what: &str| {
        let now = running(&fixture, &places);
        for (before, now) in programs.iter().zip(&now) {
            assert_ne!(before.id, now.id, "{what}: the same program still runs");
            assert_eq!(kept(before), kept(now), "{what}: other maps");
        }
        let now_counted = counters(&fixture, &[&a, &b]);
        for (name, before) in &counted {
            assert!(
                now_counted[name] >= *before,
                "{what}: {name} was {before}, and is {}",
                now_counted[name]
            );
        }
        (programs, counted) = (now, now_counted);
    };
    for round in 1..=ROUNDS {
        let foreground = listening(&fixture);
        check(&format!("round {round}, programs that log"));
        assert_eq!(foreground.end(Signal::SIGINT), Some(0));
        check(&format!("round {round}, quiet programs"));
    }
    let least = match expected::is_emulated() {
        true => FRAMES_EMULATED,
        false => FRAMES,
    };
    let enough = least.max(sent(&flows) + FRAMES_AROUND);
    flows.iter().for_each(|flow| flow.wait_sent(enough));

    let [out, into, across] = flows.map(Flow::finish);
    let counted = counters(&fixture, &[&a, &b]);
    for (name, at_least) in [
        (format!("{} tx", a.id), out + across),
        (format!("{} rx", a.id), into),
        (format!("{} rx", b.id), across),
    ] {
        assert!(counted[&name] >= u64::from(at_least), "{name}: {counted:?}");
    }
    // Nobody met a program that did not know him.
    for reason in ["not_an_endpoint", "unknown_unicast", "tag_failed"] {
        assert_eq!(fixture.reason(reason), 0, "{reason}");
    }
}

#[test]
fn an_endpoint_that_comes_after_a_replacement_works_like_those_before() {
    let mut fixture = Fixture::attached();
    let _end = fixture.vlan_end(VLAN, &["192.168.200.100/24"]);
    fixture.network("web", "--vlan 200 --subnet 192.168.200.0/24");
    let before = fixture.container("before", "web", "--ip 192.168.200.2");
    let pinned = Running::pinned(&fixture);
    let foreground = listening(&fixture);
    let during = fixture.container("during", "web", "--ip 192.168.200.3");
    assert_ne!(Running::pinned(&fixture).id, pinned.id);
    assert_eq!(foreground.end(Signal::SIGINT), Some(0));
    let after = fixture.container("after", "web", "--ip 192.168.200.4");

    let containers = [&before, &during, &after];
    for from in containers {
        for to in [
            "192.168.200.2",
            "192.168.200.3",
            "192.168.200.4",
            "192.168.200.100",
        ] {
            let echo = probe::ping(&from.netns, to.parse().unwrap(), PATIENCE).unwrap();
            assert!(echo.is_some(), "{} does not reach {to}", from.netns.name());
        }
    }
    let places = containers.map(|container| fixture.host_ifname(&container.id));
    let programs = running(&fixture, &places).map(|program| program.id);
    assert_eq!(programs, [Running::pinned(&fixture).id; 3]);
}

/// An `attach` that has replaced the programs by such as log, and hears signals.
fn listening(fixture: &Fixture) -> Foreground {
    let attach = attach_arguments("enp0s8");
    let (foreground, _) =
        Foreground::start(fixture, &format!("{attach} --foreground --log-level debug"));
    let (wire, nobody) = (fixture.wire_raw(), Mac([2, 0, 0, 0, 0, 0x99]));
    let frame = EthernetFrame::experiment(nobody, mac_of(&fixture.wire(), "enp0s8"), "to nobody");
    // On a VLAN of its own, so that what it is counted as is nothing that a test looks at.
    let frame = frame.tagged(VLAN + 1, 0);
    foreground.wait_for(&[&nobody.to_string()], || wire.send(&frame).unwrap());
    foreground
}

fn source(container: &Container) -> Source {
    Source {
        socket: container.raw(),
        mac: container.mac,
        tag: None,
    }
}

fn from_wire(fixture: &Fixture, mac: Mac) -> Source {
    Source {
        socket: fixture.wire_raw(),
        mac,
        tag: Some(VLAN),
    }
}

fn running<const N: usize>(fixture: &Fixture, places: &[String; N]) -> [Running; N] {
    places.each_ref().map(|place| Running::on(fixture, place))
}

/// The maps of a program that must be the same after its replacement.
fn kept(program: &Running) -> BTreeMap<&str, u64> {
    let maps = program.maps.iter().map(|(name, id)| (name.as_str(), *id));
    maps.filter(|(name, _)| MAPS.contains(name)).collect()
}

/// Packets of each container in each direction, by `<id> rx` and `<id> tx`.
fn counters(fixture: &Fixture, containers: &[&Container]) -> BTreeMap<String, u64> {
    let mut counters = BTreeMap::new();
    for Container { id, .. } in containers {
        let shown = fixture.shown_endpoint(id);
        for direction in ["rx", "tx"] {
            let packets = shown[format!("{direction}_packets")].as_u64().unwrap();
            counters.insert(format!("{id} {direction}"), packets);
        }
    }
    counters
}
