//! Endpoints come and go.

mod teardown;

use std::{
    collections::{BTreeMap, BTreeSet, hash_map::RandomState},
    hash::BuildHasher,
    net::IpAddr,
    ops::Bound,
};

use super::{ControlError, RefusedTogether, Vnet, host_links::HostLinks, progress::Progress};
use crate::{
    datapath::attach::{self, HostSide},
    link::{Link, LinkError, Netlink, Netns, pair::PairSpec, sysctl},
    model::{
        Endpoint, EndpointId, EndpointRequest, Places,
        endpoint::{SourceChange, check_sources},
        state::{EndpointDevice, Hook, Phase},
    },
};

/// Where the container's end of a link is made.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// In the container, with its addresses and routes.
    Container,
    /// In this namespace: Docker moves it, and gives it the rest.
    Here,
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
        request: EndpointRequest,
    ) -> Result<EndpointId, ControlError> {
        match self.add_endpoints(&[request]).await {
            Ok(mut ids) => Ok(ids.remove(0)),
            Err(refused) => Err(refused.error),
        }
    }

    /// Adds endpoints, as one change. Returns their ids, in the order of the requests.
    ///
    /// # Errors
    ///
    /// As [`Vnet::add_endpoint`].
    pub async fn add_endpoints(
        &mut self,
        requests: &[EndpointRequest],
    ) -> Result<Vec<EndpointId>, RefusedTogether> {
        let mut ids = Vec::new();
        let planned = self.plan_endpoints(requests, &mut ids).await;
        if planned.is_err() {
            for id in &ids {
                self.state.endpoints.remove(id);
            }
        }
        planned?;
        self.save()?;
        self.set_up_endpoints(&ids, Place::Container).await?;
        Ok(ids)
    }

    /// Puts the endpoints into the state, as begun.
    async fn plan_endpoints(
        &mut self,
        requests: &[EndpointRequest],
        ids: &mut Vec<EndpointId>,
    ) -> Result<(), RefusedTogether> {
        let mut places = Places::of(&self.state);
        let mut host = HostLinks::default();
        for (index, request) in requests.iter().enumerate() {
            let planned = self.plan_endpoint(request, &mut places, &mut host).await;
            ids.push(planned.map_err(RefusedTogether::at(index))?);
        }
        Ok(())
    }

    async fn plan_endpoint(
        &mut self,
        request: &EndpointRequest,
        places: &mut Places,
        host: &mut HostLinks,
    ) -> Result<EndpointId, ControlError> {
        let network = self.network(&request.network)?.clone();
        if self.state.docker.network_named(&request.network).is_some() {
            return Err(ControlError::DockersContainers(request.network.clone()));
        }
        let link = host.uplink(self, &network.uplink).await?;
        let [a, b, c, d, e, f, ..] = random();
        let on_segment = host.on_segment(self, &link, network.segment).await?;
        let planned = request.plan_among(&self.state, places, &on_segment, [a, b, c, d]);
        let mut endpoint = planned?;
        let netns = Netns::open(&request.netns)?;
        if netns.id() == self.netns {
            return Err(ControlError::OwnNetns(request.netns.clone()));
        }
        endpoint.netns_id = Some(netns.id());
        endpoint.sizes = link.sizes.for_endpoint(&network);

        let id = EndpointId::from_random([a, b, c, d, e, f]);
        places.add_endpoint(&id, &endpoint, &network);
        self.state.endpoints.insert(id.clone(), endpoint);
        Ok(id)
    }

    /// Removes an endpoint by its id or the beginning of it. Returns the whole id.
    ///
    /// # Errors
    ///
    /// When no endpoint, or more than one, has such an id.
    pub async fn remove_endpoint(&mut self, id: &str) -> Result<EndpointId, ControlError> {
        match self.remove_endpoints(&[id.to_owned()]).await {
            Ok(mut ids) => Ok(ids.remove(0)),
            Err(refused) => Err(refused.error),
        }
    }

    /// Removes endpoints, as one change. Returns the whole ids, in the order of the requests.
    ///
    /// # Errors
    ///
    /// As [`Vnet::remove_endpoint`]; then none is removed. When the kernel refuses: those that it has refused stay, and the
    /// next command tries again.
    pub async fn remove_endpoints(
        &mut self,
        requests: &[String],
    ) -> Result<Vec<EndpointId>, RefusedTogether> {
        let dockers = self.state.docker.endpoints.keys();
        let dockers: BTreeSet<_> = dockers.map(|id| id.endpoint_id()).collect();
        let mut ids = Vec::new();
        for (index, request) in requests.iter().enumerate() {
            let refused = RefusedTogether::at::<ControlError>;
            let id = self.endpoint_id(request).map_err(refused(index))?.clone();
            if dockers.contains(&id) {
                return Err(refused(index)(ControlError::DockersEndpoint(id)));
            }
            if ids.contains(&id) {
                return Err(refused(index)(ControlError::NoEndpoint(request.clone())));
            }
            ids.push(id);
        }
        // The container of one that was cleaned up took its link along, and `repair` has just done the rest.
        let known = ids.iter().filter(|id| !self.cleaned.contains(id));
        let known: Vec<_> = known.cloned().collect();
        self.take_endpoints(&known).await?;
        Ok(ids)
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
        let behind = self
            .state
            .endpoints
            .range::<str, _>((Bound::Included(id), Bound::Unbounded));
        let known = behind.map(|(known, _)| known);
        let known = known.take_while(|known| known.as_str().starts_with(id));
        let cleaned = self.cleaned.iter();
        let cleaned = cleaned.filter(|known| known.as_str().starts_with(id));
        let mut found = known.chain(cleaned).filter(|_| !id.is_empty());
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
        let places = Places::of(&self.state);
        check_sources(&network, &sources, Some(&id), &self.state, &places)?;
        let uplink = self.network(&network)?.uplink.clone();
        self.endpoint_mut(&id)?.sources = sources;
        self.state.unsettled.insert(uplink.clone());
        self.save()?;
        self.settle(&uplink).await?;
        Ok(id)
    }

    /// Makes what the state has of endpoints, or takes all of it back.
    pub(super) async fn set_up_endpoints(
        &mut self,
        ids: &[EndpointId],
        place: Place,
    ) -> Result<(), RefusedTogether> {
        self.hurry_for(ids.len())?;
        let result = self.try_set_up(ids, place).await;
        if result.is_err() {
            let undone = self.undo_endpoints(ids).await;
            self.note(undone);
        }
        let stopped = self.stop_hurrying();
        self.note(stopped);
        result
    }

    /// All of them take each step before one takes the next, so that maps and state are not written for each.
    async fn try_set_up(
        &mut self,
        ids: &[EndpointId],
        place: Place,
    ) -> Result<(), RefusedTogether> {
        let mut progress = Progress::new("links made", ids.len());
        for (index, id) in ids.iter().enumerate() {
            progress.tell(index);
            let made = self.make_link(id, place).await;
            made.map_err(RefusedTogether::at(index))?;
        }
        self.save()?;
        let uplinks = self.uplinks_of(ids);
        let mut running = BTreeSet::new();
        for uplink in &uplinks {
            match self.uplink_link(uplink).await {
                Ok(_) => _ = running.insert(uplink.as_str()),
                Err(error) if error.is_not_running() => {}
                Err(error) => return Err(error.into()),
            }
        }
        let names = self.netlink.list().await?;
        let names = names.into_iter().map(|link| (link.index, link.name));
        let names: BTreeMap<u32, String> = names.collect();
        let mut progress = Progress::new("programs attached", ids.len());
        for (index, id) in ids.iter().enumerate() {
            progress.tell(index);
            let started = self.start_endpoint(id, &running, &names).await;
            started.map_err(RefusedTogether::at(index))?;
        }
        self.settle_all(&uplinks).await?;
        if place == Place::Here {
            for id in ids {
                self.endpoint_mut(id)?.phase = Phase::Handed;
            }
            return Ok(self.save()?);
        }
        let mut progress = Progress::new("containers' ends brought up", ids.len());
        for (index, id) in ids.iter().enumerate() {
            progress.tell(index);
            let configured = self.configure_container(id).await;
            configured.map_err(RefusedTogether::at(index))?;
        }
        for id in ids {
            self.endpoint_mut(id)?.phase = Phase::Ready;
        }
        self.save()?;
        for uplink in &uplinks {
            // Their ends are up now, as XDP needs them.
            self.give_to_xdp(uplink).await?;
        }
        Ok(())
    }

    /// Makes an endpoint's link, which carries nothing yet.
    async fn make_link(&mut self, id: &EndpointId, place: Place) -> Result<(), ControlError> {
        let (_, endpoint) = self.endpoint(id.as_str())?;
        let uplink = &self.network(&endpoint.network)?.uplink;
        let netns = match place {
            Place::Container => container(endpoint)?,
            Place::Here => Netns::current()?,
        };
        let spec = PairSpec {
            device: self.uplink(uplink)?.endpoint_device,
            host_ifname: &id.host_ifname(),
            ifname: &endpoint.ifname,
            netns: &netns,
            mac: endpoint.mac.octets(),
            sizes: endpoint.sizes,
            alias: &format!("vnet {} {}", endpoint.network, endpoint.netns),
        };
        let host = self.netlink.create_pair(&spec).await?;
        self.endpoint_mut(id)?.host_ifindex = host.index;
        Ok(())
    }

    /// Gives the host side of an endpoint's link its program, and then brings it up.
    async fn start_endpoint(
        &mut self,
        id: &EndpointId,
        running: &BTreeSet<&str>,
        names: &BTreeMap<u32, String>,
    ) -> Result<(), ControlError> {
        let (_, endpoint) = self.endpoint(id.as_str())?;
        let uplink = &self.network(&endpoint.network)?.uplink;
        if !running.contains(uplink.as_str()) {
            // It gets its program with the uplink's, and its carrier after that.
            self.endpoint_mut(id)?.carrier_off = true;
            return Ok(());
        }
        // Somebody may have renamed it at once, as udev does.
        let host_ifname = id.host_ifname();
        let host = HostSide {
            ifname: names.get(&endpoint.host_ifindex).unwrap_or(&host_ifname),
            index: endpoint.host_ifindex,
            pin: &host_ifname,
        };
        let attached = self.uplink(uplink)?;
        let pins = self.pins(uplink);
        attach::endpoint(&pins, attached.endpoint_device, attached.hook, &host)?;
        Ok(self.netlink.set_up(host.index).await?)
    }

    /// Gives the container's end its programs, addresses and routes, and brings it up: last, since from here on the container
    /// speaks, and IPv6 asks whether its address is taken.
    async fn configure_container(&mut self, id: &EndpointId) -> Result<(), ControlError> {
        let (_, endpoint) = self.endpoint(id.as_str())?;
        let network = self.network(&endpoint.network)?;
        let (uplink, gateways) = (network.uplink.clone(), network.gateways.clone());
        self.hook_container(&uplink, id).await?;
        let (_, endpoint) = self.endpoint(id.as_str())?;
        Ok(container(endpoint)?.run(|| configure(endpoint, &gateways))?)
    }

    /// The uplinks that endpoints are on.
    fn uplinks_of(&self, ids: &[EndpointId]) -> BTreeSet<String> {
        let uplink = |id: &EndpointId| {
            let endpoint = self.state.endpoints.get(id)?;
            Some(self.state.networks.get(&endpoint.network)?.uplink.clone())
        };
        ids.iter().filter_map(uplink).collect()
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

    pub(super) fn endpoint_mut(&mut self, id: &EndpointId) -> Result<&mut Endpoint, ControlError> {
        let endpoint = self.state.endpoints.get_mut(id);
        endpoint.ok_or_else(|| ControlError::NoEndpoint(id.to_string()))
    }
}

/// The namespace that an endpoint was planned for. Not to be looked for elsewhere: when it is gone, another may get its number.
fn container(endpoint: &Endpoint) -> Result<Netns, LinkError> {
    let netns = Netns::open(&endpoint.netns)?;
    match endpoint.netns_id {
        Some(id) if id != netns.id() => Err(LinkError::OtherNetns {
            name: endpoint.netns.clone(),
        }),
        _ => Ok(netns),
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
