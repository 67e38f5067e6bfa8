//! What `-o parent` names: an interface by any of its names; a VLAN on one, or one in another (`eth0.50`, `eth0.50.60`); or a
//! VLAN device of any name, which stands for the interface below it and its VLAN.

use vnet_common::ETHER_TYPE_8021Q;

use crate::{
    control::{ControlError, Vnet},
    link::Link,
    model::{OuterProtocol, OuterTag, Parent, Segment, VlanId},
    options::NetworkOptions,
};

/// The most tags that a segment has.
const TAGS: usize = 2;

impl Vnet {
    pub(super) async fn docker_parent(
        &self,
        name: &str,
        options: &NetworkOptions,
    ) -> Result<Parent, ControlError> {
        let own_name = self.uplink_name(name).await?;
        let links = self.netlink.list().await?;
        let device = links.iter().find(|link| link.name == own_name);
        if let Some(device) = device.filter(|link| link.vlan.is_some()) {
            let parent = below_vlan_devices(device, &links)?;
            let parent = parent.ok_or_else(|| ControlError::VlanDevice(name.to_owned()))?;
            options.segment().check(name, parent.segment)?;
            return Ok(parent);
        }
        let is_uplink = |name: &str| {
            self.state.uplinks.contains_key(name) || links.iter().any(|link| link.name == name)
        };
        if device.is_some() {
            return Ok(Parent::parse(&own_name, options.segment(), is_uplink)?);
        }
        let mut parent = Parent::parse(name, options.segment(), is_uplink)?;
        parent.uplink = self.uplink_name(&parent.uplink).await?;
        Ok(parent)
    }
}

/// What a VLAN device stands for; nothing where vnet has no such segment, or the interface below is in another namespace.
fn below_vlan_devices(device: &Link, links: &[Link]) -> Result<Option<Parent>, ControlError> {
    let mut tags = Vec::new();
    let mut below = device;
    while let Some(vlan) = below.vlan {
        tags.push((VlanId::try_from(vlan)?, below.vlan_protocol));
        let next = links
            .iter()
            .find(|link| !below.peer_is_elsewhere && Some(link.index) == below.peer_index);
        match next {
            Some(link) if tags.len() <= TAGS => below = link,
            _ => return Ok(None),
        }
    }
    let segment = segment(&tags);
    Ok(segment.map(|segment| Parent {
        uplink: below.name.clone(),
        segment,
    }))
}

/// Of the tags from the inner one out, each with its protocol.
fn segment(tags: &[(VlanId, u16)]) -> Option<Segment> {
    let (vlan, outer) = match *tags {
        [(vlan, ETHER_TYPE_8021Q)] => (vlan, None),
        [(vlan, ETHER_TYPE_8021Q), (outer, protocol)] => {
            let protocol = OuterProtocol::from_ethertype(protocol)?;
            let outer = OuterTag {
                vlan: outer,
                protocol,
            };
            (vlan, Some(outer))
        }
        _ => return None,
    };
    Some(Segment {
        vlan: Some(vlan),
        outer,
    })
}
