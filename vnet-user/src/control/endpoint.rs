//! Endpoints come and go.

use std::{
    collections::{BTreeSet, hash_map::RandomState},
    hash::BuildHasher,
    net::IpAddr,
};

use super::{ControlError, Vnet, error::Failures};
use crate::{
    datapath::attach::{self, HostSide},
    link::{Link, LinkError, Netlink, Netns, pair::PairSpec, sysctl},
    model::{
        Endpoint, EndpointId, EndpointRequest, MacAddr, Network, Segment,
        endpoint::{HostOnSegment, SourceChange, check_sources},
        state::{EndpointDevice, Hook, Phase},
    },
};

/// Where the container's end of a link is made.
#[derive(Clone, Copy)]
pub(super) enum Place<'a> {
    /// In the container, with its addresses and routes.
    Container(&'a Netns),
    /// In this namespace: Docker moves it, and gives it the rest.
    Here(&'a Netns),
}

impl Vnet {
    /// Adds an endpoint: the link, its place in the datapath, and the container's end with its
    /// addresses and routes.
    ///
    /// # Errors
    ///
    /// When the request breaks a rule or the kernel refuses; then nothing is changed.
    pub async fn add_endpoint(
        &mut self,
        request: &EndpointRequest,
    ) -> Result<EndpointId, ControlError> {
        let network = self.network(&request.network)?.clone();
        if self.state.docker.network_named(&request.network).is_some() {
            return Err(ControlError::DockersContainers(request.network.clone()));
        }
        let link = self.uplink_link(&network.uplink).await?;
        let random = random();
        let seed = [random[0], random[1], random[2], random[3]];
        let host = self.host_on_segment(&link, network.segment).await?;
        let mut endpoint = request.plan(&self.state, &host, seed)?;
        let netns = Netns::open(&request.netns)?;
        self.check_container(&netns, &endpoint.ifname)?;
        endpoint.netns_id = Some(netns.id());
        endpoint.sizes = link.sizes.for_endpoint(&network);

        let [a, b, c, d, e, f, ..] = random;
        let id = EndpointId::from_random([a, b, c, d, e, f]);
        self.state.endpoints.insert(id.clone(), endpoint);
        self.save()?;
        self.set_up_endpoint(&id, &network, Place::Container(&netns))
            .await?;
        Ok(id)
    }

    /// Removes an endpoint by its id or the beginning of it. Returns the whole id.
    ///
    /// # Errors
    ///
    /// When no endpoint, or more than one, has such an id.
    pub async fn remove_endpoint(&mut self, id: &str) -> Result<EndpointId, ControlError> {
        let id = self.endpoint_id(id)?.clone();
        let mut dockers = self.state.docker.endpoints.keys();
        if dockers.any(|docker_id| docker_id.endpoint_id() == id) {
            return Err(ControlError::DockersEndpoint(id));
        }
        if self.cleaned.contains(&id) {
            // Its container took the link along, and `repair` has just done the rest.
            return Ok(id);
        }
        self.take_endpoint(&id).await?;
        Ok(id)
    }

    /// Takes an endpoint away, which the next command completes should this one die.
    pub(super) async fn take_endpoint(&mut self, id: &EndpointId) -> Result<(), ControlError> {
        self.endpoint_mut(id)?.phase = Phase::Removing;
        self.save()?;
        self.tear_down_endpoint(id).await
    }

    /// An endpoint by its id or the beginning of it.
    ///
    /// # Errors
    ///
    /// When no endpoint, or more than one, has such an id.
    pub fn endpoint(&self, id: &str) -> Result<(&EndpointId, &Endpoint), ControlError> {
        let found = self.state.endpoints.get_key_value(self.endpoint_id(id)?);
        found.ok_or_else(|| ControlError::NoEndpoint(id.to_owned()))
    }

    /// Also of one that this very command has found gone and cleaned up.
    fn endpoint_id(&self, id: &str) -> Result<&EndpointId, ControlError> {
        let known = self.state.endpoints.keys().chain(&self.cleaned);
        let mut found = known.filter(|known| !id.is_empty() && known.as_str().starts_with(id));
        match (found.next(), found.count()) {
            (Some(endpoint), 0) => Ok(endpoint),
            (Some(_), more) => Err(ControlError::AmbiguousEndpoint {
                id: id.to_owned(),
                count: more + 1,
            }),
            (None, _) => Err(ControlError::NoEndpoint(id.to_owned())),
        }
    }

    /// Adds, removes, replaces or clears the source addresses that an endpoint hears (`ip link … macvlan macaddr`).
    /// Returns its id.
    ///
    /// # Errors
    ///
    /// When its network is not in source mode, or an address has too many listeners; then nothing is changed.
    pub async fn change_sources(
        &mut self,
        id: &str,
        change: SourceChange,
    ) -> Result<EndpointId, ControlError> {
        let (id, endpoint) = self.endpoint(id)?;
        let id = id.clone();
        let sources = change.apply(&endpoint.sources);
        let network = endpoint.network.clone();
        check_sources(&network, &sources, Some(&id), &self.state)?;
        let uplink = self.network(&network)?.uplink.clone();
        self.endpoint_mut(&id)?.sources = sources;
        self.state.unsettled.insert(uplink.clone());
        self.save()?;
        self.settle(&uplink).await?;
        Ok(id)
    }

    /// Makes what the state has of an endpoint, or takes all of it back.
    pub(super) async fn set_up_endpoint(
        &mut self,
        id: &EndpointId,
        network: &Network,
        place: Place<'_>,
    ) -> Result<(), ControlError> {
        let result = self.try_set_up(id, network, place).await;
        if result.is_err() {
            let undone = self.tear_down_endpoint(id).await;
            self.note(undone);
        }
        result
    }

    async fn try_set_up(
        &mut self,
        id: &EndpointId,
        network: &Network,
        place: Place<'_>,
    ) -> Result<(), ControlError> {
        let endpoint = self.endpoint_mut(id)?.clone();
        let host_ifname = id.host_ifname();
        let netns = match place {
            Place::Container(netns) | Place::Here(netns) => netns,
        };
        let spec = PairSpec {
            device: self.uplink(&network.uplink)?.endpoint_device,
            host_ifname: &host_ifname,
            ifname: &endpoint.ifname,
            netns,
            mac: endpoint.mac.octets(),
            sizes: endpoint.sizes,
            alias: &format!("vnet {} {}", endpoint.network, endpoint.netns),
        };
        let host = self.netlink.create_pair(&spec).await?;
        let endpoint = self.endpoint_mut(id)?;
        endpoint.host_ifindex = host.index;
        let endpoint = endpoint.clone();
        self.save()?;

        match self.uplink_link(&network.uplink).await {
            Ok(_) => {
                self.hook_endpoint(&network.uplink, id, &endpoint).await?;
                self.netlink.set_up(host.index).await?;
            }
            // It gets its program with the uplink's, and its carrier after that.
            Err(error) if error.is_not_running() => self.endpoint_mut(id)?.carrier_off = true,
            Err(error) => return Err(error),
        }
        self.settle(&network.uplink).await?;
        if let Place::Here(_) = place {
            self.endpoint_mut(id)?.phase = Phase::Handed;
            return self.save();
        }
        self.hook_container(&network.uplink, id).await?;
        // Last: from here on the container speaks, and IPv6 asks whether its address is taken.
        netns.run(|| configure(&endpoint, &network.gateways))?;
        self.endpoint_mut(id)?.phase = Phase::Ready;
        self.save()?;
        // Its end is up now, as XDP needs it.
        self.give_to_xdp(&network.uplink).await
    }

    /// Takes an endpoint down to nothing, whatever of it is there. It stays known until all of it is gone.
    pub(super) async fn tear_down_endpoint(&mut self, id: &EndpointId) -> Result<(), ControlError> {
        let endpoint = self.endpoint_mut(id)?.clone();
        let network = self.network(&endpoint.network)?.clone();
        let host_ifname = id.host_ifname();
        let mut failures = Failures::default();
        // First: a link whose program is gone would hand the container's frames to the host's stack.
        failures.note(self.delete_host_side(id, &endpoint).await);
        let pins = self.pins(&network.uplink);
        failures.note(pins.remove_link(&host_ifname));
        failures.note(pins.remove_container_links(&host_ifname));
        failures.into_result()?;
        let retired = self.retire_counters(id);
        self.note(retired);
        self.state.endpoints.remove(id);
        self.state.unsettled.insert(network.uplink.clone());
        self.save()?;
        self.settle(&network.uplink).await
    }

    /// The host side of an endpoint's link, by its index: somebody may have renamed it. Before there is an index, by its
    /// name.
    pub(super) async fn host_side(
        &self,
        id: &EndpointId,
        endpoint: &Endpoint,
    ) -> Result<Option<Link>, ControlError> {
        let link = match endpoint.host_ifindex {
            0 => self.netlink.find(&id.host_ifname()).await?,
            index => self.netlink.find_index(index).await?,
        };
        Ok(link.filter(Link::is_endpoint_side))
    }

    /// Deletes an endpoint's link. One that is gone is fine.
    pub(super) async fn delete_host_side(
        &self,
        id: &EndpointId,
        endpoint: &Endpoint,
    ) -> Result<(), ControlError> {
        match self.host_side(id, endpoint).await? {
            Some(link) => Ok(self.netlink.delete(link.index).await?),
            None => Ok(()),
        }
    }

    /// Puts the program back onto those of an uplink's endpoints that have lost it.
    pub(super) async fn rehook_endpoints(&self, uplink: &str) -> Result<(), ControlError> {
        let pins = self.pins(uplink);
        for (id, endpoint) in self.state.endpoints_on(uplink) {
            let pin = id.host_ifname();
            // Filters are not pinned, and attaching them replaces what is there.
            if pins.holds(&pin).is_none() {
                pins.remove_link(&pin)?;
                self.hook_endpoint(uplink, id, endpoint).await?;
            }
        }
        Ok(())
    }

    /// Puts new programs onto an uplink's endpoints.
    pub(super) async fn restore_endpoints(&self, uplink: &str) -> Result<(), ControlError> {
        for (id, endpoint) in self.state.endpoints_on(uplink) {
            self.hook_endpoint(uplink, id, endpoint).await?;
        }
        Ok(())
    }

    async fn hook_endpoint(
        &self,
        uplink: &str,
        id: &EndpointId,
        endpoint: &Endpoint,
    ) -> Result<(), ControlError> {
        let attached = self.uplink(uplink)?;
        let (device, hook) = (attached.endpoint_device, attached.hook);
        if let Some(host) = self.host_side(id, endpoint).await? {
            let pins = self.pins(uplink);
            let pin = id.host_ifname();
            let host = HostSide {
                ifname: &host.name,
                index: host.index,
                pin: &pin,
            };
            attach::endpoint(&pins, device, hook, &host)?;
        }
        Ok(())
    }

    /// Whether the kernel still has our program on an endpoint's link.
    pub(super) async fn is_endpoint_hooked(
        &self,
        uplink: &str,
        id: &EndpointId,
        host_ifindex: u32,
    ) -> Result<bool, ControlError> {
        Ok(match self.uplink(uplink)?.hook {
            Hook::Tcx => self.pins(uplink).holds(&id.host_ifname()).is_some(),
            Hook::Clsact => {
                let priority = attach::CLSACT_PRIORITY;
                self.netlink
                    .has_ingress_filter(host_ifindex, priority)
                    .await?
            }
        })
    }

    /// The device that an uplink's endpoints have, if it has any.
    pub(super) async fn device_of_endpoints(
        &self,
        uplink: &str,
    ) -> Result<Option<EndpointDevice>, ControlError> {
        for (id, endpoint) in self.state.endpoints_on(uplink) {
            let link = self.host_side(id, endpoint).await?;
            let device = link.and_then(|link| EndpointDevice::from_name(&link.kind?));
            if device.is_some() {
                return Ok(device);
            }
        }
        Ok(None)
    }

    /// What the host has there: on the NIC, on the bridge that it is a port of, or on its own VLAN device.
    pub(super) async fn host_on_segment(
        &self,
        link: &Link,
        segment: Segment,
    ) -> Result<HostOnSegment, ControlError> {
        let mut on_segment = Vec::new();
        match (segment.outer, segment.vlan) {
            (None, None) => {
                on_segment.push(link.index);
                on_segment.extend(link.master);
            }
            (None, Some(vlan)) => {
                let links = self.netlink.list().await?;
                let is_its = |other: &&Link| {
                    other.peer_index == Some(link.index) && other.vlan == Some(vlan.into())
                };
                on_segment.extend(links.iter().filter(is_its).map(|link| link.index));
            }
            // Two VLAN devices deep: not looked for.
            (Some(_), _) => {}
        }
        let mut addresses = BTreeSet::new();
        for index in on_segment {
            addresses.extend(self.netlink.addresses(index).await?);
        }
        Ok(HostOnSegment {
            mac: Some(MacAddr::try_from(link.mac)?),
            addresses,
        })
    }

    /// A container's own namespace, without an interface of that name.
    fn check_container(&self, netns: &Netns, ifname: &str) -> Result<(), ControlError> {
        if netns.id() == self.netns {
            return Err(ControlError::OwnNetns(netns.name().to_owned()));
        }
        let taken = netns.run(|| async { Netlink::open()?.find(ifname).await })?;
        match taken {
            None => Ok(()),
            Some(_) => Err(LinkError::IfnameTaken {
                netns: netns.name().to_owned(),
                ifname: ifname.to_owned(),
            }
            .into()),
        }
    }

    pub(super) fn endpoint_mut(&mut self, id: &EndpointId) -> Result<&mut Endpoint, ControlError> {
        let endpoint = self.state.endpoints.get_mut(id);
        endpoint.ok_or_else(|| ControlError::NoEndpoint(id.to_string()))
    }
}

/// The container's end, from inside.
async fn configure(endpoint: &Endpoint, gateways: &[IpAddr]) -> Result<(), LinkError> {
    let netlink = Netlink::open()?;
    let link = netlink.link(&endpoint.ifname).await?;
    if endpoint.addresses.iter().any(|net| net.addr().is_ipv6()) {
        sysctl::enable_ipv6(&endpoint.ifname)?;
    }
    sysctl::announce(&endpoint.ifname)?;
    for address in &endpoint.addresses {
        netlink.add_address(link.index, *address).await?;
    }
    netlink.set_up(link.index).await?;
    for gateway in gateways {
        let same_family = |address: &ipnet::IpNet| address.addr().is_ipv4() == gateway.is_ipv4();
        if endpoint.addresses.iter().any(same_family) {
            netlink.add_default_route(link.index, *gateway).await?;
        }
    }
    Ok(())
}

/// Random bytes: the standard library seeds its hashers from the kernel's generator.
pub(super) fn random() -> [u8; 8] {
    RandomState::new()
        .hash_one(std::process::id())
        .to_ne_bytes()
}
