//! What can go wrong with programs and maps.

use std::{io, path::PathBuf};

use thiserror::Error;

/// An operation on a program, a map or a pin failed.
#[derive(Debug, Error)]
pub enum DatapathError {
    #[error("{path} is not on a BPF file system: run `mount -t bpf bpf /sys/fs/bpf`")]
    NotBpffs { path: PathBuf },
    #[error("{path} has a dot in it, which a BPF file system takes in no name")]
    Dot { path: PathBuf },
    #[error("this kernel has no BTF (CONFIG_DEBUG_INFO_BTF), which the maps need")]
    NoBtf,
    #[error("cannot load the eBPF object")]
    Load(#[from] aya::EbpfError),
    #[error("the eBPF object has no {0:?}: it was built from other sources than this program")]
    Missing(&'static str),
    #[error("cannot {what}: the kernel's verifier refused it ({verdict})")]
    Verifier {
        what: String,
        /// The last words of the verifier's log, which can be megabytes.
        verdict: String,
        #[source]
        source: io::Error,
    },
    #[error("cannot {what}")]
    Program {
        what: String,
        #[source]
        source: aya::programs::ProgramError,
    },
    #[error("cannot {what}")]
    Tc {
        what: String,
        #[source]
        source: aya::programs::tc::TcError,
    },
    #[error("cannot {what}")]
    Map {
        what: String,
        #[source]
        source: aya::maps::MapError,
    },
    #[error("cannot {what}")]
    Pin {
        what: String,
        #[source]
        source: aya::pin::PinError,
    },
    #[error("cannot {what}")]
    Io {
        what: String,
        #[source]
        source: io::Error,
    },
}

impl DatapathError {
    /// The kernel's error number, where a system call of our own was refused.
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Io { source, .. } => source.raw_os_error(),
            _ => None,
        }
    }

    pub(super) fn io(what: impl Into<String>, source: io::Error) -> Self {
        Self::Io {
            what: what.into(),
            source,
        }
    }

    pub(super) fn program(
        what: impl Into<String>,
    ) -> impl FnOnce(aya::programs::ProgramError) -> Self {
        let what = what.into();
        move |source| match source {
            aya::programs::ProgramError::LoadError {
                io_error,
                verifier_log,
            } => Self::Verifier {
                what,
                verdict: verdict(&verifier_log.to_string()),
                source: io_error,
            },
            source => Self::Program { what, source },
        }
    }

    pub(super) fn map(what: impl Into<String>) -> impl FnOnce(aya::maps::MapError) -> Self {
        let what = what.into();
        move |source| Self::Map { what, source }
    }
}

/// The line that says what was wrong: the last before the verifier's own figures.
fn verdict(log: &str) -> String {
    let figures = [
        "verification time",
        "stack depth",
        "processed",
        "max_states",
    ];
    let wrong =
        log.lines().rev().map(str::trim).find(|line| {
            !line.is_empty() && !figures.iter().any(|figure| line.starts_with(figure))
        });
    wrong.unwrap_or("it gave no reason").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verdict_is_one_line() {
        let log = "683: (15) if r1 == 0x0\ninvalid read from stack R10 off=-80 size=8\n\
                   verification time 561309 usec\nstack depth 72+0\nprocessed 11909 insns\n";
        assert_eq!(verdict(log), "invalid read from stack R10 off=-80 size=8");
        assert_eq!(verdict(""), "it gave no reason");
    }
}
