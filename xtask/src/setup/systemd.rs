//! systemd to test with: Debian's own package, unpacked below the target directory and never installed.

use std::fs;

use super::{debian, libraries, step};
use crate::tools;
use crate::workspace::Workspace;

const SUITE: &str = "bookworm";
const PACKAGES: [&str; 3] = ["systemd", "libsystemd-shared", "libsystemd0"];
/// Links into `/usr`, where the package still has directories.
const MERGED: [&str; 3] = ["bin", "lib", "sbin"];
/// What of it has to start.
const PROGRAMS: [&str; 2] = ["usr/lib/systemd/systemd", "usr/bin/systemctl"];

/// Fetches and unpacks it unless it is there.
pub fn fetch(workspace: &Workspace) -> anyhow::Result<()> {
    if workspace.systemd().join(SUITE).is_dir() {
        return Ok(());
    }
    step(
        &format!("fetch systemd from {SUITE}"),
        "the tests install vnet's service with it; it is not installed",
    );
    debian::fetch(&workspace.systemd(), SUITE, SUITE, |apt, directory| {
        for package in PACKAGES {
            apt.unpack(package, directory)?;
        }
        for merged in MERGED {
            let (from, to) = (directory.join(merged), directory.join("usr").join(merged));
            if from.is_dir() {
                tools::run(
                    tools::command("cp")
                        .arg("--archive")
                        .arg(from.join("."))
                        .arg(to),
                )?;
                fs::remove_dir_all(from)?;
            }
        }
        libraries::add_missing(apt, directory, &PROGRAMS)
    })
}
