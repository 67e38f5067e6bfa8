//! Docker engines to test with.

use super::programs::Programs;
use crate::workspace::Workspace;

/// What of an engine has to start.
const START: [&str; 5] = [
    "usr/sbin/dockerd",
    "usr/sbin/runc",
    "usr/bin/docker",
    "usr/bin/containerd",
    "usr/bin/containerd-shim-runc-v2",
];

const WHY: &str = "the tests run containers with it; it is not installed";

/// All engines that the tests know.
const ENGINES: [Programs; 2] = [
    Programs {
        what: "Docker 20.10",
        why: WHY,
        suite: "bookworm",
        packages: &["docker.io", "containerd", "runc"],
        start: &START,
    },
    Programs {
        what: "Docker 26.1",
        why: WHY,
        suite: "trixie",
        packages: &["docker.io", "docker-cli", "containerd", "runc"],
        start: &START,
    },
];

/// Fetches and unpacks them unless they are there.
pub fn fetch(workspace: &Workspace) -> anyhow::Result<()> {
    ENGINES
        .iter()
        .try_for_each(|engine| engine.fetch(&workspace.docker()))
}
