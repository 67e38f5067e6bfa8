//! What the host itself has on a segment, looked up once for many requests.

use std::collections::{BTreeMap, BTreeSet};

use super::{ControlError, Vnet};
use crate::{
    link::Link,
    model::{MacAddr, Segment, endpoint::HostOnSegment},
};

/// What has been looked up so far.
#[derive(Default)]
pub(super) struct HostLinks {
    uplinks: BTreeMap<String, Link>,
    all: Option<Vec<Link>>,
    segments: BTreeMap<(u32, Segment), HostOnSegment>,
}

impl HostLinks {
    /// The interface of an uplink whose datapath runs.
    ///
    /// # Errors
    ///
    /// As [`Vnet::uplink_link`].
    pub async fn uplink(&mut self, vnet: &Vnet, iface: &str) -> Result<Link, ControlError> {
        if let Some(link) = self.uplinks.get(iface) {
            return Ok(link.clone());
        }
        let link = vnet.uplink_link(iface).await?;
        self.uplinks.insert(iface.to_owned(), link.clone());
        Ok(link)
    }

    /// What the host has there: on the NIC, on the bridge that it is a port of, or on its own VLAN device.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub async fn on_segment(
        &mut self,
        vnet: &Vnet,
        link: &Link,
        segment: Segment,
    ) -> Result<HostOnSegment, ControlError> {
        if let Some(known) = self.segments.get(&(link.index, segment)) {
            return Ok(known.clone());
        }
        let mut addresses = BTreeSet::new();
        for index in self.host_devices(vnet, link, segment).await? {
            addresses.extend(vnet.netlink.addresses(index).await?);
        }
        let on_segment = HostOnSegment {
            mac: Some(MacAddr::try_from(link.mac)?),
            addresses,
        };
        self.segments
            .insert((link.index, segment), on_segment.clone());
        Ok(on_segment)
    }

    async fn host_devices(
        &mut self,
        vnet: &Vnet,
        link: &Link,
        segment: Segment,
    ) -> Result<Vec<u32>, ControlError> {
        match (segment.outer, segment.vlan) {
            (None, None) => Ok([link.index].into_iter().chain(link.master).collect()),
            (None, Some(vlan)) => {
                let links = match &mut self.all {
                    Some(links) => links,
                    unread => unread.insert(vnet.netlink.list().await?),
                };
                let is_its = |other: &&Link| {
                    other.peer_index == Some(link.index) && other.vlan == Some(vlan.into())
                };
                Ok(links.iter().filter(is_its).map(|it| it.index).collect())
            }
            // Two VLAN devices deep: not looked for.
            (Some(_), _) => Ok(Vec::new()),
        }
    }
}
