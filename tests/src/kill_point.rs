//! Kills a command just before its n-th system call that changes something, so that a test can go through all the states
//! that a killed command can leave: what is there changes only by these calls.
//!
//! A small tracer, because `strace -e inject=…:when=n` counts in each thread by itself: the calls of a thread that lives
//! beside a longer one, as the one that sets up a container's end does, are never the n-th. It also cannot tell a netlink
//! request that asks from one that changes.

use std::{
    fs::{self, File},
    io::Read as _,
    os::unix::{fs::FileExt as _, process::CommandExt as _},
    process::{Child, Command, Stdio},
    thread,
};

use nix::{
    sys::{
        ptrace::{self, Options},
        signal::{Signal, kill},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::Pid,
};

use crate::syscall::{Syscall, WRITE, change};

/// How a traced command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Its exit code, or nothing when it was killed.
    pub code: Option<i32>,
    /// The changes that it made; of a killed command the last one is what it was about to make.
    pub changes: Vec<String>,
    /// What it wrote to standard error.
    pub stderr: String,
}

impl Ended {
    /// Whether it was killed.
    pub fn is_killed(&self) -> bool {
        self.code.is_none()
    }
}

/// Runs a command to its end, or kills it (SIGKILL, so nothing of it runs any more) just before its `nth` change.
///
/// # Panics
///
/// When it cannot be started or traced.
pub fn run(command: Command, nth: Option<usize>) -> Ended {
    // The kernel makes the thread that starts a process its tracer, and `waitpid` below must meet no other child.
    thread::scope(|scope| {
        scope
            .spawn(|| trace(command, nth))
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn trace(mut command: Command, nth: Option<usize>) -> Ended {
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    // SAFETY: between fork and exec the closure makes one system call; it takes no lock and allocates nothing.
    unsafe {
        command.pre_exec(|| ptrace::traceme().map_err(Into::into));
    }
    let child = command.spawn().unwrap();
    let main = Pid::from_raw(i32::try_from(child.id()).unwrap());
    let mut tracer = Tracer {
        main,
        nth,
        changes: Vec::new(),
        before: None,
    };
    let code = tracer.follow();
    Ended {
        code,
        changes: tracer.changes,
        stderr: stderr_of(child),
    }
}

/// The process has been waited for already, so only its pipe is left.
fn stderr_of(mut child: Child) -> String {
    let mut text = String::new();
    if let Some(mut pipe) = child.stderr.take() {
        pipe.read_to_string(&mut text).unwrap();
    }
    text.trim().to_owned()
}

struct Tracer {
    main: Pid,
    nth: Option<usize>,
    changes: Vec<String>,
    /// The last change, also where it was no case of its own.
    before: Option<String>,
}

impl Tracer {
    /// Follows all threads until the process is gone, and returns its exit code.
    fn follow(&mut self) -> Option<i32> {
        // A process that asked to be traced stops when its new program begins.
        let first = waitpid(self.main, Some(WaitPidFlag::__WALL)).unwrap();
        assert_eq!(first, WaitStatus::Stopped(self.main, Signal::SIGTRAP));
        let options = Options::PTRACE_O_TRACESYSGOOD
            | Options::PTRACE_O_TRACECLONE
            | Options::PTRACE_O_TRACEFORK
            | Options::PTRACE_O_TRACEVFORK
            | Options::PTRACE_O_EXITKILL;
        ptrace::setoptions(self.main, options).unwrap();
        go_on(self.main, None);
        loop {
            // Only this thread's own: other tests' children are not ours to wait for.
            let flags = WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD;
            match waitpid(None, Some(flags)).unwrap() {
                WaitStatus::PtraceSyscall(thread) => self.syscall(thread),
                WaitStatus::Stopped(thread, Signal::SIGSTOP | Signal::SIGTRAP)
                | WaitStatus::PtraceEvent(thread, ..) => go_on(thread, None),
                WaitStatus::Stopped(thread, signal) => go_on(thread, Some(signal)),
                WaitStatus::Exited(thread, code) if thread == self.main => return Some(code),
                WaitStatus::Signaled(thread, ..) if thread == self.main => return None,
                _ => {}
            }
        }
    }

    fn syscall(&mut self, thread: Pid) {
        let change = entered(thread).and_then(|syscall| change(&syscall, &Memory(thread)));
        // Of many writes to one file, the second finds a part in it; the others would be no other case.
        let is_write = change
            .as_ref()
            .is_some_and(|change| change.starts_with(WRITE));
        let repeats = is_write && self.before == change;
        let is_case = match is_write {
            true => repeats && self.changes.last() != change.as_ref(),
            false => change.is_some(),
        };
        if change.is_some() {
            self.before.clone_from(&change);
        }
        if is_case {
            self.changes.extend(change);
            if self.nth == Some(self.changes.len()) {
                // The call is not made any more: SIGKILL ends a thread that waits for its tracer before it gets to it.
                kill(self.main, Signal::SIGKILL).unwrap();
                return;
            }
        }
        go_on(thread, None);
    }
}

/// The system call that a stopped thread is about to make, or nothing when it comes back from one.
fn entered(thread: Pid) -> Option<Syscall> {
    // A thread that is killed by another's exit can no longer be asked.
    let info = ptrace::syscall_info(thread).ok()?;
    if info.op != libc::PTRACE_SYSCALL_INFO_ENTRY {
        return None;
    }
    // SAFETY: of the union, `entry` is what the kernel filled for this kind of stop.
    let entry = unsafe { info.u.entry };
    Some(Syscall {
        number: entry.nr.cast_signed(),
        arguments: entry.args,
    })
}

/// Lets a stopped thread run to its next stop. One that is gone meanwhile needs nothing.
fn go_on(thread: Pid, signal: Option<Signal>) {
    let _ = ptrace::syscall(thread, signal);
}

/// What a stopped thread's pointers and descriptors mean.
pub struct Memory(Pid);

impl Memory {
    /// Bytes at an address, or nothing where there is no memory.
    pub fn read<const N: usize>(&self, address: u64) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        let memory = File::open(format!("/proc/{}/mem", self.0)).ok()?;
        memory.read_exact_at(&mut bytes, address).ok()?;
        Some(bytes)
    }

    /// What a descriptor is open on, as `ls -l /proc/<pid>/fd` shows it.
    pub fn descriptor(&self, fd: u64) -> Option<String> {
        let target = fs::read_link(format!("/proc/{}/fd/{}", self.0, fd as i32)).ok()?;
        Some(target.to_string_lossy().into_owned())
    }
}
