//! What the tests with Docker stand on: containers run, and nothing stays. The network driver is Docker's own.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    time::Instant,
};

use serde_json::Value;
use tests::{Docker, Engine, Fixture, PATIENCE, eventually, figure};
use vnet_user::lab::probe;

#[test]
fn containers_run_on_docker_20_10() {
    containers_run(Engine::Bookworm);
}

#[test]
fn containers_run_on_docker_26_1() {
    containers_run(Engine::Trixie);
}

#[test]
fn a_container_outlives_the_daemon_of_docker_20_10() {
    a_container_outlives_the_daemon(Engine::Bookworm);
}

#[test]
fn a_container_outlives_the_daemon_of_docker_26_1() {
    a_container_outlives_the_daemon(Engine::Trixie);
}

/// A plugin has to run before dockerd starts, and after it has ended.
#[test]
fn vnet_runs_beside_an_engine() {
    let fixture = Fixture::attached();
    let socket = "/run/docker/plugins/vnet.sock";
    let [one, other] = [Engine::Bookworm, Engine::Trixie]
        .map(|engine| Docker::prepare(&fixture.host(), engine, ""));
    let run = |docker: &Docker, program: &str, argument: &str| {
        let mut command = docker.command(Path::new(program));
        command.arg(argument).status().unwrap().success()
    };
    assert!(run(&one, "touch", socket));
    assert!(run(&one, "ls", socket));
    assert!(!run(&other, "ls", socket), "it must be the engine's own");
    assert!(!Path::new(socket).exists());
    for docker in [&one, &other] {
        let mut vnet = fixture.vnet.command_under(&docker.enter(), "show --json");
        let output = vnet.output().unwrap();
        let shown: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(shown, fixture.show(), "the same pins, the same state");
    }
}

/// A panic is how a test fails: it must leave no more than one that passes.
#[test]
fn a_panic_leaves_nothing() {
    let fixture = Fixture::new();
    let mut footprint = None;
    let result = catch_unwind(AssertUnwindSafe(|| {
        let docker = Docker::start(&fixture.host(), Engine::Bookworm, "");
        create_network(&docker);
        docker.container("c1", "--network public").unwrap();
        footprint = Some(Footprint::of(&docker, &["c1"]));
        std::panic::resume_unwind(Box::new("what was wrong"));
    }));
    assert!(result.is_err());
    footprint.unwrap().is_gone();
}

fn create_network(docker: &Docker) {
    docker.ok(
        "network create -d macvlan --subnet=192.168.1.0/24 --gateway=192.168.1.100 -o parent=enp0s8 public",
    );
}

fn containers_run(engine: Engine) {
    let fixture = Fixture::new();
    fixture
        .wire()
        .ip("addr add 192.168.1.100/24 dev enp0s8")
        .unwrap();
    let start = Instant::now();
    let mut docker = Docker::prepare(&fixture.host(), engine, "");
    docker.start_daemon();
    let started = start.elapsed();
    docker.import_image();
    let imported = start.elapsed() - started;
    figure(&format!(
        "{engine:?}: started in {started:.1?}, image imported in {imported:.1?}"
    ));
    let version = docker.ok("version --format {{.Server.Version}}");
    assert!(version.starts_with(engine.version()), "{version}");

    create_network(&docker);
    for (name, address) in [("c1", "192.168.1.201"), ("c2", "192.168.1.202")] {
        docker
            .container(name, &format!("--network public --ip {address}"))
            .unwrap();
        let shown = docker.exec(name, "ip -4 addr show dev eth0").unwrap();
        assert!(shown.contains(&format!("inet {address}/24")), "{shown}");
    }
    let routes = docker.exec("c1", "route -n").unwrap();
    let default = routes.lines().find(|line| line.starts_with("0.0.0.0 "));
    let words: Vec<_> = default.expect(&routes).split_whitespace().collect();
    assert_eq!((words[1], words[7]), ("192.168.1.100", "eth0"), "{routes}");
    pings(&docker, "c1", "192.168.1.202");
    pings(&docker, "c1", "192.168.1.100");

    docker.ok("restart --time 0 c2");
    pings(&docker, "c2", "192.168.1.201");
    let refused = docker.cli("network rm public").unwrap_err();
    assert!(refused.contains("active endpoints"), "{refused}");

    let footprint = Footprint::of(&docker, &["c1", "c2"]);
    docker.ok("rm --force c2");
    docker.ok("rm --force c1");
    docker.ok("network rm public");
    assert!(!docker.ok("network ls").contains("public"));
    // Left to the end of the engine.
    create_network(&docker);
    docker.container("c3", "--network public").unwrap();
    let footprint = footprint.and(Footprint::of(&docker, &["c3"]));
    drop(docker);
    footprint.is_gone();
    eventually("links of the host", &false, || {
        fixture
            .host()
            .ip("-o link show")
            .unwrap()
            .contains("macvlan")
    });
}

