//! `vnet-user endpoint`.

use std::net::IpAddr;

use clap::{Args, Subcommand};

use super::{open, output};
use crate::{
    control::{Dirs, status::EndpointStatus},
    model::{EndpointRequest, MacAddr, vlan},
};

#[derive(Debug, Subcommand)]
pub enum EndpointCommand {
    /// Give a container an interface in a network.
    Add(AddArgs),
    /// List the endpoints.
    List {
        /// Those of one network only.
        #[arg(long)]
        network: Option<String>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show one endpoint, by its id or the beginning of it.
    Inspect {
        id: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Remove an endpoint, by its id or the beginning of it.
    Remove { id: String },
}

#[derive(Debug, Args)]
#[command(
    after_help = "Example: vnet-user endpoint add --network web --netns c1 --ip 192.168.200.2"
)]
pub struct AddArgs {
    #[arg(long)]
    network: String,
    /// The container's network namespace: a name from `ip netns`, a path, or a process id.
    #[arg(long, value_name = "NAME|PATH|PID")]
    netns: String,
    /// An address; may be repeated. Without it the lowest free one of each subnet.
    #[arg(long = "ip", value_name = "IP")]
    addresses: Vec<IpAddr>,
    /// The MAC address; without it one made from the IPv4 address, as Docker does.
    #[arg(long)]
    mac: Option<MacAddr>,
    /// The interface's name in the container.
    #[arg(long, default_value = "eth0", value_name = "NAME")]
    ifname: String,
}

impl EndpointCommand {
    pub async fn run(self, dirs: &Dirs) -> anyhow::Result<()> {
        match self {
            Self::Add(args) => args.run(dirs).await,
            Self::List { network, json } => {
                let endpoints = open(dirs).await?.endpoint_status(network.as_deref())?;
                if json {
                    return output::json(&endpoints);
                }
                print(&endpoints);
                Ok(())
            }
            Self::Inspect { id, json } => {
                let vnet = open(dirs).await?;
                let id = vnet.endpoint(&id)?.0.clone();
                let endpoints = vnet.endpoint_status(None)?.into_iter();
                let endpoint: Vec<_> = endpoints.filter(|endpoint| endpoint.id == id).collect();
                if json {
                    return endpoint.iter().try_for_each(output::json);
                }
                print(&endpoint);
                Ok(())
            }
            Self::Remove { id } => {
                let mut vnet = open(dirs).await?;
                vnet.remove_endpoint(&id).await?;
                output::notices(&vnet.notices);
                println!("{id}");
                Ok(())
            }
        }
    }
}

impl AddArgs {
    async fn run(self, dirs: &Dirs) -> anyhow::Result<()> {
        let Self {
            network,
            netns,
            addresses,
            mac,
            ifname,
        } = self;
        let request = EndpointRequest {
            network,
            addresses,
            mac,
            netns,
            ifname,
        };
        let mut vnet = open(dirs).await?;
        let id = vnet.add_endpoint(&request).await?;
        output::notices(&vnet.notices);
        let (_, endpoint) = vnet.endpoint(id.as_str())?;
        println!(
            "{id} {} {} {} in {}",
            endpoint.ifname,
            endpoint.mac,
            output::list(&endpoint.addresses),
            endpoint.netns
        );
        Ok(())
    }
}

/// Endpoints as a table. `rx` is towards the container, as its own interface counts.
pub fn print(endpoints: &[EndpointStatus]) {
    let rows = endpoints.iter().map(|endpoint| {
        vec![
            endpoint.id.to_string(),
            endpoint.network.clone(),
            vlan::describe(endpoint.vlan),
            endpoint.mac.to_string(),
            output::list(&endpoint.addresses),
            format!("{}:{}", endpoint.netns, endpoint.ifname),
            endpoint.host_ifname.clone(),
            format!(
                "{} ({})",
                endpoint.rx_packets,
                output::bytes(endpoint.rx_bytes)
            ),
            format!(
                "{} ({})",
                endpoint.tx_packets,
                output::bytes(endpoint.tx_bytes)
            ),
        ]
    });
    let header = [
        "ENDPOINT",
        "NETWORK",
        "SEGMENT",
        "MAC",
        "ADDRESSES",
        "CONTAINER",
        "LINK",
        "RX",
        "TX",
    ];
    output::table(&header, rows);
}
