//! `cargo xtask setup`: what the machine needs, installed step by step.
//!
//! Each step first looks whether there is anything to do, says what it does and why, and where it cannot act ends with
//! the command to run by hand.

pub mod debian;
mod docker;
mod libraries;
pub mod openvswitch;
mod packages;
mod programs;
mod rust;
mod systemd;

use std::fs;

use anyhow::{Context as _, bail};
use clap::ValueEnum;

pub use self::rust::{bpf_linker, has_rust_src};

use crate::tools;
use crate::vm::kernel;
use crate::workspace::Workspace;

/// What the machine is to be ready for. Each includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Purpose {
    Build,
    Run,
    Test,
    Bench,
}

/// Makes the machine ready; `with_vm` says whether virtual machines will be used (only from [`Purpose::Test`] on).
pub fn setup(workspace: &Workspace, purpose: Purpose, with_vm: bool) -> anyhow::Result<()> {
    let with_vm = with_vm && purpose >= Purpose::Test;

    rust::components(workspace, purpose)?;
    if bpf_linker().is_err() {
        packages::install(packages::FOR_BPF_LINKER)?;
        rust::install_bpf_linker(workspace)?;
    }
    if purpose >= Purpose::Run {
        packages::install(packages::FOR_RUN)?;
        mount_bpffs()?;
    }
    if purpose >= Purpose::Test {
        packages::install(packages::FOR_TEST)?;
        docker::fetch(workspace)?;
    }
    if with_vm {
        packages::install(packages::FOR_VM)?;
        systemd::fetch(workspace)?;
        for flavour in &kernel::FLAVOURS {
            kernel::fetch(workspace, flavour)?;
        }
    }
    if with_vm && purpose >= Purpose::Bench {
        openvswitch::fetch(workspace)?;
    }
    println!("setup: ok");
    Ok(())
}

/// Announces a step that has work to do.
pub fn step(what: &str, why: &str) {
    println!("setup: {what}: {why}");
}

/// Mounts the BPF file system where everyone expects it.
fn mount_bpffs() -> anyhow::Result<()> {
    const MOUNT: &str = "/sys/fs/bpf";
    let mounts =
        fs::read_to_string("/proc/self/mounts").context("cannot read /proc/self/mounts")?;
    let mounted = mounts.lines().any(|line| {
        let mut fields = line.split(' ').skip(1);
        fields.next() == Some(MOUNT) && fields.next() == Some("bpf")
    });
    if mounted {
        return Ok(());
    }
    step(
        &format!("mount {MOUNT}"),
        "vnet pins its programs and maps there",
    );
    if !tools::is_root() {
        bail!("mounting needs root; run: sudo mount -t bpf bpf {MOUNT}");
    }
    tools::run(tools::command("mount").args(["-t", "bpf", "bpf", MOUNT]))
        .with_context(|| format!("cannot mount {MOUNT}; does this kernel have CONFIG_BPF_SYSCALL?"))
}
