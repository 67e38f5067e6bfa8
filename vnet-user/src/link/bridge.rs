//! VLANs of a bridge's port.

use std::{collections::BTreeSet, pin::pin};

use futures_util::TryStreamExt;
use netlink_packet_route::{
    AddressFamily,
    link::{AfSpecBridge, BridgeVlanInfoFlags, LinkAttribute, LinkExtentMask},
};

use super::{
    error::LinkError,
    netlink::{Link, Netlink},
};

impl Netlink {
    /// `bridge vlan show dev …`: the VLAN ids that a port lets in.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub async fn port_vlans(&self, port: &Link) -> Result<BTreeSet<u16>, LinkError> {
        let mask = vec![LinkExtentMask::BrvlanCompressed];
        let request = self.handle.link().get();
        let request = request.set_filter_mask(AddressFamily::Bridge, mask);
        let mut ports = pin!(request.execute());
        let what = |error| LinkError::netlink("list the VLANs of bridge ports", &error);
        let mut vlans = BTreeSet::new();
        while let Some(message) = ports.try_next().await.map_err(what)? {
            if message.header.index != port.index {
                continue;
            }
            let mut first = None;
            for attribute in &message.attributes {
                let LinkAttribute::AfSpecBridge(specs) = attribute else {
                    continue;
                };
                for spec in specs {
                    let AfSpecBridge::VlanInfo(info) = spec else {
                        continue;
                    };
                    if info.flags.contains(BridgeVlanInfoFlags::RangeBegin) {
                        first = Some(info.vid);
                    } else {
                        vlans.extend(first.take().unwrap_or(info.vid)..=info.vid);
                    }
                }
            }
        }
        Ok(vlans)
    }
}
