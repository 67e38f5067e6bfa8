//! Modes, guards and segments of two tags from the command line, on a living network.

use tests::{Container, Fixture, PATIENCE, SILENCE};
use vnet_user::lab::{EthernetFrame, Mac, RawSocket, probe};

const FAR: Mac = Mac([2, 0, 0, 0, 0, 0x77]);
const VIRTUAL: Mac = Mac([0, 0, 0x5e, 0, 1, 1]);

/// Two containers of a network on VLAN 200.
fn two(options: &str) -> (Fixture, [Container; 2]) {
    let mut fixture = Fixture::attached();
    let subnet = "--vlan 200 --subnet 192.168.200.0/24";
    fixture.network("web", &format!("{subnet} {options}"));
    let a = fixture.container("a", "web", "--ip 192.168.200.2");
    let b = fixture.container("b", "web", "--ip 192.168.200.3");
    (fixture, [a, b])
}

fn reaches(from: &Container, address: &str) -> bool {
    let answer = probe::ping(&from.netns, address.parse().unwrap(), SILENCE).unwrap();
    answer.is_some()
}

/// Whether a frame of this text comes to a container from the wire, before one that must come.
fn heard(fixture: &Fixture, container: &Container, ears: &RawSocket, source: Mac) -> bool {
    let wire = fixture.wire_raw();
    let frame = EthernetFrame::experiment(Mac::BROADCAST, source, "from a source");
    wire.send(&frame.tagged(200, 0)).unwrap();
    let marked = EthernetFrame::experiment(container.mac, FAR, "marker");
    wire.send(&marked.tagged(200, 0)).unwrap();
    let before = ears.before("from a source", "marker", PATIENCE).unwrap();
    !before.is_empty()
}

#[test]
fn a_living_network_changes_its_mode_and_keeps_its_endpoints() {
    let (fixture, [a, b]) = two("");
    a.pings("192.168.200.3");
    fixture.ok("network set web --mode private");
    assert!(!reaches(&a, "192.168.200.3"));
    assert!(!reaches(&b, "192.168.200.2"));
    let _router = fixture.vlan_end(200, &["192.168.200.100/24"]);
    a.pings("192.168.200.100");
    fixture.ok("network set web --mode vepa");
    assert!(!reaches(&a, "192.168.200.3"), "the wire sends nothing back");
    fixture.ok("network set web --mode bridge");
    a.pings("192.168.200.3");
    assert_eq!(fixture.shown_endpoint(&a.id)["mode"], "bridge");
    fixture.refused(
        "network set web --mode passthru",
        &["web", "bridge", "passthru"],
    );
    let wrong = fixture.vnet.run("network set web --mode hairpin").unwrap();
    assert_eq!(wrong.code, Some(2));
    assert!(
        wrong.stderr.contains("hairpin") && wrong.stderr.contains("vepa"),
        "{wrong:?}"
    );
}

#[test]
fn an_endpoint_in_source_mode_hears_what_is_on_its_list() {
    let mut fixture = Fixture::attached();
    fixture.network("spy", "--vlan 200 --mode source");
    let listed = Mac([2, 0, 0, 0, 0, 0x78]);
    let container = fixture.container("a", "spy", &format!("--source {FAR}"));
    let ears = container.raw();
    let id = &container.id;
    assert!(!heard(&fixture, &container, &ears, listed));
    // The marker is from FAR, so that stays on the list.
    for (change, hears) in [
        (format!("add {listed}"), true),
        (format!("del {listed}"), false),
        (format!("set {listed} {FAR}"), true),
        (format!("set {FAR}"), false),
    ] {
        fixture.ok(&format!("endpoint sources {id} {change}"));
        assert_eq!(
            heard(&fixture, &container, &ears, listed),
            hears,
            "{change}"
        );
    }
    let flushed = fixture.ok(&format!("endpoint sources {id} flush --json"));
    assert!(!flushed.contains(&FAR.to_string()), "{flushed}");
    let sources = fixture.shown_endpoint(id)["sources"].clone();
    assert_eq!(sources, serde_json::json!([]));

    // A list goes with its mode.
    fixture.ok(&format!("endpoint sources {id} add {listed}"));
    fixture.ok("network set spy --mode private");
    fixture.refused(
        &format!("endpoint sources {id} add {listed}"),
        &["spy", "private"],
    );
    fixture.ok("network set spy --mode source");
    let sources = fixture.shown_endpoint(id)["sources"].clone();
    assert_eq!(sources, serde_json::json!([]));
}

