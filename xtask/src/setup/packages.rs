//! Programs and libraries from the distribution.
//!
//! Looked for by the file, not by the package, so that a machine that has them some other way is left alone.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, bail};

use super::debian::KEYRING;
use super::step;
use crate::tools;

/// One thing the machine must have.
pub struct Need {
    /// Debian's package.
    package: &'static str,
    /// How to see that it is there.
    probe: Probe,
    /// What it is for.
    why: &'static str,
}

enum Probe {
    /// A program that can be found.
    Program(&'static str),
    /// A file or directory.
    File(&'static str),
    /// A busybox without shared libraries: the initramfs holds nothing else.
    StaticBusybox,
}

const fn program(name: &'static str, package: &'static str, why: &'static str) -> Need {
    Need {
        package,
        probe: Probe::Program(name),
        why,
    }
}

const fn file(path: &'static str, package: &'static str, why: &'static str) -> Need {
    Need {
        package,
        probe: Probe::File(path),
        why,
    }
}

/// To compile bpf-linker.
pub const FOR_BPF_LINKER: &[Need] = &[
    program("cc", "gcc", "rustc links with it"),
    program("c++", "g++", "LLVM needs its standard library"),
    file(
        "/usr/lib/llvm-22/bin/llvm-config",
        "llvm-22-dev",
        "bpf-linker is built on LLVM 22",
    ),
    file(
        "/usr/lib/llvm-22/lib/libPolly.a",
        "libpolly-22-dev",
        "LLVM 22 is linked with it",
    ),
    file(
        "/usr/include/zstd.h",
        "libzstd-dev",
        "LLVM 22 is linked with it",
    ),
];

/// To run vnet-user and look at what it does.
pub const FOR_RUN: &[Need] = &[
    program(
        "ip",
        "iproute2",
        "the demo and the tests make networks with it",
    ),
    program("nft", "nftables", "the tests' routers use it"),
    program("bpftool", "bpftool", "shows maps and programs"),
];

/// To run the tests on this machine.
pub const FOR_TEST: &[Need] = &[
    program("ethtool", "ethtool", "the tests switch offloads with it"),
    program(
        "strace",
        "strace",
        "the tests let system calls fail with it",
    ),
    Need {
        package: "busybox-static",
        probe: Probe::StaticBusybox,
        why: "the tests' containers ask for addresses with it, and the virtual machines boot with it",
    },
    program(
        "dhclient",
        "isc-dhcp-client",
        "a container of the tests asks for its IPv6 address with it",
    ),
    program(
        "dnsmasq",
        "dnsmasq-base",
        "the tests' servers hand out addresses with it",
    ),
    file(
        KEYRING,
        "debian-archive-keyring",
        "the packages of Docker and of kernels are checked with it",
    ),
    program(
        "nsenter",
        "util-linux",
        "the tests run commands beside a Docker engine with it",
    ),
];

/// To run the tests on other kernels.
pub const FOR_VM: &[Need] = &[
    program(
        "qemu-system-x86_64",
        "qemu-system-x86",
        "runs other kernels",
    ),
    program("depmod", "kmod", "finds which modules a kernel needs"),
    program("cpio", "cpio", "packs the initramfs"),
    program("xz", "xz-utils", "unpacks kernel modules"),
    program(
        "mkfs.ext4",
        "e2fsprogs",
        "makes the disk of a host that reboots",
    ),
    program(
        "setpriv",
        "util-linux",
        "ends a virtual machine with its parent",
    ),
];

/// Installs those that are missing, all in one go.
pub fn install(needs: &[Need]) -> anyhow::Result<()> {
    let missing: Vec<&Need> = needs.iter().filter(|need| !need.probe.is_met()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    for need in &missing {
        step(&format!("install {}", need.package), need.why);
    }
    let packages: Vec<&str> = missing.iter().map(|need| need.package).collect();
    let by_hand = format!(
        "apt-get install --no-install-recommends {}",
        packages.join(" ")
    );
    if tools::find("apt-get").is_none() {
        bail!(
            "this machine has no apt-get; install by its own means what Debian calls: {}",
            packages.join(" ")
        );
    }
    if !tools::is_root() {
        bail!("installing needs root; run: sudo {by_hand}");
    }

    // Lists that are there are tried first: fetching them takes longer than most installs. A failure then usually
    // means that they are old.
    let listed = tools::output(
        tools::command("apt-cache")
            .args(["show", "--no-all-versions"])
            .args(&packages),
    );
    if listed.is_err() || tools::run(&mut apt_install(&packages)).is_err() {
        step("apt-get update", "the package lists are missing or old");
        tools::run(tools::command("apt-get").args(["--quiet", "update"]))?;
        tools::run(&mut apt_install(&packages)).with_context(|| {
            format!(
                "cannot install; to try by hand: {by_hand}\n\
                 If apt does not know a package, add a package source that has it"
            )
        })?;
    }
    match missing.iter().find(|need| !need.probe.is_met()) {
        Some(need) => bail!(
            "{} is installed, but what it is needed for is still not found",
            need.package
        ),
        None => Ok(()),
    }
}

fn apt_install(packages: &[&str]) -> Command {
    let mut apt = tools::command("apt-get");
    apt.env("DEBIAN_FRONTEND", "noninteractive")
        .args(["--quiet", "--yes", "--no-install-recommends", "install"])
        .args(packages);
    apt
}

impl Probe {
    fn is_met(&self) -> bool {
        match *self {
            Self::Program(name) => tools::find(name).is_some(),
            Self::File(path) => Path::new(path).exists(),
            Self::StaticBusybox => tools::find("busybox")
                .and_then(|path| fs::read(path).ok())
                .is_some_and(|elf| is_static(&elf)),
        }
    }
}

/// Whether an ELF file names no dynamic loader. The name stands right behind the program headers.
fn is_static(elf: &[u8]) -> bool {
    let head = &elf[..elf.len().min(4096)];
    elf.starts_with(b"\x7fELF") && !head.windows(3).any(|window| window == b"/ld")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_with_a_dynamic_loader_is_not_static() {
        let own = fs::read("/proc/self/exe").unwrap();
        assert!(!is_static(&own));
        assert!(is_static(b"\x7fELF and nothing more"));
        assert!(!is_static(b"#!/bin/sh"));
    }
}
