//! Counters: per CPU, so that no two CPUs write one cache line.

use vnet_common::{Counters, Reason};

use crate::tables::{COUNTERS, REASONS};

/// Counts a frame that was not delivered.
#[inline(always)]
pub fn reason(reason: Reason) {
    if let Some(count) = REASONS.get_ptr_mut(reason as u32) {
        // SAFETY: this CPU's own slot of a per-CPU map, valid while the program runs.
        unsafe { *count += 1 };
    }
}

/// Counts a frame towards the container of `endpoint`.
#[inline(always)]
pub fn rx(endpoint: u16, bytes: u32) {
    if let Some(counters) = of(endpoint) {
        counters.rx_packets += 1;
        counters.rx_bytes += u64::from(bytes);
    }
}

/// Counts a frame that the container of `endpoint` sent.
#[inline(always)]
pub fn tx(endpoint: u16, bytes: u32) {
    if let Some(counters) = of(endpoint) {
        counters.tx_packets += 1;
        counters.tx_bytes += u64::from(bytes);
    }
}

#[inline(always)]
fn of(endpoint: u16) -> Option<&'static mut Counters> {
    let counters = COUNTERS.get_ptr_mut(u32::from(endpoint))?;
    // SAFETY: this CPU's own slot of a per-CPU map, valid while the program runs.
    Some(unsafe { &mut *counters })
}