#[test]
fn passthru_has_its_segment_for_itself() {
    let mut fixture = Fixture::attached();
    fixture.network("all", "--vlan 200 --mode passthru");
    let create = |options: &str| format!("network create other --parent enp0s8 {options}");
    fixture.refused(&create("--vlan 200"), &["all", "VLAN 200"]);
    let only = fixture.container("a", "all", "");
    assert_eq!(only.mac, fixture.host().mac_of("enp0s8").unwrap());
    let netns = fixture.lab.add("b").unwrap().name().to_owned();
    let second = format!("endpoint add --network all --netns {netns}");
    fixture.refused(&second, &["all", &only.id]);
    fixture.refused(
        "network set all --mode bridge",
        &["all", "passthru", "bridge"],
    );
    // Whatever address a frame is for.
    let ears = only.raw();
    let frame = EthernetFrame::experiment(VIRTUAL, FAR, "for anybody");
    fixture
        .wire_raw()
        .send(&frame.clone().tagged(200, 0))
        .unwrap();
    assert_eq!(
        ears.expect("for anybody", PATIENCE).unwrap().bytes,
        frame.bytes()
    );
    // And the container speaks for whom it likes.
    let frame = EthernetFrame::experiment(FAR, VIRTUAL, "from anybody");
    let wire = fixture.wire_raw();
    ears.send(&frame).unwrap();
    let seen = wire.expect("from anybody", PATIENCE).unwrap();
    assert_eq!(seen.wire_bytes(), frame.tagged(200, 0).bytes());
    fixture.ok(&create("--vlan 201"));
    fixture.ok("network remove other");
}

#[test]
fn a_guard_lets_out_the_endpoints_own_address_and_those_that_are_allowed() {
    let (fixture, [a, _b]) = two(&format!("--allow-mac {VIRTUAL}"));
    let (inside, wire) = (a.raw(), fixture.wire_raw());
    let before = fixture.reason("source_not_allowed");
    let stranger = EthernetFrame::experiment(FAR, Mac([2, 0, 0, 0, 0, 0x99]), "a stranger's");
    // netkit tells the sender of the drop.
    let _ = inside.send(&stranger);
    inside
        .send(&EthernetFrame::experiment(FAR, VIRTUAL, "allowed"))
        .unwrap();
    assert!(
        wire.before("a stranger's", "allowed", PATIENCE)
            .unwrap()
            .is_empty()
    );
    assert_eq!(fixture.reason("source_not_allowed"), before + 1);

    fixture.ok("network set web --guard off");
    inside.send(&stranger).unwrap();
    wire.expect("a stranger's", PATIENCE).unwrap();
}

#[test]
fn two_tags_are_pushed_and_popped_and_cost_nothing_when_they_are_gone() {
    let mut fixture = Fixture::attached();
    fixture.ok("network create inner --parent enp0s8.100.60 --subnet 10.60.0.0/24");
    let a = fixture.container("a", "inner", "--ip 10.60.0.2");
    let (inside, wire) = (a.raw(), fixture.wire_raw());
    let out = EthernetFrame::experiment(FAR, a.mac, "outwards");
    inside.send(&out).unwrap();
    let seen = wire.expect("outwards", PATIENCE).unwrap();
    let tagged = |frame: EthernetFrame| frame.tagged(60, 0).tagged_as(0x88a8, 100, 0);
    assert_eq!(seen.wire_bytes(), tagged(out).bytes());
    for (destination, text) in [(a.mac, "to one"), (Mac::BROADCAST, "to all")] {
        let back = EthernetFrame::experiment(destination, FAR, text);
        wire.send(&tagged(back.clone())).unwrap();
        let seen = inside.expect(text, PATIENCE).unwrap();
        assert_eq!(
            (seen.bytes.as_slice(), seen.tag),
            (back.bytes(), None),
            "{text}"
        );
    }
    let show = |fixture: &Fixture| fixture.show()["uplinks"][0]["variant"]["qinq"].clone();
    assert_eq!(show(&fixture), true);
    fixture.ok(&format!("endpoint remove {}", a.id));
    fixture.ok("network remove inner");
    assert_eq!(show(&fixture), false);
}

#[test]
fn options_that_make_no_sense_together_are_refused() {
    let fixture = Fixture::attached();
    let refused = |options: &str, named: &[&str]| {
        let create = format!("network create web --parent enp0s8 {options}");
        fixture.refused(&create, named);
    };
    refused("--outer-vlan 100", &["100", "--vlan"]);
    refused("--nodst", &["nodst", "bridge"]);
    refused("--mode private --nodst", &["nodst", "private"]);
    fixture.network("web", "--vlan 200");
    let netns = fixture.lab.get("wire").unwrap().name().to_owned();
    let add = format!("endpoint add --network web --netns {netns} --source {FAR}");
    fixture.refused(&add, &["web", "bridge", "source"]);
    for wrong in [
        "--outer-vlan 0 --vlan 60",
        "--vlan 60 --outer-vlan 4095",
        "--guard maybe",
    ] {
        let create = format!("network create other --parent enp0s8 {wrong}");
        let outcome = fixture.vnet.run(&create).unwrap();
        assert_eq!(outcome.code, Some(2), "{outcome:?}");
        assert_eq!(outcome.stderr.lines().count(), 1, "{outcome:?}");
    }
}
