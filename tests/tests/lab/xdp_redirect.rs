//! XDP gives unicast to veth endpoints: as tc would, and without tc.

use serde_json::Value;
use tests::{
    AfXdp, Container, Fixture, PATIENCE, attach_xdp, clear_for_xdp, expected, silence,
    xdp_arguments, xdp_redirected,
};
use vnet_user::lab::{EthernetFrame, Mac, Netns, PacketType, RawSocket};

const FAR: Mac = Mac([2, 0, 0, 0, 0, 0x77]);
const HEARD: Mac = Mac([2, 0, 0, 0, 0, 0x78]);
const REDIRECT: &str = "--xdp redirect --far-end-checksums";

/// True where endpoints are netkit pairs, into which XDP can't redirect; `xdp_attach.rs` has the refusal.
fn has_netkit() -> bool {
    expected::endpoint_device().as_deref() == Some("netkit")
}

struct Lab {
    fixture: Fixture,
    wire: RawSocket,
}

impl Lab {
    /// None with netkit endpoints.
    fn new(options: &str) -> Option<Self> {
        if has_netkit() {
            return None;
        }
        let fixture = Fixture::new();
        for netns in [fixture.host(), fixture.wire()] {
            silence(&netns);
        }
        clear_for_xdp(&fixture);
        attach_xdp(&fixture, options);
        Some(Self {
            wire: fixture.wire_raw(),
            fixture,
        })
    }

    /// With a container on VLAN 200.
    fn with_container(options: &str) -> Option<(Self, Container)> {
        let mut lab = Self::new(options)?;
        lab.fixture.network("web", "--vlan 200");
        let a = lab.container("a", "web", "");
        Some((lab, a))
    }

    fn container(&mut self, role: &str, network: &str, options: &str) -> Container {
        silence(self.fixture.lab.add(role).unwrap());
        self.fixture.endpoint(role, network, options)
    }

    /// Sends a frame that must come to a container like this, and tells whether it came by XDP.
    fn comes_by_xdp(&self, frame: EthernetFrame, to: &Container, expected: &EthernetFrame) -> bool {
        let ears = to.raw();
        let before = xdp_redirected(&self.fixture.host());
        self.wire.send(&frame).unwrap();
        let text = "to a container";
        let got = ears.expect(text, PATIENCE).unwrap();
        assert_eq!(got.wire_bytes(), expected.bytes());
        assert_eq!(got.packet_type, PacketType::Host);
        xdp_redirected(&self.fixture.host()) > before
    }
}

fn to(mac: Mac) -> EthernetFrame {
    EthernetFrame::experiment(mac, FAR, "to a container")
}

fn traffic(fixture: &Fixture, id: &str) -> (u64, u64) {
    let shown = fixture.shown_endpoint(id);
    let of = |name: &str| shown[name].as_u64().unwrap();
    (of("rx_packets"), of("rx_bytes"))
}

#[test]
fn unicast_goes_by_xdp_without_its_segments_tags() {
    let Some(mut lab) = Lab::new(REDIRECT) else {
        return;
    };
    lab.fixture.network("web", "--vlan 200");
    lab.fixture.network("pub", "");
    lab.fixture.network("two", "--outer-vlan 100 --vlan 60");
    lab.fixture.network("priv", "--vlan 300 --mode private");
    let [a, b, c, d] = [("a", "web"), ("b", "pub"), ("c", "two"), ("d", "priv")]
        .map(|(role, network)| lab.container(role, network, ""));
    let cases = [
        ("untagged", to(b.mac), &b, to(b.mac)),
        ("a priority tag", to(b.mac).tagged(0, 5), &b, to(b.mac)),
        ("a VLAN", to(a.mac).tagged(200, 3), &a, to(a.mac)),
        (
            "a tag of its own inside",
            to(a.mac).tagged(5, 1).tagged(200, 3),
            &a,
            to(a.mac).tagged(5, 1),
        ),
        (
            "two tags",
            to(c.mac).tagged(60, 0).tagged_as(0x88a8, 100, 0),
            &c,
            to(c.mac),
        ),
        ("private", to(d.mac).tagged(300, 0), &d, to(d.mac)),
    ];
    for (text, frame, container, expected) in cases {
        let before = traffic(&lab.fixture, &container.id);
        let bytes = expected.bytes().len() as u64;
        assert!(lab.comes_by_xdp(frame, container, &expected), "{text}");
        let after = traffic(&lab.fixture, &container.id);
        assert_eq!(
            after,
            (before.0 + 1, before.1 + bytes),
            "{text}: its counters"
        );
    }
}

