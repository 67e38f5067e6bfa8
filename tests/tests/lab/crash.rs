//! A command that is killed half-way: the next one repairs or completes it.

use std::{
    collections::BTreeSet,
    process::Child,
    time::{Duration, Instant},
};

use tests::{Fixture, attach_arguments};
use vnet_user::lab::probe;

/// Moments at which a command is killed, from its start to its usual end. Fewer where a command takes long.
fn moments(usual: Duration) -> Vec<Duration> {
    let count = if usual > Duration::from_millis(300) {
        5
    } else {
        16
    };
    (0..count).map(|step| usual * step / (count - 1)).collect()
}

/// Kills it by SIGKILL after a while.
fn kill_after(mut child: Child, delay: Duration) {
    std::thread::sleep(delay);
    // It may have ended by itself just before.
    let _ = child.kill();
    child.wait().unwrap();
}

/// Checks that each link on the host is one that `show` knows, and the other way round; and the same for the FDB.
fn check_tidy(fixture: &Fixture, when: &str) {
    let shown = fixture.show();
    let endpoints: Vec<_> = shown["uplinks"]
        .as_array()
        .into_iter()
        .flatten()
        .flat_map(|uplink| uplink["endpoints"].as_array().cloned().unwrap_or_default())
        .collect();
    let known: BTreeSet<String> = endpoints
        .iter()
        .map(|endpoint| endpoint["host_ifname"].as_str().unwrap().to_owned())
        .chain(["lo".to_owned(), "enp0s8".to_owned()])
        .collect();
    let links: serde_json::Value =
        serde_json::from_str(&fixture.host().ip("-j link show").unwrap()).unwrap();
    let there: BTreeSet<String> = links
        .as_array()
        .unwrap()
        .iter()
        .map(|link| link["ifname"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(
        there, known,
        "{when}: links on the host, and what vnet knows of them"
    );
    let fdb = fixture.vnet.pins().join("enp0s8/fdb");
    if fdb.exists() {
        let dump = fixture
            .host()
            .sh(&format!("bpftool -j map dump pinned {}", fdb.display()))
            .unwrap();
        let dump: serde_json::Value = serde_json::from_str(&dump).unwrap();
        assert_eq!(
            dump.as_array().map_or(0, Vec::len),
            endpoints.len(),
            "{when}: FDB {dump}"
        );
    }
}

#[test]
fn an_endpoint_add_that_is_killed_leaves_nothing_that_the_next_does_not_repair() {
    let mut fixture = Fixture::attached();
    fixture.network("web", "--vlan 200 --subnet 192.168.200.0/24");
    let begun = Instant::now();
    let first = fixture.container("first", "web", "--ip 192.168.200.100");
    let usual = begun.elapsed();
    for (round, delay) in moments(usual).into_iter().enumerate() {
        let role = format!("victim{round}");
        let netns = fixture.lab.add(&role).unwrap().name().to_owned();
        let add = format!(
            "endpoint add --network web --netns {netns} --ip 192.168.200.2 --mac 02:00:00:00:00:02"
        );
        kill_after(fixture.vnet.command(&add).spawn().unwrap(), delay);
        let when = format!("endpoint add, killed after {delay:?}");

        // The next command is the same once more. Either the killed one was complete, and this one is told that the name,
        // address or MAC is taken; or it does what the killed one did not.
        let again = fixture.vnet.run(&add).unwrap();
        assert!(again.ok() || again.code == Some(1), "{when}: {again:?}");
        check_tidy(&fixture, &when);
        let shown = fixture.ok("endpoint list --json");
        assert!(
            shown.contains("02:00:00:00:00:02"),
            "{when}: {again:?}, but there is no endpoint: {shown}"
        );
        let address = "192.168.200.2".parse().unwrap();
        let reached = probe::ping(&first.netns, address, tests::PATIENCE).unwrap();
        assert!(
            reached.is_some(),
            "{when}: {again:?}, but it does not answer"
        );

        let shown = fixture.show();
        let id = shown["uplinks"][0]["endpoints"]
            .as_array()
            .unwrap()
            .iter()
            .find(|endpoint| endpoint["mac"] == "02:00:00:00:00:02")
            .map(|endpoint| endpoint["id"].as_str().unwrap().to_owned())
            .unwrap();
        fixture.ok(&format!("endpoint remove {id}"));
        check_tidy(&fixture, &when);
        fixture.lab.remove(&role);
    }
}

#[test]
fn an_endpoint_remove_that_is_killed_is_completed_by_the_next() {
    let mut fixture = Fixture::attached();
    fixture.network("web", "--vlan 200 --subnet 192.168.200.0/24");
    let probe = fixture.container("probe", "web", "--ip 192.168.200.100");
    let begun = Instant::now();
    fixture.ok(&format!("endpoint remove {}", probe.id));
    for (round, delay) in moments(begun.elapsed()).into_iter().enumerate() {
        let container = fixture.container(&format!("victim{round}"), "web", "--ip 192.168.200.2");
        let remove = format!("endpoint remove {}", container.id);
        kill_after(fixture.vnet.command(&remove).spawn().unwrap(), delay);
        let again = fixture.vnet.run(&remove).unwrap();
        assert!(
            again.ok() || again.stderr.contains(&container.id),
            "{again:?}"
        );
        check_tidy(
            &fixture,
            &format!("endpoint remove, killed after {delay:?}"),
        );
        assert!(container.netns.ip("link show dev eth0").is_err());
        fixture.lab.remove(&format!("victim{round}"));
    }
}

#[test]
fn an_attach_that_is_killed_is_completed_by_the_next() {
    let fixture = Fixture::new();
    let begun = Instant::now();
    fixture.attach();
    let usual = begun.elapsed();
    fixture.ok("detach --iface enp0s8");
    for delay in moments(usual) {
        kill_after(
            fixture
                .vnet
                .command(&attach_arguments("enp0s8"))
                .spawn()
                .unwrap(),
            delay,
        );
        fixture.attach();
        check_tidy(&fixture, &format!("attach, killed after {delay:?}"));
        fixture.ok("detach --iface enp0s8");
        assert!(!fixture.vnet.pins().join("enp0s8").exists());
        let qdiscs = fixture.host().sh("tc qdisc show dev enp0s8").unwrap();
        assert!(
            !qdiscs.contains("clsact"),
            "killed after {delay:?}: {qdiscs}"
        );
    }
}

#[test]
fn a_network_create_that_is_killed_happened_or_did_not() {
    let fixture = Fixture::attached();
    let begun = Instant::now();
    fixture.network("first", "--vlan 100 --subnet 10.9.0.0/24");
    for delay in moments(begun.elapsed()) {
        let create = "network create web --parent enp0s8 --vlan 200 --subnet 192.168.200.0/24";
        kill_after(fixture.vnet.command(create).spawn().unwrap(), delay);
        let again = fixture.vnet.run(create).unwrap();
        assert!(
            again.ok() || again.stderr.contains("web"),
            "killed after {delay:?}: {again:?}"
        );
        fixture.ok("network inspect web --json");
        fixture.ok("network remove web");
    }
}

#[test]
fn a_container_that_is_gone_is_cleaned_up_after() {
    let mut fixture = Fixture::attached();
    fixture.network("web", "--vlan 200 --subnet 192.168.200.0/24");
    let id = fixture.container("a", "web", "--ip 192.168.200.2").id;
    fixture.lab.remove("a");
    // Either the next command finds that there is no interface left to remove, or one before it has cleaned up already.
    let removed = fixture.vnet.run(&format!("endpoint remove {id}")).unwrap();
    assert!(removed.ok() || removed.stderr.contains(&id), "{removed:?}");
    check_tidy(&fixture, "a container that is gone");
    // Its address is free again, and so is the MAC that goes with it.
    fixture.container("b", "web", "--ip 192.168.200.2");
    let c = fixture.container("c", "web", "");
    let address = "192.168.200.2".parse().unwrap();
    assert!(
        probe::ping(&c.netns, address, tests::PATIENCE)
            .unwrap()
            .is_some()
    );
}
