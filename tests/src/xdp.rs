//! XDP on a veth, as it is in a lab.

use vnet_user::lab::Netns;

use crate::{Fixture, attach_arguments};

/// Makes the cable one on which XDP sees all: tags stay in the frames, and checksums are finished where they are sent.
pub fn clear_for_xdp(fixture: &Fixture) {
    let keep = "ethtool -K enp0s8 rxvlan off rx-vlan-stag-hw-parse off";
    fixture.host().sh(keep).unwrap();
    let finish = "ethtool -K enp0s8 tx off txvlan off tx-vlan-stag-hw-insert off";
    fixture.wire().sh(finish).unwrap();
}

/// Attaches to `enp0s8` with these options beside the usual. Returns the line it printed.
pub fn attach_xdp(fixture: &Fixture, options: &str) -> String {
    fixture.ok(&xdp_arguments(options))
}

/// The arguments for that.
pub fn xdp_arguments(options: &str) -> String {
    format!("{} {options}", attach_arguments("enp0s8"))
}

/// The mode in which the kernel says that an XDP program is attached to `enp0s8`: `xdp`, `xdpgeneric`, or none.
pub fn xdp_mode(host: &Netns) -> Option<String> {
    let shown = host.ip("-o link show dev enp0s8").unwrap();
    let mut words = shown.split_whitespace();
    let mode = words.find(|word| word.starts_with("xdp") || word.starts_with("prog/xdp"));
    mode.map(|mode| mode.split('/').next_back().unwrap_or(mode).to_owned())
}

/// Frames that the uplink's driver has redirected for XDP.
pub fn xdp_redirected(host: &Netns) -> u64 {
    let shown = host.sh("ethtool -S enp0s8").unwrap();
    let counts = shown
        .lines()
        .filter(|line| line.contains("xdp_redirect:"))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok());
    counts.sum()
}
