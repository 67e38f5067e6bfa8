//! Networks, and what makes a request for one acceptable.

use std::{collections::BTreeSet, net::IpAddr};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use vnet_common::MAX_QINQ_SEGMENTS;

use super::{
    address::not_a_host,
    mac::MacAddr,
    mode::{Guard, Mode},
    places::Places,
    priority::{EgressMap, IngressMap},
    segment::Segment,
    state::State,
    vlan::VlanId,
};

/// A name for a segment, with its addresses and options.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    pub uplink: String,
    #[serde(flatten)]
    pub segment: Segment,
    /// The segment's number in the maps.
    pub number: u16,
    pub mode: Mode,
    pub guard: Guard,
    /// Addresses that every endpoint may send from beside its own.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub allowed_macs: BTreeSet<MacAddr>,
    /// In source mode: what an endpoint hears goes nowhere else.
    #[serde(default, skip_serializing_if = "is_off")]
    pub nodst: bool,
    /// Multicast goes only to who asked for it, while a querier is heard.
    #[serde(default = "on")]
    pub multicast_snooping: bool,
    #[serde(default, skip_serializing_if = "IngressMap::is_empty")]
    pub ingress_qos_map: IngressMap,
    #[serde(default, skip_serializing_if = "EgressMap::is_empty")]
    pub egress_qos_map: EgressMap,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subnets: Vec<IpNet>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gateways: Vec<IpAddr>,
    /// Bytes; `None` follows the uplink.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
}

/// A network that somebody asks for.
#[derive(Clone, Debug)]
pub struct NetworkRequest {
    pub name: String,
    pub network: Network,
}

/// What somebody wants to change of a network; `None` stays as it is.
#[derive(Clone, Debug, Default)]
pub struct NetworkChange {
    pub mode: Option<Mode>,
    pub nodst: Option<bool>,
    pub guard: Option<Guard>,
    pub multicast_snooping: Option<bool>,
    pub ingress_qos_map: Option<IngressMap>,
    pub egress_qos_map: Option<EgressMap>,
}

/// Why a network can't be created or changed.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum NetworkError {
    #[error(
        "network name {0:?}: letters, digits, '.', '_' and '-' were expected, 64 at most, the first a letter or digit"
    )]
    Name(String),
    #[error("network {0:?} exists already")]
    Exists(String),
    #[error("subnet {subnet} has bits set behind its prefix: {expected} was expected")]
    HostBits { subnet: IpNet, expected: IpNet },
    #[error(
        "subnet {subnet} overlaps {other} of network {network:?} on the same segment ({uplink}, {segment})"
    )]
    Overlap {
        subnet: IpNet,
        other: IpNet,
        network: String,
        uplink: String,
        segment: String,
    },
    #[error("subnet {subnet} overlaps {other}, which was given too")]
    OverlapsItself { subnet: IpNet, other: IpNet },
    #[error("subnet {subnet} is {what}: a subnet of hosts such as 192.168.200.0/24 was expected")]
    NotForHosts { subnet: IpNet, what: &'static str },
    #[error("gateway {gateway} is {what} of {subnet}: a host's address was expected")]
    GatewayNotAHost {
        gateway: IpAddr,
        what: &'static str,
        subnet: IpNet,
    },
    #[error("gateway {gateway} is in none of the network's subnets ({subnets})")]
    GatewayOutside { gateway: IpAddr, subnets: String },
    #[error("gateways {first} and {second} are both for {family}: one was expected")]
    TwoGateways {
        first: IpAddr,
        second: IpAddr,
        family: &'static str,
    },
    #[error(
        "network {other:?} is on the same segment ({uplink}, {segment}), and a passthru network has its segment for itself"
    )]
    SegmentShared {
        other: String,
        uplink: String,
        segment: String,
    },
    #[error(
        "network {network:?} cannot go {from} → {to}: a segment is passthru from its first network on"
    )]
    PassthruChange {
        network: String,
        from: Mode,
        to: Mode,
    },
    #[error("an outer VLAN {0} without a VLAN inside: --vlan was expected too")]
    OuterAlone(VlanId),
    #[error(
        "--ingress-qos-map and --egress-qos-map map a tag's priority, and the network is untagged: --vlan was expected too"
    )]
    PrioritiesUntagged,
    #[error("--nodst belongs to source mode, and the mode is {0}")]
    NodstMode(Mode),
    #[error("{uplink:?} has {max} segments of two tags already, which is the limit")]
    TooManySegments { uplink: String, max: usize },
    #[error("MTU {mtu} is not between {min} and {max}, the uplink's")]
    Mtu { mtu: u32, min: u32, max: u32 },
}

/// RFC 791: every module must forward a datagram of 68 octets.
const MIN_MTU: u32 = 68;
/// RFC 8200, section 5: every link must carry packets of 1280 octets.
const MIN_MTU_IPV6: u32 = 1280;

