//! XDP on the uplink: what was asked for, whether the NIC can do it, and what its program must know of the host.

mod error;
mod host;

use std::fmt;

use serde::{Deserialize, Serialize};

use super::state::EndpointDevice;
pub use error::XdpError;
pub use host::{HostRows, HostView, VlanUse};

/// What XDP does with frames for endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Delivery {
    /// It only drops; tc delivers.
    Filter,
    /// It gives unicast to veth endpoints itself.
    Redirect,
}

/// Where XDP runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum XdpMode {
    /// In the driver, before there is an skb.
    Native,
    /// Behind the driver and GRO, on skbs.
    Generic,
}

/// What becomes of frames that nobody here wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unknown {
    #[default]
    Pass,
    Drop,
}

/// What the user asks of XDP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct XdpRequest {
    pub delivery: Delivery,
    /// `None` takes native where it works, else generic.
    pub mode: Option<XdpMode>,
    pub unknown_vlan: Unknown,
    pub unknown_unicast: Unknown,
    /// The far end of a veth finishes checksums itself.
    pub far_end_checksums: bool,
}

/// XDP as an uplink has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Xdp {
    #[serde(flatten)]
    pub request: XdpRequest,
    /// Where the program was attached last.
    pub runs: Option<XdpMode>,
    /// Why that is not what was tried first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
    #[serde(default)]
    pub holds_back: HoldsBack,
}

/// Why XDP leaves something to tc for now that it was asked for: the NIC or the host has changed, and it would break traffic.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldsBack {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirect: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unknown_unicast: Option<String>,
}

/// What the NIC is, as far as XDP minds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nic {
    pub iface: String,
    /// A veth, or a bond with such a port.
    pub is_veth: bool,
    pub stripping: Stripping,
    /// The bridge, bond or the like that it is a port of.
    pub master: Option<String>,
    /// Who beside vnet wants all frames: the count of those who hold promiscuous mode.
    pub others_promiscuous: u32,
    /// A program of somebody else's, by its id.
    pub other_program: Option<u32>,
    /// The kind of link that the endpoints have or get.
    pub endpoint_device: EndpointDevice,
    /// Why a device of the host may use any VLAN, if so.
    pub uses_every_vlan: Option<String>,
}

/// Whether tags are taken off before XDP sees them (`rx-vlan-offload`), and what helps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Stripping {
    #[default]
    Off,
    /// These commands switch it off.
    On { commands: Vec<String> },
    /// By this interface, whose driver does not let it be switched off.
    Fixed { iface: String },
}

impl XdpRequest {
    /// True for a filter that drops nothing.
    pub fn does_nothing(self) -> bool {
        self.delivery == Delivery::Filter && !self.needs_tags()
    }

    /// True if a tag that XDP does not see would send a frame to the wrong place, or let it pass.
    fn needs_tags(self) -> bool {
        self.delivery == Delivery::Redirect
            || self.unknown_vlan == Unknown::Drop
            || self.unknown_unicast == Unknown::Drop
    }

