//! What vnet sets on the NIC itself: flags and the unicast filter.

use std::{collections::BTreeSet, pin::pin};

use futures_util::TryStreamExt;
use netlink_packet_route::{
    AddressFamily,
    neighbour::{
        NeighbourAttribute, NeighbourFlags, NeighbourHeader, NeighbourMessage, NeighbourState,
    },
};
use rtnetlink::LinkUnspec;
use vnet_common::Mac;

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

    /// `bridge fdb show dev …`: the addresses of stations in the NIC's filter beside its own.
    pub async fn unicast_filter(&self, link: &Link) -> Result<BTreeSet<MacAddr>, LinkError> {
        let request = self.handle.neighbours().get();
        let mut entries = pin!(request.set_address_family(AddressFamily::Bridge).execute());
        let what = || format!("read the unicast filter of {:?}", link.name);
        let mut addresses = BTreeSet::new();
        while let Some(entry) = entries
            .try_next()
            .await
            .map_err(|error| LinkError::netlink(what(), &error))?
        {
            let own = entry.header.flags.contains(NeighbourFlags::Own);
            if !own || entry.header.ifindex != link.index {
                continue;
            }
            for attribute in &entry.attributes {
                // Groups are in there too, and are no addresses of stations.
                if let NeighbourAttribute::LinkLayerAddress(bytes) = attribute
                    && let Ok(mac) = Mac::try_from(bytes.as_slice())
                    && let Ok(mac) = MacAddr::try_from(mac)
                {
                    addresses.insert(mac);
                }
            }
        }
        Ok(addresses)
    }

    /// `bridge fdb add MAC dev … self permanent`: the NIC lets the address through. One that is
    /// there already is fine.
    pub async fn add_unicast(&self, link: &Link, mac: MacAddr) -> Result<(), LinkError> {
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
        allow(result, &[libc::EEXIST])
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
