//! XDP comes and goes by `attach`; what would break traffic is refused with the command that helps.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use nix::sys::signal::Signal;
use tests::{
    Container, Fixture, Flow, Foreground, NicState, PATIENCE, Running, Source, attach_xdp,
    clear_for_xdp, expected, mac_of,
    raw_program::{self, Instruction, ProgramType},
    xdp_arguments, xdp_mode,
};
use vnet_user::lab::{EthernetFrame, Mac, RawSocket};

const FILTER: &str = "--xdp filter --unknown-vlan drop";
const FAR: Mac = Mac([2, 0, 0, 0, 0, 0x77]);

fn cleared() -> Fixture {
    let fixture = Fixture::new();
    clear_for_xdp(&fixture);
    fixture
}

#[test]
fn attach_says_mode_and_delivery_and_detach_takes_it_off() {
    let fixture = cleared();
    let host = fixture.host();
    let before = NicState::of(&host, "enp0s8");
    for (mode, shown) in [
        ("native", "xdp"),
        ("generic", "xdpgeneric"),
        ("auto", "xdp"),
    ] {
        let said = attach_xdp(&fixture, &format!("{FILTER} --xdp-mode {mode}"));
        let mode = if mode == "auto" { "native" } else { mode };
        assert_eq!(said.trim().lines().count(), 1, "{said}");
        assert!(said.starts_with("enp0s8: attached ("), "{said}");
        let expected = format!("XDP {mode} drops unknown VLANs, delivery by tc");
        assert!(said.contains(&expected), "{said}");
        assert_eq!(xdp_mode(&host).as_deref(), Some(shown));
        assert!(fixture.ok("show").contains(&expected));
        let xdp = fixture.show()["uplinks"][0]["xdp"].clone();
        assert_eq!(xdp["runs"], mode, "{xdp}");
        assert_eq!(xdp["unknown_vlan"], "drop", "{xdp}");
        fixture.ok("detach --iface enp0s8");
        assert_eq!(xdp_mode(&host), None);
        assert_eq!(NicState::of(&host, "enp0s8"), before);
    }
}

#[test]
fn an_attach_changes_xdp_or_keeps_it() {
    let fixture = cleared();
    let host = fixture.host();
    assert!(!fixture.attach().contains("XDP"));
    assert_eq!(xdp_mode(&host), None);
    attach_xdp(&fixture, FILTER);
    let (before, link) = Running::xdp(&fixture);
    let said = fixture.attach();
    assert!(
        said.starts_with("enp0s8: already attached (") && said.contains("XDP native"),
        "{said}"
    );
    let (kept, kept_link) = Running::xdp(&fixture);
    assert_eq!((kept.id, kept_link), (before.id, link), "it was replaced");
    // Other features are another program, by the same link.
    attach_xdp(&fixture, "--xdp filter --unknown-unicast drop");
    let (other, other_link) = Running::xdp(&fixture);
    assert_ne!(other.id, before.id);
    assert_eq!(other_link, link);
    // Another mode can't be had by the same link.
    attach_xdp(&fixture, &format!("{FILTER} --xdp-mode generic"));
    assert_eq!(xdp_mode(&host).as_deref(), Some("xdpgeneric"));
    attach_xdp(&fixture, FILTER);
    assert_eq!(xdp_mode(&host).as_deref(), Some("xdp"));
    let nothing = fixture.vnet.run(&xdp_arguments("--xdp filter")).unwrap();
    assert!(
        nothing.ok() && nothing.stderr.contains("--unknown-vlan drop"),
        "{nothing:?}"
    );
    let said = attach_xdp(&fixture, "--xdp off");
    assert!(!said.contains("XDP"), "{said}");
    assert_eq!(xdp_mode(&host), None);
    assert!(fixture.show()["uplinks"][0]["xdp"].is_null());
}

