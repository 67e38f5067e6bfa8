//! Instructions per packet, in machines whose clock counts instructions.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, anyhow, ensure};

use super::counted::{self, Benchmark};
use super::figures::{Measured, figure};
use super::rows::{EMPTY_PROGRAM, MACHINES, Machine, REFERENCE};
use crate::build;
use crate::workspace::Workspace;

const TIMEOUT: Duration = Duration::from_secs(1500);

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
    let watch = |line: &str| {
        if let Some((row, path, instructions)) = figure(line) {
            say(&format!("{series}: {row} {path}: {instructions:.0}"));
        }
    };
    say(&format!("{series}: booting"));
    let counted = counted::run(
        workspace,
        &Benchmark {
            name: &format!("bench-{series}"),
            flavour: &machine.flavour,
            executable: benchmark,
            arguments: &format!("instructions {}", rows.join(" ")),
            timeout: TIMEOUT,
        },
        &watch,
    )?;
    Measured::read(machine, &counted.kernel, &counted.output)
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
