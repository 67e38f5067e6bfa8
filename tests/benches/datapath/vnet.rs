//! vnet, as a user sets it up.

use crate::bed::{self, ADDRESSES, Bed, ROLES, UPLINK, VLAN};

/// With these options for `attach`.
pub fn attached(options: &str) -> Bed {
    attached_with_ids(options).0
}

/// The same, with the endpoints' ids.
pub fn attached_with_ids(options: &str) -> (Bed, Vec<String>) {
    const NETWORK: &str = "bench";
    let fixture = bed::host();
    if options.contains("--xdp") {
        bed::keep_tags_in_frames(&fixture);
    }
    fixture.ok(&format!("attach --iface {UPLINK} {options}"));
    fixture.network(NETWORK, &format!("--vlan {VLAN} --subnet 192.168.200.0/24"));
    let add = |index: usize| {
        let address = ADDRESSES[index];
        fixture
            .endpoint(ROLES[index], NETWORK, &format!("--ip {address}"))
            .id
    };
    let ids = vec![add(0), add(1)];
    (Bed::new(fixture, Some(VLAN)), ids)
}
