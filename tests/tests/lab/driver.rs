//! Docker's network driver: the calls that dockerd makes, and what stays of them.

mod refusals;
mod restarts;

use std::{fs, path::PathBuf, thread, time::Duration};

use serde_json::{Value, json};
use tests::{
    Container, Fixture, PATIENCE, Watching,
    caller::{Caller, docker_id, network},
    expected, hear_only, mac_of,
};
use vnet_user::lab::{ETH_P_EXPERIMENT, EthernetFrame, Mac, Netns, RawSocket};

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

    /// As [`Driver::run`], up to where dockerd would move the interface.
    fn hand_out(&mut self, role: &str, id: &str, address: &str) -> Netns {
        let netns = Netns::clone(self.fixture.lab.add(role).unwrap());
        let mut create = of(id);
        create["Interface"] = json!({ "Address": address });
        self.docker.ok("CreateEndpoint", &create);
        let mut join = of(id);
        join["SandboxKey"] = json!(netns.path());
        self.docker.ok("Join", &join);
        netns
    }

    /// The driver after a call at which it was killed, so long after the call came, and which came again then.
    fn killed_at(self, method: &str, body: &Value, delay: Duration) -> Self {
        let Self {
            fixture,
            serve,
            docker,
        } = self;
        thread::scope(|scope| {
            scope.spawn(|| docker.ask(method, body));
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

    /// `docker rm` of a container of VLAN 200.
    fn remove(&self, id: &str) {
        self.docker.ok("Leave", &of(id));
        self.docker.ok("DeleteEndpoint", &of(id));
    }

    /// `docker network rm`.
    fn remove_network(&self, id: &str) {
        let network = json!({ "NetworkID": docker_id(id) });
        self.docker.ok("DeleteNetwork", &network);
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
        state(&self.fixture)
    }
}

fn state(fixture: &Fixture) -> Value {
    let state = fs::read_to_string(state_path(fixture)).unwrap_or_default();
    serde_json::from_str(&state).unwrap_or_default()
}

/// Lets vnet know something else, while nobody works.
fn change_state(fixture: &Fixture, change: impl FnOnce(&mut Value)) {
    let mut state = state(fixture);
    change(&mut state);
    fs::write(state_path(fixture), state.to_string()).unwrap();
}

fn state_path(fixture: &Fixture) -> PathBuf {
    fixture.vnet.state().join("state.json")
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
    driver.remove("e1");
    b.pings("192.168.200.100");
    driver.remove("e2");
    driver.remove_network("aa");
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
    driver.remove_network("aa");
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
    (0..2).for_each(|_| driver.remove("e1"));
    (0..2).for_each(|_| driver.remove_network("aa"));
    assert!(!is_attached(&driver.fixture));

    // A container whose namespace is gone took its link along.
    driver.create_web();
    let gone = driver.run("b", "e2", "192.168.200.3/24");
    drop(gone);
    driver.fixture.lab.remove("b");
    driver.remove("e2");
    driver.run("c", "e3", "192.168.200.3/24");
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
    // The host's own stack is not in it.
    for device in ["viaaaaaaaaaaaa", "vxaaaaaaaaaaaa"] {
        let host = driver.fixture.host();
        let shown = host.ip(&format!("addr show dev {device}")).unwrap();
        assert!(
            shown.contains("NOARP") && !shown.contains("inet"),
            "{shown}"
        );
    }
    // And somebody who takes it down finds it up again when Docker asks for something.
    driver
        .fixture
        .host()
        .ip("link set vxaaaaaaaaaaaa down")
        .unwrap();
    driver
        .run("c", "e3", "192.168.200.4/24")
        .pings("192.168.200.2");
    driver.remove_network("aa");
    let links = driver.fixture.host().ip("-br link").unwrap();
    assert!(!links.contains("vi") && !links.contains("vx"), "{links}");
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
    let options = json!({ "parent": "blue", "vlan": "201" });
    let reason = driver
        .docker
        .refused("CreateNetwork", &network("cc", &options, "", ""));
    assert!(
        reason.contains("blue") && reason.contains("201"),
        "{reason}"
    );
    ["aa", "bb"].iter().for_each(|id| driver.remove_network(id));
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

/// One of several names of an interface (`ip link property add dev … altname …`).
#[test]
fn a_parent_goes_by_any_of_its_names() {
    let mut driver = Driver::new();
    let router = driver.fixture.vlan_end(200, &["192.168.200.100/24"]);
    let host = driver.fixture.host();
    // A dot in a name that there is is no VLAN.
    host.ip("link property add dev enp0s8 altname trunk0 altname trunk0.7")
        .unwrap();
    for parent in ["trunk0.200", "trunk0", "trunk0.7"] {
        let options = json!({ "parent": parent, "vlan": "200" });
        driver
            .docker
            .create_network("aa", &options, SUBNET, GATEWAY);
        assert!(is_attached(&driver.fixture), "{parent}");
        let container = driver.run(&format!("on-{parent}"), "e1", "192.168.200.2/24");
        container.pings("192.168.200.100");
        driver.remove_network("aa");
    }
    drop(router);
}

/// Programs in the container are attached after Docker has moved it there.
#[test]
fn priorities_are_mapped_for_dockers_containers_too() {
    let mut driver = Driver::new();
    let options =
        json!({ "parent": "enp0s8.200", "ingress-qos-map": "3:5", "egress-qos-map": "6:7" });
    driver
        .docker
        .create_network("aa", &options, SUBNET, GATEWAY);
    let a = driver.run("a", "e1", "192.168.200.2/24");
    let sender = a.raw();
    let wire = driver.fixture.wire_raw();
    sender.set_priority(6).unwrap();
    let frame = EthernetFrame::experiment(Mac::BROADCAST, a.mac, "out");
    sender.send(&frame).unwrap();
    let heard = wire.expect("out", PATIENCE).unwrap();
    assert_eq!(heard.tag.unwrap().priority(), 7);

    let receiver = RawSocket::open_behind_ingress(&a.netns, "eth0", ETH_P_EXPERIMENT).unwrap();
    hear_only(&receiver, 5);
    let from = mac_of(&driver.fixture.wire(), "enp0s8");
    let frame = EthernetFrame::experiment(a.mac, from, "in").tagged(200, 3);
    wire.send(&frame).unwrap();
    receiver.expect("in", PATIENCE).unwrap();
}

#[test]
fn a_network_of_the_user_keeps_what_docker_attached() {
    let driver = Driver::new();
    driver.create_web();
    driver.fixture.network("mine", "--vlan 201");
    driver.remove_network("aa");
    assert!(is_attached(&driver.fixture));
    driver.fixture.ok("network remove mine");
    // Nobody asks for it any more.
    driver.fixture.ok("show");
    assert!(driver.knows_nothing(), "{}", driver.state());
}

/// `GwAllocCheck` is of 2025: no gateway that nobody gave is taken from a subnet.
#[test]
fn calls_without_effect_are_answered_as_engines_expect() {
    let driver = Driver::new();
    let options = json!({ "NetworkID": docker_id("aa"), "Options": {} });
    for (method, answer) in [
        (
            "GetCapabilities",
            json!({ "Scope": "local", "ConnectivityScope": "local", "GwAllocChecker": true }),
        ),
        (
            "GwAllocCheck",
            json!({ "SkipIPv4": true, "SkipIPv6": true }),
        ),
        ("EndpointOperInfo", json!({ "Value": {} })),
        ("DiscoverNew", json!({})),
        ("DiscoverDelete", json!({})),
        ("ProgramExternalConnectivity", json!({})),
        ("RevokeExternalConnectivity", json!({})),
    ] {
        assert_eq!(driver.docker.ok(method, &options), answer, "{method}");
    }
    assert!(driver.knows_nothing());
}
