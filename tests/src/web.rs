//! A network in its everyday form.

use vnet_user::lab::VlanEnd;

use crate::{Container, Fixture};

/// Two containers on VLAN 200 and a router on the wire.
pub struct Web {
    pub fixture: Fixture,
    /// 192.168.200.2 and .3.
    pub containers: [Container; 2],
    /// 192.168.200.100; a test may take it away.
    pub router: Option<VlanEnd>,
}

impl Web {
    /// On an uplink that was just attached.
    pub fn new() -> Self {
        let mut fixture = Fixture::attached();
        let router = fixture.vlan_end(200, &["192.168.200.100/24"]);
        fixture.network("web", "--vlan 200 --subnet 192.168.200.0/24");
        let containers = [
            fixture.container("a", "web", "--ip 192.168.200.2"),
            fixture.container("b", "web", "--ip 192.168.200.3"),
        ];
        Self {
            fixture,
            containers,
            router: Some(router),
        }
    }

    /// All reach each other.
    pub fn check_traffic(&self) {
        let [a, b] = &self.containers;
        for (from, to) in [
            (a, "192.168.200.3"),
            (b, "192.168.200.2"),
            (a, "192.168.200.100"),
            (b, "192.168.200.100"),
        ] {
            from.pings(to);
        }
    }
}

impl Default for Web {
    fn default() -> Self {
        Self::new()
    }
}
