//! Other kernels to test on: Debian's own packages, fetched once and kept below the target directory.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

use crate::setup::step;
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

/// Overrides the mirror that is found in apt's configuration; for machines that are not Debian.
const MIRROR_ENV: &str = "VNET_DEBIAN_MIRROR";

/// Where `debian-archive-keyring` puts the key of every Debian suite.
pub const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

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
    // Everything is made here and renamed when complete, so that what was interrupted is never taken for whole.
    let partial = workspace.vm().join(format!("{}.partial", flavour.name));
    if partial.exists() {
        fs::remove_dir_all(&partial)
            .with_context(|| format!("cannot remove {}", partial.display()))?;
    }
    make_dir(&partial)?;

    let apt = PrivateApt::create(&workspace.vm().join("apt"), flavour.suite)?;
    let package = apt.newest_kernel()?;
    apt.download(&package, &partial)?;
    let deb = find_deb(&partial)?;
    tools::run(
        Command::new("dpkg-deb")
            .arg("--extract")
            .arg(&deb)
            .arg(&partial),
    )?;
    fs::remove_file(&deb).with_context(|| format!("cannot remove {}", deb.display()))?;
    let kernel = Kernel::in_directory(partial.clone())?;
    tools::run(
        tools::command("depmod")
            .arg("--basedir")
            .arg(&partial)
            .arg(kernel.version()),
    )?;
    apt.remove()?;
    fs::rename(&partial, &finished).with_context(|| {
        format!(
            "cannot rename {} to {}",
            partial.display(),
            finished.display()
        )
    })
}

fn directory(workspace: &Workspace, flavour: &Flavour) -> PathBuf {
    workspace.vm().join(flavour.name)
}

fn make_dir(path: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(path).with_context(|| format!("cannot make {}", path.display()))
}

fn find_deb(dir: &Path) -> anyhow::Result<PathBuf> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "deb") {
            return Ok(path);
        }
    }
    bail!("apt-get download left no package in {}", dir.display())
}

/// Apt with its own sources and lists, so that another suite's kernels can be fetched while the machine's own package
/// state stays untouched.
struct PrivateApt {
    directory: PathBuf,
}

impl PrivateApt {
    /// Writes a source list with one suite, and fetches its package lists.
    fn create(parent: &Path, suite: &str) -> anyhow::Result<Self> {
        let directory = parent.join(suite);
        make_dir(&directory.join("lists/partial"))?;
        make_dir(&directory.join("archives/partial"))?;
        let mirror = debian_mirror()?;
        let sources = directory.join("sources.list");
        fs::write(
            &sources,
            format!("deb [arch=amd64 signed-by={KEYRING}] {mirror} {suite} main\n"),
        )
        .with_context(|| format!("cannot write {}", sources.display()))?;
        let apt = Self { directory };
        tools::output(apt.command("apt-get").arg("update"))
            .with_context(|| format!("cannot fetch Debian's package lists for {suite}"))?;
        Ok(apt)
    }

    /// The package behind [`META_PACKAGE`].
    fn newest_kernel(&self) -> anyhow::Result<String> {
        let shown = tools::output(self.command("apt-cache").args([
            "show",
            "--no-all-versions",
            META_PACKAGE,
        ]))?;
        dependency(&shown).with_context(|| {
            format!("{META_PACKAGE} depends on no kernel; apt-cache says:\n{shown}")
        })
    }

    fn download(&self, package: &str, into: &Path) -> anyhow::Result<()> {
        tools::output(
            self.command("apt-get")
                .args(["-o", "Acquire::Retries=3", "download", package])
                .current_dir(into),
        )
        .map(drop)
    }

    /// Removes the lists: they are large, and the next fetch needs new ones.
    fn remove(self) -> anyhow::Result<()> {
        fs::remove_dir_all(&self.directory)
            .with_context(|| format!("cannot remove {}", self.directory.display()))
    }

    fn command(&self, program: &str) -> Command {
        let option =
            |name: &str, path: &str| format!("{name}={}", self.directory.join(path).display());
        let mut apt = Command::new(program);
        apt.args(["-o", &option("Dir::Etc::sourcelist", "sources.list")])
            .args(["-o", "Dir::Etc::sourceparts=/dev/null"])
            .args(["-o", "Dir::Etc::preferences=/dev/null"])
            .args(["-o", "Dir::Etc::preferencesparts=/dev/null"])
            .args(["-o", &option("Dir::State::lists", "lists")])
            .args(["-o", &option("Dir::Cache::archives", "archives")])
            // No binary caches: they would be the machine's own.
            .args([
                "-o",
                "Dir::Cache::pkgcache=",
                "-o",
                "Dir::Cache::srcpkgcache=",
            ])
            // The unprivileged download user may not reach a target directory in someone's home.
            .args(["-o", "APT::Sandbox::User=root"])
            // A machine of another architecture still emulates this one.
            .args(["-o", "APT::Architecture=amd64"])
            .args(["-o", "Acquire::Languages=none"])
            .args([
                "-o",
                "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false",
            ]);
        apt
    }
}

/// The mirror of Debian's archive that this machine already uses. None is written here, since the reachable ones differ
/// from machine to machine.
fn debian_mirror() -> anyhow::Result<String> {
    if let Ok(mirror) = std::env::var(MIRROR_ENV) {
        return Ok(mirror);
    }
    let targets = tools::output(Command::new("apt-get").args([
        "indextargets",
        "--format",
        "$(REPO_URI)",
        "Created-By: Packages",
        "Origin: Debian",
        // Not the security archive, which has no backports.
        "Label: Debian",
    ]))
    .unwrap_or_default();
    match targets.lines().next() {
        Some(mirror) => Ok(mirror.to_owned()),
        None => bail!(
            "apt's configuration names no mirror of Debian's archive; set {MIRROR_ENV} to the address of one, \
             or leave the virtual machines out: cargo xtask test --no-vm"
        ),
    }
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
