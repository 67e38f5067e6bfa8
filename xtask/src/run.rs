//! `cargo xtask run`: from a fresh clone to a running vnet-user.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

use anyhow::Context as _;

use crate::build;
use crate::setup::{self, Purpose};
use crate::workspace::Workspace;

/// Sets up, builds, and becomes vnet-user; without arguments, its demo. Returns only on failure.
///
/// It replaces this process instead of starting a child, so that Ctrl-C, signals and the exit code are vnet-user's own
/// and it can clean up after itself.
pub fn run(workspace: &Workspace, args: &[String]) -> anyhow::Result<()> {
    setup::setup(workspace, Purpose::Run, false)?;
    build::everything(workspace)?;
    let binary = workspace.vnet_user();
    let mut command = Command::new(&binary);
    if args.is_empty() {
        command.arg("demo");
    } else {
        command.args(args);
    }
    Err(command.exec()).with_context(|| format!("cannot start {}", binary.display()))
}
