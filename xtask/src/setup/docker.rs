//! Docker engines to test with: Debian's own packages, unpacked below the target directory and never installed.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, bail};

use super::debian::{self, PrivateApt};
use super::step;
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

/// Libraries that a machine may lack or have too old, and their packages.
const LIBRARIES: [(&str, &str); 5] = [
    ("libc.so.6", "libc6"),
    ("libseccomp.so.2", "libseccomp2"),
    ("libdevmapper.so.1.02.1", "libdevmapper1.02.1"),
    ("libsystemd.so.0", "libsystemd0"),
    ("libapparmor.so.1", "libapparmor1"),
];

/// Where packages have libraries; the second before Debian merged `/usr`.
const LIBRARY_DIRECTORIES: [&str; 2] = ["usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu"];

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
        add_libraries(apt, directory)
    })
}

/// Fetches what is missing until every program would start; a library may need another.
fn add_libraries(apt: &PrivateApt, directory: &Path) -> anyhow::Result<()> {
    let mut fetched = BTreeSet::new();
    loop {
        let missing = missing_libraries(directory)?;
        if missing.is_empty() {
            return Ok(());
        }
        for library in missing {
            let known = LIBRARIES.iter().find(|(name, _)| *name == library);
            let &(_, package) = known.with_context(|| {
                format!("Docker needs {library}, and no package is known for it here")
            })?;
            if !fetched.insert(package) {
                bail!("{library} is still missing after {package} was unpacked");
            }
            apt.unpack(package, directory)?;
        }
    }
}

/// The libraries that the machine and the directory together lack, by what the dynamic loader says.
fn missing_libraries(directory: &Path) -> anyhow::Result<BTreeSet<String>> {
    let mut missing = BTreeSet::new();
    for program in PROGRAMS {
        let program = directory.join(program);
        if !program.is_file() {
            bail!("Debian's packages have no {}", program.display());
        }
        let output = loader(directory)
            .arg("--list")
            .arg(&program)
            .output()
            .context("cannot start the dynamic loader")?;
        // A program without shared libraries says so, and lacks none.
        for text in [&output.stdout, &output.stderr] {
            missing.extend(not_found(&String::from_utf8_lossy(text)));
        }
    }
    Ok(missing)
}

/// The dynamic loader that programs of this directory will run with: its own, if it has one, for it fits no other libc.
fn loader(directory: &Path) -> Command {
    const LOADER: &str = "ld-linux-x86-64.so.2";
    let libraries = LIBRARY_DIRECTORIES.map(|libraries| directory.join(libraries));
    let mut own = libraries.iter().map(|libraries| libraries.join(LOADER));
    let own = own.find(|loader| loader.exists());
    let mut loader = Command::new(own.unwrap_or_else(|| Path::new("/lib64").join(LOADER)));
    let libraries = libraries.map(|libraries| libraries.display().to_string());
    loader.arg("--library-path").arg(libraries.join(":"));
    loader
}

/// Names in `libx.so.1 => not found` and ``/lib/libx.so.1: version `X_2' not found (required by …)``.
fn not_found(text: &str) -> impl Iterator<Item = String> {
    text.lines().filter_map(|line| {
        let name = match line.split_once(": version `") {
            Some((path, rest)) if rest.contains("not found") => path.rsplit('/').next()?,
            _ => line.strip_suffix(" => not found")?,
        };
        Some(name.trim().to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loaders_complaints_name_libraries() {
        let text = "\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x1)\n\tlibseccomp.so.2 => not found\n\
            /d/dockerd: /lib/x86_64-linux-gnu/libc.so.6: version `GLIBC_2.38' not found (required by /d/dockerd)\n";
        let names: Vec<_> = not_found(text).collect();
        assert_eq!(names, ["libseccomp.so.2", "libc.so.6"]);
    }
}
