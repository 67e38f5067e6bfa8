//! `vnet-user demo`: the two reference scenarios, in network namespaces that it makes and removes itself.
//!
//! It drives this very binary by its command line, and shows each command as a person would type it. Whether it worked is
//! found out by traffic. Nothing stays behind, also after Ctrl-C or a failure: everything it makes is owned by values that
//! clean up when they are dropped, and a signal only asks the scenario to return early.

mod bridge;
mod report;
mod stage;
mod trunk;

use std::{
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use anyhow::{Context as _, bail};

use report::Report;

use crate::{
    interrupt::{INTERRUPTED, Interrupt},
    lab::sweep_dead,
};

/// What the names of the demo's namespaces, pins and state begin with.
const LAB: &str = "vnet-demo";

/// Options of `vnet-user demo`. None yet.
#[derive(Clone, Debug, Default)]
pub struct DemoArgs {}

/// Runs the demo. The exit code is 0 when every check passed, 1 when one did not, 130 after Ctrl-C.
///
/// Needs a tokio runtime with I/O (for signals); the scenarios run on its blocking pool.
///
/// # Errors
///
/// When a scenario could not be carried on: not root, a missing program, a command that failed.
pub async fn run(args: DemoArgs) -> anyhow::Result<ExitCode> {
    let DemoArgs {} = args;
    if !nix::unistd::geteuid().is_root() {
        bail!("the demo makes network namespaces, which needs root: run it with sudo");
    }
    let mut interrupt = Interrupt::listen().context("listen for signals")?;
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let mut scenarios = tokio::task::spawn_blocking(move || play(&stopped));
    loop {
        tokio::select! {
            played = &mut scenarios => {
                return match played.context("the demo broke off")? {
                    Err(_) if stop.load(Ordering::Relaxed) => Ok(ExitCode::from(INTERRUPTED)),
                    other => other,
                };
            }
            () = interrupt.wait() => {}
        }
        if !stop.swap(true, Ordering::Relaxed) {
            eprintln!("\ncleaning up …");
        }
    }
}

/// Plays both scenarios, one after the other.
fn play(stop: &AtomicBool) -> anyhow::Result<ExitCode> {
    // What a demo left that was killed.
    sweep_dead(LAB);
    let mut report = Report::to_stdout(stop);
    report.line("vnet demo: two scenarios, in network namespaces of its own. Nothing outside of them is touched.")?;
    bridge::play(&mut report).context("scenario 1, bridge mode")?;
    trunk::play(&mut report).context("scenario 2, VLAN trunk")?;
    report.summary()
}
