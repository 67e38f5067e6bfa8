//! Networks come and go.

use super::{ControlError, Vnet};
use crate::model::{Mode, Network, NetworkRequest, network::NetworkChange};

impl Vnet {
    /// Creates a network on an attached uplink.
    ///
    /// # Errors
    ///
    /// When the uplink is not attached or the request breaks a rule; then nothing is changed.
    pub async fn create_network(&mut self, request: NetworkRequest) -> Result<(), ControlError> {
        let uplink = request.network.uplink.clone();
        let mut dockers = self.state.docker.networks.keys();
        if let Some(owner) = dockers.find(|id| id.internal_ifnames().contains(&uplink))
            && owner.short() != request.name
        {
            return Err(ControlError::PrivateUplink {
                ifname: uplink,
                network: owner.short().to_owned(),
            });
        }
        if !self.state.uplinks.contains_key(&uplink) {
            // A name that no interface has deserves that answer.
            self.netlink.link(&uplink).await?;
        }
        let link = self.uplink_link(&uplink).await?;
        let network = request.plan(&self.state, link.sizes.mtu)?;
        let NetworkRequest { name, network: _ } = request;
        self.state.networks.insert(name.clone(), network);
        self.state.unsettled.insert(uplink.clone());
        self.save()?;
        let settled = self.settle(&uplink).await;
        if settled.is_err() {
            // The uplink stays unsettled, so the next command takes the segment out again.
            self.state.networks.remove(&name);
            let undone = self.save();
            self.note(undone);
        }
        settled
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
        self.network(name)?;
        match self.state.docker.network_named(name) {
            Some(_) => Err(ControlError::DockersNetwork(name.to_owned())),
            None => self.take_network(name).await,
        }
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
        for id in endpoints.map(|(id, _)| id.clone()).collect::<Vec<_>>() {
            self.take_endpoint(&id).await?;
        }
        self.take_network(name).await
    }

    /// As [`Vnet::remove_network`], whosever it is.
    pub(super) async fn take_network(&mut self, name: &str) -> Result<(), ControlError> {
        let uplink = self.network(name)?.uplink.clone();
        let endpoints = self.state.endpoints_of(name);
        let endpoints: Vec<_> = endpoints.map(|(id, _)| id.to_string()).collect();
        if !endpoints.is_empty() {
            return Err(ControlError::NetworkInUse {
                network: name.to_owned(),
                endpoints: endpoints.join(", "),
            });
        }
        let number = self.network(name)?.number;
        self.state.networks.remove(name);
        let shared = self
            .state
            .networks_on(&uplink)
            .any(|(_, other)| other.number == number);
        if let (false, Some(known)) = (shared, self.state.uplinks.get_mut(&uplink)) {
            // A segment that comes later counts from zero.
            known.retired.remove(&number);
        }
        self.state.unsettled.insert(uplink.clone());
        self.save()?;
        self.settle(&uplink).await
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
