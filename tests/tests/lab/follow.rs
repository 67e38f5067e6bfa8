//! What is changed on an uplink from outside is followed by the next command.

use tests::{Fixture, check_refused, link};
use vnet_user::lab::Outcome;

#[test]
fn a_renamed_uplink_keeps_its_datapath_and_goes_by_its_new_name() {
    let mut fixture = Fixture::attached();
    let _router = fixture.vlan_end(200, &["192.168.200.100/24"]);
    fixture.network("web", "--vlan 200 --subnet 192.168.200.0/24");
    let a = fixture.container("a", "web", "--ip 192.168.200.2");
    let host = fixture.host();
    for change in ["down", "name lan0", "up"] {
        let name = if change == "up" { "lan0" } else { "enp0s8" };
        host.ip(&format!("link set {name} {change}")).unwrap();
    }
    a.pings("192.168.200.100");

    let outcome = fixture.vnet.run("show --json").unwrap();
    assert!(
        outcome.stderr.contains("enp0s8: is called lan0 now"),
        "{outcome:?}"
    );
    let shown = fixture.show();
    assert_eq!(shown["uplinks"][0]["name"], "lan0");
    assert_eq!(shown["uplinks"][0]["networks"][0]["parent"], "lan0");
    assert!(fixture.vnet.pins().join("lan0/fdb").exists());
    let b = fixture.container("b", "web", "--ip 192.168.200.3");
    b.pings("192.168.200.2");
    b.pings("192.168.200.100");
    fixture.ok("detach --iface lan0 --force");
    assert!(!fixture.vnet.pins().join("lan0").exists());
    assert!(!fixture.vnet.pins().join("enp0s8").exists());
    let qdiscs = host.sh("tc qdisc show dev lan0").unwrap();
    assert!(!qdiscs.contains("clsact"), "{qdiscs}");
}

#[test]
fn an_uplink_may_be_called_by_its_alternative_names() {
    let fixture = Fixture::new();
    let names = ["trunk", "the-trunk-port-in-rack-seven"];
    for name in names {
        fixture
            .host()
            .ip(&format!("link property add dev enp0s8 altname {name}"))
            .unwrap();
    }
    for name in names {
        let said = fixture.ok(&format!("attach --iface {name}"));
        assert!(said.starts_with("enp0s8: attached ("), "{said}");
        fixture.ok(&format!(
            "network create web --parent {name}.200 --subnet 10.9.0.0/24"
        ));
        assert_eq!(
            fixture.show()["uplinks"][0]["networks"][0]["parent"],
            "enp0s8"
        );
        fixture.ok("network remove web");
        fixture.ok(&format!("show --iface {name}"));
        fixture.ok(&format!("detach --iface {name}"));
    }
}

#[test]
fn endpoints_follow_the_uplinks_sizes() {
    let mut fixture = Fixture::attached();
    let host = fixture.host();
    fixture.network("web", "--vlan 200 --subnet 192.168.200.0/24");
    fixture.network("small", "--vlan 201 --subnet 192.168.201.0/24 --mtu 1450");
    let a = fixture.container("a", "web", "");
    fixture.network(
        "inner",
        "--vlan 60 --outer-vlan 100 --subnet 192.168.60.0/24",
    );
    let b = fixture.container("b", "small", "");
    let c = fixture.container("c", "inner", "");
    let mtus = || [&a, &b, &c].map(|c| link(&c.netns, "eth0")["mtu"].as_u64().unwrap());
    assert_eq!(mtus(), [1500, 1450, 1496]);
    for (uplink, expected) in [(1400, [1400, 1400, 1396]), (9000, [9000, 1450, 8996])] {
        host.ip(&format!("link set enp0s8 mtu {uplink} gso_max_size 32768"))
            .unwrap();
        let outcome = fixture.vnet.run("show").unwrap();
        let said = format!("enp0s8: its MTU is {uplink}, and 3 endpoints follow");
        assert!(
            outcome.ok() && outcome.stderr.contains(&said),
            "{outcome:?}"
        );
        assert_eq!(mtus(), expected);
        assert_eq!(link(&a.netns, "eth0")["gso_max_size"], 32768);
        let host_side = fixture.host_ifname(&a.id);
        assert_eq!(link(&host, &host_side)["mtu"], uplink);
    }
    let quiet = fixture.vnet.run("show").unwrap();
    assert_eq!(quiet.stderr, "", "nothing to follow");
    // What a container has set for itself is its own.
    a.netns.ip("link set eth0 mtu 1300").unwrap();
    fixture.ok("show");
    assert_eq!(mtus(), [1300, 1450, 8996]);
}

#[test]
fn a_namespace_is_found_again_when_the_process_it_was_named_by_is_gone() {
    let mut fixture = Fixture::attached();
    fixture.network("web", "--vlan 200 --subnet 192.168.200.0/24");
    let a = fixture.lab.add("a").unwrap();
    let mut sleeper = a.command("sleep").arg("600").spawn().unwrap();
    fixture.ok(&format!(
        "endpoint add --network web --netns {}",
        sleeper.id()
    ));
    sleeper.kill().unwrap();
    sleeper.wait().unwrap();
    fixture.host().ip("link set enp0s8 mtu 1400").unwrap();
    fixture.ok("show");
    let a = fixture.lab.get("a").unwrap();
    assert_eq!(link(a, "eth0")["mtu"], 1400);
}

#[test]
fn a_command_from_another_namespace_is_refused_and_changes_nothing() {
    let mut fixture = Fixture::attached();
    fixture.network("web", "--vlan 200 --subnet 192.168.200.0/24");
    let a = fixture.container("a", "web", "--ip 192.168.200.2");
    fixture.container("b", "web", "--ip 192.168.200.3");
    let before = fixture.settled();
    for arguments in ["show", "endpoint list", "detach --iface enp0s8 --force"] {
        let mut command = fixture.vnet.command_in(&fixture.wire(), arguments);
        let outcome = Outcome::from_output(arguments.to_owned(), &command.output().unwrap());
        check_refused(&outcome);
        assert!(outcome.stderr.contains("namespace"), "{outcome:?}");
    }
    assert_eq!(fixture.settled(), before);
    a.pings("192.168.200.3");
}
