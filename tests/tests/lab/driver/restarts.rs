//! What the driver keeps while it, the NIC or the host is away.

use std::{
    fs::{self, File},
    os::{
        fd::{AsRawFd as _, RawFd},
        unix::{fs::PermissionsExt as _, net::UnixListener, process::CommandExt as _},
    },
    thread,
    time::Duration,
};

use nix::{
    fcntl::{Flock, FlockArg},
    sys::signal::Signal,
};
use serde_json::json;
use tests::{
    Container, Fixture, Foreground, SILENCE, Watching,
    caller::{Caller, docker_id, network},
    eventually, link, mac_of,
};

use super::{Driver, GATEWAY, NOTHING, SUBNET, change_state, is_attached, of, state};

#[test]
fn containers_keep_their_network_while_serve_is_away() {
    let mut driver = Driver::new();
    let router = driver.fixture.vlan_end(200, &["192.168.200.100/24"]);
    driver.create_web();
    let a = driver.run("a", "e1", "192.168.200.2/24");
    driver.serve.kill();
    a.pings("192.168.200.100");
    driver.serve = Watching::start(&driver.fixture);
    a.pings("192.168.200.100");
    let b = driver
        .docker
        .run(&mut driver.fixture, "b", "aa", "e2", "192.168.200.3/24");
    b.pings("192.168.200.2");
    driver.serve.end();
    assert!(!driver.docker.socket().exists());
    drop(router);
}

/// As under systemd, whose socket stays while one `serve` follows another.
#[test]
fn a_socket_that_was_opened_before_is_taken() {
    let fixture = Fixture::new();
    let directory = tempfile::tempdir().unwrap();
    let activate = directory.path().join("activate");
    let socket = fixture.vnet.docker_socket();
    let listener = UnixListener::bind(&socket).unwrap();
    let fd = listener.as_raw_fd();
    let script = "#!/bin/sh\nexport LISTEN_PID=$$ LISTEN_FDS=1\nexec \"$@\"\n";
    fs::write(&activate, script).unwrap();
    fs::set_permissions(&activate, fs::Permissions::from_mode(0o755)).unwrap();
    for _ in 0..2 {
        let wrapper = activate.to_str().unwrap();
        let mut command = fixture.vnet.command_under(wrapper, "serve");
        // SAFETY: dup2 is all that is done between fork and exec.
        unsafe { command.pre_exec(move || dup2_raw(fd, 3)) };
        let (serve, first) = Foreground::of(command, "serve");
        assert_eq!(first, NOTHING);
        let (status, _) = Caller::new(&fixture).post("Plugin.Activate", "");
        assert_eq!(status, 200);
        assert_eq!(serve.end(Signal::SIGTERM), Some(0));
        assert!(socket.exists());
    }
}

fn dup2_raw(from: RawFd, to: RawFd) -> std::io::Result<()> {
    // SAFETY: a system call without pointers.
    match unsafe { libc::dup2(from, to) } {
        -1 => Err(std::io::Error::last_os_error()),
        _ => Ok(()),
    }
}

#[test]
fn a_parent_that_is_away_is_waited_for() {
    let mut driver = Driver::new();
    driver.create_web();
    let host = driver.fixture.host();
    host.ip("link del enp0s8").unwrap();
    eventually("that the uplink is gone", &json!("no_interface"), || {
        driver.fixture.show()["uplinks"][0]["datapath"].clone()
    });
    // A container starts all the same, and has no carrier until then.
    let netns = driver.hand_out("a", "e1", "192.168.200.2/24");
    host.ip(&format!(
        "link set vce1e1e1e1e1e1 netns {} name eth0",
        netns.name()
    ))
    .unwrap();
    netns.ip("addr add 192.168.200.2/24 dev eth0").unwrap();
    netns.ip("link set eth0 up").unwrap();
    eventually("that it has no carrier", &true, || {
        netns
            .ip("link show dev eth0")
            .unwrap()
            .contains("NO-CARRIER")
    });

    let wire = driver.fixture.wire();
    host.ip(&format!(
        "link add enp0s8 type veth peer name enp0s8 netns {}",
        wire.name()
    ))
    .unwrap();
    wire.ip("link set enp0s8 up").unwrap();
    host.ip("link set enp0s8 up").unwrap();
    let _router = driver.fixture.vlan_end(200, &["192.168.200.100/24"]);
    driver.serve.says(&["enp0s8: is back"]);
    eventually("carrier", &true, || {
        netns.ip("link show dev eth0").unwrap().contains("LOWER_UP")
    });
    let mac = mac_of(&netns, "eth0");
    let id = docker_id("e1")[..12].to_owned();
    Container { netns, id, mac }.pings("192.168.200.100");
}

