//! An endpoint's link: a pair of interfaces, one end on the host, one in the container.

use netlink_packet_route::link::{
    AfSpecInet6, AfSpecUnspec, In6AddrGenMode, InfoData, InfoKind, InfoNetkit, InfoVeth,
    LinkAttribute, LinkMessage, NetkitMode, NetkitPolicy,
};
use rtnetlink::{LinkMessageBuilder, LinkUnspec};
use vnet_common::Mac;

use super::{
    error::{LinkError, allow},
    netlink::{Link, Netlink, with_sizes},
    netns::Netns,
    sysctl,
};
use crate::model::{Sizes, state::EndpointDevice};

/// The pair to make.
pub struct PairSpec<'a> {
    pub device: EndpointDevice,
    pub host_ifname: &'a str,
    /// The container's end.
    pub ifname: &'a str,
    /// Where the container's end is made.
    pub netns: &'a Netns,
    pub mac: Mac,
    /// Of both ends: the uplink's, so that a GSO frame that the container makes leaves whole.
    pub sizes: Sizes,
    /// What `ip link` shows beside the host side.
    pub alias: &'a str,
}

impl Netlink {
    /// Makes the pair, the container's end in its namespace from the start. Both ends are down.
    ///
    /// # Errors
    ///
    /// [`LinkError::IfnameTaken`] where the container has the name; otherwise what the kernel says.
    pub async fn create_pair(&self, spec: &PairSpec<'_>) -> Result<Link, LinkError> {
        let what = format!("create {} pair {:?}", spec.device.name(), spec.host_ifname);
        let request = self.handle.link().add(spec.message());
        let result = request.execute().await;
        if let Err(error) = result.map_err(|error| LinkError::netlink(what, &error)) {
            return Err(match error.errno() {
                Some(libc::EEXIST) => LinkError::IfnameTaken {
                    netns: spec.netns.name().to_owned(),
                    ifname: spec.ifname.to_owned(),
                },
                _ => error,
            });
        }
        let host = self.link(spec.host_ifname).await?;
        self.silence(&host, spec.alias).await?;
        Ok(host)
    }

    /// The host's own stack must say nothing on the host side: no IPv6 address, so no neighbour
    /// discovery, router solicitations or MLD into the container. Nor may it listen, should the program be gone.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub async fn silence(&self, host: &Link, alias: &str) -> Result<(), LinkError> {
        let inet6 = AfSpecUnspec::Inet6(vec![AfSpecInet6::AddrGenMode(In6AddrGenMode::None)]);
        let no_ipv6 = LinkUnspec::new_with_index(host.index)
            .append_extra_attribute(LinkAttribute::AfSpecUnspec(vec![inet6]))
            .build();
        let what = format!("turn IPv6 off on {:?}", host.name);
        // A kernel without IPv6 has nothing to turn off.
        allow(self.change(no_ipv6, what).await, &[libc::EAFNOSUPPORT])?;
        let quiet = LinkUnspec::new_with_index(host.index)
            .arp(false)
            .multicast(false)
            .alias(truncated(alias))
            .build();
        self.change(quiet, format!("set up {:?}", host.name))
            .await?;
        sysctl::close_to_host(&host.name)
    }
}

/// `IFALIASZ` of `include/uapi/linux/if.h`, without its NUL.
const ALIAS_MAX: usize = 255;

/// As much of an alias as the kernel takes.
fn truncated(alias: &str) -> &str {
    &alias[..alias.floor_char_boundary(ALIAS_MAX)]
}

impl PairSpec<'_> {
    fn message(&self) -> LinkMessage {
        let peer = self
            .end(LinkMessageBuilder::<LinkUnspec>::new(), self.ifname)
            .address(self.mac.to_vec())
            .setns_by_fd(self.netns.raw_fd())
            .build();
        let (kind, data) = match self.device {
            EndpointDevice::Veth => (InfoKind::Veth, InfoData::Veth(InfoVeth::Peer(peer))),
            EndpointDevice::Netkit => (InfoKind::Netkit, netkit(peer)),
        };
        let host = LinkMessageBuilder::<LinkUnspec>::new_with_info_kind(kind).set_info_data(data);
        self.end(host, self.host_ifname).build()
    }

    fn end(
        &self,
        end: LinkMessageBuilder<LinkUnspec>,
        name: &str,
    ) -> LinkMessageBuilder<LinkUnspec> {
        with_sizes(end.name(name.to_owned()), self.sizes)
    }
}

/// Layer 2, and nothing leaves the container before its program is attached.
fn netkit(peer: LinkMessage) -> InfoData {
    InfoData::Netkit(vec![
        InfoNetkit::Mode(NetkitMode::L2),
        InfoNetkit::Policy(NetkitPolicy::Pass),
        InfoNetkit::PeerPolicy(NetkitPolicy::Drop),
        InfoNetkit::Peer(peer),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_alias_is_cut_between_characters() {
        assert_eq!(truncated("vnet web c1"), "vnet web c1");
        let long = "ü".repeat(200);
        assert_eq!(truncated(&long).len(), 254);
    }
}
