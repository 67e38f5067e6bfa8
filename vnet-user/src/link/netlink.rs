//! A netlink connection to the namespace of the thread that opened it.

use futures_util::TryStreamExt;
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkInfo, LinkLayerType, LinkMessage};
use rtnetlink::{Handle, LinkUnspec};
use vnet_common::Mac;

use super::error::{LinkError, allow};

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
    /// Ethernet, and neither loopback nor a tunnel.
    pub is_ethernet: bool,
    pub mac: Mac,
    /// Bytes.
    pub mtu: u32,
    /// Bytes.
    pub gso_max_size: Option<u32>,
    pub gso_max_segs: Option<u32>,
    /// The flag that a user sets, not the count behind it that `tcpdump` raises too.
    pub promiscuous: bool,
    /// The flag that a user sets.
    pub allmulticast: bool,
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

    /// The interface of a name, if there is one.
    pub async fn find(&self, name: &str) -> Result<Option<Link>, LinkError> {
        if name.is_empty() || name.len() > 15 {
            // The kernel's own answer to an over-long name is an unhelpful "out of range".
            return Ok(None);
        }
        let request = self.handle.link().get().match_name(name.to_owned());
        match request.execute().try_next().await {
            Ok(message) => Ok(message.map(|message| Link::read(&message))),
            Err(error) => {
                let error = LinkError::netlink(format!("look up interface {name:?}"), &error);
                match error.errno() {
                    Some(libc::ENODEV) => Ok(None),
                    _ => Err(error),
                }
            }
        }
    }

    /// The interface of an index, if there is one.
    pub async fn find_index(&self, index: u32) -> Result<Option<Link>, LinkError> {
        let request = self.handle.link().get().match_index(index);
        match request.execute().try_next().await {
            Ok(message) => Ok(message.map(|message| Link::read(&message))),
            Err(error) => {
                let error = LinkError::netlink(format!("look up interface {index}"), &error);
                match error.errno() {
                    Some(libc::ENODEV) => Ok(None),
                    _ => Err(error),
                }
            }
        }
    }

    /// Deletes an interface, and with it the other end of a pair. One that is gone is fine.
    pub async fn delete(&self, index: u32) -> Result<(), LinkError> {
        let result = self.handle.link().del(index).execute().await;
        let result =
            result.map_err(|e| LinkError::netlink(format!("delete interface {index}"), &e));
        allow(result, &[libc::ENODEV])
    }

    /// Brings an interface up.
    pub async fn set_up(&self, index: u32) -> Result<(), LinkError> {
        let message = LinkUnspec::new_with_index(index).up().build();
        self.change(message, format!("bring interface {index} up"))
            .await
    }

    pub(super) async fn change(&self, message: LinkMessage, what: String) -> Result<(), LinkError> {
        let result = self.handle.link().change(message).execute().await;
        result.map_err(|error| LinkError::netlink(what, &error))
    }
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
            mtu: 0,
            gso_max_size: None,
            gso_max_segs: None,
            promiscuous: flags.contains(LinkFlags::Promisc),
            allmulticast: flags.contains(LinkFlags::Allmulti),
        };
        for attribute in &message.attributes {
            match attribute {
                LinkAttribute::IfName(name) => link.name.clone_from(name),
                LinkAttribute::Address(address) => {
                    link.mac = address.as_slice().try_into().unwrap_or_default();
                }
                LinkAttribute::LinkInfo(infos) => {
                    link.kind = infos.iter().find_map(|info| match info {
                        LinkInfo::Kind(kind) => Some(kind.to_string()),
                        _ => None,
                    });
                }
                LinkAttribute::Mtu(mtu) => link.mtu = *mtu,
                LinkAttribute::GsoMaxSize(bytes) => link.gso_max_size = Some(*bytes),
                LinkAttribute::GsoMaxSegs(segments) => link.gso_max_segs = Some(*segments),
                _ => {}
            }
        }
        link
    }
}
