//! The programs alone, by `BPF_PROG_TEST_RUN`: verdicts and counters, for frames whose way needs no tag.
//!
//! A test run's frame comes in by the loopback device of this namespace, whose index is 1, so that is the endpoint here.

use std::path::PathBuf;

use aya::{TestRun, TestRunOptions, programs::SchedClassifier};
use vnet_common::{EVERY_MAC, KNOWN_VLAN_WORDS, Mac, Reason, Tag, known_vlan_bit};
use vnet_user::{
    datapath::{
        Maps, Pins, Programs,
        load::{self, FROM_ENDPOINT, FROM_UPLINK, LoadOptions},
        xdp,
    },
    model::{
        EndpointId, EndpointRequest, MacAddr, Network, Rows, State, Variant,
        endpoint::HostOnSegment,
        state::EndpointDevice,
        xdp::{HostRows, XdpMode},
    },
};

/// `enum xdp_action` of `include/uapi/linux/bpf.h`.
mod xdp_action {
    pub const XDP_DROP: u32 = 1;
    pub const XDP_PASS: u32 = 2;
}

const LOOPBACK: u32 = 1;
const HAND_ON: u32 = -1_i32 as u32;
const DROP: u32 = 2;
const REDIRECT: u32 = 7;

const OURS: Mac = [2, 0, 0, 0, 0, 0xa];
const THEIRS: Mac = [2, 0, 0, 0, 0, 0xf];
const BROADCAST: Mac = [0xff; 6];
const IPV4: [u8; 2] = [0x08, 0x00];
const DOT1Q: [u8; 2] = [0x81, 0x00];

/// Loaded programs with maps of their own, unpinned when dropped.
struct Loaded {
    programs: Programs,
    maps: Maps,
    pins: Pins,
}

impl Loaded {
    fn new(name: &str) -> Self {
        Self::with(name, Variant::default())
    }

    fn with(name: &str, variant: Variant) -> Self {
        let dir = PathBuf::from(format!(
            "/sys/fs/bpf/vnet-test-{}-programs",
            std::process::id()
        ));
        let pins = Pins::new(&dir, name);
        pins.create().unwrap();
        let options = LoadOptions {
            uplink_ifindex: LOOPBACK,
            endpoint_device: EndpointDevice::Veth,
            variant,
            log_level: log::LevelFilter::Off,
        };
        let programs = load::load(options, &pins).unwrap();
        let maps = Maps::open(&pins).unwrap();
        Self {
            programs,
            maps,
            pins,
        }
    }

    fn with_endpoint(mut self) -> Self {
        let mut state = State::default();
        let network = Network::on("lo");
        state.networks.insert("lan".into(), network);
        let request = EndpointRequest {
            mac: Some(MacAddr::try_from(OURS).unwrap()),
            ..EndpointRequest::in_network("lan", "c1")
        };
        let host = HostOnSegment {
            mac: MacAddr::try_from(THEIRS).ok(),
            addresses: [].into(),
        };
        let mut endpoint = request.plan(&state, &host, [0; 4]).unwrap();
        endpoint.host_ifindex = LOOPBACK;
        let id = EndpointId::from_random([0; 6]);
        state.endpoints.insert(id, endpoint);
        self.maps.reconcile(&Rows::wanted(&state, "lo")).unwrap();
        self
    }

    fn run(&mut self, program: &'static str, dst: Mac, src: Mac, ether_type: [u8; 2]) -> u32 {
        let frame = [&dst[..], &src, &ether_type, &[0; 46]].concat();
        let program: &mut SchedClassifier = load::program(&mut self.programs, program).unwrap();
        let options = TestRunOptions {
            data_in: Some(&frame),
            ..TestRunOptions::default()
        };
        program.test_run(options).unwrap().return_value
    }

    /// The same for an XDP program, and any bytes behind the addresses.
    fn run_xdp(&mut self, mode: XdpMode, dst: Mac, src: Mac, rest: &[u8]) -> u32 {
        let frame = [&dst[..], &src, rest, &[0; 42]].concat();
        let program = xdp::program(&mut self.programs, mode).unwrap();
        let options = TestRunOptions {
            data_in: Some(&frame),
            ..TestRunOptions::default()
        };
        program.test_run(options).unwrap().return_value
    }

    fn count(&self, reason: Reason) -> u64 {
        self.maps.reasons().unwrap()[reason.name()]
    }
}

impl Drop for Loaded {
    fn drop(&mut self) {
        self.pins.remove().unwrap();
        let _ = std::fs::remove_dir(self.pins.map("").parent().unwrap());
    }
}

#[test]
fn what_nobody_registered_is_handed_on_and_counted() {
    let mut loaded = Loaded::new("unknown");
    assert_eq!(loaded.run(FROM_UPLINK, OURS, THEIRS, IPV4), HAND_ON);
    assert_eq!(loaded.run(FROM_UPLINK, BROADCAST, THEIRS, IPV4), HAND_ON);
    assert_eq!(loaded.count(Reason::UnknownVlan), 2);
}

