//! What must come about, sooner or later.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::PATIENCE;

/// Waits until `look` returns what is expected.
///
/// # Panics
///
/// When it does not in time, with what it returned last.
pub fn eventually<T: PartialEq + std::fmt::Debug>(
    what: &str,
    expected: &T,
    look: impl FnMut() -> T,
) {
    eventually_within(PATIENCE, what, expected, look);
}

/// As [`eventually`], for what takes longer where a machine is emulated.
///
/// # Panics
///
/// As [`eventually`].
pub fn eventually_within<T: PartialEq + std::fmt::Debug>(
    patience: Duration,
    what: &str,
    expected: &T,
    mut look: impl FnMut() -> T,
) {
    let deadline = Instant::now() + patience;
    loop {
        let found = look();
        if found == *expected {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "{what}: {found:?}, and never {expected:?}"
        );
        thread::sleep(Duration::from_millis(20));
    }
}
