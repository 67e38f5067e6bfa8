//! Containers' ends that frames of XDP can come to.

use crate::{
    control::{ControlError, Vnet, container_end::at_container_end},
    link::{Link, ethtool},
    model::{EndpointId, Phase, xdp::Xdp},
};

impl Vnet {
    /// Switches GRO on at the containers' ends of an uplink's endpoints, if XDP redirects there. One whose container is not
    /// found is a notice, and gets its frames by tc. True if any was switched.
    pub(in crate::control) async fn open_to_xdp(
        &mut self,
        uplink: &str,
    ) -> Result<bool, ControlError> {
        match self.redirects(uplink)? {
            true => self.set_takes_xdp(uplink, true).await,
            false => Ok(false),
        }
    }

    /// Switches it off again, where XDP redirects no more.
    pub(in crate::control) async fn close_to_xdp(
        &mut self,
        uplink: &str,
    ) -> Result<(), ControlError> {
        match self.redirects(uplink)? {
            true => Ok(()),
            false => self.set_takes_xdp(uplink, false).await.map(drop),
        }
    }

    /// True if an uplink is to redirect by XDP, whether it holds that back for now or not.
    fn redirects(&self, uplink: &str) -> Result<bool, ControlError> {
        let xdp = self.uplink(uplink)?.xdp.as_ref();
        Ok(xdp.is_some_and(|xdp| Xdp::new(xdp.request).redirects()))
    }

    async fn set_takes_xdp(&mut self, uplink: &str, on: bool) -> Result<bool, ControlError> {
        let endpoints = self.state.endpoints_on(uplink);
        let wrong = endpoints.filter(|(_, endpoint)| {
            endpoint.takes_xdp != on
                && endpoint.host_ifindex != 0
                && endpoint.phase != Phase::Removing
        });
        let wrong: Vec<_> = wrong.map(|(id, _)| id.clone()).collect();
        let mut any = false;
        for id in wrong {
            let done = self.switch_gro(&id, on).await;
            // Written when it is done: a row of an end that does not take frames of XDP would lose them.
            if self.note(done) == Some(true) {
                self.endpoint_mut(&id)?.takes_xdp = on;
                self.save()?;
                any = true;
            }
        }
        Ok(any)
    }

    /// False where the end is down, or the container has moved it elsewhere: the next command tries again.
    async fn switch_gro(&self, id: &EndpointId, on: bool) -> Result<bool, ControlError> {
        let (_, endpoint) = self.endpoint(id.as_str())?;
        let Some(host) = self.host_side(id, endpoint).await? else {
            return Ok(false);
        };
        let switched = at_container_end(endpoint, &host, |_, end: Link| async move {
            // Of one that is down, the kernel does not tell the host's side that it can be redirected to
            // (`veth_set_features` in drivers/net/veth.c).
            match end.up || !on {
                true => ethtool::set_gro(&end.name, on).map(|()| true),
                false => Ok(false),
            }
        })?;
        Ok(switched.unwrap_or(false))
    }
}
