//! What a virtual machine has beside namespaces: emulated NICs and loadable modules.

use std::{
    env,
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use vnet_user::lab::{Mac, Netns};

use crate::{PATIENCE, link};

/// The pair of addresses that `VNET_NICS` gives for a model.
pub fn macs_of(model: &str) -> [Mac; 2] {
    let nics = env::var("VNET_NICS")
        .expect("VNET_NICS must name the emulated NICs: model=MAC,MAC;… (`cargo xtask test`)");
    let pair = nics
        .split(';')
        .find_map(|entry| entry.trim().strip_prefix(model)?.strip_prefix('='))
        .unwrap_or_else(|| panic!("VNET_NICS has no {model}: {nics}"));
    let (first, second) = pair
        .split_once(',')
        .expect("two MACs, with a comma between");
    [first, second].map(|mac| mac.parse().unwrap())
}

/// Moves the NIC with this address from the machine's own namespace, as `enp0s8`.
pub fn take(mac: Mac, to: &Netns) {
    let machine = Netns::current().unwrap();
    let links: Value = serde_json::from_str(&machine.ip("-j link show").unwrap()).unwrap();
    let name = links
        .as_array()
        .unwrap()
        .iter()
        .find(|link| link["address"] == mac.to_string())
        .unwrap_or_else(|| panic!("this machine has no NIC {mac}: {links}"))["ifname"]
        .as_str()
        .unwrap()
        .to_owned();
    machine.ip(&format!("link set dev {name} down")).unwrap();
    machine
        .ip(&format!(
            "link set dev {name} netns {} name enp0s8",
            to.name()
        ))
        .unwrap();
}

/// Emulated NICs negotiate, as real ones do. The carrier is there before the operational state says so (`NO-CARRIER` in
/// what `ip` shows), which follows some time later, of a bond above all.
pub fn wait_for_carrier(netns: &Netns) {
    let deadline = Instant::now() + PATIENCE;
    let has_carrier = || {
        let shown = link(netns, "enp0s8");
        let flags = shown["flags"].as_array();
        let has = |flag: &str| flags.is_some_and(|flags| flags.contains(&flag.into()));
        has("LOWER_UP") && !has("NO-CARRIER")
    };
    while !has_carrier() {
        assert!(Instant::now() < deadline, "no carrier in {}", netns.name());
        thread::sleep(Duration::from_millis(100));
    }
}

/// Runs `modprobe` with these arguments.
///
/// # Panics
///
/// When it fails.
pub fn modprobe(arguments: &[&str]) {
    let status = Command::new("modprobe")
        .args(arguments)
        .status()
        .expect("modprobe runs");
    assert!(status.success(), "modprobe {arguments:?}: {status}");
}

/// Without the module no driver has a VLAN registered. It must really be gone, or the test would tell nothing.
pub fn unload_8021q() {
    let module = Path::new("/sys/module/8021q");
    let deadline = Instant::now() + PATIENCE;
    while module.exists() {
        // A device whose namespace is just going still holds it.
        let _ = Command::new("modprobe").args(["-r", "8021q"]).status();
        assert!(Instant::now() < deadline, "8021q stays loaded");
        thread::sleep(Duration::from_millis(100));
    }
}
