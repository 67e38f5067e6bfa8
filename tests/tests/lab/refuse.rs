//! Bad input: one line that names the value, and nothing changed.

use std::os::unix::process::CommandExt as _;

use tests::{Fixture, PATIENCE};
use vnet_user::lab::{Outcome, probe};

#[test]
fn an_interface_that_is_not_there_or_no_ethernet() {
    let fixture = Fixture::new();
    fixture.refused("attach --iface nosuch0", &["nosuch0"]);
    fixture.refused("attach --iface lo", &["lo", "Ethernet"]);
    fixture.refused(
        "network create web --parent nosuch0 --subnet 10.0.0.0/24",
        &["nosuch0"],
    );
    fixture.refused("detach --iface enp0s8", &["enp0s8", "attached"]);
}

#[test]
fn a_vlan_that_is_none() {
    let fixture = Fixture::attached();
    for vlan in ["0", "4095", "4096", "-1", "blue", "200x", "99999"] {
        for create in [
            format!("network create web --parent enp0s8 --vlan={vlan} --subnet 10.0.0.0/24"),
            format!("network create web --parent enp0s8.{vlan} --subnet 10.0.0.0/24"),
        ] {
            let outcome = fixture.vnet.run(&create).unwrap();
            assert!(matches!(outcome.code, Some(1 | 2)), "{outcome:?}");
            assert!(outcome.stderr.starts_with("error: "), "{outcome:?}");
            let first = outcome.stderr.lines().next().unwrap();
            assert!(first.contains(vlan), "`{create}` must name {vlan}: {first}");
        }
    }
    fixture.refused(
        "network create web --parent enp0s8.200 --vlan 201 --subnet 10.0.0.0/24",
        &["200", "201"],
    );
    assert!(!fixture.ok("network list --json").contains("web"));
}

#[test]
fn a_network_that_collides_with_another() {
    let fixture = Fixture::attached();
    fixture.network("web", "--vlan 200 --subnet 192.168.200.0/24");
    let create = |rest: &str| format!("network create other --parent enp0s8 {rest}");
    fixture.refused(
        &create("--vlan 200 --subnet 192.168.200.128/25"),
        &["192.168.200.128/25", "web", "192.168.200.0/24"],
    );
    fixture.refused(
        &create("--vlan 200 --subnet 192.168.0.0/16"),
        &["192.168.0.0/16", "web"],
    );
    fixture.refused(
        "network create web --parent enp0s8 --vlan 201 --subnet 10.0.0.0/24",
        &["web"],
    );
    fixture.refused(
        &create("--vlan 201 --subnet 10.0.0.0/24 --gateway 10.0.1.1"),
        &["10.0.1.1", "10.0.0.0/24"],
    );
    fixture.refused("network inspect nosuch", &["nosuch"]);
    fixture.refused("network remove nosuch", &["nosuch"]);
    // Another segment is another world.
    fixture.ok(&create("--vlan 201 --subnet 192.168.200.0/24"));
}

#[test]
fn an_endpoint_that_collides_or_makes_no_sense() {
    let mut fixture = Fixture::attached();
    fixture.network(
        "web",
        "--vlan 200 --subnet 192.168.200.0/24 --gateway 192.168.200.100",
    );
    let a = fixture.container("a", "web", "--ip 192.168.200.2 --mac 02:00:00:00:00:02");
    let netns = fixture.lab.add("b").unwrap().name().to_owned();
    let add = |rest: &str| format!("endpoint add --network web --netns {netns} {rest}");
    fixture.refused(
        &add("--ip 192.168.201.2"),
        &["192.168.201.2", "192.168.200.0/24"],
    );
    fixture.refused(&add("--ip 192.168.200.2"), &["192.168.200.2", &a.id]);
    fixture.refused(
        &add("--ip 192.168.200.100"),
        &["192.168.200.100", "gateway"],
    );
    fixture.refused(
        &add("--mac 02:00:00:00:00:02"),
        &["02:00:00:00:00:02", &a.id],
    );
    fixture.refused("endpoint add --network nosuch --netns 1", &["nosuch"]);
    fixture.refused("endpoint inspect 0123456789ab", &["0123456789ab"]);
    fixture.refused("endpoint remove 0123456789ab", &["0123456789ab"]);
    for mac in [
        "01:00:5e:00:00:01",
        "00:00:00:00:00:00",
        "ff:ff:ff:ff:ff:ff",
        "02:00:00:00:00",
    ] {
        let outcome = fixture.vnet.run(&add(&format!("--mac {mac}"))).unwrap();
        assert!(matches!(outcome.code, Some(1 | 2)), "{outcome:?}");
        assert!(
            outcome.stderr.lines().next().unwrap().contains(mac),
            "{outcome:?}"
        );
    }
    fixture.refused("network remove web", &["web", &a.id]);
    // After all that, it works.
    let b = fixture.endpoint("b", "web", "--ip 192.168.200.3");
    let address = "192.168.200.2".parse().unwrap();
    assert!(probe::ping(&b.netns, address, PATIENCE).unwrap().is_some());
}

#[test]
fn a_namespace_that_is_gone_or_has_the_name_already() {
    let mut fixture = Fixture::attached();
    fixture.network("web", "--vlan 200 --subnet 192.168.200.0/24");
    fixture.refused("endpoint add --network web --netns nosuchns", &["nosuchns"]);
    fixture.refused(
        "endpoint add --network web --netns /run/netns/nosuchns",
        &["/run/netns/nosuchns"],
    );
    fixture.refused("endpoint add --network web --netns 4194305", &["4194305"]);
    fixture.refused(
        "endpoint add --network web --netns /etc/hostname",
        &["/etc/hostname"],
    );
    let a = fixture.container("a", "web", "");
    let add = format!("endpoint add --network web --netns {}", a.netns.name());
    fixture.refused(&add, &["eth0"]);
    fixture.ok(&format!("{add} --ifname eth1"));
    fixture.refused(
        &format!("{add} --ifname an-interface-name-too-long"),
        &["an-interface-name-too-long"],
    );
}

#[test]
fn a_namespace_may_be_named_by_path_and_by_process() {
    let mut fixture = Fixture::attached();
    fixture.network("web", "--vlan 200 --subnet 192.168.200.0/24");
    let a = fixture.lab.add("a").unwrap();
    let mut sleeper = a.command("sleep");
    sleeper.arg("600");
    let pid = a.spawn(sleeper).unwrap();
    fixture.ok(&format!("endpoint add --network web --netns {pid}"));
    let a = fixture.lab.get("a").unwrap();
    a.ip("link show dev eth0").unwrap();
    fixture.ok(&format!(
        "endpoint add --network web --netns {} --ifname eth1",
        a.path().display()
    ));
    a.ip("link show dev eth1").unwrap();
}

#[test]
fn who_lacks_a_capability_is_told_which() {
    let fixture = Fixture::new();
    let mut command = fixture.vnet.command("attach --iface enp0s8");
    // SAFETY: between fork and exec the closure only makes the prctl system call; 12 is CAP_NET_ADMIN
    // (include/uapi/linux/capability.h), which is then missing from what root gets by exec.
    unsafe {
        command.pre_exec(|| match libc::prctl(libc::PR_CAPBSET_DROP, 12, 0, 0, 0) {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        });
    }
    let outcome = Outcome::from_output("attach".to_owned(), &command.output().unwrap());
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert_eq!(outcome.stderr.lines().count(), 1, "{outcome:?}");
    assert!(outcome.stderr.contains("CAP_NET_ADMIN"), "{outcome:?}");
    assert!(!fixture.vnet.pins().exists(), "it changed something");
}
