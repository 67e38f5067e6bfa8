//! A bond that sends by another port: its switch must learn where the endpoints' addresses are now.

use std::time::{Duration, Instant};

use tests::{
    Container, Fixture, PATIENCE, Watching, announces_ipv4, announces_ipv6, eventually, mac_of,
};
use vnet_user::lab::{Captured, Lab, Netns, RawSocket};

/// Longer than `serve` waits for a bond to tell its neighbours: what it announces again comes by then.
const AGAIN: Duration = Duration::from_secs(2);

/// A host whose `enp0s8` is a bond of `port0` and `port1`, with a cable each, and a container on VLAN 200 behind it.
struct Bond {
    fixture: Fixture,
    container: Container,
}

impl Bond {
    fn new() -> Self {
        let lab = Lab::new("vnet-nic")
            .host("host")
            .host("wire")
            .wire(("host", "port0"), ("wire", "port0"))
            .wire(("host", "port1"), ("wire", "port1"))
            .build()
            .unwrap();
        let mut fixture = Fixture::with(lab);
        let host = fixture.host();
        for step in [
            "link add enp0s8 type bond mode active-backup miimon 100",
            "link set port0 down",
            "link set port1 down",
            "link set port0 master enp0s8",
            "link set port1 master enp0s8",
            "link set enp0s8 up",
        ] {
            host.ip(step).unwrap();
        }
        let bond = |fixture: &Fixture| active(&fixture.host());
        eventually("active port", &"port0".to_owned(), || bond(&fixture));
        fixture.attach();
        fixture.network(
            "web",
            "--vlan 200 --subnet 192.168.200.0/24 --subnet fd00:200::/64",
        );
        let container = fixture.container("a", "web", "--ip 192.168.200.2 --ip fd00:200::2");
        Self { fixture, container }
    }

    /// Takes the cable of one port away, and gives the other its own back. Returns what that one's far end hears from then.
    fn move_to(&self, port: &str, from: &str) -> RawSocket {
        let wire = self.fixture.wire();
        wire.ip(&format!("link set {port} up")).unwrap();
        let host = self.fixture.host();
        eventually("carrier of the other port", &true, || {
            host.ip(&format!("link show dev {port}"))
                .unwrap()
                .contains("LOWER_UP")
        });
        let heard = RawSocket::open(&wire, port).unwrap();
        wire.ip(&format!("link set {from} down")).unwrap();
        heard
    }

    fn is_announced(&self, frame: &Captured) -> [bool; 2] {
        let (ipv4, ipv6) = ("192.168.200.2", "fd00:200::2");
        let tagged = frame.tag.map(|tag| tag.vlan()) == Some(200);
        [
            tagged && announces_ipv4(frame, self.container.mac, ipv4.parse().unwrap()),
            tagged && announces_ipv6(frame, ipv6.parse().unwrap()),
        ]
    }

    /// Waits for the announcements of both addresses, and for a while after that. Returns how many came of each, and all
    /// that was heard.
    fn announcements(&self, heard: &RawSocket) -> ([usize; 2], Vec<Captured>) {
        let mut counts = [0; 2];
        let mut frames = Vec::new();
        let mut deadline = Instant::now() + PATIENCE;
        while let Some(frame) = heard.receive(deadline).unwrap() {
            let missing = counts.contains(&0);
            for (count, announced) in counts.iter_mut().zip(self.is_announced(&frame)) {
                *count += usize::from(announced);
            }
            if missing && !counts.contains(&0) {
                deadline = Instant::now() + AGAIN;
            }
            frames.push(frame);
        }
        (counts, frames)
    }
}

/// The port that the bond sends by.
fn active(host: &Netns) -> String {
    let shown = host.ip("-d -j link show dev enp0s8").unwrap();
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    let port = &shown[0]["linkinfo"]["info_data"]["active_slave"];
    port.as_str().unwrap_or_default().to_owned()
}

#[test]
fn a_bond_that_fails_over_announces_its_endpoints_as_macvlans_are() {
    let mut bond = Bond::new();
    let host = bond.fixture.host();
    let macvlan = Netns::clone(bond.fixture.lab.add("macvlan").unwrap());
    let name = macvlan.name();
    host.ip(&format!(
        "link add link enp0s8 name eth0 netns {name} type macvlan mode bridge"
    ))
    .unwrap();
    macvlan.ip("addr add 192.168.1.9/24 dev eth0").unwrap();
    macvlan.ip("link set eth0 up").unwrap();

    let serve = Watching::start(&bond.fixture);
    let mac = mac_of(&macvlan, "eth0");
    let heard = bond.move_to("port1", "port0");
    let (counts, frames) = bond.announcements(&heard);
    assert_eq!(counts, [1, 1]);
    let of_macvlan = |frame: &Captured| {
        announces_ipv4(frame, mac, "192.168.1.9".parse().unwrap()) && frame.tag.is_none()
    };
    assert_eq!(frames.iter().filter(|frame| of_macvlan(frame)).count(), 1);
    serve.says(&["enp0s8: is reached by another way now"]);
    assert_eq!(active(&host), "port1");

    // It fails over while nobody watches.
    serve.kill();
    let heard = bond.move_to("port0", "port1");
    eventually("active port", &"port0".to_owned(), || active(&host));
    let serve = Watching::start(&bond.fixture);
    assert_eq!(bond.announcements(&heard).0, [1, 1]);
    serve.end();

    // And nothing happened since.
    let serve = Watching::start(&bond.fixture);
    assert_eq!(serve.said(), [""; 0]);
    serve.end();
}
