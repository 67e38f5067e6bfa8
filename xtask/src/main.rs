//! The project's chores, run as `cargo xtask <command>`.
//!
//! Everything a person or CI does with this workspace goes through here, so that both do the same thing. What a
//! command needs on the machine is installed by [`setup`] first, in steps that say what they do and why.

mod bench;
mod build;
mod run;
mod setup;
mod test;
mod tools;
mod vm;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::setup::Purpose;
use crate::workspace::Workspace;

/// Chores of the vnet workspace.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Install what building, running or testing needs; does nothing that is already done
    Setup {
        /// What the machine is to be ready for; `run` includes `build`, `test` includes `run`, `bench` includes `test`
        #[arg(long = "for", value_enum, default_value_t = Purpose::Test, value_name = "WHAT")]
        purpose: Purpose,
        /// Leave out what only the virtual machines need
        #[arg(long)]
        no_vm: bool,
    },
    /// Compile the eBPF programs to <target>/bpf/vnet-ebpf.o
    BuildEbpf,
    /// Set up, and compile the eBPF programs and then the release binary <target>/release/vnet-user
    Build,
    /// Set up, build, and run vnet-user; the demo when no arguments are given
    ///
    /// Example: cargo xtask run -- attach --iface enp0s8
    Run {
        /// Arguments for vnet-user
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Set up, check, build, and run all tests: here, and on other kernels in virtual machines
    ///
    /// Example: cargo xtask test broadcast
    Test(test::Options),
    /// Set up, build, and measure the datapath beside what the kernel has itself; the figures go to <target>/bench
    ///
    /// Example: cargo xtask bench vnet-veth
    Bench(bench::Options),
}

fn main() -> ExitCode {
    match dispatch(Cli::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(command: Command) -> anyhow::Result<ExitCode> {
    let workspace = Workspace::find()?;
    match command {
        Command::Setup { purpose, no_vm } => setup::setup(&workspace, purpose, !no_vm)?,
        Command::BuildEbpf => build::ebpf(&workspace)?,
        Command::Build => {
            setup::setup(&workspace, Purpose::Build, false)?;
            build::everything(&workspace)?;
        }
        Command::Run { args } => run::run(&workspace, &args)?,
        Command::Test(options) => return test::test(&workspace, &options),
        Command::Bench(options) => bench::bench(&workspace, &options)?,
    }
    Ok(ExitCode::SUCCESS)
}
