//! What can go wrong while a lab is built or used.

use std::{io, process::ExitStatus, time::Duration};

/// A lab's failure, with what was asked and what was found.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// A program could not be started at all.
    #[error("cannot run `{command}`")]
    Spawn {
        /// The command line as a person would type it.
        command: String,
        /// The kernel's error.
        #[source]
        source: io::Error,
    },
    /// A program ran and said no.
    #[error("`{command}` in {netns} failed ({status}): {stderr}")]
    Command {
        /// The command line as a person would type it.
        command: String,
        /// Name of the namespace it ran in.
        netns: String,
        /// How it ended.
        status: ExitStatus,
        /// What it wrote to standard error, trimmed.
        stderr: String,
    },
    /// A system call failed.
    #[error("{what}")]
    Io {
        /// What was attempted, with the names involved.
        what: String,
        /// The kernel's error.
        #[source]
        source: io::Error,
    },
    /// Something that had to happen did not.
    #[error("{what} did not come within {within:?}")]
    Timeout {
        /// What was awaited.
        what: String,
        /// How long it was awaited.
        within: Duration,
    },
    /// Something happened, but not what had to.
    #[error("expected {expected}, found {found}")]
    Unexpected {
        /// What was expected.
        expected: String,
        /// What was found.
        found: String,
    },
    /// The lab has no namespace of this name: a mistake in the topology.
    #[error("this lab has no namespace `{0}`")]
    NoSuchRole(String),
}

/// Result of a lab's operation.
pub type Result<T> = std::result::Result<T, LabError>;

impl LabError {
    /// Returns an adapter for `map_err` that says what was attempted.
    pub fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }

    /// The last system call's error, with what was attempted.
    pub(crate) fn last_os(what: impl Into<String>) -> Self {
        Self::Io {
            what: what.into(),
            source: io::Error::last_os_error(),
        }
    }
}
