//! A running `vnet-user serve`.

use nix::sys::signal::Signal;

use crate::{Fixture, Foreground};

/// It has caught up with what was before it; killed when dropped before its end.
pub struct Watching {
    process: Foreground,
}

impl Watching {
    /// Starts it, and returns when it watches `enp0s8`.
    ///
    /// # Panics
    ///
    /// When it does not.
    pub fn start(fixture: &Fixture) -> Self {
        Self::start_with(fixture, "watching enp0s8")
    }

    /// The same where other uplinks are watched, or none.
    ///
    /// # Panics
    ///
    /// When it does not say `first`.
    pub fn start_with(fixture: &Fixture, first: &str) -> Self {
        let (watching, said) = Self::begin(fixture);
        assert_eq!(said, first, "{:?}", watching.said());
        watching
    }

    /// The same, whatever it says first.
    ///
    /// # Panics
    ///
    /// When it says nothing.
    pub fn begin(fixture: &Fixture) -> (Self, String) {
        let (process, first) = Foreground::start(fixture, "serve");
        (Self { process }, first)
    }

    /// Waits for a line with all of `parts` in it.
    ///
    /// # Panics
    ///
    /// When it does not come.
    pub fn says(&self, parts: &[&str]) -> String {
        self.process.wait_for(parts, || {})
    }

    /// All lines so far.
    pub fn said(&self) -> Vec<String> {
        self.process.stderr()
    }

    /// Ends it as systemd would.
    ///
    /// # Panics
    ///
    /// When it does not end well.
    pub fn end(self) {
        assert_eq!(self.process.end(Signal::SIGTERM), Some(0));
    }

    /// Ends it as the kernel would when memory is short.
    ///
    /// # Panics
    ///
    /// When it does not end by that.
    pub fn kill(self) {
        assert_eq!(self.process.end(Signal::SIGKILL), None);
    }
}