impl NetworkRequest {
    /// Checks the request against what there is, and gives its segment a number; `uplink_mtu` in bytes.
    ///
    /// # Errors
    ///
    /// The first rule that the request breaks.
    pub fn plan(&self, state: &State, uplink_mtu: u32) -> Result<Network, NetworkError> {
        self.plan_among(state, &Places::of(state), uplink_mtu)
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
        uplink_mtu: u32,
    ) -> Result<Network, NetworkError> {
        self.validate(state, places, uplink_mtu)?;
        Ok(Network {
            number: self.segment_number(state, places)?,
            ..self.network.clone()
        })
    }

    /// A single tag's segment has the VLAN id for a number, so that programs need no map to find it.
    fn segment_number(&self, state: &State, places: &Places) -> Result<u16, NetworkError> {
        let Network {
            uplink, segment, ..
        } = &self.network;
        if segment.outer.is_none() {
            return Ok(segment.vlan.map_or(vnet_common::UNTAGGED, u16::from));
        }
        if let Some((_, same)) = places.networks(state, uplink, *segment).next() {
            return Ok(same.number);
        }
        places
            .free_segment_number(uplink)
            .ok_or_else(|| NetworkError::TooManySegments {
                uplink: uplink.clone(),
                max: MAX_QINQ_SEGMENTS,
            })
    }

    fn validate(
        &self,
        state: &State,
        places: &Places,
        uplink_mtu: u32,
    ) -> Result<(), NetworkError> {
        let Self { name, network } = self;
        check_name(name)?;
        if state.networks.contains_key(name) {
            return Err(NetworkError::Exists(name.clone()));
        }
        for (index, subnet) in network.subnets.iter().enumerate() {
            if subnet.trunc() != *subnet {
                return Err(NetworkError::HostBits {
                    subnet: *subnet,
                    expected: subnet.trunc(),
                });
            }
            if let Some(what) = not_for_hosts(subnet) {
                return Err(NetworkError::NotForHosts {
                    subnet: *subnet,
                    what,
                });
            }
            if let Some(other) = network.subnets[..index].iter().find(|o| overlap(o, subnet)) {
                return Err(NetworkError::OverlapsItself {
                    subnet: *subnet,
                    other: *other,
                });
            }
            self.check_overlap(subnet, state, places)?;
        }
        self.check_gateways()?;
        self.check_segment(state, places)?;
        network.check_options()?;
        let has_ipv6 = network.subnets.iter().any(|subnet| subnet.addr().is_ipv6());
        let min = if has_ipv6 { MIN_MTU_IPV6 } else { MIN_MTU };
        match network.mtu {
            Some(mtu) if !(min..=uplink_mtu).contains(&mtu) => Err(NetworkError::Mtu {
                mtu,
                min,
                max: uplink_mtu,
            }),
            _ => Ok(()),
        }
    }

    /// Networks of different modes may share a segment, but passthru shares with nobody (`macvlan_common_newlink`).
    fn check_segment(&self, state: &State, places: &Places) -> Result<(), NetworkError> {
        let Network {
            uplink,
            segment,
            mode,
            ..
        } = &self.network;
        if let (None, Some(outer)) = (segment.vlan, segment.outer) {
            return Err(NetworkError::OuterAlone(outer.vlan));
        }
        let passthru = |other: Mode| other == Mode::Passthru || *mode == Mode::Passthru;
        let mut networks = places.networks(state, uplink, *segment);
        match networks.find(|(_, other)| passthru(other.mode)) {
            Some((other, _)) => Err(NetworkError::SegmentShared {
                other: other.clone(),
                uplink: uplink.clone(),
                segment: segment.to_string(),
            }),
            None => Ok(()),
        }
    }

    fn check_overlap(
        &self,
        subnet: &IpNet,
        state: &State,
        places: &Places,
    ) -> Result<(), NetworkError> {
        let Network {
            uplink, segment, ..
        } = &self.network;
        for (name, existing) in places.networks(state, uplink, *segment) {
            if let Some(other) = existing.subnets.iter().find(|other| overlap(other, subnet)) {
                return Err(NetworkError::Overlap {
                    subnet: *subnet,
                    other: *other,
                    network: name.clone(),
                    uplink: uplink.clone(),
                    segment: segment.to_string(),
                });
            }
        }
        Ok(())
    }

    fn check_gateway(&self, gateway: IpAddr) -> Result<(), NetworkError> {
        let subnets = &self.network.subnets;
        match self.network.subnet_of(gateway) {
            Some(subnet) => match not_a_host(gateway, subnet) {
                Some(what) => Err(NetworkError::GatewayNotAHost {
                    gateway,
                    what,
                    subnet: *subnet,
                }),
                None => Ok(()),
            },
            // The usual address of an IPv6 router, which is on every link (RFC 4861, section 6.1.2).
            None if is_link_local(gateway) && subnets.iter().any(|net| net.addr().is_ipv6()) => {
                Ok(())
            }
            None => Err(NetworkError::GatewayOutside {
                gateway,
                subnets: list(subnets),
            }),
        }
    }