#[test]
fn what_does_not_fit_comes_by_tc() {
    let Some(mut lab) = Lab::new(REDIRECT) else {
        return;
    };
    lab.fixture
        .network("qos", "--vlan 200 --ingress-qos-map 3:5");
    lab.fixture.network("small", "--vlan 201 --mtu 1000");
    lab.fixture.network("all", "--vlan 300 --mode passthru");
    let a = lab.container("a", "qos", "");
    let b = lab.container("b", "small", "");
    let p = lab.container("p", "all", "");
    assert!(!lab.comes_by_xdp(to(a.mac).tagged(200, 3), &a, &to(a.mac)));
    let stranger = Mac([2, 0, 0, 0, 0, 0x99]);
    assert!(!lab.comes_by_xdp(to(stranger).tagged(300, 0), &p, &to(stranger)));
    assert!(lab.comes_by_xdp(to(p.mac).tagged(300, 0), &p, &to(p.mac)));
    // Longer than the link takes.
    let large = |bytes: usize| {
        let text = format!("to a container {}", "x".repeat(bytes));
        EthernetFrame::experiment(b.mac, FAR, &text)
    };
    let most = 1000 - "to a container ".len();
    assert!(lab.comes_by_xdp(large(most).tagged(201, 0), &b, &large(most)));
    assert!(!lab.comes_by_xdp(large(most + 1).tagged(201, 0), &b, &large(most + 1)));
}

#[test]
fn a_frame_that_is_heard_in_source_mode_goes_to_all_who_get_it() {
    let Some((mut lab, a)) = Lab::with_container(REDIRECT) else {
        return;
    };
    lab.fixture.network("ears", "--vlan 200 --mode source");
    let s = lab.container("s", "ears", &format!("--source {HEARD}"));
    let ears = RawSocket::open(&s.netns, "eth0").unwrap();
    let frame = EthernetFrame::experiment(a.mac, HEARD, "to a container");
    assert!(!lab.comes_by_xdp(frame.clone().tagged(200, 0), &a, &frame));
    ears.expect("to a container", PATIENCE).unwrap();
    assert!(lab.comes_by_xdp(to(a.mac).tagged(200, 0), &a, &to(a.mac)));
}

#[test]
fn redirect_filters_too() {
    let options = format!("{REDIRECT} --unknown-vlan drop --unknown-unicast drop");
    let Some((lab, a)) = Lab::with_container(&options) else {
        return;
    };
    assert!(lab.comes_by_xdp(to(a.mac).tagged(200, 0), &a, &to(a.mac)));
    lab.wire.send(&to(a.mac).tagged(201, 0)).unwrap();
    lab.wire.send(&to(FAR).tagged(200, 0)).unwrap();
    lab.fixture.wait_reason("filtered_vlan", 1);
    lab.fixture.wait_reason("filtered_unicast", 1);
}

#[test]
fn a_living_uplink_goes_over_to_redirect_and_back() {
    let Some((lab, a)) = Lab::with_container("") else {
        return;
    };
    let gro = |on: bool| {
        let shown = a.netns.sh("ethtool -k eth0").unwrap();
        let wanted = format!("generic-receive-offload: {}", if on { "on" } else { "off" });
        assert!(shown.contains(&wanted), "{shown}");
    };
    let frame = || to(a.mac).tagged(200, 0);
    assert!(!lab.comes_by_xdp(frame(), &a, &to(a.mac)));
    gro(false);
    let said = attach_xdp(&lab.fixture, REDIRECT);
    assert!(
        said.contains("XDP native drops nothing, delivery by XDP redirect"),
        "{said}"
    );
    gro(true);
    assert!(lab.comes_by_xdp(frame(), &a, &to(a.mac)));
    // A NIC that comes to take tags off: XDP would see a frame of another VLAN as an untagged one.
    let host = lab.fixture.host();
    host.sh("ethtool -K enp0s8 rxvlan on").unwrap();
    let said = lab.fixture.vnet.run("show").unwrap().stderr;
    assert!(
        said.contains("delivery") && said.contains("rxvlan off"),
        "{said}"
    );
    assert!(!lab.comes_by_xdp(frame(), &a, &to(a.mac)));
    host.sh("ethtool -K enp0s8 rxvlan off").unwrap();
    lab.fixture.ok("show");
    assert!(lab.comes_by_xdp(frame(), &a, &to(a.mac)));
    attach_xdp(&lab.fixture, "--xdp off");
    assert!(!lab.comes_by_xdp(frame(), &a, &to(a.mac)));
    gro(false);
    // An endpoint that is gone leaves nothing behind.
    attach_xdp(&lab.fixture, REDIRECT);
    lab.fixture.ok(&format!("endpoint remove {}", a.id));
    let receivers = lab.fixture.vnet.pins().join("enp0s8/xdp_receivers");
    let dump = format!("bpftool -j map dump pinned {}", receivers.display());
    let dump: Value = serde_json::from_str(&host.sh(&dump).unwrap()).unwrap();
    assert_eq!(dump, serde_json::json!([]));
}

