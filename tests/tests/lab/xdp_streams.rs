//! Whatever XDP is accepted: TCP lives, and arrives as it was sent.

use std::net::SocketAddr;

use tests::{Fixture, PATIENCE, attach_xdp, clear_for_xdp, expected, xdp_redirected};
use vnet_user::lab::{Netns, probe};

const DROPS: &str = "--unknown-vlan drop --unknown-unicast drop";

fn both_ways(container: &Netns, other: &Netns, here: &str, there: &str) {
    let at = |address: &str, port| SocketAddr::new(address.parse().unwrap(), port);
    let bytes = expected::stream_bytes();
    let within = 3 * PATIENCE;
    let transfer = probe::stream(container, other, at(there, 7001), bytes, within).unwrap();
    println!("{there}: {bytes} bytes each way in {:?}", transfer.took);
    probe::ping(other, here.parse().unwrap(), PATIENCE)
        .unwrap()
        .unwrap();
}

/// Streams on a VLAN and on the untagged LAN, with an MTU.
fn carries_streams(options: &str, mtu: u32) {
    let mut fixture = Fixture::new();
    let (host, wire) = (fixture.host(), fixture.wire());
    clear_for_xdp(&fixture);
    for end in [&host, &wire] {
        end.ip(&format!("link set enp0s8 mtu {mtu}")).unwrap();
    }
    wire.ip("addr add 192.168.1.100/24 dev enp0s8").unwrap();
    println!("{}", attach_xdp(&fixture, options).trim());
    let _end = fixture.vlan_end(200, &["192.168.200.100/24"]);
    fixture.network("web", "--vlan 200 --subnet 192.168.200.0/24");
    fixture.network("pub", "--subnet 192.168.1.0/24");
    let a = fixture.container("a", "web", "--ip 192.168.200.2");
    let b = fixture.container("b", "pub", "--ip 192.168.1.2");
    let before = xdp_redirected(&host);
    both_ways(&a.netns, &wire, "192.168.200.2", "192.168.200.100");
    both_ways(&b.netns, &wire, "192.168.1.2", "192.168.1.100");
    let redirects = options.contains("redirect");
    let by_xdp = xdp_redirected(&host) - before;
    // At least every acknowledgement for what went out, and what came in.
    assert_eq!(by_xdp > 100, redirects, "{by_xdp} frames came by XDP");
    assert!(fixture.reason("tag_failed") == 0);
}

#[test]
fn a_native_filter_carries_streams() {
    carries_streams(&format!("--xdp filter --xdp-mode native {DROPS}"), 1500);
}

#[test]
fn a_generic_filter_carries_streams() {
    carries_streams(&format!("--xdp filter --xdp-mode generic {DROPS}"), 1500);
}

#[test]
fn a_native_filter_carries_streams_of_jumbo_frames() {
    carries_streams(&format!("--xdp filter --xdp-mode native {DROPS}"), 9000);
}

#[test]
fn redirect_carries_streams() {
    if expected::endpoint_device().as_deref() != Some("netkit") {
        carries_streams(&format!("--xdp redirect --far-end-checksums {DROPS}"), 1500);
    }
}

/// Frames in several buffers go by tc.
#[test]
fn redirect_carries_streams_of_jumbo_frames() {
    if expected::endpoint_device().as_deref() != Some("netkit") {
        carries_streams("--xdp redirect --far-end-checksums", 9000);
    }
}
