//! systemd to test with.

use std::fs;
use std::path::Path;

use super::programs::Programs;
use crate::tools;
use crate::workspace::Workspace;

const SYSTEMD: Programs = Programs {
    what: "systemd",
    why: "the tests install vnet's service with it; it is not installed",
    suite: "bookworm",
    packages: &["systemd", "libsystemd-shared", "libsystemd0"],
    start: &["usr/lib/systemd/systemd", "usr/bin/systemctl"],
};

/// Fetches and unpacks it unless it is there.
pub fn fetch(workspace: &Workspace) -> anyhow::Result<()> {
    SYSTEMD.fetch_and(&workspace.systemd(), merge_usr)
}

/// Moves into `/usr` what the package still has beside it, where a machine has links.
fn merge_usr(directory: &Path) -> anyhow::Result<()> {
    for merged in ["bin", "lib", "sbin"] {
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
    Ok(())
}
