//! `vnet-user endpoint`.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand, ValueEnum};

use super::{
    open,
    output::{self, Format},
    together::{Failed, alone},
};
use crate::{
    control::{Dirs, Vnet, status::EndpointStatus},
    model::{Endpoint, EndpointId, EndpointRequest, MacAddr, Traffic, endpoint::SourceChange},
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
        /// The id.
        id: String,
        #[command(flatten)]
        format: Format,
    },
    /// Change the source addresses that an endpoint hears, in source mode.
    #[command(after_help = "Example: vnet-user endpoint sources 3fa2 add 02:42:c0:a8:c8:09")]
    Sources(SourcesArgs),
    /// Remove an endpoint, by its id or the beginning of it.
    #[command(after_help = "Example: vnet-user endpoint remove 3fa2")]
    Remove(RemoveArgs),
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
    /// In source mode: an address that it hears; may be repeated.
    #[arg(long = "source", value_name = "MAC")]
    sources: Vec<MacAddr>,
    /// The interface's name in the container.
    #[arg(long, default_value = "eth0", value_name = "NAME")]
    ifname: String,
    #[command(flatten)]
    format: Format,
}

#[derive(Debug, Args)]
pub struct RemoveArgs {
    /// The id.
    id: String,
    #[command(flatten)]
    format: Format,
}

#[derive(Debug, Args)]
pub struct SourcesArgs {
    /// The endpoint, by its id or the beginning of it.
    id: String,
    /// What to do, as with `ip link set … type macvlan macaddr`.
    #[arg(value_enum)]
    verb: SourcesVerb,
    /// The addresses; none with flush.
    #[arg(value_name = "MAC", required_if_eq_any = [("verb", "add"), ("verb", "del"), ("verb", "set")])]
    macs: Vec<MacAddr>,
    #[command(flatten)]
    format: Format,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum SourcesVerb {
    Add,
    Del,
    Set,
    Flush,
}

impl EndpointCommand {
    pub async fn run(self, dirs: &Dirs) -> anyhow::Result<()> {
        match self {
            Self::Add(args) => alone(add(&mut *open(dirs).await?, vec![args]).await),
            Self::Sources(args) => {
                args.check()?;
                args.run(&mut *open(dirs).await?).await
            }
            Self::Remove(args) => alone(remove(&mut *open(dirs).await?, vec![args]).await),
            Self::List { network, format } => {
                let vnet = open(dirs).await?;
                let endpoints = vnet.endpoint_status(network.as_deref())?;
                if format.json {
                    return output::json(&endpoints);
                }
                print(&endpoints);
                Ok(())
            }
            Self::Inspect { id, format } => {
                let vnet = open(dirs).await?;
                let endpoint = one(&vnet, &id)?;
                if format.json {
                    return output::json(&endpoint);
                }
                print_one(&endpoint);
                Ok(())
            }
        }
    }
}

/// Adds endpoints, as one change.
pub async fn add(vnet: &mut Vnet, all: Vec<AddArgs>) -> Result<(), Failed> {
    let formats: Vec<_> = all.iter().map(|args| args.format).collect();
    let requests: Vec<_> = all.into_iter().map(AddArgs::request).collect();
    let ids = vnet.add_endpoints(&requests).await?;
    let in_json = ids.iter().zip(&formats).filter(|(_, format)| format.json);
    let statuses = vnet.endpoints_of_ids(&in_json.map(|(id, _)| id).collect());
    let statuses = statuses.map_err(anyhow::Error::from)?.into_iter();
    let statuses: BTreeMap<_, _> = statuses.map(|status| (status.id.clone(), status)).collect();
    output::together(ids.iter(), |id| match statuses.get(id) {
        Some(status) => output::to_json(status),
        None => Ok(added(id, vnet.endpoint(id.as_str())?.1)),
    })?;
    Ok(())
}

/// Removes endpoints, as one change.
pub async fn remove(vnet: &mut Vnet, all: Vec<RemoveArgs>) -> Result<(), Failed> {
    let requests: Vec<_> = all.iter().map(|args| args.id.clone()).collect();
    let ids = vnet.remove_endpoints(&requests).await?;
    output::together(ids.iter().zip(all), |(id, args)| match args.format.json {
        true => output::to_json(&serde_json::json!({ "id": id })),
        false => Ok(id.to_string()),
    })?;
    Ok(())
}

/// What is said of an endpoint that has just come.
fn added(id: &EndpointId, endpoint: &Endpoint) -> String {
    format!(
        "{id} {} {} {} in {}",
        endpoint.ifname,
        endpoint.mac,
        output::list(&endpoint.addresses),
        endpoint.netns
    )
}

/// The endpoint of an id, as it is reported.
fn one(vnet: &Vnet, id: &str) -> anyhow::Result<EndpointStatus> {
    let (id, _) = vnet.endpoint(id)?;
    let endpoints = vnet.endpoints_of_ids(&BTreeSet::from([id]))?;
    let endpoint = endpoints.into_iter().next();
    endpoint.context("the endpoint went away")
}

impl AddArgs {
    fn request(self) -> EndpointRequest {
        let Self {
            network,
            netns,
            addresses,
            mac,
            sources,
            ifname,
            format: _,
        } = self;
        EndpointRequest {
            network,
            addresses,
            mac,
            sources: sources.into_iter().collect(),
            netns,
            ifname,
        }
    }
}

impl SourcesArgs {
    /// What can be said without a look at what there is.
    pub fn check(&self) -> anyhow::Result<()> {
        match (self.verb, self.macs.as_slice()) {
            (SourcesVerb::Flush, [mac, ..]) => {
                bail!("address {mac} with flush, which removes all: none was expected")
            }
            _ => Ok(()),
        }
    }

