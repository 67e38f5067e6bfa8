//! The user's or the system's wish for an end.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Exit status of a program that ended at the user's wish: 128 and the number of SIGINT, as shells have it.
pub const INTERRUPTED: u8 = 130;

/// SIGINT, SIGTERM and SIGHUP, which from now on end nothing by themselves.
#[derive(Debug)]
pub struct Interrupt {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
}

impl Interrupt {
    /// Begins to listen; must run within a tokio runtime.
    ///
    /// # Errors
    ///
    /// When the kernel gives no handler.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for the next of them.
    pub async fn wait(&mut self) {
        let Self {
            interrupt,
            terminate,
            hang_up,
        } = self;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hang_up.recv() => {}
        }
    }
}
