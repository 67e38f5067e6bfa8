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

use std::path::Path;

use self::kernel::Kernel;

/// The start of every guest's script: makes the kernel's modules loadable, and loads those that nothing would load by
/// itself, for want of udev: `tun`, whose device file is only there with it, and the drivers of the NICs if there are any.
/// Then the environment that a root shell has.
pub fn script_prelude(kernel: &Kernel, with_nics: bool) -> String {
    let modules = quote(&kernel.modules().display().to_string());
    let here = quote(&format!("/lib/modules/{}", kernel.version()));
    let mut script = format!("set -e\nmkdir -p {here}\nmount --bind {modules} {here}\n");
    let mut modules = vec!["tun"];
    if with_nics {
        modules.extend(nics::MODELS.iter().map(|model| model.module));
    }
    script.push_str(&format!("modprobe --all {}\n", modules.join(" ")));
    script.push_str("export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n");
    script.push_str("export HOME=/root RUST_BACKTRACE=1\n");
    script
}

/// Quotes a word for the shell.
pub fn quote(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// The last lines of a text, and where the rest of it is.
pub fn tail(text: &str, most: usize, file: &Path) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let left_out = lines.len().saturating_sub(most);
    let tail = lines[left_out..].join("\n");
    if left_out == 0 {
        return tail;
    }
    format!(
        "({left_out} lines left out; all are in {})\n{tail}",
        file.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_word_is_one_word() {
        assert_eq!(quote("a;b c"), "'a;b c'");
        assert_eq!(quote("it's"), r"'it'\''s'");
    }

    #[test]
    fn a_tail_says_where_the_rest_is() {
        assert_eq!(tail("a\nb\n", 2, Path::new("/log")), "a\nb");
        assert_eq!(
            tail("a\nb\n", 1, Path::new("/log")),
            "(1 lines left out; all are in /log)\nb"
        );
    }
}
