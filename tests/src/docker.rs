//! [`Docker`]: a real Docker engine in a lab's host.

mod holder;
mod host;
mod image;

use std::{
    env, fs,
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::Command,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;
use vnet_user::lab::Netns;

use self::holder::Holder;
pub use self::host::DockerHost;
use crate::PATIENCE;

/// What the names of the tests' files begin with; what is left after SIGKILL is swept by it.
const LAB: &str = "vnet-test";
/// The directory of an engine whose data is kept.
const KEPT: &str = "vnet-test-docker";

/// An engine that `cargo xtask setup` has fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// Docker 20.10, of Debian's bookworm.
    Bookworm,
    /// Docker 26.1, of Debian's trixie.
    Trixie,
}

impl Engine {
    /// What `docker version` begins with.
    pub fn version(self) -> &'static str {
        match self {
            Self::Bookworm => "20.10.",
            Self::Trixie => "26.1.",
        }
    }

    fn directory(self) -> PathBuf {
        let all = env::var("VNET_DOCKER")
            .expect("VNET_DOCKER must name the engines' directory (`cargo xtask test` sets it)");
        Path::new(&all).join(match self {
            Self::Bookworm => "bookworm",
            Self::Trixie => "trixie",
        })
    }
}

/// An engine in a network namespace and a mount namespace of its own, with the image [`Docker::IMAGE`].
///
/// In the mount namespace `/run` is empty but for the names of network namespaces, so `/run/docker/plugins` is this
/// engine's alone; `/etc` and `/opt` take no change out. All else is as on the machine. Processes are in the machine's PID
/// namespace. When it is dropped, nothing of it stays.
pub struct Docker {
    holder: Holder,
    engine: PathBuf,
    netns: Netns,
    /// Arguments of dockerd.
    arguments: String,
    /// While dockerd runs.
    daemon: Option<Pid>,
    directory: TempDir,
}

impl Docker {
    /// The image that every engine has: busybox under all its names.
    pub const IMAGE: &str = "busybox";

    /// Starts an engine, and imports the image.
    ///
    /// # Panics
    ///
    /// When it does not come up.
    pub fn start(netns: &Netns, engine: Engine, extra: &str) -> Self {
        let mut docker = Self::prepare(netns, engine, extra);
        docker.start_daemon();
        docker.import_image();
        docker
    }

    /// Makes all that an engine needs, for what has to run before it: a plugin, say. [`Docker::start_daemon`] and
    /// [`Docker::import_image`] do the rest. `extra` is split at white space.
    ///
    /// # Panics
    ///
    /// When the mounts cannot be made.
    pub fn prepare(netns: &Netns, engine: Engine, extra: &str) -> Self {
        let prefix = format!("{LAB}-{}-docker-", std::process::id());
        let directory = tempfile::Builder::new().prefix(&prefix).tempdir().unwrap();
        Self::prepare_in(directory, netns, engine, extra, None)
    }

    /// As [`Docker::prepare`], with what a host keeps from boot to boot in `data`, and paths that are the same in each.
    ///
    /// # Panics
    ///
    /// When there is such an engine already.
    pub fn prepare_kept(netns: &Netns, engine: Engine, extra: &str, data: &Path) -> Self {
        let mut directory = tempfile::Builder::new();
        let directory = directory.prefix(KEPT).rand_bytes(0).tempdir().unwrap();
        Self::prepare_in(directory, netns, engine, extra, Some(data))
    }

    fn prepare_in(
        directory: TempDir,
        netns: &Netns,
        engine: Engine,
        extra: &str,
        kept: Option<&Path>,
    ) -> Self {
        let below = directory.path();
        let group = below.file_name().unwrap().to_str().unwrap();
        // A machine's own configuration must not be read.
        fs::write(below.join("daemon.json"), "{}").unwrap();
        let d = below.display();
        let arguments = format!(
            "--config-file {d}/daemon.json --data-root {d}/data --exec-root {d}/exec --pidfile {d}/pid \
             -H unix://{d}/docker.sock --storage-driver vfs --iptables=false --ip6tables=false --bridge=none \
             --cgroup-parent /{group} {extra}"
        );
        let engine = engine.directory();
        assert!(
            engine.is_dir(),
            "{} is not there; run `cargo xtask setup`",
            engine.display()
        );
        Self {
            holder: Holder::start(&engine, below, group, kept),
            engine,
            netns: netns.clone(),
            arguments,
            daemon: None,
            directory,
        }
    }

