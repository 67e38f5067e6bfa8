//! A disk that outlives its machine, for what must be there after a reboot.

use std::fs::File;
use std::path::PathBuf;

use anyhow::Context as _;

use super::quote;
use crate::tools;

/// Files take room on the host only where the guest has written.
const BYTES: u64 = 4 << 30;

/// Where the guest has it.
pub const MOUNT: &str = "/mnt";

/// Makes an empty one with a file system at `path`.
///
/// # Errors
///
/// When it can't be written.
pub fn make(path: PathBuf) -> anyhow::Result<PathBuf> {
    let context = || format!("cannot make the disk {}", path.display());
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory).with_context(context)?;
    }
    let file = File::create(&path).with_context(context)?;
    file.set_len(BYTES).with_context(context)?;
    tools::run(tools::command("mkfs.ext4").args(["-q", "-F"]).arg(&path))?;
    Ok(path)
}

/// QEMU's arguments for it, with its path as QEMU's options have it.
pub fn qemu_args(path: &str) -> [String; 2] {
    let drive = format!("file={path},if=virtio,format=raw,cache=unsafe");
    ["-drive".to_owned(), drive]
}

/// The lines of a guest's script that mount it.
pub fn script() -> String {
    let at = quote(MOUNT);
    format!("modprobe --all virtio_blk ext4\nmount /dev/vda {at}\n")
}
