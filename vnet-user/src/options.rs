//! The options of a network: the same on the command line and with Docker.

use clap::{ArgAction, Args};

use crate::model::{
    EgressMap, Guard, IngressMap, MacAddr, Mode, Network, OuterProtocol, Parent, VlanId,
    parent::SegmentOptions,
};

/// All but what it is called, its parent, and its addresses.
#[derive(Debug, Args)]
pub struct NetworkOptions {
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
    /// An address that endpoints may send from beside their own, such as VRRP's; may be repeated, or a list with commas.
    #[arg(long = "allow-mac", value_name = "MAC", value_delimiter = ',')]
    allowed_macs: Vec<MacAddr>,
    /// In source mode: what an endpoint hears goes nowhere else, not to the host either.
    #[arg(long, action = ArgAction::Set, default_value_t = false, num_args = 0..=1, require_equals = true,
          default_missing_value = "true", value_name = "BOOL")]
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
    /// The endpoints' MTU in bytes, where it is not the NIC's (with two tags: 4 less).
    #[arg(long, value_name = "BYTES")]
    mtu: Option<u32>,
}

impl NetworkOptions {
    /// What they say of the segment.
    pub fn segment(&self) -> SegmentOptions {
        SegmentOptions {
            vlan: self.vlan,
            outer_vlan: self.outer_vlan,
            outer_protocol: self.outer_protocol,
        }
    }

    /// The network that they make on a parent, without addresses.
    pub fn network(self, parent: &Parent) -> Network {
        let Self {
            vlan: _,
            outer_vlan: _,
            outer_protocol: _,
            mode,
            guard,
            allowed_macs,
            nodst,
            multicast_snooping,
            ingress_qos_map,
            egress_qos_map,
            mtu,
        } = self;
        Network {
            segment: parent.segment,
            mode,
            guard: guard.unwrap_or(mode.default_guard()),
            allowed_macs: allowed_macs.into_iter().collect(),
            nodst,
            multicast_snooping,
            ingress_qos_map,
            egress_qos_map,
            mtu,
            ..Network::on(&parent.uplink)
        }
    }
}
