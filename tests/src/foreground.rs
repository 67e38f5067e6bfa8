//! A command that stays in the foreground until it is told to end.

use std::{
    io::{BufRead as _, BufReader, Read},
    process::{Child, Command},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{self, Receiver},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{Fixture, PATIENCE};

/// A running `vnet-user`; killed when dropped before its end.
pub struct Foreground {
    child: Child,
    stdout: Receiver<String>,
    stderr: Arc<Mutex<Vec<String>>>,
    /// Reads standard error to its end, so that the command never waits for room in the pipe.
    reader: Option<JoinHandle<()>>,
}

impl Foreground {
    /// Starts a command, and returns when it has printed its first line, with that line.
    ///
    /// # Panics
    ///
    /// When it prints none.
    pub fn start(fixture: &Fixture, arguments: &str) -> (Self, String) {
        Self::of(fixture.vnet.command(arguments), arguments)
    }

    /// The same of a command that is made up already; `arguments` for what is said when it fails.
    ///
    /// # Panics
    ///
    /// When it prints none.
    pub fn of(mut command: Command, arguments: &str) -> (Self, String) {
        let mut child = command.spawn().unwrap();
        let (sender, stdout) = mpsc::channel();
        let out = child.stdout.take().unwrap();
        thread::spawn(move || {
            for line in lines(out) {
                // Nobody may want more than the first line.
                let _ = sender.send(line);
            }
        });
        let stderr = Arc::new(Mutex::new(Vec::new()));
        let (all, err) = (Arc::clone(&stderr), child.stderr.take().unwrap());
        let reader = thread::spawn(move || {
            for line in lines(err) {
                all.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(line);
            }
        });
        let running = Self {
            child,
            stdout,
            stderr,
            reader: Some(reader),
        };
        let first = running.stdout.recv_timeout(PATIENCE).unwrap_or_else(|_| {
            panic!(
                "`{arguments}` printed no line; standard error: {:?}",
                running.stderr()
            )
        });
        (running, first)
    }

    /// The lines on standard error so far.
    pub fn stderr(&self) -> Vec<String> {
        self.stderr
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Waits for a line on standard error that has all of `parts` in it. `again` is done before each look: for what makes
    /// the line come.
    ///
    /// # Panics
    ///
    /// When it does not come.
    pub fn wait_for(&self, parts: &[&str], mut again: impl FnMut()) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            again();
            let lines = self.stderr();
            let found = lines
                .iter()
                .find(|line| parts.iter().all(|part| line.contains(part)));
            if let Some(line) = found {
                return line.clone();
            }
            assert!(
                Instant::now() < deadline,
                "no line with {parts:?} on standard error: {lines:?}"
            );
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Sends a signal, waits for the end, and returns the exit code, or nothing when the signal itself ended it.
    ///
    /// # Panics
    ///
    /// When it does not end.
    pub fn end(mut self, signal: Signal) -> Option<i32> {
        let process = Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        kill(process, signal).unwrap();
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(
                Instant::now() < deadline,
                "{signal} did not end it; standard error: {:?}",
                self.stderr()
            );
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Foreground {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

fn lines(pipe: impl Read) -> impl Iterator<Item = String> {
    BufReader::new(pipe).lines().map_while(Result::ok)
}
