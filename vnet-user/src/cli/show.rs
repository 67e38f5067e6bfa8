//! `vnet-user show`.

use clap::Args;
use serde::Serialize;

use super::{endpoint, network, open, output, stats};
use crate::{
    control::{
        Dirs,
        status::{NetworkStatus, UplinkStatus},
    },
    model::nic::NicChanges,
};

#[derive(Debug, Args)]
#[command(after_help = "Example: vnet-user show --iface enp0s8")]
pub struct ShowArgs {
    /// One NIC only.
    #[arg(long)]
    iface: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    uplinks: Vec<UplinkStatus>,
    /// Networks that wait for their uplink to be attached.
    detached_networks: Vec<NetworkStatus>,
}

impl ShowArgs {
    pub async fn run(self, dirs: &Dirs) -> anyhow::Result<()> {
        let Self { iface, json } = self;
        let vnet = open(dirs).await?;
        let report = Report {
            uplinks: vnet.uplink_status(iface.as_deref()).await?,
            detached_networks: vnet
                .network_status()
                .into_iter()
                .filter(|n| !n.attached)
                .collect(),
        };
        if json {
            return output::json(&report);
        }
        let Report {
            uplinks,
            detached_networks,
        } = report;
        if uplinks.is_empty() {
            println!("nothing is attached: `vnet-user attach --iface <NIC>` does that");
        }
        for uplink in &uplinks {
            print(uplink);
            let fdb = vnet.map_path(&uplink.name, "fdb");
            println!("\nbpftool map dump pinned {}", fdb.display());
        }
        if !detached_networks.is_empty() {
            println!("\nNetworks whose NIC is not attached");
            network::print(&detached_networks);
        }
        Ok(())
    }
}

fn print(uplink: &UplinkStatus) {
    println!(
        "{}: {} ({}, endpoint device {})",
        uplink.name,
        uplink.datapath.describe(),
        uplink.hook,
        uplink.endpoint_device
    );
    if let Some(xdp) = &uplink.xdp {
        println!("{xdp}");
    }
    if let Some(changes) = changes(&uplink.nic) {
        println!("changed on the NIC: {changes}");
    }
    println!();
    network::print(&uplink.networks);
    println!();
    endpoint::print(&uplink.endpoints);
    println!("\nFrames by reason");
    stats::print_reasons(&uplink.reasons);
}

/// What vnet changed on the NIC, in words.
fn changes(nic: &NicChanges) -> Option<String> {
    let NicChanges {
        promiscuous,
        allmulticast,
        vlan_filter_off,
        lro_off,
        unicast,
    } = nic;
    let mut changes = Vec::new();
    if *promiscuous {
        changes.push("promiscuous".to_owned());
    }
    if *allmulticast {
        changes.push("allmulticast".to_owned());
    }
    if *vlan_filter_off {
        changes.push("rx-vlan-filter off".to_owned());
    }
    if *lro_off {
        changes.push("LRO off".to_owned());
    }
    if !unicast.is_empty() {
        changes.push(format!("{} addresses in its unicast filter", unicast.len()));
    }
    (!changes.is_empty()).then(|| changes.join(", "))
}
