//! Many devices, or many networks and endpoints, from one file. The n-th endpoint is `en` in the first container, with the
//! address 10.x.y.2, where x.y is n.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::Ipv4Addr;

use tempfile::NamedTempFile;
use tests::Fixture;
use vnet_user::lab::Netns;

use crate::bed::{ROLES, UPLINK, VLAN};

/// The name of an endpoint's interface.
pub fn ifname(number: usize) -> String {
    format!("e{number}")
}

/// An endpoint's address.
pub fn address(number: usize) -> Ipv4Addr {
    let [.., high, low] = (number as u32).to_be_bytes();
    Ipv4Addr::new(10, high, low, 2)
}

/// Which VLAN each endpoint is on.
#[derive(Clone, Copy)]
pub enum Vlans {
    /// The first on 1, the second on 2, and so on.
    Each,
    /// All of them on the same.
    One,
}

impl Vlans {
    fn of(self, endpoint: usize) -> usize {
        match self {
            Self::Each => endpoint,
            Self::One => VLAN.into(),
        }
    }

    fn list(self, count: usize) -> Vec<usize> {
        match self {
            Self::Each => (1..=count).collect(),
            Self::One => vec![VLAN.into()],
        }
    }
}

/// Commands in a file.
pub struct Batch {
    file: NamedTempFile,
}

impl Batch {
    fn new(text: &str) -> Self {
        let mut file = NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        Self { file }
    }

    /// Runs them by `ip`, which keeps each namespace that it moves an interface into open.
    pub fn by_ip(&self, netns: &Netns) {
        let path = self.file.path().display();
        netns
            .sh(&format!("prlimit --nofile=65536 ip -batch {path}"))
            .unwrap();
    }

    /// Runs them by `vnet-user`.
    pub fn by_vnet(&self, fixture: &Fixture) {
        fixture.ok(&format!("batch {}", self.file.path().display()));
    }
}

/// A VLAN device for each VLAN, up.
pub fn vlan_devices(vlans: Vlans, count: usize) -> Batch {
    let mut lines = String::new();
    for vlan in vlans.list(count) {
        let name = format!("{UPLINK}.{vlan}");
        let _ = writeln!(
            lines,
            "link add link {UPLINK} name {name} type vlan id {vlan}\nlink set {name} up"
        );
    }
    Batch::new(&lines)
}

/// What gives each endpoint a macvlan on the device of its VLAN: for the host, and for the container.
pub fn macvlans(fixture: &Fixture, vlans: Vlans, count: usize) -> [Batch; 2] {
    let container = fixture.lab.get(ROLES[0]).unwrap().name();
    let (mut host, mut inside) = (String::new(), String::new());
    for number in 1..=count {
        let (name, address, vlan) = (ifname(number), address(number), vlans.of(number));
        let _ = writeln!(
            host,
            "link add link {UPLINK}.{vlan} name {name} netns {container} type macvlan mode bridge"
        );
        let _ = writeln!(
            inside,
            "address add {address}/24 dev {name}\nlink set {name} up"
        );
    }
    [Batch::new(&host), Batch::new(&inside)]
}

/// A network for each VLAN, and the endpoints.
pub fn endpoints(fixture: &Fixture, vlans: Vlans, count: usize) -> Batch {
    let container = fixture.lab.get(ROLES[0]).unwrap().name();
    let mut lines = String::new();
    for vlan in vlans.list(count) {
        let subnet = match vlans {
            Vlans::Each => format!("{}/24", Ipv4Addr::from(u32::from(address(vlan)) & !0xff)),
            Vlans::One => "10.0.0.0/8".to_owned(),
        };
        let _ = writeln!(
            lines,
            "network create t{vlan} --parent {UPLINK} --vlan {vlan} --subnet {subnet}"
        );
    }
    for number in 1..=count {
        let (name, address, vlan) = (ifname(number), address(number), vlans.of(number));
        let _ = writeln!(
            lines,
            "endpoint add --network t{vlan} --netns {container} --ifname {name} --ip {address}"
        );
    }
    Batch::new(&lines)
}
