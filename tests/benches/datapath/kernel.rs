//! What the kernel has itself.

use tests::{Fixture, mac_of};

use crate::bed::{self, ADDRESSES, Bed, IFNAME, ROLES, UPLINK, VLAN};

/// Nothing: containers that are not connected.
pub fn nothing() -> Bed {
    let fixture = bed::host();
    for index in 0..ROLES.len() {
        add_pair(&fixture, index, &format!("port{index}"));
    }
    Bed::new(fixture, None)
}

/// A macvlan for each container on the host's VLAN device.
pub fn macvlan_on_vlan() -> Bed {
    let fixture = with_vlan_device();
    children(&fixture, &vlan_device(), "macvlan mode bridge");
    Bed::new(fixture, Some(VLAN))
}

/// The same, where no device takes tags off frames or puts them on, as XDP needs it.
pub fn macvlan_with_tags_in_frames() -> Bed {
    let bed = macvlan_on_vlan();
    bed::keep_tags_in_frames(&bed.fixture);
    bed
}

/// A macvlan for each container on the NIC itself.
pub fn macvlan_untagged() -> Bed {
    macvlan_on(bed::host())
}

/// The same, on a host of one's own.
pub fn macvlan_on(fixture: Fixture) -> Bed {
    children(&fixture, UPLINK, "macvlan mode bridge");
    Bed::new(fixture, None)
}

/// A macvlan for each container on the NIC itself, none of which sees another; who sends to them has a tag on.
pub fn private_macvlan_with_tags() -> Bed {
    let fixture = bed::host();
    children(&fixture, UPLINK, "macvlan mode private");
    Bed::new(fixture, Some(VLAN))
}

/// An ipvlan for each container on the host's VLAN device.
pub fn ipvlan_on_vlan() -> Bed {
    let fixture = with_vlan_device();
    children(&fixture, &vlan_device(), "ipvlan mode l2");
    Bed::new(fixture, Some(VLAN))
}

/// A VLAN-filtering bridge with the NIC for its trunk, and a veth pair for each container. It knows who is where.
pub fn bridge() -> Bed {
    const BRIDGE: &str = "br0";
    let fixture = bed::host();
    let host = fixture.host();
    let run = |line: String| host.sh(&line).unwrap();
    run(format!("ip link add {BRIDGE} type bridge vlan_filtering 1"));
    run(format!("ip link set {UPLINK} master {BRIDGE}"));
    run(format!("ip link set {BRIDGE} up"));
    run(format!("bridge vlan add dev {UPLINK} vid {VLAN}"));
    for (index, role) in ROLES.into_iter().enumerate() {
        let port = format!("port{index}");
        add_pair(&fixture, index, &port);
        run(format!("ip link set {port} master {BRIDGE}"));
        run(format!("ip link set {port} up"));
        run(format!(
            "bridge vlan add dev {port} vid {VLAN} pvid untagged"
        ));
        run(format!("bridge vlan del dev {port} vid 1"));
        let mac = mac_of(fixture.lab.get(role).unwrap(), IFNAME);
        run(format!(
            "bridge fdb add {mac} dev {port} master static vlan {VLAN}"
        ));
    }
    let wire = mac_of(&fixture.wire(), UPLINK);
    run(format!(
        "bridge fdb add {wire} dev {UPLINK} master static vlan {VLAN}"
    ));
    Bed::new(fixture, Some(VLAN))
}

fn with_vlan_device() -> Fixture {
    let fixture = bed::host();
    let device = vlan_device();
    let host = fixture.host();
    host.ip(&format!(
        "link add link {UPLINK} name {device} type vlan id {VLAN}"
    ))
    .unwrap();
    host.ip(&format!("link set {device} up")).unwrap();
    fixture
}

fn vlan_device() -> String {
    format!("{UPLINK}.{VLAN}")
}

/// A device of this kind on `parent` for each container.
fn children(fixture: &Fixture, parent: &str, kind: &str) {
    for index in 0..ROLES.len() {
        let name = temporary(index);
        let add = format!("link add link {parent} name {name} type {kind}");
        fixture.host().ip(&add).unwrap();
        move_in(fixture, index);
    }
}

/// A veth pair with one end in a container, and the other on the host, up.
pub fn add_pair(fixture: &Fixture, index: usize, port: &str) {
    let host = fixture.host();
    let name = temporary(index);
    host.ip(&format!("link add {port} type veth peer name {name}"))
        .unwrap();
    move_in(fixture, index);
    host.ip(&format!("link set {port} up")).unwrap();
}

/// The name of a container's interface until it is there.
fn temporary(index: usize) -> String {
    format!("new{index}")
}

/// Puts a container's interface where it belongs.
fn move_in(fixture: &Fixture, index: usize) {
    let container = fixture.lab.get(ROLES[index]).unwrap();
    let name = temporary(index);
    let move_in = format!("link set {name} netns {} name {IFNAME}", container.name());
    fixture.host().ip(&move_in).unwrap();
    container
        .ip(&format!("addr add {}/24 dev {IFNAME}", ADDRESSES[index]))
        .unwrap();
    container.ip(&format!("link set {IFNAME} up")).unwrap();
}
