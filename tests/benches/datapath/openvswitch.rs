//! Open vSwitch with its kernel datapath.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use tests::{eventually, mac_of};
use vnet_user::lab::Netns;

use crate::bed::{self, Bed, IFNAME, ROLES, UPLINK, VLAN};
use crate::kernel;

const BRIDGE: &str = "br0";

/// A bridge with the NIC for its trunk and an access port for each container. It knows who is where.
pub fn access_ports() -> Bed {
    let fixture = bed::host();
    let switch = Switch::start(&fixture.host());
    switch.control(&format!("add-br {BRIDGE}"));
    switch.control(&format!("add-port {BRIDGE} {UPLINK}"));
    let mut stations = vec![(UPLINK, mac_of(&fixture.wire(), UPLINK))];
    let ports = ["port0", "port1"];
    for (index, port) in ports.into_iter().enumerate() {
        kernel::add_pair(&fixture, index, port);
        switch.control(&format!("add-port {BRIDGE} {port} tag={VLAN}"));
        let container = fixture.lab.get(ROLES[index]).unwrap();
        stations.push((port, mac_of(container, IFNAME)));
    }
    for (port, mac) in stations {
        switch.ask(&format!("fdb/add {BRIDGE} {port} {VLAN} {mac}"));
    }
    let mut bed = Bed::new(fixture, Some(VLAN));
    bed.kept.push(Box::new(switch));
    bed
}

/// Its two daemons, in one namespace.
struct Switch {
    netns: Netns,
    daemons: Vec<Child>,
}

impl Switch {
    fn start(netns: &Netns) -> Self {
        fs::create_dir_all(RUN).unwrap();
        let mut switch = Self {
            netns: netns.clone(),
            daemons: Vec::new(),
        };
        let schema = directory().join("usr/share/openvswitch/vswitch.ovsschema");
        switch.run(
            "usr/bin/ovsdb-tool",
            &["create", DATABASE, &schema.display().to_string()],
        );
        let remote = format!("--remote=punix:{SOCKET}");
        switch.daemon("usr/sbin/ovsdb-server", &[DATABASE, &remote]);
        eventually("ovsdb-server listens", &true, || {
            fs::exists(SOCKET).unwrap()
        });
        switch.control("--no-wait init");
        wait_for_uptime(CPUS_COUNTED);
        switch.daemon(
            "usr/lib/openvswitch-switch/ovs-vswitchd",
            // By this file `ovs-appctl` finds it.
            &[&format!("unix:{SOCKET}"), "--pidfile"],
        );
        switch
    }

    fn daemon(&mut self, program: &str, arguments: &[&str]) {
        let mut command = self.command(program);
        let daemon = command
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        self.daemons.push(daemon.spawn().unwrap());
    }

    /// By `ovs-vsctl`.
    fn control(&self, arguments: &str) {
        let database = format!("--db=unix:{SOCKET}");
        let mut all = vec![database.as_str(), "--timeout=60"];
        all.extend(arguments.split(' '));
        self.run("usr/bin/ovs-vsctl", &all);
    }

    /// Asks the daemon itself, by `ovs-appctl`.
    fn ask(&self, arguments: &str) {
        let arguments: Vec<_> = arguments.split(' ').collect();
        self.run("usr/bin/ovs-appctl", &arguments);
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        let output = self.command(program).args(arguments).output().unwrap();
        assert!(
            output.status.success(),
            "{program} {arguments:?}: {output:?}"
        );
    }

    fn command(&self, program: &str) -> Command {
        let libraries = ["usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu"];
        let libraries = libraries.map(|it| directory().join(it).display().to_string());
        let mut command = self.netns.command(directory().join(program));
        command
            .env("LD_LIBRARY_PATH", libraries.join(":"))
            .env("OVS_RUNDIR", RUN)
            .env("OVS_LOGDIR", RUN)
            .env("OVS_DBDIR", RUN);
        command
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        for daemon in &mut self.daemons {
            // One that has ended already is fine.
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
        let _ = fs::remove_dir_all(RUN);
    }
}

/// Open vSwitch 3.1 first counts the CPUs when the machine has been up for so long, and of none it makes no thread that
/// decides what becomes of packets (`count_cpu_cores` in lib/ovs-thread.c).
const CPUS_COUNTED: Duration = Duration::from_secs(11);

fn wait_for_uptime(wanted: Duration) {
    let uptime = Duration::from(clock_gettime(ClockId::CLOCK_MONOTONIC).unwrap());
    thread::sleep(wanted.saturating_sub(uptime));
}

const RUN: &str = "/run/vnet-bench-openvswitch";
const DATABASE: &str = "/run/vnet-bench-openvswitch/conf.db";
const SOCKET: &str = "/run/vnet-bench-openvswitch/db.sock";

/// Where the caller has unpacked it.
fn directory() -> PathBuf {
    let directory = env::var("VNET_OPENVSWITCH");
    directory
        .expect("VNET_OPENVSWITCH must name Open vSwitch's directory (`cargo xtask bench` sets it)")
        .into()
}
