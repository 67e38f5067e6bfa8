//! [`DockerHost`]: a host with Docker and vnet.

use std::{
    thread,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use serde_json::Value;
use vnet_user::lab::probe;

use super::{Docker, Engine};
use crate::{Container, Fixture, Foreground, PATIENCE, mac_of};

/// Where dockerd looks for a driver `vnet`, whatever its own directories are.
const PLUGIN: &str = "/run/docker/plugins/vnet.sock";

/// `enp0s8` of a lab's host with an engine and `vnet-user serve`, which attaches what it is asked for by Docker.
pub struct DockerHost {
    // Dropped in this order: what holds a namespace of the next goes first.
    /// While it runs.
    serve: Option<Foreground>,
    pub docker: Docker,
    pub fixture: Fixture,
}

impl DockerHost {
    /// Starts both in a lab, the driver first. `extra` are arguments of dockerd.
    ///
    /// # Panics
    ///
    /// When they do not come up.
    pub fn start(fixture: Fixture, engine: Engine, extra: &str) -> Self {
        let docker = Docker::prepare(&fixture.host(), engine, extra);
        let host = Self::boot(fixture, docker);
        host.docker.import_image();
        host
    }

    /// Starts both as a host does when it boots, the driver first. An image is in the engine's data, if it is anywhere.
    ///
    /// # Panics
    ///
    /// When they do not come up.
    pub fn boot(fixture: Fixture, docker: Docker) -> Self {
        let mut host = Self {
            docker,
            serve: None,
            fixture,
        };
        host.start_serve();
        host.docker.start_daemon();
        host
    }

    /// Leaves all that runs to itself, until the machine ends.
    pub fn leave(self) {
        let Self {
            serve,
            docker,
            fixture,
        } = self;
        docker.leave();
        std::mem::forget((serve, fixture));
    }

    /// Starts `vnet-user serve`, and returns what it said first.
    ///
    /// # Panics
    ///
    /// When it says nothing.
    pub fn start_serve(&mut self) -> String {
        let vnet = &self.fixture.vnet;
        let mut command = vnet.command_under(&self.docker.enter(), "serve");
        command.env("VNET_DOCKER_SOCKET", PLUGIN);
        let (serve, first) = Foreground::of(command, "serve");
        self.serve = Some(serve);
        first
    }

    /// Ends it as the kernel would when memory is short.
    ///
    /// # Panics
    ///
    /// When it does not run.
    pub fn kill_serve(&mut self) {
        let serve = self.serve.take().expect("serve runs");
        assert_eq!(serve.end(Signal::SIGKILL), None);
    }

    /// Ends it as systemd would.
    ///
    /// # Panics
    ///
    /// When it does not run, or ends otherwise.
    pub fn end_serve(&mut self) {
        let serve = self.serve.take().expect("serve runs");
        assert_eq!(serve.end(Signal::SIGTERM), Some(0));
    }

    /// What `serve` has said on standard error.
    pub fn serve_said(&self) -> Vec<String> {
        self.serve
            .as_ref()
            .map(Foreground::stderr)
            .unwrap_or_default()
    }

    /// `docker network create -d vnet …`.
    ///
    /// # Panics
    ///
    /// When it fails.
    pub fn network(&self, arguments: &str) {
        self.docker
            .ok(&format!("network create -d vnet {arguments}"));
    }

    /// `docker run --name NAME …`. Returns the container.
    ///
    /// # Panics
    ///
    /// When it fails.
    pub fn run(&self, name: &str, options: &str) -> Container {
        self.docker
            .container(name, options)
            .unwrap_or_else(|error| panic!("{name}: {error}; serve said {:?}", self.serve_said()));
        self.container(name)
    }

    /// A container that dockerd starts by itself, once it runs.
    ///
    /// # Panics
    ///
    /// When it does not in time.
    pub fn restarted(&self, name: &str) -> Container {
        let deadline = Instant::now() + 2 * PATIENCE;
        let line = format!("inspect --format {{{{.State.Running}}}} {name}");
        while self.docker.ok(&line).trim() != "true" {
            assert!(
                Instant::now() < deadline,
                "{name} does not run; serve said {:?}; Docker's log: {}",
                self.serve_said(),
                self.docker.log()
            );
            thread::sleep(Duration::from_millis(20));
        }
        self.container(name)
    }

    /// A container that runs, as the lab sees it.
    pub fn container(&self, name: &str) -> Container {
        let netns = self.docker.netns_of(name);
        let shown: Value =
            serde_json::from_str(&self.docker.ok(&format!("inspect {name}"))).unwrap();
        let networks = shown[0]["NetworkSettings"]["Networks"].as_object().unwrap();
        let network = networks.values().next().unwrap();
        let id = network["EndpointID"].as_str().unwrap();
        Container {
            id: id[..12].to_owned(),
            mac: mac_of(&netns, "eth0"),
            netns,
        }
    }

    /// The ttl of the answer to a container's ping; nothing where there is none.
    pub fn ttl(&self, from: &Container, to: &str) -> Option<u8> {
        let answer = probe::ping(&from.netns, to.parse().unwrap(), PATIENCE);
        answer.unwrap().map(|echo| echo.ttl)
    }
}
