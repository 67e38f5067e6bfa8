//! Networks come and go.

use std::collections::{BTreeMap, BTreeSet};

use super::{ControlError, RefusedTogether, Vnet};
use crate::{
    error::some_of,
    link::Link,
    model::{EndpointId, Mode, Network, NetworkRequest, Places, network::NetworkChange},
};

impl Vnet {
    /// Creates a network on an attached uplink.
    ///
    /// # Errors
    ///
    /// When the uplink is not attached or the request breaks a rule; then nothing is changed.
    pub async fn create_network(&mut self, request: NetworkRequest) -> Result<(), ControlError> {
        let created = self.create_networks(&[request]).await;
        created.map_err(|refused| refused.error)
    }

    /// Creates networks, as one change.
    ///
    /// # Errors
    ///
    /// As [`Vnet::create_network`].
    pub async fn create_networks(
        &mut self,
        requests: &[NetworkRequest],
    ) -> Result<(), RefusedTogether> {
        let before = self.state.networks.clone();
        let uplinks = match self.plan_networks(requests).await {
            Ok(uplinks) => uplinks,
            Err(refused) => {
                self.state.networks = before;
                return Err(refused);
            }
        };
        self.state.unsettled.extend(uplinks.iter().cloned());
        self.save()?;
        let settled = self.settle_all(&uplinks).await;
        if settled.is_err() {
            // The next command takes the segments out again, also on those that are settled with them.
            self.state.networks = before;
            self.state.unsettled.extend(uplinks);
            let undone = self.save();
            self.note(undone);
        }
        Ok(settled?)
    }

    /// Puts the networks into the state. Returns the uplinks that they are on.
    async fn plan_networks(
        &mut self,
        requests: &[NetworkRequest],
    ) -> Result<BTreeSet<String>, RefusedTogether> {
        let mut places = Places::of(&self.state);
        let mut mtus = BTreeMap::new();
        for (index, request) in requests.iter().enumerate() {
            let refused = RefusedTogether::at::<ControlError>;
            self.check_owner(request).map_err(refused(index))?;
            let uplink = &request.network.uplink;
            if !mtus.contains_key(uplink) {
                let link = self.uplink_to_be(uplink).await.map_err(refused(index))?;
                mtus.insert(uplink.clone(), link.sizes.mtu);
            }
            let planned = request.plan_among(&self.state, &places, mtus[uplink]);
            let network = planned.map_err(RefusedTogether::at(index))?;
            places.add_network(&request.name, &network);
            self.state.networks.insert(request.name.clone(), network);
        }
        Ok(mtus.into_keys().collect())
    }

    /// An uplink of Docker's private networks is for those alone.
    fn check_owner(&self, request: &NetworkRequest) -> Result<(), ControlError> {
        let uplink = &request.network.uplink;
        let mut dockers = self.state.docker.networks.keys();
        match dockers.find(|id| id.internal_ifnames().contains(uplink)) {
            Some(owner) if owner.short() != request.name => Err(ControlError::PrivateUplink {
                ifname: uplink.clone(),
                network: owner.short().to_owned(),
            }),
            _ => Ok(()),
        }
    }

    async fn uplink_to_be(&self, uplink: &str) -> Result<Link, ControlError> {
        if !self.state.uplinks.contains_key(uplink) {
            // A name that no interface has deserves that answer.
            self.netlink.link(uplink).await?;
        }
        self.uplink_link(uplink).await
    }

    /// Changes a living network, as far as the kernel's macvlan can.
    ///
    /// # Errors
    ///
    /// When there is none, or the change makes no sense; then nothing is changed.
    pub async fn change_network(
        &mut self,
        name: &str,
        change: &NetworkChange,
    ) -> Result<(), ControlError> {
        let network = self.network(name)?.changed(name, change)?;
        let uplink = network.uplink.clone();
        if network.mode != Mode::Source {
            // As `macvlan_changelink` does: no list survives its mode.
            let endpoints = self.state.endpoints.values_mut();
            for endpoint in endpoints.filter(|endpoint| endpoint.network == name) {
                endpoint.sources.clear();
            }
        }
        self.state.networks.insert(name.to_owned(), network);
        self.state.unsettled.insert(uplink.clone());
        self.save()?;
        self.settle(&uplink).await
    }

