//! `vnet-user`: containers on VLANs through one NIC.

use std::process::ExitCode;

fn main() -> ExitCode {
    vnet_user::cli::main()
}
