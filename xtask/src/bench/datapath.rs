//! Instructions per packet, in machines whose clock counts instructions.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail, ensure};

use super::figures::{Measured, figure};
use super::rows::{EMPTY_PROGRAM, MACHINES, Machine, REFERENCE};
use crate::build;
use crate::setup::openvswitch;
use crate::vm::kernel::Kernel;
use crate::vm::qemu::{self, Job};
use crate::vm::{self, initramfs, tail};
use crate::workspace::Workspace;

const TIMEOUT: Duration = Duration::from_secs(1500);
/// How much is shown of what a benchmark printed that failed.
const TAIL_LINES: usize = 60;

/// A machine, and which of its rows it measures.
pub type Choice = (&'static Machine, Vec<&'static str>);

/// The rows whose name contains `name`, on the machines that have such, and those that they are compared with.
///
/// # Errors
///
/// When there is no such row.
pub fn choose(name: Option<&str>) -> anyhow::Result<Vec<Choice>> {
    let name = name.unwrap_or_default();
    let mut choices = Vec::new();
    for machine in &MACHINES {
        let rows = || machine.rows.iter().map(|row| row.name);
        if rows().any(|row| row.contains(name)) {
            let compared = [REFERENCE.name, EMPTY_PROGRAM.name];
            let chosen = rows().filter(|row| compared.contains(row) || row.contains(name));
            choices.push((machine, chosen.collect()));
        }
    }
    let known = MACHINES.iter().flat_map(|machine| machine.rows);
    let known: BTreeSet<&str> = known.map(|row| row.name).collect();
    let known: Vec<&str> = known.into_iter().collect();
    ensure!(
        !choices.is_empty(),
        "no row's name contains `{name}`; there are {}",
        known.join(", ")
    );
    Ok(choices)
}

/// Measures what was chosen, on all machines at once.
pub fn measure(workspace: &Workspace, choices: &[Choice]) -> anyhow::Result<Vec<Measured>> {
    let benchmark = build::benchmark(workspace, "datapath")?;
    // Held while a line is printed, so that two machines do not write into one.
    let terminal = Mutex::new(());
    let say = |line: &str| {
        let _one_at_a_time = terminal.lock();
        println!("{line}");
    };
    thread::scope(|scope| {
        let machines: Vec<_> = choices
            .iter()
            .map(|(machine, rows)| scope.spawn(|| run(workspace, machine, rows, &benchmark, &say)))
            .collect();
        let ended = machines.into_iter().map(|machine| {
            machine
                .join()
                .unwrap_or_else(|_| Err(anyhow!("the thread of a machine panicked")))
        });
        ended.collect()
    })
}

fn run(
    workspace: &Workspace,
    machine: &'static Machine,
    rows: &[&str],
    benchmark: &Path,
    say: &(dyn Fn(&str) + Sync),
) -> anyhow::Result<Measured> {
    let series = machine.flavour.name;
    let kernel = Kernel::open(workspace, &machine.flavour)?;
    let work = workspace
        .vm()
        .join("initramfs")
        .join(format!("bench-{series}"));
    let initramfs = initramfs::pack(&kernel, &work)?;
    let directory = workspace.vm().join("runs").join(format!("bench-{series}"));
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
    let benchmark = benchmark.display().to_string();
    script.push_str(&format!(
        "exec {} instructions {}\n",
        vm::quote(&benchmark),
        rows.join(" ")
    ));

    say(&format!("{series}: booting"));
    let watch = |line: &str| {
        if let Some((row, path, instructions)) = figure(line) {
            say(&format!("{series}: {row} {path}: {instructions:.0}"));
        }
    };
    let outcome = qemu::run(&Job {
        kernel: &kernel,
        initramfs: &initramfs,
        directory: &directory,
        script: &script,
        nics: false,
        disk: None,
        counts_instructions: true,
        watch: Some(&watch),
        timeout: TIMEOUT,
    })?;
    if let Some(trouble) = outcome.trouble() {
        bail!("{series}: {trouble}");
    }
    if outcome.status != Ok(0) {
        let output = tail(&outcome.output, TAIL_LINES, &directory.join("output"));
        bail!("{series}: the benchmark failed:\n{output}");
    }
    Measured::read(machine, kernel.version(), &outcome.output)
        .with_context(|| format!("cannot read the figures of {series}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_comes_with_those_that_it_is_compared_with() {
        let choices = choose(Some("netkit")).unwrap();
        assert_eq!(choices.len(), 1, "only one kernel has netkit");
        let (machine, rows) = &choices[0];
        assert_eq!(machine.flavour.name, "6.12");
        let expected = [
            "macvlan-on-vlan",
            "vnet-netkit",
            "floor-netkit",
            "empty-program",
        ];
        assert_eq!(*rows, expected);
        assert_eq!(choose(None).unwrap().len(), MACHINES.len());
        let error = choose(Some("netkid")).err().unwrap().to_string();
        assert!(
            error.contains("netkid") && error.contains("vnet-veth"),
            "{error}"
        );
    }
}
