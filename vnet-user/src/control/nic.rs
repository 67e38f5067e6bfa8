//! Brings the NIC to what its endpoints need, and back.

use super::{ControlError, Vnet};
use crate::{
    link::{Link, ethtool},
    model::nic::{self, NicChanges, NicStatus, VlanFilter},
};

impl Vnet {
    /// Changes on the NIC what the networks and endpoints of now need, and undoes what they no
    /// longer need.
    pub(super) async fn apply_nic(&mut self, iface: &str) -> Result<(), ControlError> {
        let link = self.netlink.link(iface).await?;
        let old = self.uplink(iface)?.nic.clone();
        let now = NicStatus {
            promiscuous: link.promiscuous && !old.promiscuous,
            allmulticast: link.allmulticast && !old.allmulticast,
            vlan_filter: match old.vlan_filter_off {
                true => VlanFilter::On,
                false => ethtool::vlan_filter(iface)?,
            },
        };
        let wanted = nic::wanted(&self.state, iface, now);
        self.change_nic(iface, &link, old, wanted).await
    }

    /// Undoes all that was changed.
    pub(super) async fn undo_nic(&mut self, iface: &str, link: &Link) -> Result<(), ControlError> {
        let old = self.uplink(iface)?.nic.clone();
        self.change_nic(iface, link, old, NicChanges::default())
            .await
    }

    async fn change_nic(
        &mut self,
        iface: &str,
        link: &Link,
        old: NicChanges,
        mut wanted: NicChanges,
    ) -> Result<(), ControlError> {
        if old == wanted {
            return Ok(());
        }
        // Written first: if this process dies half-way, the next one knows what may have to go.
        self.uplink_mut(iface)?.nic = NicChanges {
            promiscuous: old.promiscuous || wanted.promiscuous,
            allmulticast: old.allmulticast || wanted.allmulticast,
            vlan_filter_off: old.vlan_filter_off || wanted.vlan_filter_off,
            unicast: old.unicast.union(&wanted.unicast).copied().collect(),
        };
        self.save()?;
        if old.vlan_filter_off != wanted.vlan_filter_off {
            ethtool::set_vlan_filter(iface, !wanted.vlan_filter_off)?;
        }
        if old.promiscuous != wanted.promiscuous {
            self.netlink
                .set_promiscuous(link, wanted.promiscuous)
                .await?;
        }
        if old.allmulticast != wanted.allmulticast {
            self.netlink
                .set_allmulticast(link, wanted.allmulticast)
                .await?;
        }
        for mac in old.unicast.difference(&wanted.unicast) {
            self.netlink.remove_unicast(link, *mac).await?;
        }
        let added: Vec<_> = wanted.unicast.difference(&old.unicast).copied().collect();
        for mac in added {
            if !self.netlink.add_unicast(link, mac).await? {
                // The user's own entry, which is not ours to undo.
                wanted.unicast.remove(&mac);
            }
        }
        if wanted.promiscuous && !old.promiscuous {
            self.notices.push(format!(
                "{iface}: promiscuous mode on, because its rx-vlan-filter drops VLANs and the driver \
                 does not let it be switched off"
            ));
        }
        if wanted.vlan_filter_off && !old.vlan_filter_off {
            self.notices.push(format!(
                "{iface}: rx-vlan-filter off, because it drops VLANs"
            ));
        }
        self.uplink_mut(iface)?.nic = wanted;
        self.save()
    }
}
