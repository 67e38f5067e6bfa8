//! Endpoints that Docker has moved into their container.

use crate::{
    control::{ControlError, Vnet, container_end::at_container_end},
    link::{Link, Netlink, Netns},
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
        let found = at_container_end(&endpoint, &host, |_: Netlink, link: Link| {
            let netns = Netns::current();
            std::future::ready(
                netns
                    .map(|netns| (link.name, netns.id()))
                    .map_err(ControlError::from),
            )
        })?;
        let Some((ifname, netns_id)) = found else {
            return Ok(());
        };
        let endpoint = self.endpoint_mut(id)?;
        endpoint.ifname = ifname;
        endpoint.netns_id = Some(netns_id);
        self.hook_container(&uplink, id).await?;
        // Last: should this process die before, the next one does it again.
        let endpoint = self.endpoint_mut(id)?;
        endpoint.phase = Phase::Ready;
        let endpoint = endpoint.clone();
        self.save()?;
        self.give_to_xdp(&uplink).await?;
        self.announce_endpoint(id, &endpoint).await.map(drop)
    }
}
