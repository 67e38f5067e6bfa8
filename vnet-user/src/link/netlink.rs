//! A netlink connection to the namespace of the thread that opened it.

use std::{collections::BTreeSet, pin::pin};

use futures_util::TryStreamExt;
use netlink_packet_route::link::{
    InfoBond, InfoBridge, InfoData, InfoVlan, LinkAttribute, LinkFlags, LinkInfo, LinkLayerType,
    LinkMessage, LinkMode, LinkXdp, Prop, State,
};
use rtnetlink::{Handle, LinkDelRequest, LinkGetRequest, LinkMessageBuilder, LinkUnspec};
use vnet_common::Mac;

use super::error::{LinkError, allow};
use crate::model::{MacAddr, Sizes, state::EndpointDevice};

/// A netlink connection. It stays in the namespace where it was opened.
pub struct Netlink {
    pub(super) handle: Handle,
}

/// What vnet reads of an interface.
#[derive(Clone, Debug)]
pub struct Link {
    pub index: u32,
    pub name: String,
    /// The driver's kind, such as `veth`; physical NICs have none.
    pub kind: Option<String>,
    /// `ARPHRD_ETHER`, as NICs, bonds, veth and VLAN devices are, and some tunnels.
    pub is_ethernet: bool,
    pub mac: Mac,
    pub sizes: Sizes,
    /// Frames that it could not send.
    pub tx_dropped: u64,
    /// The other end of a pair, counted in the namespace where that is; of a VLAN device the one below.
    pub peer_index: Option<u32>,
    /// The other end is in another namespace.
    #[doc(alias = "IFLA_LINK_NETNSID")]
    pub peer_is_elsewhere: bool,
    /// Administratively up.
    pub up: bool,
    /// Up, and with a carrier below.
    #[doc(alias = "IFF_LOWER_UP")]
    pub has_carrier: bool,
    /// Has a carrier, and waits for something else before it works, such as authentication (RFC 2863, section 3.1.12).
    #[doc(alias = "IF_OPER_DORMANT")]
    pub dormant: bool,
    /// Up, with a carrier, and the kernel has set it to work.
    pub running: bool,
    /// The port that a bond sends by, in the modes that have one.
    pub active_port: Option<u32>,
    /// The bridge, bond or VRF that it is a port of.
    pub master: Option<u32>,
    /// The VLAN id of a VLAN device.
    pub vlan: Option<u16>,
    /// The tag protocol identifier of a VLAN device, or of a bridge that filters VLANs; 0 for others.
    pub vlan_protocol: u16,
    /// A bridge that looks at tags (`vlan_filtering 1`).
    pub filters_vlans: bool,
    /// The flag that a user sets, not the count behind it that `tcpdump` raises too.
    pub promiscuous: bool,
    /// How many hold promiscuous mode: the flag, `tcpdump`, a bridge, macvlans.
    pub promiscuity: u32,
    /// The flag that a user sets.
    pub allmulticast: bool,
    /// The id of its XDP program.
    pub xdp_program: Option<u32>,
}

impl Netlink {
    /// Opens a connection; must run within a tokio runtime, which drives it.
    ///
    /// # Errors
    ///
    /// When the kernel gives no netlink socket.
    pub fn open() -> Result<Self, LinkError> {
        let (connection, handle, _) = rtnetlink::new_connection().map_err(LinkError::Open)?;
        tokio::spawn(connection);
        Ok(Self { handle })
    }

    /// The interface of a name.
    ///
    /// # Errors
    ///
    /// [`LinkError::NoLink`] when there is none.
    pub async fn link(&self, name: &str) -> Result<Link, LinkError> {
        self.find(name)
            .await?
            .ok_or_else(|| LinkError::NoLink(name.to_owned()))
    }

    /// The interface of a name or an alternative name, if there is one.
    pub async fn find(&self, name: &str) -> Result<Option<Link>, LinkError> {
        if name.is_empty() {
            return Ok(None);
        }
        if name.len() >= libc::IFNAMSIZ {
            return self.find_long(name).await;
        }
        let request = self.handle.link().get().match_name(name.to_owned());
        one(request, format!("look up interface {name:?}")).await
    }

    /// All interfaces of the namespace.
    pub async fn list(&self) -> Result<Vec<Link>, LinkError> {
        let messages = self.handle.link().get().execute();
        let links = messages.map_ok(|message| Link::read(&message));
        let links = links.try_collect().await;
        links.map_err(|error| LinkError::netlink("list the interfaces", &error))
    }

    /// Only an alternative name (`ip link property add dev … altname …`) is so long.
    async fn find_long(&self, name: &str) -> Result<Option<Link>, LinkError> {
        let mut links = pin!(self.handle.link().get().execute());
        let what = |error| LinkError::netlink("list the interfaces", &error);
        while let Some(message) = links.try_next().await.map_err(what)? {
            let properties = message
                .attributes
                .iter()
                .filter_map(|attribute| match attribute {
                    LinkAttribute::PropList(properties) => Some(properties),
                    _ => None,
                });
            let is_name = |property: &Prop| matches!(property, Prop::AltIfName(alt) if alt == name);
            if properties.flatten().any(is_name) {
                return Ok(Some(Link::read(&message)));
            }
        }
        Ok(None)
    }

