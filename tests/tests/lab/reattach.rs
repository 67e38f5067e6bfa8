//! A datapath that was lost, or that is of another vnet version, comes back by `attach`.

use std::fs;

use tests::{Fixture, Web, attach_arguments, check_refused, expected};
use vnet_user::lab::Outcome;

fn datapath(fixture: &Fixture) -> String {
    fixture.show()["uplinks"][0]["datapath"]
        .as_str()
        .unwrap()
        .to_owned()
}

/// A map's id tells whether it is still the same.
fn fdb_id(fixture: &Fixture) -> u64 {
    let fdb = fixture.vnet.pins().join("enp0s8/fdb");
    let shown = fixture
        .host()
        .sh(&format!("bpftool -j map show pinned {}", fdb.display()));
    let shown: serde_json::Value = serde_json::from_str(&shown.unwrap()).unwrap();
    shown["id"].as_u64().unwrap()
}

#[test]
fn a_datapath_whose_pins_are_gone_is_reported_and_brought_back_with_its_endpoints() {
    let mut web = Web::new();
    web.check_traffic();
    web.fixture.vnet.lose_pins().unwrap();
    assert_eq!(datapath(&web.fixture), "no_programs");
    let shown = web.fixture.ok("show");
    assert!(shown.contains("DATAPATH GONE"), "{shown}");
    let netns = web.fixture.lab.add("c").unwrap().name().to_owned();
    web.fixture.refused(
        &format!("endpoint add --network web --netns {netns}"),
        &["enp0s8", "attach"],
    );

    let said = web.fixture.attach();
    assert!(said.starts_with("enp0s8: attached ("), "{said}");
    assert_eq!(datapath(&web.fixture), "running");
    web.check_traffic();
    web.fixture.endpoint("c", "web", "");
    web.fixture.ok("detach --iface enp0s8 --force");
    let qdiscs = web.fixture.host().sh("tc qdisc show dev enp0s8").unwrap();
    assert!(!qdiscs.contains("clsact"), "{qdiscs}");
}

#[test]
fn endpoints_keep_their_kind_of_device() {
    let web = Web::new();
    let Some(device) = expected::endpoint_device() else {
        panic!("VNET_ENDPOINT_DEVICE must say which device the endpoints have");
    };
    let other = if device == "veth" { "netkit" } else { "veth" };
    let attach = format!("attach --iface enp0s8 --endpoint-device {other}");
    web.fixture.refused(&attach, &[other, &device]);
    web.fixture.vnet.lose_pins().unwrap();
    web.fixture.refused(&attach, &[other, &device]);
}

#[test]
fn an_uplink_that_came_back_as_another_interface_gets_its_networks_again() {
    let mut web = Web::new();
    let (host, wire) = (web.fixture.host(), web.fixture.wire());
    drop(web.router.take());
    host.ip("link del enp0s8").unwrap();
    assert_eq!(datapath(&web.fixture), "no_interface");
    let netns = web.containers[0].netns.name().to_owned();
    web.fixture.refused(
        &format!("endpoint add --network web --netns {netns} --ifname eth1"),
        &["enp0s8", "gone"],
    );
    host.ip(&format!(
        "link add enp0s8 type veth peer name enp0s8 netns {}",
        wire.name()
    ))
    .unwrap();
    for end in [&host, &wire] {
        end.ip("link set enp0s8 up").unwrap();
    }
    web.fixture.attach();
    web.router = Some(web.fixture.vlan_end(200, &["192.168.200.100/24"]));
    web.check_traffic();
}

#[test]
fn maps_of_another_version_are_replaced_by_attach_alone() {
    let web = Web::new();
    let file = web.fixture.vnet.state().join("state.json");
    let state = fs::read_to_string(&file).unwrap();
    let mut state: serde_json::Value = serde_json::from_str(&state).unwrap();
    state["uplinks"]["enp0s8"]["layout"] = 1.into();
    fs::write(&file, state.to_string()).unwrap();

    assert_eq!(datapath(&web.fixture), "other_version");
    let netns = web.containers[0].netns.name().to_owned();
    web.fixture.refused(
        &format!("endpoint add --network web --netns {netns} --ifname eth1"),
        &["enp0s8", "version", "attach"],
    );
    let before = fdb_id(&web.fixture);
    let said = web.fixture.attach();
    assert!(said.contains("programs replaced"), "{said}");
    assert_ne!(fdb_id(&web.fixture), before, "the old map is still there");
    assert_eq!(datapath(&web.fixture), "running");
    web.check_traffic();
    let names = fs::read_dir(web.fixture.vnet.pins()).unwrap();
    assert_eq!(names.count(), 1, "only the pins of enp0s8");
}

/// The kernel's refusal is made by strace, at a different one of the command's calls each time.
#[test]
fn an_attach_that_the_kernel_refuses_changes_nothing() {
    let web = Web::new();
    web.fixture.vnet.lose_pins().unwrap();
    let before = web.fixture.settled();
    let mut refused = 0;
    let step = if expected::is_emulated() { 24 } else { 8 };
    for call in (1..64).step_by(step) {
        let strace = format!(
            "strace -f -qq -o /dev/null -e trace=bpf -e inject=bpf:error=ENOMEM:when={call}+"
        );
        let attach = attach_arguments("enp0s8");
        let mut command = web.fixture.vnet.command_under(&strace, &attach);
        let outcome = Outcome::from_output("attach".to_owned(), &command.output().unwrap());
        if outcome.ok() {
            break;
        }
        refused += 1;
        check_refused(&outcome);
        assert_eq!(
            web.fixture.settled(),
            before,
            "refused from call {call} on: {outcome:?}"
        );
    }
    assert!(refused > 1, "only {refused} calls were refused");
    web.fixture.attach();
    web.check_traffic();
}
