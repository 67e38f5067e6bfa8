//! Programs of another suite or of another version: Debian's own packages, unpacked below the target directory and never
//! installed.

use std::path::Path;

use super::debian::{self, PrivateApt};
use super::{libraries, step};

/// Some programs, and where Debian has them.
pub struct Programs {
    /// What they are, and why they are needed.
    pub what: &'static str,
    pub why: &'static str,
    /// The suite, which also names their directory.
    pub suite: &'static str,
    pub packages: &'static [&'static str],
    /// What of them has to start.
    pub start: &'static [&'static str],
}

impl Programs {
    /// Fetches and unpacks them below `parent` unless they are there, with those libraries that this machine has not.
    pub fn fetch(&self, parent: &Path) -> anyhow::Result<()> {
        self.fetch_and(parent, |_| Ok(()))
    }

    /// The same; `arrange` puts what was unpacked in order.
    pub fn fetch_and(
        &self,
        parent: &Path,
        arrange: impl FnOnce(&Path) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let &Self {
            what,
            why,
            suite,
            packages,
            start,
        } = self;
        if parent.join(suite).is_dir() {
            return Ok(());
        }
        step(&format!("fetch {what} from {suite}"), why);
        debian::fetch(parent, suite, suite, |apt: &PrivateApt, directory| {
            for package in packages {
                apt.unpack(package, directory)?;
            }
            arrange(directory)?;
            libraries::add_missing(apt, directory, start)
        })
    }
}
