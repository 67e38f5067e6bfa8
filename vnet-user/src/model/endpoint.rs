//! Endpoints, and what makes a request for one acceptable.

use std::{
    borrow::Borrow,
    collections::BTreeSet,
    fmt,
    net::{IpAddr, Ipv4Addr},
};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use vnet_common::{MAX_ENDPOINTS, MAX_FLOOD_SLOTS, MAX_SOURCE_SLOTS};

use super::{
    mac::MacAddr,
    mode::Mode,
    netns::NetnsId,
    network::Network,
    places::Places,
    sizes::Sizes,
    state::{Phase, State},
};

/// Twelve hex digits that name an endpoint, as Docker's short ids do.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EndpointId(String);

impl EndpointId {
    /// An id from random bytes.
    pub fn from_random(bytes: [u8; 6]) -> Self {
        Self(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// The id that Docker's own begins with.
    pub(super) fn from_short(digits: &str) -> Self {
        Self(digits.to_owned())
    }

    /// The name that the container's end has until Docker has moved it, as [`EndpointId::host_ifname`] is formed.
    pub fn unmoved_ifname(&self) -> String {
        format!("vc{}", self.0)
    }

    /// The name of the host side of the endpoint's link: `vn` and the id's first digits, within the
    /// kernel's 15 bytes (`IFNAMSIZ`).
    pub fn host_ifname(&self) -> String {
        format!("vn{}", self.0)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// By the beginning of an id, those that it may mean are found side by side.
impl Borrow<str> for EndpointId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EndpointId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One interface of one container in one network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    pub phase: Phase,
    pub network: String,
    pub mac: MacAddr,
    /// It has its uplink's address, and takes the new one when that changes.
    #[serde(default)]
    pub mac_of_uplink: bool,
    /// In source mode: the addresses that it hears.
    #[serde(default)]
    pub sources: BTreeSet<MacAddr>,
    pub addresses: Vec<IpNet>,
    /// The namespace as the user named it.
    pub netns: String,
    /// The namespace itself, since names and process ids are used again.
    #[serde(default)]
    pub netns_id: Option<NetnsId>,
    /// The interface in the container.
    pub ifname: String,
    /// The host side of the link; 0 until it is made.
    pub host_ifindex: u32,
    /// vnet has taken the host side down, since the uplink has no carrier.
    #[serde(default)]
    pub carrier_off: bool,
    /// vnet has made the container's end dormant, since the uplink is.
    #[serde(default)]
    pub dormant: bool,
    /// What vnet gave both ends of the link; a container may have changed its own.
    #[serde(default)]
    pub sizes: Sizes,
    /// Index into the map `counters`.
    pub number: u16,
    /// Slot of the segment in the map `flood`.
    pub flood_slot: u16,
    /// The container's end has programs too.
    #[serde(default)]
    pub container_programs: bool,
    /// vnet has switched GRO on at the container's end, so that XDP can redirect to it.
    #[serde(default)]
    pub takes_xdp: bool,
}

/// What the host itself has on a segment, which no endpoint may have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostOnSegment {
    /// The uplink's; `None` while it is not there.
    pub mac: Option<MacAddr>,
    pub addresses: BTreeSet<IpAddr>,
}

/// An endpoint that somebody asks for.
#[derive(Clone, Debug)]
pub struct EndpointRequest {
    pub network: String,
    pub addresses: Vec<IpAddr>,
    pub mac: Option<MacAddr>,
    /// In source mode: the addresses that it hears.
    pub sources: BTreeSet<MacAddr>,
    pub netns: String,
    pub ifname: String,
}

/// Why an endpoint can't be added.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum EndpointError {
    #[error("no network {0:?}: `vnet-user network list` shows those there are")]
    NoNetwork(String),
    #[error("address {address} is outside the subnets of network {network:?} ({subnets})")]
    AddressOutside {
        address: IpAddr,
        network: String,
        subnets: String,
    },
    #[error("address {address} is {what} of {subnet}: a host's address was expected")]
    NotAHost {
        address: IpAddr,
        what: &'static str,
        subnet: IpNet,
    },
    #[error("address {address} is taken by the gateway of network {network:?}")]
    AddressIsGateway { address: IpAddr, network: String },
    #[error("address {address} is taken by endpoint {endpoint}")]
    AddressTaken {
        address: IpAddr,
        endpoint: EndpointId,
    },
    #[error(
        "address {0} is the host's own on this segment (`docker network create --aux-address host={0}` keeps Docker off it)"
    )]
    AddressOfHost(IpAddr),
    #[error("address {0} was given twice")]
    AddressTwice(IpAddr),
    #[error("no free address in {subnet} of network {network:?}")]
    SubnetFull { subnet: IpNet, network: String },
    #[error("MAC address {mac} is in use by endpoint {endpoint} in the same segment ({segment})")]
    MacTaken {
        mac: MacAddr,
        endpoint: EndpointId,
        segment: String,
    },
    #[error("network {network:?} is in {mode} mode: source addresses belong to source mode")]
    SourcesMode { network: String, mode: Mode },
    #[error("source address {mac} has {max} listeners in its segment already, which is the limit")]
    TooManyListeners { mac: MacAddr, max: usize },
    #[error("passthru network {network:?} has its one endpoint already ({endpoint})")]
    PassthruTaken {
        network: String,
        endpoint: EndpointId,
    },
    #[error("MAC address {mac} is that of the uplink {uplink:?}, whose own frames it would take")]
    MacOfUplink { mac: MacAddr, uplink: String },
    #[error(
        "interface name {0:?}: 1 to 15 bytes without '/', ':', '%' and white space were expected"
    )]
    Ifname(String),
    #[error("{segment} on {uplink:?} has {max} endpoints already, which is the limit")]
    SegmentFull {
        uplink: String,
        segment: String,
        max: usize,
    },
    #[error("{uplink:?} has {max} endpoints already, which is the limit")]
    UplinkFull { uplink: String, max: usize },
}

