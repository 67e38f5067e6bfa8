//! What of the host XDP must reckon with: who wants which frames, and what the NIC does to them.

use std::collections::BTreeSet;

use vnet_common::{ETHER_TYPE_8021AD, ETHER_TYPE_8021Q, VLAN_ID_MASK};

use crate::{
    control::{ControlError, Vnet},
    datapath::{Maps, load::XDP_UPLINK},
    link::{Link, ethtool},
    model::{
        MacAddr, Phase, Rows,
        state::EndpointDevice,
        xdp::{HoldsBack, HostRows, HostView, Nic, Stripping, VlanUse},
    },
};

impl Vnet {
    /// An uplink's NIC, as XDP minds it.
    pub(super) async fn xdp_nic(
        &self,
        link: &Link,
        endpoint_device: EndpointDevice,
    ) -> Result<Nic, ControlError> {
        let links = self.netlink.list().await?;
        // As it is now: a flag may have been changed since the caller looked.
        let link = links
            .iter()
            .find(|it| it.index == link.index)
            .unwrap_or(link);
        let master = links.iter().find(|it| Some(it.index) == link.master);
        let known = self.state.uplinks.get(&link.name);
        let ours = known.is_some_and(|uplink| uplink.nic.promiscuous) && link.promiscuous;
        let is_ours = self.pins(&link.name).holds(XDP_UPLINK) == Some(link.index);
        // The kernel's own, since the NIC has been given addresses and no filter for them.
        let lacks_filter =
            link.is_veth() || known.is_some_and(|uplink| uplink.lacks_unicast_filter);
        let by_kernel = lacks_filter && !self.netlink.unicast_filter(link).await?.is_empty();
        let ports = ports(link, &links);
        Ok(Nic {
            iface: link.name.clone(),
            is_veth: ports.iter().any(|port| port.is_veth()),
            stripping: stripping(&ports)?,
            master: master
                .filter(|it| !is_vrf(it))
                .map(|master| master.name.clone()),
            others_promiscuous: link
                .promiscuity
                .saturating_sub(u32::from(ours) + u32::from(by_kernel)),
            other_program: link.xdp_program.filter(|_| !is_ours),
            endpoint_device,
            uses_every_vlan: match self.host_vlans(link, &links).await? {
                VlanUse::Every(why) => Some(why),
                VlanUse::Some(_) => None,
            },
        })
    }

    /// What the maps must say of the host, as it is now. What XDP has to hold back with is written down and said.
    pub(in crate::control) async fn host_rows(
        &mut self,
        link: &Link,
    ) -> Result<Option<HostRows>, ControlError> {
        let uplink = self.uplink(&link.name)?;
        let Some(xdp) = uplink.xdp.clone() else {
            return Ok(None);
        };
        let ours = uplink.nic.unicast.clone();
        let nic = self.xdp_nic(link, uplink.endpoint_device).await?;
        let holds_back = xdp.request.holds_back(&nic);
        let links = self.netlink.list().await?;
        let mut macs: BTreeSet<MacAddr> = self.netlink.unicast_filter(link).await?;
        // Those that vnet has put there are the endpoints'.
        macs.retain(|mac| !ours.contains(mac));
        macs.insert(MacAddr::try_from(link.mac)?);
        let view = HostView {
            vlans: self.host_vlans(link, &links).await?,
            macs,
            wants_every_mac: holds_back.unknown_unicast.is_some(),
        };
        if xdp.holds_back != holds_back {
            self.say_what_is_held_back(&link.name, &xdp.holds_back, &holds_back);
            if let Some(known) = &mut self.uplink_mut(&link.name)?.xdp {
                known.holds_back = holds_back;
            }
            self.save()?;
        }
        Ok(Some(HostRows::wanted(&self.state, &link.name, &view)))
    }

    fn say_what_is_held_back(&mut self, iface: &str, before: &HoldsBack, now: &HoldsBack) {
        let cases = [
            (
                "unknown unicast",
                &before.unknown_unicast,
                &now.unknown_unicast,
            ),
            ("delivery", &before.redirect, &now.redirect),
        ];
        for (what, before, now) in cases {
            match (before, now) {
                (None, Some(why)) => self
                    .notices
                    .push(format!("{iface}: XDP leaves {what} to tc for now: {why}")),
                (Some(_), None) => self
                    .notices
                    .push(format!("{iface}: XDP takes {what} over again")),
                _ => {}
            }
        }
    }

