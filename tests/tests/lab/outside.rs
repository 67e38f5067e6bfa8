//! What a person, another program or a container does to vnet's own things behind its back.

use std::{fs, net::UdpSocket, os::unix::process::ExitStatusExt as _, process::Stdio};

use tests::{Container, Fixture, SILENCE, expected, link};
use vnet_user::lab::{Lab, LabError, Netns};

/// Two containers on VLAN 200.
fn two() -> (Fixture, [Container; 2]) {
    let mut fixture = Fixture::attached();
    fixture.network("web", "--vlan 200 --subnet 192.168.200.0/24");
    let a = fixture.container("a", "web", "--ip 192.168.200.2");
    let b = fixture.container("b", "web", "--ip 192.168.200.3");
    (fixture, [a, b])
}

#[test]
fn a_datapath_that_lacks_any_pin_is_rebuilt_or_detached() {
    let (fixture, [a, b]) = two();
    let pins = fixture.vnet.pins().join("enp0s8");
    let mut names: Vec<_> = fs::read_dir(&pins)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "programs" && name != "links")
        .collect();
    names.push("programs/from_endpoint".to_owned());
    if expected::hook().as_deref() == Some("tcx") {
        names.push("links/from_uplink".to_owned());
    }
    if expected::is_emulated() {
        // One map stands for all.
        names.retain(|name| name == "fdb" || name.contains('/'));
    }
    for name in &names {
        fs::remove_file(pins.join(name)).unwrap();
        let datapath = fixture.show()["uplinks"][0]["datapath"].clone();
        assert_eq!(datapath, "no_programs", "{name}");
        fixture.ok("endpoint list");
        fixture.attach();
        a.pings("192.168.200.3");
        b.pings("192.168.200.2");
    }
    fs::remove_file(pins.join("reasons")).unwrap();
    fixture.ok("detach --iface enp0s8 --force");
    assert!(!pins.exists());
}

#[test]
fn a_program_that_was_detached_by_hand_is_put_back_by_attach() {
    let (fixture, [a, b]) = two();
    let host = fixture.host();
    let inner = fixture.host_ifname(&a.id);
    let links = fixture.vnet.pins().join("enp0s8/links");
    let detach = |name: &str, interface: &str| {
        let pin = links.join(name);
        if pin.exists() {
            host.sh(&format!("bpftool link detach pinned {}", pin.display()))
        } else {
            host.sh(&format!("tc qdisc del dev {interface} clsact"))
        }
        .unwrap();
    };
    detach("from_uplink", "enp0s8");
    assert_eq!(fixture.show()["uplinks"][0]["datapath"], "no_programs");
    fixture.attach();
    detach(&inner, &inner);
    fixture.attach();
    a.pings("192.168.200.3");
    b.pings("192.168.200.2");
    let _router = fixture.vlan_end(200, &["192.168.200.100/24"]);
    a.pings("192.168.200.100");
}

#[test]
fn an_endpoint_whose_host_side_was_renamed_works_on_and_can_be_removed() {
    let (fixture, [a, _b]) = two();
    let host = fixture.host();
    let inner = fixture.host_ifname(&a.id);
    for change in ["down", "name foo0"] {
        host.ip(&format!("link set {inner} {change}")).unwrap();
    }
    host.ip("link set foo0 up").unwrap();
    fixture.shown_endpoint(&a.id);
    a.pings("192.168.200.3");
    // Its program comes back to it, whatever it is called.
    fixture.vnet.lose_pins().unwrap();
    fixture.attach();
    a.pings("192.168.200.3");
    fixture.ok(&format!("endpoint remove {}", a.id));
    assert!(host.ip("link show dev foo0").is_err());
    assert!(a.netns.ip("link show dev eth0").is_err());
}

/// Whether a datagram that a container sends to an address of the host arrives there.
fn reaches_the_host(fixture: &Fixture, container: &Container) -> bool {
    let host = fixture.host();
    let inner = fixture.host_ifname(&container.id);
    let mac = host.mac_of(&inner).unwrap();
    let server = host
        .run(|| UdpSocket::bind("192.168.200.1:7777").map_err(LabError::io("bind")))
        .unwrap();
    server.set_read_timeout(Some(SILENCE)).unwrap();
    let netns = &container.netns;
    netns
        .ip(&format!(
            "neigh replace 192.168.200.1 lladdr {mac} dev eth0"
        ))
        .unwrap();
    netns
        .run(|| {
            let client = UdpSocket::bind("0.0.0.0:0").map_err(LabError::io("bind"))?;
            // netkit without its program tells the sender of the drop.
            let _ = client.send_to(b"hello", "192.168.200.1:7777");
            Ok(())
        })
        .unwrap();
    server.recv_from(&mut [0; 16]).is_ok()
}

