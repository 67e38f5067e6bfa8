//! The container's end: addresses and routes, set from inside its namespace.

use std::net::IpAddr;

use ipnet::IpNet;
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