    /// The option that a NIC which takes tags off stands in the way of.
    fn tagged_option(self) -> &'static str {
        match self {
            Self {
                delivery: Delivery::Redirect,
                ..
            } => "--xdp redirect",
            Self {
                unknown_vlan: Unknown::Drop,
                ..
            } => "--unknown-vlan drop",
            _ => "--unknown-unicast drop",
        }
    }

    /// The modes to try, in this order.
    pub fn modes(self) -> &'static [XdpMode] {
        match (self.mode, self.delivery) {
            (Some(XdpMode::Generic), _) => &[XdpMode::Generic],
            (Some(XdpMode::Native), _) | (None, Delivery::Redirect) => &[XdpMode::Native],
            (None, Delivery::Filter) => &[XdpMode::Native, XdpMode::Generic],
        }
    }

    /// Whether a NIC can do it without breaking traffic.
    ///
    /// # Errors
    ///
    /// The first reason why not, with what would help.
    pub fn check(self, nic: &Nic) -> Result<(), XdpError> {
        let iface = || nic.iface.clone();
        if let Some(id) = nic.other_program {
            return Err(XdpError::OtherProgram { iface: iface(), id });
        }
        if self.delivery == Delivery::Redirect {
            self.check_redirect(nic)?;
        } else if self.far_end_checksums {
            return Err(XdpError::ChecksumsOfNobody);
        }
        if let (true, Some(stripped)) = (self.needs_tags(), self.stripped(nic)) {
            return Err(stripped);
        }
        if let (Unknown::Drop, Some(why)) = (self.unknown_vlan, &nic.uses_every_vlan) {
            return Err(XdpError::EveryVlan {
                iface: iface(),
                why: why.clone(),
            });
        }
        match (self.unknown_unicast, wants_every_mac(nic)) {
            (Unknown::Drop, Some(error)) => Err(error),
            _ => Ok(()),
        }
    }

    fn check_redirect(self, nic: &Nic) -> Result<(), XdpError> {
        let iface = nic.iface.clone();
        if self.mode == Some(XdpMode::Generic) {
            return Err(XdpError::GenericRedirect);
        }
        if nic.endpoint_device == EndpointDevice::Netkit {
            return Err(XdpError::Netkit { iface });
        }
        match (nic.is_veth, self.far_end_checksums) {
            (true, false) => Err(XdpError::Checksums { iface }),
            (false, true) => Err(XdpError::ChecksumsOfNic { iface }),
            _ => Ok(()),
        }
    }

    fn stripped(self, nic: &Nic) -> Option<XdpError> {
        let option = self.tagged_option();
        let iface = nic.iface.clone();
        match &nic.stripping {
            Stripping::Off => None,
            Stripping::On { commands } => Some(XdpError::Stripped {
                iface,
                option,
                commands: commands.join("` and `"),
                far_end: nic.is_veth,
            }),
            Stripping::Fixed { iface } => Some(XdpError::StrippedForEver {
                iface: iface.clone(),
                option,
            }),
        }
    }

    /// What of it would break traffic on a NIC as it is now. The program is attached already, so there is nobody to refuse.
    pub fn holds_back(self, nic: &Nic) -> HoldsBack {
        let stripped = self.stripped(nic).map(|error| error.to_string());
        let wants_all = wants_every_mac(nic).map(|error| error.to_string());
        HoldsBack {
            redirect: stripped
                .clone()
                .filter(|_| self.delivery == Delivery::Redirect),
            unknown_unicast: stripped
                .or(wants_all)
                .filter(|_| self.unknown_unicast == Unknown::Drop),
        }
    }
}

/// Who beside vnet wants frames for any address.
fn wants_every_mac(nic: &Nic) -> Option<XdpError> {
    let iface = nic.iface.clone();
    match (&nic.master, nic.others_promiscuous) {
        (None, 0) => None,
        (Some(master), _) => Some(XdpError::Port {
            iface,
            master: master.clone(),
        }),
        (None, _) => Some(XdpError::Promiscuous { iface }),
    }
}

impl Xdp {
    /// XDP as it is before it was attached.
    pub fn new(request: XdpRequest) -> Self {
        Self {
            request,
            runs: None,
            because: None,
            holds_back: HoldsBack::default(),
        }
    }

    /// True if endpoints get frames by XDP now.
    pub fn redirects(&self) -> bool {
        self.request.delivery == Delivery::Redirect && self.holds_back.redirect.is_none()
    }
}

impl XdpMode {
    pub fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Generic => "generic",
        }
    }
}

/// In words, for the line that `attach` prints: mode, what is dropped, who delivers.
impl fmt::Display for Xdp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            request,
            runs,
            because,
            holds_back: _,
        } = self;
        let mode = runs.map_or("not attached", XdpMode::name);
        write!(f, "XDP {mode}")?;
        if let Some(because) = because {
            write!(f, " ({because})")?;
        }
        let unknown = [
            (request.unknown_vlan, "unknown VLANs"),
            (request.unknown_unicast, "unknown unicast"),
        ];
        let dropped: Vec<_> = unknown
            .into_iter()
            .filter_map(|(unknown, what)| (unknown == Unknown::Drop).then_some(what))
            .collect();
        match dropped.as_slice() {
            [] => f.write_str(" drops nothing")?,
            dropped => write!(f, " drops {}", dropped.join(" and "))?,
        }
        f.write_str(match request.delivery {
            Delivery::Filter => ", delivery by tc",
            Delivery::Redirect => ", delivery by XDP redirect, the rest by tc",
        })
    }
}

#[cfg(test)]
mod tests;