    /// Follows what has changed on the host, for each uplink that has XDP.
    pub(in crate::control) async fn follow_hosts(&mut self, links: &[Link]) {
        let uplinks = self.state.uplinks.iter();
        let with_xdp = uplinks.filter(|(_, it)| it.xdp.is_some() && it.phase == Phase::Ready);
        let with_xdp: Vec<_> = with_xdp.map(|(_, uplink)| uplink.ifindex).collect();
        for ifindex in with_xdp {
            if let Some(link) = links.iter().find(|link| link.index == ifindex) {
                let name = link.name.clone();
                let done = self.follow_host(link).await;
                self.note(done);
                let done = self.give_to_xdp(&name).await;
                self.note(done);
            }
        }
    }

    /// Brings what XDP knows of the host, and whom it may redirect to, to what they must be.
    pub(in crate::control) async fn follow_host(
        &mut self,
        link: &Link,
    ) -> Result<(), ControlError> {
        match self.uplink_link(&link.name).await {
            Err(error) if error.is_not_running() => return Ok(()),
            Err(error) => return Err(error),
            Ok(_) => {}
        }
        if let Some(rows) = self.host_rows(link).await? {
            let mut maps = Maps::open(&self.pins(&link.name))?;
            maps.reconcile_host(&rows)?;
            maps.reconcile_xdp_receivers(&Rows::wanted(&self.state, &link.name))?;
        }
        Ok(())
    }

    /// Lets XDP redirect to those of an uplink's endpoints that have come to take it.
    pub(in crate::control) async fn give_to_xdp(
        &mut self,
        uplink: &str,
    ) -> Result<(), ControlError> {
        let pins = self.pins(uplink);
        if self.open_to_xdp(uplink).await? && pins.complete() {
            let rows = Rows::wanted(&self.state, uplink);
            Maps::open(&pins)?.reconcile_xdp_receivers(&rows)?;
        }
        Ok(())
    }

    /// The VLANs that devices of the host use on an uplink: VLAN devices, also on macvlans, and the bridge that it is a port
    /// of. Those that were moved into other namespaces can't be seen from here.
    async fn host_vlans(&self, link: &Link, links: &[Link]) -> Result<VlanUse, ControlError> {
        let mut tags = BTreeSet::new();
        let master = links.iter().find(|it| Some(it.index) == link.master);
        if let Some(bridge) = master.filter(|it| !is_vrf(it)) {
            let (name, kind) = (&bridge.name, bridge.kind.as_deref().unwrap_or("device"));
            if kind == "bridge" && !bridge.filters_vlans {
                return Ok(VlanUse::Every(format!(
                    "it is a port of bridge {name:?}, which does not look at VLANs (`ip link set {name} type bridge \
                     vlan_filtering 1`)"
                )));
            }
            if kind != "bridge" {
                return Ok(VlanUse::Every(format!("it is a port of {kind} {name:?}")));
            }
            let vlans = self.netlink.port_vlans(link).await?;
            tags.extend(vlans.into_iter().map(|vlan| (bridge.vlan_protocol, vlan)));
            // Tags of the other protocol are untagged to it (`__allowed_ingress` in net/bridge/br_vlan.c).
            let other = match bridge.vlan_protocol {
                ETHER_TYPE_8021AD => ETHER_TYPE_8021Q,
                _ => ETHER_TYPE_8021AD,
            };
            tags.extend((1..=VLAN_ID_MASK).map(|vlan| (other, vlan)));
        }
        let mut lower = vec![link.index];
        while let Some(index) = lower.pop() {
            for upper in links.iter().filter(|it| it.peer_index == Some(index)) {
                match (upper.kind.as_deref(), upper.vlan) {
                    (Some("vlan"), Some(vlan)) => {
                        tags.insert((upper.vlan_protocol, vlan));
                    }
                    (Some("macvtap"), _) => {
                        let why = format!("whoever is behind macvtap {:?} may use it", upper.name);
                        return Ok(VlanUse::Every(why));
                    }
                    (Some("macvlan"), _) if upper.index != link.index => lower.push(upper.index),
                    _ => {}
                }
            }
        }
        Ok(VlanUse::Some(tags))
    }
}

/// The interfaces whose drivers take the frames: of a bond its ports.
fn ports<'a>(link: &'a Link, links: &'a [Link]) -> Vec<&'a Link> {
    if !link.has_ports() {
        return vec![link];
    }
    let ports = links.iter().filter(|port| port.master == Some(link.index));
    ports.collect()
}

fn stripping(ports: &[&Link]) -> Result<Stripping, ControlError> {
    let mut all = Vec::new();
    for port in ports {
        match ethtool::stripping(&port.name)? {
            Stripping::Off => {}
            Stripping::On { commands } => all.extend(commands),
            fixed @ Stripping::Fixed { .. } => return Ok(fixed),
        }
    }
    Ok(match all.is_empty() {
        true => Stripping::Off,
        false => Stripping::On { commands: all },
    })
}

/// Only a routing table: it takes frames as they come.
fn is_vrf(link: &Link) -> bool {
    link.kind.as_deref() == Some("vrf")
}
