//! `vnet-user serve` follows what changes, as it changes; it may be killed and started again at any time.

use std::{net::Ipv6Addr, os::unix::net::UnixDatagram};

use tests::{
    Container, Fixture, PATIENCE, SILENCE, Watching, Web, announces_ipv4, announces_ipv6,
    announces_router, check_refused, eventually, link, mac_of, unicast_filter,
};
use vnet_user::lab::{ETH_P_EXPERIMENT, EthernetFrame, Mac, Netns, Outcome, probe};

/// Pulls the cable or plugs it in, at the far end.
fn set_cable(web: &Web, state: &str) {
    let wire = web.fixture.wire();
    wire.ip(&format!("link set enp0s8 {state}")).unwrap();
}

fn wait_for_carriers(web: &Web, carrier: bool) {
    for container in &web.containers {
        wait_for_carrier(&container.netns, "eth0", carrier);
    }
}

/// What a container knows of its carrier: `LOWER_UP`, `NO-CARRIER`, and whether its state is one of those that work.
fn carrier(netns: &Netns, device: &str) -> [bool; 3] {
    let shown = link(netns, device);
    let flags = shown["flags"].as_array().unwrap();
    let down = ["DOWN", "LOWERLAYERDOWN"].contains(&shown["operstate"].as_str().unwrap());
    [
        flags.contains(&"LOWER_UP".into()),
        flags.contains(&"NO-CARRIER".into()),
        !down,
    ]
}

fn wait_for_carrier(netns: &Netns, device: &str, expected: bool) {
    let what = format!("carrier of {device} in {}", netns.name());
    eventually(&what, &[expected, !expected, expected], || {
        carrier(netns, device)
    });
}

fn mtu(netns: &Netns) -> u64 {
    link(netns, "eth0")["mtu"].as_u64().unwrap()
}

/// How often the carrier of `eth0` has come and gone.
fn carrier_changes(netns: &Netns) -> u64 {
    let shown = netns.ip("-s -s -j link show dev eth0").unwrap();
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    let changes = &shown[0]["stats64"]["tx"]["carrier_changes"];
    changes.as_u64().expect("ip counts changes of the carrier")
}

/// The address that IPv6 gives every interface.
fn link_local(netns: &Netns) -> Ipv6Addr {
    let shown = netns.ip("-6 -o addr show dev eth0 scope link").unwrap();
    let address = shown.split_whitespace().nth(3).unwrap();
    address.split('/').next().unwrap().parse().unwrap()
}

/// A frame as large as the endpoint's MTU gets through, and arrives as it was sent.
fn passes_whole(fixture: &Fixture, from: &Container, bytes: usize) {
    let payload: Vec<u8> = (0..bytes).map(|byte| byte as u8).collect();
    let frame = EthernetFrame::new(Mac::BROADCAST, from.mac, ETH_P_EXPERIMENT, &payload);
    let wire = fixture.wire_raw();
    from.raw().send(&frame).unwrap();
    let came = wire.find(PATIENCE, |came| came.bytes == frame.bytes());
    let came = came.unwrap().expect("the frame on the wire");
    assert_eq!(came.tag.map(|tag| tag.vlan()), Some(200));
}

#[test]
fn the_mtu_is_followed_while_links_stay_up() {
    let web = Web::new();
    let [a, b] = &web.containers;
    let serve = Watching::start(&web.fixture);
    let before = carrier_changes(&a.netns);
    for size in [1400, 9000, 1500] {
        for end in [web.fixture.wire(), web.fixture.host()] {
            end.ip(&format!("link set enp0s8 mtu {size}")).unwrap();
        }
        serve.says(&[&format!(
            "enp0s8: its MTU is {size}, and 2 endpoints follow"
        )]);
        assert_eq!([mtu(&a.netns), mtu(&b.netns)], [size, size]);
        passes_whole(&web.fixture, a, usize::try_from(size).unwrap());
    }
    let after = carrier_changes(&a.netns);
    assert_eq!(after, before, "the link went down meanwhile");
    serve.end();
}