    /// Starts dockerd, also again on the same data, and returns when it answers.
    ///
    /// # Panics
    ///
    /// When it runs already, or does not answer in time.
    pub fn start_daemon(&mut self) {
        assert_eq!(self.daemon, None, "dockerd runs already");
        let line = format!(
            "nsenter --net=/run/netns/{} dockerd {} </dev/null >>{} 2>&1 & echo $!",
            self.netns.name(),
            self.arguments,
            self.log_path().display()
        );
        let pid = self.holder.run(&line).trim().parse().unwrap();
        let pid = Pid::from_raw(pid);
        self.daemon = Some(pid);
        // It starts containers first, and asks for a driver that is not there for half a minute.
        let deadline = Instant::now() + 3 * PATIENCE;
        while !self.answers() {
            let ended = has_ended(pid);
            assert!(!ended, "dockerd has ended; its log: {}", self.log());
            let late = Instant::now() > deadline;
            assert!(!late, "dockerd does not answer; its log: {}", self.log());
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Imports [`Docker::IMAGE`]; once is enough.
    ///
    /// # Panics
    ///
    /// When dockerd refuses.
    pub fn import_image(&self) {
        let tar = self.directory().join("image.tar");
        image::write_tar(self.directory(), &tar);
        self.ok(&format!("import {} {}", tar.display(), Self::IMAGE));
    }

    /// Ends dockerd as systemd would. Containers end too, but with `--live-restore`.
    ///
    /// # Panics
    ///
    /// When it does not end.
    pub fn stop_daemon(&mut self) {
        self.end_daemon(Signal::SIGTERM);
    }

    /// Ends dockerd as the kernel would when memory is short. Containers run on.
    ///
    /// # Panics
    ///
    /// When it does not run.
    pub fn kill_daemon(&mut self) {
        self.end_daemon(Signal::SIGKILL);
    }

    /// Ends all that runs, as a power cut would, and leaves what is on disk.
    ///
    /// # Panics
    ///
    /// When dockerd does not run.
    pub fn cut_power(&mut self, containers: &[&str]) {
        let inside: Vec<_> = containers.iter().map(|name| self.pid_of(name)).collect();
        self.kill_daemon();
        let inside = inside
            .into_iter()
            .map(|pid| Pid::from_raw(pid.cast_signed()));
        // First: they tell of the end of their container.
        let all: Vec<_> = self.shims().into_iter().chain(inside).collect();
        for pid in &all {
            kill(*pid, Signal::SIGKILL).unwrap();
        }
        let deadline = Instant::now() + PATIENCE;
        while !all.iter().copied().all(has_ended) {
            assert!(Instant::now() < deadline, "what was killed did not end");
            thread::sleep(Duration::from_millis(10));
        }
        let exec = self.directory().join("exec");
        let exec = exec.display();
        self.holder.run(&format!(
            "umount /run/docker/netns/* 2>/dev/null; rm -rf {exec}/* /run/docker/netns /run/containerd; true"
        ));
    }

    /// Leaves the engine and its containers to themselves, until the machine ends.
    pub fn leave(self) {
        self.holder.leave();
        std::mem::forget(self.directory);
    }

    /// The processes that hold this engine's containers.
    fn shims(&self) -> Vec<Pid> {
        let mine = self.directory().display().to_string();
        let processes = fs::read_dir("/proc").unwrap().flatten();
        let shims = processes.filter(|process| {
            let command = fs::read(process.path().join("cmdline")).unwrap_or_default();
            let command = String::from_utf8_lossy(&command);
            command.contains("containerd-shim") && command.contains(&mine)
        });
        let pids = shims.filter_map(|process| process.file_name().to_str()?.parse().ok());
        pids.map(Pid::from_raw).collect()
    }

    fn end_daemon(&mut self, signal: Signal) {
        let pid = self.daemon.take().expect("dockerd runs");
        let containerd = self.containerd();
        kill(pid, signal).unwrap();
        let deadline = Instant::now() + PATIENCE;
        while ![Some(pid), containerd].into_iter().flatten().all(has_ended) {
            let late = Instant::now() > deadline;
            assert!(!late, "{signal} did not end it; its log: {}", self.log());
            thread::sleep(Duration::from_millis(10));
        }
        // As long as nobody has asked for its status, the next one takes it for running. The status itself is no matter.
        // Its containerd is nobody's child now: the next dockerd would take that for running too, and wait for it in vain.
        let file = self.containerd_pid_path();
        self.holder
            .run(&format!("wait {pid}; rm -f {}", file.display()));
    }

    /// The containerd that dockerd has started.
    fn containerd(&mut self) -> Option<Pid> {
        let file = self.containerd_pid_path();
        // There is no end of line in it.
        let line = format!("echo $(cat {} 2>/dev/null)", file.display());
        let pid = self.holder.run(&line).trim().parse().ok()?;
        Some(Pid::from_raw(pid))
    }

    fn containerd_pid_path(&self) -> PathBuf {
        self.directory().join("exec/containerd/containerd.pid")
    }

    /// Runs `docker` with these arguments, split at white space, and returns what it printed.
    ///
    /// # Errors
    ///
    /// What it wrote to standard error when it failed.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    pub fn cli(&self, arguments: &str) -> Result<String, String> {
        self.cli_words(&arguments.split_whitespace().collect::<Vec<_>>())
    }

    /// Runs `docker` with arguments that may have to wait; whether it succeeds is known when the thread ends.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    pub fn background(&self, arguments: &str) -> JoinHandle<bool> {
        let mut command = self.cli_command(&arguments.split_whitespace().collect::<Vec<_>>());
        thread::spawn(move || command.output().unwrap().status.success())
    }

