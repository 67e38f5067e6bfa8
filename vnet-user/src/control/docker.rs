//! Docker's networks and endpoints. Each verb may come again, for dockerd asks anew when an answer was lost; and what is gone
//! already may always be taken away, so that nothing is refused for ever.

use std::{collections::BTreeSet, net::IpAddr};

use ipnet::IpNet;
use vnet_common::{ETHER_TYPE_8021Q, Mac};

use super::{
    ControlError, Vnet,
    attach::{Asker, AttachOptions},
    endpoint::{Place, random},
    xdp::XdpChoice,
};
use crate::{
    link::{Link, Netns, pair::PairSpec},
    model::{
        EndpointRequest, MacAddr, Network, NetworkRequest, OuterProtocol, OuterTag, Parent,
        Segment, Sizes, VlanId,
        docker::{DockerEndpoint, DockerId, DockerNetwork},
        endpoint::HostOnSegment,
        state::{EndpointDevice, Phase, State},
    },
    options::NetworkOptions,
};

/// The far end of an uplink that leads nowhere: nobody ever hears of it.
const INNER_FAR_MAC: Mac = [0x02, 0, 0, 0, 0, 0x01];
/// Of an uplink that is not there yet: what an Ethernet has.
const UNKNOWN: Sizes = Sizes {
    mtu: 1500,
    gso_max_size: None,
    gso_max_segs: None,
};

