//! `vnet-user attach` and `detach`.

use clap::{Args, ValueEnum};
use log::LevelFilter;
use serde::Serialize;

use super::{open, output::Format, xdp::XdpArgs};
use crate::{
    control::{
        Dirs,
        attach::{Asker, AttachOptions, Attached, News},
    },
    error::some_of,
    interrupt::Interrupt,
    model::{state::EndpointDevice, xdp::Xdp},
};

#[derive(Debug, Args)]
#[command(after_help = "Example: vnet-user attach --iface enp0s8")]
pub struct AttachArgs {
    /// The NIC (or bond, or veth in a lab).
    #[arg(long)]
    iface: String,
    /// The kind of interface that containers get: auto takes netkit where it works.
    #[arg(long, value_enum, default_value_t = DeviceArg::Auto)]
    endpoint_device: DeviceArg,
    #[command(flatten)]
    xdp: XdpArgs,
    /// Stay, and print what the programs log, until Ctrl-C.
    #[arg(long)]
    foreground: bool,
    /// What the programs log, while this command stays.
    #[arg(
        long,
        requires = "foreground",
        default_value = "off",
        value_name = "LEVEL"
    )]
    log_level: LevelArg,
    #[command(flatten)]
    format: Format,
}

#[derive(Debug, Args)]
#[command(after_help = "Example: vnet-user detach --iface enp0s8")]
pub struct DetachArgs {
    /// The NIC.
    #[arg(long)]
    iface: String,
    /// Remove its endpoints too.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    format: Format,
}

/// What `attach --json` prints.
#[derive(Serialize)]
struct AttachReport<'a> {
    uplink: &'a str,
    hook: &'static str,
    endpoint_device: &'static str,
    /// `attached`, `replaced` or `unchanged`.
    result: &'static str,
    /// Why this endpoint device; only when it was chosen now.
    reason: Option<&'a str>,
    xdp: Option<&'a Xdp>,
}

/// What `detach --json` prints.
#[derive(Serialize)]
struct DetachReport<'a> {
    uplink: &'a str,
    /// Networks that are kept for the next attach.
    networks: Vec<&'a str>,
}

/// As `log::LevelFilter`, which clap does not know.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum LevelArg {
    Off,
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl From<LevelArg> for LevelFilter {
    fn from(level: LevelArg) -> Self {
        match level {
            LevelArg::Off => Self::Off,
            LevelArg::Error => Self::Error,
            LevelArg::Warn => Self::Warn,
            LevelArg::Info => Self::Info,
            LevelArg::Debug => Self::Debug,
            LevelArg::Trace => Self::Trace,
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum DeviceArg {
    Auto,
    Netkit,
    Veth,
}

impl AttachArgs {
    pub async fn run(self, dirs: &Dirs) -> anyhow::Result<()> {
        let Self {
            iface,
            endpoint_device,
            xdp,
            foreground,
            log_level,
            format,
        } = self;
        let log_level = LevelFilter::from(log_level);
        let options = AttachOptions {
            asker: Asker::User,
            endpoint_device: match endpoint_device {
                DeviceArg::Auto => None,
                DeviceArg::Netkit => Some(EndpointDevice::Netkit),
                DeviceArg::Veth => Some(EndpointDevice::Veth),
            },
            xdp: xdp.choice()?,
            log_level,
        };
        // Before the line is printed: who has read it may end this at once.
        let interrupt = foreground.then(Interrupt::listen).transpose()?;
        let mut vnet = open(dirs).await?;
        let mut attached = vnet.attach(&iface, options).await?;
        report(&attached, format)?;
        // Other commands must go on while this one stays.
        drop(vnet);
        let Some(mut interrupt) = interrupt else {
            return Ok(());
        };
        tokio::select! {
            result = attached.follow_log() => result?,
            () = interrupt.wait() => {}
        }
        if log_level != LevelFilter::Off {
            // Nothing of the log stays on the packet path.
            let mut vnet = open(dirs).await?;
            vnet.stop_logging(&attached).await?;
        }
        Ok(())
    }
}

/// One line that says what was chosen and why.
fn report(attached: &Attached, format: Format) -> anyhow::Result<()> {
    let Attached {
        uplink,
        hook,
        endpoint_device,
        news,
        programs: _,
        xdp,
        loaded: _,
    } = attached;
    let (hook, device) = (hook.name(), endpoint_device.name());
    let (result, reason) = match news {
        News::Attached(reason) => ("attached", Some(reason.as_str())),
        News::Replaced => ("replaced", None),
        News::Nothing => ("unchanged", None),
    };
    let value = AttachReport {
        uplink,
        hook,
        endpoint_device: device,
        result,
        reason,
        xdp: xdp.as_ref(),
    };
    let xdp = xdp
        .as_ref()
        .map_or_else(String::new, |xdp| format!("; {xdp}"));
    format.print(&value, || match news {
        News::Attached(reason) => {
            format!("{uplink}: attached ({hook}, endpoint device {device}: {reason}{xdp})")
        }
        News::Replaced => {
            format!("{uplink}: already attached ({hook}, {device}{xdp}), programs replaced")
        }
        News::Nothing => format!("{uplink}: already attached ({hook}, {device}{xdp})"),
    })
}

impl DetachArgs {
    pub async fn run(self, dirs: &Dirs) -> anyhow::Result<()> {
        let Self {
            iface,
            force,
            format,
        } = self;
        let mut vnet = open(dirs).await?;
        let uplink = vnet.detach(&iface, force).await?;
        let networks = vnet.state().networks_on(&uplink);
        let report = DetachReport {
            uplink: &uplink,
            networks: networks.map(|(name, _)| name.as_str()).collect(),
        };
        format.print(&report, || match report.networks.as_slice() {
            [] => format!("{uplink}: detached"),
            kept => format!(
                "{uplink}: detached\n{uplink}: networks kept for the next attach: {}",
                some_of(kept)
            ),
        })
    }
}