    /// As [`Docker::cli`], with arguments that have white space in them.
    ///
    /// # Errors
    ///
    /// As [`Docker::cli`].
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    pub fn cli_words(&self, arguments: &[&str]) -> Result<String, String> {
        let output = self.cli_command(arguments).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match output.status.success() {
            true => Ok(text(&output.stdout)),
            false => Err(text(&output.stderr).trim().to_owned()),
        }
    }

    fn cli_command(&self, arguments: &[&str]) -> Command {
        let program = self.engine.join("usr/bin/docker");
        let mut command = self.command(&program);
        command
            .arg(format!("-Hunix://{}", self.socket().display()))
            .args(arguments)
            .env("DOCKER_CONFIG", self.directory());
        command
    }

    /// Runs `docker` with arguments that must succeed.
    ///
    /// # Panics
    ///
    /// When they do not.
    pub fn ok(&self, arguments: &str) -> String {
        self.cli(arguments)
            .unwrap_or_else(|error| panic!("`docker {arguments}`: {error}"))
    }

    /// Starts a container that waits to be told to end; `options` as of `docker run`.
    ///
    /// # Errors
    ///
    /// As [`Docker::cli`].
    pub fn container(&self, name: &str, options: &str) -> Result<(), String> {
        // Without --init its first process hears no SIGTERM that it does not catch: `docker stop` would take 10 s.
        let run = format!("run -d --name {name} --stop-signal KILL {options}");
        self.cli(&format!("{run} {} sleep 1000000", Self::IMAGE))
            .map(drop)
    }

    /// Runs a command in a container, and returns what it printed.
    ///
    /// # Errors
    ///
    /// As [`Docker::cli`].
    pub fn exec(&self, container: &str, command: &str) -> Result<String, String> {
        self.cli(&format!("exec {container} {command}"))
    }

    /// The process id of a running container, on this machine.
    ///
    /// # Panics
    ///
    /// When it does not run.
    pub fn pid_of(&self, container: &str) -> u32 {
        let shown = self.ok(&format!("inspect --format {{{{.State.Pid}}}} {container}"));
        let pid = shown.trim().parse().unwrap();
        assert_ne!(pid, 0, "{container} does not run");
        pid
    }

    /// The network namespace of a running container, for sockets and probes in it.
    ///
    /// # Panics
    ///
    /// When it does not run.
    pub fn netns_of(&self, container: &str) -> Netns {
        Netns::open(&format!("/proc/{}/ns/net", self.pid_of(container))).unwrap()
    }

    /// A command in the engine's mount and network namespace; dockerd need not run. Its process is the caller's child, and
    /// the caller's to end.
    pub fn command(&self, program: &Path) -> Command {
        self.holder.command(&self.netns, program)
    }

    /// A wrapper that brings a command into the engine's mount namespace, for `Binary::command_under`. The process id stays.
    pub fn enter(&self) -> String {
        format!("nsenter --mount=/proc/{}/ns/mnt --", self.holder.pid())
    }

    /// Where all files of this engine are.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// What dockerd has said so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    fn log_path(&self) -> PathBuf {
        self.directory().join("log")
    }

    fn socket(&self) -> PathBuf {
        self.directory().join("docker.sock")
    }

    /// Whether the API answers; without the command, which takes a tenth of a second by itself.
    fn answers(&self) -> bool {
        let ask = || -> std::io::Result<bool> {
            let mut stream = UnixStream::connect(self.socket())?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.write_all(b"GET /_ping HTTP/1.0\r\n\r\n")?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer.contains(" 200 OK"))
        };
        ask().unwrap_or(false)
    }
}

/// Whether a process is gone, or waits for its parent only.
fn has_ended(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ")
        .next()
        .is_none_or(|rest| rest.is_empty() || rest.starts_with('Z'))
}
