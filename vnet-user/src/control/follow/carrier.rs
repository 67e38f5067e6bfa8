//! An uplink's carrier.
//!
//! Neither veth nor netkit can be told to have none (`ndo_change_carrier`, `IFLA_PROTO_DOWN`): each end has a carrier while
//! both are up. So the host side goes down where the uplink has no carrier, and the container sees what it sees of a macvlan
//! then (`netif_stacked_transfer_operstate`): `NO-CARRIER`, and nothing passes, to siblings neither.
//!
//! That is only done while a process watches ([`crate::control::serve`]), which brings it up again. Any command brings up
//! what a watcher that is gone has left down.

use crate::{
    control::{ControlError, Vnet},
    link::Link,
    model::{EndpointId, state::Phase},
};

impl Vnet {
    /// Endpoints have a carrier while their uplink has one, or nobody watches it.
    pub(in crate::control) async fn follow_carriers(&mut self, links: &[Link]) {
        for (name, uplink) in self.state.uplinks.clone() {
            let link = links.iter().find(|link| link.index == uplink.ifindex);
            let (why, on) = match link {
                _ if !self.watched => ("is not watched", true),
                None => ("is gone", false),
                Some(link) if !link.has_carrier => ("is down", false),
                Some(_) => ("is up", true),
            };
            let (changed, has) = match on {
                true => (self.carrier_on(&name).await, "have a carrier again"),
                false => (self.carrier_off(&name, links).await, "have no carrier"),
            };
            match self.note(changed) {
                Some(0) | None => {}
                Some(count) => self
                    .notices
                    .push(format!("{name}: {why}, and {count} endpoints {has}")),
            }
        }
    }

    /// Only those that are down for this: what the user took down stays so.
    async fn carrier_on(&mut self, uplink: &str) -> Result<usize, ControlError> {
        let endpoints = self.state.endpoints_on(uplink);
        let down = endpoints.filter(|(_, endpoint)| endpoint.carrier_off);
        let down: Vec<_> = down
            .map(|(id, endpoint)| (id.clone(), endpoint.host_ifindex))
            .collect();
        let mut done = Vec::new();
        for (id, index) in down {
            // One that came while the uplink was away has no program yet.
            if !self.is_endpoint_hooked(uplink, &id, index).await? {
                continue;
            }
            let result = self.netlink.set_up(index).await;
            if self.note(result.map_err(ControlError::from)).is_some() {
                done.push((id, index));
            }
        }
        self.mark(&done, false)?;
        Ok(done.len())
    }

    /// Written down first, so that whoever comes next knows why they are down.
    async fn carrier_off(&mut self, uplink: &str, links: &[Link]) -> Result<usize, ControlError> {
        let is_up = |index| links.iter().any(|link| link.index == index && link.up);
        let endpoints = self.state.endpoints_on(uplink);
        let up = endpoints
            .filter(|(_, endpoint)| endpoint.phase == Phase::Ready && is_up(endpoint.host_ifindex));
        let up: Vec<_> = up
            .map(|(id, endpoint)| (id.clone(), endpoint.host_ifindex))
            .collect();
        self.mark(&up, true)?;
        let mut count = 0;
        for (_, index) in up {
            let result = self.netlink.set_down(index).await;
            count += usize::from(self.note(result.map_err(ControlError::from)).is_some());
        }
        Ok(count)
    }

    fn mark(
        &mut self,
        endpoints: &[(EndpointId, u32)],
        carrier_off: bool,
    ) -> Result<(), ControlError> {
        for (id, _) in endpoints {
            self.endpoint_mut(id)?.carrier_off = carrier_off;
        }
        match endpoints {
            [] => Ok(()),
            _ => self.save(),
        }
    }
}
