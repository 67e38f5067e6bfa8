//! `vnet-user endpoint`.

use std::net::IpAddr;

use anyhow::Context as _;
use clap::{Args, Subcommand};

use super::{
    open,
    output::{self, Format},
};
use crate::{
    control::{Dirs, Vnet, status::EndpointStatus},
    model::{EndpointRequest, MacAddr, vlan},
};

#[derive(Debug, Subcommand)]
pub enum EndpointCommand {
    /// Give a container an interface in a network.
    Add(AddArgs),
    /// List the endpoints.
    #[command(after_help = "Example: vnet-user endpoint list --network web --json")]
    List {
        /// Those of one network only.
        #[arg(long)]
        network: Option<String>,
        #[command(flatten)]
        format: Format,
    },
    /// Show one endpoint, by its id or the beginning of it.
    #[command(after_help = "Example: vnet-user endpoint inspect 3fa2")]
    Inspect {
        id: String,
        #[command(flatten)]
        format: Format,
    },
    /// Remove an endpoint, by its id or the beginning of it.
    #[command(after_help = "Example: vnet-user endpoint remove 3fa2")]
    Remove {
        id: String,
        #[command(flatten)]
        format: Format,
    },
}

#[derive(Debug, Args)]
#[command(
    after_help = "Example: vnet-user endpoint add --network web --netns c1 --ip 192.168.200.2"
)]
pub struct AddArgs {
    /// The network, by its name.
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
    #[command(flatten)]
    format: Format,
}

impl EndpointCommand {
    pub async fn run(self, dirs: &Dirs) -> anyhow::Result<()> {
        match self {
            Self::Add(args) => args.run(dirs).await,
            Self::List { network, format } => {
                let vnet = open(dirs).await?;
                output::notices(&vnet.notices);
                let endpoints = vnet.endpoint_status(network.as_deref())?;
                if format.json {
                    return output::json(&endpoints);
                }
                print(&endpoints);
                Ok(())
            }
            Self::Inspect { id, format } => {
                let vnet = open(dirs).await?;
                output::notices(&vnet.notices);
                let endpoint = one(&vnet, &id)?;
                if format.json {
                    return output::json(&endpoint);
                }
                print(&[endpoint]);
                Ok(())
            }
            Self::Remove { id, format } => {
                let mut vnet = open(dirs).await?;
                let id = vnet.remove_endpoint(&id).await?;
                output::notices(&vnet.notices);
                format.print(&serde_json::json!({ "id": id }), || id.to_string())
            }
        }
    }
}

/// The endpoint of an id, as it is reported.
fn one(vnet: &Vnet, id: &str) -> anyhow::Result<EndpointStatus> {
    let id = vnet.endpoint(id)?.0;
    let mut endpoints = vnet.endpoint_status(None)?.into_iter();
    let endpoint = endpoints.find(|endpoint| endpoint.id == *id);
    endpoint.context("the endpoint went away")
}

impl AddArgs {
    async fn run(self, dirs: &Dirs) -> anyhow::Result<()> {
        let Self {
            network,
            netns,
            addresses,
            mac,
            ifname,
            format,
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
        let endpoint = one(&vnet, id.as_str())?;
        format.print(&endpoint, || {
            format!(
                "{id} {} {} {} in {}",
                endpoint.ifname,
                endpoint.mac,
                output::list(&endpoint.addresses),
                endpoint.netns
            )
        })
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
