//! [`Fixture`]: a host with vnet on its uplink, and the wire.

use std::{
    fs,
    time::{Duration, Instant},
};

use serde_json::Value;
use vnet_user::lab::{self, Binary, Lab, Mac, Netns, Outcome, RawSocket, VlanEnd, probe};

use crate::{PATIENCE, expected};

/// What the names of the tests' namespaces, pins and state begin with; such as are left over are swept away by that.
pub const LAB: &str = "vnet-test";
/// The uplink's name on both sides of the cable, as in the reference lab.
const UPLINK: &str = "enp0s8";

/// One host with the uplink `enp0s8`, a cable, and a machine `wire` with `enp0s8` on the other end.
///
/// Fields drop in order: the binary's pins, then the namespaces.
pub struct Fixture {
    /// The binary, in the host's namespace.
    pub vnet: Binary,
    /// Roles `host`, `wire`, and one for each container.
    pub lab: Lab,
}

/// A container with an endpoint.
#[derive(Clone, Debug)]
pub struct Container {
    /// Id of its endpoint.
    pub id: String,
    /// Its namespace.
    pub netns: Netns,
    /// Address of its `eth0`.
    pub mac: Mac,
}

impl Container {
    /// A raw socket on its interface.
    pub fn raw(&self) -> RawSocket {
        RawSocket::open(&self.netns, "eth0").unwrap()
    }

    /// Checks that an address answers.
    pub fn pings(&self, address: &str) {
        let answer = probe::ping(&self.netns, address.parse().unwrap(), PATIENCE).unwrap();
        assert!(
            answer.is_some(),
            "{address} does not answer {}",
            self.netns.name()
        );
    }
}

impl Fixture {
    /// A host and a wire, with vnet not attached yet.
    pub fn new() -> Self {
        Self::with(
            Lab::new(LAB)
                .host("host")
                .host("wire")
                .wire(("host", UPLINK), ("wire", UPLINK))
                .build()
                .unwrap(),
        )
    }

    /// As [`Fixture::new`], with vnet attached to `enp0s8`.
    pub fn attached() -> Self {
        let fixture = Self::new();
        fixture.attach();
        fixture
    }

    /// A fixture in a lab of the caller's own, which must have a role `host`.
    pub fn with(lab: Lab) -> Self {
        lab::sweep_on_signal(LAB);
        let vnet = Binary::new(expected::binary(), lab.get("host").unwrap(), LAB).unwrap();
        Self { vnet, lab }
    }

    /// Attaches to `enp0s8` with the endpoint device that the caller of the tests asked for. Returns the line it printed.
    pub fn attach(&self) -> String {
        self.ok(&attach_arguments(UPLINK))
    }

    /// Adds a network on `enp0s8`; `options` as on the command line.
    pub fn network(&self, name: &str, options: &str) {
        self.ok(&format!(
            "network create {name} --parent {UPLINK} {options}"
        ));
    }

    /// Adds a container: a namespace `role` with an endpoint `eth0` in a network; `options` as on the command line.
    pub fn container(&mut self, role: &str, network: &str, options: &str) -> Container {
        self.lab
            .add(role)
            .unwrap()
            .set_duplicate_detection(false)
            .unwrap();
        self.endpoint(role, network, options)
    }

    /// Adds an endpoint `eth0` to the namespace that has this role already.
    pub fn endpoint(&self, role: &str, network: &str, options: &str) -> Container {
        let netns = Netns::clone(self.lab.get(role).unwrap());
        let printed = self.ok(&format!(
            "endpoint add --network {network} --netns {} {options}",
            netns.name()
        ));
        let id = printed
            .split_whitespace()
            .next()
            .unwrap_or_default()
            .to_owned();
        assert!(
            id.len() == 12 && id.bytes().all(|byte| byte.is_ascii_hexdigit()),
            "an endpoint's id is 12 hexadecimal digits: {printed:?}"
        );
        let mac = mac_of(&netns, "eth0");
        Container { id, netns, mac }
    }

    /// Takes away what a boot takes: programs and pins; and lets the state be of another one. Links are the caller's.
    ///
    /// # Panics
    ///
    /// When there is no state.
    pub fn forget_boot(&self) {
        self.vnet.lose_pins().unwrap();
        // Linux before 6.6 has filters, which are no pins.
        let _ = self.host().sh(&format!("tc qdisc del dev {UPLINK} clsact"));
        let path = self.vnet.state().join("state.json");
        let mut state: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        state["netns"]["inode"] = 1.into();
        state["boot_id"] = "00000000-0000-0000-0000-000000000000".into();
        fs::write(&path, state.to_string()).unwrap();
    }

    /// The host's namespace.
    pub fn host(&self) -> Netns {
        Netns::clone(self.lab.get("host").unwrap())
    }

    /// The namespace on the other end of the cable.
    pub fn wire(&self) -> Netns {
        Netns::clone(self.lab.get("wire").unwrap())
    }

    /// A raw socket on the wire's end of the cable.
    pub fn wire_raw(&self) -> RawSocket {
        RawSocket::open(&self.wire(), UPLINK).unwrap()
    }

    /// A VLAN's interface on the wire, `enp0s8.<vlan>`, as a router would have it.
    pub fn vlan_end(&self, vlan: u16, addresses: &[&str]) -> VlanEnd {
        let end = VlanEnd::new(
            &self.wire(),
            UPLINK,
            vlan,
            &format!("{UPLINK}.{vlan}"),
            addresses,
        )
        .unwrap();
        expected::check_vlan_end(&end);
        end
    }

