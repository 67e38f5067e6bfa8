//! XDP in each driver: native or generic, refused where the NIC takes tags off, and TCP by it.

use std::net::SocketAddr;

use tests::{
    Fixture, NicState, PATIENCE, attach_xdp, expected,
    machine::{unload_8021q, wait_for_carrier},
    xdp_arguments, xdp_mode,
};
use vnet_user::lab::{EthernetFrame, Mac, VlanEnd, probe};

use super::models::wired;

const FILTER: &str = "--xdp filter --unknown-vlan drop --unknown-unicast drop";
const REDIRECT: &str = "--xdp redirect --unknown-vlan drop";
const FAR: Mac = Mac([2, 0, 0, 0, 0, 0x77]);

#[test]
fn virtio_net_has_native_xdp() {
    carries_streams("virtio-net-pci", true, false);
}

#[test]
fn vmxnet3_has_native_xdp_once_it_leaves_tags_alone() {
    // Since Linux 6.6.
    carries_streams("vmxnet3", expected::hook().as_deref() == Some("tcx"), true);
}

#[test]
fn e1000_has_generic_xdp() {
    carries_streams("e1000", false, true);
}

#[test]
fn e1000e_has_generic_xdp() {
    carries_streams("e1000e", false, true);
}

fn carries_streams(model: &str, is_native: bool, strips: bool) {
    unload_8021q();
    let mut fixture = wired(model);
    let (host, wire) = (fixture.host(), fixture.wire());
    let _end = VlanEnd::tap(&wire, "enp0s8", 200, "vlan200", &["192.168.200.100/24"]).unwrap();
    for options in [FILTER, REDIRECT] {
        if strips {
            let said = fixture.refused(
                &xdp_arguments(options),
                &["enp0s8", "ethtool -K enp0s8 rxvlan off"],
            );
            assert!(!said.contains("txvlan"), "{model} is no veth: {said}");
        }
    }
    if strips {
        host.sh("ethtool -K enp0s8 rxvlan off").unwrap();
        wait_for_carrier(&host);
    }
    let before = NicState::of(&host, "enp0s8");
    let said = attach_xdp(&fixture, FILTER);
    println!("{model}: {}", said.trim());
    let mode = if is_native { "native" } else { "generic" };
    assert!(said.contains(&format!("XDP {mode}")), "{model}: {said}");
    assert_eq!(
        said.contains("no native XDP"),
        !is_native,
        "{model}: {said}"
    );
    wait_for_carrier(&host);
    fixture.network("web", "--vlan 200 --subnet 192.168.200.0/24");
    let a = fixture.container("a", "web", "--ip 192.168.200.2");
    stream(&fixture, model, FILTER, &a.netns);

    let unknown = EthernetFrame::experiment(Mac::BROADCAST, FAR, "unknown").tagged(201, 0);
    fixture.wire_raw().send(&unknown).unwrap();
    fixture.wait_reason("filtered_vlan", 1);

    if is_native {
        let said = attach_xdp(&fixture, REDIRECT);
        assert!(said.contains("XDP native"), "{model}: {said}");
        wait_for_carrier(&host);
        stream(&fixture, model, REDIRECT, &a.netns);
    } else {
        let named = ["enp0s8", "no native XDP", "--xdp filter"];
        fixture.refused(&xdp_arguments(REDIRECT), &named);
        assert_eq!(xdp_mode(&host).as_deref(), Some("xdpgeneric"), "{model}");
        stream(&fixture, model, "refused redirect", &a.netns);
    }
    fixture.ok("detach --iface enp0s8 --force");
    wait_for_carrier(&host);
    assert_eq!(xdp_mode(&host), None, "{model}");
    assert_eq!(NicState::of(&host, "enp0s8"), before, "{model}");
}

fn stream(fixture: &Fixture, model: &str, what: &str, container: &vnet_user::lab::Netns) {
    let server: SocketAddr = "192.168.200.100:7001".parse().unwrap();
    let bytes = expected::stream_bytes();
    let within = 6 * PATIENCE;
    let transfer = probe::stream(container, &fixture.wire(), server, bytes, within)
        .unwrap_or_else(|error| panic!("{model}, {what}: {error:?}"));
    println!(
        "{model}, {what}: {bytes} bytes each way in {:?}",
        transfer.took
    );
}
