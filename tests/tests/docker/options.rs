//! Options of `docker network create` and `docker run`.

use tests::{Container, DockerHost, Engine, Fixture, PATIENCE, SILENCE, link};
use vnet_user::lab::probe;

fn host() -> DockerHost {
    DockerHost::start(Fixture::new(), Engine::Bookworm, "")
}

/// A container's IPv4 address.
fn ipv4_of(container: &Container) -> String {
    let shown = container.netns.ip("-4 -o addr show dev eth0").unwrap();
    let address = shown.split_whitespace().nth(3).unwrap();
    address.split('/').next().unwrap().to_owned()
}

/// Docker's own macvlan ignores the MTU.
#[test]
fn macvlans_options_are_taken_and_unknown_ones_are_refused() {
    let host = host();
    host.network(
        "--subnet 10.1.0.0/24 -o parent=enp0s8 -o vlan=50 -o macvlan_mode=private \
         -o com.docker.network.driver.mtu=1400 -o guard=off one",
    );
    let shown: serde_json::Value =
        serde_json::from_str(&host.fixture.ok("network list --json")).unwrap();
    assert_eq!(shown[0]["mode"], "private");
    assert_eq!(shown[0]["guard"], "off");
    assert_eq!(shown[0]["vlan"], 50);
    let a = host.run("ca", "--network one");
    assert_eq!(link(&a.netns, "eth0")["mtu"], 1400);
    for (options, named) in [
        ("-o parent=enp0s8 -o gaurd=off", "\"guard\" was meant"),
        ("-o parent=enp0s9", "enp0s9"),
        ("-o parent=enp0s8 -o mode=bridged", "bridged"),
    ] {
        let refused = host
            .docker
            .cli(&format!("network create -d vnet {options} two"));
        let refused = refused.unwrap_err();
        assert!(refused.contains(named), "{refused}");
    }
    let names = host.docker.ok("network ls --format {{.Name}}");
    assert!(!names.contains("two"), "{names}");
}

#[test]
fn a_container_has_several_networks_and_changes_them_while_it_runs() {
    let host = host();
    let _ends = [
        host.fixture.vlan_end(200, &["192.168.200.100/24"]),
        host.fixture.vlan_end(201, &["192.168.201.100/24"]),
    ];
    for vlan in [200, 201] {
        host.network(&format!(
            "--subnet 192.168.{vlan}.0/24 --gateway=192.168.{vlan}.100 -o parent=enp0s8.{vlan} vnet{vlan}"
        ));
    }
    let a = host.run(
        "ca",
        "--network vnet200 --ip 192.168.200.2 --mac-address 02:00:00:00:00:07",
    );
    assert_eq!(a.mac.to_string(), "02:00:00:00:00:07");
    host.docker
        .ok("network connect --ip 192.168.201.2 vnet201 ca");
    assert_eq!(host.ttl(&a, "192.168.201.100"), Some(64));
    assert_eq!(host.ttl(&a, "192.168.200.100"), Some(64));
    host.docker.ok("network disconnect vnet201 ca");
    let links = host.docker.exec("ca", "ip -o link").unwrap();
    assert!(!links.contains("eth1"), "{links}");
    assert_eq!(host.ttl(&a, "192.168.200.100"), Some(64));
    host.docker.ok("rename ca renamed");
    host.docker
        .ok("network connect --ip 192.168.201.2 vnet201 renamed");
    assert_eq!(host.ttl(&a, "192.168.201.100"), Some(64));
    // As a container that dies.
    host.docker.ok("kill renamed");
    host.docker.ok("start renamed");
    let a = host.docker.netns_of("renamed");
    assert_eq!(link(&a, "eth0")["address"], "02:00:00:00:00:07");
    host.docker.ok("rm --force renamed");
    host.docker.ok("network rm vnet200 vnet201");
    assert!(
        host.fixture.show()["uplinks"]
            .as_array()
            .unwrap()
            .is_empty()
    );
}

#[test]
fn without_a_gateway_there_is_no_way_out_and_no_bridge_of_dockers() {
    let host = host();
    host.network("--internal --subnet 10.1.0.0/24 -o parent=enp0s8 inside");
    host.network("--subnet 10.2.0.0/24 --gateway 10.2.0.254 alone");
    let a = host.run("ca", "--network inside --ip 10.1.0.2");
    let b = host.run("cb", "--network inside --ip 10.1.0.3");
    let c = host.run("cc", "--network alone --ip 10.2.0.2");
    let d = host.run("cd", "--network alone --ip 10.2.0.3");
    assert_eq!(host.ttl(&a, "10.1.0.3"), Some(64));
    assert_eq!(host.ttl(&c, "10.2.0.3"), Some(64));
    for container in ["ca", "cc"] {
        let routes = host.docker.exec(container, "ip route").unwrap();
        assert!(!routes.contains("default"), "{routes}");
    }
    for container in [&a, &b, &c, &d] {
        let links = container.netns.ip("-o link").unwrap();
        assert_eq!(links.lines().count(), 2, "lo and eth0 alone: {links}");
    }
    let networks = host.docker.ok("network ls");
    assert!(!networks.contains("gwbridge"), "{networks}");
}

