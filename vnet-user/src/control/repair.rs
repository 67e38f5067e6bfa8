//! Mends what a killed command, a dead container or a reboot left behind.

use std::{collections::BTreeMap, fs};

use super::{ControlError, Vnet};
use crate::{
    datapath::Maps,
    error::one_line,
    link::{Link, Netns},
    model::{Endpoint, EndpointId, Rows, state::Phase},
};

impl Vnet {
    /// Undoes what was begun, completes what was to be removed, and follows what changed outside. What fails is a notice,
    /// and is tried again by the next command: a command that only looks must not fail for it.
    pub(super) async fn repair(&mut self) -> Result<(), ControlError> {
        let stopped = self.stop_hurrying();
        self.note(stopped);
        let links = self.netlink.list().await?;
        self.follow_names(&links);
        let broken = self.broken_endpoints(&links);
        // Docker may have given up saying that they are gone.
        let left = |id: &EndpointId| broken.get(id) == Some(&true);
        let kept = &mut self.state.docker.endpoints;
        kept.retain(|docker_id, _| !left(&docker_id.endpoint_id()));
        let broken: Vec<_> = broken.into_keys().collect();
        let done = self.tear_down_endpoints(&broken).await;
        self.note(done);
        let known = &self.state.endpoints;
        let cleaned = broken.into_iter().filter(|id| !known.contains_key(id));
        self.cleaned.extend(cleaned);
        for uplink in self.broken_uplinks() {
            let done = self.undo_uplink(&uplink).await;
            self.note(done);
        }
        let done = self.mend_docker().await;
        self.note(done);
        for uplink in self.state.unsettled.clone() {
            let done = self.settle(&uplink).await;
            self.note(done);
        }
        self.follow_joins(&links).await;
        self.follow_ports(&links).await;
        self.follow_macs(&links).await;
        self.follow_sizes(&links).await;
        self.follow_carriers(&links).await;
        self.follow_dormancy(&links).await;
        self.follow_hosts(&links).await;
        Ok(())
    }

    /// Turns a failure that must not stop the command into a notice.
    pub(super) fn note<T>(&mut self, result: Result<T, ControlError>) -> Option<T> {
        result
            .map_err(|error| self.troubles.push(one_line(&error)))
            .ok()
    }

    /// Brings an uplink's maps, programs and NIC to what its networks and endpoints need. An uplink that is
    /// not there gets it when it is attached.
    pub(super) async fn settle(&mut self, uplink: &str) -> Result<(), ControlError> {
        match self.uplink_link(uplink).await {
            Ok(link) => {
                self.open_to_xdp(uplink).await?;
                self.follow_host(&link).await?;
                let rows = Rows::wanted(&self.state, uplink);
                Maps::open(&self.pins(uplink))?.reconcile(&rows)?;
                self.fit_variant(&link).await?;
                self.hook_containers(uplink).await?;
                self.apply_nic(uplink).await?;
                self.close_to_xdp(uplink).await?;
            }
            Err(error) if error.is_not_running() => {}
            Err(error) => return Err(error),
        }
        self.state.unsettled.remove(uplink);
        self.save()
    }

    /// The same for several uplinks, of which those behind one that fails stay unsettled.
    pub(super) async fn settle_all<'a>(
        &mut self,
        uplinks: impl IntoIterator<Item = &'a String>,
    ) -> Result<(), ControlError> {
        for uplink in uplinks {
            self.settle(uplink).await?;
        }
        Ok(())
    }

    /// Links, maps and settings of another boot are gone; networks are what the user wants.
    pub(super) fn forget_other_boots(&mut self) -> Result<(), ControlError> {
        let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id");
        let boot_id = boot_id.map_err(|source| ControlError::Io {
            what: "read the kernel's boot id",
            source,
        })?;
        let boot_id = boot_id.trim();
        if self.state.boot_id != boot_id {
            if !self.state.boot_id.is_empty() {
                self.state.endpoints.clear();
                self.expect_dockers_uplinks();
                // Namespaces have other numbers in each boot.
                self.state.netns = None;
                self.state.hurries = false;
            }
            self.state.boot_id = boot_id.to_owned();
        }
        Ok(())
    }

    /// Endpoints that are not whole: a killed command's, or, with true, those whose container is gone and took the link along,
    /// or that Docker has taken out of their container.
    fn broken_endpoints(&self, links: &[Link]) -> BTreeMap<EndpointId, bool> {
        let host_sides = links.iter().filter(|link| link.is_endpoint_side());
        let there: BTreeMap<u32, &Link> = host_sides.map(|link| (link.index, link)).collect();
        let endpoints = self.state.endpoints.iter();
        let broken = endpoints.filter_map(|(id, endpoint)| {
            let host = there.get(&endpoint.host_ifindex);
            let left = match (endpoint.phase, host) {
                (Phase::Adding | Phase::Removing, _) => return Some((id.clone(), false)),
                (Phase::Ready | Phase::Handed, None) => true,
                (Phase::Handed, Some(_)) => is_container_gone(endpoint),
                // Docker puts its end back here, under the name that it had, before it says that the container leaves.
                (Phase::Ready, Some(host)) => is_taken_back(id, host, links),
            };
            left.then(|| (id.clone(), true))
        });
        broken.collect()
    }

    /// Uplinks of a killed command. One that has endpoints is never taken down for that: the next attach gives them
    /// their datapath again.
    fn broken_uplinks(&self) -> Vec<String> {
        let uplinks = self.state.uplinks.iter();
        let broken = uplinks.filter(|(name, uplink)| {
            uplink.phase != Phase::Ready && self.state.endpoints_on(name).next().is_none()
        });
        broken.map(|(name, _)| name.clone()).collect()
    }
}

/// The namespace that Docker was to move it into. One that could not be opened from here is not known to be gone.
fn is_container_gone(endpoint: &Endpoint) -> bool {
    let found = endpoint.netns_id.map(|id| Netns::find(&endpoint.netns, id));
    matches!(found, Some(Err(error)) if error.is_lost_netns())
}

fn is_taken_back(id: &EndpointId, host: &Link, links: &[Link]) -> bool {
    let unmoved = id.unmoved_ifname();
    let is_its_end = |link: &&Link| Some(link.index) == host.peer_index && link.name == unmoved;
    !host.peer_is_elsewhere && links.iter().any(|link| is_its_end(&link))
}
