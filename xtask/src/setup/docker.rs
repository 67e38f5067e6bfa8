//! Docker engines to test with: Debian's own packages, unpacked below the target directory and never installed.

use super::{debian, libraries, step};
use crate::workspace::Workspace;

/// An engine and where Debian has it.
pub struct Engine {
    /// The suite, which also names its directory.
    suite: &'static str,
    version: &'static str,
    packages: &'static [&'static str],
}

/// All engines that setup fetches.
pub const ENGINES: [Engine; 2] = [
    Engine {
        suite: "bookworm",
        version: "20.10",
        packages: &["docker.io", "containerd", "runc"],
    },
    Engine {
        suite: "trixie",
        version: "26.1",
        packages: &["docker.io", "docker-cli", "containerd", "runc"],
    },
];

/// What of an engine has to start.
const PROGRAMS: [&str; 5] = [
    "usr/sbin/dockerd",
    "usr/sbin/runc",
    "usr/bin/docker",
    "usr/bin/containerd",
    "usr/bin/containerd-shim-runc-v2",
];

/// Fetches and unpacks an engine unless it is there, with those libraries that this machine has not.
pub fn fetch(workspace: &Workspace, engine: &Engine) -> anyhow::Result<()> {
    let &Engine {
        suite,
        version,
        packages,
    } = engine;
    if workspace.docker().join(suite).is_dir() {
        return Ok(());
    }
    step(
        &format!("fetch Docker {version} from {suite}"),
        "the tests run containers with it; it is not installed",
    );
    debian::fetch(&workspace.docker(), suite, suite, |apt, directory| {
        for package in packages {
            apt.unpack(package, directory)?;
        }
        libraries::add_missing(apt, directory, &PROGRAMS)
    })
}
