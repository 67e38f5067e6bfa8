//! Lines of a batch with so many endpoints that the kernel is let hurry.

use std::fmt::Write as _;

use tests::Fixture;

/// What says whether the kernel hurries with grace periods.
pub const EXPEDITED: &str = "/sys/kernel/rcu_expedited";
/// How many endpoints there are.
pub const ENDPOINTS: usize = 8;

/// Two networks, and endpoints `e0`, `e1`, … of the first in one namespace.
pub fn lines(fixture: &mut Fixture) -> String {
    let netns = fixture.lab.add("many").unwrap();
    netns.set_duplicate_detection(false).unwrap();
    let netns = netns.name();
    let mut lines = "# A comment, and words as in a shell.\n\
                     network create web --parent enp0s8 --vlan 200 --subnet '192.168.200.0/24' --egress-qos-map 5:3\n\
                     network create beside --parent enp0s8.201\n\n\
                     network set beside --mode private\n"
        .to_owned();
    for index in 0..ENDPOINTS {
        let address = format!("192.168.200.{}", 10 + index);
        let _ = writeln!(
            lines,
            "endpoint add --network web --netns {netns} --ifname e{index} --ip {address}"
        );
    }
    lines
}