#[test]
fn a_lost_xdp_program_comes_back_by_attach() {
    let fixture = cleared();
    let host = fixture.host();
    attach_xdp(&fixture, FILTER);
    let pin = fixture.vnet.pins().join("enp0s8/links/xdp_uplink");
    host.sh(&format!("bpftool link detach pinned {}", pin.display()))
        .unwrap();
    assert_eq!(xdp_mode(&host), None);
    assert!(fixture.attach().contains("XDP native"));
    assert_eq!(xdp_mode(&host).as_deref(), Some("xdp"));
    fixture.vnet.lose_pins().unwrap();
    assert_eq!(xdp_mode(&host), None);
    assert!(fixture.attach().contains("XDP native"));
    assert_eq!(xdp_mode(&host).as_deref(), Some("xdp"));
}

#[test]
fn its_program_is_replaced_without_a_frame_that_meets_none() {
    let mut fixture = cleared();
    attach_xdp(&fixture, FILTER);
    fixture.network("web", "--vlan 200");
    let a: Container = fixture.container("a", "web", "");
    // What gets by XDP comes to the host: a flow on an unknown VLAN, with the one for the container beside it.
    let host = RawSocket::open(&fixture.host(), "enp0s8").unwrap();
    let far = mac_of(&fixture.wire(), "enp0s8");
    let source = Source {
        socket: fixture.wire_raw(),
        mac: far,
        tag: Some(200),
    };
    let known = Flow::start("known", source, a.mac, a.raw());
    let wire = fixture.wire_raw();
    let unknown = EthernetFrame::experiment(Mac::BROADCAST, FAR, "got by").tagged(201, 0);
    let dropped = || fixture.reason("filtered_vlan");
    let burst = || (0..200).for_each(|_| wire.send(&unknown).unwrap());
    known.wait_sent(50);
    burst();
    let (before, link) = Running::xdp(&fixture);
    let steady = Steady::start(&fixture, &unknown);
    for _ in 0..2 {
        let arguments = format!("{} --foreground --log-level debug", xdp_arguments(""));
        let (foreground, _) = Foreground::start(&fixture, &arguments);
        foreground.wait_for(&["xdp_uplink", "filtered_vlan"], burst);
        let (during, during_link) = Running::xdp(&fixture);
        assert_ne!(during.id, before.id);
        assert_eq!(during_link, link);
        assert_eq!(foreground.end(Signal::SIGINT), Some(0));
    }
    drop(steady);
    burst();
    assert!(dropped() >= 400);
    known.wait_sent(known.sent() + 50);
    known.finish();
    let marker = EthernetFrame::experiment(Mac::BROADCAST, FAR, "the last");
    wire.send(&marker).unwrap();
    let got_by = host.before("got by", "the last", PATIENCE).unwrap();
    assert!(got_by.is_empty(), "{} frames met no program", got_by.len());
}

/// Sends a frame again and again, until it is dropped.
struct Steady {
    stop: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Steady {
    fn start(fixture: &Fixture, frame: &EthernetFrame) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, wire, frame) = (Arc::clone(&stop), fixture.wire_raw(), frame.clone());
        let thread = thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                wire.send(&frame).unwrap();
                // The cable is for the other flow too.
                thread::sleep(Duration::from_micros(200));
            }
        });
        Self {
            stop,
            thread: Some(thread),
        }
    }
}

