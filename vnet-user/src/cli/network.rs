//! `vnet-user network`.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use ipnet::IpNet;

use super::{
    open,
    output::{self, Format},
    together::{Failed, alone},
};
use crate::{
    control::{Dirs, Vnet, status::NetworkStatus},
    model::{
        EgressMap, Guard, IngressMap, Mode, Network, NetworkRequest, Parent, Segment, VlanId,
        network::NetworkChange, vlan::VlanRange,
    },
    options::NetworkOptions,
};

/// What stands for a VLAN's id in a network's name.
const VLAN_IN_NAME: &str = "{vlan}";

#[derive(Debug, Subcommand)]
pub enum NetworkCommand {
    /// Create a network on an attached NIC.
    Create(CreateArgs),
    /// List the networks.
    #[command(after_help = "Example: vnet-user network list --json")]
    List {
        #[command(flatten)]
        format: Format,
    },
    /// Show one network.
    #[command(after_help = "Example: vnet-user network inspect web")]
    Inspect {
        /// The network, by its name.
        name: String,
        #[command(flatten)]
        format: Format,
    },
    /// Change a network while its endpoints stay.
    #[command(after_help = "Example: vnet-user network set web --mode private")]
    Set(SetArgs),
    /// Remove a network without endpoints.
    #[command(after_help = "Example: vnet-user network remove web")]
    Remove(RemoveArgs),
}

#[derive(Debug, Args)]
#[command(
    after_help = "Example: vnet-user network create web --parent enp0s8 --vlan 200 \
                  --subnet 192.168.200.0/24 --gateway 192.168.200.100"
)]
pub struct CreateArgs {
    /// What the network shall be called.
    name: String,
    /// The attached NIC; `enp0s8.200` means `--parent enp0s8 --vlan 200`, and `enp0s8.100.60` the same with
    /// `--outer-vlan 100 --vlan 60`. Neither makes an interface.
    #[arg(long)]
    parent: String,
    /// A network for each VLAN of a range; in the name, {vlan} stands for the id.
    #[arg(long, value_name = "FIRST-LAST", conflicts_with = "vlan")]
    vlans: Option<VlanRange>,
    #[command(flatten)]
    options: NetworkOptions,
    /// A subnet of the network; may be repeated.
    #[arg(long = "subnet", value_name = "CIDR", value_parser = subnet)]
    subnets: Vec<IpNet>,
    /// The default gateway, one of each family.
    #[arg(long = "gateway", value_name = "IP")]
    gateways: Vec<IpAddr>,
    #[command(flatten)]
    format: Format,
}

#[derive(Debug, Args)]
pub struct RemoveArgs {
    /// The network, by its name.
    name: String,
    /// Remove its endpoints too, and also a network that is Docker's.
    #[arg(long)]
    pub force: bool,
    #[command(flatten)]
    format: Format,
}

#[derive(Debug, Args)]
pub struct SetArgs {
    /// The network, by its name.
    name: String,
    /// How endpoints see each other: bridge, private, vepa, source. No network becomes passthru, or stops being it.
    #[arg(long)]
    mode: Option<Mode>,
    /// Which source addresses endpoints may send from: mac is their own, off any.
    #[arg(long)]
    guard: Option<Guard>,
    /// In source mode: whether what an endpoint hears goes nowhere else.
    #[arg(long, value_name = "BOOL")]
    nodst: Option<bool>,
    /// Whether multicast goes only to endpoints that asked for it.
    #[arg(long, value_name = "BOOL")]
    multicast_snooping: Option<bool>,
    /// What a tag's priority (PCP) becomes in the container; none for no map.
    #[arg(long, value_name = "FROM:TO,…")]
    ingress_qos_map: Option<IngressMap>,
    /// What the priority of a container's frame becomes in the tag; none for no map.
    #[arg(long, value_name = "FROM:TO,…")]
    egress_qos_map: Option<EgressMap>,
    #[command(flatten)]
    format: Format,
}

impl NetworkCommand {
    pub async fn run(self, dirs: &Dirs) -> anyhow::Result<()> {
        match self {
            Self::Create(args) => {
                args.check()?;
                alone(create(&mut *open(dirs).await?, vec![args]).await)
            }
            Self::Set(args) => args.run(&mut *open(dirs).await?).await,
            Self::Remove(args) => alone(remove(&mut *open(dirs).await?, vec![args]).await),
            Self::List { format } => {
                let vnet = open(dirs).await?;
                let networks = vnet.network_status();
                if format.json {
                    return output::json(&networks);
                }
                print(&networks);
                Ok(())
            }
            Self::Inspect { name, format } => {
                let vnet = open(dirs).await?;
                let network = one(&vnet, &name)?;
                if format.json {
                    return output::json(&network);
                }
                print_one(&network);
                Ok(())
            }
        }
    }
}

/// Creates networks, as one change.
pub async fn create(vnet: &mut Vnet, all: Vec<CreateArgs>) -> Result<(), Failed> {
    let mut requests = Vec::new();
    let mut whose = Vec::new();
    let mut formats = Vec::new();
    for (index, args) in all.into_iter().enumerate() {
        formats.push((args.format, args.vlans.is_some()));
        let asked = args.requests(vnet).await.map_err(Failed::at(index))?;
        whose.extend(asked.iter().map(|_| index));
        requests.extend(asked);
    }
    let created = vnet.create_networks(&requests).await;
    created.map_err(|refused| Failed {
        index: refused.index.map(|index| whose[index]),
        error: refused.error.into(),
    })?;
    let mut names = vec![Vec::new(); formats.len()];
    for (request, whose) in requests.iter().zip(&whose) {
        names[*whose].push(request.name.as_str());
    }
    let in_json = names
        .iter()
        .zip(&formats)
        .filter(|(_, (format, _))| format.json);
    let in_json = in_json.flat_map(|(names, _)| names.iter().copied());
    let statuses = vnet.networks_named(&in_json.collect()).into_iter();
    let statuses: BTreeMap<_, _> = statuses.map(|it| (it.name.clone(), it)).collect();
    let commands = names.into_iter().zip(formats);
    output::together(commands, |(names, (format, is_range))| {
        let networks = names.iter().filter_map(|name| statuses.get(*name));
        let networks: Vec<_> = networks.collect();
        match (format.json, networks.as_slice()) {
            (false, _) => Ok(names.join("\n")),
            (true, [network]) if !is_range => output::to_json(network),
            (true, networks) => output::to_json(&networks),
        }
    })?;
    Ok(())
}

