//! What vnet sets on the NIC itself: flags and the unicast filter.

use netlink_packet_route::{
    AddressFamily,
    neighbour::{
        NeighbourAttribute, NeighbourFlags, NeighbourHeader, NeighbourMessage, NeighbourState,
    },
};
use rtnetlink::LinkUnspec;

use super::{
    error::{LinkError, allow},
    netlink::{Link, Netlink},
};
use crate::model::mac::MacAddr;

impl Netlink {
    /// `ip link set dev … promisc on|off`.
    pub async fn set_promiscuous(&self, link: &Link, on: bool) -> Result<(), LinkError> {
        let message = LinkUnspec::new_with_index(link.index)
            .promiscuous(on)
            .build();
        let what = format!("set promiscuous mode of {:?}", link.name);
        self.change(message, what).await
    }

    /// `ip link set dev … allmulticast on|off`.
    pub async fn set_allmulticast(&self, link: &Link, on: bool) -> Result<(), LinkError> {
        let message = LinkUnspec::new_with_index(link.index)
            .allmulticast(on)
            .build();
        let what = format!("set allmulticast of {:?}", link.name);
        self.change(message, what).await
    }

    /// `bridge fdb add MAC dev … self permanent`: the NIC lets the address through. False if it
    /// was there already.
    pub async fn add_unicast(&self, link: &Link, mac: MacAddr) -> Result<bool, LinkError> {
        let what = format!("add {mac} to the unicast filter of {:?}", link.name);
        let neighbours = self.handle.neighbours();
        let request = neighbours
            .add_bridge(link.index, &mac.octets())
            .flags(NeighbourFlags::Own)
            .state(NeighbourState::Permanent);
        let result = request
            .execute()
            .await
            .map_err(|error| LinkError::netlink(what, &error));
        match result {
            Err(error) if error.errno() == Some(libc::EEXIST) => Ok(false),
            other => other.map(|()| true),
        }
    }

    /// Takes an address out of the NIC's unicast filter. One that is gone is fine.
    pub async fn remove_unicast(&self, link: &Link, mac: MacAddr) -> Result<(), LinkError> {
        let mut message = NeighbourMessage::default();
        message.header = NeighbourHeader {
            family: AddressFamily::Bridge,
            ifindex: link.index,
            state: NeighbourState::Permanent,
            flags: NeighbourFlags::Own,
            ..NeighbourHeader::default()
        };
        let address = NeighbourAttribute::LinkLayerAddress(mac.octets().to_vec());
        message.attributes.push(address);
        let result = self.handle.neighbours().del(message).execute().await;
        let what = format!("take {mac} out of the unicast filter of {:?}", link.name);
        allow(
            result.map_err(|error| LinkError::netlink(what, &error)),
            &[libc::ENOENT, libc::ENODEV],
        )
    }
}
