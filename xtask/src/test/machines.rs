//! The runs in virtual machines: several at a time, each in its own machine, with a line on each when it ends.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::libtest::{self, Executables, Tally};
use super::runs::{MACHINES, Run, Tests};
use crate::vm::kernel::{Flavour, Kernel};
use crate::vm::qemu::{self, Job};
use crate::vm::{disk, initramfs, tail};
use crate::workspace::Workspace;

/// Longest time for a machine, boot included. Emulation is some ten times slower than this machine.
const TIMEOUT: Duration = Duration::from_secs(1800);
/// The same where long tests do all.
const TIMEOUT_FULL: Duration = Duration::from_secs(4 * 3600);

/// How much is shown of what failed tests printed. A verifier's log has thousands of lines, and one for each test.
const OUTPUT_TAIL_LINES: usize = 500;

/// A run with all that its machine needs.
struct Prepared {
    /// For messages: the run, and which part of it.
    title: String,
    run: Run,
    kernel: Kernel,
    initramfs: PathBuf,
    /// One for each boot.
    boots: Vec<Boot>,
    directory: PathBuf,
    /// What the machine keeps from boot to boot.
    disk: Option<PathBuf>,
}

/// A script for the guest, and how many tests it runs.
struct Boot {
    script: String,
    expected: u32,
}

/// What became of a run, all its parts together.
pub struct Finished {
    pub label: String,
    pub tally: Tally,
    pub time: Duration,
    /// What its tests measured.
    pub figures: Vec<String>,
}

/// Into how many machines a run of the whole lab is divided: in one piece, the last one would leave a processor idle.
const PARTS: usize = 2;

/// Runs the tests in virtual machines, as many at a time as there are processors, and returns what became of them in the
/// order of [`MACHINES`].
pub fn run_all(
    workspace: &Workspace,
    executables: &Executables,
    name: Option<&str>,
    full: bool,
) -> anyhow::Result<Vec<Finished>> {
    let mut queue = VecDeque::new();
    for (index, machine) in MACHINES.iter().enumerate() {
        let run = || Run::in_machine(machine).all_of(full);
        let executable = match machine.tests {
            Tests::Lab | Tests::Frames => &executables.lab,
            Tests::Nics => &executables.nic,
            Tests::Boots => &executables.boots,
        };
        let parts = match machine.tests {
            Tests::Lab if name.is_none() => PARTS,
            _ => 1,
        };
        for part in 0..parts {
            let mut tests = libtest::list(executable, name)?;
            if machine.tests == Tests::Boots {
                tests = with_their_modules(&tests, libtest::list(executable, None)?);
            }
            // What is asked for by name is wanted everywhere.
            if name.is_none() {
                tests = machine.tests.choose(tests)?;
            }
            let tests: Vec<_> = tests.into_iter().skip(part).step_by(parts).collect();
            if name.is_some() && tests.is_empty() {
                continue;
            }
            let part = (part, parts);
            let prepared = prepare(workspace, &machine.flavour, run(), part, |run, kernel| {
                let boots = match run.has_disk {
                    true => tests.chunks(1),
                    false => tests.chunks(tests.len().max(1)),
                };
                let boots = boots.map(|tests| {
                    let mut args = vec!["--exact"];
                    args.extend(tests.iter().map(String::as_str));
                    // One that was asked for by name shows what it prints.
                    args.extend(name.map(|_| "--nocapture"));
                    let expected = u32::try_from(tests.len());
                    Ok(Boot {
                        script: run.script(workspace, kernel, executable, args),
                        expected: expected.context("more tests than can be counted")?,
                    })
                });
                boots.collect()
            })?;
            queue.push_back((index, prepared));
        }
    }

    let at_a_time = thread::available_parallelism()
        .map_or(1, usize::from)
        .min(queue.len());
    let queue = Mutex::new(queue);
    let finished = Mutex::new(BTreeMap::new());
    thread::scope(|scope| {
        for _ in 0..at_a_time {
            scope.spawn(|| {
                while let Some((index, prepared)) = take(&queue) {
                    let start = Instant::now();
                    println!("    {}: started", prepared.title);
                    let (tally, figures) = run_in_machine(&prepared, name.is_some());
                    let mut finished = lock(&finished);
                    let sum = finished.entry(index).or_insert_with(|| Finished {
                        label: prepared.run.label,
                        tally: Tally::default(),
                        time: Duration::ZERO,
                        figures: Vec::new(),
                    });
                    sum.tally += tally;
                    sum.time += start.elapsed();
                    sum.figures.extend(figures);
                }
            });
        }
    });
    let finished = finished
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    Ok(finished.into_values().collect())
}