    fn check_gateways(&self) -> Result<(), NetworkError> {
        let gateways = &self.network.gateways;
        for (index, gateway) in gateways.iter().enumerate() {
            self.check_gateway(*gateway)?;
            let same_family = |other: &&IpAddr| other.is_ipv4() == gateway.is_ipv4();
            if let Some(first) = gateways[..index].iter().find(same_family) {
                return Err(NetworkError::TwoGateways {
                    first: *first,
                    second: *gateway,
                    family: if gateway.is_ipv4() { "IPv4" } else { "IPv6" },
                });
            }
        }
        Ok(())
    }
}

impl Network {
    /// A network on the untagged segment of an uplink, with every option at its default.
    pub fn on(uplink: &str) -> Self {
        Self {
            uplink: uplink.to_owned(),
            segment: Segment::default(),
            number: vnet_common::UNTAGGED,
            mode: Mode::default(),
            guard: Mode::default().default_guard(),
            allowed_macs: BTreeSet::new(),
            nodst: false,
            multicast_snooping: true,
            ingress_qos_map: IngressMap::default(),
            egress_qos_map: EgressMap::default(),
            subnets: Vec::new(),
            gateways: Vec::new(),
            mtu: None,
        }
    }

    /// The network with other settings, as far as the kernel's macvlan lets a living one change
    /// (`macvlan_changelink`).
    ///
    /// # Errors
    ///
    /// What does not go together; a passthru network stays one, and no other becomes one.
    pub fn changed(&self, name: &str, change: &NetworkChange) -> Result<Self, NetworkError> {
        let NetworkChange {
            mode,
            nodst,
            guard,
            multicast_snooping,
            ingress_qos_map,
            egress_qos_map,
        } = change.clone();
        let mut network = self.clone();
        if let Some(mode) = mode {
            if (mode == Mode::Passthru) != (self.mode == Mode::Passthru) {
                return Err(NetworkError::PassthruChange {
                    network: name.to_owned(),
                    from: self.mode,
                    to: mode,
                });
            }
            network.mode = mode;
            network.nodst &= mode == Mode::Source;
        }
        network.nodst = nodst.unwrap_or(network.nodst);
        network.guard = guard.unwrap_or(network.guard);
        network.multicast_snooping = multicast_snooping.unwrap_or(network.multicast_snooping);
        network.ingress_qos_map = ingress_qos_map.unwrap_or(network.ingress_qos_map);
        network.egress_qos_map = egress_qos_map.unwrap_or(network.egress_qos_map);
        network.check_options()?;
        Ok(network)
    }

    fn check_options(&self) -> Result<(), NetworkError> {
        if self.nodst && self.mode != Mode::Source {
            return Err(NetworkError::NodstMode(self.mode));
        }
        if self.segment.vlan.is_none() && self.maps_priorities() {
            return Err(NetworkError::PrioritiesUntagged);
        }
        Ok(())
    }

    /// True if a frame's priority means something.
    pub fn maps_priorities(&self) -> bool {
        !(self.ingress_qos_map.is_empty() && self.egress_qos_map.is_empty())
    }

    /// True if endpoints need programs at the container's end of their link: where frames have priorities, and where a frame
    /// for the host comes to an endpoint that listens to its sender.
    pub fn needs_container_programs(&self) -> bool {
        self.maps_priorities() || self.mode == Mode::Source
    }

    /// The subnet that holds an address.
    pub fn subnet_of(&self, address: IpAddr) -> Option<&IpNet> {
        self.subnets.iter().find(|subnet| subnet.contains(&address))
    }
}

fn is_off(flag: &bool) -> bool {
    !flag
}

fn on() -> bool {
    true
}

/// Subnets in words.
pub fn list(subnets: &[IpNet]) -> String {
    if subnets.is_empty() {
        return "none".to_owned();
    }
    let texts: Vec<_> = subnets.iter().map(IpNet::to_string).collect();
    texts.join(", ")
}

fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

/// What a subnet is of which no container can have an address.
fn not_for_hosts(subnet: &IpNet) -> Option<&'static str> {
    let address = subnet.addr();
    if subnet.prefix_len() == 0 {
        Some("everything")
    } else if address.is_unspecified() {
        Some("for hosts that have no address yet")
    } else if address.is_multicast() {
        Some("multicast")
    } else if address.is_loopback() {
        Some("loopback")
    } else if address.is_ipv6() && is_link_local(address) {
        Some("link-local, which every interface has by itself")
    } else {
        None
    }
}

fn overlap(a: &IpNet, b: &IpNet) -> bool {
    a.contains(b) || b.contains(a)
}

fn check_name(name: &str) -> Result<(), NetworkError> {
    let first = name
        .bytes()
        .next()
        .is_some_and(|b| b.is_ascii_alphanumeric());
    let rest = name
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    if first && rest && name.len() <= 64 {
        Ok(())
    } else {
        Err(NetworkError::Name(name.to_owned()))
    }
}

#[cfg(test)]
mod tests;
