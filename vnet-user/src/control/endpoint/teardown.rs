//! What there is of endpoints goes.

use std::collections::BTreeSet;

use crate::{
    control::{ControlError, Vnet, error::Failures, grace_periods::MANY, progress::Progress},
    model::{Endpoint, EndpointId, Phase},
};

impl Vnet {
    /// Takes endpoints away, which the next command completes should this one die.
    pub(in crate::control) async fn take_endpoints(
        &mut self,
        ids: &[EndpointId],
    ) -> Result<(), ControlError> {
        for id in ids {
            self.endpoint_mut(id)?.phase = Phase::Removing;
        }
        self.save()?;
        self.tear_down_endpoints(ids).await
    }

    /// Takes back all of them, also should this process die, and whether they were ready or not.
    pub(super) async fn undo_endpoints(&mut self, ids: &[EndpointId]) -> Result<(), ControlError> {
        for id in ids {
            let endpoint = self.endpoint_mut(id)?;
            if endpoint.phase != Phase::Adding {
                endpoint.phase = Phase::Removing;
            }
        }
        let saved = self.save();
        self.note(saved);
        self.tear_down_endpoints(ids).await
    }

    /// Takes endpoints down to nothing, whatever of them is there. Each stays known until all of it is gone.
    pub(in crate::control) async fn tear_down_endpoints(
        &mut self,
        ids: &[EndpointId],
    ) -> Result<(), ControlError> {
        if ids.is_empty() {
            return Ok(());
        }
        let uplinks = self.uplinks_of(ids);
        let mut failures = Failures::default();
        let mut gone = Vec::new();
        failures.note(self.hurry_for(ids.len()));
        // What is still there then goes one by one.
        let deleted = self.delete_host_sides(ids).await;
        self.note(deleted);
        let mut progress = Progress::new("links removed", ids.len());
        for (index, id) in ids.iter().enumerate() {
            progress.tell(index);
            let taken = self.tear_down_link(id).await;
            gone.extend(failures.note(taken).map(|()| id));
        }
        failures.note(self.stop_hurrying());
        for uplink in &uplinks {
            let retired = self.retire_counters(uplink, &gone);
            self.note(retired);
        }
        for id in gone {
            self.state.endpoints.remove(id);
        }
        self.state.unsettled.extend(uplinks.iter().cloned());
        failures.note(self.save());
        failures.note(self.settle_all(&uplinks).await);
        failures.into_result()
    }

    async fn tear_down_link(&self, id: &EndpointId) -> Result<(), ControlError> {
        let (_, endpoint) = self.endpoint(id.as_str())?;
        let host_ifname = id.host_ifname();
        let mut failures = Failures::default();
        // First: a link whose program is gone would hand the container's frames to the host's stack.
        failures.note(self.delete_host_side(id, endpoint).await);
        let pins = self.pins(&self.network(&endpoint.network)?.uplink);
        failures.note(pins.remove_link(&host_ifname));
        failures.note(pins.remove_container_links(&host_ifname));
        failures.into_result()
    }

    /// Deletes an endpoint's link. One that is gone is fine.
    pub(in crate::control) async fn delete_host_side(
        &self,
        id: &EndpointId,
        endpoint: &Endpoint,
    ) -> Result<(), ControlError> {
        match self.host_side(id, endpoint).await? {
            Some(link) => Ok(self.netlink.delete(link.index).await?),
            None => Ok(()),
        }
    }

    /// Deletes the links of many endpoints at once.
    pub(in crate::control) async fn delete_host_sides(
        &self,
        ids: &[EndpointId],
    ) -> Result<(), ControlError> {
        if ids.len() < MANY {
            return Ok(());
        }
        let links = self.netlink.list().await?;
        let endpoint_sides = links.iter().filter(|link| link.is_endpoint_side());
        let known = ids.iter().filter_map(|id| self.state.endpoints.get(id));
        let known: BTreeSet<u32> = known.map(|endpoint| endpoint.host_ifindex).collect();
        let indices: Vec<u32> = endpoint_sides
            .map(|link| link.index)
            .filter(|index| known.contains(index))
            .collect();
        match indices.is_empty() {
            true => Ok(()),
            false => Ok(self.netlink.delete_all(&indices).await?),
        }
    }
}
