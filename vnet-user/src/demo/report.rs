//! What a person sees of the demo: headings, commands with their output, and checks with their result.

use std::{
    io::{self, IsTerminal as _, Write as _},
    process::ExitCode,
    sync::atomic::{AtomicBool, Ordering},
};

use anyhow::bail;

const BOLD: &str = "\x1b[1m";
const DIM: &str = "\x1b[2m";
const GREEN: &str = "\x1b[32m";
const RED: &str = "\x1b[31m";
const PLAIN: &str = "\x1b[0m";

/// Writes to standard output and counts what passed. Every line is also the place where an interrupted demo turns back.
pub(super) struct Report<'a> {
    colour: bool,
    stop: &'a AtomicBool,
    passed: u32,
    failed: u32,
}

impl<'a> Report<'a> {
    /// A report on standard output, with colour if that is a terminal. Once `stop` is set, the next line is an error.
    pub(super) fn to_stdout(stop: &'a AtomicBool) -> Self {
        Self {
            colour: io::stdout().is_terminal(),
            stop,
            passed: 0,
            failed: 0,
        }
    }

    /// A plain line.
    pub(super) fn line(&self, text: &str) -> anyhow::Result<()> {
        if self.stop.load(Ordering::Relaxed) {
            bail!("interrupted");
        }
        // Not println: a reader that went away is an error to clean up after, not a panic.
        writeln!(io::stdout().lock(), "{text}")?;
        Ok(())
    }

    /// A scenario's name.
    pub(super) fn heading(&self, text: &str) -> anyhow::Result<()> {
        self.line("")?;
        self.line(&self.painted(BOLD, text))?;
        self.line("")
    }

    /// A picture or a table, indented.
    pub(super) fn block(&self, text: &str) -> anyhow::Result<()> {
        text.lines()
            .try_for_each(|line| self.line(&format!("  {line}")))
    }

    /// A command, as a person would type it.
    pub(super) fn command(&self, line: &str) -> anyhow::Result<()> {
        self.line(&self.painted(BOLD, &format!("  $ {line}")))
    }

    /// What a command said.
    pub(super) fn output(&self, text: &str) -> anyhow::Result<()> {
        text.trim_end()
            .lines()
            .try_for_each(|line| self.line(&self.painted(DIM, &format!("    {line}"))))
    }

    /// A check, its result, and what was seen.
    pub(super) fn check(&mut self, what: &str, passed: bool, seen: &str) -> anyhow::Result<()> {
        let (mark, colour) = if passed { ("✓", GREEN) } else { ("✗", RED) };
        if passed {
            self.passed += 1;
        } else {
            self.failed += 1;
        }
        let seen = self.painted(DIM, seen);
        self.line(&format!(
            "  {} {what:<58} {seen}",
            self.painted(colour, mark)
        ))
    }

    /// How many checks passed, and the exit code that goes with it.
    pub(super) fn summary(&self) -> anyhow::Result<ExitCode> {
        let Self { passed, failed, .. } = self;
        let total = passed + failed;
        self.line("")?;
        if *failed == 0 {
            self.line(&self.painted(GREEN, &format!("all {total} checks passed")))?;
            Ok(ExitCode::SUCCESS)
        } else {
            self.line(&self.painted(RED, &format!("{failed} of {total} checks failed")))?;
            Ok(ExitCode::FAILURE)
        }
    }

    fn painted(&self, colour: &str, text: &str) -> String {
        if self.colour {
            format!("{colour}{text}{PLAIN}")
        } else {
            text.to_owned()
        }
    }
}
