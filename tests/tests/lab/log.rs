//! What the programs log while somebody listens, and that nothing of it stays on the packet path.

use nix::sys::signal::Signal;
use tests::{Container, Fixture, Foreground, Running, attach_arguments, send_even_if_dropped};
use vnet_user::lab::{EthernetFrame, Mac, RawSocket};

const FAR: Mac = Mac([2, 0, 0, 0, 0, 0x77]);
const NOBODY: Mac = Mac([2, 0, 0, 0, 0, 0x99]);
/// How the kernel names the functions that a log record takes.
const RING_BUFFER: &str = "bpf_ringbuf_";

/// A host whose container is on the untagged LAN, where a tag is not allowed.
struct Lab {
    fixture: Fixture,
    container: Container,
    inside: RawSocket,
    wire: RawSocket,
}

impl Lab {
    fn new() -> Self {
        let mut fixture = Fixture::attached();
        fixture.network("pub", "--subnet 192.168.1.0/24");
        let container = fixture.container("a", "pub", "");
        let (inside, wire) = (container.raw(), fixture.wire_raw());
        Self {
            fixture,
            container,
            inside,
            wire,
        }
    }

    fn follow(&self) -> Foreground {
        let attach = attach_arguments("enp0s8");
        let (running, said) = Foreground::start(
            &self.fixture,
            &format!("{attach} --foreground --log-level debug"),
        );
        assert!(
            said.starts_with("enp0s8: already attached (") && said.ends_with("programs replaced"),
            "{said}"
        );
        running
    }

    /// The wire sends to nobody, which is handed on.
    fn send_to_nobody(&self) {
        let frame = EthernetFrame::experiment(NOBODY, FAR, "to nobody");
        self.wire.send(&frame).unwrap();
    }

    /// The container tries to get into a VLAN, which is dropped.
    fn send_into_vlan(&self) {
        let frame = EthernetFrame::experiment(FAR, self.container.mac, "hop").tagged(200, 0);
        send_even_if_dropped(&self.inside, &frame);
    }

    /// The programs of uplink and endpoint, and the one for endpoints to come.
    fn programs(&self) -> [Running; 3] {
        [
            Running::on(&self.fixture, "enp0s8"),
            Running::on(&self.fixture, &self.fixture.host_ifname(&self.container.id)),
            Running::pinned(&self.fixture),
        ]
    }
}

#[test]
fn a_debugged_frame_is_printed_with_its_address_and_reason() {
    let lab = Lab::new();
    let running = lab.follow();
    let handed_on = running.wait_for(&[&NOBODY.to_string(), "handed on"], || lab.send_to_nobody());
    assert_eq!(
        handed_on,
        format!("debug: from_uplink: {NOBODY} handed on: unknown_unicast")
    );
    let container = lab.container.mac.to_string();
    let dropped = running.wait_for(&[&container, "dropped"], || lab.send_into_vlan());
    assert_eq!(
        dropped,
        format!("debug: from_endpoint: {container} dropped: vlan_not_allowed")
    );
    assert_eq!(running.end(Signal::SIGINT), Some(0));
}

#[test]
fn nothing_of_the_log_is_left_after_ctrl_c() {
    nothing_is_left_after(Signal::SIGINT);
}

#[test]
fn nothing_of_the_log_is_left_when_the_system_ends_it() {
    nothing_is_left_after(Signal::SIGTERM);
}

fn nothing_is_left_after(signal: Signal) {
    let lab = Lab::new();
    let quiet = lab.programs();
    let running = lab.follow();
    // It listens once it has printed something, and so it also hears signals.
    running.wait_for(&["handed on"], || lab.send_to_nobody());
    for (loud, quiet) in lab.programs().iter().zip(&quiet) {
        assert_ne!(loud.id, quiet.id, "the same program still runs");
        assert!(
            loud.bytes_xlated > quiet.bytes_xlated,
            "{loud:?}, {quiet:?}"
        );
        assert!(
            loud.helpers(&lab.fixture)
                .iter()
                .any(|helper| helper.starts_with(RING_BUFFER)),
            "{loud:?}"
        );
    }

    assert_eq!(running.end(signal), Some(0), "exit code after {signal}");
    for (after, before) in lab.programs().iter().zip(&quiet) {
        assert_eq!(
            after.bytes_xlated, before.bytes_xlated,
            "after {signal}: {after:?}, {before:?}"
        );
        // Not by its maps: the kernel lists the ring buffer of a program whose every use of it has been taken out, too.
        assert!(
            !after
                .helpers(&lab.fixture)
                .iter()
                .any(|helper| helper.starts_with(RING_BUFFER)),
            "{after:?}"
        );
    }
}

#[test]
fn a_log_level_without_somebody_to_read_it_is_refused() {
    let fixture = Fixture::new();
    let attach = attach_arguments("enp0s8");
    let outcome = fixture
        .vnet
        .run(&format!("{attach} --log-level debug"))
        .unwrap();
    assert_eq!(outcome.code, Some(2), "{outcome:?}");
    assert!(outcome.stderr.contains("--foreground"), "{outcome:?}");
    assert_eq!(fixture.show()["uplinks"], serde_json::json!([]));
}

#[test]
fn a_signal_that_comes_at_once_is_not_lost() {
    let lab = Lab::new();
    let quiet = lab.programs().map(|program| program.bytes_xlated);
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        assert_eq!(
            lab.follow().end(signal),
            Some(0),
            "exit code after {signal}"
        );
        let after = lab.programs().map(|program| program.bytes_xlated);
        assert_eq!(after, quiet, "after {signal}");
    }
}

#[test]
fn a_second_session_after_one_that_was_killed_prints_and_leaves_nothing() {
    let lab = Lab::new();
    let quiet = lab.programs().map(|program| program.bytes_xlated);
    let killed = lab.follow();
    killed.wait_for(&["handed on"], || lab.send_to_nobody());
    drop(killed);

    let attach = attach_arguments("enp0s8");
    let (second, _) = Foreground::start(
        &lab.fixture,
        &format!("{attach} --foreground --log-level debug"),
    );
    second.wait_for(&["handed on"], || lab.send_to_nobody());
    assert_eq!(second.end(Signal::SIGINT), Some(0));
    assert_eq!(lab.programs().map(|program| program.bytes_xlated), quiet);
}

#[test]
fn an_uplink_that_was_detached_meanwhile_stays_detached() {
    let lab = Lab::new();
    let running = lab.follow();
    running.wait_for(&["handed on"], || lab.send_to_nobody());
    lab.fixture.ok("detach --iface enp0s8 --force");
    running.end(Signal::SIGINT);
    assert_eq!(lab.fixture.show()["uplinks"], serde_json::json!([]));
}

#[test]
fn a_second_session_takes_over_and_the_first_leaves_it_alone() {
    let lab = Lab::new();
    let first = lab.follow();
    let second = lab.follow();
    assert_eq!(first.end(Signal::SIGINT), Some(0));
    second.wait_for(&[&NOBODY.to_string(), "handed on"], || lab.send_to_nobody());
    assert_eq!(second.end(Signal::SIGHUP), Some(0));
}
