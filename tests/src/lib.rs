//! What the integration tests share: a lab with an uplink, the binary that drives it, and what is expected of this kernel.
//!
//! The tests need root and `VNET_BIN`, and fail where either is missing: a test that skips in silence proves nothing. What
//! differs from kernel to kernel is told by the caller, not found out here, so that a missing feature is seen.
//!
//! | variable | meaning |
//! |---|---|
//! | `VNET_BIN` | the `vnet-user` binary to test; needed |
//! | `VNET_DOCKER` | for `docker.rs` and `boots.rs`: the directory of Docker engines, one for each suite |
//! | `VNET_EXPECT_HOOK` | `tcx` or `clsact`: what `attach` must choose |
//! | `VNET_ENDPOINT_DEVICE` | `veth` or `netkit`: asked for at `attach`, and must be what it chooses |
//! | `VNET_EXPECT_8021Q` | `1`: VLAN ends on the wire must be the kernel's own devices; it must have ipvlan and bonds, too |
//! | `VNET_EMULATED` | `1`: the machine is emulated; long tests do less |
//! | `VNET_FULL` | `1`: long tests do all, also on an emulated machine |
//! | `VNET_FUZZ_FRAMES`, `VNET_FUZZ_SEED` | how many hostile frames, and from which seed; else a few, and by chance |
//! | `VNET_SYSTEMD` | for `boots.rs`: the directory of systemd, one for each suite |
//! | `VNET_DISK` | for `boots.rs`: a directory that is there again after a boot |
//! | `VNET_NICS` | for `nic.rs`: the emulated NICs, `model=MAC,MAC;…` |
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "in a test, the panic is the report"
)]

mod af_xdp;
mod announcement;
mod burst;
pub mod caller;
mod datagrams;
mod dice;
mod docker;
mod eventually;
mod exchange;
pub mod expected;
mod features;
mod figure;
mod fixture;
mod flow;
mod foreground;
pub mod group;
pub mod kill_point;
mod kill_rounds;
pub mod machine;
mod neighbours;
mod nic_state;
mod offloads;
pub mod oracle;
mod priority_filter;
pub mod raw_program;
mod reflector;
mod running;
mod send;
mod syscall;
mod systemd;
mod watching;
mod web;
mod xdp;

pub use af_xdp::AfXdp;
pub use announcement::{announces_ipv4, announces_ipv6, announces_router};
pub use burst::burst;
pub use datagrams::GroupMember;
pub use dice::Dice;
pub use docker::{Docker, DockerHost, Engine};
pub use eventually::{eventually, eventually_within};
pub use exchange::{Party, exchange};
pub use features::active_features;
pub use figure::figure;
pub use fixture::{
    Container, Fixture, LAB, attach_arguments, check_refused, link, mac_of, silence,
};
pub use flow::{Flow, Source};
pub use foreground::Foreground;
pub use kill_rounds::kill_at_each_change;
pub use neighbours::side_by_side;
pub use nic_state::{NicState, unicast_filter};
pub use offloads::Offloads;
pub use priority_filter::hear_only;
pub use reflector::Reflector;
pub use running::Running;
pub use send::send_even_if_dropped;
pub use systemd::Systemd;
pub use watching::Watching;
pub use web::Web;
pub use xdp::{attach_xdp, clear_for_xdp, xdp_arguments, xdp_mode, xdp_redirected};

use std::time::Duration;

/// How long something that must happen may take. Long, because emulated kernels are slow; nothing waits for it in vain on a
/// working datapath.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// How long to look for something that must not happen, where no later frame can mark the end of the wait.
pub const SILENCE: Duration = Duration::from_millis(800);
