//! Virtual machines with other kernels, without KVM: the host's files, another kernel, and emulated NICs.
//!
//! A guest boots Debian's kernel with a small initramfs, mounts the host's root file system below a layer in memory,
//! and runs one script in it. So whatever is installed and compiled on the host is there, nothing needs an image, and
//! nothing on the host can change.

pub mod disk;
pub mod initramfs;
pub mod kernel;
pub mod nics;
pub mod qemu;

use self::kernel::Kernel;

/// The start of every guest's script: makes the kernel's modules loadable, and loads those that nothing would load by
/// itself, for want of udev: `tun`, whose device file is only there with it, and the drivers of the NICs if there are any.
pub fn script_prelude(kernel: &Kernel, with_nics: bool) -> String {
    let modules = quote(&kernel.modules().display().to_string());
    let here = quote(&format!("/lib/modules/{}", kernel.version()));
    let mut script = format!("set -e\nmkdir -p {here}\nmount --bind {modules} {here}\n");
    let mut modules = vec!["tun"];
    if with_nics {
        modules.extend(nics::MODELS.iter().map(|model| model.module));
    }
    script.push_str(&format!("modprobe --all {}\n", modules.join(" ")));
    script
}

/// Quotes a word for the shell.
pub fn quote(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::quote;

    #[test]
    fn a_quoted_word_is_one_word() {
        assert_eq!(quote("a;b c"), "'a;b c'");
        assert_eq!(quote("it's"), r"'it'\''s'");
    }
}