#[test]
fn what_changed_before_it_came_is_caught_up_with_and_containers_that_go_are_cleaned_up() {
    let mut web = Web::new();
    let host = web.fixture.host();
    // Only the address is kept: whoever has the namespace open keeps it.
    let Container { id, mac: gone, .. } = web.fixture.container("gone", "web", "");
    let host_side = web.fixture.host_ifname(&id);
    web.fixture.lab.remove("gone");
    eventually("the host side", &false, || {
        host.ip(&format!("link show dev {host_side}")).is_ok()
    });
    host.ip("link set enp0s8 mtu 1400").unwrap();
    let serve = Watching::start(&web.fixture);
    assert_eq!(mtu(&web.containers[0].netns), 1400);
    let filter = unicast_filter(&host, "enp0s8");
    assert!(!filter.contains(&gone.to_string()), "{filter}");
    serve.kill();
    host.ip("link set enp0s8 mtu 1300").unwrap();
    let serve = Watching::start(&web.fixture);
    assert_eq!(mtu(&web.containers[0].netns), 1300);
    passes_whole(&web.fixture, &web.containers[0], 1300);
    web.check_traffic();
    let said = serve.said();

    // One that comes after it, and goes.
    let mac = web.fixture.container("c", "web", "").mac;
    let known = || unicast_filter(&host, "enp0s8").contains(&mac.to_string());
    assert!(known());
    web.fixture.lab.remove("c");
    eventually("its address in the NIC's filter", &false, known);
    assert_eq!(serve.said(), said, "a container that goes is no news");
}

#[test]
fn endpoints_have_the_uplinks_carrier_and_state_as_macvlans_do() {
    let mut web = Web::new();
    let host = web.fixture.host();
    let macvlan = Netns::clone(web.fixture.lab.add("macvlan").unwrap());
    let name = macvlan.name();
    host.ip(&format!(
        "link add link enp0s8 name eth0 netns {name} type macvlan mode bridge"
    ))
    .unwrap();
    macvlan.ip("link set eth0 up").unwrap();
    let serve = Watching::start(&web.fixture);
    wait_for_carriers(&web, true);
    wait_for_carrier(&macvlan, "eth0", true);

    set_cable(&web, "down");
    serve.says(&["enp0s8: is down, and 2 endpoints have no carrier"]);
    wait_for_carriers(&web, false);
    wait_for_carrier(&macvlan, "eth0", false);
    let [a, _] = &web.containers;
    let sibling = "192.168.200.3".parse().unwrap();
    assert_eq!(
        probe::ping(&a.netns, sibling, SILENCE).unwrap().map(drop),
        None
    );

    set_cable(&web, "up");
    serve.says(&["enp0s8: is up, and 2 endpoints have a carrier again"]);
    wait_for_carriers(&web, true);
    wait_for_carrier(&macvlan, "eth0", true);
    web.check_traffic();

    let states = || {
        let [a, b] = &web.containers;
        [&a.netns, &b.netns, &macvlan].map(|netns| link(netns, "eth0")["operstate"].clone())
    };
    // As a supplicant does it until it is authenticated, and afterwards.
    let set_state = |mode: &str, state: &str| {
        for change in [format!("mode {mode}"), format!("state {state}")] {
            host.ip(&format!("link set dev enp0s8 {change}")).unwrap();
        }
        eventually("states", &[state, state, state].map(Into::into), states);
    };
    set_state("dormant", "DORMANT");
    set_state("default", "UP");
    web.check_traffic();
    set_state("dormant", "DORMANT");
    serve.end();
    eventually("states", &["UP", "UP", "DORMANT"].map(Into::into), states);
}