    /// Runs a command that must succeed, and returns what it printed.
    pub fn ok(&self, arguments: &str) -> String {
        let outcome = self.vnet.run(arguments).unwrap();
        assert!(
            outcome.ok(),
            "`{}` ended with {:?}: {}{}",
            outcome.command,
            outcome.code,
            outcome.stdout,
            outcome.stderr
        );
        outcome.stdout
    }

    /// Runs a command that must be refused with exit code 1 and one line `error: …` that has all of `named` in it, and
    /// must change nothing. Returns the line.
    pub fn refused(&self, arguments: &str, named: &[&str]) -> String {
        let before = self.settled();
        let outcome = self.vnet.run(arguments).unwrap();
        check_refusal(&outcome, 1, named);
        assert_eq!(
            before,
            self.settled(),
            "`{arguments}` was refused, but changed something"
        );
        outcome.stderr
    }

    /// As `vnet-user show --json` has it.
    pub fn show(&self) -> Value {
        serde_json::from_str(&self.ok("show --json")).expect("show --json prints JSON")
    }

    /// The counter of one reason on `enp0s8`.
    pub fn reason(&self, name: &str) -> u64 {
        let shown = self.show();
        uplink_in(&shown, UPLINK)["reasons"][name]
            .as_u64()
            .unwrap_or_else(|| panic!("show --json has no reason {name}: {shown}"))
    }

    /// Waits until the counter of a reason has grown to `at_least`.
    pub fn wait_reason(&self, name: &str, at_least: u64) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let counted = self.reason(name);
            if counted >= at_least {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "{name} is {counted}, and never came to {at_least}"
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// One endpoint as `show --json` has it.
    pub fn shown_endpoint(&self, id: &str) -> Value {
        let shown = self.show();
        let found = shown["uplinks"]
            .as_array()
            .into_iter()
            .flatten()
            .flat_map(|uplink| uplink["endpoints"].as_array().into_iter().flatten())
            .find(|endpoint| endpoint["id"] == id);
        found
            .cloned()
            .unwrap_or_else(|| panic!("show --json has no endpoint {id}: {shown}"))
    }

    /// The host's side of an endpoint's link.
    pub fn host_ifname(&self, id: &str) -> String {
        let shown = self.shown_endpoint(id);
        shown["host_ifname"].as_str().unwrap().to_owned()
    }

    /// What must stay the same when a command is refused: what vnet says, without the counters that traffic moves, and what
    /// `ip` says of the host's links, without an XDP program's number: one that had to make way comes back under another.
    pub fn settled(&self) -> (Value, String) {
        let mut shown = self.show();
        forget_counters(&mut shown);
        let links = self.host().ip("-o link show").unwrap();
        let mut parts = links.split("prog/xdp id ");
        let first = parts.next().unwrap_or_default().to_owned();
        let links = parts.fold(first, |links, part| {
            links + part.trim_start_matches(|c: char| c.is_ascii_digit())
        });
        (shown, links)
    }
}

impl Default for Fixture {
    fn default() -> Self {
        Self::new()
    }
}

/// Arguments for `attach` with the endpoint device that the caller of the tests asked for.
pub fn attach_arguments(uplink: &str) -> String {
    match expected::endpoint_device() {
        Some(device) => format!("attach --iface {uplink} --endpoint-device {device}"),
        None => format!("attach --iface {uplink}"),
    }
}

/// Checks that a command was refused, by one line.
pub fn check_refused(outcome: &Outcome) {
    check_refusal(outcome, 1, &[]);
}

/// Checks that a command was refused as every refusal must be: by one line that names what is wrong.
pub(crate) fn check_refusal(outcome: &Outcome, code: i32, named: &[&str]) {
    let Outcome {
        command, stderr, ..
    } = outcome;
    assert_eq!(
        outcome.code,
        Some(code),
        "`{command}`: {}{stderr}",
        outcome.stdout
    );
    assert!(
        stderr.starts_with("error: "),
        "`{command}` must say `error: …`: {stderr}"
    );
    if code == 1 {
        assert_eq!(
            stderr.lines().count(),
            1,
            "`{command}` must say it in one line: {stderr}"
        );
    }
    for name in named {
        assert!(
            stderr.to_lowercase().contains(&name.to_lowercase()),
            "`{command}` must name {name}: {stderr}"
        );
    }
}

/// One uplink of `show --json`.
fn uplink_in<'a>(shown: &'a Value, name: &str) -> &'a Value {
    shown["uplinks"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|uplink| uplink["name"] == name)
        .unwrap_or_else(|| panic!("show --json has no uplink {name}: {shown}"))
}

fn forget_counters(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, _| {
                !name.ends_with("_packets") && !name.ends_with("_bytes") && name != "reasons"
            });
            fields.values_mut().for_each(forget_counters);
        }
        Value::Array(items) => items.iter_mut().for_each(forget_counters),
        _ => {}
    }
}

/// A link as `ip -d -j link show` has it.
pub fn link(netns: &Netns, device: &str) -> Value {
    let shown = netns.ip(&format!("-d -j link show dev {device}")).unwrap();
    let links: Value = serde_json::from_str(&shown).expect("ip -j prints JSON");
    links[0].clone()
}

/// A link's Ethernet address.
pub fn mac_of(netns: &Netns, device: &str) -> Mac {
    netns.mac_of(device).unwrap()
}

/// No neighbour discovery, no multicast listener reports: only what the test sends is counted.
pub fn silence(netns: &Netns) {
    for scope in ["all", "default"] {
        netns
            .sysctl(&format!("net/ipv6/conf/{scope}/disable_ipv6"), "1")
            .unwrap();
    }
}
