//! Follows what was changed on an uplink from outside: its name, its MTU.

use super::{ControlError, Vnet};
use crate::{
    link::{Link, LinkError, Netlink, Netns},
    model::{EndpointId, Sizes, state::Phase},
};

impl Vnet {
    /// An uplink that was renamed keeps its datapath; networks, pins and state go by the new name from here on.
    pub(super) fn follow_names(&mut self, links: &[Link]) {
        let renamed: Vec<_> = self
            .state
            .uplinks
            .iter()
            .filter_map(|(name, uplink)| {
                let link = links.iter().find(|link| link.index == uplink.ifindex)?;
                (link.name != *name).then(|| (name.clone(), link.name.clone()))
            })
            .collect();
        for (old, new) in renamed {
            let done = self.rename_uplink(&old, &new);
            if self.note(done).is_some() {
                self.notices.push(format!("{old}: is called {new} now"));
            }
        }
    }

    /// Pins first: if this process dies in between, the next one finds the state's name wrong again and goes on.
    fn rename_uplink(&mut self, old: &str, new: &str) -> Result<(), ControlError> {
        let taken = self.state.networks_on(new).next().is_some();
        if taken || self.state.uplinks.contains_key(new) {
            return Err(ControlError::Renamed {
                old: old.to_owned(),
                new: new.to_owned(),
            });
        }
        self.pins(old).rename(&self.pins(new))?;
        if let Some(uplink) = self.state.uplinks.remove(old) {
            self.state.uplinks.insert(new.to_owned(), uplink);
        }
        if self.state.unsettled.remove(old) {
            self.state.unsettled.insert(new.to_owned());
        }
        let networks = self.state.networks.values_mut();
        for network in networks.filter(|network| network.uplink == old) {
            new.clone_into(&mut network.uplink);
        }
        self.save()
    }

    /// Endpoints have the sizes of their uplink, also when those change: a larger frame would be lost at the NIC.
    pub(super) async fn follow_sizes(&mut self, links: &[Link]) {
        for (name, uplink) in self.state.uplinks.clone() {
            if let Some(link) = links.iter().find(|link| link.index == uplink.ifindex) {
                self.resize_endpoints(&name, link.sizes).await;
            }
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
        let netns = match endpoint.netns_id {
            Some(id) => Netns::find(&endpoint.netns, id),
            None => Netns::open(&endpoint.netns),
        };
        let netns = match netns {
            Ok(netns) => netns,
            Err(error) => {
                // Said once: what can't be found now will not be found by the next command either.
                self.endpoint_mut(id)?.sizes = sizes;
                self.save()?;
                return Err(error.into());
            }
        };
        netns.run(|| resize_peer(host, sizes))?;
        self.endpoint_mut(id)?.sizes = sizes;
        self.save()
    }
}

/// The container's end. One that the container has moved elsewhere is its own business.
async fn resize_peer(host: Link, sizes: Sizes) -> Result<(), LinkError> {
    let netlink = Netlink::open()?;
    let Some(peer) = host.peer_index else {
        return Ok(());
    };
    match netlink.find_index(peer).await? {
        Some(link) if link.peer_index == Some(host.index) => {
            netlink.set_sizes(link.index, sizes).await
        }
        _ => Ok(()),
    }
}
