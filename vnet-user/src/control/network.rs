//! Networks come and go.

use super::{ControlError, Vnet};
use crate::{
    datapath::Maps,
    model::{Network, NetworkRequest, vlan},
};

impl Vnet {
    /// Creates a network on an attached uplink.
    ///
    /// # Errors
    ///
    /// When the uplink is not attached or the request breaks a rule; then nothing is changed.
    pub async fn create_network(&mut self, request: NetworkRequest) -> Result<(), ControlError> {
        let uplink = request.network.uplink.clone();
        // A name that no interface has deserves that answer.
        self.netlink.link(&uplink).await?;
        let link = self.uplink_link(&uplink).await?;
        request.validate(&self.state, link.mtu)?;
        let NetworkRequest { name, network } = request;
        let segment = vlan::map_value(network.vlan);
        self.state.networks.insert(name.clone(), network);
        self.save()?;
        Maps::open(&self.pins(&uplink))?.add_segment(segment)?;
        self.apply_nic(&uplink).await
    }

    /// Removes a network without endpoints.
    ///
    /// # Errors
    ///
    /// [`ControlError::NetworkInUse`] when it has some.
    pub async fn remove_network(&mut self, name: &str) -> Result<(), ControlError> {
        let network = self.network(name)?.clone();
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
        self.save()?;
        let Network { uplink, vlan, .. } = network;
        if self.uplink_link(&uplink).await.is_ok() {
            let last = self
                .state
                .networks_on(&uplink)
                .all(|(_, other)| other.vlan != vlan);
            if last {
                Maps::open(&self.pins(&uplink))?.remove_segment(vlan::map_value(vlan))?;
            }
            self.apply_nic(&uplink).await?;
        }
        Ok(())
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
