//! The uplinks of Docker's networks: attached for them and detached after them; and, for a network without a parent, one of its
//! own that leads nowhere.

use std::collections::BTreeSet;

use vnet_common::Mac;

use crate::{
    control::{
        ControlError, Vnet,
        attach::{Asker, AttachOptions},
        xdp::XdpChoice,
    },
    link::{Link, Netns, pair::PairSpec},
    model::{Sizes, docker::DockerId, state::EndpointDevice},
};

/// The far end of an uplink that leads nowhere: nobody ever hears of it.
const FAR_MAC: Mac = [0x02, 0, 0, 0, 0, 0x01];

impl Vnet {
    /// A network's uplink, attached; `None` where its interface is not there, and is waited for.
    pub(super) async fn dockers_uplink(
        &mut self,
        network: &DockerId,
        uplink: &str,
    ) -> Result<Option<Link>, ControlError> {
        self.make_internal_uplink(network).await?;
        if self.netlink.find(uplink).await?.is_none() && self.state.uplinks.contains_key(uplink) {
            return Ok(None);
        }
        self.attach_for_docker(uplink).await?;
        self.uplink_link(uplink).await.map(Some)
    }

    /// Makes the uplinks of networks without a parent, where they are not there or have no carrier: after a boot they are
    /// gone. What fails with one is a notice: the others need not wait for it.
    pub(in crate::control) async fn make_internal_uplinks(&mut self) {
        for id in self
            .state
            .docker
            .networks
            .keys()
            .cloned()
            .collect::<Vec<_>>()
        {
            let made = self.make_internal_uplink(&id).await;
            self.note(made);
        }
    }

    /// The same of one network; nothing for one that has a parent.
    pub(super) async fn make_internal_uplink(
        &self,
        network: &DockerId,
    ) -> Result<(), ControlError> {
        let record = self.state.docker.networks.get(network);
        if !record.is_some_and(|record| record.internal) {
            return Ok(());
        }
        let [ifname, far] = network.internal_ifnames();
        let link = match self.netlink.find(&ifname).await? {
            Some(link) => link,
            None => {
                let spec = PairSpec {
                    device: EndpointDevice::Veth,
                    host_ifname: &ifname,
                    ifname: &far,
                    netns: &Netns::current()?,
                    mac: FAR_MAC,
                    sizes: Sizes::ETHERNET,
                    alias: "vnet: a Docker network without a parent",
                };
                self.netlink.create_pair(&spec).await?
            }
        };
        if link.has_carrier {
            return Ok(());
        }
        let far = self.netlink.link(&far).await?;
        self.netlink.silence(&far, "vnet: leads nowhere").await?;
        self.netlink.set_up(link.index).await?;
        Ok(self.netlink.set_up(far.index).await?)
    }

    pub(super) async fn delete_internal_uplink(
        &self,
        network: &DockerId,
    ) -> Result<(), ControlError> {
        let record = self.state.docker.networks.get(network);
        let [ifname, _] = network.internal_ifnames();
        if record.is_some_and(|record| record.internal)
            && let Some(link) = self.netlink.find(&ifname).await?
        {
            self.netlink.delete(link.index).await?;
        }
        Ok(())
    }

    /// After a boot: what Docker's networks are on is to be attached again as soon as it is there. Their containers are gone,
    /// and come back as others.
    pub(in crate::control) fn expect_dockers_uplinks(&mut self) {
        self.state.docker.endpoints.clear();
        let names: BTreeSet<_> = self.state.dockers_uplinks().map(str::to_owned).collect();
        let uplinks = std::mem::take(&mut self.state.uplinks).into_iter();
        self.state.uplinks = uplinks
            .filter(|(name, _)| names.contains(name))
            .map(|(name, uplink)| (name, uplink.expected()))
            .collect();
    }

    pub(super) async fn attach_for_docker(&mut self, uplink: &str) -> Result<(), ControlError> {
        let link = self.netlink.link(uplink).await?;
        if self.is_attached(&link).await? {
            return Ok(());
        }
        let first = AttachOptions {
            asker: Asker::Docker,
            endpoint_device: None,
            xdp: XdpChoice::Keep,
            log_level: log::LevelFilter::Off,
        };
        let known = self.state.uplinks.get(uplink);
        let options = known.map_or(first, AttachOptions::again);
        self.attach(uplink, options).await.map(drop)
    }

    /// Undoes what [`Vnet::attach_for_docker`] did, when it was for the last network.
    pub(super) async fn detach_for_docker(&mut self, uplink: &str) -> Result<(), ControlError> {
        let for_docker = self.uplink(uplink).is_ok_and(|known| known.for_docker);
        if !for_docker || self.state.networks_on(uplink).next().is_some() {
            return Ok(());
        }
        self.detach(uplink, false).await.map(drop)
    }
}
