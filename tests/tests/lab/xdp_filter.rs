//! XDP drops what nobody here wants, and nothing else.

use tests::{Container, Fixture, PATIENCE, attach_xdp, clear_for_xdp, expected, mac_of, silence};
use vnet_user::lab::{EthernetFrame, Mac, RawSocket};

const FAR: Mac = Mac([2, 0, 0, 0, 0, 0x77]);
const NOBODY: Mac = Mac([2, 0, 0, 0, 0, 0x99]);
/// An address that the host has told its NIC to let through.
const SECOND: Mac = Mac([2, 0, 0, 0, 0, 0x55]);

/// A container on VLAN 200 and one untagged, and what comes to the host behind XDP.
struct Lab {
    fixture: Fixture,
    wire: RawSocket,
    host: RawSocket,
    a: Container,
    b: Container,
}

impl Lab {
    fn new(options: &str) -> Self {
        let mut fixture = Fixture::new();
        for netns in [fixture.host(), fixture.wire()] {
            silence(&netns);
        }
        clear_for_xdp(&fixture);
        attach_xdp(&fixture, options);
        fixture.network("web", "--vlan 200");
        fixture.network("pub", "");
        let a = fixture.container("a", "web", "");
        let b = fixture.container("b", "pub", "");
        Self {
            wire: fixture.wire_raw(),
            host: RawSocket::open(&fixture.host(), "enp0s8").unwrap(),
            fixture,
            a,
            b,
        }
    }

    fn host_mac(&self) -> Mac {
        mac_of(&self.fixture.host(), "enp0s8")
    }

    /// Sends a frame from the wire, and tells whether the host sees it.
    fn passes(&self, frame: EthernetFrame, text: &str) -> bool {
        self.wire.send(&frame).unwrap();
        let marker = format!("marker behind {text}");
        self.wire
            .send(&EthernetFrame::experiment(Mac::BROADCAST, FAR, &marker))
            .unwrap();
        let seen = self.host.before(text, &marker, PATIENCE).unwrap();
        !seen.is_empty()
    }

    /// The same of a broadcast with this tag.
    fn vlan_passes(&self, tpid: u16, vlan: u16) -> bool {
        let text = format!("to all on {tpid:x} {vlan}.");
        let frame = EthernetFrame::experiment(Mac::BROADCAST, FAR, &text);
        self.passes(frame.tagged_as(tpid, vlan, 0), &text)
    }

    /// The same of unicast, untagged.
    fn mac_passes(&self, mac: Mac) -> bool {
        let text = format!("to {mac}.");
        self.passes(EthernetFrame::experiment(mac, FAR, &text), &text)
    }

    /// Any command looks after what has changed. Returns what it said.
    fn look(&self) -> String {
        let outcome = self.fixture.vnet.run("show").unwrap();
        assert!(outcome.ok(), "{outcome:?}");
        outcome.stderr
    }
}

#[test]
fn vlans_that_nobody_uses_are_dropped_and_counted() {
    for mode in ["native", "generic"] {
        let lab = Lab::new(&format!(
            "--xdp filter --unknown-vlan drop --xdp-mode {mode}"
        ));
        let cases = [
            (0x8100, 200, true),
            (0x8100, 201, false),
            (0x8100, 4094, false),
            (0x88a8, 200, false),
            // Priority tags are no VLAN's.
            (0x8100, 0, true),
            (0x88a8, 0, true),
        ];
        for (tpid, vlan, passes) in cases {
            assert_eq!(
                lab.vlan_passes(tpid, vlan),
                passes,
                "{mode}: {tpid:x} {vlan}"
            );
        }
        assert!(lab.mac_passes(NOBODY), "{mode}: that was not asked for");
        let dropped = cases.iter().filter(|(_, _, passes)| !passes).count() as u64;
        assert_eq!(lab.fixture.reason("filtered_vlan"), dropped, "{mode}");
        assert_eq!(lab.fixture.reason("filtered_unicast"), 0, "{mode}");
        let stats = lab.fixture.ok("stats");
        assert!(stats.contains("filtered_vlan"), "{stats}");

        // Networks that come and go are followed at once.
        lab.fixture.network("more", "--vlan 201");
        assert!(lab.vlan_passes(0x8100, 201), "{mode}");
        lab.fixture.network("two", "--outer-vlan 100 --vlan 60");
        assert!(lab.vlan_passes(0x88a8, 100), "{mode}");
        assert!(!lab.vlan_passes(0x8100, 100), "{mode}");
        for network in ["more", "two"] {
            lab.fixture.ok(&format!("network remove {network}"));
        }
        assert!(!lab.vlan_passes(0x8100, 201), "{mode}");
        assert!(!lab.vlan_passes(0x88a8, 100), "{mode}");
    }
}