#[test]
fn without_a_watcher_no_endpoint_stays_without_carrier() {
    let web = Web::new();
    set_cable(&web, "down");
    web.fixture.ok("show");
    wait_for_carriers(&web, true);

    let serve = Watching::start(&web.fixture);
    wait_for_carriers(&web, false);
    // What another command does meanwhile does not bring it up.
    web.fixture.ok("show");
    wait_for_carriers(&web, false);
    serve.kill();
    let [a, _] = &web.containers;
    let shown = web.fixture.vnet.run("show").unwrap();
    let said = "enp0s8: is not watched, and 2 endpoints have a carrier again";
    assert!(shown.stderr.contains(said), "{shown:?}");
    wait_for_carriers(&web, true);
    a.pings("192.168.200.3");

    let serve = Watching::start(&web.fixture);
    wait_for_carriers(&web, false);
    serve.end();
    wait_for_carriers(&web, true);
    let serve = Watching::start(&web.fixture);
    wait_for_carriers(&web, false);
    serve.kill();
    set_cable(&web, "up");
    let _serve = Watching::start(&web.fixture);
    wait_for_carriers(&web, true);
    web.check_traffic();
}

#[test]
fn a_link_that_the_user_took_down_stays_down_and_one_that_comes_meanwhile_follows() {
    let mut web = Web::new();
    let serve = Watching::start(&web.fixture);
    let host = web.fixture.host();
    let host_side = web.fixture.host_ifname(&web.containers[0].id);
    host.ip(&format!("link set {host_side} down")).unwrap();
    set_cable(&web, "down");
    let c = web.fixture.container("c", "web", "--ip 192.168.200.4");
    let [a, b] = &web.containers;
    for container in [b, &c] {
        wait_for_carrier(&container.netns, "eth0", false);
    }
    set_cable(&web, "up");
    for container in [b, &c] {
        wait_for_carrier(&container.netns, "eth0", true);
    }
    c.pings("192.168.200.100");
    wait_for_carrier(&a.netns, "eth0", false);
    serve.end();
    wait_for_carrier(&a.netns, "eth0", false);
    host.ip(&format!("link set {host_side} up")).unwrap();
    web.check_traffic();
}

#[test]
fn an_uplink_that_comes_back_is_attached_again_with_its_endpoints() {
    let mut web = Web::new();
    let serve = Watching::start(&web.fixture);
    let (host, wire) = (web.fixture.host(), web.fixture.wire());
    drop(web.router.take());
    host.ip("link del enp0s8").unwrap();
    wait_for_carriers(&web, false);
    let name = wire.name();
    host.ip(&format!(
        "link add enp0s8 mtu 1400 type veth peer name enp0s8 netns {name}"
    ))
    .unwrap();
    wire.ip("link set enp0s8 up").unwrap();
    let [a, b] = &web.containers;
    b.netns
        .sysctl("net/ipv6/conf/eth0/forwarding", "1")
        .unwrap();
    let seen = [web.fixture.wire_raw(), web.fixture.wire_raw()];
    host.ip("link set enp0s8 up").unwrap();
    serve.says(&["enp0s8: is back, and attached"]);
    wait_for_carriers(&web, true);
    let address = "192.168.200.2".parse().unwrap();
    let ipv4 = seen[0].find(PATIENCE, |frame| announces_ipv4(frame, a.mac, address));
    let ipv4 = ipv4.unwrap().expect("a gratuitous ARP");
    assert_eq!(ipv4.tag.map(|tag| tag.vlan()), Some(200));
    let link_local = link_local(&b.netns);
    let ipv6 = seen[1].find(PATIENCE, |frame| announces_ipv6(frame, link_local));
    let ipv6 = ipv6.unwrap().expect("a neighbour advertisement");
    assert!(announces_router(&ipv6));
    eventually("MTU", &1400, || mtu(&a.netns));
    web.router = Some(web.fixture.vlan_end(200, &["192.168.200.100/24"]));
    web.check_traffic();
    assert_eq!(web.fixture.show()["uplinks"][0]["datapath"], "running");

    // The same when only the datapath is lost; any change makes it look.
    web.fixture.vnet.lose_pins().unwrap();
    host.ip("link set enp0s8 mtu 1300").unwrap();
    eventually("times that it said so", &2, || {
        let said = serve.said();
        said.iter()
            .filter(|line| line.ends_with("is back, and attached"))
            .count()
    });
    assert_eq!(web.fixture.show()["uplinks"][0]["datapath"], "running");
    web.check_traffic();
    serve.end();
}

