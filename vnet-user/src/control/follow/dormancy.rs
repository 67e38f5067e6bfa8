//! Whether an uplink waits for something, such as authentication by IEEE 802.1X, before it works.

use crate::{
    control::{ControlError, Vnet, container_end::at_container_end},
    link::{Link, Netlink},
    model::{EndpointId, state::Phase},
};

impl Vnet {
    /// Endpoints are dormant while their uplink is, as `netif_stacked_transfer_operstate` has it for macvlan; as with
    /// carriers, only while somebody watches.
    ///
    /// Each pass tries those that by the state are still to change: so what failed is tried again by the next one.
    pub(in crate::control) async fn follow_dormancy(&mut self, links: &[Link]) {
        for (name, uplink) in self.state.uplinks.clone() {
            let link = links.iter().find(|link| link.index == uplink.ifindex);
            let wanted = self.watched && link.is_some_and(|link| link.dormant);
            let endpoints = self.state.endpoints_on(&name);
            let to_change = endpoints.filter(|(_, endpoint)| {
                endpoint.phase == Phase::Ready && endpoint.dormant != wanted
            });
            let to_change: Vec<_> = to_change.map(|(id, _)| id.clone()).collect();
            let mut count = 0;
            for id in to_change {
                let done = self.set_dormant(&id, wanted).await;
                count += usize::from(self.note(done).is_some());
            }
            let is = match wanted {
                true => "is dormant, and so are",
                false => "is not dormant any more, and neither are",
            };
            if count > 0 {
                self.notices.push(format!("{name}: {is} {count} endpoints"));
            }
        }
    }

    /// Makes an endpoint dormant, or ends that, and writes it down. That it is dormant is written before it is made so,
    /// since somebody must undo it.
    async fn set_dormant(&mut self, id: &EndpointId, wanted: bool) -> Result<(), ControlError> {
        let endpoint = self.endpoint_mut(id)?.clone();
        let host = self.host_side(id, &endpoint).await?;
        if wanted {
            self.write_down_dormant(id, true)?;
        }
        let set = match host {
            Some(host) => at_container_end(
                &endpoint,
                &host,
                |netlink: Netlink, link: Link| async move {
                    netlink.set_dormant(link.index, wanted).await
                },
            ),
            None => Ok(None),
        };
        // As with sizes, a lost namespace is said once: the next pass would not find it either. Where something else
        // failed, the state says what it said before, and so the next pass tries it again.
        let try_again = matches!(&set, Err(error) if !error.is_lost_netns());
        self.write_down_dormant(id, if try_again { !wanted } else { wanted })?;
        Ok(set.map(drop)?)
    }

    fn write_down_dormant(&mut self, id: &EndpointId, dormant: bool) -> Result<(), ControlError> {
        self.endpoint_mut(id)?.dormant = dormant;
        self.save()
    }
}
