//! A command that is killed half-way: whatever it leaves, the next command makes something whole of it.
//!
//! Each is killed at each of its changes in turn (`kill_at_each_change`), so that every state which it can leave was there.
//! The next command is one that only looks; then the same once more.

mod remains;

use std::{fs, io::Write as _};

use tempfile::NamedTempFile;
use tests::{
    attach_arguments, attach_xdp, clear_for_xdp, kill_at_each_change, link, mac_of, xdp_arguments,
    xdp_mode,
};
use vnet_user::lab::{Mac, probe};

use self::remains::{Lab, VICTIM, VICTIM_MAC};
use super::many::{self, EXPEDITED};

const NETWORK: &str = "--vlan 200 --subnet 192.168.200.0/24";
/// Its endpoints have programs at the container's end too.
const PRIORITIES: &str = "--vlan 200 --subnet 192.168.200.0/24 --egress-qos-map 5:3";

#[test]
fn an_attach_that_is_killed_is_completed_by_the_next() {
    let lab = Lab::attached();
    lab.fixture.network("web", NETWORK);
    lab.fixture.ok("detach --iface enp0s8");
    kill_at_each_change("attach", |nth| {
        let ended = lab.kill(&attach_arguments("enp0s8"), nth);
        lab.fixture.attach();
        lab.check_traffic(&lab.add_victim().netns);
        lab.fixture.ok("detach --iface enp0s8 --force");
        lab.check_gone();
        ended
    });
}

#[test]
fn an_attach_that_is_killed_when_it_changes_xdp_is_completed_by_the_next() {
    let lab = Lab::attached();
    clear_for_xdp(&lab.fixture);
    lab.fixture.network("web", NETWORK);
    let victim = lab.add_victim();
    let filter = xdp_arguments("--xdp filter --unknown-vlan drop");
    // What XDP knows of the host stays in its maps, so only the first attach fills them: all rounds are to be alike.
    attach_xdp(&lab.fixture, "--xdp filter --unknown-vlan drop");
    attach_xdp(&lab.fixture, "--xdp off");
    kill_at_each_change("attach --xdp filter", |nth| {
        let ended = lab.kill(&filter, nth);
        lab.check_traffic(&victim.netns);
        assert!(attach_xdp(&lab.fixture, "--xdp filter --unknown-vlan drop").contains("XDP"));
        let host = lab.fixture.host();
        assert_eq!(xdp_mode(&host).as_deref(), Some("xdp"));
        lab.kill(&xdp_arguments("--xdp off"), nth);
        attach_xdp(&lab.fixture, "--xdp off");
        assert_eq!(xdp_mode(&host), None);
        lab.check_traffic(&victim.netns);
        ended
    });
    lab.fixture.ok("detach --iface enp0s8 --force");
    let undo = "ethtool -K enp0s8 rxvlan on rx-vlan-stag-hw-parse on";
    lab.fixture.host().sh(undo).unwrap();
    lab.check_gone();
}

#[test]
fn a_detach_that_is_killed_is_completed_by_the_next() {
    let lab = Lab::attached();
    lab.fixture.network("web", NETWORK);
    lab.fixture.ok("detach --iface enp0s8");
    kill_at_each_change("detach", |nth| {
        lab.fixture.attach();
        lab.check_traffic(&lab.add_victim().netns);
        let detach = "detach --iface enp0s8 --force";
        let ended = lab.kill(detach, nth);
        lab.again(detach, "not attached");
        lab.check_gone();
        ended
    });
}

#[test]
fn an_endpoint_add_that_is_killed_leaves_nothing_that_the_next_does_not_repair() {
    let lab = Lab::attached();
    lab.fixture.network("web", PRIORITIES);
    kill_at_each_change("endpoint add", |nth| {
        let ended = lab.kill(&lab.add(), nth);
        lab.again(&lab.add(), "");
        lab.check_traffic(&lab.victim());
        let shown = lab.fixture.show();
        let endpoints = shown["uplinks"][0]["endpoints"].as_array().unwrap();
        assert_eq!(endpoints.len(), 1, "{shown}");
        assert_eq!(endpoints[0]["mac"], VICTIM_MAC);
        let id = endpoints[0]["id"].as_str().unwrap();
        lab.fixture.ok(&format!("endpoint remove {id}"));
        ended
    });
    lab.fixture.ok("detach --iface enp0s8");
    lab.check_gone();
}