#[test]
fn vlans_of_the_hosts_own_bridge_and_devices_are_spared() {
    let lab = Lab::new("--xdp filter --unknown-vlan drop");
    let host = lab.fixture.host();
    assert!(!lab.vlan_passes(0x8100, 31));
    host.ip("link add br0 type bridge").unwrap();
    host.ip("link set enp0s8 master br0").unwrap();
    if expected::has_8021q() {
        host.ip("link set br0 type bridge vlan_filtering 1")
            .unwrap();
        host.sh("bridge vlan add dev enp0s8 vid 30-32").unwrap();
        lab.look();
        for (vlan, passes) in [(29, false), (30, true), (31, true), (32, true), (33, false)] {
            assert_eq!(lab.vlan_passes(0x8100, vlan), passes, "{vlan}");
        }
        host.ip("link set br0 type bridge vlan_filtering 0")
            .unwrap();
    }
    // What a bridge that does not look at VLANs may want is anybody's guess.
    lab.look();
    assert!(lab.vlan_passes(0x8100, 33));
    host.ip("link set enp0s8 nomaster").unwrap();
    lab.look();
    assert!(!lab.vlan_passes(0x8100, 31));
    assert!(lab.vlan_passes(0x8100, 200));

    if expected::has_8021q() {
        host.ip("link add link enp0s8 name seven type vlan id 7")
            .unwrap();
        host.ip("link add link enp0s8 name mv0 type macvlan")
            .unwrap();
        host.ip("link add link mv0 name eight type vlan id 8")
            .unwrap();
        lab.look();
        assert!(lab.vlan_passes(0x8100, 7) && lab.vlan_passes(0x8100, 8));
        assert!(!lab.vlan_passes(0x88a8, 7));
        host.ip("link del seven").unwrap();
        lab.look();
        assert!(!lab.vlan_passes(0x8100, 7) && lab.vlan_passes(0x8100, 8));
    }
}

#[test]
fn unicast_for_nobody_is_dropped_and_counted() {
    for mode in ["native", "generic"] {
        let lab = Lab::new(&format!(
            "--xdp filter --unknown-unicast drop --xdp-mode {mode}"
        ));
        let host = lab.fixture.host();
        assert!(lab.mac_passes(lab.host_mac()), "{mode}");
        assert!(!lab.mac_passes(NOBODY), "{mode}");
        assert!(!lab.mac_passes(SECOND), "{mode}");
        assert!(
            lab.vlan_passes(0x8100, 201),
            "{mode}: that was not asked for"
        );
        assert_eq!(lab.fixture.reason("filtered_unicast"), 2, "{mode}");
        assert_eq!(lab.fixture.reason("filtered_vlan"), 0, "{mode}");
        // Endpoints get theirs, in their own segment alone.
        let (in_a, in_b) = (lab.a.raw(), lab.b.raw());
        let frame = |to, text| EthernetFrame::experiment(to, FAR, text);
        lab.wire.send(&frame(lab.a.mac, "astray")).unwrap();
        lab.wire
            .send(&frame(lab.b.mac, "astray").tagged(200, 0))
            .unwrap();
        lab.wire
            .send(&frame(lab.a.mac, "for a").tagged(200, 0))
            .unwrap();
        lab.wire.send(&frame(lab.b.mac, "for b")).unwrap();
        assert!(in_a.before("astray", "for a", PATIENCE).unwrap().is_empty());
        assert!(in_b.before("astray", "for b", PATIENCE).unwrap().is_empty());
        assert_eq!(lab.fixture.reason("filtered_unicast"), 4, "{mode}");

        host.sh(&format!(
            "bridge fdb add {SECOND} dev enp0s8 self permanent"
        ))
        .unwrap();
        lab.look();
        assert!(lab.mac_passes(SECOND), "{mode}");
        host.sh(&format!(
            "bridge fdb del {SECOND} dev enp0s8 self permanent"
        ))
        .unwrap();
        lab.look();
        assert!(!lab.mac_passes(SECOND), "{mode}");
    }
}

#[test]
fn a_host_that_comes_to_want_all_frames_gets_them() {
    let lab = Lab::new("--xdp filter --unknown-unicast drop");
    let host = lab.fixture.host();
    assert!(!lab.mac_passes(NOBODY));
    let tcpdump = RawSocket::open(&host, "enp0s8").unwrap();
    tcpdump.set_promiscuous(&host, "enp0s8").unwrap();
    let said = lab.look();
    assert!(
        said.contains("unknown unicast") && said.contains("promiscuous"),
        "{said}"
    );
    assert_eq!(lab.look(), "", "it is said once");
    assert!(lab.mac_passes(NOBODY));
    drop(tcpdump);
    let said = lab.look();
    assert!(said.contains("enp0s8") && said.contains("again"), "{said}");
    assert!(!lab.mac_passes(NOBODY));

    host.ip("link add br0 type bridge").unwrap();
    host.ip("link set enp0s8 master br0").unwrap();
    assert!(lab.look().contains("br0"));
    assert!(lab.mac_passes(NOBODY));
    host.ip("link set enp0s8 nomaster").unwrap();
    lab.look();
    assert!(!lab.mac_passes(NOBODY));
    // A new address of the host's own is followed too.
    host.ip(&format!("link set enp0s8 address {SECOND}"))
        .unwrap();
    lab.look();
    assert!(lab.mac_passes(SECOND));
}

#[test]
fn a_passthru_container_gets_what_is_for_anybody() {
    let mut lab = Lab::new("--xdp filter --unknown-unicast drop");
    lab.fixture.network("all", "--vlan 300 --mode passthru");
    let p = lab.fixture.container("p", "all", "");
    let frame = EthernetFrame::experiment(NOBODY, FAR, "for anybody").tagged(300, 0);
    let ears = p.raw();
    lab.wire.send(&frame).unwrap();
    ears.expect("for anybody", PATIENCE).unwrap();
    // vnet itself holds the NIC in promiscuous mode for that, which is no reason to hold back.
    assert_eq!(lab.look(), "");
    assert!(!lab.mac_passes(NOBODY));
}
