//! Which addresses an endpoint gets.

use std::{collections::BTreeSet, net::IpAddr};

use ipnet::IpNet;

use super::{
    endpoint::{Endpoint, EndpointError, EndpointId, EndpointRequest, HostOnSegment},
    network::{Network, list},
};

impl EndpointRequest {
    /// The addresses that were asked for, or the lowest free one of each subnet.
    pub(super) fn plan_addresses(
        &self,
        network: &Network,
        neighbours: &[(&EndpointId, &Endpoint)],
        host: &HostOnSegment,
    ) -> Result<Vec<IpNet>, EndpointError> {
        if self.addresses.is_empty() {
            let free = |subnet| self.lowest_free_address(subnet, network, neighbours, host);
            return network.subnets.iter().map(free).collect();
        }
        let mut planned = Vec::new();
        for (index, &address) in self.addresses.iter().enumerate() {
            if self.addresses[..index].contains(&address) {
                return Err(EndpointError::AddressTwice(address));
            }
            planned.push(self.check_address(address, network, neighbours, host)?);
        }
        Ok(planned)
    }

    fn check_address(
        &self,
        address: IpAddr,
        network: &Network,
        neighbours: &[(&EndpointId, &Endpoint)],
        host: &HostOnSegment,
    ) -> Result<IpNet, EndpointError> {
        let Some(&subnet) = network.subnet_of(address) else {
            return Err(EndpointError::AddressOutside {
                address,
                network: self.network.clone(),
                subnets: list(&network.subnets),
            });
        };
        if let Some(what) = not_a_host(address, &subnet) {
            return Err(EndpointError::NotAHost {
                address,
                what,
                subnet,
            });
        }
        if network.gateways.contains(&address) {
            return Err(EndpointError::AddressIsGateway {
                address,
                network: self.network.clone(),
            });
        }
        if host.addresses.contains(&address) {
            return Err(EndpointError::AddressOfHost(address));
        }
        let has_it = |(_, endpoint): &&(_, &Endpoint)| endpoint.has_address(address);
        if let Some((endpoint, _)) = neighbours.iter().find(has_it) {
            return Err(EndpointError::AddressTaken {
                address,
                endpoint: EndpointId::clone(endpoint),
            });
        }
        Ok(with_prefix(address, &subnet))
    }

    fn lowest_free_address(
        &self,
        subnet: &IpNet,
        network: &Network,
        neighbours: &[(&EndpointId, &Endpoint)],
        host: &HostOnSegment,
    ) -> Result<IpNet, EndpointError> {
        // Every taken address can push the search on by one, the gateway's, the host's and the subnet's own too.
        let addresses = neighbours.iter().flat_map(|(_, it)| &it.addresses);
        let taken: BTreeSet<IpAddr> = addresses.map(IpNet::addr).collect();
        let limit = taken.len() + network.gateways.len() + host.addresses.len() + 2;
        subnet
            .hosts()
            .take(limit)
            .filter(|address| !taken.contains(address))
            .find_map(|address| self.check_address(address, network, neighbours, host).ok())
            .ok_or_else(|| EndpointError::SubnetFull {
                subnet: *subnet,
                network: self.network.clone(),
            })
    }
}

/// What an address is that no host can have, as RFC 3021 and RFC 4291 section 2.6.1 leave it.
pub(super) fn not_a_host(address: IpAddr, subnet: &IpNet) -> Option<&'static str> {
    let whole = subnet.prefix_len() + 1 >= subnet.max_prefix_len();
    if whole {
        None
    } else if address == subnet.network() {
        Some("the network address")
    } else if address.is_ipv4() && address == subnet.broadcast() {
        Some("the broadcast address")
    } else {
        None
    }
}

fn with_prefix(address: IpAddr, subnet: &IpNet) -> IpNet {
    // The subnet's own prefix length is in range for its family, and the address is in the subnet.
    IpNet::new(address, subnet.prefix_len()).unwrap_or(IpNet::from(address))
}
