//! Calls that are refused, and change nothing.

use std::{
    fs::{self, File},
    os::unix::fs::PermissionsExt as _,
    thread,
};

use nix::fcntl::{Flock, FlockArg};
use serde_json::json;
use tests::{
    caller::{docker_id, network},
    eventually,
};

use super::{Driver, GATEWAY, SUBNET, is_attached, of};

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
        (json!({ "parent": "enp0s8", "help": "" }), "\"help\""),
        (json!({ "parent": "enp0s8", "--mode": "private" }), "mode"),
        (json!({ "parent": "enp0s8", "a\nb": "c" }), "a"),
        (json!("parent=enp0s8"), "options"),
        (json!(["parent"]), "options"),
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

/// Of Docker's ids vnet shows the first twelve digits.
#[test]
fn ids_that_begin_alike_are_refused() {
    let mut driver = Driver::new();
    driver.create_web();
    driver.run("a", "e1", "192.168.200.2/24");
    let other = |digits: &str| format!("{}{}", &docker_id(digits)[..12], "0".repeat(52));
    let mut network = network("aa", &json!({ "parent": "enp0s8" }), "", "");
    network["NetworkID"] = json!(other("aa"));
    let reason = driver.docker.refused("CreateNetwork", &network);
    assert!(reason.contains("aaaaaaaaaaaa"), "{reason}");
    let mut waiting = of("e2");
    waiting["Interface"] = json!({ "Address": "192.168.200.3/24" });
    driver.docker.ok("CreateEndpoint", &waiting);
    let mut endpoint = of("e1");
    endpoint["Interface"] = json!({ "Address": "192.168.200.4/24" });
    // One that has not joined, and one that has.
    for digits in ["e2", "e1"] {
        endpoint["EndpointID"] = json!(other(digits));
        let reason = driver.docker.refused("CreateEndpoint", &endpoint);
        assert!(reason.contains(&digits.repeat(6)), "{reason}");
    }
    // What is not there may be taken away, and that is all that goes.
    driver.docker.ok("Leave", &endpoint);
    driver.docker.ok("DeleteEndpoint", &endpoint);
    driver.docker.ok("DeleteNetwork", &network);
    driver.fixture.shown_endpoint("e1e1e1e1e1e1");

    // Nor may a network take the name of one of the user's.
    driver.fixture.network("bbbbbbbbbbbb", "--vlan 201");
    let options = json!({ "parent": "enp0s8.202" });
    driver
        .docker
        .refused("CreateNetwork", &super::network("bb", &options, "", ""));
    driver.fixture.ok("network remove bbbbbbbbbbbb");
}

#[test]
fn a_network_that_docker_forgot_goes_by_force_alone() {
    let mut driver = Driver::new();
    driver.create_web();
    driver.run("a", "e1", "192.168.200.2/24");
    let netns = driver.fixture.lab.add("b").unwrap().name().to_owned();
    driver.fixture.refused(
        &format!("endpoint add --network aaaaaaaaaaaa --netns {netns}"),
        &["aaaaaaaaaaaa", "docker network connect"],
    );
    driver.fixture.refused(
        "network remove aaaaaaaaaaaa",
        &["docker network rm", "network remove --force aaaaaaaaaaaa"],
    );
    driver.fixture.refused(
        "endpoint remove e1e1e1e1e1e1",
        &["e1e1e1e1e1e1", "docker network disconnect"],
    );
    driver.fixture.ok("network remove --force aaaaaaaaaaaa");
    assert!(driver.knows_nothing(), "{}", driver.state());
}

#[test]
fn an_address_of_the_host_is_named_with_what_keeps_docker_off_it() {
    let driver = Driver::new();
    let host = driver.fixture.host();
    host.ip("addr add 192.168.1.1/24 dev enp0s8").unwrap();
    let options = json!({ "parent": "enp0s8" });
    driver
        .docker
        .create_network("aa", &options, "192.168.1.0/24", "192.168.1.100/24");
    let mut create = of("e1");
    create["Interface"] = json!({ "Address": "192.168.1.1/24" });
    let reason = driver.docker.refused("CreateEndpoint", &create);
    assert!(
        reason.contains("--aux-address host=192.168.1.1"),
        "{reason}"
    );
}

/// dockerd would call it `eth0` all the same.
#[test]
fn a_name_for_the_interface_is_refused() {
    let driver = Driver::new();
    driver.create_web();
    let mut create = of("e1");
    create["Interface"] = json!({ "Address": "192.168.200.2/24" });
    create["Options"] = json!({ "com.docker.network.endpoint.ifname": "lan0" });
    let reason = driver.docker.refused("CreateEndpoint", &create);
    assert!(
        reason.contains("com.docker.network.endpoint.ifname"),
        "{reason}"
    );
    create["Options"] = json!({ "com.docker.network.portmap": [] });
    driver.docker.ok("CreateEndpoint", &create);
}

/// What it is on goes with it.
#[test]
fn no_network_is_made_on_the_private_uplink_of_another() {
    let driver = Driver::new();
    driver.docker.create_network("aa", &json!({}), SUBNET, "");
    for parent in ["viaaaaaaaaaaaa", "vxaaaaaaaaaaaa"] {
        let options = json!({ "parent": parent });
        let asked = network("bb", &options, "10.9.0.0/24", "");
        let reason = driver.docker.refused("CreateNetwork", &asked);
        assert!(reason.contains(parent), "{reason}");
    }
    driver.remove_network("aa");
    assert!(driver.knows_nothing(), "{}", driver.state());
}

/// A dockerd that was killed while it waited will not take back what it never knew of.
#[test]
fn a_call_that_nobody_waits_for_any_more_is_not_done() {
    let driver = Driver::new();
    let lock = File::open(driver.fixture.vnet.state().join("lock")).unwrap();
    let lock = Flock::lock(lock, FlockArg::LockExclusive).unwrap();
    thread::scope(|scope| {
        // The first is being done, and holds up the second.
        let first = scope.spawn(|| {
            driver
                .docker
                .ask("DeleteNetwork", &json!({ "NetworkID": docker_id("cc") }))
        });
        eventually("that it has come", &1, || driver.docker.connections());
        let options = json!({ "parent": "enp0s8.200" });
        driver
            .docker
            .abandon("CreateNetwork", &network("aa", &options, "", ""));
        drop(lock);
        assert_eq!(first.join().unwrap(), Some(json!({})));
    });
    driver.docker.ok("GetCapabilities", &json!({}));
    assert!(driver.knows_nothing(), "{}", driver.state());
}
