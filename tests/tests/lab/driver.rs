//! Docker's network driver: the calls that dockerd makes, and what stays of them.

use std::{
    fs,
    os::{
        fd::{AsRawFd as _, RawFd},
        unix::{fs::PermissionsExt as _, net::UnixListener, process::CommandExt as _},
    },
    thread,
    time::Duration,
};

use nix::sys::signal::Signal;

use serde_json::{Value, json};
use tests::{
    Container, Fixture, Foreground, Watching,
    caller::{Caller, docker_id, network},
    eventually, expected, mac_of,
};
use vnet_user::lab::Netns;

/// What `serve` says first where nothing is attached.
const NOTHING: &str = "watching; nothing is attached yet";
const SUBNET: &str = "192.168.200.0/24";
const GATEWAY: &str = "192.168.200.100/24";

/// A driver on a host where nothing was attached.
struct Driver {
    fixture: Fixture,
    serve: Watching,
    docker: Caller,
}

impl Driver {
    fn new() -> Self {
        let fixture = Fixture::new();
        let serve = Watching::start_with(&fixture, NOTHING);
        let docker = Caller::new(&fixture);
        Self {
            fixture,
            serve,
            docker,
        }
    }

    /// VLAN 200 by the parent's name.
    fn create_web(&self) {
        let options = json!({ "parent": "enp0s8.200" });
        self.docker.create_network("aa", &options, SUBNET, GATEWAY);
    }

    fn run(&mut self, role: &str, id: &str, address: &str) -> Container {
        self.docker.run(&mut self.fixture, role, "aa", id, address)
    }

    /// The driver after a call at which it was killed, so long after the call came, and which came again then.
    fn killed_at(self, method: &str, body: &Value, delay: Duration) -> Self {
        let Self {
            fixture,
            serve,
            docker,
        } = self;
        thread::scope(|scope| {
            scope.spawn(|| docker.lost(method, body));
            thread::sleep(delay);
            serve.kill();
        });
        let (serve, _) = Watching::begin(&fixture);
        docker.ok(method, body);
        Self {
            fixture,
            serve,
            docker,
        }
    }

    /// True if vnet knows of nothing.
    fn knows_nothing(&self) -> bool {
        let state = self.state();
        let docker = &state["docker"];
        [
            &state["uplinks"],
            &state["networks"],
            &docker["networks"],
            &docker["endpoints"],
        ]
        .iter()
        .all(|map| map.as_object().is_none_or(|map| map.is_empty()))
    }

    /// All that vnet knows.
    fn state(&self) -> Value {
        let path = self.fixture.vnet.state().join("state.json");
        let state = fs::read_to_string(path).unwrap_or_default();
        serde_json::from_str(&state).unwrap_or_default()
    }
}

fn of(endpoint: &str) -> Value {
    json!({ "NetworkID": docker_id("aa"), "EndpointID": docker_id(endpoint) })
}

fn is_attached(fixture: &Fixture) -> bool {
    fixture.show()["uplinks"][0]["name"] == "enp0s8"
}

#[test]
fn containers_on_a_vlan_reach_each_other_and_the_router() {
    let mut driver = Driver::new();
    let router = driver.fixture.vlan_end(200, &["192.168.200.100/24"]);
    driver.create_web();
    let a = driver.run("a", "e1", "192.168.200.2/24");
    let b = driver.run("b", "e2", "192.168.200.3/24");
    // Of an address that nobody gave, as Docker makes it.
    assert_eq!(a.mac.to_string(), "02:42:c0:a8:c8:02");
    a.pings("192.168.200.3");
    b.pings("192.168.200.100");
    let links = driver.fixture.host().ip("-br link").unwrap();
    assert!(!links.contains("enp0s8.200"), "{links}");

    // The user's commands show them, and leave them to Docker.
    driver.fixture.refused(
        "network remove aaaaaaaaaaaa",
        &["aaaaaaaaaaaa", "docker network rm"],
    );
    driver.docker.ok("Leave", &of("e1"));
    driver.docker.ok("DeleteEndpoint", &of("e1"));
    b.pings("192.168.200.100");
    driver.docker.ok("Leave", &of("e2"));
    driver.docker.ok("DeleteEndpoint", &of("e2"));
    driver
        .docker
        .ok("DeleteNetwork", &json!({ "NetworkID": docker_id("aa") }));
    // It was attached for Docker alone.
    assert!(!is_attached(&driver.fixture));
    let links = driver.fixture.host().ip("-br link").unwrap();
    assert!(!links.contains("vn"), "{links}");
    drop(router);
}

