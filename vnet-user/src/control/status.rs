//! What there is, with the datapath's own counts: for people, and as JSON.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use ipnet::IpNet;
use serde::Serialize;

use super::{ControlError, Vnet};
use crate::{
    datapath::Maps,
    model::{
        EgressMap, Endpoint, EndpointId, Guard, IngressMap, MacAddr, Mode, Network, Segment,
        Traffic, Variant, xdp::Xdp,
    },
};

/// One uplink with all that is on it.
#[derive(Debug, Serialize)]
pub struct UplinkStatus {
    pub name: String,
    pub ifindex: u32,
    /// `running`, or what is wrong.
    pub datapath: DatapathStatus,
    pub hook: &'static str,
    pub endpoint_device: &'static str,
    /// The features that the programs were loaded with.
    pub variant: Variant,
    /// What vnet changed on the NIC, and undoes on detach.
    pub nic: crate::model::nic::NicChanges,
    /// XDP, where it was asked for.
    pub xdp: Option<Xdp>,
    pub networks: Vec<NetworkStatus>,
    pub endpoints: Vec<EndpointStatus>,
    /// Frames that were not delivered, by reason.
    pub reasons: BTreeMap<&'static str, u64>,
}

/// Whether an uplink's datapath runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DatapathStatus {
    Running,
    /// The interface is gone.
    NoInterface,
    /// The pins are gone.
    NoPrograms,
    /// The maps are of another vnet version.
    OtherVersion,
}

impl DatapathStatus {
    /// In words, with what helps.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::NoInterface => "INTERFACE GONE: attach again once it is back",
            Self::NoPrograms => "DATAPATH GONE: attach again to bring it back",
            Self::OtherVersion => "of another vnet version: attach again to go over to this one",
        }
    }
}

/// One network.
#[derive(Debug, Serialize)]
pub struct NetworkStatus {
    pub name: String,
    pub parent: String,
    #[serde(flatten)]
    pub segment: Segment,
    pub mode: Mode,
    pub guard: Guard,
    pub allowed_macs: BTreeSet<MacAddr>,
    pub nodst: bool,
    pub multicast_snooping: bool,
    pub ingress_qos_map: IngressMap,
    pub egress_qos_map: EgressMap,
    pub subnets: Vec<IpNet>,
    pub gateways: Vec<IpAddr>,
    pub mtu: Option<u32>,
    /// False while its uplink is not attached.
    pub attached: bool,
    /// How many endpoints it has.
    pub endpoints: usize,
}

/// One endpoint, with its counters.
#[derive(Debug, Serialize)]
pub struct EndpointStatus {
    pub id: EndpointId,
    pub network: String,
    pub parent: String,
    #[serde(flatten)]
    pub segment: Segment,
    pub mode: Mode,
    pub mac: MacAddr,
    /// In source mode: the addresses that it hears.
    pub sources: BTreeSet<MacAddr>,
    pub addresses: Vec<IpNet>,
    /// Bytes, as vnet has set it.
    pub mtu: u32,
    pub netns: String,
    pub ifname: String,
    pub host_ifname: String,
    pub host_ifindex: u32,
    #[serde(flatten)]
    pub traffic: Traffic,
}

impl Vnet {
    /// All uplinks, or the one of a name.
    ///
    /// # Errors
    ///
    /// When `iface` is not attached, or the maps can't be read.
    pub async fn uplink_status(
        &self,
        iface: Option<&str>,
    ) -> Result<Vec<UplinkStatus>, ControlError> {
        let mut found = Vec::new();
        for name in self.uplinks_asked_for(iface).await? {
            let uplink = self.uplink(&name)?;
            found.push(UplinkStatus {
                ifindex: uplink.ifindex,
                datapath: self.datapath_status(&name).await?,
                hook: uplink.hook.name(),
                endpoint_device: uplink.endpoint_device.name(),
                variant: uplink.variant,
                nic: uplink.nic.clone(),
                xdp: uplink.xdp.clone(),
                networks: self.networks_where(|_, network| network.uplink == name),
                endpoints: self.endpoints_where(|_, _, network| network.uplink == name)?,
                reasons: match self.maps(&name)? {
                    Some(maps) => maps.reasons()?,
                    None => BTreeMap::new(),
                },
                name,
            });
        }
        Ok(found)
    }

