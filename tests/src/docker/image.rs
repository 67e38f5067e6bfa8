//! An image without a registry: busybox, which is static, under all its names.

use std::{fs, os::unix::fs::symlink, path::Path, process::Command};

/// Directories that an image has.
const DIRECTORIES: [&str; 6] = ["bin", "etc", "proc", "sys", "root", "tmp"];

/// Writes the image's file system as a tar.
///
/// # Panics
///
/// When busybox is missing, or anything else fails.
pub fn write_tar(below: &Path, tar: &Path) {
    let root = below.join("image");
    for directory in DIRECTORIES {
        fs::create_dir_all(root.join(directory)).unwrap();
    }
    let path = output(Command::new("sh").args(["-c", "command -v busybox"]));
    fs::copy(path.trim(), root.join("bin/busybox")).unwrap();
    for name in output(Command::new("busybox").arg("--list")).lines() {
        if name != "busybox" {
            symlink("busybox", root.join("bin").join(name)).unwrap();
        }
    }
    output(
        Command::new("tar")
            .arg("-cf")
            .arg(tar)
            .arg("-C")
            .arg(&root)
            .arg("."),
    );
    fs::remove_dir_all(root).unwrap();
}

fn output(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}
