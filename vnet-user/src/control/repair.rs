//! Mends what a killed command, a dead container or a reboot left behind.

use std::fs;

use super::{ControlError, Vnet};
use crate::{
    datapath::Maps,
    model::{EndpointId, state::Phase},
};

impl Vnet {
    /// Undoes what was begun and completes what was to be removed.
    pub(super) async fn repair(&mut self) -> Result<(), ControlError> {
        self.forget_other_boots()?;
        for id in self.broken_endpoints().await? {
            self.tear_down_endpoint(&id).await?;
            self.cleaned.push(id);
        }
        let uplinks = self.state.uplinks.iter();
        let broken = uplinks.filter(|(_, uplink)| uplink.phase != Phase::Ready);
        let broken: Vec<_> = broken.map(|(name, _)| name.clone()).collect();
        for uplink in broken {
            self.tear_down_uplink(&uplink).await?;
        }
        for uplink in self.state.unsettled.clone() {
            self.settle(&uplink).await?;
        }
        Ok(())
    }

    /// Brings an uplink's maps and NIC to what its networks and endpoints need. An uplink that is
    /// not there gets it when it is attached.
    pub(super) async fn settle(&mut self, uplink: &str) -> Result<(), ControlError> {
        if self.uplink_link(uplink).await.is_ok() {
            let segments = self.state.segments_on(uplink);
            Maps::open(&self.pins(uplink))?.set_segments(&segments)?;
            self.apply_nic(uplink).await?;
        }
        self.state.unsettled.remove(uplink);
        self.save()
    }

    /// Links, maps and settings of another boot are gone; networks are what the user wants.
    fn forget_other_boots(&mut self) -> Result<(), ControlError> {
        let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id");
        let boot_id = boot_id.map_err(|source| ControlError::Io {
            what: "read the kernel's boot id",
            source,
        })?;
        let boot_id = boot_id.trim();
        if self.state.boot_id != boot_id {
            if !self.state.boot_id.is_empty() {
                self.state.uplinks.clear();
                self.state.endpoints.clear();
            }
            self.state.boot_id = boot_id.to_owned();
        }
        Ok(())
    }

    /// Endpoints that are not whole: a killed command's, or those whose container took the link
    /// along when its namespace went.
    async fn broken_endpoints(&self) -> Result<Vec<EndpointId>, ControlError> {
        let mut broken = Vec::new();
        for (id, endpoint) in &self.state.endpoints {
            let host = self.netlink.find(&id.host_ifname()).await?;
            let whole = endpoint.phase == Phase::Ready
                && host.is_some_and(|host| host.index == endpoint.host_ifindex);
            if !whole {
                broken.push(id.clone());
            }
        }
        Ok(broken)
    }
}
