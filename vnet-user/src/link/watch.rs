//! What the kernel tells of interfaces that change.

use std::pin::Pin;

use futures_util::{Stream, StreamExt};
use netlink_packet_route::{
    RouteNetlinkMessage,
    link::{LinkAttribute, LinkEvent, LinkMessage},
};
use rtnetlink::{MulticastGroup, packet_core::NetlinkPayload};

use super::error::LinkError;

/// Changes of the interfaces of the namespace where it was opened, from then on.
pub struct LinkChanges {
    messages: Pin<Box<dyn Stream<Item = LinkChange>>>,
}

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkChange {
    /// Neighbours are to be told again by whom an interface is reached (`NETDEV_NOTIFY_PEERS`): a bond sends by another
    /// port, a virtual machine was moved.
    NotifyPeers(u32),
    /// A bond sends by another port (`NETDEV_BONDING_FAILOVER`).
    Failover(u32),
    /// Anything else, and what is not known for want of room in the socket.
    Other,
}

impl LinkChanges {
    /// Begins to listen; must run within a tokio runtime.
    ///
    /// # Errors
    ///
    /// When the kernel gives no netlink socket.
    pub fn listen() -> Result<Self, LinkError> {
        let (connection, _, messages) =
            rtnetlink::new_multicast_connection(&[MulticastGroup::Link])
                .map_err(LinkError::Open)?;
        tokio::spawn(connection);
        let changes = messages.map(|(message, _)| match message.payload {
            NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(link)) => {
                LinkChange::of(&link)
            }
            _ => LinkChange::Other,
        });
        Ok(Self {
            messages: Box::pin(changes),
        })
    }

    /// Waits for the next.
    ///
    /// # Errors
    ///
    /// [`LinkError::WatchEnded`] when there will be none any more.
    pub async fn next(&mut self) -> Result<LinkChange, LinkError> {
        self.messages.next().await.ok_or(LinkError::WatchEnded)
    }
}

impl LinkChange {
    /// `rtnl_get_event` of `net/core/rtnetlink.c`.
    fn of(link: &LinkMessage) -> Self {
        let index = link.header.index;
        let event = link
            .attributes
            .iter()
            .find_map(|attribute| match attribute {
                LinkAttribute::Event(event) => Some(*event),
                _ => None,
            });
        match event {
            Some(LinkEvent::NotifyPeers) => Self::NotifyPeers(index),
            Some(LinkEvent::BondingFailover) => Self::Failover(index),
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_by_their_attribute() {
        let change = |event: Option<LinkEvent>| {
            let mut message = LinkMessage::default();
            message.header.index = 7;
            message.attributes.extend(event.map(LinkAttribute::Event));
            LinkChange::of(&message)
        };
        assert_eq!(
            change(Some(LinkEvent::NotifyPeers)),
            LinkChange::NotifyPeers(7)
        );
        assert_eq!(
            change(Some(LinkEvent::BondingFailover)),
            LinkChange::Failover(7)
        );
        assert_eq!(change(Some(LinkEvent::Features)), LinkChange::Other);
        assert_eq!(change(None), LinkChange::Other);
    }
}
