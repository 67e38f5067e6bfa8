//! Looking inside: by vnet's own commands, and by bpftool.

use std::fs;

use serde_json::Value;
use tests::{Fixture, PATIENCE, attach_arguments, expected};
use vnet_user::lab::probe;

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn the_commands_tell_who_is_where() {
    let mut fixture = Fixture::attached();
    let _end = fixture.vlan_end(200, &["192.168.200.100/24"]);
    fixture.network(
        "web",
        "--vlan 200 --subnet 192.168.200.0/24 --gateway 192.168.200.100",
    );
    let a = fixture.container("a", "web", "--ip 192.168.200.2");

    let endpoint = fixture.shown_endpoint(&a.id);
    assert_eq!(endpoint["network"], "web");
    assert_eq!(endpoint["vlan"], 200);
    assert_eq!(endpoint["mac"], a.mac.to_string());
    assert_eq!(
        endpoint["addresses"],
        serde_json::json!(["192.168.200.2/24"])
    );
    assert_eq!(endpoint["ifname"], "eth0");
    let host_side = endpoint["host_ifname"].as_str().unwrap().to_owned();
    fixture
        .host()
        .ip(&format!("link show dev {host_side}"))
        .unwrap();

    for listing in [
        "network list",
        "network inspect web",
        "endpoint list",
        "endpoint list --network web",
    ] {
        let said = fixture.ok(&format!("{listing} --json"));
        json(&said);
        assert!(said.contains("web"), "{listing}: {said}");
        assert!(fixture.ok(listing).contains("web"), "{listing}, for people");
    }
    let inspected = fixture.ok(&format!("endpoint inspect {} --json", a.id));
    json(&inspected);
    assert!(inspected.contains(&a.mac.to_string()), "{inspected}");

    // Counters move with the traffic, each in its direction.
    let gateway = "192.168.200.100".parse().unwrap();
    assert!(probe::ping(&a.netns, gateway, PATIENCE).unwrap().is_some());
    let after = fixture.shown_endpoint(&a.id);
    for counter in ["rx_packets", "rx_bytes", "tx_packets", "tx_bytes"] {
        let (before, after) = (
            endpoint[counter].as_u64().unwrap(),
            after[counter].as_u64().unwrap(),
        );
        assert!(after > before, "{counter} stays {before}");
    }

    fixture.ok(&format!("endpoint remove {}", a.id));
    assert!(
        fixture
            .host()
            .ip(&format!("link show dev {host_side}"))
            .is_err()
    );
    assert!(a.netns.ip("link show dev eth0").is_err());
    fixture.ok("network remove web");
    assert!(!fixture.ok("network list --json").contains("web"));
}

#[test]
fn every_verb_says_what_it_did_as_json_too() {
    let mut fixture = Fixture::new();
    let said =
        |fixture: &Fixture, arguments: &str| json(&fixture.ok(&format!("{arguments} --json")));
    let attach = attach_arguments("enp0s8");
    let attached = said(&fixture, &attach);
    assert_eq!(
        (&attached["uplink"], &attached["result"]),
        (&"enp0s8".into(), &"attached".into())
    );
    assert_eq!(said(&fixture, &attach)["result"], "unchanged");
    let create = "network create web --parent enp0s8.200 --subnet 192.168.200.0/24";
    let created = said(&fixture, create);
    assert_eq!(
        (&created["name"], &created["vlan"]),
        (&"web".into(), &200.into())
    );
    let netns = fixture.lab.add("a").unwrap().name().to_owned();
    let add = format!("endpoint add --network web --netns {netns} --ip 192.168.200.2");
    let added = said(&fixture, &add);
    assert_eq!(added["addresses"], serde_json::json!(["192.168.200.2/24"]));
    let id = added["id"].as_str().unwrap();
    let removed = said(&fixture, &format!("endpoint remove {}", &id[..6]));
    assert_eq!(removed["id"], id);
    let detached = said(&fixture, "detach --iface enp0s8");
    assert_eq!(detached["networks"], serde_json::json!(["web"]));
    assert_eq!(said(&fixture, "network remove web")["name"], "web");
}

#[test]
fn bpftool_shows_the_forwarding_database_with_named_fields() {
    let mut fixture = Fixture::attached();
    fixture.network("web", "--vlan 200 --subnet 192.168.200.0/24");
    let a = fixture.container("a", "web", "");
    let fdb = fixture.vnet.pins().join("enp0s8/fdb");
    let shown = fixture
        .host()
        .sh(&format!("bpftool -j map dump pinned {}", fdb.display()))
        .expect("bpftool shows a pinned map (Debian's package bpftool)");
    let dump = json(&shown);
    let entry = dump
        .as_array()
        .into_iter()
        .flatten()
        .find(|entry| entry["formatted"]["key"]["segment"] == 200)
        .unwrap_or_else(|| panic!("no entry of VLAN 200: {shown}"));
    let bytes: Vec<u8> = serde_json::from_value(entry["formatted"]["key"]["mac"].clone()).unwrap();
    assert_eq!(bytes, a.mac.0);
    let host_side = fixture.shown_endpoint(&a.id)["host_ifname"]
        .as_str()
        .unwrap()
        .to_owned();
    let index = tests::link(&fixture.host(), &host_side)["ifindex"].clone();
    assert_eq!(entry["formatted"]["value"]["ifindex"], index);
}

#[test]
fn the_datapath_runs_without_any_process() {
    let mut fixture = Fixture::attached();
    let _end = fixture.vlan_end(200, &["192.168.200.100/24"]);
    fixture.network("web", "--vlan 200 --subnet 192.168.200.0/24");
    let a = fixture.container("a", "web", "");
    let program = fs::canonicalize(expected::binary()).unwrap();
    let running = fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter(|process| fs::read_link(process.path().join("exe")).is_ok_and(|exe| exe == program))
        .count();
    assert_eq!(running, 0, "a vnet process is running");
    let gateway = "192.168.200.100".parse().unwrap();
    assert!(probe::ping(&a.netns, gateway, PATIENCE).unwrap().is_some());
}
