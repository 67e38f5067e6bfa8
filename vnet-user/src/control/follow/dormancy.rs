//! Whether an uplink waits for something, such as authentication by IEEE 802.1X, before it works.

use crate::{
    control::{ControlError, Vnet, container_end::at_container_end},
    link::{Link, Netlink},
    model::{EndpointId, state::Phase},
};

impl Vnet {
    /// Endpoints are dormant while their uplink is, as `netif_stacked_transfer_operstate` has it for macvlan; as with
    /// carriers, only while somebody watches.
    pub(in crate::control) async fn follow_dormancy(&mut self, links: &[Link]) {
        for (name, uplink) in self.state.uplinks.clone() {
            let link = links.iter().find(|link| link.index == uplink.ifindex);
            let dormant = self.watched && link.is_some_and(|link| link.dormant);
            let endpoints = self.state.endpoints_on(&name);
            let others = endpoints.filter(|(_, endpoint)| {
                endpoint.phase == Phase::Ready && endpoint.dormant != dormant
            });
            let others: Vec<_> = others.map(|(id, _)| id.clone()).collect();
            let mut count = 0;
            for id in others {
                let done = self.set_dormant(&id, dormant).await;
                count += usize::from(self.note(done).is_some());
            }
            let is = match dormant {
                true => "is dormant, and so are",
                false => "is not dormant any more, and neither are",
            };
            if count > 0 {
                self.notices.push(format!("{name}: {is} {count} endpoints"));
            }
        }
    }

    /// Written down first, where somebody must undo it.
    async fn set_dormant(&mut self, id: &EndpointId, dormant: bool) -> Result<(), ControlError> {
        if dormant {
            self.endpoint_mut(id)?.dormant = true;
            self.save()?;
        }
        let endpoint = self.endpoint_mut(id)?.clone();
        let set = match self.host_side(id, &endpoint).await? {
            Some(host) => at_container_end(
                &endpoint,
                &host,
                |netlink: Netlink, link: Link| async move {
                    netlink.set_dormant(link.index, dormant).await
                },
            ),
            None => Ok(None),
        };
        // A lost namespace is said once, as with sizes; what else went wrong is tried again.
        let is_done = set
            .as_ref()
            .map_or_else(|error| error.is_lost_netns(), |_| true);
        self.endpoint_mut(id)?.dormant = dormant == is_done;
        self.save()?;
        Ok(set.map(drop)?)
    }
}
