//! `cargo xtask test`: all checks and all tests, on this machine and on other kernels.

mod libtest;
mod machines;
mod runs;
mod summary;

use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Instant;

use anyhow::Context as _;
use clap::Args;

use self::libtest::{Executables, Tally};
use self::runs::Run;
use self::summary::Summary;
use crate::build;
use crate::setup::{self, Purpose};
use crate::tools;
use crate::workspace::Workspace;

/// With `--fuzz`.
const FUZZ_FRAMES: &str = "1000000";

#[derive(Args)]
pub struct Options {
    /// Run only the tests whose name contains this, show what they print, and leave out format and lints
    name: Option<String>,
    /// Leave out the tests on other kernels and on emulated NICs
    #[arg(long)]
    no_vm: bool,
    /// Send a million hostile frames on this machine, instead of some thousands
    #[arg(long)]
    fuzz: bool,
    /// Do all of the long tests also on emulated machines: TCP streams of 100 MB instead of 10
    #[arg(long)]
    full: bool,
}

/// Runs everything, prints the summary, and fails when anything did.
pub fn test(workspace: &Workspace, options: &Options) -> anyhow::Result<ExitCode> {
    setup::setup(workspace, Purpose::Test, !options.no_vm)?;
    let mut session = Session {
        workspace,
        options,
        summary: Summary::default(),
    };
    // What stops everything else is a failed case too, so that the last line tells the truth.
    if let Err(error) = session.steps() {
        eprintln!("error: {error:#}");
        session.summary.add("stopped early", Tally::failure(), None);
    }
    let Session { summary, .. } = session;
    print!("{}", summary.render(options.no_vm));
    Ok(if summary.succeeded() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

struct Session<'a> {
    workspace: &'a Workspace,
    options: &'a Options,
    summary: Summary,
}

impl Session<'_> {
    fn steps(&mut self) -> anyhow::Result<()> {
        let workspace = self.workspace;
        let with_checks = self.options.name.is_none();
        if with_checks {
            self.check("format", |workspace| {
                tools::run(tools::cargo(workspace).args(["fmt", "--all", "--check"]))
            });
        }
        self.required("build the eBPF programs", build::ebpf)?;
        if with_checks {
            self.check("lints", |workspace| {
                tools::run(tools::cargo(workspace).args([
                    "clippy",
                    "--all-targets",
                    "--",
                    "--deny",
                    "warnings",
                ]))
            });
            self.check("lints, eBPF", build::ebpf_clippy);
        }
        self.unit_tests()?;
        self.required("build vnet-user", build::vnet_user)?;
        let executables = self.required("build the integration tests", libtest::build)?;
        self.tests_of_the_lab(&executables)?;
        let run = Run::host()?;
        self.host(&executables.lab, &run, &run.label)?;
        self.host(&executables.docker, &run, "Docker engines (this machine)")?;
        if !self.options.no_vm {
            begin("virtual machines");
            let name = self.options.name.as_deref();
            for finished in machines::run_all(workspace, &executables, name, self.options.full)? {
                let label = &finished.label;
                self.summary.add(label, finished.tally, Some(finished.time));
                self.summary.add_figures(label, finished.figures);
            }
        }
        if let Some(name) = &self.options.name {
            anyhow::ensure!(
                self.summary.ran_any(),
                "no test's name contains `{name}`{}",
                if self.options.no_vm {
                    " (without virtual machines)"
                } else {
                    ""
                }
            );
        }
        Ok(())
    }

    /// A step that is a case of its own; the others go on after its failure.
    fn check(&mut self, label: &str, step: impl FnOnce(&Workspace) -> anyhow::Result<()>) {
        let start = begin(label);
        let tally = match step(self.workspace) {
            Ok(()) => Tally::success(),
            Err(error) => {
                eprintln!("error: {error:#}");
                Tally::failure()
            }
        };
        end(start);
        self.summary.add(label, tally, Some(start.elapsed()));
    }

    /// A step without which nothing after it makes sense.
    fn required<T>(
        &mut self,
        label: &str,
        step: impl FnOnce(&Workspace) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let start = begin(label);
        let value = step(self.workspace).with_context(|| format!("cannot {label}"))?;
        end(start);
        Ok(value)
    }

    /// The tests inside the crates. `vnet-ebpf` has none, since it does not build for this target.
    fn unit_tests(&mut self) -> anyhow::Result<()> {
        let start = begin("unit tests");
        let mut command = tools::cargo(self.workspace);
        command
            .args(["test", "--workspace", "--no-fail-fast"])
            .args(["--exclude", "vnet-ebpf", "--exclude", "tests", "--"])
            .args(libtest::filter_args(self.options.name.as_deref()));
        let (status, output) = tools::tee(&mut command)?;
        let expected = libtest::announced(&output);
        let tally = Tally::of_run(&output, expected, status.success());
        self.finish("unit tests", start, tally);
        Ok(())
    }

    /// The unit tests of the lab that the integration tests share; built with them.
    fn tests_of_the_lab(&mut self, executables: &Executables) -> anyhow::Result<()> {
        let Some(library) = &executables.library else {
            return Ok(());
        };
        let name = self.options.name.as_deref();
        let expected = libtest::count(library, name)?;
        if expected == 0 {
            return Ok(());
        }
        let label = "unit tests of the lab";
        let start = begin(label);
        let mut command = Command::new(library);
        command
            .current_dir(self.workspace.root().join("tests"))
            .arg("--test-threads=1")
            .args(libtest::filter_args(name));
        let (status, output) = tools::tee(&mut command)?;
        self.finish(
            label,
            start,
            Tally::of_run(&output, expected, status.success()),
        );
        Ok(())
    }

    /// The tests of one executable on this machine's own kernel.
    fn host(&mut self, executable: &Path, run: &Run, label: &str) -> anyhow::Result<()> {
        let name = self.options.name.as_deref();
        let expected = libtest::count(executable, name)?;
        if name.is_some() && expected == 0 {
            return Ok(());
        }
        let start = begin(label);
        let mut command = Command::new(executable);
        command
            .current_dir(self.workspace.root().join("tests"))
            .envs(run.environment(self.workspace))
            .envs(
                self.options
                    .fuzz
                    .then_some(("VNET_FUZZ_FRAMES", FUZZ_FRAMES)),
            )
            .arg("--test-threads=1")
            .args(libtest::filter_args(name));
        let (status, output) = tools::tee(&mut command)?;
        self.finish(
            label,
            start,
            Tally::of_run(&output, expected, status.success()),
        );
        self.summary.add_figures(label, libtest::figures(&output));
        Ok(())
    }

    /// Counts a run of tests, and says what is wrong with one that ran none.
    fn finish(&mut self, label: &str, start: Instant, tally: Tally) {
        end(start);
        let mut tally = tally;
        if self.options.name.is_none() {
            tally.fail_if_empty(label);
        } else if tally == Tally::default() {
            return;
        }
        self.summary.add(label, tally, Some(start.elapsed()));
    }
}

fn begin(label: &str) -> Instant {
    println!("==> {label}");
    Instant::now()
}

fn end(start: Instant) {
    println!("    {:.1} s", start.elapsed().as_secs_f64());
}