/// Removes networks, as one change.
pub async fn remove(vnet: &mut Vnet, all: Vec<RemoveArgs>) -> Result<(), Failed> {
    let names: Vec<_> = all.iter().map(|args| args.name.clone()).collect();
    match names.as_slice() {
        [name] if all.iter().any(|args| args.force) => {
            let removed = vnet.remove_network_with_endpoints(name).await;
            removed.map_err(Failed::at(0))?;
        }
        names => vnet.remove_networks(names).await?,
    }
    output::together(all, |args| match args.format.json {
        true => output::to_json(&serde_json::json!({ "name": args.name })),
        false => Ok(args.name),
    })?;
    Ok(())
}

/// The network of a name, as it is reported.
fn one(vnet: &Vnet, name: &str) -> anyhow::Result<NetworkStatus> {
    vnet.network(name)?;
    let networks = vnet.networks_named(&BTreeSet::from([name]));
    networks.into_iter().next().context("the network went away")
}

impl CreateArgs {
    /// What can be said without a look at what there is.
    pub fn check(&self) -> anyhow::Result<()> {
        match (&self.name, self.vlans) {
            (name, Some(vlans)) if !name.contains(VLAN_IN_NAME) => bail!(
                "network name {name:?}: {VLAN_IN_NAME} was expected in it, for the ids of --vlans {vlans}"
            ),
            _ => Ok(()),
        }
    }

    /// The network that is asked for, or one for each VLAN of a range.
    async fn requests(self, vnet: &Vnet) -> anyhow::Result<Vec<NetworkRequest>> {
        let Self {
            name,
            parent,
            vlans,
            options,
            subnets,
            gateways,
            format: _,
        } = self;
        let attached = |name: &str| vnet.state().uplinks.contains_key(name);
        let mut parent = Parent::parse(&parent, options.segment(), attached)?;
        parent.uplink = vnet.uplink_name(&parent.uplink).await?;
        let network = Network {
            subnets,
            gateways,
            ..options.network(&parent)
        };
        let Some(vlans) = vlans else {
            return Ok(vec![NetworkRequest { name, network }]);
        };
        if let Some(vlan) = network.segment.vlan {
            bail!("VLAN {vlan} and --vlans {vlans}: one of them was expected");
        }
        let request = |vlan: VlanId| NetworkRequest {
            name: name.replace(VLAN_IN_NAME, &vlan.to_string()),
            network: Network {
                segment: Segment {
                    vlan: Some(vlan),
                    ..network.segment
                },
                ..network.clone()
            },
        };
        Ok(vlans.iter().map(request).collect())
    }
}

impl SetArgs {
    pub async fn run(self, vnet: &mut Vnet) -> anyhow::Result<()> {
        let Self {
            name,
            mode,
            guard,
            nodst,
            multicast_snooping,
            ingress_qos_map,
            egress_qos_map,
            format,
        } = self;
        let change = NetworkChange {
            mode,
            nodst,
            guard,
            multicast_snooping,
            ingress_qos_map,
            egress_qos_map,
        };
        vnet.change_network(&name, &change).await?;
        format.print(&one(vnet, &name)?, || name.clone())
    }
}

/// A subnet on the command line.
fn subnet(text: &str) -> Result<IpNet, &'static str> {
    text.parse()
        .map_err(|_| "a subnet such as 192.168.200.0/24 or fd00:200::/64 was expected")
}

/// All of one network.
fn print_one(network: &NetworkStatus) {
    let NetworkStatus {
        name,
        parent,
        segment,
        mode,
        guard,
        allowed_macs,
        nodst,
        multicast_snooping,
        ingress_qos_map,
        egress_qos_map,
        subnets,
        gateways,
        mtu,
        attached,
        endpoints,
    } = network;
    output::fields(&[
        ("name", name.clone()),
        ("parent", parent.clone()),
        ("attached", attached.to_string()),
        ("segment", segment.to_string()),
        ("mode", mode.to_string()),
        ("guard", guard.name().to_owned()),
        ("allowed MACs", output::list(allowed_macs)),
        ("nodst", nodst.to_string()),
        ("multicast-snooping", multicast_snooping.to_string()),
        ("ingress-qos-map", ingress_qos_map.to_string()),
        ("egress-qos-map", egress_qos_map.to_string()),
        ("subnets", output::list(subnets)),
        ("gateways", output::list(gateways)),
        (
            "MTU",
            mtu.map_or("the NIC's".to_owned(), |mtu| mtu.to_string()),
        ),
        ("endpoints", endpoints.to_string()),
    ]);
}

/// Networks as a table.
pub fn print(networks: &[NetworkStatus]) {
    let rows = networks.iter().map(|network| {
        vec![
            network.name.clone(),
            network.parent.clone(),
            network.segment.to_string(),
            network.mode.to_string(),
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
        "MODE",
        "SUBNETS",
        "GATEWAYS",
        "MTU",
        "ENDPOINTS",
        "STATE",
    ];
    output::table(&header, rows);
}