impl Drop for Steady {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[test]
fn a_veth_whose_tags_xdp_does_not_see() {
    let fixture = Fixture::new();
    for option in ["--unknown-vlan drop", "--unknown-unicast drop"] {
        let said = fixture.refused(
            &xdp_arguments(&format!("--xdp filter {option}")),
            &[
                "enp0s8",
                option,
                "ethtool -K enp0s8 rxvlan off",
                "txvlan off",
            ],
        );
        let command = said.split('`').nth(1).unwrap();
        assert!(command.starts_with("ethtool -K enp0s8 "), "{said}");
    }
    // The command that it names helps.
    let said = fixture.refused(&xdp_arguments(FILTER), &["enp0s8"]);
    let command = said.split('`').nth(1).unwrap().to_owned();
    fixture.host().sh(&command).unwrap();
    attach_xdp(&fixture, FILTER);
    // And where it is switched on again, XDP leaves to tc what it can't tell.
    attach_xdp(&fixture, "--xdp filter --unknown-unicast drop");
    fixture.host().sh("ethtool -K enp0s8 rxvlan on").unwrap();
    let said = fixture.vnet.run("show").unwrap().stderr;
    assert!(
        said.contains("unknown unicast") && said.contains("rxvlan off"),
        "{said}"
    );
}

#[test]
fn somebody_elses_program() {
    let fixture = cleared();
    let host = fixture.host();
    // r0 = XDP_PASS; exit
    let pass = [Instruction(0xb7, 0x00, 0, 2), Instruction(0x95, 0x00, 0, 0)];
    let program = raw_program::load(ProgramType::Xdp, &pass);
    let pin = format!("/sys/fs/bpf/vnet-test-{}-theirs", std::process::id());
    raw_program::pin(&program, pin.as_ref());
    let theirs = host.ip(&format!("link set dev enp0s8 xdp pinned {pin}"));
    std::fs::remove_file(&pin).unwrap();
    theirs.unwrap();
    for options in [FILTER, "--xdp filter --xdp-mode generic"] {
        let help = "ip link set dev enp0s8 xdp off";
        fixture.refused(&xdp_arguments(options), &["XDP program", help]);
    }
    fixture.attach();
    fixture.refused(&xdp_arguments(FILTER), &["XDP program"]);
    assert_eq!(xdp_mode(&host).as_deref(), Some("xdp"), "theirs is gone");
    host.ip("link set dev enp0s8 xdp off").unwrap();
    attach_xdp(&fixture, FILTER);
}

#[test]
fn a_host_that_wants_all_frames() {
    let fixture = cleared();
    let host = fixture.host();
    let unicast = xdp_arguments("--xdp filter --unknown-unicast drop");
    let tcpdump = RawSocket::open(&host, "enp0s8").unwrap();
    tcpdump.set_promiscuous(&host, "enp0s8").unwrap();
    fixture.refused(&unicast, &["promiscuous", "--unknown-unicast"]);
    drop(tcpdump);
    host.ip("link set enp0s8 promisc on").unwrap();
    fixture.refused(&unicast, &["ip link set dev enp0s8 promisc off"]);
    host.ip("link set enp0s8 promisc off").unwrap();
    host.ip("link add br0 type bridge").unwrap();
    host.ip("link set enp0s8 master br0").unwrap();
    fixture.refused(&unicast, &["br0", "port", "nomaster"]);
    fixture.refused(&xdp_arguments(FILTER), &["br0", "vlan_filtering 1"]);
    if expected::has_8021q() {
        host.ip("link set br0 type bridge vlan_filtering 1")
            .unwrap();
        attach_xdp(&fixture, FILTER);
        fixture.refused(&unicast, &["br0"]);
    }
    host.ip("link set enp0s8 nomaster").unwrap();
    fixture.ok(&unicast);
}

#[test]
fn options_that_make_no_sense() {
    let fixture = cleared();
    let off = xdp_arguments("--xdp off --unknown-vlan drop");
    fixture.refused(&off, &["--unknown-vlan", "--xdp filter"]);
    fixture.refused(
        &xdp_arguments("--xdp filter --far-end-checksums"),
        &["--far-end-checksums", "--xdp redirect"],
    );
    for wrong in [
        "--unknown-vlan drop",
        "--xdp-mode native",
        "--far-end-checksums",
        "--xdp hardware",
        "--xdp filter --unknown-vlan maybe",
    ] {
        let outcome = fixture.vnet.run(&xdp_arguments(wrong)).unwrap();
        assert_eq!(outcome.code, Some(2), "{outcome:?}");
        assert!(outcome.stderr.starts_with("error: "), "{outcome:?}");
    }
    assert!(fixture.show()["uplinks"].as_array().unwrap().is_empty());
    if expected::endpoint_device().as_deref() == Some("netkit") {
        let redirect = xdp_arguments("--xdp redirect --far-end-checksums");
        fixture.refused(&redirect, &["netkit", "--endpoint-device veth"]);
    }
}
