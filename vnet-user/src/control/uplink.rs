//! An uplink as the state has it, and whether it is there.

use super::{ControlError, Vnet};
use crate::{
    datapath::{attach, load::FROM_UPLINK},
    link::Link,
    model::{Uplink, state::Hook},
};

impl Vnet {
    /// The name that an uplink is known by, whichever of the interface's names the user gave.
    pub async fn uplink_name(&self, name: &str) -> Result<String, ControlError> {
        if self.state.uplinks.contains_key(name) {
            return Ok(name.to_owned());
        }
        let link = self.netlink.find(name).await?;
        Ok(link.map_or_else(|| name.to_owned(), |link| link.name))
    }

    /// The uplink of a name that the user gave, or all of them.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotAttached`] when the one of that name is no uplink.
    pub(super) async fn uplinks_asked_for(
        &self,
        name: Option<&str>,
    ) -> Result<Vec<String>, ControlError> {
        let Some(name) = name else {
            return Ok(self.state.uplinks.keys().cloned().collect());
        };
        let name = self.uplink_name(name).await?;
        self.uplink(&name)?;
        Ok(vec![name])
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

    /// The interface of an uplink whose datapath runs, as one that this build can work on.
    ///
    /// # Errors
    ///
    /// What is missing: see [`ControlError::is_not_running`].
    pub(super) async fn uplink_link(&self, iface: &str) -> Result<Link, ControlError> {
        let known = self.uplink(iface)?;
        let uplink = iface.to_owned();
        let Some(link) = self.netlink.find_index(known.ifindex).await? else {
            return Err(ControlError::UplinkGone { uplink });
        };
        if !self.is_hooked(iface, known).await? {
            return Err(ControlError::DatapathGone { uplink });
        }
        if known.layout != vnet_common::LAYOUT {
            return Err(ControlError::OtherLayout { uplink });
        }
        Ok(link)
    }

    /// Whether the kernel still has our program on the interface, with all that it needs.
    pub(super) async fn is_hooked(
        &self,
        iface: &str,
        uplink: &Uplink,
    ) -> Result<bool, ControlError> {
        let pins = self.pins(iface);
        if !pins.complete() {
            return Ok(false);
        }
        Ok(match uplink.hook {
            Hook::Tcx => pins.holds(FROM_UPLINK) == Some(uplink.ifindex),
            Hook::Clsact => {
                let priority = attach::CLSACT_PRIORITY;
                let index = uplink.ifindex;
                self.netlink.has_ingress_filter(index, priority).await?
            }
        })
    }
}
