//! The reference scenarios: what macvlan's users type, with `-d vnet`.

use std::net::SocketAddr;

use tests::{DockerHost, Engine, Fixture, PATIENCE, SILENCE};
use vnet_user::lab::{Lab, VlanEnd, probe};

#[test]
fn bridge_mode_on_docker_20_10() {
    bridge_mode(Engine::Bookworm);
}

#[test]
fn bridge_mode_on_docker_26_1() {
    bridge_mode(Engine::Trixie);
}

#[test]
fn a_trunk_on_docker_20_10() {
    trunk(Engine::Bookworm);
}

#[test]
fn a_trunk_on_docker_26_1() {
    trunk(Engine::Trixie);
}

fn bridge_mode(engine: Engine) {
    let fixture = Fixture::new();
    let [host, gateway] = [fixture.host(), fixture.wire()];
    host.ip("addr add 192.168.1.1/24 dev enp0s8").unwrap();
    gateway.ip("addr add 192.168.1.100/24 dev enp0s8").unwrap();
    let host = DockerHost::start(fixture, engine, "");
    host.network("--subnet=192.168.1.0/24 --gateway=192.168.1.100 -o parent=enp0s8 vnet_pub");
    let a = host.run("ca", "--network vnet_pub --ip 192.168.1.201");
    let b = host.run("cb", "--network vnet_pub --ip 192.168.1.202");
    // Of the address, as in the reference.
    assert_eq!(a.mac.to_string(), "02:42:c0:a8:01:c9");
    assert_eq!(b.mac.to_string(), "02:42:c0:a8:01:ca");
    let shown = host.docker.exec("ca", "ip a").unwrap();
    for part in ["eth0", "02:42:c0:a8:01:c9", "inet 192.168.1.201/24"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let routes = host.docker.exec("ca", "route -n").unwrap();
    let default = routes.lines().find(|line| line.starts_with("0.0.0.0 "));
    let words: Vec<_> = default.expect(&routes).split_whitespace().collect();
    assert_eq!((words[1], words[7]), ("192.168.1.100", "eth0"), "{routes}");
    let shown = host.docker.exec("ca", "ip -o link").unwrap();
    assert_eq!(shown.lines().count(), 2, "lo and eth0 alone: {shown}");

    assert_eq!(host.ttl(&a, "192.168.1.202"), Some(64));
    assert_eq!(host.ttl(&a, "192.168.1.100"), Some(64));
    assert_eq!(host.ttl(&b, "192.168.1.100"), Some(64));
    let none = probe::ping(&a.netns, "192.168.1.1".parse().unwrap(), SILENCE).unwrap();
    assert!(none.is_none(), "the host answers to macvlans neither");

    // What Docker shows of it.
    let inspected = host.docker.ok("network inspect vnet_pub");
    let inspected: serde_json::Value = serde_json::from_str(&inspected).unwrap();
    let containers = inspected[0]["Containers"].as_object().unwrap();
    assert_eq!(containers.len(), 2);
    for shown in containers.values() {
        let (mac, address) = match shown["Name"].as_str().unwrap() {
            "ca" => (a.mac, "192.168.1.201/24"),
            _ => (b.mac, "192.168.1.202/24"),
        };
        assert_eq!(shown["MacAddress"], mac.to_string());
        assert_eq!(shown["IPv4Address"], address);
    }

    // And vnet.
    let id = host
        .docker
        .ok("network ls --filter name=vnet_pub --format {{.ID}}");
    let shown = host.fixture.ok("show");
    for part in [id.trim(), "192.168.1.201/24", "eth0"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }

    // It goes as it came.
    host.docker.ok("restart --time 0 ca");
    let a = host.container("ca");
    assert_eq!(a.mac.to_string(), "02:42:c0:a8:01:c9");
    assert_eq!(host.ttl(&a, "192.168.1.100"), Some(64));
    host.docker.ok("rm --force ca cb");
    host.docker.ok("network rm vnet_pub");
    assert!(
        host.fixture.show()["uplinks"]
            .as_array()
            .unwrap()
            .is_empty()
    );
    let links = host.fixture.host().ip("-o link").unwrap();
    assert_eq!(links.lines().count(), 2, "lo and enp0s8 alone: {links}");
}

fn trunk(engine: Engine) {
    let lab = Lab::new("vnet-test")
        .host("host")
        .host("wire")
        .host("internet")
        .wire(("host", "enp0s8"), ("wire", "enp0s8"))
        .wire(("wire", "enp0s3"), ("internet", "eth0"))
        .address("wire", "enp0s3", "10.0.2.15/24")
        .address("internet", "eth0", "10.0.2.2/24")
        .build()
        .unwrap();
    let fixture = Fixture::with(lab);
    let router = fixture.wire();
    let ends = [200, 201].map(|vlan| {
        let name = format!("enp0s8.{vlan}");
        let address = format!("192.168.{vlan}.100/24");
        VlanEnd::new(&router, "enp0s8", vlan, &name, &[&address]).unwrap()
    });
    router.sysctl("net/ipv4/ip_forward", "1").unwrap();
    router
        .nft(
            "table ip nat { chain postrouting { \
               type nat hook postrouting priority srcnat; oifname \"enp0s3\" snat to 10.0.2.15; }; }",
        )
        .unwrap();
    let host = DockerHost::start(fixture, engine, "");
    for vlan in [200, 201] {
        host.network(&format!(
            "--subnet 192.168.{vlan}.0/24 --gateway=192.168.{vlan}.100 -o parent=enp0s8.{vlan} vnet{vlan}"
        ));
    }
    let a = host.run("ca", "--network vnet200 --ip 192.168.200.2");
    let b = host.run("cb", "--network vnet201 --ip 192.168.201.2");
    let links = host.fixture.host().ip("-o link").unwrap();
    assert!(!links.contains("enp0s8."), "no VLAN device: {links}");

    assert_eq!(host.ttl(&a, "192.168.200.100"), Some(64));
    assert_eq!(host.ttl(&a, "192.168.201.2"), Some(63));
    assert_eq!(host.ttl(&b, "192.168.200.2"), Some(63));
    for (container, far, gateway) in [
        ("ca", "192.168.201.2", "192.168.200.100"),
        ("cb", "192.168.200.2", "192.168.201.100"),
    ] {
        let hops = host
            .docker
            .exec(container, &format!("traceroute -n -m 3 -w 5 {far}"));
        let hops = hops.unwrap();
        let first = hops
            .lines()
            .find(|line| line.trim_start().starts_with("1 "));
        assert!(first.is_some_and(|line| line.contains(gateway)), "{hops}");
    }
    let server = SocketAddr::from(([10, 0, 2, 2], 7000));
    let internet = host.fixture.lab.get("internet").unwrap();
    let _serving = probe::WhoAmI::serve(internet, server).unwrap();
    let seen = probe::who_am_i(&a.netns, server, PATIENCE).unwrap();
    assert_eq!(seen.as_deref(), Some("10.0.2.15"));

    drop(ends);
    let none = probe::ping(&a.netns, "192.168.201.2".parse().unwrap(), SILENCE).unwrap();
    assert!(none.is_none(), "no way without the router");
}
