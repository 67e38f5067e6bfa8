//! How large a frame may be on a link. A VLAN device inherits it from its NIC; endpoints get it from vnet.

use serde::{Deserialize, Serialize};

use super::network::Network;

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
    /// What an endpoint of `network` has on an uplink of these sizes. The network's own MTU holds as far as the uplink
    /// carries it.
    #[must_use]
    pub fn for_endpoint(self, network: &Network) -> Self {
        Self {
            mtu: network.mtu.map_or(self.mtu, |mtu| mtu.min(self.mtu)),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