    async fn datapath_status(&self, iface: &str) -> Result<DatapathStatus, ControlError> {
        match self.uplink_link(iface).await {
            Ok(_) => Ok(DatapathStatus::Running),
            Err(ControlError::UplinkGone { .. }) => Ok(DatapathStatus::NoInterface),
            Err(ControlError::DatapathGone { .. }) => Ok(DatapathStatus::NoPrograms),
            Err(ControlError::OtherLayout { .. }) => Ok(DatapathStatus::OtherVersion),
            Err(error) => Err(error),
        }
    }

    /// All networks.
    pub fn network_status(&self) -> Vec<NetworkStatus> {
        self.networks_where(|_, _| true)
    }

    /// Those of these names.
    pub fn networks_named(&self, names: &BTreeSet<&str>) -> Vec<NetworkStatus> {
        self.networks_where(|name, _| names.contains(name))
    }

    /// The endpoints of these ids.
    ///
    /// # Errors
    ///
    /// When the maps can't be read.
    pub fn endpoints_of_ids(
        &self,
        ids: &BTreeSet<&EndpointId>,
    ) -> Result<Vec<EndpointStatus>, ControlError> {
        self.endpoints_where(|id, _, _| ids.contains(id))
    }

    /// All endpoints, or those of one network.
    ///
    /// # Errors
    ///
    /// When there is no such network, or the maps can't be read.
    pub fn endpoint_status(
        &self,
        network: Option<&str>,
    ) -> Result<Vec<EndpointStatus>, ControlError> {
        if let Some(name) = network {
            self.network(name)?;
        }
        self.endpoints_where(|_, endpoint, _| network.is_none_or(|name| endpoint.network == name))
    }

    fn networks_where(&self, wanted: impl Fn(&str, &Network) -> bool) -> Vec<NetworkStatus> {
        let mut endpoints: BTreeMap<&str, usize> = BTreeMap::new();
        for endpoint in self.state.endpoints.values() {
            *endpoints.entry(&endpoint.network).or_default() += 1;
        }
        let networks = self
            .state
            .networks
            .iter()
            .filter(|(name, network)| wanted(name, network));
        networks
            .map(|(name, network)| NetworkStatus {
                name: name.clone(),
                parent: network.uplink.clone(),
                segment: network.segment,
                mode: network.mode,
                guard: network.guard,
                allowed_macs: network.allowed_macs.clone(),
                nodst: network.nodst,
                multicast_snooping: network.multicast_snooping,
                ingress_qos_map: network.ingress_qos_map.clone(),
                egress_qos_map: network.egress_qos_map.clone(),
                subnets: network.subnets.clone(),
                gateways: network.gateways.clone(),
                mtu: network.mtu,
                attached: self.state.uplinks.contains_key(&network.uplink),
                endpoints: endpoints.get(name.as_str()).copied().unwrap_or(0),
            })
            .collect()
    }

    fn endpoints_where(
        &self,
        wanted: impl Fn(&EndpointId, &Endpoint, &Network) -> bool,
    ) -> Result<Vec<EndpointStatus>, ControlError> {
        let mut maps = BTreeMap::new();
        let mut found = Vec::new();
        for (id, endpoint) in &self.state.endpoints {
            let network = self.network(&endpoint.network)?;
            if !wanted(id, endpoint, network) {
                continue;
            }
            if !maps.contains_key(&network.uplink) {
                maps.insert(network.uplink.clone(), self.maps(&network.uplink)?);
            }
            let traffic = match maps.get(&network.uplink) {
                Some(Some(maps)) => maps.counters(endpoint.number)?,
                _ => Traffic::default(),
            };
            found.push(EndpointStatus {
                id: id.clone(),
                network: endpoint.network.clone(),
                parent: network.uplink.clone(),
                segment: network.segment,
                mode: network.mode,
                mac: endpoint.mac,
                sources: endpoint.sources.clone(),
                addresses: endpoint.addresses.clone(),
                mtu: endpoint.sizes.mtu,
                netns: endpoint.netns.clone(),
                ifname: endpoint.ifname.clone(),
                host_ifname: id.host_ifname(),
                host_ifindex: endpoint.host_ifindex,
                traffic,
            });
        }
        Ok(found)
    }

    /// An uplink's maps, if there are any that this build can read.
    pub(super) fn maps(&self, uplink: &str) -> Result<Option<Maps>, ControlError> {
        let pins = self.pins(uplink);
        let known = self.state.uplinks.get(uplink);
        match known.is_some_and(|known| known.layout == vnet_common::LAYOUT) && pins.complete() {
            true => Ok(Some(Maps::open(&pins)?)),
            false => Ok(None),
        }
    }
}
