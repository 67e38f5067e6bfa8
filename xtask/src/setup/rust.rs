//! The Rust side: components of the toolchain, and the BPF linker.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use super::{Purpose, step};
use crate::tools;
use crate::workspace::Workspace;

/// The series of bpf-linker that fits the pinned toolchain.
const BPF_LINKER_SERIES: &str = "0.13";

/// LLVM for bpf-linker. Its LLVM must be at least as new as rustc's, since it reads rustc's bitcode.
const LLVM_PREFIX: &str = "/usr/lib/llvm-22";
const LLVM_FEATURE: &str = "llvm-22";

/// Adds missing components to the toolchain that rust-toolchain.toml names.
pub fn components(workspace: &Workspace, purpose: Purpose) -> anyhow::Result<()> {
    let mut missing = Vec::new();
    if !has_rust_src(workspace)? {
        missing.push(("rust-src", "the BPF target has no prebuilt `core`"));
    }
    if purpose >= Purpose::Test {
        for (component, subcommand) in [("rustfmt", "fmt"), ("clippy", "clippy")] {
            if tools::output(tools::cargo(workspace).args([subcommand, "--version"])).is_err() {
                missing.push((component, "the tests check format and lints"));
            }
        }
    }
    for (component, why) in missing {
        step(&format!("rustup component add {component}"), why);
        if tools::find("rustup").is_none() {
            bail!(
                "rustup is not installed, so {component} cannot be added; install Rust by rustup \
                 (see rust-lang.org), then run: rustup component add {component}"
            );
        }
        tools::run(
            tools::command("rustup")
                .args(["component", "add", component])
                .current_dir(workspace.root()),
        )?;
    }
    Ok(())
}

/// Whether the toolchain has the source of `core`.
pub fn has_rust_src(workspace: &Workspace) -> anyhow::Result<bool> {
    let sysroot = tools::output(
        tools::command("rustc")
            .args(["--print", "sysroot"])
            .current_dir(workspace.root()),
    )
    .context("no Rust toolchain; install one by rustup (see rust-lang.org)")?;
    Ok(Path::new(sysroot.trim())
        .join("lib/rustlib/src/rust/library/core")
        .is_dir())
}

/// Finds a bpf-linker that starts and is of the right series.
pub fn bpf_linker() -> anyhow::Result<PathBuf> {
    let path = tools::find("bpf-linker").context("bpf-linker is not installed")?;
    let version = tools::output(tools::command("bpf-linker").arg("--version"))?;
    let fits = version
        .trim()
        .strip_prefix("bpf-linker ")
        .and_then(|version| version.strip_prefix(BPF_LINKER_SERIES))
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    if !fits {
        bail!(
            "{} is {}, not {BPF_LINKER_SERIES}",
            path.display(),
            version.trim()
        );
    }
    Ok(path)
}

/// Compiles and installs bpf-linker.
pub fn install_bpf_linker(workspace: &Workspace) -> anyhow::Result<()> {
    step(
        &format!("cargo install bpf-linker {BPF_LINKER_SERIES}"),
        "rustc makes BPF objects with it (takes some minutes)",
    );
    let version = format!("^{BPF_LINKER_SERIES}");
    tools::run(
        tools::cargo(workspace)
            .env("LLVM_PREFIX", LLVM_PREFIX)
            .args(["install", "bpf-linker", "--version", &version, "--locked"])
            // An older one is replaced.
            .arg("--force")
            .args(["--no-default-features", "--features", LLVM_FEATURE]),
    )
    .with_context(|| {
        format!(
            "cannot install bpf-linker; to try by hand: LLVM_PREFIX={LLVM_PREFIX} cargo install bpf-linker \
             --version ^{BPF_LINKER_SERIES} --locked --no-default-features --features {LLVM_FEATURE}"
        )
    })?;
    bpf_linker().map(drop)
}