impl EndpointRequest {
    /// Checks the request against what there is, and fills in what it leaves open: the lowest free
    /// address of each subnet, and a MAC made from the IPv4 address, or else from `random`.
    ///
    /// # Errors
    ///
    /// The first rule that the request breaks.
    pub fn plan(
        &self,
        state: &State,
        host: &HostOnSegment,
        random: [u8; 4],
    ) -> Result<Endpoint, EndpointError> {
        self.plan_among(state, &Places::of(state), host, random)
    }

    /// The same with an index of the state, for many requests.
    ///
    /// # Errors
    ///
    /// The first rule that the request breaks.
    pub fn plan_among(
        &self,
        state: &State,
        places: &Places,
        host: &HostOnSegment,
        random: [u8; 4],
    ) -> Result<Endpoint, EndpointError> {
        let Self {
            network: name,
            addresses: _,
            mac: _,
            sources,
            netns,
            ifname,
        } = self;
        let network = state
            .networks
            .get(name)
            .ok_or_else(|| EndpointError::NoNetwork(name.clone()))?;
        check_ifname(ifname)?;
        check_sources(name, sources, None, state, places)?;
        // Who is on the segment of a passthru network is in it.
        if let (Mode::Passthru, Some((endpoint, _))) =
            (network.mode, places.endpoints(state, network).next())
        {
            return Err(EndpointError::PassthruTaken {
                network: name.clone(),
                endpoint: endpoint.clone(),
            });
        }
        let neighbours: Vec<_> = places.endpoints(state, network).collect();
        let addresses = self.plan_addresses(network, &neighbours, host)?;
        let mac = self.mac(network, &addresses, &neighbours, host.mac, random)?;
        let number = places.free_number(&network.uplink);
        let number = number.ok_or_else(|| EndpointError::UplinkFull {
            uplink: network.uplink.clone(),
            max: MAX_ENDPOINTS,
        })?;
        let flood_slot = places.free_flood_slot(network);
        let flood_slot = flood_slot.ok_or_else(|| EndpointError::SegmentFull {
            uplink: network.uplink.clone(),
            segment: network.segment.to_string(),
            max: MAX_FLOOD_SLOTS,
        })?;
        Ok(Endpoint {
            phase: Phase::Adding,
            network: name.clone(),
            mac,
            mac_of_uplink: network.mode == Mode::Passthru
                && host.mac.map_or(self.mac.is_none(), |uplink| mac == uplink),
            sources: sources.clone(),
            addresses,
            netns: netns.clone(),
            netns_id: None,
            ifname: ifname.clone(),
            host_ifindex: 0,
            carrier_off: false,
            dormant: false,
            sizes: Sizes::default(),
            number,
            flood_slot,
            container_programs: false,
            takes_xdp: false,
        })
    }