fn pings(docker: &Docker, container: &str, address: &str) {
    docker
        .exec(container, &format!("ping -c 1 -W 5 {address}"))
        .unwrap();
}

fn a_container_outlives_the_daemon(engine: Engine) {
    let fixture = Fixture::new();
    fixture
        .wire()
        .ip("addr add 192.168.1.100/24 dev enp0s8")
        .unwrap();
    let mut docker = Docker::start(&fixture.host(), engine, "--live-restore");
    create_network(&docker);
    docker.container("c1", "--network public").unwrap();
    let pid = docker.pid_of("c1");
    let netns = docker.netns_of("c1");
    for end in [Docker::kill_daemon, Docker::stop_daemon] {
        end(&mut docker);
        let answer = probe::ping(&netns, "192.168.1.100".parse().unwrap(), PATIENCE).unwrap();
        assert!(answer.is_some(), "the container lost its network");
        docker.cli("ps").expect_err("nobody may answer");
        docker.start_daemon();
        assert_eq!(docker.pid_of("c1"), pid);
        pings(&docker, "c1", "192.168.1.100");
    }
    // Ended without a daemon that could do it.
    docker.kill_daemon();
    let footprint = Footprint::with_pids(&docker, vec![pid]);
    drop((netns, docker));
    footprint.is_gone();
}

/// What there is of an engine outside of itself.
struct Footprint {
    directory: PathBuf,
    containers: Vec<u32>,
    /// Numbers of namespaces: the engine's mounts, and the containers' networks.
    namespaces: Vec<u64>,
    /// Whether the machine has these by itself.
    places: Vec<(&'static str, bool)>,
}

impl Footprint {
    fn of(docker: &Docker, containers: &[&str]) -> Self {
        let pids = containers.iter().map(|name| docker.pid_of(name)).collect();
        Self::with_pids(docker, pids)
    }

    fn with_pids(docker: &Docker, containers: Vec<u32>) -> Self {
        let mut stat = docker.command(Path::new("stat"));
        let output = stat.args(["-Lc", "%i", "/proc/self/ns/mnt"]).output();
        let output = output.unwrap();
        let mounts = String::from_utf8(output.stdout).unwrap();
        let number = |pid: &u32| fs::metadata(format!("/proc/{pid}/ns/net")).unwrap().ino();
        let namespaces = containers.iter().map(number);
        let namespaces = namespaces.chain([mounts.trim().parse().unwrap()]).collect();
        Self {
            directory: docker.directory().to_owned(),
            containers,
            namespaces,
            places: PLACES
                .map(|place| (place, Path::new(place).exists()))
                .to_vec(),
        }
    }

    fn and(mut self, other: Self) -> Self {
        self.containers.extend(other.containers);
        self.namespaces.extend(other.namespaces);
        self
    }

    fn is_gone(&self) {
        let Self {
            directory,
            containers,
            namespaces,
            places,
        } = self;
        assert!(!directory.exists(), "{} is left", directory.display());
        for pid in containers {
            assert!(
                !Path::new(&format!("/proc/{pid}")).exists(),
                "container's process {pid} is left"
            );
        }
        let name = directory.file_name().unwrap().to_str().unwrap();
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
        assert!(!mounts.contains(name), "mounts are left: {mounts}");
        for process in fs::read_dir("/proc").unwrap().flatten() {
            let command = fs::read(process.path().join("cmdline")).unwrap_or_default();
            let command = String::from_utf8_lossy(&command).replace('\0', " ");
            assert!(!command.contains(name), "a process is left: {command}");
            for kind in ["ns/mnt", "ns/net"] {
                let inside = fs::metadata(process.path().join(kind))
                    .is_ok_and(|namespace| namespaces.contains(&namespace.ino()));
                assert!(!inside, "a process is left inside: {command}");
            }
        }
        for hierarchy in fs::read_dir("/sys/fs/cgroup").unwrap().flatten() {
            let group = hierarchy.path().join(name);
            assert!(!group.exists(), "{} is left", group.display());
        }
        assert!(!Path::new("/sys/fs/cgroup").join(name).exists());
        for (place, there) in places {
            assert_eq!(Path::new(place).exists(), *there, "{place}");
        }
    }
}

/// Where engines write beside their own directories.
const PLACES: [&str; 7] = [
    "/etc/docker",
    "/opt/containerd",
    "/run/containerd",
    "/run/docker",
    "/var/lib/containerd",
    "/var/lib/docker",
    "/var/lib/docker-engine",
];