#[test]
fn after_a_boot_dockers_networks_are_there_again() {
    let mut driver = Driver::new();
    let router = driver.fixture.vlan_end(200, &["192.168.200.100/24"]);
    driver.create_web();
    driver
        .docker
        .create_network("bb", &json!({}), "10.9.0.0/24", "");
    driver.run("a", "e1", "192.168.200.2/24");
    driver.serve.kill();

    driver.fixture.lab.remove("a");
    driver.fixture.forget_boot();
    let host = driver.fixture.host();
    host.ip("link del vibbbbbbbbbbbb").unwrap();

    driver.serve = Watching::start_with(&driver.fixture, "watching enp0s8,vibbbbbbbbbbbb");
    for uplink in ["enp0s8", "vibbbbbbbbbbbb"] {
        driver
            .serve
            .says(&[&format!("{uplink}: is back, and attached")]);
    }
    assert_eq!(driver.serve.said().len(), 2, "{:?}", driver.serve.said());
    assert!(is_attached(&driver.fixture));
    let b = driver.run("b", "e2", "192.168.200.2/24");
    b.pings("192.168.200.100");
    ["aa", "bb"].iter().for_each(|id| driver.remove_network(id));
    assert!(!is_attached(&driver.fixture));
    drop(router);
}

/// Whenever that is: at once, or in the middle of it.
#[test]
fn serve_that_is_killed_at_a_call_does_it_when_it_comes_again() {
    let mut driver = Driver::new();
    let router = driver.fixture.vlan_end(200, &["192.168.200.100/24"]);
    let network = network("aa", &json!({ "parent": "enp0s8.200" }), SUBNET, GATEWAY);
    let gone = json!({ "NetworkID": docker_id("aa") });
    for millis in [1, 3, 8, 15, 25, 40, 60, 90] {
        let delay = Duration::from_millis(millis);
        driver = driver.killed_at("CreateNetwork", &network, delay);
        let role = format!("c{millis}");
        let sandbox = driver.fixture.lab.add(&role).unwrap().path();
        let mut create = of("e1");
        create["Interface"] = json!({ "Address": "192.168.200.2/24" });
        driver = driver.killed_at("CreateEndpoint", &create, delay);
        let mut join = of("e1");
        join["SandboxKey"] = json!(sandbox);
        driver = driver.killed_at("Join", &join, delay);
        driver.remove("e1");
        let a = driver.run(&format!("d{millis}"), "e2", "192.168.200.2/24");
        a.pings("192.168.200.100");
        driver = driver.killed_at("Leave", &of("e2"), delay);
        driver = driver.killed_at("DeleteEndpoint", &of("e2"), delay);
        driver = driver.killed_at("DeleteNetwork", &gone, delay);
        assert!(driver.knows_nothing(), "{millis} ms: {}", driver.state());
        let links = driver.fixture.host().ip("-br link").unwrap();
        assert_eq!(links.lines().count(), 2, "lo and enp0s8 alone: {links}");
    }
    drop(router);
}

