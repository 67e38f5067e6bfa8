//! `vnet-user attach` and `detach`.

use clap::{Args, ValueEnum};
use log::LevelFilter;
use tokio::signal::unix::{SignalKind, signal};

use super::{open, output};
use crate::{
    control::{
        Dirs,
        attach::{AttachOptions, News},
    },
    datapath::{self, Programs},
    model::state::EndpointDevice,
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
    /// Stay, and print what the programs log, until Ctrl-C.
    #[arg(long)]
    foreground: bool,
    /// What the programs log, while this command stays: off, error, warn, info, debug, trace.
    #[arg(
        long,
        requires = "foreground",
        default_value = "off",
        value_name = "LEVEL"
    )]
    log_level: LevelFilter,
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
            foreground,
            log_level,
        } = self;
        let options = AttachOptions {
            endpoint_device: match endpoint_device {
                DeviceArg::Auto => None,
                DeviceArg::Netkit => Some(EndpointDevice::Netkit),
                DeviceArg::Veth => Some(EndpointDevice::Veth),
            },
            log_level,
        };
        let mut vnet = open(dirs).await?;
        let attached = vnet.attach(&iface, options).await?;
        output::notices(&vnet.notices);
        let (hook, device) = (attached.hook.name(), attached.endpoint_device.name());
        match attached.news {
            News::Attached(reason) => {
                println!("{iface}: attached ({hook}, endpoint device {device}: {reason})");
            }
            News::Replaced => {
                println!("{iface}: already attached ({hook}, {device}), programs replaced");
            }
            News::Nothing => println!("{iface}: already attached ({hook}, {device})"),
        }
        // Other commands must go on while this one stays.
        drop(vnet);
        match attached.loaded {
            Some(programs) if foreground && log_level != LevelFilter::Off => {
                follow(programs).await?;
                // Nothing of the log stays on the packet path.
                let quiet = AttachOptions {
                    log_level: LevelFilter::Off,
                    ..options
                };
                open(dirs).await?.attach(&iface, quiet).await?;
            }
            _ if foreground => interrupted().await?,
            _ => {}
        }
        Ok(())
    }
}

/// Prints what the programs log, until the user or the system wants an end.
async fn follow(mut programs: Programs) -> anyhow::Result<()> {
    tokio::select! {
        result = datapath::log::follow(&mut programs) => Ok(result?),
        result = interrupted() => result,
    }
}

async fn interrupted() -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        result = tokio::signal::ctrl_c() => result?,
        _ = terminate.recv() => {}
    }
    Ok(())
}

impl DetachArgs {
    pub async fn run(self, dirs: &Dirs) -> anyhow::Result<()> {
        let Self { iface, force } = self;
        let mut vnet = open(dirs).await?;
        vnet.detach(&iface, force).await?;
        println!("{iface}: detached");
        let kept: Vec<_> = vnet
            .state()
            .networks_on(&iface)
            .map(|(name, _)| name.as_str())
            .collect();
        if !kept.is_empty() {
            println!(
                "{iface}: networks kept for the next attach: {}",
                kept.join(", ")
            );
        }
        Ok(())
    }
}
