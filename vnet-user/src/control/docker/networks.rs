//! Networks, as Docker asks for them and takes them back.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::{
    control::{ControlError, Vnet, error::Failures},
    model::{
        Network, NetworkRequest, Parent,
        docker::{DockerId, DockerNetwork},
        network::NetworkError,
        state::State,
    },
    options::NetworkOptions,
};

/// A network that Docker asks for.
pub struct NetworkAsked {
    pub parent: Option<String>,
    pub options: NetworkOptions,
    pub subnets: Vec<IpNet>,
    /// Of each subnet that has one.
    pub gateways: Vec<(IpNet, IpAddr)>,
}

impl Vnet {
    /// Creates a network, and attaches its uplink where that is not attached.
    ///
    /// # Errors
    ///
    /// When its parent can't be an uplink, or it breaks a rule; then nothing is changed.
    pub async fn create_docker_network(
        &mut self,
        id: DockerId,
        asked: NetworkAsked,
    ) -> Result<(), ControlError> {
        if self.state.docker.networks.contains_key(&id) {
            return Ok(());
        }
        let name = id.short().to_owned();
        if self.state.networks.contains_key(&name) {
            return Err(NetworkError::Exists(name).into());
        }
        let NetworkAsked {
            parent,
            options,
            subnets,
            gateways,
        } = asked;
        let internal = parent.is_none();
        let parent = match parent {
            Some(parent) => self.docker_parent(&parent, &options).await?,
            None => Parent {
                uplink: id.internal_ifnames()[0].clone(),
                segment: options.segment().segment(),
            },
        };
        let uplink = parent.uplink.clone();
        let first = |is: fn(&IpAddr) -> bool| gateways.iter().map(|it| it.1).find(is);
        let network = Network {
            subnets,
            gateways: [first(IpAddr::is_ipv4), first(IpAddr::is_ipv6)]
                .into_iter()
                .flatten()
                .collect(),
            ..options.network(&parent)
        };
        // First: should this process die before the network is there, the next one undoes what was begun.
        let record = DockerNetwork { gateways, internal };
        self.state.docker.networks.insert(id.clone(), record);
        self.save()?;
        let request = NetworkRequest { name, network };
        let created = self.make_docker_network(&id, &uplink, request).await;
        if created.is_err() {
            let undone = self.mend_docker().await;
            self.note(undone);
        }
        created
    }

    async fn make_docker_network(
        &mut self,
        id: &DockerId,
        uplink: &str,
        request: NetworkRequest,
    ) -> Result<(), ControlError> {
        self.make_internal_uplink(id).await?;
        self.attach_for_docker(uplink).await?;
        self.create_network(request).await
    }

    /// Takes back what was done for networks that are not there, or not any more: their records, the uplinks that were
    /// attached for them, and those that were made for them.
    pub(in crate::control) async fn mend_docker(&mut self) -> Result<(), ControlError> {
        let mut failures = Failures::default();
        for uplink in self.state.uplinks.keys().cloned().collect::<Vec<_>>() {
            failures.note(self.detach_for_docker(&uplink).await);
        }
        let State {
            docker, networks, ..
        } = &self.state;
        let gone = docker.networks.keys();
        let gone = gone.filter(|id| !networks.contains_key(id.short()));
        for id in gone.cloned().collect::<Vec<_>>() {
            let deleted = self.delete_internal_uplink(&id).await;
            if failures.note(deleted).is_none() {
                continue;
            }
            self.state
                .docker
                .endpoints
                .retain(|_, endpoint| endpoint.network != id);
            self.state.docker.networks.remove(&id);
            self.save()?;
        }
        failures.into_result()
    }

    /// Removes a network with whatever endpoints it has, and detaches an uplink that was attached for Docker alone.
    ///
    /// # Errors
    ///
    /// When the kernel refuses.
    pub async fn delete_docker_network(&mut self, id: &DockerId) -> Result<(), ControlError> {
        if !self.state.docker.networks.contains_key(id) {
            return Ok(());
        }
        let endpoints = self.state.docker.endpoints.iter();
        let of_it = endpoints.filter(|(_, endpoint)| endpoint.network == *id);
        for endpoint in of_it.map(|(id, _)| id.clone()).collect::<Vec<_>>() {
            self.delete_docker_endpoint(&endpoint).await?;
        }
        self.take_network(id.short()).await?;
        self.mend_docker().await
    }
}
