//! All that vnet has been asked for and has made: what the store keeps.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{
    docker::Docker,
    endpoint::{Endpoint, EndpointId},
    netns::NetnsId,
    network::Network,
    nic::NicChanges,
    traffic::Traffic,
    variant::Variant,
    xdp::Xdp,
};

/// The whole state, as it stands in the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Of what is below; a state of a later format is left alone.
    #[serde(default)]
    pub format: u32,
    /// The kernel's boot id at the last change: links, maps and NIC settings of another boot are gone.
    #[serde(default)]
    pub boot_id: String,
    /// The namespace that uplinks and host sides are in. It was fixed by the first attach.
    #[serde(default)]
    pub netns: Option<NetnsId>,
    #[serde(default)]
    pub uplinks: BTreeMap<String, Uplink>,
    #[serde(default)]
    pub networks: BTreeMap<String, Network>,
    #[serde(default)]
    pub endpoints: BTreeMap<EndpointId, Endpoint>,
    /// What Docker asked for.
    #[serde(default)]
    pub docker: Docker,
    /// Uplinks whose maps and NIC may not yet match the networks and endpoints above.
    #[serde(default)]
    pub unsettled: BTreeSet<String>,
    /// vnet lets the kernel hurry with grace periods (`/sys/kernel/rcu_expedited`), and so ends it.
    #[serde(default)]
    pub hurries: bool,
}

/// The format of the state that this vnet writes. One more for each change that an older one would read wrongly.
pub const FORMAT: u32 = 3;

impl Default for State {
    fn default() -> Self {
        Self {
            format: FORMAT,
            boot_id: String::new(),
            netns: None,
            uplinks: BTreeMap::new(),
            networks: BTreeMap::new(),
            endpoints: BTreeMap::new(),
            docker: Docker::default(),
            unsettled: BTreeSet::new(),
            hurries: false,
        }
    }
}

/// How far a change got. It is written before the change and after it, so that the next command
/// finds what a killed one left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Begun: to be undone.
    Adding,
    /// Made, and not in its container yet, where Docker moves it.
    Handed,
    /// Complete.
    Ready,
    /// Being removed: to be removed.
    Removing,
}

/// The hook that carries the programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Hook {
    /// `tcx` links, Linux 6.6.
    Tcx,
    /// Filters on the `clsact` qdisc.
    Clsact,
}

/// The kind of link that an endpoint gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EndpointDevice {
    Netkit,
    Veth,
}

impl Hook {
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcx => "tcx",
            Self::Clsact => "clsact",
        }
    }
}

impl EndpointDevice {
    /// The device of a name, which is also the kernel's kind of link.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Netkit, Self::Veth]
            .into_iter()
            .find(|device| device.name() == name)
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Netkit => "netkit",
            Self::Veth => "veth",
        }
    }
}

/// An attached uplink.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Uplink {
    pub phase: Phase,
    pub ifindex: u32,
    pub hook: Hook,
    pub endpoint_device: EndpointDevice,
    /// The user chose the device.
    #[serde(default)]
    pub device_asked: bool,
    /// Which build's programs run, and with which log level.
    #[serde(default)]
    pub programs: String,
    /// The features that they were loaded with.
    #[serde(default)]
    pub variant: Variant,
    /// The layout of the pinned maps (`vnet_common::LAYOUT`).
    #[serde(default)]
    pub layout: u64,
    /// vnet made the uplink's `clsact` qdisc, and so removes it.
    #[serde(default)]
    pub made_clsact: bool,
    /// The port that it sends by, where it is a bond that has one: endpoints are announced when it is another.
    #[serde(default)]
    pub active_port: Option<u32>,
    /// It was attached for Docker's networks, and is detached after the last network.
    #[serde(default)]
    pub for_docker: bool,
    /// What vnet changed on the NIC, to be undone.
    #[serde(default)]
    pub nic: NicChanges,
    /// XDP, if it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub xdp: Option<Xdp>,
    /// The NIC has no unicast filter: while it is given addresses, the kernel holds it in promiscuous mode
    /// (`__dev_set_rx_mode` in net/core/dev.c).
    #[serde(default)]
    pub lacks_unicast_filter: bool,
    /// By segment number: what endpoints counted that are gone.
    #[serde(default)]
    pub retired: BTreeMap<u16, Traffic>,
}

impl Uplink {
    /// It was attached before this boot, and is to be attached again: nothing of it is there but what is wanted.
    pub fn expected(self) -> Self {
        Self {
            phase: Phase::Ready,
            ifindex: 0,
            programs: String::new(),
            variant: Variant::default(),
            made_clsact: false,
            active_port: None,
            nic: NicChanges::default(),
            lacks_unicast_filter: false,
            retired: BTreeMap::new(),
            ..self
        }
    }

    pub fn is_expected(&self) -> bool {
        self.ifindex == 0
    }
}

impl State {
    /// The uplinks that Docker's networks are on.
    pub fn dockers_uplinks(&self) -> impl Iterator<Item = &str> {
        let networks = self.docker.networks.keys();
        let networks = networks.filter_map(|id| self.networks.get(id.short()));
        networks.map(|network| network.uplink.as_str())
    }

    /// The networks on an uplink.
    pub fn networks_on<'a>(
        &'a self,
        uplink: &'a str,
    ) -> impl Iterator<Item = (&'a String, &'a Network)> {
        self.networks
            .iter()
            .filter(move |(_, network)| network.uplink == uplink)
    }

    /// The endpoints of a network.
    pub fn endpoints_of<'a>(
        &'a self,
        network: &'a str,
    ) -> impl Iterator<Item = (&'a EndpointId, &'a Endpoint)> {
        self.endpoints
            .iter()
            .filter(move |(_, endpoint)| endpoint.network == network)
    }

    /// The endpoints on an uplink, in all its segments.
    pub fn endpoints_on<'a>(
        &'a self,
        uplink: &'a str,
    ) -> impl Iterator<Item = (&'a EndpointId, &'a Endpoint)> {
        self.endpoints.iter().filter(move |(_, endpoint)| {
            self.networks
                .get(&endpoint.network)
                .is_some_and(|network| network.uplink == uplink)
        })
    }
}