/// A network that nobody asks for again, since dockerd was killed too, is taken back.
#[test]
fn what_was_begun_and_never_asked_for_again_is_undone() {
    let mut driver = Driver::new();
    driver.create_web();
    driver.serve.kill();
    change_state(&driver.fixture, |state| state["networks"] = json!({}));
    driver.serve = Watching::start_with(&driver.fixture, NOTHING);
    assert!(driver.knows_nothing(), "{}", driver.state());
}

/// dockerd puts the container's end back where it was made, and gives up calling after 30 s.
#[test]
fn a_container_that_ended_while_serve_was_away_is_forgotten() {
    let mut driver = Driver::new();
    let router = driver.fixture.vlan_end(200, &["192.168.200.100/24"]);
    driver.create_web();
    let a = driver.run("a", "e1", "192.168.200.2/24");
    driver.serve.kill();
    a.netns.ip("link set eth0 down").unwrap();
    a.netns.ip("link set eth0 name vce1e1e1e1e1e1").unwrap();
    let host = driver.fixture.host();
    a.netns
        .ip(&format!(
            "link set vce1e1e1e1e1e1 netns /run/netns/{}",
            host.name()
        ))
        .unwrap();

    driver.serve = Watching::start(&driver.fixture);
    let links = host.ip("-br link").unwrap();
    assert!(!links.contains("e1e1e1e1e1e1"), "{links}");
    driver.remove("e1");
    let b = driver
        .docker
        .run(&mut driver.fixture, "b", "aa", "e2", "192.168.200.2/24");
    b.pings("192.168.200.100");
    drop(router);
}

/// What Docker's networks are on is attached by who comes next, if the attach was not ended.
#[test]
fn an_attach_that_was_cut_off_is_done_anew() {
    let mut driver = Driver::new();
    let router = driver.fixture.vlan_end(200, &["192.168.200.100/24"]);
    driver.create_web();
    driver.serve.kill();
    change_state(&driver.fixture, |state| {
        state["uplinks"]["enp0s8"]["phase"] = json!("adding")
    });

    driver.serve = Watching::start(&driver.fixture);
    driver.serve.says(&["enp0s8: is back, and attached"]);
    let a = driver
        .docker
        .run(&mut driver.fixture, "a", "aa", "e1", "192.168.200.2/24");
    a.pings("192.168.200.100");
    drop(router);
}

/// An answer would be final, but dockerd asks again when the connection ends without one.
#[test]
fn calls_that_wait_while_serve_ends_are_done_or_get_no_answer() {
    let mut driver = Driver::new();
    driver.create_web();
    for _ in 0..4 {
        let lock = File::open(driver.fixture.vnet.state().join("lock")).unwrap();
        let lock = Flock::lock(lock, FlockArg::LockExclusive).unwrap();
        let Driver {
            fixture,
            serve,
            docker,
        } = driver;
        let answers = thread::scope(|scope| {
            let calls = ["e1", "e2", "e3"].map(|id| {
                let call = || docker.ask("Leave", &of(id));
                scope.spawn(call)
            });
            eventually("that all have come", &3, || docker.connections());
            let ending = scope.spawn(|| serve.end());
            thread::sleep(SILENCE);
            drop(lock);
            ending.join().unwrap();
            calls.map(|call| call.join().unwrap())
        });
        for answer in answers.into_iter().flatten() {
            assert_eq!(answer, json!({}));
        }
        let serve = Watching::start(&fixture);
        for id in ["e1", "e2", "e3"] {
            docker.ok("Leave", &of(id));
        }
        driver = Driver {
            fixture,
            serve,
            docker,
        };
    }
}