    pub async fn run(self, vnet: &mut Vnet) -> anyhow::Result<()> {
        let Self {
            id,
            verb,
            macs,
            format,
        } = self;
        let macs = macs.into_iter().collect();
        let change = match verb {
            SourcesVerb::Add => SourceChange::Add(macs),
            SourcesVerb::Del => SourceChange::Delete(macs),
            SourcesVerb::Set => SourceChange::Set(macs),
            SourcesVerb::Flush => SourceChange::Flush,
        };
        let id = vnet.change_sources(&id, change).await?;
        format.print(&one(vnet, id.as_str())?, || id.to_string())
    }
}

/// All of one endpoint.
fn print_one(endpoint: &EndpointStatus) {
    let EndpointStatus {
        id,
        network,
        parent,
        segment,
        mode,
        mac,
        sources,
        addresses,
        mtu,
        netns,
        ifname,
        host_ifname,
        host_ifindex,
        traffic,
    } = endpoint;
    let Traffic {
        rx_packets,
        rx_bytes,
        tx_packets,
        tx_bytes,
    } = traffic;
    output::fields(&[
        ("id", id.to_string()),
        ("network", network.clone()),
        ("parent", parent.clone()),
        ("segment", segment.to_string()),
        ("mode", mode.to_string()),
        ("MAC", mac.to_string()),
        ("hears", output::list(sources)),
        ("addresses", output::list(addresses)),
        ("MTU", mtu.to_string()),
        ("container", format!("{netns}:{ifname}")),
        ("link", format!("{host_ifname} ({host_ifindex})")),
        (
            "rx",
            format!("{rx_packets} frames, {}", output::bytes(*rx_bytes)),
        ),
        (
            "tx",
            format!("{tx_packets} frames, {}", output::bytes(*tx_bytes)),
        ),
    ]);
}

/// Endpoints as a table. `rx` is towards the container, as its own interface counts.
pub fn print(endpoints: &[EndpointStatus]) {
    let rows = endpoints.iter().map(|endpoint| {
        vec![
            endpoint.id.to_string(),
            endpoint.network.clone(),
            endpoint.segment.to_string(),
            endpoint.mac.to_string(),
            output::list(&endpoint.addresses),
            format!("{}:{}", endpoint.netns, endpoint.ifname),
            endpoint.host_ifname.clone(),
            format!(
                "{} ({})",
                endpoint.traffic.rx_packets,
                output::bytes(endpoint.traffic.rx_bytes)
            ),
            format!(
                "{} ({})",
                endpoint.traffic.tx_packets,
                output::bytes(endpoint.traffic.tx_bytes)
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
