//! Programs at the container's end of a link, for networks that need them there.

use super::{ControlError, Vnet, container_end::at_container_end};
use crate::{
    datapath::attach,
    link::Link,
    model::{Endpoint, EndpointId, state::Hook},
};

impl Vnet {
    /// Puts programs onto the containers' ends of an uplink's endpoints where their networks have come to need them. A
    /// container that is not found is a notice: the others need not wait for it.
    pub(super) async fn hook_containers(&mut self, uplink: &str) -> Result<(), ControlError> {
        let endpoints = self.state.endpoints_on(uplink);
        let needing = endpoints.filter(|(_, endpoint)| {
            let network = self.state.networks.get(&endpoint.network);
            let needs = network.is_some_and(|network| network.needs_container_programs());
            needs && !endpoint.container_programs && endpoint.host_ifindex != 0
        });
        let needing: Vec<_> = needing.map(|(id, _)| id.clone()).collect();
        for id in needing {
            let hooked = self.hook_container(uplink, &id).await;
            self.note(hooked);
        }
        Ok(())
    }

    /// Gives one container's end its programs, where its network needs them. That it has them the caller writes down; who is
    /// killed before that has the next one do it again, which changes nothing.
    pub(super) async fn hook_container(
        &mut self,
        uplink: &str,
        id: &EndpointId,
    ) -> Result<(), ControlError> {
        let (_, endpoint) = self.endpoint(id.as_str())?;
        let network = self.network(&endpoint.network)?;
        if endpoint.container_programs || !network.needs_container_programs() {
            return Ok(());
        }
        if self.attach_container(uplink, id, endpoint).await? {
            self.endpoint_mut(id)?.container_programs = true;
        }
        Ok(())
    }

    /// Puts the pinned programs in the place of those that containers' ends have.
    pub(super) async fn rehook_containers(&self, uplink: &str) -> Result<(), ControlError> {
        for (id, endpoint) in self.state.endpoints_on(uplink) {
            if endpoint.container_programs {
                self.attach_container(uplink, id, endpoint).await?;
            }
        }
        Ok(())
    }

    /// False where the container's end is not in its container, or not yet.
    async fn attach_container(
        &self,
        uplink: &str,
        id: &EndpointId,
        endpoint: &Endpoint,
    ) -> Result<bool, ControlError> {
        let Some(host) = self.host_side(id, endpoint).await? else {
            return Ok(false);
        };
        let hook = self.uplink(uplink)?.hook;
        let pins = self.pins(uplink);
        if hook == Hook::Tcx && pins.has_container_links(&id.host_ifname()) {
            // The kernel knows where its links are, wherever the container went.
            attach::container_end(&pins, hook, "", &id.host_ifname())?;
            return Ok(true);
        }
        let host_ifname = id.host_ifname();
        let attached = at_container_end(endpoint, &host, |_, peer: Link| {
            let attached = attach::container_end(&pins, hook, &peer.name, &host_ifname);
            std::future::ready(attached.map_err(ControlError::from))
        });
        Ok(attached?.is_some())
    }
}
