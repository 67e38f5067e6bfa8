//! XDP on an uplink: whether it can be, its program, and what that must know of the host.

mod endpoints;
mod host;

use std::io;

use super::{ControlError, Vnet};
use crate::{
    datapath::{self, DatapathError, Programs, load::XDP_UPLINK},
    link::Link,
    model::{
        state::EndpointDevice,
        xdp::{Xdp, XdpError, XdpMode, XdpRequest},
    },
};

/// What an attach does about XDP.
#[derive(Clone, Copy, Debug)]
pub enum XdpChoice {
    /// Nothing was said: it stays as it is.
    Keep,
    Off,
    On(XdpRequest),
}

impl Vnet {
    /// The XDP that an uplink is to have.
    ///
    /// # Errors
    ///
    /// [`XdpError`] where it would break traffic; nothing was changed.
    pub(super) async fn plan_xdp(
        &mut self,
        link: &Link,
        choice: XdpChoice,
        device: EndpointDevice,
    ) -> Result<Option<Xdp>, ControlError> {
        let known = self.state.uplinks.get(&link.name);
        let known = known.and_then(|uplink| uplink.xdp.clone());
        let request = match (choice, &known) {
            (XdpChoice::Off, _) | (XdpChoice::Keep, None) => return Ok(None),
            // It was accepted once. What a NIC does now that it did not then, XDP holds back for.
            (XdpChoice::Keep, Some(_)) => return Ok(known),
            (XdpChoice::On(request), _) => request,
        };
        request.check(&self.xdp_nic(link, device).await?)?;
        if request.does_nothing() {
            self.notices.push(format!(
                "{}: this XDP filter drops nothing: --unknown-vlan drop and --unknown-unicast drop say what it shall",
                link.name
            ));
        }
        let mut xdp = Xdp::new(request);
        let same_mode = known.filter(|known| known.request.mode == request.mode);
        if let Some(known) = same_mode
            && known
                .runs
                .is_some_and(|mode| request.modes().contains(&mode))
        {
            (xdp.runs, xdp.because) = (known.runs, known.because);
        }
        Ok(Some(xdp))
    }

    /// True if an uplink's XDP program is attached as it must be, or not at all where it must not be.
    pub(super) fn has_wanted_xdp(&self, iface: &str) -> Result<bool, ControlError> {
        let uplink = self.uplink(iface)?;
        let runs = self.pins(iface).holds(XDP_UPLINK) == Some(uplink.ifindex);
        Ok(match &uplink.xdp {
            Some(xdp) => runs && xdp.runs.is_some(),
            None => !self.pins(iface).link(XDP_UPLINK).exists(),
        })
    }

    /// Puts the XDP program in the place of the one that runs; or attaches it, or takes it off.
    pub(super) async fn swap_xdp(
        &mut self,
        programs: &mut Programs,
        iface: &str,
    ) -> Result<(), ControlError> {
        let pins = self.pins(iface);
        let uplink = self.uplink(iface)?;
        let ifindex = uplink.ifindex;
        let Some(xdp) = uplink.xdp.clone() else {
            return Ok(pins.remove_xdp_link()?);
        };
        if let Some(mode) = xdp.runs
            && pins.holds(XDP_UPLINK) == Some(ifindex)
        {
            return Ok(datapath::xdp::replace(programs, mode, &pins)?);
        }
        pins.remove_xdp_link()?;
        let Some(link) = self.netlink.find_index(ifindex).await? else {
            return Ok(());
        };
        let mut refused = None;
        for mode in xdp.request.modes() {
            match datapath::xdp::attach(programs, ifindex, *mode, &pins) {
                Ok(()) => {
                    if let Some(known) = &mut self.uplink_mut(iface)?.xdp {
                        known.runs = Some(*mode);
                        known.because = refused.as_ref().map(XdpError::because);
                    }
                    return self.save();
                }
                Err(error) => refused = Some(refusal(*mode, error, &link)?),
            }
        }
        refused.map_or(Ok(()), |error| Err(error.into()))
    }
}

/// What the kernel's refusal of a mode means; what is none of the kernel stays what it is.
fn refusal(mode: XdpMode, error: DatapathError, link: &Link) -> Result<XdpError, ControlError> {
    let Some(errno) = error.errno() else {
        return Err(error.into());
    };
    let reason = io::Error::from_raw_os_error(errno).to_string();
    let iface = link.name.clone();
    Ok(match mode {
        XdpMode::Native => {
            XdpError::of_native(errno, reason, &iface, link.sizes.mtu, link.is_veth())
        }
        XdpMode::Generic => XdpError::NoGeneric { iface, reason },
    })
}
