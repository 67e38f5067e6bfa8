//! The container's end: addresses and routes, set from inside its namespace.

use std::{net::IpAddr, pin::pin};

use futures_util::TryStreamExt;
use ipnet::IpNet;
use netlink_packet_route::address::{AddressAttribute, AddressHeaderFlags};
use rtnetlink::RouteMessageBuilder;

use super::{error::LinkError, netlink::Netlink};

impl Netlink {
    /// Adds an address with its prefix.
    pub async fn add_address(&self, index: u32, address: IpNet) -> Result<(), LinkError> {
        let request = self
            .handle
            .address()
            .add(index, address.addr(), address.prefix_len());
        let result = request.execute().await;
        result.map_err(|error| LinkError::netlink(format!("add address {address}"), &error))
    }

    /// The addresses of an interface.
    pub async fn addresses(&self, index: u32) -> Result<Vec<IpAddr>, LinkError> {
        let request = self.handle.address().get();
        let mut messages = pin!(request.set_link_index_filter(index).execute());
        let what = |error| LinkError::netlink(format!("list the addresses of {index}"), &error);
        let mut addresses = Vec::new();
        while let Some(message) = messages.try_next().await.map_err(what)? {
            for attribute in message.attributes {
                // `IFA_LOCAL` is the interface's own; IPv6 only has `IFA_ADDRESS`.
                if let AddressAttribute::Local(address) | AddressAttribute::Address(address) =
                    attribute
                {
                    addresses.push(address);
                }
            }
        }
        Ok(addresses)
    }

    /// The addresses of an interface that are known to be its own: not those that IPv6 still asks about, or was told are
    /// taken (RFC 4862, section 5.4).
    pub async fn announceable(&self, index: u32) -> Result<Vec<IpAddr>, LinkError> {
        let unsure = AddressHeaderFlags::Tentative | AddressHeaderFlags::Dadfailed;
        let request = self.handle.address().get();
        let mut messages = pin!(request.set_link_index_filter(index).execute());
        let what = |error| LinkError::netlink(format!("list the addresses of {index}"), &error);
        let mut addresses = Vec::new();
        while let Some(message) = messages.try_next().await.map_err(what)? {
            if message.header.flags.intersects(unsure) {
                continue;
            }
            let local = message
                .attributes
                .iter()
                .find_map(|attribute| match attribute {
                    AddressAttribute::Local(address) => Some(*address),
                    _ => None,
                });
            let other = message
                .attributes
                .iter()
                .find_map(|attribute| match attribute {
                    AddressAttribute::Address(address) => Some(*address),
                    _ => None,
                });
            addresses.extend(local.or(other));
        }
        Ok(addresses)
    }

    /// Adds the default route by `gateway`, unless the container has one already by another network.
    pub async fn add_default_route(&self, index: u32, gateway: IpAddr) -> Result<(), LinkError> {
        let message = match gateway {
            IpAddr::V4(gateway) => RouteMessageBuilder::<std::net::Ipv4Addr>::new()
                .gateway(gateway)
                .output_interface(index)
                .build(),
            IpAddr::V6(gateway) => RouteMessageBuilder::<std::net::Ipv6Addr>::new()
                .gateway(gateway)
                .output_interface(index)
                .build(),
        };
        let result = self.handle.route().add(message).execute().await;
        let what = format!("add the default route by {gateway}");
        super::error::allow(
            result.map_err(|error| LinkError::netlink(what, &error)),
            &[libc::EEXIST],
        )
    }
}
