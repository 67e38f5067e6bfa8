//! Detach: an uplink's datapath goes, and with it what was changed on the NIC.

use super::{ControlError, Vnet, error::Failures, progress::Progress};
use crate::{
    datapath::attach,
    error::some_of,
    link::Link,
    model::{
        EndpointId,
        state::{Hook, Phase, Uplink},
    },
};

impl Vnet {
    /// Detaches an uplink and undoes what was changed on it. Its networks stay, for the next attach. Returns its name.
    ///
    /// # Errors
    ///
    /// [`ControlError::UplinkInUse`] when it has endpoints and `force` is off.
    pub async fn detach(&mut self, name: &str, force: bool) -> Result<String, ControlError> {
        let iface = self.uplink_name(name).await?;
        if !self.state.uplinks.contains_key(&iface) {
            // The likeliest mistake is a wrong name, so say that rather than "not attached".
            self.netlink.link(&iface).await?;
            return Err(ControlError::NothingToDetach(iface));
        }
        let endpoints: Vec<_> = self
            .state
            .endpoints_on(&iface)
            .map(|(id, _)| id.clone())
            .collect();
        if !endpoints.is_empty() && !force {
            return Err(ControlError::UplinkInUse {
                uplink: iface,
                endpoints: some_of(&endpoints),
            });
        }
        self.uplink_mut(&iface)?.phase = Phase::Removing;
        self.remove_all(&endpoints).await?;
        self.tear_down_uplink(&iface).await?;
        Ok(iface)
    }

    /// Removes an uplink's endpoints at once: their links go, and what else there is of them goes with the uplink.
    async fn remove_all(&mut self, endpoints: &[EndpointId]) -> Result<(), ControlError> {
        for id in endpoints {
            self.endpoint_mut(id)?.phase = Phase::Removing;
        }
        self.save()?;
        let mut failures = Failures::default();
        failures.note(self.hurry_for(endpoints.len()));
        // What is still there then goes one by one.
        let deleted = self.delete_host_sides(endpoints).await;
        self.note(deleted);
        let mut progress = Progress::new("links removed", endpoints.len());
        for (index, id) in endpoints.iter().enumerate() {
            progress.tell(index);
            let endpoint = self.endpoint_mut(id)?.clone();
            let deleted = self.delete_host_side(id, &endpoint).await;
            if failures.note(deleted).is_some() {
                self.state.endpoints.remove(id);
            }
        }
        failures.note(self.stop_hurrying());
        self.save()?;
        failures.into_result()
    }

    /// Takes an uplink down that was not attached to the end. One that Docker's networks are on stays expected.
    pub(super) async fn undo_uplink(&mut self, iface: &str) -> Result<(), ControlError> {
        let wanted = self.state.dockers_uplinks().any(|name| name == iface);
        let known = self.state.uplinks.get(iface).cloned();
        self.tear_down_uplink(iface).await?;
        match known.filter(|known| wanted && known.phase == Phase::Adding) {
            Some(known) => {
                let expected = known.expected();
                self.state.uplinks.insert(iface.to_owned(), expected);
                self.save()
            }
            None => Ok(()),
        }
    }

    /// Takes an uplink down to nothing, whatever of it is there. It stays known until all of it is gone.
    pub(super) async fn tear_down_uplink(&mut self, iface: &str) -> Result<(), ControlError> {
        let Some(uplink) = self.state.uplinks.get(iface).cloned() else {
            return Ok(());
        };
        let mut failures = Failures::default();
        let link = failures.note(self.netlink.find_index(uplink.ifindex).await);
        // Before LRO, which is undone with the NIC.
        failures.note(self.pins(iface).remove_xdp_link());
        if let Some(link) = link.flatten() {
            if uplink.hook == Hook::Clsact {
                failures.note(self.unhook_clsact(&link, &uplink).await);
            }
            failures.note(self.undo_nic(iface, &link).await);
        }
        failures.note(self.remove_probe().await);
        failures.note(self.pins(iface).next().remove());
        failures.note(self.pins(iface).remove());
        failures.into_result()?;
        self.state.uplinks.remove(iface);
        self.save()
    }

    /// Takes our filter off, and the qdisc too if we made it and nobody else uses it.
    async fn unhook_clsact(&self, link: &Link, uplink: &Uplink) -> Result<(), ControlError> {
        attach::detach_clsact(&link.name)?;
        if uplink.made_clsact && !self.netlink.has_filters(link.index).await? {
            self.netlink.remove_clsact(link.index).await?;
        }
        Ok(())
    }
}
