//! Compiling: the eBPF programs for their own target, then vnet-user, which includes them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};
use serde_json::Value;

use crate::setup;
use crate::tools;
use crate::workspace::Workspace;

/// Rust's name for little-endian BPF.
const BPF_TARGET: &str = "bpfel-unknown-none";

/// The third version of BPF's instructions, which Linux has since 5.1, brings arithmetic in 32 bits: without it most numbers
/// are cut to their size by instructions of their own. `debuginfo=2` is what bpf-linker makes BTF from, and `--btf` asks for
/// it. BTF gives maps their field names in bpftool, and the verifier's log its source lines.
const BPF_RUSTFLAGS: [&str; 3] = ["-Cdebuginfo=2", "-Clink-arg=--btf", "-Ctarget-cpu=v3"];

/// Compiles the eBPF programs and puts the object where vnet-user's build script looks for it.
pub fn ebpf(workspace: &Workspace) -> anyhow::Result<()> {
    tools::run(&mut bpf_cargo(workspace, "build")?)?;
    let built = workspace
        .bpf_target()
        .join(BPF_TARGET)
        .join("release/vnet-ebpf");
    copy_if_changed(&built, &workspace.bpf_object())
}

/// Runs clippy over the eBPF programs, with warnings as errors.
pub fn ebpf_clippy(workspace: &Workspace) -> anyhow::Result<()> {
    tools::run(bpf_cargo(workspace, "clippy")?.args(["--", "--deny", "warnings"]))
}

/// Compiles the eBPF programs, then the release binary.
pub fn everything(workspace: &Workspace) -> anyhow::Result<()> {
    ebpf(workspace)?;
    vnet_user(workspace)
}

/// Compiles a benchmark of the package `tests`, and returns where it is.
pub fn benchmark(workspace: &Workspace, name: &str) -> anyhow::Result<PathBuf> {
    let messages = tools::output(
        tools::cargo(workspace)
            .args(["bench", "--package", "tests", "--no-run", "--bench", name])
            .arg("--message-format=json-render-diagnostics")
            .stderr(Stdio::inherit()),
    )?;
    executable(&messages, "bench", Some(name))
        .with_context(|| format!("the package `tests` has no benchmark `{name}`"))
}

/// Compiles the release binary around the eBPF object that is there.
pub fn vnet_user(workspace: &Workspace) -> anyhow::Result<()> {
    tools::run(tools::cargo(workspace).args(["build", "--release", "--package", "vnet-user"]))
}

/// Finds the executable of a target in cargo's JSON messages, one a line; of its tests, if it is no benchmark.
pub fn executable(messages: &str, kind: &str, name: Option<&str>) -> Option<PathBuf> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["reason"] == "compiler-artifact")
        .filter(|message| kind == "bench" || message["profile"]["test"] == true)
        .filter(|message| message["target"]["kind"][0] == kind)
        .filter(|message| name.is_none_or(|name| message["target"]["name"] == name))
        .find_map(|message| Some(PathBuf::from(message["executable"].as_str()?)))
}

/// A cargo command for the eBPF crate: same flags and target directory for each, so that they share their caches.
fn bpf_cargo(workspace: &Workspace, subcommand: &str) -> anyhow::Result<Command> {
    let linker = setup::bpf_linker()
        .context("cannot build for BPF; run `cargo xtask setup --for build` first")?;
    ensure!(
        setup::has_rust_src(workspace)?,
        "the standard library's source is missing, which every BPF build compiles; \
         run `cargo xtask setup --for build` first"
    );
    let mut cargo = tools::cargo(workspace);
    cargo
        .args([subcommand, "--package", "vnet-ebpf", "--release"])
        .args(["--target", BPF_TARGET, "-Z", "build-std=core"])
        .arg("--target-dir")
        .arg(workspace.bpf_target())
        // `build-std` is unstable, and the toolchain is a pinned stable one.
        .env("RUSTC_BOOTSTRAP", "1")
        // This form comes before RUSTFLAGS and cargo's configuration: the user's flags are meant for the host.
        .env("CARGO_ENCODED_RUSTFLAGS", BPF_RUSTFLAGS.join("\x1f"))
        // The target's own choice is `bpf-linker` in PATH, where it need not be.
        .env("CARGO_TARGET_BPFEL_UNKNOWN_NONE_LINKER", linker);
    Ok(cargo)
}

/// Copies a file unless the copy is already the same: its time stamp is what makes cargo rebuild vnet-user.
fn copy_if_changed(from: &Path, to: &Path) -> anyhow::Result<()> {
    let new = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
    if fs::read(to).is_ok_and(|old| old == new) {
        return Ok(());
    }
    fs::write(to, new).with_context(|| format!("cannot write {}", to.display()))
}
