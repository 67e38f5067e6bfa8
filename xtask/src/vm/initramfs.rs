//! The guest's initramfs: busybox, the few modules that reach the host's files, and two scripts.

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, bail};

use super::kernel::Kernel;
use crate::tools;

/// What it takes to mount the host's files by 9p with an overlay over them.
const MODULES: &[&str] = &["virtio_pci", "9pnet_virtio", "9p", "overlay"];

/// Busybox's programs that `init.sh` uses.
const APPLETS: &[&str] = &[
    "sh",
    "mount",
    "umount",
    "insmod",
    "mkdir",
    "cp",
    "ifconfig",
    "switch_root",
    "reboot",
];

const DIRECTORIES: &[&str] = &[
    "bin", "modules", "dev", "proc", "sys", "lower", "upper", "root",
];

/// Packs an initramfs for a kernel and returns its path. Made anew each time: it takes less time than finding out
/// whether an old one still fits.
pub fn pack(kernel: &Kernel, work: &Path) -> anyhow::Result<PathBuf> {
    let tree = work.join("initramfs");
    if tree.exists() {
        fs::remove_dir_all(&tree).with_context(|| format!("cannot remove {}", tree.display()))?;
    }
    fill(kernel, &tree)
        .with_context(|| format!("cannot make the initramfs in {}", tree.display()))?;
    let image = work.join("initramfs.cpio");
    archive(&tree, &image)?;
    Ok(image)
}

fn fill(kernel: &Kernel, tree: &Path) -> anyhow::Result<()> {
    for directory in DIRECTORIES {
        fs::create_dir_all(tree.join(directory))?;
    }
    let busybox =
        tools::find("busybox").context("busybox is not installed; run `cargo xtask setup`")?;
    fs::copy(busybox, tree.join("bin/busybox"))?;
    for applet in APPLETS {
        symlink("busybox", tree.join("bin").join(applet))?;
    }
    fs::write(tree.join("init"), include_str!("init.sh"))?;
    fs::set_permissions(tree.join("init"), fs::Permissions::from_mode(0o755))?;
    fs::write(tree.join("main.sh"), include_str!("main.sh"))?;

    let mut order = String::new();
    for file in kernel.module_files(MODULES)? {
        let name = copy_module(&file, &tree.join("modules"))?;
        order.push_str(&name);
        order.push('\n');
    }
    fs::write(tree.join("modules/order"), order)?;
    Ok(())
}

/// Copies a module, unpacked: a native `xz` is faster than the emulated kernel's.
fn copy_module(file: &Path, into: &Path) -> anyhow::Result<String> {
    let name = file
        .file_name()
        .and_then(|name| name.to_str())
        .with_context(|| format!("{} has no usable name", file.display()))?;
    match name.strip_suffix(".xz") {
        None => {
            fs::copy(file, into.join(name))?;
            Ok(name.to_owned())
        }
        Some(unpacked) => {
            let out = File::create(into.join(unpacked))?;
            tools::run(
                tools::command("xz")
                    .args(["--decompress", "--stdout"])
                    .arg(file)
                    .stdout(out),
            )?;
            Ok(unpacked.to_owned())
        }
    }
}

/// Packs a directory in the format that the kernel reads.
fn archive(tree: &Path, image: &Path) -> anyhow::Result<()> {
    use std::io::Write as _;

    let mut names = String::new();
    list(tree, Path::new(""), &mut names)?;
    let out = File::create(image).with_context(|| format!("cannot write {}", image.display()))?;
    let mut cpio = tools::command("cpio")
        .args(["--create", "--format=newc", "--owner=0:0", "--quiet"])
        .current_dir(tree)
        .stdin(Stdio::piped())
        .stdout(out)
        .spawn()
        .context("cannot start cpio")?;
    if let Some(mut stdin) = cpio.stdin.take() {
        stdin.write_all(names.as_bytes())?;
    }
    let status = cpio.wait()?;
    if !status.success() {
        bail!("cpio failed to pack {}: {status}", tree.display());
    }
    Ok(())
}

/// Lists what is below a directory, each directory before what it holds.
fn list(tree: &Path, below: &Path, names: &mut String) -> anyhow::Result<()> {
    for entry in fs::read_dir(tree.join(below))? {
        let entry = entry?;
        let name = below.join(entry.file_name());
        names.push_str(&name.to_string_lossy());
        names.push('\n');
        if entry.file_type()?.is_dir() {
            list(tree, &name, names)?;
        }
    }
    Ok(())
}
