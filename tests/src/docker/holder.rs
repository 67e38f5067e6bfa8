//! The process above an engine, which outlives dockerd, and takes everything along when it ends.

use std::{
    fs::File,
    io::{self, BufRead as _, BufReader, Write as _},
    os::{fd::AsFd as _, unix::process::CommandExt as _},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use nix::{
    sched::{CloneFlags, setns, unshare},
    sys::{
        prctl,
        signal::{Signal, kill},
    },
    unistd::Pid,
};
use vnet_user::lab::Netns;

use crate::PATIENCE;

/// A shell in a mount namespace of its own. It ends with its standard input, so also when this process is killed.
pub struct Holder {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    mounts: Arc<File>,
}

impl Holder {
    /// Makes the namespace.
    ///
    /// # Panics
    ///
    /// When that fails.
    pub fn start(engine: &Path, directory: &Path, group: &str, kept: Option<&Path>) -> Self {
        let mut command = Command::new("sh");
        command
            .args(["-c", include_str!("holder.sh"), "holder"])
            .args([engine, directory])
            .arg(group)
            .args(kept)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0);
        // SAFETY: between fork and exec the closure only makes system calls.
        unsafe {
            command.pre_exec(|| {
                unshare(CloneFlags::CLONE_NEWNS)?;
                prctl::set_child_subreaper(true).map_err(io::Error::from)
            });
        }
        let mut child = command.spawn().expect("sh runs");
        let mounts = File::open(format!("/proc/{}/ns/mnt", child.id())).unwrap();
        let mut holder = Self {
            stdin: child.stdin.take(),
            stdout: BufReader::new(child.stdout.take().unwrap()),
            child,
            mounts: Arc::new(mounts),
        };
        assert_eq!(holder.answer().0, 0, "the mounts of an engine");
        holder
    }

    /// Its process id, by which `nsenter` finds the mount namespace.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Leaves all that runs to itself, until the machine ends.
    ///
    /// # Panics
    ///
    /// When it has ended.
    pub fn leave(self) {
        let pid = Pid::from_raw(self.child.id().cast_signed());
        kill(pid, Signal::SIGSTOP).unwrap();
        std::mem::forget(self);
    }

    /// Runs a line of shell, and returns what it printed. It must not take long: nobody watches the time.
    ///
    /// # Panics
    ///
    /// When it fails.
    pub fn run(&mut self, line: &str) -> String {
        let stdin = self.stdin.as_mut().expect("open until the end");
        writeln!(stdin, "{line}").unwrap();
        let (status, printed) = self.answer();
        assert_eq!(status, 0, "`{line}` in the holder: {printed}");
        printed
    }

    /// A command in this mount namespace and a network namespace.
    pub fn command(&self, netns: &Netns, program: &Path) -> Command {
        let mut command = netns.command(program);
        let mounts = Arc::clone(&self.mounts);
        // SAFETY: between fork and exec the closure only makes the setns system call, on a descriptor that the closure
        // itself keeps open; it takes no lock and allocates nothing.
        unsafe {
            command.pre_exec(move || {
                setns(mounts.as_fd(), CloneFlags::CLONE_NEWNS).map_err(io::Error::from)
            });
        }
        command
    }

    fn answer(&mut self) -> (i32, String) {
        let mut printed = String::new();
        loop {
            let mut line = String::new();
            let bytes = self.stdout.read_line(&mut line).unwrap();
            assert_ne!(bytes, 0, "the holder has ended: {printed}");
            match line.trim_end().strip_prefix("done ") {
                Some(status) => return (status.parse().unwrap(), printed),
                None => printed.push_str(&line),
            }
        }
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        drop(self.stdin.take());
        let deadline = Instant::now() + PATIENCE;
        while let Ok(None) = self.child.try_wait() {
            if Instant::now() > deadline {
                let _ = self.child.kill();
                let _ = self.child.wait();
                // A panic while another is on its way would end all the tests.
                eprintln!("the holder of an engine had to be killed: something may be left");
                return;
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
}