#[test]
fn what_the_user_attached_stays_attached() {
    let mut driver = Driver::new();
    driver.fixture.attach();
    driver.create_web();
    driver.run("a", "e1", "192.168.200.2/24");
    // With an endpoint left, as after a `docker network rm` that dockerd forced.
    driver
        .docker
        .ok("DeleteNetwork", &json!({ "NetworkID": docker_id("aa") }));
    assert!(is_attached(&driver.fixture));
    assert_eq!(driver.fixture.ok("endpoint list --json").trim(), "[]");
    let state = driver.state();
    assert_eq!(state["docker"], json!({ "networks": {}, "endpoints": {} }));
}

#[test]
fn a_call_that_comes_again_is_answered_again_and_what_is_gone_may_be_taken_away() {
    let mut driver = Driver::new();
    driver.create_web();
    driver.create_web();
    let mut create = of("e1");
    create["Interface"] = json!({ "Address": "192.168.200.2/24" });
    let first = driver.docker.ok("CreateEndpoint", &create);
    assert_eq!(driver.docker.ok("CreateEndpoint", &create), first);
    let netns = driver.fixture.lab.add("a").unwrap().path();
    let mut join = of("e1");
    join["SandboxKey"] = json!(netns);
    let first = driver.docker.ok("Join", &join);
    assert_eq!(driver.docker.ok("Join", &join), first);
    assert_eq!(
        first,
        json!({
            "InterfaceName": { "SrcName": "vce1e1e1e1e1e1", "DstPrefix": "eth" },
            "Gateway": "192.168.200.100",
            "GatewayIPv6": "",
            "DisableGatewayService": true,
        })
    );
    for _ in 0..2 {
        driver.docker.ok("Leave", &of("e1"));
        driver.docker.ok("DeleteEndpoint", &of("e1"));
    }
    for _ in 0..2 {
        driver
            .docker
            .ok("DeleteNetwork", &json!({ "NetworkID": docker_id("aa") }));
    }
    assert!(!is_attached(&driver.fixture));

    // A container whose namespace is gone took its link along.
    driver.create_web();
    let gone = driver.run("b", "e2", "192.168.200.3/24");
    drop(gone);
    driver.fixture.lab.remove("b");
    driver.docker.ok("Leave", &of("e2"));
    driver.docker.ok("DeleteEndpoint", &of("e2"));
    driver.run("c", "e3", "192.168.200.3/24");
}

#[test]
fn an_endpoint_answers_only_what_was_left_open() {
    let driver = Driver::new();
    driver.create_web();
    let mut create = of("e1");
    create["Interface"] =
        json!({ "Address": "192.168.200.2/24", "MacAddress": "02:00:00:00:00:07" });
    let answer = driver.docker.ok("CreateEndpoint", &create);
    assert_eq!(answer, json!({ "Interface": {} }));
    let mut create = of("e2");
    create["Interface"] = json!({ "Address": "192.168.201.2/24" });
    let reason = driver.docker.refused("CreateEndpoint", &create);
    assert!(
        reason.contains("192.168.201.2") && reason.contains(SUBNET),
        "{reason}"
    );
}