#[test]
fn ipv6_and_several_subnets() {
    let host = host();
    let _end = host
        .fixture
        .vlan_end(200, &["192.168.200.100/24", "fd00:200::100/64"]);
    host.network(
        "--ipv6 --subnet 192.168.200.0/24 --gateway 192.168.200.100 --subnet 10.7.0.0/24 \
         --ip-range 192.168.200.128/25 --aux-address printer=192.168.200.128 \
         --subnet fd00:200::/64 --gateway fd00:200::100 -o parent=enp0s8.200 both",
    );
    let a = host.run("ca", "--network both");
    let shown = host.docker.exec("ca", "ip -o addr show dev eth0").unwrap();
    assert!(shown.contains("192.168.200.129/24"), "{shown}");
    assert_eq!(host.ttl(&a, "192.168.200.100"), Some(64));
    assert_eq!(host.ttl(&a, "fd00:200::100"), Some(64));
    let routes = host.docker.exec("ca", "ip -6 route").unwrap();
    assert!(routes.contains("default via fd00:200::100"), "{routes}");

    // Subnets reach each other by a router alone, though they share the segment.
    let b = host.run("cb", "--network both --ip 10.7.0.9");
    let address = ipv4_of(&a);
    let from_b = |patience| probe::ping(&b.netns, address.parse().unwrap(), patience).unwrap();
    assert!(from_b(SILENCE).is_none());
    let routes = host.docker.exec("cb", "ip route").unwrap();
    let gateway = routes.split_whitespace().nth(2).unwrap();
    let wire = host.fixture.wire();
    wire.ip(&format!("addr add {gateway}/24 dev enp0s8.200"))
        .unwrap();
    wire.sysctl("net/ipv4/ip_forward", "1").unwrap();
    assert_eq!(from_b(PATIENCE).map(|echo| echo.ttl), Some(63));
}

/// As newer Dockers' macvlan.
#[test]
fn a_second_network_shares_the_segment_but_passthru_has_it_alone() {
    let host = host();
    host.network("--subnet 10.1.0.0/24 -o parent=enp0s8.50 one");
    host.network("--subnet 10.2.0.0/24 -o parent=enp0s8.50 two");
    host.network("--subnet 10.3.0.0/24 -o parent=enp0s8.51 -o mode=passthru three");
    for options in [
        "-o parent=enp0s8.51",
        "-o parent=enp0s8.50 -o mode=passthru",
    ] {
        let refused = host
            .docker
            .cli(&format!(
                "network create -d vnet --subnet 10.4.0.0/24 {options} four"
            ))
            .unwrap_err();
        assert!(refused.contains("passthru"), "{refused}");
    }
    let a = host.run("ca", "--network three");
    let nic = link(&host.fixture.host(), "enp0s8")["address"].clone();
    assert_eq!(link(&a.netns, "eth0")["address"], nic);

    // The first goes, and what it was on stays for the second.
    host.docker.ok("network rm one");
    let [b, c] = ["cb", "cc"].map(|name| host.run(name, "--network two"));
    let address = ipv4_of(&c);
    assert_eq!(host.ttl(&b, &address), Some(64));
    host.docker.ok("rm --force ca cb cc");
    host.docker.ok("network rm two three");
    assert!(
        host.fixture.show()["uplinks"]
            .as_array()
            .unwrap()
            .is_empty()
    );
    assert_eq!(link(&host.fixture.host(), "enp0s8")["address"], nic);
}

/// Docker's own fails (moby's issue 49593).
#[test]
fn a_container_starts_while_its_parent_is_down() {
    let host = host();
    host.fixture.host().ip("link set enp0s8 down").unwrap();
    host.network("--subnet 10.1.0.0/24 -o parent=enp0s8 one");
    let a = host.run("ca", "--network one --ip 10.1.0.2");
    host.fixture
        .wire()
        .ip("addr add 10.1.0.1/24 dev enp0s8")
        .unwrap();
    host.fixture.host().ip("link set enp0s8 up").unwrap();
    assert_eq!(host.ttl(&a, "10.1.0.1"), Some(64));
}

/// By DHCP, say.
#[test]
fn a_container_may_choose_its_own_addresses() {
    let host = host();
    let _end = host.fixture.vlan_end(200, &["192.168.200.100/24"]);
    host.network("--ipam-driver null -o parent=enp0s8.200 own");
    let a = host.run("ca", "--network own --cap-add NET_ADMIN");
    let shown = a.netns.ip("-4 -o addr show dev eth0").unwrap();
    assert_eq!(shown, "");
    host.docker
        .exec("ca", "ip addr add 192.168.200.9/24 dev eth0")
        .unwrap();
    assert_eq!(host.ttl(&a, "192.168.200.100"), Some(64));
    let b = host.run("cb", "--network own");
    assert_ne!(a.mac, b.mac);
    host.docker.ok("rm --force ca cb");
    host.docker.ok("network rm own");
}
