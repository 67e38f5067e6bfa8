//! The command line: it translates, `control` does.

mod attach;
mod batch;
mod endpoint;
mod install;
mod network;
mod output;
mod serve;
mod show;
mod stats;
mod together;
mod xdp;

use std::{
    ops::{Deref, DerefMut},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::Context;
use clap::{CommandFactory, Parser, Subcommand, error::ErrorKind};
use nix::sys::signal::{SigHandler, Signal, signal};

use crate::{
    control::{Dirs, Vnet, privilege},
    demo::{self, DemoArgs},
    error::one_line,
};

/// Exit status of a wrong command line, clap's own.
const WRONG_USAGE: u8 = 2;

/// Containers on VLANs through one NIC, by eBPF.
///
/// Exit status: 0 when done, 1 when refused or failed, 2 when the command line is wrong, 130 when the demo was
/// interrupted.
#[derive(Debug, Parser)]
#[command(name = "vnet-user", version, max_term_width = 100)]
pub struct Cli {
    /// Where the state is kept.
    #[arg(
        long,
        global = true,
        env = "VNET_STATE_DIR",
        default_value = "/var/lib/vnet",
        value_name = "DIR"
    )]
    state_dir: PathBuf,
    /// Where maps, programs and links are pinned; on a BPF file system.
    #[arg(
        long,
        global = true,
        env = "VNET_BPF_DIR",
        default_value = "/sys/fs/bpf/vnet",
        value_name = "DIR"
    )]
    bpf_dir: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Attach the datapath to a NIC; it runs on when this command has ended.
    Attach(attach::AttachArgs),
    /// Detach from a NIC, and undo what was changed on it.
    Detach(attach::DetachArgs),
    /// Create, list, inspect and remove networks.
    #[command(subcommand)]
    Network(network::NetworkCommand),
    /// Add, list, inspect and remove endpoints.
    #[command(subcommand)]
    Endpoint(endpoint::EndpointCommand),
    /// Run many commands from a file in one process, as `ip -batch` does.
    Batch(batch::BatchArgs),
    /// Show who is where, on which VLAN, with counters.
    Show(show::ShowArgs),
    /// Count frames by segment, endpoint and reason, and what was lost behind vnet.
    Stats(stats::StatsArgs),
    /// Stay, and follow what changes: the NIC's MTU, carrier and address, a bond that fails over, containers that go.
    Serve(serve::ServeArgs),
    /// Put in place what this host needs: the binary, units of systemd, completions for shells.
    Install(install::InstallArgs),
    /// Take away what `install` put in place.
    Uninstall(install::UninstallArgs),
    /// Show both reference scenarios at work, in network namespaces, state and pins of its own.
    #[command(after_help = "Example: vnet-user demo")]
    Demo,
    /// Print a completion script for a shell.
    #[command(
        after_help = "Example: vnet-user completions bash > /etc/bash_completion.d/vnet-user"
    )]
    Completions {
        /// The shell that shall complete.
        shell: clap_complete::Shell,
    },
}

/// Runs the command of this process, and reports its failure as one line.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::ValueValidation | ErrorKind::InvalidValue
            ) =>
        {
            eprintln!("{}", output::usage_error(&error.to_string()));
            return ExitCode::from(WRONG_USAGE);
        }
        Err(error) => error.exit(),
    };
    match run(cli) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {}", one_line(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

/// A reader that has seen enough (`vnet-user show | head -1`) ends the command, as is usual; Rust would panic.
fn end_with_the_reader() {
    // SAFETY: the default action, set before there is another thread.
    let _ = unsafe { signal(Signal::SIGPIPE, SigHandler::SigDfl) };
}

fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(dispatch(cli))
}

async fn dispatch(cli: Cli) -> anyhow::Result<ExitCode> {
    let absolute =
        |dir: PathBuf| std::path::absolute(&dir).context("cannot read the current directory");
    let dirs = Dirs {
        state: absolute(cli.state_dir)?,
        bpf: absolute(cli.bpf_dir)?,
    };
    if !matches!(
        cli.command,
        Command::Demo | Command::Serve(_) | Command::Batch(_)
    ) {
        end_with_the_reader();
    }
    match cli.command {
        Command::Completions { shell } => {
            let mut command = Cli::command();
            clap_complete::generate(shell, &mut command, "vnet-user", &mut std::io::stdout());
            return Ok(ExitCode::SUCCESS);
        }
        Command::Demo => {
            privilege::check()?;
            return demo::run(DemoArgs::default()).await;
        }
        Command::Attach(args) => args.run(&dirs).await?,
        Command::Detach(args) => args.run(&dirs).await?,
        Command::Network(command) => command.run(&dirs).await?,
        Command::Endpoint(command) => command.run(&dirs).await?,
        Command::Batch(args) => args.run(&dirs).await?,
        Command::Show(args) => args.run(&dirs).await?,
        Command::Stats(args) => args.run(&dirs).await?,
        Command::Serve(args) => args.run(&dirs).await?,
        Command::Install(args) => args.run()?,
        Command::Uninstall(args) => args.run(&dirs).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// vnet on this host, for one command. What the user should know is printed when it is dropped, however the command
/// ended.
struct Session(Vnet);

impl Deref for Session {
    type Target = Vnet;

    fn deref(&self) -> &Vnet {
        &self.0
    }
}

impl DerefMut for Session {
    fn deref_mut(&mut self) -> &mut Vnet {
        &mut self.0
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        for notice in self.0.notices.iter().chain(&self.0.troubles) {
            eprintln!("{notice}");
        }
    }
}

async fn open(dirs: &Dirs) -> anyhow::Result<Session> {
    privilege::check()?;
    Ok(Session(Vnet::open(dirs).await?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_has_an_example() {
        fn check(command: &clap::Command) {
            for verb in command.get_subcommands() {
                let example = verb.get_after_help().map(ToString::to_string);
                let has = example.is_some_and(|text| text.contains("vnet-user "));
                let is_leaf = verb.get_subcommands().next().is_none();
                assert!(has || !is_leaf, "{} has no example", verb.get_name());
                check(verb);
            }
        }
        check(&Cli::command());
    }

    #[test]
    fn wrong_vlans_are_refused_with_what_was_expected() {
        let create = |vlan| {
            Cli::try_parse_from([
                "vnet-user",
                "network",
                "create",
                "web",
                "--parent",
                "enp0s8",
                "--vlan",
                vlan,
            ])
        };
        assert!(create("200").is_ok());
        for bad in ["0", "4095", "web"] {
            let error = create(bad).unwrap_err().to_string();
            assert!(
                error.contains("1 to 4094") && error.contains(bad),
                "{error}"
            );
        }
    }
}
