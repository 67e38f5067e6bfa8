//! The runs: which tests, on which kernel, and what they are to find there.
//!
//! To add one, add a line to [`MACHINES`]; a new kernel is a [`Flavour`] in `vm/kernel.rs`.

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::libtest::{self, Executables, Tally};
use crate::vm::kernel::{Flavour, Kernel, LINUX_6_1, LINUX_6_12};
use crate::vm::qemu::{self, Job, Outcome};
use crate::vm::{self, initramfs, nics};
use crate::workspace::Workspace;

/// One run of a test executable in one environment.
pub struct Run {
    pub label: String,
    /// The hook that vnet must choose here: `tcx` or `clsact`. A test fails when it finds another.
    hook: &'static str,
    /// The endpoint device to use: `veth` or `netkit`.
    endpoint_device: &'static str,
    /// Whether the kernel has 802.1Q devices to compare with.
    has_8021q: bool,
    /// Whether there are the emulated NICs of [`nics`].
    has_nics: bool,
}

/// The runs in virtual machines: kernel, hook, endpoint device, and whether it is the NIC test instead of the lab.
const MACHINES: [(Flavour, &str, &str, bool); 5] = [
    (LINUX_6_1, "clsact", "veth", false),
    (LINUX_6_12, "tcx", "netkit", false),
    (LINUX_6_12, "tcx", "veth", false),
    (LINUX_6_1, "clsact", "veth", true),
    (LINUX_6_12, "tcx", "veth", true),
];

/// Longest time for a machine, boot included. Emulation is some ten times slower than this machine.
const TIMEOUT: Duration = Duration::from_secs(900);

/// How much of the console is shown when a machine fails.
const CONSOLE_TAIL_LINES: usize = 40;

impl Run {
    /// The run on this machine's kernel, which is expected to have tcx from Linux 6.6 on.
    pub fn host() -> anyhow::Result<Self> {
        let path = "/proc/sys/kernel/osrelease";
        let release = fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?;
        let mut numbers = release
            .split(|c: char| !c.is_ascii_digit())
            .map(|n| n.parse::<u32>().ok());
        let version = numbers.next().flatten().zip(numbers.next().flatten());
        let (major, minor) =
            version.with_context(|| format!("cannot read the version in {release:?}"))?;
        let hook = if (major, minor) >= (6, 6) {
            "tcx"
        } else {
            "clsact"
        };
        Ok(Self {
            label: format!("{major}.{minor} {hook}+veth (this machine)"),
            hook,
            endpoint_device: "veth",
            has_8021q: false,
            has_nics: false,
        })
    }

    fn in_machine(
        flavour: &Flavour,
        hook: &'static str,
        endpoint_device: &'static str,
        has_nics: bool,
    ) -> Self {
        let what = if has_nics { ", NIC drivers" } else { "" };
        Self {
            label: format!("{} {hook}+{endpoint_device}{what}", flavour.name),
            hook,
            endpoint_device,
            has_8021q: true,
            has_nics,
        }
    }

    /// What the tests are told.
    pub fn environment(&self, workspace: &Workspace) -> Vec<(&'static str, String)> {
        let mut environment = vec![
            ("VNET_BIN", workspace.vnet_user().display().to_string()),
            ("VNET_EXPECT_HOOK", self.hook.to_owned()),
            ("VNET_ENDPOINT_DEVICE", self.endpoint_device.to_owned()),
        ];
        if self.has_8021q {
            environment.push(("VNET_EXPECT_8021Q", "1".to_owned()));
        }
        if self.has_nics {
            environment.push(("VNET_NICS", nics::environment()));
        }
        environment
    }

    /// The script for the guest.
    fn script(
        &self,
        workspace: &Workspace,
        kernel: &Kernel,
        executable: &Path,
        name: Option<&str>,
    ) -> String {
        let mut script = vm::script_prelude(kernel, self.has_nics);
        script.push_str(&format!(
            "export PATH={}\nexport HOME=/root RUST_BACKTRACE=1\n",
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        ));
        for (key, value) in self.environment(workspace) {
            script.push_str(&format!("export {key}={}\n", vm::quote(&value)));
        }
        let directory = workspace.root().join("tests");
        script.push_str(&format!(
            "cd {}\n",
            vm::quote(&directory.display().to_string())
        ));
        script.push_str(&format!(
            "exec {} --test-threads=1",
            vm::quote(&executable.display().to_string())
        ));
        for arg in libtest::filter_args(name) {
            script.push_str(&format!(" {}", vm::quote(arg)));
        }
        script.push('\n');
        script
    }
}

