//! [`Systemd`]: a real systemd, in an emulated machine.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;
use vnet_user::lab::Netns;

use crate::{PATIENCE, eventually_within};

/// systemd with a root of its own, in a lab's network namespace. Only a machine of the test's own may have it: control groups
/// and the BPF file system are the machine's.
pub struct Systemd {
    child: Child,
    /// systemd itself.
    pid: u32,
    _directory: TempDir,
}

impl Systemd {
    /// Starts it, and waits until it has come up.
    ///
    /// # Panics
    ///
    /// When it does not.
    pub fn start(netns: &Netns) -> Self {
        let all = env::var("VNET_SYSTEMD")
            .expect("VNET_SYSTEMD must name systemd's directory (`cargo xtask test` sets it)");
        let directory = tempfile::tempdir().unwrap();
        let mut command = netns.command("unshare");
        command
            .args(["--pid", "--fork", "--mount", "--kill-child", "sh", "-c"])
            .args([include_str!("systemd.sh"), "systemd.sh"])
            .args([Path::new(&all).join("bookworm").as_path(), directory.path()])
            .stdin(Stdio::null());
        let child = command.spawn().unwrap();
        let mut systemd = Self {
            pid: 0,
            child,
            _directory: directory,
        };
        let what = "that systemd has come up";
        eventually_within(4 * PATIENCE, what, &true, || systemd.has_come_up());
        systemd
    }

    fn has_come_up(&mut self) -> bool {
        let ended = self.child.try_wait().unwrap();
        assert!(ended.is_none(), "systemd ended: {ended:?}");
        let unshare = self.child.id();
        let children = format!("/proc/{unshare}/task/{unshare}/children");
        let children = fs::read_to_string(children).unwrap_or_default();
        let Ok(pid) = children.trim().parse() else {
            return false;
        };
        self.pid = pid;
        let Ok(root) = fs::read_link(format!("/proc/{pid}/root")) else {
            return false;
        };
        root != Path::new("/") && self.run("systemctl is-active basic.target").is_ok()
    }

    /// Runs a command inside, split at white space, and returns what it printed.
    ///
    /// # Errors
    ///
    /// All that it printed when it failed.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    pub fn run(&self, command: &str) -> Result<String, String> {
        let output = Command::new("nsenter")
            .arg(format!("--target={}", self.pid))
            .args(["--mount", "--pid", "--net", "--root", "--wdns=/", "--"])
            .args(command.split_whitespace())
            .output()
            .unwrap();
        let [printed, errors] = [&output.stdout, &output.stderr];
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        match output.status.success() {
            true => Ok(text(printed)),
            false => Err(text(&[printed.as_slice(), errors].concat())),
        }
    }

    /// Runs a command that must succeed.
    ///
    /// # Panics
    ///
    /// When it does not.
    pub fn ok(&self, command: &str) -> String {
        self.run(command)
            .unwrap_or_else(|error| panic!("`{command}`: {error}; {}", self.log()))
    }

    /// Where a file of it is for others.
    pub fn path(&self, path: &str) -> PathBuf {
        format!("/proc/{}/root{path}", self.pid).into()
    }

    /// What services have said.
    fn log(&self) -> String {
        self.run("journalctl --no-pager --lines=60")
            .unwrap_or_else(|error| error)
    }
}

impl Drop for Systemd {
    fn drop(&mut self) {
        // With it goes its PID namespace.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
