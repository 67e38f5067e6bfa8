//! A host with Docker that boots again.

use std::{fs, path::Path, time::Instant};

use nix::{sys::utsname::uname, unistd::sync};
use tests::{Container, Docker, DockerHost, Engine, Fixture, expected, figure};
use vnet_user::lab::VlanEnd;

const GATEWAY: &str = "192.168.200.100";
const ADDRESS: &str = "192.168.200.2";

/// The host as it comes up, with its state and Docker's data on the disk.
fn boot() -> (DockerHost, VlanEnd) {
    let fixture = Fixture::new();
    let state = expected::disk().join("vnet");
    fs::create_dir_all(&state).unwrap();
    mount_over(&state, fixture.vnet.state());
    let router = fixture.vlan_end(200, &[&format!("{GATEWAY}/24")]);
    let data = expected::disk().join("docker");
    let docker = Docker::prepare_kept(&fixture.host(), engine(), "", &data);
    let start = Instant::now();
    let host = DockerHost::boot(fixture, docker);
    figure(&format!(
        "serve and dockerd are up after {:.1?}",
        start.elapsed()
    ));
    (host, router)
}

/// The one that Debian ships with this kernel.
fn engine() -> Engine {
    let name = uname().unwrap();
    match name.release().to_str().unwrap().starts_with("6.1.") {
        true => Engine::Bookworm,
        false => Engine::Trixie,
    }
}

fn mount_over(what: &Path, place: &Path) {
    let mut mount = std::process::Command::new("mount");
    assert!(
        mount
            .arg("--bind")
            .args([what, place])
            .status()
            .unwrap()
            .success()
    );
}

/// The end of a boot in which nothing is stopped.
fn cut_power(host: DockerHost, router: VlanEnd) {
    sync();
    host.leave();
    std::mem::forget(router);
}

fn reaches_the_gateway(host: &DockerHost, container: &Container) {
    let address = container.netns.ip("-4 addr show dev eth0").unwrap();
    assert!(address.contains(&format!("inet {ADDRESS}/24")), "{address}");
    assert_eq!(container.mac.to_string(), "02:42:c0:a8:c8:02");
    assert_eq!(host.ttl(container, GATEWAY), Some(64));
}

#[test]
fn boot_1_a_container_reaches_the_gateway() {
    let (host, router) = boot();
    host.docker.import_image();
    host.network(&format!(
        "--subnet 192.168.200.0/24 --gateway={GATEWAY} -o parent=enp0s8.200 vnet200"
    ));
    host.network("--subnet 10.9.0.0/24 inner");
    let options = format!("--restart always --network vnet200 --ip {ADDRESS}");
    reaches_the_gateway(&host, &host.run("ca", &options));
    host.run("cb", "--restart always --network inner --ip 10.9.0.2");
    cut_power(host, router);
}

#[test]
fn boot_2_it_is_back_as_it_was() {
    let (host, router) = boot();
    reaches_the_gateway(&host, &host.restarted("ca"));
    let inner = host.restarted("cb");
    let second = host.run("cc", "--network inner --ip 10.9.0.3");
    assert_eq!(host.ttl(&second, "10.9.0.2"), Some(64));
    assert_eq!(inner.mac.to_string(), "02:42:0a:09:00:02");
    host.docker.ok("rm --force ca cb cc");
    host.docker.ok("network rm vnet200 inner");
    let shown = host.fixture.show();
    assert_eq!(shown["uplinks"], serde_json::json!([]), "{shown}");
    let links = host.fixture.host().ip("-br link").unwrap();
    assert_eq!(links.lines().count(), 2, "lo and enp0s8 alone: {links}");
    drop(router);
}
