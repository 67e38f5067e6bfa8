//! An uplink's neighbours: who has to learn anew where its endpoints are.

use std::collections::BTreeSet;

use crate::{
    control::{ControlError, Vnet, container_end::at_container_end},
    link::{
        Link, Netlink,
        announce::{Announced, announce},
    },
    model::{Endpoint, EndpointId, state::Phase},
};

impl Vnet {
    /// Announces the endpoints of uplinks that sit elsewhere on the network now: of the interfaces that have `moved`, and
    /// of uplinks that are `due`. One without a carrier, or that is dormant, is due until it works.
    ///
    /// Returns the bonds that send by another port than was last known, and are not in `moved`: either the kernel's own
    /// word of that is on its way, or it came when nobody watched.
    pub(in crate::control) async fn follow_places(
        &mut self,
        moved: &BTreeSet<u32>,
        due: &mut BTreeSet<String>,
    ) -> Result<BTreeSet<u32>, ControlError> {
        let mut awaited = BTreeSet::new();
        let links = self.netlink.list().await?;
        for (name, uplink) in self.state.uplinks.clone() {
            let Some(link) = links.iter().find(|link| link.index == uplink.ifindex) else {
                continue;
            };
            let port = link.active_port.or(uplink.active_port);
            let has_moved = moved.contains(&link.index);
            if uplink.active_port.is_some() && uplink.active_port != port && !has_moved {
                awaited.insert(link.index);
                continue;
            }
            if has_moved || due.contains(&name) {
                if !link.has_carrier || link.dormant {
                    due.insert(name);
                    continue;
                }
                due.remove(&name);
                self.announce_endpoints(&name).await;
            }
            // After that: if this process dies before, the next one announces.
            if uplink.active_port != port {
                self.uplink_mut(&name)?.active_port = port;
                self.save()?;
            }
        }
        Ok(awaited)
    }

    /// All addresses of an uplink's endpoints, each from the endpoint itself, so that it goes the way of its frames.
    async fn announce_endpoints(&mut self, uplink: &str) {
        let endpoints = self.state.endpoints_on(uplink);
        let ready = endpoints.filter(|(_, endpoint)| endpoint.phase == Phase::Ready);
        let ready: Vec<_> = ready.map(|(id, e)| (id.clone(), e.clone())).collect();
        let mut all = Announced::default();
        for (id, endpoint) in ready {
            let announced = self.announce_endpoint(&id, &endpoint).await;
            if let Some(announced) = self.note(announced) {
                all.add(announced);
            }
        }
        let count = all.addresses;
        if count > 0 {
            self.notices.push(format!(
                "{uplink}: is reached by another way now, and {count} addresses of its endpoints were announced"
            ));
        }
    }

    pub(super) async fn announce_endpoint(
        &self,
        id: &EndpointId,
        endpoint: &Endpoint,
    ) -> Result<Announced, ControlError> {
        let host = self.host_side(id, endpoint).await?;
        let Some(host) = host.filter(|host| host.up) else {
            return Ok(Announced::default());
        };
        let announced =
            at_container_end(endpoint, &host, |netlink: Netlink, link: Link| async move {
                announce(&netlink, &endpoint.netns, &link).await
            })?;
        Ok(announced.unwrap_or_default())
    }
}
