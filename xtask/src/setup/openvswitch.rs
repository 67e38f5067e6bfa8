//! Open vSwitch to compare with.

use super::programs::Programs;
use crate::workspace::Workspace;

/// The suite, which also names its directory.
pub const SUITE: &str = "bookworm";

const OPEN_VSWITCH: Programs = Programs {
    what: "Open vSwitch",
    why: "the benchmark compares with it; it is not installed",
    suite: SUITE,
    packages: &["openvswitch-common", "openvswitch-switch"],
    start: &[
        "usr/sbin/ovsdb-server",
        "usr/lib/openvswitch-switch/ovs-vswitchd",
        "usr/bin/ovsdb-tool",
        "usr/bin/ovs-vsctl",
        "usr/bin/ovs-appctl",
    ],
};

/// Fetches and unpacks it unless it is there.
pub fn fetch(workspace: &Workspace) -> anyhow::Result<()> {
    OPEN_VSWITCH.fetch(&workspace.openvswitch())
}
