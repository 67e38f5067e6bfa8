//! Finding and running other programs.

use std::env;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use anyhow::{Context as _, bail};

use crate::workspace::Workspace;

/// Finds a program in `PATH`, in cargo's bin directory, or where administration tools live.
///
/// The last two are often missing from `PATH`: cargo's in a shell that never read its profile, and `/usr/sbin` for
/// users other than root on Debian.
pub fn find(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(cargo_bin())
        .chain(["/usr/sbin", "/sbin", "/usr/bin"].map(PathBuf::from))
        .map(|dir| dir.join(name))
        .find(|file| file.is_file())
}

/// Where `cargo install` puts programs.
fn cargo_bin() -> Option<PathBuf> {
    let home = match env::var_os("CARGO_HOME") {
        Some(home) => PathBuf::from(home),
        None => PathBuf::from(env::var_os("HOME")?).join(".cargo"),
    };
    Some(home.join("bin"))
}

/// A command for a program that setup has seen to; its full path where it is found outside `PATH`.
pub fn command(name: &str) -> Command {
    Command::new(find(name).unwrap_or_else(|| PathBuf::from(name)))
}

/// The cargo that started us, in the workspace's root.
pub fn cargo(workspace: &Workspace) -> Command {
    let mut command = match env::var_os("CARGO") {
        Some(cargo) => Command::new(cargo),
        None => command("cargo"),
    };
    command.current_dir(workspace.root());
    // Set for xtask by `cargo run`, and wrong for any other package.
    for name in [
        "CARGO_MANIFEST_DIR",
        "CARGO_MANIFEST_PATH",
        "CARGO_PKG_NAME",
    ] {
        command.env_remove(name);
    }
    // A relative one would be read from the workspace's root, not from where the user stands.
    if env::var_os("CARGO_TARGET_DIR").is_some() {
        command.env("CARGO_TARGET_DIR", workspace.target());
    }
    command
}

/// Runs a command with our own standard streams.
///
/// # Errors
///
/// When it cannot be started or does not succeed; the message is the command line.
pub fn run(command: &mut Command) -> anyhow::Result<()> {
    let status = command
        .status()
        .with_context(|| format!("cannot start `{}`", line(command)))?;
    if !status.success() {
        bail!("`{}` failed: {status}", line(command));
    }
    Ok(())
}

/// Runs a command and returns its standard output.
///
/// # Errors
///
/// When it cannot be started or does not succeed; the message has its standard error.
pub fn output(command: &mut Command) -> anyhow::Result<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start `{}`", line(command)))?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        bail!(
            "`{}` failed: {}\n{}",
            line(command),
            output.status,
            stderr.trim_end()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs a command, shows its standard output while it comes, and returns it too.
pub fn tee(command: &mut Command) -> anyhow::Result<(ExitStatus, String)> {
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start `{}`", line(command)))?;
    let mut text = String::new();
    if let Some(stdout) = child.stdout.take() {
        let mut reader = BufReader::new(stdout);
        let mut bytes = Vec::new();
        // By bytes, since a test may print what is not UTF-8.
        while reader.read_until(b'\n', &mut bytes)? > 0 {
            let piece = String::from_utf8_lossy(&bytes);
            print!("{piece}");
            text.push_str(&piece);
            bytes.clear();
        }
    }
    Ok((child.wait()?, text))
}

/// The command as one would type it, for messages.
fn line(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let mut line = program.file_name().map_or_else(
        || program.display().to_string(),
        |name| name.to_string_lossy().into_owned(),
    );
    for arg in command.get_args() {
        line.push(' ');
        line.push_str(&arg.to_string_lossy());
    }
    line
}

/// Whether we run as root. By /proc, since that needs neither a crate nor `unsafe`.
pub fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata("/proc/self").is_ok_and(|proc| proc.uid() == 0)
}