    /// Removes a network without endpoints.
    ///
    /// # Errors
    ///
    /// [`ControlError::NetworkInUse`] when it has some, [`ControlError::DockersNetwork`] when Docker made it.
    pub async fn remove_network(&mut self, name: &str) -> Result<(), ControlError> {
        let removed = self.remove_networks(&[name.to_owned()]).await;
        removed.map_err(|refused| refused.error)
    }

    /// Removes networks without endpoints, as one change.
    ///
    /// # Errors
    ///
    /// As [`Vnet::remove_network`], and when one is named twice; then nothing is changed.
    pub async fn remove_networks(&mut self, names: &[String]) -> Result<(), RefusedTogether> {
        for (index, name) in names.iter().enumerate() {
            let refused = RefusedTogether::at::<ControlError>;
            self.network(name).map_err(refused(index))?;
            let dockers = self.state.docker.network_named(name).is_some();
            let error = ControlError::DockersNetwork;
            if dockers {
                return Err(refused(index)(error(name.clone())));
            }
        }
        self.take_networks(names).await
    }

    /// Removes a network with all of its endpoints, whosever it is.
    ///
    /// # Errors
    ///
    /// When there is none, or the kernel refuses.
    pub async fn remove_network_with_endpoints(&mut self, name: &str) -> Result<(), ControlError> {
        self.network(name)?;
        if let Some(id) = self.state.docker.network_named(name).cloned() {
            return self.delete_docker_network(&id).await;
        }
        let endpoints = self.state.endpoints_of(name);
        let endpoints: Vec<_> = endpoints.map(|(id, _)| id.clone()).collect();
        self.take_endpoints(&endpoints).await?;
        self.take_network(name).await
    }

    /// As [`Vnet::remove_network`], whosever it is.
    pub(super) async fn take_network(&mut self, name: &str) -> Result<(), ControlError> {
        let taken = self.take_networks(&[name.to_owned()]).await;
        taken.map_err(|refused| refused.error)
    }

    async fn take_networks(&mut self, names: &[String]) -> Result<(), RefusedTogether> {
        let mut endpoints: BTreeMap<&str, Vec<&EndpointId>> = BTreeMap::new();
        for (id, endpoint) in &self.state.endpoints {
            endpoints.entry(&endpoint.network).or_default().push(id);
        }
        for (index, name) in names.iter().enumerate() {
            let refused = RefusedTogether::at::<ControlError>(index);
            if let Some(ids) = endpoints.get(name.as_str()) {
                return Err(refused(ControlError::NetworkInUse {
                    network: name.clone(),
                    endpoints: some_of(ids),
                }));
            }
            if names[..index].contains(name) {
                return Err(refused(ControlError::NoNetwork(name.clone())));
            }
        }
        let removed = names
            .iter()
            .filter_map(|name| self.state.networks.remove(name));
        let removed: BTreeSet<_> = removed.map(|it| (it.uplink, it.number)).collect();
        let left = self.state.networks.values();
        let left: BTreeSet<_> = left.map(|it| (it.uplink.clone(), it.number)).collect();
        for (uplink, number) in removed.difference(&left) {
            if let Some(known) = self.state.uplinks.get_mut(uplink) {
                // A segment that comes later counts from zero.
                known.retired.remove(number);
            }
        }
        let uplinks: BTreeSet<_> = removed.into_iter().map(|(uplink, _)| uplink).collect();
        self.state.unsettled.extend(uplinks.iter().cloned());
        self.save()?;
        Ok(self.settle_all(&uplinks).await?)
    }

    /// A network by its name.
    ///
    /// # Errors
    ///
    /// [`ControlError::NoNetwork`] when there is none.
    pub fn network(&self, name: &str) -> Result<&Network, ControlError> {
        let network = self.state.networks.get(name);
        network.ok_or_else(|| ControlError::NoNetwork(name.to_owned()))
    }
}
