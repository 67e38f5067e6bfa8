//! Brings the NIC to what its endpoints need, and back.

use super::{ControlError, Vnet};
use crate::{
    error::one_line,
    link::{Link, ethtool},
    model::nic::{self, NicChanges, NicStatus, NicStep, Refused, VlanFilter},
};

impl Vnet {
    /// Changes on the NIC what the networks and endpoints of now need, and undoes what they no
    /// longer need. What the driver refuses, promiscuous mode stands in for.
    pub(super) async fn apply_nic(&mut self, iface: &str) -> Result<(), ControlError> {
        let link = self.netlink.find_index(self.uplink(iface)?.ifindex).await?;
        let Some(link) = link else {
            return Err(ControlError::UplinkGone {
                uplink: iface.to_owned(),
            });
        };
        let mut refused = Refused::default();
        // Each round but the last finds one more thing refused, of two, and what is refused is not asked for again.
        loop {
            let now = self.nic_status(&link).await?;
            let ours = self.uplink(iface)?.nic.clone();
            let (wanted, why) = nic::wanted(&self.state, iface, &ours, &now, refused);
            if let (false, Some(why)) = (now.promiscuous, why) {
                let why = why.describe();
                let notice = format!("{iface}: promiscuous mode on, because {why}");
                self.notices.push(notice);
            }
            let found = self.change_nic(iface, &link, &ours, wanted, &now).await?;
            if found == Refused::default() {
                return Ok(());
            }
            refused.vlan_filter |= found.vlan_filter;
            refused.unicast |= found.unicast;
        }
    }

    /// Undoes all that was changed.
    pub(super) async fn undo_nic(&mut self, iface: &str, link: &Link) -> Result<(), ControlError> {
        let now = self.nic_status(link).await?;
        let ours = self.uplink(iface)?.nic.clone();
        let nothing = NicChanges::default();
        let undone = self.change_nic(iface, link, &ours, nothing, &now).await;
        undone.map(drop)
    }

    async fn nic_status(&self, link: &Link) -> Result<NicStatus, ControlError> {
        // Read again: a flag may have been changed since the caller looked.
        let link = self.netlink.link(&link.name).await?;
        Ok(NicStatus {
            promiscuous: link.promiscuous,
            allmulticast: link.allmulticast,
            vlan_filter: self.vlan_filter(&link).await?,
            lro: ethtool::lro(&link.name)?,
            unicast: self.netlink.unicast_filter(&link).await?,
        })
    }

    /// The NIC's filter. A bond's own can be switched, but not those of its ports, and these drop the frames.
    async fn vlan_filter(&self, link: &Link) -> Result<VlanFilter, ControlError> {
        let own = ethtool::vlan_filter(&link.name)?;
        if !link.has_ports() {
            return Ok(own);
        }
        let links = self.netlink.list().await?;
        for port in links.iter().filter(|port| port.master == Some(link.index)) {
            if ethtool::vlan_filter(&port.name)? != VlanFilter::Off {
                return Ok(VlanFilter::Fixed);
            }
        }
        Ok(own)
    }

    /// Makes the steps to what is wanted. Ends at the first that the driver refuses and something else can do.
    async fn change_nic(
        &mut self,
        iface: &str,
        link: &Link,
        ours: &NicChanges,
        wanted: NicChanges,
        now: &NicStatus,
    ) -> Result<Refused, ControlError> {
        let steps = nic::steps(ours, &wanted, now);
        if steps.is_empty() && *ours == wanted {
            return Ok(Refused::default());
        }
        // Written first: if this process dies half-way, the next one knows what may have to go.
        self.uplink_mut(iface)?.nic = ours.union(&wanted);
        self.save()?;
        for step in steps {
            let refused = self.take_step(link, step).await?;
            if refused != Refused::default() {
                return Ok(refused);
            }
        }
        self.uplink_mut(iface)?.nic = wanted;
        self.save().map(|()| Refused::default())
    }

    async fn take_step(&mut self, link: &Link, step: NicStep) -> Result<Refused, ControlError> {
        let iface = &link.name;
        let mut refused = Refused::default();
        match step {
            NicStep::SetVlanFilter(false) => match ethtool::set_vlan_filter(iface, false) {
                Ok(()) => self.notices.push(format!(
                    "{iface}: rx-vlan-filter off, because it drops VLANs"
                )),
                Err(error) => {
                    self.notices.push(format!("{iface}: {}", one_line(&error)));
                    refused.vlan_filter = true;
                }
            },
            NicStep::SetVlanFilter(true) => ethtool::set_vlan_filter(iface, true)?,
            NicStep::SetLro(on) => ethtool::set_lro(iface, on)?,
            NicStep::SetPromiscuous(on) => self.netlink.set_promiscuous(link, on).await?,
            NicStep::SetAllmulticast(on) => self.netlink.set_allmulticast(link, on).await?,
            NicStep::AddUnicast(mac) => {
                let before = self.netlink.find_index(link.index).await?;
                if let Err(error) = self.netlink.add_unicast(link, mac).await {
                    self.notices.push(format!("{iface}: {}", one_line(&error)));
                    refused.unicast = true;
                }
                let after = self.netlink.find_index(link.index).await?;
                let [before, after] = [before, after].map(|it| it.map_or(0, |it| it.promiscuity));
                // XDP has to know whose the promiscuous mode is.
                self.uplink_mut(iface)?.lacks_unicast_filter |= after > before;
            }
            NicStep::RemoveUnicast(mac) => self.netlink.remove_unicast(link, mac).await?,
        }
        Ok(refused)
    }
}