    /// The interface of an index, if there is one. Index 0 is none.
    pub async fn find_index(&self, index: u32) -> Result<Option<Link>, LinkError> {
        if index == 0 {
            return Ok(None);
        }
        let request = self.handle.link().get().match_index(index);
        one(request, format!("look up interface {index}")).await
    }

    /// Deletes an interface, and with it the other end of a pair. One that is gone is fine.
    pub async fn delete(&self, index: u32) -> Result<(), LinkError> {
        let result = self.handle.link().del(index).execute().await;
        let result =
            result.map_err(|e| LinkError::netlink(format!("delete interface {index}"), &e));
        allow(result, &[libc::ENODEV])
    }

    /// Deletes several at once, as `ip link delete group` does: the kernel waits for each one that is deleted by itself. One
    /// that is gone is fine.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub async fn delete_all(&self, indices: &[u32]) -> Result<(), LinkError> {
        let what = || format!("delete {} interfaces", indices.len());
        let group = self.free_group().await?;
        for index in indices {
            let message = LinkUnspec::new_with_index(*index)
                .append_extra_attribute(LinkAttribute::Group(group))
                .build();
            allow(self.change(message, what()).await, &[libc::ENODEV])?;
        }
        let mut message = LinkMessage::default();
        message.attributes.push(LinkAttribute::Group(group));
        let request = LinkDelRequest::new_with_message(self.handle.clone(), message);
        let result = request.execute().await;
        let result = result.map_err(|error| LinkError::netlink(what(), &error));
        allow(result, &[libc::ENODEV])
    }

    /// A group that no interface of the namespace is in.
    async fn free_group(&self) -> Result<u32, LinkError> {
        let messages = self.handle.link().get().execute();
        let messages: Vec<LinkMessage> = messages
            .try_collect()
            .await
            .map_err(|error| LinkError::netlink("list the interfaces", &error))?;
        let attributes = messages.iter().flat_map(|message| &message.attributes);
        let taken: BTreeSet<u32> = attributes
            .filter_map(|attribute| match attribute {
                LinkAttribute::Group(group) => Some(*group),
                _ => None,
            })
            .collect();
        // Others count from the low end.
        let mut groups = (1..=u32::MAX).rev();
        Ok(groups
            .find(|group| !taken.contains(group))
            .unwrap_or(u32::MAX))
    }

    /// Sets what an interface takes in one frame.
    pub async fn set_sizes(&self, index: u32, sizes: Sizes) -> Result<(), LinkError> {
        let message = with_sizes(LinkUnspec::new_with_index(index), sizes).build();
        let what = format!("set the MTU of interface {index} to {}", sizes.mtu);
        self.change(message, what).await
    }

    /// Brings an interface up.
    pub async fn set_up(&self, index: u32) -> Result<(), LinkError> {
        let message = LinkUnspec::new_with_index(index).up().build();
        self.change(message, format!("bring interface {index} up"))
            .await
    }

    /// Takes an interface down.
    pub async fn set_down(&self, index: u32) -> Result<(), LinkError> {
        let message = LinkUnspec::new_with_index(index).down().build();
        self.change(message, format!("take interface {index} down"))
            .await
    }

    /// Makes an interface dormant for as long as it has a carrier, or lets it work (`ip link set … mode dormant state
    /// dormant`).
    pub async fn set_dormant(&self, index: u32, dormant: bool) -> Result<(), LinkError> {
        let (mode, state) = match dormant {
            true => (LinkMode::Dormant, State::Dormant),
            false => (LinkMode::Default, State::Up),
        };
        let message = LinkUnspec::new_with_index(index)
            .append_extra_attribute(LinkAttribute::Mode(mode))
            .append_extra_attribute(LinkAttribute::OperState(state))
            .build();
        let what = format!("set the state of interface {index} to {state}");
        self.change(message, what).await
    }

    /// Gives an interface another address, which it may have while it is up.
    pub async fn set_mac(&self, index: u32, mac: MacAddr) -> Result<(), LinkError> {
        let message = LinkUnspec::new_with_index(index)
            .address(mac.octets().to_vec())
            .build();
        let what = format!("set the MAC address of interface {index} to {mac}");
        self.change(message, what).await
    }

    pub(super) async fn change(&self, message: LinkMessage, what: String) -> Result<(), LinkError> {
        let result = self.handle.link().change(message).execute().await;
        result.map_err(|error| LinkError::netlink(what, &error))
    }
}

async fn one(request: LinkGetRequest, what: String) -> Result<Option<Link>, LinkError> {
    match request.execute().try_next().await {
        Ok(message) => Ok(message.map(|message| Link::read(&message))),
        Err(error) => match LinkError::netlink(what, &error) {
            error if error.errno() == Some(libc::ENODEV) => Ok(None),
            error => Err(error),
        },
    }
}

