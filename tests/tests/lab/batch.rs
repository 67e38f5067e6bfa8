//! Many commands in one process.

use std::{fs, io::Write as _};

use serde_json::Value;
use tempfile::NamedTempFile;
use tests::{Fixture, link};
use vnet_user::{
    lab::probe,
    link::{Netlink, Netns},
};

use super::many::{self, EXPEDITED};

fn file(text: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

/// The arguments that run these lines.
fn batch(file: &NamedTempFile) -> String {
    format!("batch {}", file.path().display())
}

fn names(fixture: &Fixture, list: &str, field: &str) -> Vec<String> {
    let shown = fixture.ok(&format!("{list} list --json"));
    let shown: Value = serde_json::from_str(&shown).unwrap();
    let items = shown.as_array().unwrap().iter();
    items
        .map(|item| item[field].as_str().unwrap().to_owned())
        .collect()
}

/// How many interfaces the host has; without endpoints they are `lo` and the uplink.
fn links(fixture: &Fixture) -> usize {
    fixture.host().ip("-o link show").unwrap().lines().count()
}

#[test]
fn a_batch_sets_up_networks_and_endpoints_and_takes_them_away() {
    let mut fixture = Fixture::attached();
    let _router = fixture.vlan_end(200, &["192.168.200.100/24"]);
    let lines = many::lines(&mut fixture);
    let before = fs::read_to_string(EXPEDITED).unwrap();
    assert_eq!(before, "0\n", "this machine must not hurry by itself");
    let printed = fixture.ok(&batch(&file(&lines)));
    assert_eq!(fs::read_to_string(EXPEDITED).unwrap(), before);

    let printed: Vec<&str> = printed.lines().collect();
    assert_eq!(printed[..3], ["web", "beside", "beside"]);
    assert_eq!(printed.len(), 3 + many::ENDPOINTS);
    assert!(
        printed[3].contains(" e0 02:42:c0:a8:c8:0a 192.168.200.10/24 in "),
        "{printed:?}"
    );
    let many = fixture.lab.get("many").unwrap();
    for (index, target) in [(0, "192.168.200.100"), (1, "192.168.200.10")] {
        let answer = probe::ping(many, target.parse().unwrap(), tests::PATIENCE).unwrap();
        assert!(
            answer.is_some(),
            "{target} does not answer endpoint {index}"
        );
    }
    assert_eq!(
        fixture.show()["uplinks"][0]["networks"][0]["mode"],
        "private"
    );

    let ids = names(&fixture, "endpoint", "id");
    assert_eq!(ids.len(), many::ENDPOINTS);
    let remove: Vec<_> = ids
        .iter()
        .map(|id| format!("endpoint remove {id}\n"))
        .collect();
    let remove = remove.concat() + "network remove web\nnetwork remove beside\n";
    fixture.ok(&batch(&file(&remove)));
    assert!(names(&fixture, "network", "name").is_empty());
    assert_eq!(links(&fixture), 2);
    assert_eq!(fs::read_to_string(EXPEDITED).unwrap(), before);
}

#[test]
fn what_is_refused_leaves_nothing_of_its_step_and_all_before_it() {
    let mut fixture = Fixture::attached();
    fixture.lab.add("many").unwrap();
    let netns = fixture.lab.get("many").unwrap().name().to_owned();
    fixture.network("web", "--vlan 200 --subnet 192.168.200.0/24");
    let create =
        |name: &str, vlan: u16| format!("network create {name} --parent enp0s8 --vlan {vlan}\n");
    let add = |ifname: &str, options: &str| {
        format!("endpoint add --network web --netns {netns} --ifname {ifname} {options}\n")
    };
    let cases = [
        // Not understood: nothing at all is done.
        (
            create("a", 1) + "network create b\n",
            &["line 2", "--parent"][..],
        ),
        (create("a", 1) + "show\n", &["line 2", "show"]),
        // Of networks, and of endpoints.
        (
            create("a", 1) + &create("web", 2) + &create("c", 3),
            &["line 2", "\"web\"", "1 to 3"],
        ),
        (
            "\n".to_owned() + &add("a", "--ip 192.168.200.2") + &add("b", "--ip 192.168.200.2"),
            &["line 3", "192.168.200.2", "2 to 3"],
        ),
        // The kernel refuses the second of the same name.
        (add("a", "") + &add("a", ""), &["line 2", "\"a\"", "1 to 2"]),
        (
            create("t", 1) + "network create t --parent enp0s8 --vlans 2-3\n",
            &["line 2", "{vlan}"],
        ),
        (
            create("t", 1) + "endpoint sources 3fa2 flush 02:00:00:00:00:01\n",
            &["line 2", "flush"],
        ),
        (
            "network remove web\nnetwork remove web\n".to_owned(),
            &["line 2", "\"web\"", "1 to 2"],
        ),
    ];
    for (text, named) in cases {
        let file = file(&text);
        fixture.refused(&batch(&file), named);
    }
    // Taken back by the batch itself, not by the next command.
    let twice = file(&(add("a", "") + &add("a", "")));
    assert!(!fixture.vnet.run(&batch(&twice)).unwrap().ok());
    assert_eq!(links(&fixture), 2);
    let text = create("before", 10)
        + "network set before --mode vepa\n"
        + &create("web", 11)
        + &create("behind", 12);
    let outcome = fixture.vnet.run(&batch(&file(&text))).unwrap();
    assert!(outcome.stderr.starts_with("error: line 3: "), "{outcome:?}");
    assert_eq!(names(&fixture, "network", "name"), ["before", "web"]);
    assert_eq!(names(&fixture, "network", "mode"), ["vepa", "bridge"]);
    fixture.refused("batch /nonexistent", &["/nonexistent"]);
}

#[test]
fn a_range_of_vlans_is_a_network_each() {
    let fixture = Fixture::attached();
    let create = "network create t{vlan} --parent enp0s8 --subnet 10.0.0.0/24";
    assert_eq!(
        fixture.ok(&format!("{create} --vlans 9-11")),
        "t9\nt10\nt11\n"
    );
    let json = fixture.ok("network create j{vlan} --parent enp0s8 --vlans 9-10 --json");
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!([&json[0]["name"], &json[1]["name"]], ["j9", "j10"]);
    fixture.ok("batch /dev/null");
    let shown = fixture.ok("network list");
    for (name, vlan) in [("t9", "VLAN 9"), ("t10", "VLAN 10"), ("t11", "VLAN 11")] {
        let line = shown.lines().find(|line| line.starts_with(name)).unwrap();
        assert!(line.contains(vlan), "{line}");
    }
    let all = fixture.ok("network create all{vlan} --parent enp0s8 --vlans 1-4094 --outer-vlan 5");
    assert_eq!(all.lines().count(), 4094);
    fixture.refused(&format!("{create} --vlans 11-12"), &["t11"]);
    fixture.refused(
        "network create t --parent enp0s8 --vlans 12-13",
        &["\"t\"", "{vlan}"],
    );
    fixture.refused(
        "network create t{vlan} --parent enp0s8.12 --vlans 12-13",
        &["12", "--vlans"],
    );
    fixture.refused(
        "network create t{vlan} --parent enp0s8 --vlan 12",
        &["t{vlan}"],
    );
}

#[test]
fn links_are_deleted_together_and_no_other_goes() {
    let fixture = Fixture::new();
    let host = fixture.host();
    for name in ["one", "two", "three"] {
        let add = format!("link add {name} type veth peer name {name}-peer");
        host.ip(&add).unwrap();
    }
    let index = |name| u32::try_from(link(&host, name)["ifindex"].as_u64().unwrap()).unwrap();
    let indices = ["one", "two"].map(index);
    let netns = Netns::open(host.name()).unwrap();
    // The second time they are gone, which is fine.
    for _ in 0..2 {
        netns
            .run(|| async { Netlink::open()?.delete_all(&indices).await })
            .unwrap();
        // `lo`, the uplink, and a pair.
        assert_eq!(links(&fixture), 4);
        assert_eq!(link(&host, "three")["group"], "default");
    }
}
