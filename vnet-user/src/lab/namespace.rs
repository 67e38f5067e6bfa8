//! One network namespace: made by `ip netns add`, entered by a thread or a child process, removed on drop.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    ops::Deref,
    os::{fd::AsFd as _, unix::process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use nix::{
    sched::{CloneFlags, setns},
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::{LabError, Mac, Result};

/// Where iproute2 keeps named namespaces.
const NETNS_DIR: &str = "/run/netns";

/// A handle to a namespace, to run things inside it. Cheap to clone; does not keep the name alive, see [`Namespace`].
#[derive(Clone, Debug)]
pub struct Netns {
    name: Arc<str>,
    file: Arc<File>,
}

impl Netns {
    /// Opens a namespace that `ip netns` knows.
    ///
    /// # Errors
    ///
    /// [`LabError::Io`] when there is none of this name.
    pub fn open(name: &str) -> Result<Self> {
        let path = Path::new(NETNS_DIR).join(name);
        let file = File::open(&path).map_err(LabError::io(format!("open {}", path.display())))?;
        Ok(Self {
            name: name.into(),
            file: Arc::new(file),
        })
    }

    /// The namespace of the calling thread: where a machine's real devices are.
    ///
    /// # Errors
    ///
    /// [`LabError::Io`] without /proc.
    pub fn current() -> Result<Self> {
        let path = "/proc/thread-self/ns/net";
        let file = File::open(path).map_err(LabError::io(format!("open {path}")))?;
        Ok(Self {
            name: "the machine's own namespace".into(),
            file: Arc::new(file),
        })
    }

    /// The name `ip netns` knows it by.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file that stands for a named namespace, as a container runtime would hand it over.
    pub fn path(&self) -> PathBuf {
        Path::new(NETNS_DIR).join(&*self.name)
    }

    /// A command that will run inside.
    ///
    /// Not by `ip netns exec`: that also makes a new mount namespace with a fresh `/sys`, which hides the BPF file system
    /// with the pins that a test wants to see. The child gets a process group of its own, so that a Ctrl-C at the terminal
    /// reaches only us, and we decide what happens to it.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.stdin(Stdio::null()).process_group(0);
        let file = Arc::clone(&self.file);
        // SAFETY: between fork and exec the closure only makes the setns system call, on a descriptor that the closure
        // itself keeps open; it takes no lock and allocates nothing.
        unsafe {
            command.pre_exec(move || {
                setns(file.as_fd(), CloneFlags::CLONE_NEWNET).map_err(io::Error::from)
            });
        }
        command
    }

    /// Runs a command line inside, split at white space, and returns what it wrote to standard output.
    ///
    /// # Errors
    ///
    /// [`LabError::Spawn`] when it cannot be started, [`LabError::Command`] when it fails.
    pub fn sh(&self, line: &str) -> Result<String> {
        let mut words = line.split_whitespace();
        let mut command = self.command(words.next().unwrap_or_default());
        command.args(words);
        let output = command.output().map_err(spawn_error(line))?;
        self.succeeded(line, &output)
    }

    /// Runs `ip` inside with these arguments, split at white space.
    ///
    /// # Errors
    ///
    /// As [`Netns::sh`].
    pub fn ip(&self, arguments: &str) -> Result<String> {
        self.sh(&format!("ip {arguments}"))
    }

    /// The value that stands behind `name` in `ip link show` of a device.
    ///
    /// # Errors
    ///
    /// [`LabError::Unexpected`] when there is none.
    pub fn link_value(&self, device: &str, name: &str) -> Result<String> {
        let shown = self.ip(&format!("link show dev {device}"))?;
        let mut words = shown.split_whitespace().skip_while(|word| *word != name);
        words
            .nth(1)
            .map(str::to_owned)
            .ok_or_else(|| LabError::Unexpected {
                expected: format!("`{name}` of {device}"),
                found: shown.clone(),
            })
    }

    /// Ethernet address of a device.
    ///
    /// # Errors
    ///
    /// As [`Netns::link_value`].
    pub fn mac_of(&self, device: &str) -> Result<Mac> {
        self.link_value(device, "link/ether")?.parse()
    }

    /// Loads an nftables script inside.
    ///
    /// # Errors
    ///
    /// As [`Netns::sh`].
    pub fn nft(&self, script: &str) -> Result<()> {
        let line = "nft -f -";
        let mut command = self.command("nft");
        command.args(["-f", "-"]);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(spawn_error(line))?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin
                .write_all(script.as_bytes())
                .map_err(LabError::io("write a script to nft"))?;
        }
        let output = child.wait_with_output().map_err(spawn_error(line))?;
        self.succeeded(line, &output).map(drop)
    }

    /// Sets a sysctl inside, named as `sysctl` names it, with `/` between the parts (an interface name may hold dots).
    ///
    /// # Errors
    ///
    /// [`LabError::Io`] when the kernel has no such key or refuses the value.
    pub fn sysctl(&self, key: &str, value: &str) -> Result<()> {
        let path = Path::new("/proc/sys").join(key);
        // /proc/sys/net shows the namespace of the thread that opens it.
        self.run(|| fs::write(&path, value).map_err(LabError::io(format!("set {key}={value}"))))
    }

    /// Reads a sysctl inside.
    ///
    /// # Errors
    ///
    /// [`LabError::Io`] when the kernel has no such key.
    pub fn read_sysctl(&self, key: &str) -> Result<String> {
        let path = Path::new("/proc/sys").join(key);
        self.run(|| {
            fs::read_to_string(&path)
                .map(|value| value.trim().to_owned())
                .map_err(LabError::io(format!("read {key}")))
        })
    }

    /// Runs a closure inside, on a thread of its own: a thread that changed its namespace must not be used again.
    ///
    /// A socket that is made inside stays there, so it can be returned and used from anywhere.
    ///
    /// # Errors
    ///
    /// What the closure returns, or [`LabError::Io`] when the namespace cannot be entered.
    pub fn run<T: Send>(&self, inside: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        thread::scope(|scope| {
            let worker = scope.spawn(|| {
                setns(self.file.as_fd(), CloneFlags::CLONE_NEWNET).map_err(|errno| {
                    LabError::io(format!("enter namespace {}", self.name))(errno.into())
                })?;
                inside()
            });
            match worker.join() {
                Ok(result) => result,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }

    fn succeeded(&self, line: &str, output: &Output) -> Result<String> {
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(LabError::Command {
            command: line.to_owned(),
            netns: self.name.to_string(),
            status: output.status,
            stderr: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        })
    }
}

/// A namespace that we made: removed on drop, after the processes that were left running in it.
#[derive(Debug)]
pub struct Namespace {
    netns: Netns,
    children: Mutex<Vec<Child>>,
}

impl Namespace {
    /// Makes a namespace with loopback up, and nothing in it that talks by itself: no router solicitations, no
    /// autoconfiguration.
    ///
    /// # Errors
    ///
    /// [`LabError`] when there is one of this name, or we are not root.
    pub fn create(name: &str) -> Result<Self> {
        let line = format!("ip netns add {name}");
        let output = Command::new("ip")
            .args(["netns", "add", name])
            .stdin(Stdio::null())
            .process_group(0)
            .output()
            .map_err(spawn_error(&line))?;
        if !output.status.success() {
            return Err(LabError::Command {
                command: line,
                netns: "the machine's own namespace".to_owned(),
                status: output.status,
                stderr: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            });
        }
        // From here on a failure must not leave the name behind.
        let netns = Netns::open(name).inspect_err(|_| remove(name))?;
        let namespace = Self {
            netns,
            children: Mutex::default(),
        };
        namespace.ip("link set lo up")?;
        for key in ["accept_ra", "router_solicitations", "autoconf"] {
            for scope in ["default", "all"] {
                namespace.sysctl(&format!("net/ipv6/conf/{scope}/{key}"), "0")?;
            }
        }
        Ok(namespace)
    }

    /// Switches IPv6's duplicate address detection for interfaces that come later. Off saves a second or two per
    /// address; on is what a test of the detection itself needs, and the kernel's default.
    ///
    /// # Errors
    ///
    /// [`LabError::Io`] when the kernel has no IPv6.
    pub fn set_duplicate_detection(&self, on: bool) -> Result<()> {
        let value = if on { "1" } else { "0" };
        self.sysctl("net/ipv6/conf/default/accept_dad", value)?;
        self.sysctl("net/ipv6/conf/all/accept_dad", value)?;
        self.sysctl("net/ipv6/conf/default/dad_transmits", value)
    }

    /// Starts a process that may run until the namespace goes, and returns its process id.
    ///
    /// # Errors
    ///
    /// [`LabError::Spawn`].
    pub fn spawn(&self, mut command: Command) -> Result<u32> {
        let line = format!("{command:?}");
        let child = command.spawn().map_err(spawn_error(&line))?;
        let pid = child.id();
        self.children
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(child);
        Ok(pid)
    }
}

impl Deref for Namespace {
    type Target = Netns;

    fn deref(&self) -> &Netns {
        &self.netns
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let children = self
            .children
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        for child in children {
            // A child that ended by itself is not an error, and there is nobody to tell.
            let _ = child.kill();
            let _ = child.wait();
        }
        remove(&self.netns.name);
    }
}

/// Ends the processes inside a namespace, and removes its name.
pub(super) fn remove_with_processes(name: &str) {
    let listed = Command::new("ip")
        .args(["netns", "pids", name])
        .stdin(Stdio::null())
        .output();
    let pids = listed.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    for pid in pids.unwrap_or_default().split_whitespace() {
        if let Ok(pid) = pid.parse() {
            // One that has just ended is not an error.
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
    remove(name);
}

/// Removes a namespace's name; the kernel removes the rest when the last process, socket and descriptor is gone.
fn remove(name: &str) {
    let _ = Command::new("ip")
        .args(["netns", "del", name])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .status();
}

/// Adapter for `map_err` on starting a program.
fn spawn_error(line: &str) -> impl FnOnce(io::Error) -> LabError {
    let command = line.to_owned();
    move |source| LabError::Spawn { command, source }
}