/// Adds a link's sizes to a message that makes or changes it.
pub(super) fn with_sizes(
    mut message: LinkMessageBuilder<LinkUnspec>,
    sizes: Sizes,
) -> LinkMessageBuilder<LinkUnspec> {
    let Sizes {
        mtu,
        gso_max_size,
        gso_max_segs,
    } = sizes;
    message = message.mtu(mtu);
    if let Some(bytes) = gso_max_size {
        message = message.append_extra_attribute(LinkAttribute::GsoMaxSize(bytes));
    }
    if let Some(segments) = gso_max_segs {
        message = message.append_extra_attribute(LinkAttribute::GsoMaxSegs(segments));
    }
    message
}

impl Link {
    fn read(message: &LinkMessage) -> Self {
        let flags = message.header.flags;
        let mut link = Self {
            index: message.header.index,
            name: String::new(),
            kind: None,
            is_ethernet: message.header.link_layer_type == LinkLayerType::Ether,
            mac: Mac::default(),
            sizes: Sizes::default(),
            tx_dropped: 0,
            peer_index: None,
            peer_is_elsewhere: false,
            up: flags.contains(LinkFlags::Up),
            has_carrier: flags.contains(LinkFlags::Up | LinkFlags::LowerUp),
            dormant: false,
            running: false,
            active_port: None,
            master: None,
            vlan: None,
            vlan_protocol: 0,
            filters_vlans: false,
            promiscuous: flags.contains(LinkFlags::Promisc),
            promiscuity: 0,
            allmulticast: flags.contains(LinkFlags::Allmulti),
            xdp_program: None,
        };
        for attribute in &message.attributes {
            match attribute {
                LinkAttribute::IfName(name) => link.name.clone_from(name),
                LinkAttribute::Address(address) => {
                    link.mac = address.as_slice().try_into().unwrap_or_default();
                }
                LinkAttribute::LinkInfo(infos) => {
                    link.read_info(infos);
                }
                LinkAttribute::Mtu(mtu) => link.sizes.mtu = *mtu,
                LinkAttribute::GsoMaxSize(bytes) => link.sizes.gso_max_size = Some(*bytes),
                LinkAttribute::GsoMaxSegs(segments) => link.sizes.gso_max_segs = Some(*segments),
                LinkAttribute::Stats64(stats) => link.tx_dropped = stats.tx_dropped,
                LinkAttribute::OperState(state) => {
                    link.dormant = *state == State::Dormant;
                    link.running = matches!(state, State::Up | State::Unknown | State::Dormant);
                }
                LinkAttribute::Controller(index) => link.master = Some(*index),
                LinkAttribute::Link(index) => link.peer_index = Some(*index),
                LinkAttribute::LinkNetNsId(_) => link.peer_is_elsewhere = true,
                LinkAttribute::Promiscuity(count) => link.promiscuity = *count,
                LinkAttribute::Xdp(xdp) => link.xdp_program = xdp.iter().find_map(program_id),
                _ => {}
            }
        }
        link
    }

    /// Of a kind that the host side of an endpoint's link has.
    pub fn is_endpoint_side(&self) -> bool {
        let device = self.kind.as_deref().and_then(EndpointDevice::from_name);
        device.is_some()
    }

    /// One end of a virtual cable.
    pub fn is_veth(&self) -> bool {
        self.kind.as_deref() == Some(EndpointDevice::Veth.name())
    }

    /// It sends by other interfaces.
    pub fn has_ports(&self) -> bool {
        matches!(self.kind.as_deref(), Some("bond" | "team"))
    }

    fn read_info(&mut self, infos: &[LinkInfo]) {
        for info in infos {
            match info {
                LinkInfo::Kind(kind) => self.kind = Some(kind.to_string()),
                LinkInfo::Data(InfoData::Vlan(data)) => {
                    for data in data {
                        match data {
                            InfoVlan::Id(id) => self.vlan = Some(*id),
                            InfoVlan::Protocol(protocol) => self.vlan_protocol = (*protocol).into(),
                            _ => {}
                        }
                    }
                }
                LinkInfo::Data(InfoData::Bridge(data)) => {
                    for data in data {
                        match data {
                            InfoBridge::VlanFiltering(on) => self.filters_vlans = *on,
                            InfoBridge::VlanProtocol(protocol) => {
                                self.vlan_protocol = (*protocol).into();
                            }
                            _ => {}
                        }
                    }
                }
                LinkInfo::Data(InfoData::Bond(data)) => {
                    self.active_port = data.iter().find_map(|data| match data {
                        InfoBond::ActivePort(index) => Some(*index),
                        _ => None,
                    });
                }
                _ => {}
            }
        }
    }
}

/// Of several programs (native and generic), any.
fn program_id(attribute: &LinkXdp) -> Option<u32> {
    match attribute {
        LinkXdp::ProgId(id)
        | LinkXdp::DrvProgId(id)
        | LinkXdp::SkbProgId(id)
        | LinkXdp::HwProgId(id) => Some(*id).filter(|id| *id != 0),
        _ => None,
    }
}
