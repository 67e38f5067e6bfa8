//! What Docker asked for, and has not taken back. It never says it again: not after a boot, nor when vnet was away.

use std::{collections::BTreeMap, fmt, net::IpAddr};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{endpoint::EndpointId, mac::MacAddr};

/// Digits of Docker's ids.
const DIGITS: usize = 64;
/// Digits of the short form, as `docker network ls` shows them.
const SHORT: usize = 12;

/// Docker's id of a network or an endpoint: 64 hex digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DockerId(String);

/// An id that Docker does not make: the beginning of it.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("id {0:?}: {DIGITS} hex digits were expected")]
pub struct DockerIdError(String);

impl DockerId {
    /// As Docker's own lists show it.
    pub fn short(&self) -> &str {
        &self.0[..SHORT]
    }

    /// The uplink of a network without a parent, and that one's far end, within the kernel's 15 bytes (`IFNAMSIZ`).
    pub fn internal_ifnames(&self) -> [String; 2] {
        [format!("vi{}", self.short()), format!("vx{}", self.short())]
    }

    /// What vnet calls the endpoint of this id.
    pub fn endpoint_id(&self) -> EndpointId {
        EndpointId::from_short(self.short())
    }
}

impl TryFrom<String> for DockerId {
    type Error = DockerIdError;

    fn try_from(text: String) -> Result<Self, DockerIdError> {
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if text.len() != DIGITS || !text.bytes().all(is_digit) {
            return Err(DockerIdError(text.chars().take(DIGITS + 1).collect()));
        }
        Ok(Self(text))
    }
}

impl From<DockerId> for String {
    fn from(id: DockerId) -> Self {
        id.0
    }
}

impl fmt::Display for DockerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// All of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Docker {
    /// Each is the network of that name in the state: [`DockerId::short`].
    #[serde(default)]
    pub networks: BTreeMap<DockerId, DockerNetwork>,
    /// Those that Docker has created, whether a container has joined them yet or not.
    #[serde(default)]
    pub endpoints: BTreeMap<DockerId, DockerEndpoint>,
}

/// What a network's own record has no place for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DockerNetwork {
    /// Docker gives each subnet a gateway of its own.
    pub gateways: Vec<(IpNet, IpAddr)>,
    /// It was asked for without a parent, and has an uplink of its own that leads nowhere.
    #[serde(default)]
    pub internal: bool,
}

impl DockerNetwork {
    /// The gateway for a container with these addresses: the first that one of them has in its subnet.
    pub fn gateway(&self, addresses: &[IpAddr], is_family: fn(&IpAddr) -> bool) -> Option<IpAddr> {
        let mine = |subnet: &IpNet| addresses.iter().any(|address| subnet.contains(address));
        let gateways = self.gateways.iter();
        let mut fitting = gateways.filter(|(subnet, gateway)| mine(subnet) && is_family(gateway));
        fitting.next().map(|(_, gateway)| *gateway)
    }
}

/// An endpoint that Docker has created.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DockerEndpoint {
    pub network: DockerId,
    pub addresses: Vec<IpAddr>,
    pub mac: MacAddr,
    /// The user chose the MAC address.
    #[serde(default)]
    pub mac_given: bool,
}

impl Docker {
    /// Docker's network that has this name in the state.
    pub fn network_named(&self, name: &str) -> Option<&DockerId> {
        self.networks.keys().find(|id| id.short() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_as_docker_makes_them() {
        let id = DockerId::try_from("0123456789abcdef".repeat(4)).unwrap();
        assert_eq!(id.short(), "0123456789ab");
        assert_eq!(id.endpoint_id().as_str(), "0123456789ab");
        for bad in [
            "",
            "0123",
            &"g".repeat(64),
            &"A".repeat(64),
            &"é".repeat(32),
        ] {
            assert!(DockerId::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_gateway_is_that_of_the_address() {
        let network = DockerNetwork {
            gateways: [
                "10.1.0.0/16 10.1.0.1",
                "10.2.0.0/16 10.2.0.1",
                "fd00::/64 fd00::1",
            ]
            .map(|line| {
                let (subnet, gateway) = line.split_once(' ').unwrap();
                (subnet.parse().unwrap(), gateway.parse().unwrap())
            })
            .to_vec(),
            internal: false,
        };
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let of = |addresses: &[IpAddr]| {
            (
                network.gateway(addresses, IpAddr::is_ipv4),
                network.gateway(addresses, IpAddr::is_ipv6),
            )
        };
        assert_eq!(
            of(&[address("10.2.0.9")]),
            (Some(address("10.2.0.1")), None)
        );
        assert_eq!(
            of(&[address("10.1.0.9"), address("fd00::9")]),
            (Some(address("10.1.0.1")), Some(address("fd00::1")))
        );
        assert_eq!(of(&[]), (None, None));
    }
}
