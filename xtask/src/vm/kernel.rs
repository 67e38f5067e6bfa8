//! Other kernels to test on: Debian's own packages, fetched once and kept below the target directory.

use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;

use crate::setup::{debian, step};
use crate::tools;
use crate::workspace::Workspace;

/// A kernel series and where Debian has it.
pub struct Flavour {
    /// The series, which also names its directory.
    pub name: &'static str,
    /// The suite whose `linux-image-amd64` is of this series.
    suite: &'static str,
}

/// Linux 6.1: clsact instead of tcx, veth instead of netkit.
pub const LINUX_6_1: Flavour = Flavour {
    name: "6.1",
    suite: "bookworm",
};

/// Linux 6.12: tcx and netkit.
pub const LINUX_6_12: Flavour = Flavour {
    name: "6.12",
    suite: "bookworm-backports",
};

/// All kernels that setup fetches.
pub const FLAVOURS: [Flavour; 2] = [LINUX_6_1, LINUX_6_12];

/// The package that always depends on the suite's newest kernel.
const META_PACKAGE: &str = "linux-image-amd64";

/// An unpacked kernel package.
pub struct Kernel {
    root: PathBuf,
    version: String,
}

impl Kernel {
    /// Opens what [`fetch`] left.
    pub fn open(workspace: &Workspace, flavour: &Flavour) -> anyhow::Result<Self> {
        Self::in_directory(directory(workspace, flavour)).with_context(|| {
            format!(
                "kernel {} is not there; run `cargo xtask setup`",
                flavour.name
            )
        })
    }

    fn in_directory(root: PathBuf) -> anyhow::Result<Self> {
        let modules = root.join("lib/modules");
        let mut entries =
            fs::read_dir(&modules).with_context(|| format!("cannot read {}", modules.display()))?;
        let version = entries
            .next()
            .with_context(|| format!("{} is empty", modules.display()))??
            .file_name()
            .into_string()
            .ok()
            .context("a kernel version that is not UTF-8")?;
        Ok(Self { root, version })
    }

    /// The compressed kernel.
    pub fn image(&self) -> PathBuf {
        self.root.join(format!("boot/vmlinuz-{}", self.version))
    }

    /// The modules' directory on this machine; in a guest it becomes `/lib/modules/<version>`.
    pub fn modules(&self) -> PathBuf {
        self.root.join("lib/modules").join(&self.version)
    }

    /// What `uname -r` prints in the guest.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The files of the named modules and all that they depend on, in the order to load them. Built-in ones have none.
    pub fn module_files(&self, names: &[&str]) -> anyhow::Result<Vec<PathBuf>> {
        let listing = tools::output(
            tools::command("modprobe")
                .arg("--show-depends")
                .arg("--dirname")
                .arg(&self.root)
                .args(["--set-version", &self.version, "--all"])
                .args(names),
        )?;
        let mut files: Vec<PathBuf> = Vec::new();
        for line in listing.lines() {
            if let Some(file) = line.strip_prefix("insmod ") {
                let file = PathBuf::from(file.trim());
                if !files.contains(&file) {
                    files.push(file);
                }
            }
        }
        Ok(files)
    }
}

/// Fetches and unpacks a kernel unless it is there.
pub fn fetch(workspace: &Workspace, flavour: &Flavour) -> anyhow::Result<()> {
    let finished = directory(workspace, flavour);
    if finished.is_dir() {
        return Ok(());
    }
    step(
        &format!("fetch Linux {} from {}", flavour.name, flavour.suite),
        "the tests run on it in a virtual machine",
    );
    debian::fetch(
        &workspace.vm(),
        flavour.name,
        flavour.suite,
        |apt, partial| {
            let shown = apt.show(META_PACKAGE)?;
            let package = dependency(&shown).with_context(|| {
                format!("{META_PACKAGE} depends on no kernel; apt-cache says:\n{shown}")
            })?;
            apt.unpack(&package, partial)?;
            let kernel = Kernel::in_directory(partial.to_owned())?;
            tools::run(
                tools::command("depmod")
                    .arg("--basedir")
                    .arg(partial)
                    .arg(kernel.version()),
            )
        },
    )
}

fn directory(workspace: &Workspace, flavour: &Flavour) -> PathBuf {
    workspace.vm().join(flavour.name)
}

/// The kernel package in the `Depends` line of `apt-cache show`.
fn dependency(shown: &str) -> Option<String> {
    shown
        .lines()
        .find_map(|line| line.strip_prefix("Depends: "))?
        .split([' ', ','])
        .find(|word| word.starts_with("linux-image-"))
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_package_is_read_from_its_meta_package() {
        let shown = "Package: linux-image-amd64\nDepends: linux-image-6.1.0-50-amd64 (= 6.1.176-1)\nSize: 1\n";
        assert_eq!(
            dependency(shown).as_deref(),
            Some("linux-image-6.1.0-50-amd64")
        );
        assert_eq!(dependency("Package: x\n"), None);
    }
}
