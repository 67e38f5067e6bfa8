//! How large a frame may be on a link. A VLAN device inherits it from its NIC; endpoints get it from vnet.

use serde::{Deserialize, Serialize};

use super::network::Network;

/// A tag on the wire (IEEE 802.1Q, clause 9.3).
const TAG_BYTES: u32 = 4;
/// The kernel's `ETH_MIN_MTU`, which IPv4 needs (RFC 791).
const MIN_MTU: u32 = 68;

/// A link's sizes, as `ip -d link show` prints them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sizes {
    /// Bytes.
    pub mtu: u32,
    /// Bytes; `None` where the kernel does not tell.
    #[serde(default)]
    pub gso_max_size: Option<u32>,
    #[serde(default)]
    pub gso_max_segs: Option<u32>,
}

impl Sizes {
    /// Of an Ethernet that is not there yet.
    pub const ETHERNET: Self = Self {
        mtu: 1500,
        gso_max_size: None,
        gso_max_segs: None,
    };

    /// What an endpoint of `network` has on an uplink of these sizes. The network's own MTU holds as far as the uplink
    /// carries it. Without one, a second tag is taken off: NICs and switches have room for one tag beside their MTU, and
    /// not always for two.
    #[must_use]
    pub fn for_endpoint(self, network: &Network) -> Self {
        let second_tag = network.segment.outer.map_or(0, |_| TAG_BYTES);
        let beside_tags = self.mtu.saturating_sub(second_tag).max(MIN_MTU);
        Self {
            mtu: network.mtu.map_or(beside_tags, |mtu| mtu.min(self.mtu)),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        VlanId,
        segment::{OuterProtocol, OuterTag, Segment},
    };

    #[test]
    fn a_second_tag_has_its_room_unless_the_network_says_otherwise() {
        let vlan = |id| VlanId::try_from(id).unwrap();
        let qinq = |mtu| Network {
            segment: Segment {
                vlan: Some(vlan(60)),
                outer: Some(OuterTag {
                    vlan: vlan(100),
                    protocol: OuterProtocol::Dot1ad,
                }),
            },
            mtu,
            ..Network::on("enp0s8")
        };
        let mtu = |uplink, network| {
            let uplink = Sizes {
                mtu: uplink,
                ..Sizes::default()
            };
            uplink.for_endpoint(&qinq(network)).mtu
        };
        assert_eq!(mtu(1500, None), 1496);
        assert_eq!(mtu(9000, None), 8996);
        assert_eq!(mtu(1500, Some(1500)), 1500);
        assert_eq!(mtu(1500, Some(9000)), 1500);
        assert_eq!(mtu(68, None), 68);
    }

    #[test]
    fn an_endpoint_has_its_networks_mtu_as_far_as_the_uplink_carries_it() {
        let uplink = |mtu| Sizes {
            mtu,
            gso_max_size: Some(65536),
            gso_max_segs: Some(65535),
        };
        let network = |mtu| Network {
            mtu,
            ..Network::on("enp0s8")
        };
        assert_eq!(uplink(9000).for_endpoint(&network(None)), uplink(9000));
        assert_eq!(
            uplink(1500).for_endpoint(&network(Some(1400))),
            uplink(1400)
        );
        assert_eq!(
            uplink(1300).for_endpoint(&network(Some(1400))),
            uplink(1300)
        );
    }
}
