//! Endpoints: Docker keeps a place for one, puts it into a container, and takes it out again.

use std::net::IpAddr;

use crate::{
    control::{
        ControlError, Vnet,
        endpoint::{Place, random},
        host_links::HostLinks,
    },
    link::{Link, Netns},
    model::{
        EndpointRequest, MacAddr, Mode, Network, Sizes,
        docker::{DockerEndpoint, DockerId},
        endpoint::HostOnSegment,
    },
};

/// An endpoint that Docker asks for.
pub struct EndpointAsked {
    pub network: DockerId,
    pub addresses: Vec<IpAddr>,
    pub mac: Option<MacAddr>,
}

/// What a container gets.
pub struct Joined {
    /// The interface that Docker moves into it.
    pub ifname: String,
    pub gateway: Option<IpAddr>,
    pub gateway_ipv6: Option<IpAddr>,
}

impl Vnet {
    /// Keeps an endpoint's place. Returns its MAC address, which is made from the IPv4 address where none was given.
    ///
    /// # Errors
    ///
    /// When an address is taken or breaks a rule; then nothing is changed.
    pub async fn create_docker_endpoint(
        &mut self,
        id: DockerId,
        asked: EndpointAsked,
    ) -> Result<MacAddr, ControlError> {
        if let Some(known) = self.state.docker.endpoints.get(&id) {
            return Ok(known.mac);
        }
        let EndpointAsked {
            network,
            addresses,
            mac,
        } = asked;
        if !self.state.docker.networks.contains_key(&network) {
            return Err(ControlError::NoDockerNetwork(network.short().to_owned()));
        }
        let mut ids = self.state.docker.endpoints.keys();
        if ids.any(|other| other.short() == id.short())
            || self.state.endpoints.contains_key(&id.endpoint_id())
        {
            return Err(ControlError::EndpointExists(id.endpoint_id()));
        }
        let mut request = EndpointRequest::in_network(network.short(), "");
        request.addresses.clone_from(&addresses);
        request.mac = mac;
        let mac_given = mac.is_some();
        let mac = self.plan_docker_endpoint(&request, &network).await?;
        let endpoint = DockerEndpoint {
            network,
            addresses,
            mac,
            mac_given,
        };
        self.state.docker.endpoints.insert(id, endpoint);
        self.save()?;
        Ok(mac)
    }

    /// Makes an endpoint's link; Docker moves the container's end into the namespace `sandbox`.
    ///
    /// # Errors
    ///
    /// When there is no such endpoint, or the kernel refuses; then nothing is changed.
    pub async fn join_docker_endpoint(
        &mut self,
        id: &DockerId,
        sandbox: &str,
    ) -> Result<Joined, ControlError> {
        let known = self.state.docker.endpoints.get(id).cloned();
        let known = known.ok_or_else(|| ControlError::NoEndpoint(id.short().to_owned()))?;
        // Of a call whose answer was lost.
        self.leave_docker_endpoint(id).await?;
        let network = self.network(known.network.short())?.clone();
        let link = self.dockers_uplink(&known.network, &network.uplink).await?;
        let endpoint_id = id.endpoint_id();
        // In passthru mode it is the uplink's, which may have come, or changed, since the place was kept.
        let mac_kept = known.mac_given || network.mode != Mode::Passthru;
        let request = EndpointRequest {
            addresses: known.addresses.clone(),
            mac: mac_kept.then_some(known.mac),
            ifname: endpoint_id.unmoved_ifname(),
            ..EndpointRequest::in_network(known.network.short(), sandbox)
        };
        let host = self.host_of(link.as_ref(), &network).await?;
        let mut endpoint = request.plan(&self.state, &host, [0; 4])?;
        endpoint.netns_id = Netns::open(sandbox).ok().map(|netns| netns.id());
        let sizes = link.map_or(Sizes::ETHERNET, |link| link.sizes);
        endpoint.sizes = sizes.for_endpoint(&network);
        self.state.endpoints.insert(endpoint_id.clone(), endpoint);
        self.save()?;
        let made = self.set_up_endpoints(std::slice::from_ref(&endpoint_id), Place::Here);
        made.await.map_err(|refused| refused.error)?;
        let record = self.state.docker.networks.get(&known.network);
        let gateway = |is: fn(&IpAddr) -> bool| record?.gateway(&known.addresses, is);
        Ok(Joined {
            ifname: endpoint_id.unmoved_ifname(),
            gateway: gateway(IpAddr::is_ipv4),
            gateway_ipv6: gateway(IpAddr::is_ipv6),
        })
    }

    /// Takes an endpoint's link away; its place is kept.
    ///
    /// # Errors
    ///
    /// When the kernel refuses.
    pub async fn leave_docker_endpoint(&mut self, id: &DockerId) -> Result<(), ControlError> {
        if !self.state.docker.endpoints.contains_key(id) {
            return Ok(());
        }
        let id = id.endpoint_id();
        match self.state.endpoints.contains_key(&id) {
            true => self.take_endpoints(&[id]).await,
            false => Ok(()),
        }
    }

    /// Forgets an endpoint, and takes away what there is of it.
    ///
    /// # Errors
    ///
    /// When the kernel refuses.
    pub async fn delete_docker_endpoint(&mut self, id: &DockerId) -> Result<(), ControlError> {
        self.leave_docker_endpoint(id).await?;
        match self.state.docker.endpoints.remove(id) {
            Some(_) => self.save(),
            None => Ok(()),
        }
    }

    /// Which MAC address an endpoint would have, if it may be at all; neither another's place nor its own is taken yet.
    async fn plan_docker_endpoint(
        &mut self,
        request: &EndpointRequest,
        of: &DockerId,
    ) -> Result<MacAddr, ControlError> {
        let network = self.network(&request.network)?.clone();
        let link = self.dockers_uplink(of, &network.uplink).await?;
        let host = self.host_of(link.as_ref(), &network).await?;
        let [a, b, c, d, ..] = random();
        Ok(request.plan(&self.state, &host, [a, b, c, d])?.mac)
    }

    async fn host_of(
        &self,
        uplink: Option<&Link>,
        network: &Network,
    ) -> Result<HostOnSegment, ControlError> {
        match uplink {
            Some(link) => {
                HostLinks::default()
                    .on_segment(self, link, network.segment)
                    .await
            }
            None => Ok(HostOnSegment::default()),
        }
    }
}