#[test]
fn a_container_does_not_reach_the_hosts_stack_when_its_program_is_gone() {
    let (fixture, [a, _b]) = two();
    fixture
        .host()
        .ip("addr add 192.168.200.1/32 dev lo")
        .unwrap();
    assert!(!reaches_the_host(&fixture, &a), "with its program");
    fixture.vnet.lose_pins().unwrap();
    let inner = fixture.host_ifname(&a.id);
    if expected::hook().as_deref() == Some("clsact") {
        let delete = format!("tc qdisc del dev {inner} clsact");
        fixture.host().sh(&delete).unwrap();
    }
    assert!(!reaches_the_host(&fixture, &a), "without its program");
    // The ears are no deaf ones: a host side that is open lets it in, where it is a veth.
    if expected::endpoint_device().as_deref() == Some("veth") {
        let key = format!("net/ipv4/conf/{inner}/rp_filter");
        fixture.host().sysctl(&key, "0").unwrap();
        fixture
            .host()
            .sysctl("net/ipv4/conf/all/rp_filter", "0")
            .unwrap();
        assert!(reaches_the_host(&fixture, &a), "with an open host side");
    }
}

fn two_uplinks(second: &str) -> Fixture {
    let lab = Lab::new("vnet-test")
        .host("host")
        .host("wire")
        .wire(("host", "enp0s8"), ("wire", "enp0s8"))
        .wire(("host", second), ("wire", second))
        .build()
        .unwrap();
    let fixture = Fixture::with(lab);
    fixture.attach();
    fixture.ok(&format!("attach --iface {second}"));
    fixture
}

#[test]
fn names_that_were_swapped_between_uplinks_are_refused() {
    let fixture = two_uplinks("enp0s9");
    let host = fixture.host();
    for (from, to) in [("enp0s8", "x"), ("enp0s9", "enp0s8"), ("x", "enp0s9")] {
        host.ip(&format!("link set {from} down")).unwrap();
        host.ip(&format!("link set {from} name {to}")).unwrap();
        host.ip(&format!("link set {to} up")).unwrap();
    }
    let outcome = fixture.vnet.run("attach --iface enp0s8").unwrap();
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert!(outcome.stderr.contains("rename"), "{outcome:?}");
    for (from, to) in [("enp0s8", "x"), ("enp0s9", "enp0s8"), ("x", "enp0s9")] {
        host.ip(&format!("link set {from} down")).unwrap();
        host.ip(&format!("link set {from} name {to}")).unwrap();
        host.ip(&format!("link set {to} up")).unwrap();
    }
    assert_eq!(fixture.vnet.run("show").unwrap().stderr, "");
}

#[test]
fn an_uplink_whose_name_is_like_another_ones_keeps_its_own_pins() {
    let fixture = two_uplinks("enp0s8.next");
    fixture.ok("detach --iface enp0s8");
    let datapath = fixture.show()["uplinks"][0].clone();
    assert_eq!(datapath["name"], "enp0s8.next");
    assert_eq!(datapath["datapath"], "running");
}

#[test]
fn the_beginning_of_an_id_must_fit_one_endpoint_also_when_one_has_just_gone() {
    let (mut fixture, [a, b]) = two();
    // Ids are random: let them begin alike.
    let file = fixture.vnet.state().join("state.json");
    let state = fs::read_to_string(&file).unwrap();
    let state = state
        .replace(&a.id, "abcdef000001")
        .replace(&b.id, "abcdef000002");
    fs::write(&file, state).unwrap();
    fixture.lab.remove("a");
    let outcome = fixture.vnet.run("endpoint remove abcdef").unwrap();
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    fixture.shown_endpoint("abcdef000002");
}

#[test]
fn a_reader_that_goes_away_ends_a_command_without_a_panic() {
    let (fixture, _) = two();
    let mut child = fixture
        .vnet
        .command("show")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.signal(), Some(libc::SIGPIPE), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
}

