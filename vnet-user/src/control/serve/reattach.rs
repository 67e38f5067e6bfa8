//! Uplinks that were gone and are back.

use std::collections::BTreeMap;

use crate::{
    control::{
        ControlError, Vnet,
        attach::{Asker, AttachOptions},
        xdp::XdpChoice,
    },
    model::state::Phase,
};

impl Vnet {
    /// Attaches uplinks again whose interface came back as another, or whose datapath is gone. One that is refused is
    /// `refused` until its interface is another one: each attempt changes interfaces itself. Returns those that are back.
    pub(super) async fn reattach(
        &mut self,
        refused: &mut BTreeMap<String, u32>,
    ) -> Result<Vec<String>, ControlError> {
        self.make_inner_uplinks().await;
        let links = self.netlink.list().await?;
        let mut back = Vec::new();
        for (name, uplink) in self.state.uplinks.clone() {
            let Some(link) = links.iter().find(|link| link.name == name) else {
                continue;
            };
            // Going over to another version is for the user to say.
            let other_version =
                link.index == uplink.ifindex && uplink.layout != vnet_common::LAYOUT;
            if uplink.phase == Phase::Removing
                || other_version
                || refused.get(&name) == Some(&link.index)
                || self.is_attached(link).await?
            {
                continue;
            }
            let options = AttachOptions {
                asker: Asker::Same,
                endpoint_device: (!uplink.is_expected() || uplink.device_asked)
                    .then_some(uplink.endpoint_device),
                xdp: XdpChoice::Keep,
                log_level: log::LevelFilter::Off,
            };
            let attached = self.attach(&name, options).await;
            if self.note(attached).is_none() {
                refused.insert(name, link.index);
            } else {
                self.notices.push(format!("{name}: is back, and attached"));
                back.push(name);
            }
        }
        if !back.is_empty() {
            // Another interface has another MTU and carrier.
            self.repair().await?;
        }
        Ok(back)
    }
}
