//! Addresses by DHCP: Debian's clients in a container, dnsmasq on the wire.

use std::{
    fs,
    net::IpAddr,
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    process::Stdio,
    time::{Duration, Instant},
};

use tempfile::TempDir;
use tests::{Container, Fixture, PATIENCE};
use vnet_user::lab::{Namespace, probe};

const GATEWAY: &str = "192.168.200.100";
const GATEWAY6: &str = "fd00:200::100";

/// What busybox's client runs with its lease.
const BOUND: &str = r#"[ "$1" = bound ] || exit 0
ip addr add "$ip/$mask" dev "$interface"
ip route add default via "$router"
"#;
/// What ISC's client runs with its lease.
const BOUND6: &str = r#"[ "$reason" = BOUND6 ] || exit 0
ip addr add "$new_ip6_address/64" dev "$interface" nodad
"#;

/// A network, a server on the wire, and a container without addresses.
struct Stage {
    fixture: Fixture,
    container: Container,
    directory: TempDir,
}

impl Stage {
    /// `device` is the wire's interface on the segment.
    fn new(mut fixture: Fixture, options: &str, device: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        fixture.network("web", options);
        let container = fixture.container("a", "web", "");
        let stage = Self {
            fixture,
            container,
            directory,
        };
        stage.serve(device);
        stage
    }

    fn serve(&self, device: &str) {
        let wire = self.fixture.lab.get("wire").unwrap();
        let arguments = "--keep-in-foreground --conf-file= --pid-file= --user=root --port=0 --leasefile-ro --no-ping \
             --bind-interfaces --log-facility=- --dhcp-authoritative \
             --dhcp-range=192.168.200.50,192.168.200.59,1h --dhcp-range=fd00:200::50,fd00:200::59,64,1h";
        let arguments =
            format!("{arguments} --interface={device} --dhcp-option=option:router,{GATEWAY}");
        self.spawn(wire, "dnsmasq", &arguments);
    }

    /// Starts a program that runs as long as the namespace lives, and writes what it says to a file of its name.
    fn spawn(&self, netns: &Namespace, program: &str, arguments: &str) {
        let log = fs::File::create(self.path(program)).unwrap();
        let mut command = netns.command(program);
        command
            .args(arguments.split_whitespace())
            .stdout(Stdio::null())
            .stderr(log);
        netns.spawn(command).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A script for a client to run.
    fn script(&self, name: &str, content: &str) -> PathBuf {
        let path = self.path(name);
        let head = "#!/bin/sh -e\nPATH=/usr/sbin:/usr/bin:/sbin:/bin\n";
        fs::write(&path, format!("{head}{content}")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    fn gets_a_lease(&self) {
        let script = self.script("bound", BOUND);
        let client = format!(
            "busybox udhcpc -i eth0 -f -q -n -t 20 -T 1 -s {}",
            script.display()
        );
        let netns = &self.container.netns;
        let bound = netns.sh(&client);
        bound.unwrap_or_else(|error| panic!("{error}: {}", self.said("dnsmasq")));
        self.talks_from("192.168.200.5", GATEWAY);
        let routes = netns.ip("route show default").unwrap();
        assert!(routes.contains(GATEWAY), "{routes}");
    }

    fn gets_a_lease6(&self) {
        let script = self.script("bound6", BOUND6);
        let [leases, none] = ["leases", "none"].map(|name| self.path(name));
        fs::write(&none, "").unwrap();
        let arguments = format!(
            "-6 -d -1 --no-pid -cf {} -lf {} -sf {} eth0",
            none.display(),
            leases.display(),
            script.display()
        );
        let netns = self.fixture.lab.get("a").unwrap();
        self.spawn(netns, "dhclient", &arguments);
        self.talks_from("fd00:200::5", GATEWAY6);
    }

    /// Waits for an address of the server's range, and lets it and the gateway ping each other.
    fn talks_from(&self, range: &str, gateway: &str) {
        let address = self.address_in(range);
        self.container.pings(gateway);
        let echo = probe::ping(&self.fixture.wire(), address, PATIENCE).unwrap();
        assert!(echo.is_some(), "{address} does not answer the wire");
    }

    fn address_in(&self, range: &str) -> IpAddr {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let shown = self.container.netns.ip("-o addr show dev eth0").unwrap();
            let mut words = shown.split_whitespace();
            if let Some(address) = words.find(|word| word.starts_with(range)) {
                let (address, _) = address.split_once('/').unwrap();
                return address.parse().unwrap();
            }
            let [client, server] = ["dhclient", "dnsmasq"].map(|name| self.said(name));
            assert!(
                Instant::now() < deadline,
                "no address {range}…: {shown}{client}{server}"
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn said(&self, program: &str) -> String {
        fs::read_to_string(self.path(program)).unwrap_or_default()
    }
}

#[test]
fn a_server_on_a_vlan_leases_addresses_to_a_container() {
    let fixture = Fixture::attached();
    let addresses = [GATEWAY, GATEWAY6].map(with_prefix);
    let _end = fixture.vlan_end(200, &addresses.each_ref().map(String::as_str));
    let stage = Stage::new(fixture, "--vlan 200", "enp0s8.200");
    stage.gets_a_lease();
    stage.gets_a_lease6();
}

#[test]
fn a_server_on_the_untagged_lan_leases_addresses_to_a_container() {
    let fixture = Fixture::attached();
    for address in [GATEWAY, GATEWAY6].map(with_prefix) {
        let add = format!("addr add {address} dev enp0s8");
        fixture.wire().ip(&add).unwrap();
    }
    let stage = Stage::new(fixture, "", "enp0s8");
    stage.gets_a_lease();
    stage.gets_a_lease6();
}

fn with_prefix(address: &str) -> String {
    let bits = if address.contains(':') { 64 } else { 24 };
    format!("{address}/{bits}")
}