#[test]
fn wrong_options_are_refused_and_nothing_is_changed() {
    let driver = Driver::new();
    for (options, named) in [
        (json!({ "parent": "enp0s8.4095" }), "4095"),
        (json!({ "parent": "enp0s9" }), "enp0s9"),
        (json!({ "parent": "enp0s8", "vlan": "0" }), "vlan"),
        (json!({ "parent": "enp0s8.200", "vlan": "201" }), "201"),
        (
            json!({ "parent": "enp0s8", "macvlan_mode": "bridged" }),
            "bridged",
        ),
        (
            json!({ "parent": "enp0s8", "gaurd": "off" }),
            "\"guard\" was meant",
        ),
        (json!({ "parent": "enp0s8", "mtu": "9001" }), "9001"),
        (json!({ "parent": "enp0s8", "nodst": "true" }), "nodst"),
        (json!({ "parent": "enp0s8", "mtu": 1400 }), "mtu"),
    ] {
        let reason = driver
            .docker
            .refused("CreateNetwork", &network("aa", &options, SUBNET, GATEWAY));
        assert!(reason.contains(named), "{options}: {reason}");
        assert!(!is_attached(&driver.fixture), "{options}");
    }
    let options = json!({ "parent": "enp0s8" });
    for (subnet, gateway, named) in [
        ("192.168.200.0/33", GATEWAY, "/33"),
        (SUBNET, "192.168.200.0/24", "192.168.200.0"),
        (SUBNET, "10.0.0.1/24", "10.0.0.1"),
    ] {
        let reason = driver
            .docker
            .refused("CreateNetwork", &network("aa", &options, subnet, gateway));
        assert!(reason.contains(named), "{subnet} {gateway}: {reason}");
    }
    assert!(driver.knows_nothing());
}

#[test]
fn requests_that_are_none_get_an_error_and_change_nothing() {
    let driver = Driver::new();
    let mode = fs::metadata(driver.docker.socket())
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let id = docker_id("aa");
    let long = format!("{{\"NetworkID\":\"{}\"}}", "a".repeat(2 << 20));
    for (method, body, status) in [
        ("NetworkDriver.Nothing", "{}", 404),
        ("", "", 404),
        ("NetworkDriver.CreateNetwork", "", 400),
        ("NetworkDriver.CreateNetwork", "{", 400),
        ("NetworkDriver.CreateNetwork", "[]", 400),
        ("NetworkDriver.CreateNetwork", "{\"NetworkID\":7}", 400),
        ("NetworkDriver.CreateNetwork", "\u{0}\u{7}", 400),
        ("NetworkDriver.CreateNetwork", long.as_str(), 400),
        ("NetworkDriver.Join", "{}", 400),
        (
            "NetworkDriver.DeleteNetwork",
            "{\"NetworkID\":\"../../etc\"}",
            200,
        ),
        ("NetworkDriver.DeleteNetwork", "{\"NetworkID\":\"\"}", 200),
    ] {
        let (found, answer) = driver.docker.post(method, body);
        let shown: String = body.chars().take(40).collect();
        assert_eq!(found, status, "{method} {shown}: {answer}");
        assert!(answer.contains("Err"), "{method} {shown}: {answer}");
    }
    let (status, _) = driver
        .docker
        .raw(b"GET /Plugin.Activate HTTP/1.1\r\nHost: v\r\nConnection: close\r\n\r\n");
    assert_eq!(status, 400);
    let (status, _) = driver.docker.raw(b"junk\r\n\r\n");
    assert_eq!(status, 400);
    let mut join = of("e1");
    join["SandboxKey"] = json!("/proc/self/ns/net");
    driver.docker.refused("Join", &join);
    let endpoint = json!({ "NetworkID": id, "EndpointID": docker_id("e1"), "Interface": { "Address": "192.168.200.2/24" } });
    let reason = driver.docker.refused("CreateEndpoint", &endpoint);
    assert!(reason.contains("aaaaaaaaaaaa"), "{reason}");
    assert!(driver.knows_nothing());
    // It still answers.
    let (status, answer) = driver.docker.post("Plugin.Activate", "");
    assert_eq!(
        (status, answer.as_str()),
        (200, "{\"Implements\":[\"NetworkDriver\"]}")
    );
}

