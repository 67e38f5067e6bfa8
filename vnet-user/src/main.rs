//! `vnet-user`: containers on VLANs through one NIC.

use std::process::ExitCode;

use clap::Parser;
use vnet_user::cli::{self, Cli};

fn main() -> ExitCode {
    cli::main(Cli::parse())
}