/// A run with all that its machine needs.
struct Prepared {
    run: Run,
    kernel: Kernel,
    initramfs: PathBuf,
    script: String,
    expected: u32,
    directory: PathBuf,
}

/// Runs the tests in virtual machines, as many at a time as there are processors, and returns the counts in the order
/// of [`MACHINES`].
pub fn in_machines(
    workspace: &Workspace,
    executables: &Executables,
    name: Option<&str>,
) -> anyhow::Result<Vec<(String, Tally, Duration)>> {
    let mut queue = VecDeque::new();
    for (index, (flavour, hook, endpoint_device, has_nics)) in MACHINES.into_iter().enumerate() {
        let run = Run::in_machine(&flavour, hook, endpoint_device, has_nics);
        let executable = if has_nics {
            &executables.nic
        } else {
            &executables.lab
        };
        let expected = libtest::count(executable, name)?;
        if name.is_some() && expected == 0 {
            continue;
        }
        let kernel = Kernel::open(workspace, &flavour)?;
        let directory = workspace
            .vm()
            .join("runs")
            .join(run.label.replace([' ', ',', '+'], "-"));
        let script = run.script(workspace, &kernel, executable, name);
        let initramfs = initramfs::pack(
            &kernel,
            &workspace.vm().join("initramfs").join(flavour.name),
        )?;
        queue.push_back((
            index,
            Prepared {
                run,
                kernel,
                initramfs,
                script,
                expected,
                directory,
            },
        ));
    }

    let at_a_time = thread::available_parallelism()
        .map_or(1, usize::from)
        .min(queue.len());
    let queue = Mutex::new(queue);
    let finished = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..at_a_time {
            scope.spawn(|| {
                while let Some((index, prepared)) = take(&queue) {
                    let start = Instant::now();
                    println!("    {}: started", prepared.run.label);
                    let tally = run_in_machine(&prepared, name.is_some());
                    lock(&finished).push((index, (prepared.run.label, tally, start.elapsed())));
                }
            });
        }
    });
    let mut finished = finished
        .into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    finished.sort_by_key(|(index, _)| *index);
    Ok(finished.into_iter().map(|(_, result)| result).collect())
}

/// Takes the next run. The guard must not outlive this, or one machine would run at a time.
fn take<T>(queue: &Mutex<VecDeque<T>>) -> Option<T> {
    lock(queue).pop_front()
}

/// Locks; a thread that panicked has left nothing half done behind these locks.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn run_in_machine(prepared: &Prepared, verbose: bool) -> Tally {
    let Prepared {
        run,
        kernel,
        initramfs,
        script,
        expected,
        directory,
    } = prepared;
    let start = Instant::now();
    let outcome = qemu::run(&Job {
        kernel,
        initramfs,
        directory,
        script,
        nics: run.has_nics,
        timeout: TIMEOUT,
    });
    // One write for all of it: another machine may end at the same time.
    let mut report = String::new();
    let tally = match outcome {
        Ok(outcome) => {
            let succeeded = outcome.status == Ok(0);
            let mut tally = Tally::of_run(&outcome.output, *expected, succeeded);
            tally.fail_if_empty(&run.label);
            if verbose || tally.failed > 0 {
                report.push_str(&outcome.output);
                // A machine may die in the middle of a line.
                if !report.ends_with('\n') {
                    report.push('\n');
                }
            }
            report.push_str(&trouble(&outcome));
            let boot = outcome.boot_secs.as_deref().unwrap_or("?");
            report.push_str(&format!(
                "    {}: {tally} in {:.1} s (booted in {boot} s)\n",
                run.label,
                start.elapsed().as_secs_f64()
            ));
            tally
        }
        Err(error) => {
            report.push_str(&format!("    {}: {error:#}\n", run.label));
            Tally {
                failed: (*expected).max(1),
                ..Tally::default()
            }
        }
    };
    print!("{report}");
    tally
}

/// Why a machine left no exit status, with the end of its console.
fn trouble(outcome: &Outcome) -> String {
    let Err(reason) = &outcome.status else {
        return String::new();
    };
    let console = fs::read(&outcome.console).unwrap_or_default();
    let console = String::from_utf8_lossy(&console);
    let lines: Vec<&str> = console.lines().collect();
    let tail = lines[lines.len().saturating_sub(CONSOLE_TAIL_LINES)..].join("\n");
    format!(
        "error: the virtual machine {reason}; the end of its console ({}):\n{tail}\n",
        outcome.console.display()
    )
}
