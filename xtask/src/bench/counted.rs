//! A benchmark in a machine whose clock counts instructions.

use std::path::Path;
use std::time::Duration;

use anyhow::bail;

use crate::setup::openvswitch;
use crate::vm::kernel::{Flavour, Kernel};
use crate::vm::qemu::{self, Job};
use crate::vm::{self, initramfs, tail};
use crate::workspace::Workspace;

/// How much is shown of what a benchmark printed that failed.
const TAIL_LINES: usize = 60;

/// What is to run.
pub struct Benchmark<'a> {
    /// Of the run: no two at once have the same.
    pub name: &'a str,
    pub flavour: &'a Flavour,
    pub executable: &'a Path,
    pub arguments: &'a str,
    pub timeout: Duration,
}

/// What it printed, and on which kernel.
pub struct Counted {
    pub kernel: String,
    pub output: String,
}

/// Boots a machine, and runs the benchmark in it; `watch` sees each line as it comes.
///
/// # Errors
///
/// When the machine or the benchmark fails.
pub fn run(
    workspace: &Workspace,
    benchmark: &Benchmark<'_>,
    watch: &(dyn Fn(&str) + Sync),
) -> anyhow::Result<Counted> {
    let Benchmark {
        name,
        flavour,
        executable,
        arguments,
        timeout,
    } = *benchmark;
    let kernel = Kernel::open(workspace, flavour)?;
    let initramfs = initramfs::pack(&kernel, &workspace.vm().join("initramfs").join(name))?;
    let directory = workspace.vm().join("runs").join(name);
    let mut script = vm::script_prelude(&kernel, false);
    script.push_str("modprobe pktgen\n");
    let openvswitch = workspace.openvswitch().join(openvswitch::SUITE);
    for (name, path) in [
        ("VNET_BIN", workspace.vnet_user()),
        ("VNET_OPENVSWITCH", openvswitch),
    ] {
        let path = path.display().to_string();
        script.push_str(&format!("export {name}={}\n", vm::quote(&path)));
    }
    let executable = executable.display().to_string();
    script.push_str(&format!("exec {} {arguments}\n", vm::quote(&executable)));
    let outcome = qemu::run(&Job {
        kernel: &kernel,
        initramfs: &initramfs,
        directory: &directory,
        script: &script,
        nics: false,
        disk: None,
        counts_instructions: true,
        watch: Some(watch),
        timeout,
    })?;
    if let Some(trouble) = outcome.trouble() {
        bail!("{name}: {trouble}");
    }
    if outcome.status != Ok(0) {
        let output = tail(&outcome.output, TAIL_LINES, &directory.join("output"));
        bail!("{name}: the benchmark failed:\n{output}");
    }
    Ok(Counted {
        kernel: kernel.version().to_owned(),
        output: outcome.output,
    })
}
