//! What the kernel must let us do.

use std::fs;

use super::ControlError;

/// Bits of `include/uapi/linux/capability.h`.
const NEEDED: [(u32, &str); 3] = [
    (12, "CAP_NET_ADMIN"),
    (21, "CAP_SYS_ADMIN"),
    (39, "CAP_BPF"),
];

/// Checks the process's capabilities.
///
/// # Errors
///
/// [`ControlError::Privilege`] with the names of those that are missing.
pub fn check() -> Result<(), ControlError> {
    let status = fs::read_to_string("/proc/self/status").map_err(|source| ControlError::Io {
        what: "read /proc/self/status",
        source,
    })?;
    let missing = missing(effective(&status));
    if missing.is_empty() {
        Ok(())
    } else {
        Err(ControlError::Privilege {
            missing: missing.join(", "),
        })
    }
}

/// The capabilities in effect, as `proc(5)` shows them.
fn effective(status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    line.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok())
        .unwrap_or(0)
}

fn missing(effective: u64) -> Vec<&'static str> {
    let lacks = |bit: u32| effective & (1 << bit) == 0;
    NEEDED
        .iter()
        .filter(|(bit, _)| lacks(*bit))
        .map(|(_, name)| *name)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_what_is_missing() {
        assert!(missing(u64::MAX).is_empty());
        assert_eq!(missing(0), ["CAP_NET_ADMIN", "CAP_SYS_ADMIN", "CAP_BPF"]);
        let docker = "Name:\tx\nCapEff:\t00000000a80435fb\n";
        assert_eq!(
            missing(effective(docker)).len(),
            2,
            "its default set has NET_ADMIN"
        );
    }
}