#[test]
fn one_watcher_is_enough_and_systemd_is_told_when_it_is_ready() {
    let fixture = Fixture::attached();
    let mut elsewhere = fixture.vnet.command_in(&fixture.wire(), "serve");
    let outcome = Outcome::from_output("serve".to_owned(), &elsewhere.output().unwrap());
    check_refused(&outcome);
    assert!(outcome.stderr.contains("namespace"), "{outcome:?}");

    let path = fixture.vnet.state().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut command = fixture.vnet.command("serve");
    let mut serve = command.env("NOTIFY_SOCKET", &path).spawn().unwrap();
    let mut buffer = [0; 64];
    let length = socket.recv(&mut buffer);
    let second = fixture.vnet.run("serve");
    // Before anything can fail: it must not stay.
    serve.kill().unwrap();
    serve.wait().unwrap();
    assert_eq!(buffer[..length.unwrap()], *b"READY=1\n");
    let second = second.unwrap();
    check_refused(&second);
    assert!(second.stderr.contains("watches already"), "{second:?}");
    Watching::start(&fixture).end();
}

#[test]
fn a_passthru_endpoint_takes_the_uplinks_new_address_as_macvlans_does() {
    let mut fixture = Fixture::attached();
    let host = fixture.host();
    fixture.network("all", "--vlan 200 --mode passthru");
    fixture.network("web", "--vlan 201 --subnet 192.168.201.0/24");
    fixture.network("own", "--vlan 202 --mode passthru");
    let all = fixture.container("all", "all", "");
    let web = fixture.container("web", "web", "");
    let own = fixture.container("own", "own", "--mac 02:00:00:00:00:09");
    // The kernel's own, on a cable of its own.
    for step in [
        "link add lab0 type veth peer name lab1",
        "link add link lab0 name lab2 type macvlan mode passthru",
        "link set lab0 address 02:00:00:00:01:01",
    ] {
        host.ip(step).unwrap();
    }
    assert_eq!(mac_of(&host, "lab2"), "02:00:00:00:01:01".parse().unwrap());
    let addresses = || [&all, &web, &own].map(|c| mac_of(&c.netns, "eth0"));
    assert_eq!(all.mac, mac_of(&host, "enp0s8"));

    let change = |last: u8| {
        let mac = Mac([2, 0, 0, 0, 1, last]);
        host.ip(&format!("link set enp0s8 address {mac}")).unwrap();
        mac
    };
    let mac = change(2);
    let shown = fixture.vnet.run("show").unwrap();
    assert!(
        shown.stderr.contains(&mac.to_string()) && shown.stderr.contains(&all.id),
        "{shown:?}"
    );
    assert_eq!(addresses(), [mac, web.mac, own.mac]);
    assert_eq!(fixture.shown_endpoint(&all.id)["mac"], mac.to_string());
    let quiet = fixture.vnet.run("show").unwrap();
    assert_eq!(quiet.stderr, "", "nothing to follow");

    let serve = Watching::start(&fixture);
    let mac = change(3);
    eventually("addresses", &[mac, web.mac, own.mac], addresses);
    serve.says(&[&mac.to_string(), &all.id]);

    // An address that an endpoint has already. It goes on being so, and is said once.
    host.ip(&format!("link set enp0s8 address {}", web.mac))
        .unwrap();
    serve.says(&["enp0s8", &web.mac.to_string(), &web.id]);
    for mtu in [1400, 1300] {
        host.ip(&format!("link set enp0s8 mtu {mtu}")).unwrap();
        serve.says(&[&format!("its MTU is {mtu}")]);
    }
    let said = serve.said();
    let named = said.iter().filter(|line| line.contains(&web.id));
    assert_eq!(named.count(), 1, "{said:?}");
    serve.end();
}