#[test]
fn a_network_without_a_parent_leads_nowhere() {
    let mut driver = Driver::new();
    driver.docker.create_network("aa", &json!({}), SUBNET, "");
    let a = driver.run("a", "e1", "192.168.200.2/24");
    let b = driver.run("b", "e2", "192.168.200.3/24");
    a.pings("192.168.200.3");
    b.pings("192.168.200.2");
    assert!(!is_attached(&driver.fixture));
    driver
        .docker
        .ok("DeleteNetwork", &json!({ "NetworkID": docker_id("aa") }));
    let links = driver.fixture.host().ip("-br link").unwrap();
    assert!(!links.contains("vi") && !links.contains("vx"), "{links}");
}

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
    let _listener = UnixListener::bind(&socket).unwrap();
    let fd = _listener.as_raw_fd();
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
    let sandbox = driver.fixture.lab.add("a").unwrap().path();
    let mut create = of("e1");
    create["Interface"] = json!({ "Address": "192.168.200.2/24" });
    driver.docker.ok("CreateEndpoint", &create);
    let mut join = of("e1");
    join["SandboxKey"] = json!(sandbox);
    driver.docker.ok("Join", &join);
    let netns = Netns::clone(driver.fixture.lab.get("a").unwrap());
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
    driver
        .docker
        .ok("DeleteNetwork", &json!({ "NetworkID": docker_id("aa") }));
    driver
        .docker
        .ok("DeleteNetwork", &json!({ "NetworkID": docker_id("bb") }));
    assert!(!is_attached(&driver.fixture));
    drop(router);
}

#[test]
fn a_vlan_device_stands_for_its_nic_and_vlan() {
    let driver = Driver::new();
    let host = driver.fixture.host();
    let blue = "link add link enp0s8 name blue type vlan id 200";
    if !expected::has_8021q() {
        // There are none that a user could have made.
        assert!(expected::lacks_kind(&host.ip(blue).unwrap_err()));
        return;
    }
    for step in [
        blue,
        "link add link enp0s8 name service type vlan id 100 protocol 802.1ad",
        "link add link service name red type vlan id 60",
    ] {
        host.ip(step).unwrap();
    }
    for (id, parent) in [("aa", "blue"), ("bb", "red")] {
        let options = json!({ "parent": parent });
        driver.docker.create_network(id, &options, "", "");
    }
    let shown: Value = serde_json::from_str(&driver.fixture.ok("network list --json")).unwrap();
    assert_eq!(
        (&shown[0]["parent"], &shown[0]["vlan"]),
        (&json!("enp0s8"), &json!(200))
    );
    assert_eq!(
        (&shown[1]["parent"], &shown[1]["vlan"]),
        (&json!("enp0s8"), &json!(60))
    );
    assert_eq!(
        shown[1]["outer"],
        json!({ "vlan": 100, "protocol": "802.1ad" })
    );
    let reason = driver.docker.refused(
        "CreateNetwork",
        &network("cc", &json!({ "parent": "service" }), "", ""),
    );
    assert!(reason.contains("service"), "{reason}");
    for id in ["aa", "bb"] {
        driver
            .docker
            .ok("DeleteNetwork", &json!({ "NetworkID": docker_id(id) }));
    }
    // A parent that the user made is never deleted.
    let links = host.ip("-br link").unwrap();
    for name in ["blue", "red", "service", "enp0s8"] {
        assert!(links.contains(name), "{links}");
    }
}

/// RFC 3021: no gateway takes one of them.
#[test]
fn two_containers_have_a_subnet_of_two_addresses() {
    let mut driver = Driver::new();
    driver
        .docker
        .create_network("aa", &json!({}), "192.168.135.0/31", "");
    let a = driver.run("a", "e1", "192.168.135.0/31");
    driver.run("b", "e2", "192.168.135.1/31");
    a.pings("192.168.135.1");
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
        driver.docker.ok("Leave", &of("e1"));
        driver.docker.ok("DeleteEndpoint", &of("e1"));
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
    let path = driver.fixture.vnet.state().join("state.json");
    let mut state: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    state["networks"] = json!({});
    fs::write(&path, state.to_string()).unwrap();
    driver.serve = Watching::start_with(&driver.fixture, NOTHING);
    assert!(driver.knows_nothing(), "{}", driver.state());
}