#[test]
fn a_frame_for_an_endpoint_is_redirected_and_counted() {
    let mut loaded = Loaded::new("deliver").with_endpoint();
    assert_eq!(loaded.run(FROM_UPLINK, OURS, THEIRS, IPV4), REDIRECT);
    assert_eq!(loaded.run(FROM_UPLINK, THEIRS, OURS, IPV4), HAND_ON);
    assert_eq!(loaded.count(Reason::UnknownUnicast), 1);
    let counters = loaded.maps.counters(0).unwrap();
    assert_eq!(
        (counters.rx_packets, counters.rx_bytes, counters.tx_packets),
        (1, 60, 0)
    );
}

#[test]
fn a_reflected_broadcast_is_handed_on() {
    let mut loaded = Loaded::new("reflected").with_endpoint();
    assert_eq!(loaded.run(FROM_UPLINK, BROADCAST, OURS, IPV4), HAND_ON);
    assert_eq!(loaded.count(Reason::Reflected), 1);
    assert_eq!(loaded.maps.counters(0).unwrap().rx_packets, 0);
}

#[test]
fn an_endpoint_sends_from_its_own_address_only() {
    let mut loaded = Loaded::new("guard").with_endpoint();
    assert_eq!(loaded.run(FROM_ENDPOINT, OURS, THEIRS, IPV4), DROP);
    assert_eq!(loaded.run(FROM_ENDPOINT, BROADCAST, THEIRS, IPV4), DROP);
    assert_eq!(loaded.count(Reason::SourceNotAllowed), 2);
    assert_eq!(loaded.maps.counters(0).unwrap().tx_packets, 0);
}

#[test]
fn an_interface_that_is_no_endpoint_gets_nothing_out() {
    let mut loaded = Loaded::new("stranger");
    assert_eq!(loaded.run(FROM_ENDPOINT, THEIRS, OURS, IPV4), DROP);
    assert_eq!(loaded.count(Reason::NotAnEndpoint), 1);
}

#[test]
fn an_endpoint_reaches_the_wire_but_no_vlan() {
    let mut loaded = Loaded::new("endpoint").with_endpoint();
    assert_eq!(loaded.run(FROM_ENDPOINT, THEIRS, OURS, IPV4), REDIRECT);
    assert_eq!(loaded.run(FROM_ENDPOINT, THEIRS, OURS, DOT1Q), DROP);
    assert_eq!(loaded.count(Reason::VlanNotAllowed), 1);
    let counters = loaded.maps.counters(0).unwrap();
    assert_eq!((counters.tx_packets, counters.tx_bytes), (1, 60));
}

#[test]
fn xdp_drops_and_counts_what_it_was_asked_to() {
    let variant = Variant {
        xdp: true,
        xdp_drops_unknown_vlan: true,
        xdp_drops_unknown_unicast: true,
        ..Variant::default()
    };
    let mut loaded = Loaded::with("xdp", variant).with_endpoint();
    let mut known_vlans = [0; KNOWN_VLAN_WORDS];
    let (word, bit) = known_vlan_bit(Tag::dot1q(200));
    known_vlans[word as usize] = bit;
    let host = |host_macs: &[Mac]| HostRows {
        known_vlans,
        host_macs: host_macs.iter().copied().collect(),
    };
    loaded.maps.reconcile_host(&host(&[THEIRS])).unwrap();
    let (pass, drop) = (xdp_action::XDP_PASS, xdp_action::XDP_DROP);
    let nobody = [2, 0, 0, 0, 0, 0x99];
    let vlan = |id: u8| [0x81, 0x00, 0xe0, id, 0x08, 0x00];
    for (text, dst, rest, verdict) in [
        ("to the endpoint", OURS, &IPV4[..], pass),
        ("to the host", THEIRS, &IPV4, pass),
        ("to all", BROADCAST, &IPV4, pass),
        ("to nobody", nobody, &IPV4, drop),
        ("to all on a known VLAN", BROADCAST, &vlan(200), pass),
        ("to nobody on a known VLAN", nobody, &vlan(200), drop),
        ("to all on another", BROADCAST, &vlan(201), drop),
        ("with a priority tag", BROADCAST, &vlan(0), pass),
    ] {
        for mode in [XdpMode::Native, XdpMode::Generic] {
            assert_eq!(loaded.run_xdp(mode, dst, THEIRS, rest), verdict, "{text}");
        }
    }
    assert_eq!(loaded.count(Reason::FilteredVlan), 2);
    assert_eq!(loaded.count(Reason::FilteredUnicast), 4);
    loaded.maps.reconcile_host(&host(&[EVERY_MAC])).unwrap();
    assert_eq!(loaded.run_xdp(XdpMode::Native, nobody, THEIRS, &IPV4), pass);
    let counters = loaded.maps.counters(0).unwrap();
    assert_eq!(counters.rx_packets, 0, "what passes is tc's to count");
}
