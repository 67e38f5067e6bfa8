//! `vnet-user install` and `uninstall`: what a host needs beside the kernel.

mod files;
mod systemd;

use std::{
    fs, io,
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use clap::Args;
use serde::Serialize;

use self::files::Placed;
use super::{
    open,
    output::{self, Format},
};
use crate::control::{Dirs, privilege};

#[derive(Debug, Args)]
#[command(after_help = "Example: vnet-user install --print")]
pub struct InstallArgs {
    /// Print the files with their contents, and change nothing.
    #[arg(long)]
    print: bool,
    /// Write below this directory, for a package or an image, and start nothing.
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
    #[command(flatten)]
    format: Format,
}

#[derive(Debug, Args)]
#[command(after_help = "Example: vnet-user uninstall")]
pub struct UninstallArgs {
    /// Where it was installed below.
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
    #[command(flatten)]
    format: Format,
}

impl InstallArgs {
    pub fn run(self) -> anyhow::Result<()> {
        let Self {
            print,
            root,
            format,
        } = self;
        let files = files::all();
        if print {
            return format.print(&report(&root, &files), || printed(&root, &files));
        }
        check_root(&root)?;
        for file in &files {
            file.write(&root)?;
        }
        if is_this_host(&root) {
            systemd::start()?;
        }
        format.print(&paths(&root, &files), || {
            format!("installed {}", output::list(paths(&root, &files)))
        })
    }
}

impl UninstallArgs {
    pub async fn run(self, dirs: &Dirs) -> anyhow::Result<()> {
        let Self { root, format } = self;
        check_root(&root)?;
        let files = files::all();
        if is_this_host(&root) {
            check_unused(dirs).await?;
            systemd::stop()?;
        }
        let mut removed = Vec::new();
        for file in &files {
            if file.remove(&root)? {
                removed.push(below(&root, file.path).display().to_string());
            }
        }
        if is_this_host(&root) {
            systemd::reload()?;
        }
        format.print(&removed, || match removed.is_empty() {
            true => "nothing was installed".to_owned(),
            false => format!("removed {}", output::list(&removed)),
        })
    }
}

/// What is attached could not be detached any more without the binary.
async fn check_unused(dirs: &Dirs) -> anyhow::Result<()> {
    let vnet = open(dirs).await?;
    let state = vnet.state();
    if let Some(id) = state.docker.networks.keys().next() {
        let id = id.short();
        bail!("Docker has network {id}: `docker network rm {id}` first");
    }
    if let Some(uplink) = state.uplinks.keys().next() {
        bail!("{uplink:?} is attached: `vnet-user detach --iface {uplink}` first");
    }
    Ok(())
}

fn is_this_host(root: &Path) -> bool {
    root == Path::new("/")
}

/// Files of the system are root's to write; below another directory its owner may.
fn check_root(root: &Path) -> anyhow::Result<()> {
    if is_this_host(root) {
        return Ok(privilege::check()?);
    }
    if !root.is_dir() {
        bail!("--root {}: a directory was expected", root.display());
    }
    Ok(())
}

fn paths(root: &Path, files: &[Placed]) -> Vec<String> {
    let paths = files.iter().map(|file| below(root, file.path));
    paths.map(|path| path.display().to_string()).collect()
}

/// A file as `--print --json` has it.
#[derive(Serialize)]
struct FileReport<'a> {
    path: String,
    /// In octal, as `chmod` takes it.
    mode: String,
    /// None for the program itself.
    text: Option<&'a str>,
}

fn report<'a>(root: &Path, files: &'a [Placed]) -> Vec<FileReport<'a>> {
    let files = files.iter().map(|file| FileReport {
        path: below(root, file.path).display().to_string(),
        mode: format!("{:04o}", file.mode),
        text: file.text(),
    });
    files.collect()
}

fn below(root: &Path, path: &str) -> PathBuf {
    root.join(path.trim_start_matches('/'))
}

fn printed(root: &Path, files: &[Placed]) -> String {
    let parts = files.iter().map(|file| {
        let path = below(root, file.path);
        let text = file.text().map_or_else(
            || "(this program)".to_owned(),
            |text| text.trim_end().to_owned(),
        );
        format!("# {}\n{text}\n", path.display())
    });
    parts.collect::<Vec<_>>().join("\n").trim_end().to_owned()
}

impl Placed {
    /// In one step, so that a process that starts in between finds the old file or the new one.
    fn write(&self, root: &Path) -> anyhow::Result<()> {
        let path = below(root, self.path);
        let what = || format!("cannot write {}", path.display());
        let directory = path.parent().with_context(what)?;
        fs::create_dir_all(directory).with_context(what)?;
        let mut hidden = path.as_os_str().to_owned();
        hidden.push(".new");
        let hidden = PathBuf::from(hidden);
        self.copy_to(&hidden)
            .and_then(|()| fs::rename(&hidden, &path))
            .with_context(what)
    }

    fn copy_to(&self, path: &Path) -> io::Result<()> {
        let mut from: Box<dyn io::Read> = match self.text() {
            Some(text) => Box::new(io::Cursor::new(text.to_owned())),
            None => Box::new(fs::File::open("/proc/self/exe")?),
        };
        let mut options = fs::OpenOptions::new();
        options
            .write(true)
            .create(true)
            .truncate(true)
            .mode(self.mode);
        let mut to = options.open(path)?;
        io::copy(&mut from, &mut to)?;
        // Whatever the umask says.
        to.set_permissions(fs::Permissions::from_mode(self.mode))?;
        to.sync_all()
    }

    /// True if it was there.
    fn remove(&self, root: &Path) -> anyhow::Result<bool> {
        let path = below(root, self.path);
        match fs::remove_file(&path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error).with_context(|| format!("cannot remove {}", path.display())),
        }
    }
}
