//! Other users of a real NIC, which strips tags and filters addresses, beside vnet.

use tests::{machine::unload_8021q, side_by_side};

use super::models::wired;

#[test]
fn all_users_of_a_real_nic_talk_at_once() {
    let mut fixture = wired("e1000");
    let wire = fixture.wire();
    wire.ip("addr flush dev enp0s8").unwrap();
    side_by_side(&mut fixture);
    drop(fixture);
    unload_8021q();
}
