//! The options of `vnet-user attach` for XDP.

use clap::{Args, ValueEnum};

use crate::{
    control::xdp::XdpChoice,
    model::xdp::{Delivery, Unknown, XdpError, XdpMode, XdpRequest},
};

#[derive(Debug, Args)]
pub struct XdpArgs {
    /// XDP on the NIC: filter drops what --unknown-vlan and --unknown-unicast say before it costs anything, redirect also
    /// gives unicast to veth endpoints; an uplink that is attached keeps what it has where this is not given.
    #[arg(long, value_enum)]
    xdp: Option<XdpArg>,
    /// Where XDP runs: auto takes native, in the driver, where that works.
    #[arg(long, value_enum, requires = "xdp")]
    xdp_mode: Option<ModeArg>,
    /// What becomes of VLANs that neither a network nor a device of the host uses.
    #[arg(long, value_enum, requires = "xdp")]
    unknown_vlan: Option<UnknownArg>,
    /// What becomes of unicast that is neither for an endpoint nor for the host.
    #[arg(long, value_enum, requires = "xdp")]
    unknown_unicast: Option<UnknownArg>,
    /// The NIC is a veth whose far end finishes checksums itself (`ethtool -K DEVICE tx off` there), as redirect needs it.
    #[arg(long, requires = "xdp")]
    far_end_checksums: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum XdpArg {
    Off,
    Filter,
    Redirect,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ModeArg {
    Auto,
    Native,
    Generic,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum UnknownArg {
    Pass,
    Drop,
}

impl XdpArgs {
    /// What was asked for.
    pub fn choice(self) -> Result<XdpChoice, XdpError> {
        let Self {
            xdp,
            xdp_mode,
            unknown_vlan,
            unknown_unicast,
            far_end_checksums,
        } = self;
        let delivery = match xdp {
            None => return Ok(XdpChoice::Keep),
            Some(XdpArg::Off) => {
                let silent = xdp_mode.is_none()
                    && unknown_vlan.is_none()
                    && unknown_unicast.is_none()
                    && !far_end_checksums;
                return match silent {
                    true => Ok(XdpChoice::Off),
                    false => Err(XdpError::Off),
                };
            }
            Some(XdpArg::Filter) => Delivery::Filter,
            Some(XdpArg::Redirect) => Delivery::Redirect,
        };
        let unknown = |arg| match arg {
            None | Some(UnknownArg::Pass) => Unknown::Pass,
            Some(UnknownArg::Drop) => Unknown::Drop,
        };
        Ok(XdpChoice::On(XdpRequest {
            delivery,
            mode: match xdp_mode {
                None | Some(ModeArg::Auto) => None,
                Some(ModeArg::Native) => Some(XdpMode::Native),
                Some(ModeArg::Generic) => Some(XdpMode::Generic),
            },
            unknown_vlan: unknown(unknown_vlan),
            unknown_unicast: unknown(unknown_unicast),
            far_end_checksums,
        }))
    }
}
