//! What vnet changes on a NIC and says about it, step by step, and that traffic passes by it.

use std::net::SocketAddr;

use tests::{Container, Fixture, NicState, PATIENCE};
use vnet_user::lab::{Netns, probe};

/// Small: an emulated NIC on an emulated CPU is slow.
const STREAM_BYTES: u64 = 1 << 20;

/// What the tests know of a NIC before vnet comes to it, and what may change there.
pub struct Nic<'a> {
    pub fixture: &'a mut Fixture,
    /// For messages: model, and whether 8021q is there.
    case: String,
    pub before: NicState,
    pub filter: VlanFilter,
}

/// The NIC's `rx-vlan-filter`, as `ethtool` shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VlanFilter {
    Off,
    /// On, and can be switched off.
    On,
    /// On for ever.
    Fixed,
}

/// What vnet has switched on the NIC.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Changes {
    promiscuous: bool,
    allmulticast: bool,
    vlan_filter: VlanFilter,
    /// Addresses in the unicast filter that were not there before.
    unicast: Vec<String>,
}

impl<'a> Nic<'a> {
    pub fn new(fixture: &'a mut Fixture, case: String) -> Self {
        let host = fixture.host();
        let (before, filter) = (NicState::of(&host, "enp0s8"), VlanFilter::of(&host));
        println!(
            "{case}: rx-vlan-filter is {filter:?}; {}",
            fixture.attach().trim()
        );
        Self {
            fixture,
            case,
            before,
            filter,
        }
    }

    /// What is switched now, as the table in docs/ARCHITECTURE.md has it: with a VLAN network or not, and for an endpoint.
    fn check(&self, has_vlans: bool, endpoint: Option<&Container>) {
        let host = self.fixture.host();
        let now = NicState::of(&host, "enp0s8");
        let on = |flag: &str| {
            let flags = now.flags["flags"].as_array().unwrap();
            flags.contains(&flag.into())
        };
        let added = now
            .unicast
            .lines()
            .filter(|entry| !self.before.unicast.contains(*entry));
        let added = added.map(|entry| entry.split(' ').next().unwrap_or_default().to_owned());
        let found = Changes {
            promiscuous: on("PROMISC"),
            allmulticast: on("ALLMULTI"),
            vlan_filter: VlanFilter::of(&host),
            unicast: added.collect(),
        };
        let expected = Changes {
            promiscuous: has_vlans && self.filter == VlanFilter::Fixed,
            allmulticast: endpoint.is_some(),
            vlan_filter: match self.filter {
                VlanFilter::On if has_vlans => VlanFilter::Off,
                unchanged => unchanged,
            },
            unicast: endpoint.iter().map(|it| it.mac.to_string()).collect(),
        };
        assert_eq!(found, expected, "{}", self.case);
    }

    /// Creates a network, and checks that what is switched for it is said with its reason, and nothing else is said.
    fn network(&self, name: &str, options: &str, has_vlans: bool) {
        let create = format!("network create {name} --parent enp0s8 {options}");
        let outcome = self.fixture.vnet.run(&create).unwrap();
        assert!(outcome.ok(), "{}: {outcome:?}", self.case);
        let said = &outcome.stderr;
        if has_vlans && self.filter != VlanFilter::Off {
            assert_eq!(said.lines().count(), 1, "{}: {said}", self.case);
            assert!(
                ["enp0s8", "rx-vlan-filter", "VLAN"]
                    .iter()
                    .all(|word| said.contains(word)),
                "{}: {said}",
                self.case
            );
            let promiscuous = self.filter == VlanFilter::Fixed;
            assert_eq!(
                said.contains("promiscuous"),
                promiscuous,
                "{}: {said}",
                self.case
            );
        } else {
            assert_eq!(said, "", "{}", self.case);
        }
        self.check(has_vlans, None);
    }

    pub fn ping(&self, from: &Netns, to: &str) {
        let echo = probe::ping(from, to.parse().unwrap(), PATIENCE).unwrap();
        let links = self
            .fixture
            .host()
            .ip("-s -d link show dev enp0s8")
            .unwrap();
        assert!(
            echo.is_some(),
            "{}: no ping to {to} from {}; {links}",
            self.case,
            from.name()
        );
    }

    fn stream(&self, from: &Netns, to: &Netns, address: &str) {
        let address: SocketAddr = address.parse().unwrap();
        probe::stream(from, to, address, STREAM_BYTES, 3 * PATIENCE)
            .unwrap_or_else(|error| panic!("{}: {error:?}", self.case));
    }

    /// A container on the untagged LAN is reached by its own address, which the NIC's filter lets through.
    pub fn untagged(&mut self) {
        let wire = self.fixture.wire();
        self.network("lan", "--subnet 192.168.1.0/24", false);
        let role = format!("{}-lan", self.module());
        let container = self.fixture.container(&role, "lan", "--ip 192.168.1.2");
        self.check(false, Some(&container));
        self.ping(&container.netns, "192.168.1.100");
        self.ping(&wire, "192.168.1.2");
        self.fixture
            .ok(&format!("endpoint remove {}", container.id));
        self.check(false, None);
        self.fixture.ok("network remove lan");
        self.check(false, None);
    }

    /// A container on VLAN 200 talks to the other end, whatever the NIC's filter thinks of VLANs.
    pub fn tagged(&mut self) {
        let (host, wire) = (self.fixture.host(), self.fixture.wire());
        let network = "--vlan 200 --subnet 192.168.200.0/24 --gateway 192.168.200.100";
        // The second time it is `detach` that undoes it.
        for round in ["removed", "detached"] {
            self.network("web", network, true);
            let role = format!("{}-{round}", self.module());
            let container = self.fixture.container(&role, "web", "--ip 192.168.200.2");
            self.check(true, Some(&container));
            let links = host.ip("-d -o link show").unwrap();
            assert!(!links.contains("802.1Q"), "a VLAN device was made: {links}");
            self.ping(&container.netns, "192.168.200.100");
            self.ping(&wire, "192.168.200.2");
            if round == "removed" {
                self.stream(&container.netns, &wire, "192.168.200.100:7001");
                self.stream(&wire, &container.netns, "192.168.200.2:7002");
                self.fixture
                    .ok(&format!("endpoint remove {}", container.id));
                self.check(true, None);
            } else {
                self.fixture.ok("detach --iface enp0s8 --force");
                let after = NicState::of(&host, "enp0s8");
                assert_eq!(
                    after, self.before,
                    "{}: the NIC is not as it was",
                    self.case
                );
            }
            self.fixture.ok("network remove web");
            if round == "removed" {
                self.check(false, None);
            }
        }
    }

    fn module(&self) -> &str {
        self.case.split(' ').nth(1).unwrap_or_default()
    }
}

impl VlanFilter {
    pub fn of(host: &Netns) -> Self {
        let shown = host.sh("ethtool -k enp0s8").unwrap();
        let filter = shown
            .lines()
            .find_map(|line| line.trim().strip_prefix("rx-vlan-filter: "))
            .unwrap_or_else(|| panic!("ethtool shows no rx-vlan-filter: {shown}"));
        match filter {
            "on" => Self::On,
            "on [fixed]" => Self::Fixed,
            _ => Self::Off,
        }
    }
}