/// A network that Docker asks for.
pub struct NetworkAsked {
    pub parent: Option<String>,
    pub options: NetworkOptions,
    pub subnets: Vec<IpNet>,
    /// Of each subnet that has one.
    pub gateways: Vec<(IpNet, IpAddr)>,
}

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
        let NetworkAsked {
            parent,
            options,
            subnets,
            gateways,
        } = asked;
        let inner = parent.is_none();
        let parent = match parent {
            Some(parent) => self.docker_parent(&parent, &options).await?,
            None => Parent {
                uplink: id.inner_ifnames().0,
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
        let name = id.short().to_owned();
        // First: should this process die before the network is there, the next one undoes what was begun.
        let record = DockerNetwork { gateways, inner };
        self.state.docker.networks.insert(id.clone(), record);
        self.save()?;
        let request = NetworkRequest { name, network };
        let created = self.make_docker_network(&uplink, request).await;
        if created.is_err() {
            let undone = self.mend_docker().await;
            self.note(undone);
        }
        created
    }

    async fn make_docker_network(
        &mut self,
        uplink: &str,
        request: NetworkRequest,
    ) -> Result<(), ControlError> {
        self.make_inner_uplinks().await?;
        self.attach_for_docker(uplink).await?;
        self.create_network(request).await
    }

    /// Takes back what was done for networks that are not there, or not any more: their records, the uplinks that were
    /// attached for them, and those that were made for them.
    pub(super) async fn mend_docker(&mut self) -> Result<(), ControlError> {
        for uplink in self.state.uplinks.keys().cloned().collect::<Vec<_>>() {
            self.detach_for_docker(&uplink).await?;
        }
        let State {
            docker, networks, ..
        } = &self.state;
        let gone = docker.networks.iter();
        let gone = gone.filter(|(id, _)| !networks.contains_key(id.short()));
        let gone: Vec<_> = gone.map(|(id, it)| (id.clone(), it.inner)).collect();
        for (id, inner) in gone {
            let (ifname, _) = id.inner_ifnames();
            if inner && let Some(link) = self.netlink.find(&ifname).await? {
                self.netlink.delete(link.index).await?;
            }
            self.state
                .docker
                .endpoints
                .retain(|_, endpoint| endpoint.network != id);
            self.state.docker.networks.remove(&id);
            self.save()?;
        }
        Ok(())
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
        let mut request = EndpointRequest::in_network(network.short(), "");
        request.addresses.clone_from(&addresses);
        request.mac = mac;
        let mac = self.plan_docker_endpoint(&request).await?;
        let endpoint = DockerEndpoint {
            network,
            addresses,
            mac,
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
        let link = self.dockers_uplink(&network.uplink).await?;
        let endpoint_id = id.endpoint_id();
        let request = EndpointRequest {
            addresses: known.addresses.clone(),
            mac: Some(known.mac),
            ifname: endpoint_id.unmoved_ifname(),
            ..EndpointRequest::in_network(known.network.short(), sandbox)
        };
        let host = self.host_of(link.as_ref(), &network).await?;
        let mut endpoint = request.plan(&self.state, &host, [0; 4])?;
        endpoint.netns_id = Netns::open(sandbox).ok().map(|netns| netns.id());
        let sizes = link.map_or(UNKNOWN, |link| link.sizes);
        endpoint.sizes = sizes.for_endpoint(&network);
        self.state.endpoints.insert(endpoint_id.clone(), endpoint);
        self.save()?;
        let here = Netns::current()?;
        self.set_up_endpoint(&endpoint_id, &network, Place::Here(&here))
            .await?;
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
        let id = id.endpoint_id();
        match self.state.endpoints.get_mut(&id) {
            Some(endpoint) => endpoint.phase = Phase::Removing,
            None => return Ok(()),
        }
        self.save()?;
        self.tear_down_endpoint(&id).await
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
    ) -> Result<MacAddr, ControlError> {
        let network = self.network(&request.network)?.clone();
        let link = self.dockers_uplink(&network.uplink).await?;
        let host = self.host_of(link.as_ref(), &network).await?;
        let [a, b, c, d, ..] = random();
        Ok(request.plan(&self.state, &host, [a, b, c, d])?.mac)
    }

    /// What `-o parent` names: an interface; a VLAN on one, or one in another (`eth0.50`, `eth0.50.60`); or a VLAN device of
    /// any name, which stands for the interface below it and its VLAN.
    async fn docker_parent(
        &self,
        parent: &str,
        options: &NetworkOptions,
    ) -> Result<Parent, ControlError> {
        let links = self.netlink.list().await?;
        let named = |name: &str| links.iter().find(|link| link.name == name);
        let mut tags = Vec::new();
        let mut below = named(parent);
        while let Some(link) = below
            && let Some(vlan) = link.vlan
        {
            tags.push((VlanId::try_from(vlan)?, link.vlan_protocol));
            below = links.iter().find(|it| Some(it.index) == link.peer_index);
        }
        if let (Some(link), [_, ..]) = (below, tags.as_slice()) {
            return vlan_devices_parent(parent, &link.name, &tags);
        }
        let is_uplink = |name: &str| self.state.uplinks.contains_key(name) || named(name).is_some();
        Ok(Parent::parse(parent, options.segment(), is_uplink)?)
    }

    /// A network's uplink, attached; `None` where its interface is not there, and is waited for.
    async fn dockers_uplink(&mut self, uplink: &str) -> Result<Option<Link>, ControlError> {
        self.make_inner_uplinks().await?;
        if self.netlink.find(uplink).await?.is_none() && self.state.uplinks.contains_key(uplink) {
            return Ok(None);
        }
        self.attach_for_docker(uplink).await?;
        self.uplink_link(uplink).await.map(Some)
    }

    async fn host_of(
        &self,
        uplink: Option<&Link>,
        network: &Network,
    ) -> Result<HostOnSegment, ControlError> {
        match uplink {
            Some(link) => self.host_on_segment(link, network.segment).await,
            None => Ok(HostOnSegment::default()),
        }
    }

    /// Makes the uplinks of networks without a parent, where they are not there: after a boot they are gone.
    pub(super) async fn make_inner_uplinks(&mut self) -> Result<(), ControlError> {
        let networks = self.state.docker.networks.iter();
        let inner = networks.filter(|(_, network)| network.inner);
        for (ifname, far) in inner.map(|(id, _)| id.inner_ifnames()).collect::<Vec<_>>() {
            if self.netlink.find(&ifname).await?.is_some() {
                continue;
            }
            let spec = PairSpec {
                device: EndpointDevice::Veth,
                host_ifname: &ifname,
                ifname: &far,
                netns: &Netns::current()?,
                mac: INNER_FAR_MAC,
                sizes: UNKNOWN,
                alias: "vnet: a Docker network without a parent",
            };
            let link = self.netlink.create_pair(&spec).await?;
            self.netlink.set_up(link.index).await?;
            let far = self.netlink.link(&far).await?;
            self.netlink.set_up(far.index).await?;
        }
        Ok(())
    }

    /// After a boot: what Docker's networks are on is to be attached again as soon as it is there. Their containers are gone,
    /// and come back as others.
    pub(super) fn expect_dockers_uplinks(&mut self) {
        self.state.docker.endpoints.clear();
        let docker = &self.state.docker;
        let networks = self.state.networks.iter();
        let dockers = networks.filter(|(name, _)| docker.network_named(name).is_some());
        let names: BTreeSet<_> = dockers.map(|(_, network)| network.uplink.clone()).collect();
        let uplinks = std::mem::take(&mut self.state.uplinks).into_iter();
        self.state.uplinks = uplinks
            .filter(|(name, _)| names.contains(name))
            .map(|(name, uplink)| (name, uplink.expected()))
            .collect();
    }

    async fn attach_for_docker(&mut self, uplink: &str) -> Result<(), ControlError> {
        let link = self.netlink.link(uplink).await?;
        if self.is_attached(&link).await? {
            return Ok(());
        }
        let asker = match self.state.uplinks.contains_key(uplink) {
            true => Asker::Same,
            false => Asker::Docker,
        };
        let options = AttachOptions {
            asker,
            endpoint_device: None,
            xdp: XdpChoice::Keep,
            log_level: log::LevelFilter::Off,
        };
        self.attach(uplink, options).await.map(drop)
    }

    /// Undoes what [`Vnet::attach_for_docker`] did, when it was for the last network.
    async fn detach_for_docker(&mut self, uplink: &str) -> Result<(), ControlError> {
        let for_docker = self.uplink(uplink).is_ok_and(|known| known.for_docker);
        if !for_docker || self.state.networks_on(uplink).next().is_some() {
            return Ok(());
        }
        self.detach(uplink, false).await.map(drop)
    }
}

/// The parent that a VLAN device stands for, with the tags from the device down.
fn vlan_devices_parent(
    device: &str,
    uplink: &str,
    tags: &[(VlanId, u16)],
) -> Result<Parent, ControlError> {
    let outer = |(vlan, protocol)| {
        OuterProtocol::from_ethertype(protocol).map(|protocol| OuterTag { vlan, protocol })
    };
    let segment = match *tags {
        [(vlan, ETHER_TYPE_8021Q)] => Some((vlan, None)),
        [(vlan, ETHER_TYPE_8021Q), below] => outer(below).map(|outer| (vlan, Some(outer))),
        _ => None,
    };
    let (vlan, outer) = segment.ok_or_else(|| ControlError::VlanDevice(device.to_owned()))?;
    let segment = Segment {
        vlan: Some(vlan),
        outer,
    };
    Ok(Parent {
        uplink: uplink.to_owned(),
        segment,
    })
}