/// The same before its end was up: what Docker would not say of it any more holds no address.
#[test]
fn a_container_that_ended_before_it_had_begun_is_forgotten() {
    let mut driver = Driver::new();
    driver.create_web();
    driver.hand_out("a", "e1", "192.168.200.2/24");
    driver.serve.kill();
    driver.serve = Watching::start(&driver.fixture);
    // Docker may still move it.
    driver.fixture.shown_endpoint("e1e1e1e1e1e1");
    driver.serve.kill();
    driver.fixture.lab.remove("a");
    driver.serve = Watching::start(&driver.fixture);
    let links = driver.fixture.host().ip("-br link").unwrap();
    assert!(!links.contains("e1e1e1e1e1e1"), "{links}");
    driver.run("b", "e2", "192.168.200.2/24");
}

#[test]
fn a_socket_that_another_has_put_there_stays() {
    let driver = Driver::new();
    let socket = driver.docker.socket().clone();
    fs::remove_file(&socket).unwrap();
    let _other = UnixListener::bind(&socket).unwrap();
    driver.serve.end();
    assert!(socket.exists());
}

/// The user's choice outlives a boot, and an attach that was refused after it.
#[test]
fn after_a_boot_an_uplink_is_attached_as_the_user_had_it() {
    let mut driver = Driver::new();
    driver.fixture.attach();
    driver.create_web();
    driver.serve.kill();
    driver.fixture.forget_boot();
    // An XDP program of somebody else's.
    change_state(&driver.fixture, |state| {
        let uplink = &mut state["uplinks"]["enp0s8"];
        assert_eq!(uplink["device_asked"], true);
        uplink["endpoint_device"] = json!("netkit");
        uplink["ifindex"] = json!(0);
        uplink["phase"] = json!("adding");
    });
    driver.serve = Watching::start(&driver.fixture);
    driver.serve.kill();
    let uplink = &state(&driver.fixture)["uplinks"]["enp0s8"];
    assert_eq!(uplink["device_asked"], true);
    assert_eq!(uplink["endpoint_device"], "netkit");
}

/// From any other than the first command's, everything would look gone.
#[test]
fn a_command_in_another_namespace_after_a_boot_binds_nothing() {
    let mut driver = Driver::new();
    driver.create_web();
    driver
        .docker
        .create_network("bb", &json!({}), "10.9.0.0/24", "");
    driver.serve.kill();
    driver.fixture.forget_boot();
    let wire = driver.fixture.wire();
    let mut elsewhere = driver
        .fixture
        .vnet
        .command_in(&wire, "network remove --force bbbbbbbbbbbb");
    let output = elsewhere.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    driver.serve = Watching::start(&driver.fixture);
    driver.serve.says(&["enp0s8: is back, and attached"]);
}

/// Nobody but Docker has asked for it, so nobody would say `attach` to go over to a newer vnet.
#[test]
fn what_was_attached_for_docker_goes_over_to_a_newer_vnet_by_itself() {
    let mut driver = Driver::new();
    let router = driver.fixture.vlan_end(200, &["192.168.200.100/24"]);
    driver.create_web();
    let a = driver.run("a", "e1", "192.168.200.2/24");
    for field in ["programs", "layout"] {
        driver.serve.kill();
        change_state(&driver.fixture, |state| {
            state["uplinks"]["enp0s8"][field] = match field {
                "layout" => json!(1),
                _ => json!("another"),
            };
        });
        driver.serve = Watching::start(&driver.fixture);
        driver
            .serve
            .says(&["enp0s8: has the programs of this vnet now"]);
        a.pings("192.168.200.100");
    }
    drop(router);
}

/// It has no program, which its uplink would bring.
#[test]
fn a_container_that_came_while_its_parent_was_away_stays_without_a_carrier_until_that_is_back() {
    let mut driver = Driver::new();
    driver.create_web();
    let host = driver.fixture.host();
    host.ip("link del enp0s8").unwrap();
    driver.hand_out("a", "e1", "192.168.200.2/24");
    driver.serve.end();
    driver.fixture.ok("show");
    let link = link(&host, "vne1e1e1e1e1e1");
    let flags = link["flags"].as_array().unwrap();
    assert!(!flags.contains(&json!("UP")), "{link}");
}
