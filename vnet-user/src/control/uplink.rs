//! An uplink as the state has it, and whether it is there.

use super::{ControlError, Vnet};
use crate::{link::Link, model::Uplink};

impl Vnet {
    /// The name that an uplink is known by, whichever of the interface's names the user gave.
    pub async fn uplink_name(&self, name: &str) -> Result<String, ControlError> {
        if self.state.uplinks.contains_key(name) {
            return Ok(name.to_owned());
        }
        let link = self.netlink.find(name).await?;
        Ok(link.map_or_else(|| name.to_owned(), |link| link.name))
    }

    pub(super) fn uplink(&self, iface: &str) -> Result<&Uplink, ControlError> {
        self.state
            .uplinks
            .get(iface)
            .ok_or_else(|| ControlError::NotAttached {
                uplink: iface.to_owned(),
            })
    }

    pub(super) fn uplink_mut(&mut self, iface: &str) -> Result<&mut Uplink, ControlError> {
        self.state
            .uplinks
            .get_mut(iface)
            .ok_or_else(|| ControlError::NotAttached {
                uplink: iface.to_owned(),
            })
    }

    /// The interface of an uplink whose datapath runs.
    ///
    /// # Errors
    ///
    /// What is missing: see [`ControlError::is_not_running`].
    pub(super) async fn uplink_link(&self, iface: &str) -> Result<Link, ControlError> {
        let link = self.netlink.find_index(self.uplink(iface)?.ifindex).await?;
        self.check_running(iface, link.is_some())?;
        link.ok_or_else(|| ControlError::UplinkGone {
            uplink: iface.to_owned(),
        })
    }

    /// Whether an uplink's datapath runs, and is one that this build can work on.
    pub(super) fn check_running(&self, iface: &str, has_link: bool) -> Result<(), ControlError> {
        let known = self.uplink(iface)?;
        let uplink = iface.to_owned();
        if !has_link {
            Err(ControlError::UplinkGone { uplink })
        } else if !self.pins(iface).exist() {
            Err(ControlError::DatapathGone { uplink })
        } else if known.layout != vnet_common::LAYOUT {
            Err(ControlError::OtherLayout { uplink })
        } else {
            Ok(())
        }
    }
}
