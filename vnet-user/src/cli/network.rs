//! `vnet-user network`.

use std::net::IpAddr;

use anyhow::Context as _;
use clap::{ArgAction, Args, Subcommand};
use ipnet::IpNet;

use super::{
    open,
    output::{self, Format},
};
use crate::{
    control::{Dirs, Vnet, status::NetworkStatus},
    model::{
        EgressMap, Guard, IngressMap, MacAddr, Mode, Network, NetworkRequest, OuterProtocol,
        Parent, VlanId, network::NetworkChange, parent::SegmentOptions,
    },
};

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
    Remove {
        /// The network, by its name.
        name: String,
        #[command(flatten)]
        format: Format,
    },
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
    /// The VLAN id; without it the network is untagged.
    #[arg(long, value_name = "1-4094")]
    vlan: Option<VlanId>,
    /// The VLAN id of a tag outside of it (QinQ).
    #[arg(long, value_name = "1-4094")]
    outer_vlan: Option<VlanId>,
    /// The outer tag's protocol: 802.1ad or 802.1q.
    #[arg(long, default_value = "802.1ad", value_name = "PROTOCOL")]
    outer_protocol: OuterProtocol,
    /// How endpoints see each other, as with macvlan: bridge, private, vepa, passthru, source.
    #[arg(long, default_value = "bridge")]
    mode: Mode,
    /// Which source addresses endpoints may send from: mac is their own, off any. The default is mac, in passthru off.
    #[arg(long)]
    guard: Option<Guard>,
    /// An address that endpoints may send from beside their own, such as VRRP's; may be repeated.
    #[arg(long = "allow-mac", value_name = "MAC")]
    allowed_macs: Vec<MacAddr>,
    /// In source mode: what an endpoint hears goes nowhere else, not to the host either.
    #[arg(long)]
    nodst: bool,
    /// Multicast goes only to endpoints that asked for it by IGMP or MLD, while a querier is heard.
    #[arg(long, default_value_t = true, action = ArgAction::Set, value_name = "BOOL")]
    multicast_snooping: bool,
    /// What a tag's priority (PCP) becomes in the container (`skb->priority`), as with VLAN devices: pairs such as 3:5,4:6.
    #[arg(long, default_value = "none", value_name = "FROM:TO,…")]
    ingress_qos_map: IngressMap,
    /// What the priority of a container's frame becomes in the tag, as with VLAN devices: pairs such as 5:3,6:4.
    #[arg(long, default_value = "none", value_name = "FROM:TO,…")]
    egress_qos_map: EgressMap,
    /// A subnet of the network; may be repeated.
    #[arg(long = "subnet", value_name = "CIDR", value_parser = subnet)]
    subnets: Vec<IpNet>,
    /// The default gateway, one of each family.
    #[arg(long = "gateway", value_name = "IP")]
    gateways: Vec<IpAddr>,
    /// The endpoints' MTU in bytes, where it is not the NIC's (with two tags: 4 less).
    #[arg(long, value_name = "BYTES")]
    mtu: Option<u32>,
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
            Self::Create(args) => args.run(dirs).await,
            Self::Set(args) => args.run(dirs).await,
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
            Self::Remove { name, format } => {
                let mut vnet = open(dirs).await?;
                vnet.remove_network(&name).await?;
                format.print(&serde_json::json!({ "name": name }), || name.clone())
            }
        }
    }
}

/// The network of a name, as it is reported.
fn one(vnet: &Vnet, name: &str) -> anyhow::Result<NetworkStatus> {
    vnet.network(name)?;
    let mut networks = vnet.network_status().into_iter();
    let network = networks.find(|network| network.name == name);
    network.context("the network went away")
}

impl CreateArgs {
    async fn run(self, dirs: &Dirs) -> anyhow::Result<()> {
        let Self {
            name,
            parent,
            vlan,
            outer_vlan,
            outer_protocol,
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
            format,
        } = self;
        let mut vnet = open(dirs).await?;
        let attached = |name: &str| vnet.state().uplinks.contains_key(name);
        let options = SegmentOptions {
            vlan,
            outer_vlan,
            outer_protocol,
        };
        let Parent { uplink, segment } = Parent::parse(&parent, options, attached)?;
        let uplink = vnet.uplink_name(&uplink).await?;
        let network = Network {
            segment,
            mode,
            guard: guard.unwrap_or(mode.default_guard()),
            allowed_macs: allowed_macs.into_iter().collect(),
            nodst,
            multicast_snooping,
            ingress_qos_map,
            egress_qos_map,
            subnets,
            gateways,
            mtu,
            ..Network::on(&uplink)
        };
        let request = NetworkRequest {
            name: name.clone(),
            network,
        };
        vnet.create_network(request).await?;
        format.print(&one(&vnet, &name)?, || name.clone())
    }
}

impl SetArgs {
    async fn run(self, dirs: &Dirs) -> anyhow::Result<()> {
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
        let mut vnet = open(dirs).await?;
        vnet.change_network(&name, &change).await?;
        format.print(&one(&vnet, &name)?, || name.clone())
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
