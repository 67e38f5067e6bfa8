//! Uplinks that were gone and are back.

use std::collections::BTreeMap;

use crate::{
    control::{ControlError, Vnet, attach::AttachOptions},
    datapath::load,
    model::state::Phase,
};

impl Vnet {
    /// Attaches uplinks again whose interface came back as another, or whose datapath is gone; and those that were attached for
    /// Docker, and that another build has attached. One that is refused is
    /// `refused` until its interface is another one: each attempt changes interfaces itself. Returns those that are back.
    pub(super) async fn reattach(
        &mut self,
        refused: &mut BTreeMap<String, u32>,
    ) -> Result<Vec<String>, ControlError> {
        self.make_internal_uplinks().await;
        let links = self.netlink.list().await?;
        let mut back = Vec::new();
        for (name, uplink) in self.state.uplinks.clone() {
            let Some(link) = links.iter().find(|link| link.name == name) else {
                continue;
            };
            let same = link.index == uplink.ifindex;
            let other_layout = same && uplink.layout != vnet_common::LAYOUT;
            let other_build = same && uplink.programs != load::build_id(log::LevelFilter::Off);
            // For the user to say, where the user has attached it.
            let may_go_over = uplink.for_docker;
            if uplink.phase == Phase::Removing
                || (other_layout && !may_go_over)
                || refused.get(&name) == Some(&link.index)
            {
                continue;
            }
            let is_attached = self.is_attached(link).await?;
            if is_attached && !(may_go_over && (other_layout || other_build)) {
                continue;
            }
            let attached = self.attach(&name, AttachOptions::again(&uplink)).await;
            if self.note(attached).is_none() {
                refused.insert(name, link.index);
            } else if is_attached {
                self.notices
                    .push(format!("{name}: has the programs of this vnet now"));
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
