//! Networks, and what makes a request for one acceptable.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{
    state::State,
    vlan::{VlanId, describe},
};

/// A name for a segment, with its addresses and options.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    pub uplink: String,
    /// `None` is the untagged segment.
    pub vlan: Option<VlanId>,
    pub subnets: Vec<IpNet>,
    pub gateways: Vec<IpAddr>,
    /// Bytes; `None` follows the uplink.
    pub mtu: Option<u32>,
}

/// A network that somebody asks for.
#[derive(Clone, Debug)]
pub struct NetworkRequest {
    pub name: String,
    pub network: Network,
}

/// Why a network can't be created.
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
    #[error("gateway {gateway} is in none of the network's subnets ({subnets})")]
    GatewayOutside { gateway: IpAddr, subnets: String },
    #[error("gateways {first} and {second} are both for {family}: one was expected")]
    TwoGateways {
        first: IpAddr,
        second: IpAddr,
        family: &'static str,
    },
    #[error("MTU {mtu} is not between {min} and {max}, the uplink's")]
    Mtu { mtu: u32, min: u32, max: u32 },
}

/// RFC 791: every module must forward a datagram of 68 octets.
const MIN_MTU: u32 = 68;

impl NetworkRequest {
    /// Checks the request against what there is; `uplink_mtu` in bytes.
    ///
    /// # Errors
    ///
    /// The first rule that the request breaks.
    pub fn validate(&self, state: &State, uplink_mtu: u32) -> Result<(), NetworkError> {
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
            if let Some(other) = network.subnets[..index].iter().find(|o| overlap(o, subnet)) {
                return Err(NetworkError::OverlapsItself {
                    subnet: *subnet,
                    other: *other,
                });
            }
            self.check_overlap(subnet, state)?;
        }
        self.check_gateways()?;
        match network.mtu {
            Some(mtu) if !(MIN_MTU..=uplink_mtu).contains(&mtu) => Err(NetworkError::Mtu {
                mtu,
                min: MIN_MTU,
                max: uplink_mtu,
            }),
            _ => Ok(()),
        }
    }

    fn check_overlap(&self, subnet: &IpNet, state: &State) -> Result<(), NetworkError> {
        let Network { uplink, vlan, .. } = &self.network;
        for (name, existing) in state.networks_on(uplink) {
            if existing.vlan != *vlan {
                continue;
            }
            if let Some(other) = existing.subnets.iter().find(|other| overlap(other, subnet)) {
                return Err(NetworkError::Overlap {
                    subnet: *subnet,
                    other: *other,
                    network: name.clone(),
                    uplink: uplink.clone(),
                    segment: describe(*vlan),
                });
            }
        }
        Ok(())
    }

    fn check_gateways(&self) -> Result<(), NetworkError> {
        let Network {
            subnets, gateways, ..
        } = &self.network;
        for (index, gateway) in gateways.iter().enumerate() {
            if !subnets.iter().any(|subnet| subnet.contains(gateway)) {
                return Err(NetworkError::GatewayOutside {
                    gateway: *gateway,
                    subnets: list(subnets),
                });
            }
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
    /// The subnet that holds an address.
    pub fn subnet_of(&self, address: IpAddr) -> Option<&IpNet> {
        self.subnets.iter().find(|subnet| subnet.contains(&address))
    }
}

/// Subnets in words.
pub fn list(subnets: &[IpNet]) -> String {
    if subnets.is_empty() {
        return "none".to_owned();
    }
    let texts: Vec<_> = subnets.iter().map(IpNet::to_string).collect();
    texts.join(", ")
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
mod tests {
    use super::*;

    fn request(
        name: &str,
        vlan: Option<u16>,
        subnets: &[&str],
        gateways: &[&str],
    ) -> NetworkRequest {
        NetworkRequest {
            name: name.to_owned(),
            network: Network {
                uplink: "enp0s8".to_owned(),
                vlan: vlan.map(|id| VlanId::try_from(id).unwrap()),
                subnets: subnets.iter().map(|s| s.parse().unwrap()).collect(),
                gateways: gateways.iter().map(|g| g.parse().unwrap()).collect(),
                mtu: None,
            },
        }
    }

    fn state() -> State {
        let web = request("web", Some(200), &["192.168.200.0/24"], &[]);
        let mut state = State::default();
        state.networks.insert(web.name, web.network);
        state
    }

    #[test]
    fn an_overlap_matters_on_the_same_segment_only() {
        let check = |vlan, subnet| request("db", vlan, &[subnet], &[]).validate(&state(), 1500);
        assert!(matches!(
            check(Some(200), "192.168.200.128/25"),
            Err(NetworkError::Overlap { .. })
        ));
        assert!(matches!(
            check(Some(200), "192.168.0.0/16"),
            Err(NetworkError::Overlap { .. })
        ));
        assert_eq!(check(Some(201), "192.168.200.0/24"), Ok(()));
        assert_eq!(check(None, "192.168.200.0/24"), Ok(()));
        assert_eq!(check(Some(200), "192.168.201.0/24"), Ok(()));
    }

    #[test]
    fn refuses_what_contradicts_itself() {
        let check = |subnets: &[&str], gateways: &[&str]| {
            request("db", None, subnets, gateways)
                .validate(&state(), 1500)
                .unwrap_err()
        };
        assert!(matches!(
            check(&["10.0.0.1/24"], &[]),
            NetworkError::HostBits { .. }
        ));
        assert!(matches!(
            check(&["10.0.0.0/24", "10.0.0.0/25"], &[]),
            NetworkError::OverlapsItself { .. }
        ));
        assert!(matches!(
            check(&["10.0.0.0/24"], &["10.0.1.1"]),
            NetworkError::GatewayOutside { .. }
        ));
        assert!(matches!(
            check(&["10.0.0.0/24"], &["10.0.0.1", "10.0.0.2"]),
            NetworkError::TwoGateways { .. }
        ));
    }

    #[test]
    fn refuses_names_and_mtus() {
        let mut bad = request("web", None, &[], &[]);
        assert_eq!(
            bad.validate(&state(), 1500),
            Err(NetworkError::Exists("web".into()))
        );
        for name in ["", "-x", "a/b", "a b"] {
            bad.name = name.to_owned();
            assert_eq!(
                bad.validate(&state(), 1500),
                Err(NetworkError::Name(name.into()))
            );
        }
        bad.name = "db".to_owned();
        for mtu in [0, 67, 1501] {
            bad.network.mtu = Some(mtu);
            assert!(matches!(
                bad.validate(&state(), 1500),
                Err(NetworkError::Mtu { .. })
            ));
        }
    }
}
