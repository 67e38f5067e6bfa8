//! `vnet-user network`.

use std::net::IpAddr;

use clap::{Args, Subcommand};
use ipnet::IpNet;

use super::{open, output};
use crate::{
    control::{Dirs, status::NetworkStatus},
    model::{Network, NetworkRequest, Parent, VlanId, vlan},
};

#[derive(Debug, Subcommand)]
pub enum NetworkCommand {
    /// Create a network on an attached NIC.
    Create(CreateArgs),
    /// List the networks.
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show one network.
    Inspect {
        name: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Remove a network without endpoints.
    Remove { name: String },
}

#[derive(Debug, Args)]
#[command(
    after_help = "Example: vnet-user network create web --parent enp0s8 --vlan 200 \
                  --subnet 192.168.200.0/24 --gateway 192.168.200.100"
)]
pub struct CreateArgs {
    name: String,
    /// The attached NIC; `enp0s8.200` means `--parent enp0s8 --vlan 200`, and makes no interface.
    #[arg(long)]
    parent: String,
    /// The VLAN id; without it the network is untagged.
    #[arg(long, value_name = "1-4094")]
    vlan: Option<VlanId>,
    /// A subnet of the network; may be repeated.
    #[arg(long = "subnet", value_name = "CIDR")]
    subnets: Vec<IpNet>,
    /// The default gateway, one of each family.
    #[arg(long = "gateway", value_name = "IP")]
    gateways: Vec<IpAddr>,
    /// The endpoints' MTU in bytes, where it is not the NIC's.
    #[arg(long, value_name = "BYTES")]
    mtu: Option<u32>,
}

impl NetworkCommand {
    pub async fn run(self, dirs: &Dirs) -> anyhow::Result<()> {
        match self {
            Self::Create(args) => args.run(dirs).await,
            Self::List { json } => {
                let networks = open(dirs).await?.network_status();
                if json {
                    return output::json(&networks);
                }
                print(&networks);
                Ok(())
            }
            Self::Inspect { name, json } => {
                let vnet = open(dirs).await?;
                vnet.network(&name)?;
                let networks = vnet.network_status().into_iter();
                let network: Vec<_> = networks.filter(|network| network.name == name).collect();
                if json {
                    return network.iter().try_for_each(output::json);
                }
                print(&network);
                Ok(())
            }
            Self::Remove { name } => {
                let mut vnet = open(dirs).await?;
                vnet.remove_network(&name).await?;
                output::notices(&vnet.notices);
                println!("{name}");
                Ok(())
            }
        }
    }
}

impl CreateArgs {
    async fn run(self, dirs: &Dirs) -> anyhow::Result<()> {
        let Self {
            name,
            parent,
            vlan,
            subnets,
            gateways,
            mtu,
        } = self;
        let mut vnet = open(dirs).await?;
        let attached = |name: &str| vnet.state().uplinks.contains_key(name);
        let Parent { uplink, vlan } = Parent::parse(&parent, vlan, attached)?;
        let network = Network {
            uplink,
            vlan,
            subnets,
            gateways,
            mtu,
        };
        let request = NetworkRequest {
            name: name.clone(),
            network,
        };
        vnet.create_network(request).await?;
        output::notices(&vnet.notices);
        println!("{name}");
        Ok(())
    }
}

/// Networks as a table.
pub fn print(networks: &[NetworkStatus]) {
    let rows = networks.iter().map(|network| {
        vec![
            network.name.clone(),
            network.parent.clone(),
            vlan::describe(network.vlan),
            output::list(&network.subnets),
            output::list(&network.gateways),
            output::or_dash(network.mtu),
            network.endpoints.to_string(),
            if network.attached {
                "attached"
            } else {
                "detached"
            }
            .to_owned(),
        ]
    });
    let header = [
        "NETWORK",
        "PARENT",
        "SEGMENT",
        "SUBNETS",
        "GATEWAYS",
        "MTU",
        "ENDPOINTS",
        "STATE",
    ];
    output::table(&header, rows);
}
