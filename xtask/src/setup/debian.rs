//! Debian's packages of any suite, fetched and unpacked below the target directory; nothing is installed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

use crate::tools;

/// Overrides the mirror that is found in apt's configuration; for machines that are not Debian.
const MIRROR_ENV: &str = "VNET_DEBIAN_MIRROR";

/// Where `debian-archive-keyring` puts the key of every Debian suite.
pub const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Makes the directory `parent/name` of packages from a suite.
///
/// `fill` gets another directory, which is renamed when complete, so that what was interrupted is never taken for whole.
pub fn fetch(
    parent: &Path,
    name: &str,
    suite: &str,
    fill: impl FnOnce(&PrivateApt, &Path) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let partial = parent.join(format!("{name}.partial"));
    if partial.exists() {
        fs::remove_dir_all(&partial)
            .with_context(|| format!("cannot remove {}", partial.display()))?;
    }
    make_dir(&partial)?;
    let apt = PrivateApt::create(&parent.join("apt"), suite)?;
    fill(&apt, &partial)?;
    apt.remove()?;
    let finished = parent.join(name);
    fs::rename(&partial, &finished).with_context(|| {
        format!(
            "cannot rename {} to {}",
            partial.display(),
            finished.display()
        )
    })
}

/// Apt with its own sources and lists, so that another suite's packages can be fetched while the machine's own package
/// state stays untouched.
pub struct PrivateApt {
    directory: PathBuf,
}

impl PrivateApt {
    /// Writes a source list with one suite, and fetches its package lists.
    fn create(parent: &Path, suite: &str) -> anyhow::Result<Self> {
        let directory = parent.join(suite);
        make_dir(&directory.join("lists/partial"))?;
        make_dir(&directory.join("archives/partial"))?;
        let mirror = mirror()?;
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

    /// What `apt-cache show` says of a package's newest version.
    pub fn show(&self, package: &str) -> anyhow::Result<String> {
        tools::output(
            self.command("apt-cache")
                .args(["show", "--no-all-versions", package]),
        )
    }

    /// Fetches a package, and unpacks its files into a directory.
    pub fn unpack(&self, package: &str, into: &Path) -> anyhow::Result<()> {
        tools::output(
            self.command("apt-get")
                .args(["-o", "Acquire::Retries=3", "download", package])
                .current_dir(into),
        )?;
        let deb = find_deb(into)?;
        tools::run(
            Command::new("dpkg-deb")
                .arg("--extract")
                .arg(&deb)
                .arg(into),
        )?;
        fs::remove_file(&deb).with_context(|| format!("cannot remove {}", deb.display()))
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

/// The mirror of Debian's archive that this machine already uses. None is written here, since the reachable ones differ
/// from machine to machine.
fn mirror() -> anyhow::Result<String> {
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
            "apt's configuration names no mirror of Debian's archive, which the tests' Docker engines and kernels come \
             from; set {MIRROR_ENV} to the address of one"
        ),
    }
}