#[test]
fn what_a_command_has_to_say_is_said_also_when_it_fails() {
    let fixture = Fixture::attached();
    let host = fixture.host();
    for change in ["down", "name lan0"] {
        host.ip(&format!("link set enp0s8 {change}")).unwrap();
    }
    let outcome = fixture.vnet.run("network inspect nosuch").unwrap();
    assert!(
        outcome.stderr.contains("enp0s8: is called lan0 now"),
        "{outcome:?}"
    );
    assert!(outcome.stderr.contains("nosuch"), "{outcome:?}");
    let outcome = fixture.vnet.run("attach --iface lan0").unwrap();
    assert!(outcome.stderr.contains("lan0: is down"), "{outcome:?}");
}

#[test]
fn a_container_that_has_ipv6_switched_off_gets_it_for_its_address() {
    let mut fixture = Fixture::attached();
    fixture.network("six", "--vlan 200 --subnet fd00:200::/64");
    let netns = fixture.lab.add("a").unwrap();
    netns.set_duplicate_detection(false).unwrap();
    for scope in ["all", "default"] {
        netns
            .sysctl(&format!("net/ipv6/conf/{scope}/disable_ipv6"), "1")
            .unwrap();
    }
    let a = fixture.endpoint("a", "six", "--ip fd00:200::2");
    let b = fixture.container("b", "six", "--ip fd00:200::3");
    a.pings("fd00:200::3");
    b.pings("fd00:200::2");
}

#[test]
fn the_hosts_own_address_is_given_to_nobody() {
    let mut fixture = Fixture::new();
    fixture
        .host()
        .ip("addr add 192.168.1.1/24 dev enp0s8")
        .unwrap();
    fixture.attach();
    fixture.network("pub", "--subnet 192.168.1.0/24");
    let a = fixture.container("a", "pub", "");
    let addresses = fixture.shown_endpoint(&a.id)["addresses"].clone();
    assert_eq!(addresses, serde_json::json!(["192.168.1.2/24"]));
    let add = format!(
        "endpoint add --network pub --netns {} --ifname eth1 --ip 192.168.1.1",
        a.netns.name()
    );
    fixture.refused(&add, &["192.168.1.1", "host"]);
}

#[test]
fn attach_restores_what_the_nic_must_let_through() {
    let (fixture, _) = two();
    let host = fixture.host();
    let allmulticast = || {
        let flags = link(&host, "enp0s8")["flags"].clone();
        flags.as_array().unwrap().contains(&"ALLMULTI".into())
    };
    assert!(allmulticast());
    host.ip("link set enp0s8 allmulticast off").unwrap();
    fixture.attach();
    assert!(allmulticast());
    fixture.ok("detach --iface enp0s8 --force");
    assert!(!allmulticast());
}

#[test]
fn an_interface_that_its_container_moved_away_is_left_alone() {
    let (mut fixture, [a, _b]) = two();
    let elsewhere = Netns::clone(fixture.lab.add("elsewhere").unwrap());
    a.netns
        .ip(&format!("link set eth0 netns {}", elsewhere.name()))
        .unwrap();
    fixture.host().ip("link set enp0s8 mtu 1400").unwrap();
    let said = fixture.vnet.run("show").unwrap().stderr;
    assert!(said.contains("1400"), "{said}");
    assert_eq!(fixture.vnet.run("show").unwrap().stderr, "");
    assert_eq!(link(&elsewhere, "eth0")["mtu"], 1500);
}

#[test]
fn an_endpoints_own_link_is_no_uplink() {
    let (fixture, [a, _b]) = two();
    let inner = fixture.host_ifname(&a.id);
    fixture.refused(&format!("attach --iface {inner}"), &[&inner, "web"]);
}

/// A macvlan's own filter takes no entries (`macvlan_fdb_add`), as that of a NIC may that is full.
#[test]
fn an_uplink_whose_unicast_filter_refuses_becomes_promiscuous() {
    let mut fixture = Fixture::new();
    let host = fixture.host();
    host.ip("link add mv0 link enp0s8 type macvlan mode bridge")
        .unwrap();
    host.ip("link set mv0 up").unwrap();
    fixture.ok(&tests::attach_arguments("mv0"));
    fixture.ok("network create web --parent mv0 --subnet 192.168.1.0/24");
    let netns = fixture.lab.add("a").unwrap().name().to_owned();
    let add = format!("endpoint add --network web --netns {netns}");
    let outcome = fixture.vnet.run(&add).unwrap();
    assert!(outcome.ok(), "{outcome:?}");
    assert!(
        outcome.stderr.contains("promiscuous mode on"),
        "{outcome:?}"
    );
    let promiscuous = || host.ip("link show dev mv0").unwrap().contains("PROMISC");
    assert!(promiscuous());
    fixture.ok("detach --iface mv0 --force");
    assert!(!promiscuous());
}
