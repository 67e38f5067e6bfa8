//! What goes and comes again: vnet, dockerd, or both. Where macvlan's users lose their network, nothing may be lost here.

use std::{
    thread,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use tests::{
    Container, DockerHost, Engine, Fixture, Flow, Foreground, Source, eventually, figure, mac_of,
};
use vnet_user::lab::RawSocket;

/// Frames before what is tested and after it.
const FRAMES: u32 = 50;

fn host(engine: Engine, extra: &str) -> DockerHost {
    let host = DockerHost::start(Fixture::new(), engine, extra);
    host.network(
        "--subnet 192.168.200.0/24 --gateway=192.168.200.100 -o parent=enp0s8.200 vnet200",
    );
    host
}

/// Frames in both directions between a container and the wire, counted to the last.
fn flows(host: &DockerHost, container: &Container) -> [Flow; 2] {
    let wire = host.fixture.wire();
    let router = mac_of(&wire, "enp0s8");
    let inside = Source {
        socket: container.raw(),
        mac: container.mac,
        tag: None,
    };
    let outside = Source {
        socket: RawSocket::open(&wire, "enp0s8").unwrap(),
        mac: router,
        tag: Some(200),
    };
    let flows = [
        Flow::start("out", inside, router, host.fixture.wire_raw()),
        Flow::start("in", outside, container.mac, container.raw()),
    ];
    flows.iter().for_each(|flow| flow.wait_sent(FRAMES));
    flows
}

/// Not a frame was lost, up to some that come after now.
fn none_lost(flows: [Flow; 2]) {
    for flow in flows {
        flow.wait_sent(flow.sent() + FRAMES);
        flow.finish();
    }
}

#[test]
fn serve_that_is_killed_or_ends_costs_no_frame() {
    let mut host = host(Engine::Bookworm, "");
    let a = host.run("ca", "--network vnet200 --ip 192.168.200.2");
    let flows = flows(&host, &a);
    host.kill_serve();
    assert_eq!(host.start_serve(), "watching enp0s8");
    host.end_serve();
    // Another version brings programs of its own; so does another log level.
    let attach = "attach --iface enp0s8 --foreground --log-level debug";
    let (other, _) = Foreground::start(&host.fixture, attach);
    assert_eq!(host.start_serve(), "watching enp0s8");
    assert_eq!(other.end(Signal::SIGINT), Some(0));
    none_lost(flows);
    let b = host.run("cb", "--network vnet200 --ip 192.168.200.3");
    assert_eq!(host.ttl(&b, "192.168.200.2"), Some(64));
    host.docker.ok("rm --force ca cb");
    host.docker.ok("network rm vnet200");
}

#[test]
fn dockerd_with_live_restore_costs_no_frame() {
    for engine in [Engine::Bookworm, Engine::Trixie] {
        let mut host = host(engine, "--live-restore");
        let a = host.run("ca", "--network vnet200 --ip 192.168.200.2");
        let flows = flows(&host, &a);
        host.docker.kill_daemon();
        host.docker.start_daemon();
        host.docker.stop_daemon();
        host.docker.start_daemon();
        // Both, in either order.
        host.docker.stop_daemon();
        host.end_serve();
        host.start_serve();
        host.docker.start_daemon();
        host.end_serve();
        host.docker.stop_daemon();
        host.docker.start_daemon();
        host.start_serve();
        none_lost(flows);
        let b = host.run("cb", "--network vnet200 --ip 192.168.200.3");
        assert_eq!(host.ttl(&b, "192.168.200.2"), Some(64));
        host.docker.ok("rm --force ca cb");
        host.docker.ok("network rm vnet200");
        assert!(
            host.fixture.show()["uplinks"]
                .as_array()
                .unwrap()
                .is_empty()
        );
    }
}

#[test]
fn without_live_restore_containers_come_back_as_they_were() {
    for engine in [Engine::Bookworm, Engine::Trixie] {
        let mut host = host(engine, "");
        let _end = host.fixture.vlan_end(200, &["192.168.200.100/24"]);
        let options = "--restart always --network vnet200 --ip 192.168.200.2";
        let before = host.run("ca", options);
        for end in [tests::Docker::stop_daemon, tests::Docker::kill_daemon] {
            end(&mut host.docker);
            host.docker.start_daemon();
            let a = host.restarted("ca");
            assert_eq!(a.mac, before.mac);
            assert_eq!(host.ttl(&a, "192.168.200.100"), Some(64));
        }
    }
}

/// No call of the driver calls Docker, so each may start before the other. A container that dockerd restarts makes it wait.
#[test]
fn dockerd_starts_without_the_driver_and_finds_it_later() {
    let mut host = host(Engine::Trixie, "");
    host.run(
        "ca",
        "--restart always --network vnet200 --ip 192.168.200.2",
    );
    host.docker.stop_daemon();
    host.end_serve();
    let start = Instant::now();
    host.docker.start_daemon();
    figure(&format!(
        "without the driver, dockerd is up after {:.1?}",
        start.elapsed()
    ));
    host.start_serve();
    host.docker.ok("start ca");
    let b = host.run("cb", "--network vnet200 --ip 192.168.200.3");
    assert_eq!(host.ttl(&b, "192.168.200.2"), Some(64));
}

/// What is asked for meanwhile waits for it.
#[test]
fn containers_and_networks_are_removed_while_serve_is_away() {
    for engine in [Engine::Bookworm, Engine::Trixie] {
        let mut host = host(engine, "");
        host.run("ca", "--network vnet200 --ip 192.168.200.2");
        host.run("cb", "--network vnet200 --ip 192.168.200.3");
        host.kill_serve();
        let removal = host.docker.background("rm --force ca");
        thread::sleep(Duration::from_secs(1));
        host.start_serve();
        assert!(removal.join().unwrap());
        host.kill_serve();
        let removal = host.docker.background("rm --force cb");
        thread::sleep(Duration::from_secs(1));
        host.start_serve();
        assert!(removal.join().unwrap());
        host.end_serve();
        let removal = host.docker.background("network rm vnet200");
        thread::sleep(Duration::from_secs(1));
        host.start_serve();
        assert!(removal.join().unwrap());
        assert_eq!(host.fixture.show()["uplinks"], serde_json::json!([]));
        let links = host.fixture.host().ip("-br link").unwrap();
        assert_eq!(links.lines().count(), 2, "lo and enp0s8 alone: {links}");
    }
}

/// What a boot takes away is taken away by hand: processes, links, programs, pins; and the kernel has another boot id.
#[test]
fn after_a_boot_containers_come_back_as_they_were() {
    for engine in [Engine::Bookworm, Engine::Trixie] {
        let mut host = host(engine, "");
        let end = host.fixture.vlan_end(200, &["192.168.200.100/24"]);
        let options = "--restart always --network vnet200 --ip 192.168.200.2";
        let before = host.run("ca", options);
        host.docker.cut_power(&["ca"]);
        host.kill_serve();
        host.fixture.forget_boot();

        host.start_serve();
        host.docker.start_daemon();
        let after = host.restarted("ca");
        assert_eq!(after.mac, before.mac);
        assert_eq!(host.ttl(&after, "192.168.200.100"), Some(64));
        // And from the other side, though Docker came first.
        host.docker.cut_power(&["ca"]);
        host.kill_serve();
        host.fixture.forget_boot();
        let nic = host.fixture.host();
        drop(end);
        nic.ip("link del enp0s8").unwrap();
        host.start_serve();
        host.docker.start_daemon();
        let after = host.restarted("ca");
        assert_eq!(after.mac, before.mac);
        let wire = host.fixture.wire();
        let name = wire.name();
        nic.ip(&format!(
            "link add enp0s8 type veth peer name enp0s8 netns {name}"
        ))
        .unwrap();
        wire.ip("link set enp0s8 up").unwrap();
        nic.ip("link set enp0s8 up").unwrap();
        let _end = host.fixture.vlan_end(200, &["192.168.200.100/24"]);
        let reached = || host.ttl(&after, "192.168.200.100");
        eventually("that the gateway answers", &Some(64), reached);
    }
}