#[test]
fn what_would_break_traffic_is_refused() {
    if has_netkit() {
        return;
    }
    let fixture = Fixture::new();
    let wants = |options: &str, named: &[&str]| {
        fixture.refused(&xdp_arguments(options), named);
    };
    wants(
        "--xdp redirect",
        &[
            "checksums",
            "ethtool -K DEVICE tx off",
            "--far-end-checksums",
        ],
    );
    wants(
        REDIRECT,
        &["--xdp redirect", "ethtool -K enp0s8 rxvlan off"],
    );
    clear_for_xdp(&fixture);
    let generic = format!("{REDIRECT} --xdp-mode generic");
    wants(&generic, &["GRO", "--xdp-mode native"]);
    attach_xdp(&fixture, REDIRECT);
    let said = fixture.show()["uplinks"][0]["endpoint_device"].clone();
    assert_eq!(said, "veth");
}

#[test]
fn an_af_xdp_socket_in_a_container_receives() {
    let Some((lab, a)) = Lab::with_container(REDIRECT) else {
        return;
    };
    let socket = AfXdp::open(&a.netns, "eth0");
    for number in 0..500 {
        let frame = EthernetFrame::experiment(a.mac, FAR, &format!("number {number}."));
        lab.wire.send(&frame.clone().tagged(200, 0)).unwrap();
        let got = socket.receive(PATIENCE).expect("a frame by AF_XDP");
        assert_eq!(got, frame.bytes(), "frame {number}");
    }
}

#[test]
fn a_flood_by_xdp_is_accounted_for() {
    let Some((lab, a)) = Lab::with_container(REDIRECT) else {
        return;
    };
    let frames: u64 = if expected::is_emulated() {
        5_000
    } else {
        50_000
    };
    let count = |netns: &Netns, device: &str, direction: &str, what: &str| {
        let shown = netns.ip(&format!("-s -j link show dev {device}")).unwrap();
        let shown: Value = serde_json::from_str(&shown).unwrap();
        shown[0]["stats64"][direction][what].as_u64().unwrap()
    };
    let wire = lab.fixture.wire();
    let arrived = || count(&a.netns, "eth0", "rx", "packets");
    // A cable that is full loses them before they come to vnet.
    let never_came = || count(&wire, "enp0s8", "tx", "dropped");
    let given = || {
        let stats: Value = serde_json::from_str(&lab.fixture.ok("stats --json")).unwrap();
        let endpoint = &stats[0]["endpoints"][0];
        let of = |name: &str| endpoint[name].as_u64().unwrap();
        (of("rx_packets"), of("lost"))
    };
    let before = (arrived(), never_came(), given());
    let frame = to(a.mac).tagged(200, 0);
    (0..frames).for_each(|_| lab.wire.send(&frame).unwrap());
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        let (rx, lost) = given();
        let (rx, lost) = (rx - before.2.0, lost - before.2.1);
        let arrived = arrived() - before.0;
        let never_came = never_came() - before.1;
        if rx + never_came == frames && arrived + lost == rx {
            println!(
                "{frames} frames: {never_came} never came, {rx} by XDP, {lost} lost behind it"
            );
            return;
        }
        assert!(
            std::time::Instant::now() < deadline,
            "{frames} sent, {never_came} never came, {rx} given, {arrived} arrived, {lost} lost"
        );
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
}
