//! An uplink's MTU and GSO sizes.

use crate::{
    control::{ControlError, Vnet, container_end::at_container_end},
    link::{Link, Netlink},
    model::{EndpointId, Sizes, state::Phase},
};

impl Vnet {
    /// Endpoints have the sizes of their uplink, also when those change: a larger frame would be lost at the NIC.
    pub(in crate::control) async fn follow_sizes(&mut self, links: &[Link]) {
        for (name, link) in self.present(links) {
            self.resize_endpoints(&name, link.sizes).await;
        }
    }

    async fn resize_endpoints(&mut self, uplink: &str, sizes: Sizes) {
        let endpoints = self.state.endpoints_on(uplink);
        let wrong: Vec<_> = endpoints
            .filter_map(|(id, endpoint)| {
                let network = self.state.networks.get(&endpoint.network)?;
                let wanted = sizes.for_endpoint(network);
                let wrong = endpoint.phase == Phase::Ready && endpoint.sizes != wanted;
                wrong.then(|| (id.clone(), wanted))
            })
            .collect();
        let mut resized = 0;
        for (id, wanted) in wrong {
            let done = self.resize_endpoint(&id, wanted).await;
            resized += usize::from(self.note(done).is_some());
        }
        if resized > 0 {
            let mtu = sizes.mtu;
            self.notices.push(format!(
                "{uplink}: its MTU is {mtu}, and {resized} endpoints follow"
            ));
        }
    }

    /// Both ends of an endpoint's link.
    async fn resize_endpoint(&mut self, id: &EndpointId, sizes: Sizes) -> Result<(), ControlError> {
        let endpoint = self.endpoint_mut(id)?.clone();
        let Some(host) = self.netlink.find_index(endpoint.host_ifindex).await? else {
            return Ok(());
        };
        self.netlink.set_sizes(host.index, sizes).await?;
        let resized = at_container_end(
            &endpoint,
            &host,
            |netlink: Netlink, link: Link| async move { netlink.set_sizes(link.index, sizes).await },
        );
        if let Err(error) = &resized
            && !error.is_lost_netns()
        {
            return Ok(resized.map(drop)?);
        }
        // A lost namespace is said once: what can't be found now will not be found by the next command either.
        self.endpoint_mut(id)?.sizes = sizes;
        self.save()?;
        Ok(resized.map(drop)?)
    }
}
