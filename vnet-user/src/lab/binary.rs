//! The `vnet-user` binary under observation, with state and pins of its own.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

use tempfile::TempDir;

use super::{LabError, Netns, Result};

/// Tells several of one process apart.
static NUMBER: AtomicU32 = AtomicU32::new(0);

/// Runs `vnet-user` in one namespace. What it left behind in directories goes when this is dropped; interfaces go with
/// their namespaces.
#[derive(Debug)]
pub struct Binary {
    program: PathBuf,
    netns: Netns,
    state: TempDir,
    pins: PathBuf,
}

/// What one command did.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The command line as a person would type it.
    pub command: String,
    /// Exit code, or none when a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error, trimmed.
    pub stderr: String,
}

impl Outcome {
    /// Whether it ended with exit code 0.
    pub fn ok(&self) -> bool {
        self.code == Some(0)
    }

    /// What a process that has ended left behind.
    pub fn from_output(command: String, output: &Output) -> Self {
        Self {
            command,
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        }
    }
}

impl Binary {
    /// A binary that will run in `netns`. Pins go to `/sys/fs/bpf/<name>-<pid>`, so that several can run side by side.
    ///
    /// # Errors
    ///
    /// [`LabError::Io`] when there is no room for the state.
    pub fn new(program: impl Into<PathBuf>, netns: &Netns, name: &str) -> Result<Self> {
        let process = std::process::id();
        let state = tempfile::Builder::new()
            .prefix(&format!("{name}-{process}-"))
            .tempdir()
            .map_err(LabError::io("make a directory for the state"))?;
        // The first one of a process has the plain name: it is what the demo shows to a person.
        let pins = match NUMBER.fetch_add(1, Ordering::Relaxed) {
            0 => format!("/sys/fs/bpf/{name}-{process}"),
            number => format!("/sys/fs/bpf/{name}-{process}-{number}"),
        };
        Ok(Self {
            program: program.into(),
            netns: netns.clone(),
            state,
            pins: pins.into(),
        })
    }

    /// Where the pins of this binary are.
    pub fn pins(&self) -> &Path {
        &self.pins
    }

    /// Where it writes its state down.
    pub fn state(&self) -> &Path {
        self.state.path()
    }

    /// Where its `serve` listens for Docker.
    pub fn docker_socket(&self) -> PathBuf {
        self.state.path().join("docker.sock")
    }

    /// Removes the pins while vnet runs, as a person might by hand.
    ///
    /// # Errors
    ///
    /// [`LabError::Io`].
    pub fn lose_pins(&self) -> Result<()> {
        fs::remove_dir_all(&self.pins).map_err(LabError::io("remove the pins"))
    }

    /// The same binary, with the same state and pins, in another namespace.
    pub fn command_in(&self, netns: &Netns, arguments: &str) -> Command {
        self.command_of(netns.command(&self.program), arguments)
    }

    /// The command, not started yet, run by another program such as strace.
    pub fn command_under(&self, wrapper: &str, arguments: &str) -> Command {
        let mut words = wrapper.split_whitespace();
        let mut command = self.netns.command(words.next().unwrap_or_default());
        command.args(words).arg(&self.program);
        self.command_of(command, arguments)
    }

    /// The command, not started yet: for what [`Binary::run`] cannot do, like killing it half-way.
    pub fn command(&self, arguments: &str) -> Command {
        self.command_of(self.netns.command(&self.program), arguments)
    }

    fn command_of(&self, mut command: Command, arguments: &str) -> Command {
        command
            .args(arguments.split_whitespace())
            .env("VNET_STATE_DIR", self.state.path())
            .env("VNET_BPF_DIR", &self.pins)
            .env("VNET_DOCKER_SOCKET", self.docker_socket())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs it with these arguments, split at white space, and waits for its end.
    ///
    /// # Errors
    ///
    /// [`LabError::Spawn`] when it cannot be started. That it fails is no error here: see [`Outcome::ok`].
    pub fn run(&self, arguments: &str) -> Result<Outcome> {
        let command = format!("vnet-user {arguments}");
        let output = self
            .command(arguments)
            .output()
            .map_err(|source| LabError::Spawn {
                command: format!("{} {arguments}", self.program.display()),
                source,
            })?;
        Ok(Outcome::from_output(command, &output))
    }
}

impl Drop for Binary {
    fn drop(&mut self) {
        // Programs run as long as they are attached or pinned. The namespace takes the attachments along; the pins are
        // outside of it and are ours to remove.
        remove_pins(&self.pins);
    }
}

/// Removes a directory of the BPF file system. Its files have no content to lose, only a reference to hold.
pub(super) fn remove_pins(directory: &Path) {
    let Ok(entries) = fs::read_dir(directory) else {
        return;
    };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            remove_pins(&path);
        } else {
            // Nobody to tell, and the next one may still go.
            let _ = fs::remove_file(path);
        }
    }
    let _ = fs::remove_dir(directory);
}
