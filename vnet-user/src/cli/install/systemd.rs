//! systemd, where it runs.

use std::{path::Path, process::Command};

use anyhow::{Context as _, bail};

const UNITS: [&str; 2] = ["vnet.socket", "vnet.service"];

/// Starts what was installed, now and at each boot. A service that runs goes over to the new binary.
pub fn start() -> anyhow::Result<()> {
    reload()?;
    systemctl(&["enable", "--now", UNITS[0], UNITS[1]])?;
    systemctl(&["restart", UNITS[1]])
}

/// Ends it, now and at each boot. What is not installed is fine.
pub fn stop() -> anyhow::Result<()> {
    for unit in UNITS.into_iter().rev() {
        if Path::new("/etc/systemd/system").join(unit).exists() {
            systemctl(&["disable", "--now", unit])?;
        }
    }
    Ok(())
}

/// Lets systemd read its files anew.
pub fn reload() -> anyhow::Result<()> {
    systemctl(&["daemon-reload"])
}

/// Nothing where systemd does not run (`sd_booted(3)`).
fn systemctl(arguments: &[&str]) -> anyhow::Result<()> {
    if !Path::new("/run/systemd/system").is_dir() {
        return Ok(());
    }
    let line = format!("systemctl {}", arguments.join(" "));
    let output = Command::new("systemctl").args(arguments).output();
    let output = output.with_context(|| format!("cannot run `{line}`"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("`{line}` failed: {}", said.trim());
    }
    Ok(())
}