    fn mac(
        &self,
        network: &Network,
        addresses: &[IpNet],
        neighbours: &[(&EndpointId, &Endpoint)],
        uplink_mac: Option<MacAddr>,
        random: [u8; 4],
    ) -> Result<MacAddr, EndpointError> {
        let from_address = || {
            let ipv4 = addresses.iter().find_map(|net| match net.addr() {
                IpAddr::V4(address) => Some(address),
                IpAddr::V6(_) => None,
            });
            MacAddr::from_ipv4(ipv4.unwrap_or(Ipv4Addr::from(random)))
        };
        if network.mode == Mode::Passthru {
            // It stands for the uplink, whose frames it gets whatever their address, and takes its address once it is there.
            return Ok(self.mac.or(uplink_mac).unwrap_or_else(from_address));
        }
        let mac = self.mac.unwrap_or_else(from_address);
        if Some(mac) == uplink_mac {
            return Err(EndpointError::MacOfUplink {
                mac,
                uplink: network.uplink.clone(),
            });
        }
        match neighbours.iter().find(|(_, endpoint)| endpoint.mac == mac) {
            Some((endpoint, _)) => Err(EndpointError::MacTaken {
                mac,
                endpoint: EndpointId::clone(endpoint),
                segment: network.segment.to_string(),
            }),
            None => Ok(mac),
        }
    }
}

impl EndpointRequest {
    /// A request for an endpoint `eth0`, with all else left open.
    pub fn in_network(network: &str, netns: &str) -> Self {
        Self {
            network: network.to_owned(),
            addresses: Vec::new(),
            mac: None,
            sources: BTreeSet::new(),
            netns: netns.to_owned(),
            ifname: "eth0".to_owned(),
        }
    }
}

/// A change of the source addresses that an endpoint hears, as `ip link set … type macvlan macaddr` has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceChange {
    Add(BTreeSet<MacAddr>),
    /// Those that are not there are fine.
    Delete(BTreeSet<MacAddr>),
    Set(BTreeSet<MacAddr>),
    Flush,
}

impl SourceChange {
    /// What it makes of the addresses there are.
    pub fn apply(self, now: &BTreeSet<MacAddr>) -> BTreeSet<MacAddr> {
        match self {
            Self::Add(more) => now.union(&more).copied().collect(),
            Self::Delete(some) => now.difference(&some).copied().collect(),
            Self::Set(all) => all,
            Self::Flush => BTreeSet::new(),
        }
    }
}

/// Whether an endpoint of a network may hear these source addresses; `own` is it, if it is there already.
///
/// # Errors
///
/// When the network is in another mode, or an address has too many listeners.
pub fn check_sources(
    name: &str,
    sources: &BTreeSet<MacAddr>,
    own: Option<&EndpointId>,
    state: &State,
    places: &Places,
) -> Result<(), EndpointError> {
    let Some(network) = state.networks.get(name) else {
        return Err(EndpointError::NoNetwork(name.to_owned()));
    };
    if network.mode != Mode::Source && !sources.is_empty() {
        return Err(EndpointError::SourcesMode {
            network: name.to_owned(),
            mode: network.mode,
        });
    }
    for mac in sources {
        let others = places
            .endpoints(state, network)
            .filter(|(id, endpoint)| Some(*id) != own && endpoint.sources.contains(mac));
        if others.count() >= MAX_SOURCE_SLOTS {
            return Err(EndpointError::TooManyListeners {
                mac: *mac,
                max: MAX_SOURCE_SLOTS,
            });
        }
    }
    Ok(())
}

impl Endpoint {
    pub(super) fn has_address(&self, address: IpAddr) -> bool {
        self.addresses.iter().any(|net| net.addr() == address)
    }
}

/// The kernel's `dev_valid_name`, without what it takes for a pattern (`%d`) or for settings of all interfaces.
fn check_ifname(name: &str) -> Result<(), EndpointError> {
    let bad = |c: char| matches!(c, '/' | ':' | '%' | '\0') || c.is_whitespace();
    let reserved = matches!(name, "." | ".." | "all" | "default");
    if name.is_empty() || name.len() > 15 || reserved || name.contains(bad) {
        return Err(EndpointError::Ifname(name.to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
