//! What the caller says this kernel must offer.

use std::{env, path::PathBuf};

use vnet_user::lab::{LabError, VlanEnd, VlanEndKind};

/// The binary to test.
///
/// # Panics
///
/// When the caller did not name one.
pub fn binary() -> String {
    env::var("VNET_BIN")
        .expect("VNET_BIN must name the vnet-user binary to test (`cargo xtask test` sets it)")
}

/// The hook that `attach` must choose, if the caller says so.
pub fn hook() -> Option<String> {
    env::var("VNET_EXPECT_HOOK").ok()
}

/// The endpoint device that `attach` is asked for and must choose, if the caller says so.
pub fn endpoint_device() -> Option<String> {
    env::var("VNET_ENDPOINT_DEVICE").ok()
}

/// Whether the caller says that the machine is emulated, and so some ten times slower.
pub fn is_emulated() -> bool {
    env::var("VNET_EMULATED").is_ok_and(|value| value == "1")
}

/// How much a TCP stream carries that must find a broken checksum, each way.
pub fn stream_bytes() -> u64 {
    let full = env::var("VNET_FULL").is_ok_and(|value| value == "1");
    match is_emulated() && !full {
        true => 10 << 20,
        false => 100 << 20,
    }
}

/// The disk that outlives the machine.
///
/// # Panics
///
/// When the caller did not name one.
pub fn disk() -> PathBuf {
    let disk = env::var("VNET_DISK");
    disk.expect("VNET_DISK must name a directory that outlives a boot (`cargo xtask test` sets it)")
        .into()
}

/// How many hostile frames the caller wants, if more than usual.
pub fn fuzz_frames() -> Option<usize> {
    env::var("VNET_FUZZ_FRAMES").ok()?.parse().ok()
}

/// Whether the caller says that this kernel has 802.1Q devices.
pub fn has_8021q() -> bool {
    env::var("VNET_EXPECT_8021Q").is_ok_and(|value| value == "1")
}

/// Whether a device was refused for want of its kind in the kernel, which only one without Debian's modules may do.
pub fn lacks_kind(error: &LabError) -> bool {
    let LabError::Command { stderr, .. } = error else {
        return false;
    };
    let unknown = ["Unknown device type", "not supported"];
    !has_8021q() && unknown.iter().any(|text| stderr.contains(text))
}

/// Checks that a VLAN end is of the kind that this kernel must offer.
///
/// # Panics
///
/// When the kernel's own device was expected, and the lab fell back to its own pump.
pub fn check_vlan_end(end: &VlanEnd) {
    if has_8021q() {
        assert_eq!(
            end.kind(),
            VlanEndKind::Kernel,
            "VNET_EXPECT_8021Q=1, but this kernel made no 802.1Q device for {}",
            end.name()
        );
    }
}
