//! Endpoints that Docker has moved into their container.

use crate::{
    control::{ControlError, Vnet, container_end::at_container_end},
    link::{Link, Netlink},
    model::{EndpointId, state::Phase},
};

impl Vnet {
    /// Endpoints whose container's end has come to where it belongs, and is up, are complete.
    pub(in crate::control) async fn follow_joins(&mut self, links: &[Link]) {
        let endpoints = self.state.endpoints.iter();
        let handed = endpoints.filter(|(_, endpoint)| endpoint.phase == Phase::Handed);
        // Both ends are up.
        let is_joined = |index| {
            links
                .iter()
                .any(|link| link.index == index && link.has_carrier)
        };
        let joined = handed.filter(|(_, endpoint)| is_joined(endpoint.host_ifindex));
        for id in joined.map(|(id, _)| id.clone()).collect::<Vec<_>>() {
            let done = self.complete_join(&id).await;
            self.note(done);
        }
    }

    async fn complete_join(&mut self, id: &EndpointId) -> Result<(), ControlError> {
        let endpoint = self.endpoint_mut(id)?.clone();
        let uplink = self.network(&endpoint.network)?.uplink.clone();
        let Some(host) = self.host_side(id, &endpoint).await? else {
            return Ok(());
        };
        let name = at_container_end(&endpoint, &host, |_: Netlink, link: Link| {
            std::future::ready(Ok::<_, ControlError>(link.name))
        })?;
        let Some(name) = name else {
            return Ok(());
        };
        let endpoint = self.endpoint_mut(id)?;
        endpoint.ifname = name;
        endpoint.phase = Phase::Ready;
        self.hook_container(&uplink, id).await?;
        self.save()?;
        self.give_to_xdp(&uplink).await?;
        let endpoint = self.endpoint_mut(id)?.clone();
        self.announce_endpoint(id, &endpoint).await.map(drop)
    }
}