#[test]
fn a_batch_that_is_killed_leaves_whole_steps_and_a_kernel_that_takes_its_time() {
    let mut lab = Lab::attached();
    let mut file = NamedTempFile::new().unwrap();
    let lines = many::lines(&mut lab.fixture);
    file.write_all(lines.as_bytes()).unwrap();
    let before = fs::read_to_string(EXPEDITED).unwrap();
    kill_at_each_change("batch", |nth| {
        let ended = lab.kill(&format!("batch {}", file.path().display()), nth);
        assert_eq!(fs::read_to_string(EXPEDITED).unwrap(), before);
        let shown = lab.fixture.show();
        let count = |name: &str| shown["uplinks"][0][name].as_array().unwrap().len();
        let steps = [(0, 0), (2, 0), (2, many::ENDPOINTS)];
        assert!(
            steps.contains(&(count("networks"), count("endpoints"))),
            "{shown}"
        );
        for name in ["web", "beside"].iter().filter(|_| count("networks") > 0) {
            lab.fixture.ok(&format!("network remove {name} --force"));
        }
        ended
    });
    lab.fixture.ok("detach --iface enp0s8");
    lab.check_gone();
}

#[test]
fn an_endpoint_remove_that_is_killed_is_completed_by_the_next() {
    let mut lab = Lab::attached();
    lab.fixture.network("web", PRIORITIES);
    let sibling = lab
        .fixture
        .container("sibling", "web", "--ip 192.168.200.3");
    kill_at_each_change("endpoint remove", |nth| {
        let remove = format!("endpoint remove {}", lab.add_victim().id);
        let ended = lab.kill(&remove, nth);
        lab.again(&remove, "no endpoint");
        lab.check_whole();
        assert!(lab.victim().ip("link show dev eth0").is_err());
        lab.check_traffic(&sibling.netns);
        ended
    });
    lab.fixture.ok("detach --iface enp0s8 --force");
    lab.check_gone();
}

#[test]
fn a_network_create_that_is_killed_happened_or_did_not() {
    let lab = Lab::attached();
    kill_at_each_change("network create", |nth| {
        let create = format!("network create web --parent enp0s8 {NETWORK}");
        let ended = lab.kill(&create, nth);
        lab.again(&create, "web");
        let victim = lab.add_victim();
        lab.check_traffic(&victim.netns);
        lab.fixture.ok(&format!("endpoint remove {}", victim.id));
        lab.fixture.ok("network remove web");
        ended
    });
    lab.fixture.ok("detach --iface enp0s8");
    lab.check_gone();
}

#[test]
fn a_network_remove_that_is_killed_is_completed_by_the_next() {
    let lab = Lab::attached();
    lab.fixture.network("web", NETWORK);
    let victim = lab.add_victim();
    kill_at_each_change("network remove", |nth| {
        lab.fixture
            .network("db", "--vlan 201 --subnet 192.168.201.0/24");
        let ended = lab.kill("network remove db", nth);
        lab.again("network remove db", "no network");
        lab.check_whole();
        lab.check_traffic(&victim.netns);
        ended
    });
    lab.fixture.ok("detach --iface enp0s8 --force");
    lab.check_gone();
}

#[test]
fn a_command_that_is_killed_as_it_follows_the_uplink_is_completed_by_the_next() {
    let mut lab = Lab::attached();
    lab.fixture.network("web", NETWORK);
    lab.fixture.network("all", "--vlan 201 --mode passthru");
    let victim = lab.add_victim();
    let all = lab.fixture.container("all", "all", "");
    let host = lab.fixture.host();
    let mut round: u8 = 0;
    kill_at_each_change("show", |nth| {
        round += 1;
        let (mac, mtu) = (Mac([2, 0, 0, 0, 1, round]), 1300 + u64::from(round));
        host.ip(&format!("link set enp0s8 address {mac} mtu {mtu}"))
            .unwrap();
        let ended = lab.kill("show", nth);
        assert_eq!(mac_of(&all.netns, "eth0"), mac);
        assert_eq!(lab.fixture.shown_endpoint(&all.id)["mac"], mac.to_string());
        for end in [&all.netns, &victim.netns] {
            assert_eq!(link(end, "eth0")["mtu"], mtu);
        }
        lab.check_traffic(&victim.netns);
        ended
    });
}

#[test]
fn a_container_that_is_gone_is_cleaned_up_after() {
    let mut lab = Lab::attached();
    lab.fixture.network("web", NETWORK);
    let id = lab.add_victim().id;
    lab.fixture.lab.remove("victim");
    // Either the next command finds that there is no interface left to remove, or one before it has cleaned up already.
    lab.again(&format!("endpoint remove {id}"), &id);
    lab.check_whole();
    // Its address is free again, and so is the MAC that goes with it.
    lab.fixture.container("b", "web", &format!("--ip {VICTIM}"));
    let c = lab.fixture.container("c", "web", "");
    let reached = probe::ping(&c.netns, VICTIM.parse().unwrap(), tests::PATIENCE).unwrap();
    assert!(reached.is_some());
}
