//! Test executables: building them, asking them what they hold, and reading what they print.

use std::ops::AddAssign;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context as _;

use crate::build::executable;
use crate::tools;
use crate::workspace::Workspace;

/// The executables of the `tests` package.
pub struct Executables {
    /// `tests/tests/lab`: namespaces and virtual devices; runs on every kernel.
    pub lab: PathBuf,
    /// `tests/tests/nic`: real NIC drivers; runs only where there are emulated NICs.
    pub nic: PathBuf,
    /// `tests/tests/docker`: real Docker engines; runs on this machine only.
    pub docker: PathBuf,
    /// `tests/tests/boots`: a host with a Docker engine, a test for each of its boots.
    pub boots: PathBuf,
    /// The unit tests of the package's library, if it has one.
    pub library: Option<PathBuf>,
}

/// Compiles the integration tests, and finds their executables by cargo's messages.
pub fn build(workspace: &Workspace) -> anyhow::Result<Executables> {
    let messages = tools::output(
        tools::cargo(workspace)
            .args(["test", "--package", "tests", "--no-run", "--release"])
            .arg("--message-format=json-render-diagnostics")
            .stderr(Stdio::inherit()),
    )?;
    let find = |name: &str| {
        executable(&messages, "test", Some(name)).with_context(|| {
            format!(
                "the package `tests` has no test target `{name}`: expected tests/tests/{name}.rs or \
                 tests/tests/{name}/main.rs"
            )
        })
    };
    Ok(Executables {
        lab: find("lab")?,
        nic: find("nic")?,
        docker: find("docker")?,
        boots: find("boots")?,
        library: executable(&messages, "lib", None),
    })
}

/// The arguments for a run of those tests whose name contains `name`.
pub fn filter_args(name: Option<&str>) -> Vec<&str> {
    name.map_or_else(Vec::new, |name| vec![name, "--nocapture"])
}

/// The names of an executable's tests, ignored ones included.
pub fn list(executable: &Path, name: Option<&str>) -> anyhow::Result<Vec<String>> {
    let listing = tools::output(
        Command::new(executable)
            .args(["--list", "--format", "terse"])
            .args(name),
    )?;
    let names = listing
        .lines()
        .filter_map(|line| line.strip_suffix(": test"));
    Ok(names.map(str::to_owned).collect())
}

/// How many tests an executable has, ignored ones included.
pub fn count(executable: &Path, name: Option<&str>) -> anyhow::Result<u32> {
    u32::try_from(list(executable, name)?.len()).context("more tests than can be counted")
}

/// How many tests the executables in an output said that they would run, ignored ones included.
pub fn announced(output: &str) -> u32 {
    output
        .lines()
        .filter_map(|line| {
            line.strip_prefix("running ")?
                .split(' ')
                .next()?
                .parse::<u32>()
                .ok()
        })
        .sum()
}

/// What tests measured, by the lines that they print for it (`figure` in the package `tests`).
pub fn figures(output: &str) -> Vec<String> {
    let lines = output.lines();
    let figures = lines.filter_map(|line| line.strip_prefix("figure: "));
    figures.map(str::to_owned).collect()
}

/// How many cases passed and failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub passed: u32,
    pub failed: u32,
    pub ignored: u32,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        let Self {
            passed,
            failed,
            ignored,
        } = other;
        self.passed += passed;
        self.failed += failed;
        self.ignored += ignored;
    }
}

impl Tally {
    pub fn success() -> Self {
        Self {
            passed: 1,
            ..Self::default()
        }
    }

    pub fn failure() -> Self {
        Self {
            failed: 1,
            ..Self::default()
        }
    }

    /// Counts a run by its output.
    ///
    /// Every expected case that did not report is a failed one: its process has died, or never came to it. And a run
    /// that failed otherwise, as by not compiling, has at least one failed case.
    pub fn of_run(output: &str, expected: u32, succeeded: bool) -> Self {
        let mut tally = Self::default();
        for summary in output
            .lines()
            .filter_map(|line| line.split_once("test result: "))
        {
            for part in summary.1.split([';', '.']) {
                let mut words = part.split_whitespace();
                let (Some(number), Some(what)) = (words.next(), words.next()) else {
                    continue;
                };
                let Ok(number) = number.parse::<u32>() else {
                    continue;
                };
                match what {
                    "passed" => tally.passed += number,
                    "failed" => tally.failed += number,
                    "ignored" => tally.ignored += number,
                    _ => {}
                }
            }
        }
        if !output.contains("test result: ") {
            let passed = output
                .lines()
                .filter(|line| line.ends_with(" ... ok"))
                .count();
            tally.passed = u32::try_from(passed).unwrap_or(u32::MAX).min(expected);
        }
        tally.failed += expected.saturating_sub(tally.passed + tally.failed + tally.ignored);
        if !succeeded {
            tally.failed = tally.failed.max(1);
        }
        tally
    }

    /// A run with no case at all is a failure: what it was for has not happened.
    pub fn fail_if_empty(&mut self, label: &str) {
        if self.passed + self.failed == 0 {
            eprintln!("error: {label}: not one test ran");
            self.failed = 1;
        }
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            passed,
            failed,
            ignored,
        } = self;
        write!(f, "{passed} passed, {failed} failed")?;
        if *ignored > 0 {
            write!(f, ", {ignored} ignored")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "running 3 tests\ntest a ... ok\ntest b ... ok\ntest c ... ignored\n\n\
        test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 5 filtered out; finished in 0.02s\n";

    fn tally(passed: u32, failed: u32, ignored: u32) -> Tally {
        Tally {
            passed,
            failed,
            ignored,
        }
    }

    #[test]
    fn results_of_several_executables_add_up() {
        let output = format!("{GOOD}{GOOD}");
        assert_eq!(announced(&output), 6);
        assert_eq!(Tally::of_run(&output, 6, true), tally(4, 0, 2));
    }

    #[test]
    fn cases_that_never_reported_have_failed() {
        let died = "running 3 tests\ntest a ... ok\ntest b ... ";
        assert_eq!(Tally::of_run(died, 3, false), tally(1, 2, 0));
        assert_eq!(Tally::of_run("", 3, false), tally(0, 3, 0));
    }

    #[test]
    fn figures_stand_between_results() {
        let output = "test a ... \nfigure: 7 of 9\nok\ntest figure: ... ok\n";
        assert_eq!(figures(output), ["7 of 9"]);
    }

    #[test]
    fn a_failed_run_has_a_failed_case() {
        assert_eq!(
            Tally::of_run("error: could not compile", 0, false),
            tally(0, 1, 0)
        );
    }

    #[test]
    fn executables_are_found_by_kind_and_name() {
        let messages = r#"{"reason":"compiler-artifact","target":{"kind":["lib"],"name":"tests"},"profile":{"test":false},"executable":null}
{"reason":"compiler-artifact","target":{"kind":["test"],"name":"lab"},"profile":{"test":true},"executable":"/t/lab-1"}
{"reason":"build-finished","success":true}"#;
        assert_eq!(
            executable(messages, "test", Some("lab")),
            Some(PathBuf::from("/t/lab-1"))
        );
        assert_eq!(executable(messages, "test", Some("nic")), None);
        assert_eq!(executable(messages, "lib", None), None);
    }
}
