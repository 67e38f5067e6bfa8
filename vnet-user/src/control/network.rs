//! Networks come and go.

use super::{ControlError, Vnet};
use crate::model::{Network, NetworkRequest};

impl Vnet {
    /// Creates a network on an attached uplink.
    ///
    /// # Errors
    ///
    /// When the uplink is not attached or the request breaks a rule; then nothing is changed.
    pub async fn create_network(&mut self, request: NetworkRequest) -> Result<(), ControlError> {
        let uplink = request.network.uplink.clone();
        if !self.state.uplinks.contains_key(&uplink) {
            // A name that no interface has deserves that answer.
            self.netlink.link(&uplink).await?;
        }
        let link = self.uplink_link(&uplink).await?;
        request.validate(&self.state, link.sizes.mtu)?;
        let NetworkRequest { name, network } = request;
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

    /// Removes a network without endpoints.
    ///
    /// # Errors
    ///
    /// [`ControlError::NetworkInUse`] when it has some.
    pub async fn remove_network(&mut self, name: &str) -> Result<(), ControlError> {
        let uplink = self.network(name)?.uplink.clone();
        let endpoints = self
            .state
            .endpoints
            .iter()
            .filter(|(_, e)| e.network == name);
        let endpoints: Vec<_> = endpoints.map(|(id, _)| id.to_string()).collect();
        if !endpoints.is_empty() {
            return Err(ControlError::NetworkInUse {
                network: name.to_owned(),
                endpoints: endpoints.join(", "),
            });
        }
        self.state.networks.remove(name);
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
