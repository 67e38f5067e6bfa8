//! The machine's files, which are another's: what it takes to fetch them is in no figure.

use std::fs::OpenOptions;
use std::path::Path;

use vnet_user::lab::Netns;

/// Keeps a program in memory, with all that it loads: a file that is opened to be changed is copied first
/// (Documentation/filesystems/overlayfs.rst).
pub fn keep_in_memory(netns: &Netns, program: &Path) {
    let loaded = netns.sh(&format!("ldd {}", program.display())).unwrap();
    let loaded = loaded
        .split_whitespace()
        .filter(|word| word.starts_with('/'));
    let program = program.to_str().unwrap();
    for file in loaded.chain([program, "/etc/ld.so.cache"]) {
        OpenOptions::new().append(true).open(file).unwrap();
    }
}
