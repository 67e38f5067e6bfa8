//! The kernel's grace periods, where a change of many endpoints would wait for as many.
//!
//! For each program that comes to an interface, and each that goes, the kernel waits for a grace period of RCU, some 10 ms,
//! and lets nobody else change an interface meanwhile (`tcx_entry_sync` in include/net/tcx.h, `netkit_entry_sync` in
//! drivers/net/netkit.c). Where it does the same for interfaces that go, it hurries (`synchronize_net` in net/core/dev.c).

use std::fs;

use super::{ControlError, Vnet};

/// 1 lets the whole system hurry, at the price of an interrupt on each CPU for each wait (kernel/ksysfs.c).
const EXPEDITED: &str = "/sys/kernel/rcu_expedited";
/// How many endpoints are many.
pub(super) const MANY: usize = 8;

/// True while the system waits for grace periods as ever.
fn takes_its_time() -> bool {
    fs::read_to_string(EXPEDITED).is_ok_and(|value| value.trim() == "0")
}

impl Vnet {
    /// Lets the kernel hurry, until [`Vnet::stop_hurrying`], or until the next command ends it.
    pub(super) fn hurry_for(&mut self, endpoints: usize) -> Result<(), ControlError> {
        // Who has it hurry all the time, or has a kernel that can't, is left alone.
        if endpoints < MANY || !takes_its_time() {
            return Ok(());
        }
        self.state.hurries = true;
        self.save()?;
        if fs::write(EXPEDITED, "1").is_ok() {
            return Ok(());
        }
        // Where it is refused, as in a container that sees it read-only, all takes its time.
        self.state.hurries = false;
        self.save()
    }

    /// Ends what [`Vnet::hurry_for`] began, in this process or in one that was killed.
    pub(super) fn stop_hurrying(&mut self) -> Result<(), ControlError> {
        if !self.state.hurries {
            return Ok(());
        }
        if !takes_its_time() {
            fs::write(EXPEDITED, "0").map_err(|source| ControlError::Io {
                what: "set /sys/kernel/rcu_expedited to 0",
                source,
            })?;
        }
        self.state.hurries = false;
        self.save()
    }
}
