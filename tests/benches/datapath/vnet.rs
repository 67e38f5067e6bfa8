//! vnet, as a user sets it up.

use tests::Fixture;

use crate::bed::{self, ADDRESSES, Bed, ROLES, UPLINK, VLAN};

/// With these options for `attach`.
pub fn attached(options: &str) -> Bed {
    attached_with_ids(options).0
}

/// The same, with the endpoints' ids.
pub fn attached_with_ids(options: &str) -> (Bed, Vec<String>) {
    let fixture = bed::host();
    if options.contains("--xdp") {
        bed::keep_tags_in_frames(&fixture);
    }
    attach(fixture, options, Some(VLAN))
}

/// Untagged, on a host of one's own.
pub fn untagged(fixture: Fixture, options: &str) -> Bed {
    attach(fixture, options, None).0
}

fn attach(fixture: Fixture, options: &str, vlan: Option<u16>) -> (Bed, Vec<String>) {
    const NETWORK: &str = "bench";
    fixture.ok(&format!("attach --iface {UPLINK} {options}"));
    let vlan_option = vlan.map_or(String::new(), |vlan| format!("--vlan {vlan}"));
    fixture.network(NETWORK, &format!("{vlan_option} --subnet 192.168.200.0/24"));
    let add = |index: usize| {
        let address = ADDRESSES[index];
        fixture
            .endpoint(ROLES[index], NETWORK, &format!("--ip {address}"))
            .id
    };
    let ids = vec![add(0), add(1)];
    (Bed::new(fixture, vlan), ids)
}
