//! Tells the crate where the eBPF object is, which `cargo xtask build-ebpf` makes.

use std::{env, path::PathBuf};

fn main() {
    println!("cargo::rerun-if-env-changed=VNET_EBPF_OBJECT");
    let object = env::var_os("VNET_EBPF_OBJECT").map_or_else(default_object, PathBuf::from);
    println!("cargo::rerun-if-changed={}", object.display());
    if !object.exists() {
        println!(
            "cargo::error=no eBPF object at {}: run `cargo xtask build-ebpf` first",
            object.display()
        );
        return;
    }
    println!("cargo::rustc-env=VNET_EBPF_OBJECT={}", object.display());
}

/// `<target>/bpf/vnet-ebpf.o`. `OUT_DIR` is `<target>/<profile>/build/<package>/out`.
fn default_object() -> PathBuf {
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(
        || PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default()).join("../target"),
        PathBuf::from,
    );
    target.join("bpf/vnet-ebpf.o")
}
