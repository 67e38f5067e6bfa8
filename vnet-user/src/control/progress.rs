//! How far a change of many has come.

use std::{
    io::{self, Write as _},
    time::{Duration, Instant},
};

/// How long nothing is said, and how long from one line to the next.
const PAUSE: Duration = Duration::from_secs(2);

/// Says it on standard error, where a step takes long.
pub(super) struct Progress {
    what: &'static str,
    all: usize,
    next: Instant,
}

impl Progress {
    /// For a step of so many; `what` is done to them.
    pub fn new(what: &'static str, all: usize) -> Self {
        Self {
            what,
            all,
            next: Instant::now() + PAUSE,
        }
    }

    /// So many are done.
    pub fn tell(&mut self, done: usize) {
        let now = Instant::now();
        if now >= self.next {
            // Nobody may read it any more.
            let _ = writeln!(io::stderr(), "{}: {done} of {}", self.what, self.all);
            self.next = now + PAUSE;
        }
    }
}