/// Those of `all` that are in one module with one that is asked for: a boot needs those before it.
fn with_their_modules(asked: &[String], mut all: Vec<String>) -> Vec<String> {
    let module = |name: &str| name.rsplit_once("::").map(|(module, _)| module.to_owned());
    let modules: BTreeSet<_> = asked.iter().map(|name| module(name)).collect();
    all.retain(|name| modules.contains(&module(name)));
    all
}

/// Makes ready what one machine needs for its boots.
fn prepare(
    workspace: &Workspace,
    flavour: &Flavour,
    run: Run,
    (part, parts): (usize, usize),
    boots: impl FnOnce(&Run, &Kernel) -> anyhow::Result<Vec<Boot>>,
) -> anyhow::Result<Prepared> {
    let title = match parts {
        1 => run.label.clone(),
        _ => format!("{}, part {} of {parts}", run.label, part + 1),
    };
    let kernel = Kernel::open(workspace, flavour)?;
    let runs = workspace.vm().join("runs");
    let file_name = title.replace([' ', ',', '+'], "-");
    let directory = runs.join(&file_name);
    let boots = boots(&run, &kernel)?;
    let disk = match run.has_disk {
        true => Some(disk::make(runs.join(format!("{file_name}.disk")))?),
        false => None,
    };
    let initramfs = initramfs::pack(
        &kernel,
        &workspace.vm().join("initramfs").join(flavour.name),
    )?;
    Ok(Prepared {
        title,
        run,
        kernel,
        initramfs,
        boots,
        directory,
        disk,
    })
}

/// Takes the next run. The guard must not outlive this, or one machine would run at a time.
fn take<T>(queue: &Mutex<VecDeque<T>>) -> Option<T> {
    lock(queue).pop_front()
}

/// Locks; a thread that panicked has left nothing half done behind these locks.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Boots a machine as often as it has to, and takes its disk away in the end.
fn run_in_machine(prepared: &Prepared, verbose: bool) -> (Tally, Vec<String>) {
    let mut tally = Tally::default();
    let mut figures = Vec::new();
    for boot in &prepared.boots {
        let (more, measured) = run_boot(prepared, boot, verbose);
        tally += more;
        figures.extend(measured);
    }
    if let Some(disk) = &prepared.disk {
        // What is left of it the next run overwrites.
        let _ = fs::remove_file(disk);
    }
    (tally, figures)
}

fn run_boot(prepared: &Prepared, boot: &Boot, verbose: bool) -> (Tally, Vec<String>) {
    let Prepared {
        title,
        run,
        kernel,
        initramfs,
        boots: _,
        directory,
        disk,
    } = prepared;
    let Boot { script, expected } = boot;
    let start = Instant::now();
    let outcome = qemu::run(&Job {
        kernel,
        initramfs,
        directory,
        script,
        nics: run.has_nics,
        disk: disk.as_deref(),
        counts_instructions: false,
        watch: None,
        timeout: if run.full { TIMEOUT_FULL } else { TIMEOUT },
    });
    // One write for all of it: another machine may end at the same time.
    let mut report = String::new();
    let mut figures = Vec::new();
    let tally = match outcome {
        Ok(outcome) => {
            let succeeded = outcome.status == Ok(0);
            let mut tally = Tally::of_run(&outcome.output, *expected, succeeded);
            tally.fail_if_empty(title);
            figures = libtest::figures(&outcome.output);
            if verbose || tally.failed > 0 {
                let most = if verbose {
                    usize::MAX
                } else {
                    OUTPUT_TAIL_LINES
                };
                report.push_str(&tail(&outcome.output, most, &directory.join("output")));
                // A machine may die in the middle of a line.
                if !report.ends_with('\n') {
                    report.push('\n');
                }
            }
            if let Some(trouble) = outcome.trouble() {
                report.push_str(&format!("error: {trouble}\n"));
            }
            let boot = outcome.boot_secs.as_deref().unwrap_or("?");
            report.push_str(&format!(
                "    {}: {tally} in {:.1} s (booted in {boot} s)\n",
                title,
                start.elapsed().as_secs_f64()
            ));
            tally
        }
        Err(error) => {
            report.push_str(&format!("    {title}: {error:#}\n"));
            Tally {
                failed: (*expected).max(1),
                ..Tally::default()
            }
        }
    };
    print!("{report}");
    (tally, figures)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boot_comes_with_those_of_its_module() {
        let all = ["a::b::one", "a::b::two", "a::c::one"].map(str::to_owned);
        let asked = [all[1].clone()];
        assert_eq!(with_their_modules(&asked, all.to_vec()), all[..2]);
        assert!(with_their_modules(&[], all.to_vec()).is_empty());
    }
}
