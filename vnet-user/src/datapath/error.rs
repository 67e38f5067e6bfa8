//! What can go wrong with programs and maps.

use std::{io, path::PathBuf};

use thiserror::Error;

/// An operation on a program, a map or a pin failed.
#[derive(Debug, Error)]
pub enum DatapathError {
    #[error("{path} is not on a BPF file system: run `mount -t bpf bpf /sys/fs/bpf`")]
    NotBpffs { path: PathBuf },
    #[error("this kernel has no BTF (CONFIG_DEBUG_INFO_BTF), which the maps need")]
    NoBtf,
    #[error("cannot load the eBPF object")]
    Load(#[from] aya::EbpfError),
    #[error("the eBPF object has no {0:?}: it was built from other sources than this program")]
    Missing(&'static str),
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
        move |source| Self::Program { what, source }
    }

    pub(super) fn map(what: impl Into<String>) -> impl FnOnce(aya::maps::MapError) -> Self {
        let what = what.into();
        move |source| Self::Map { what, source }
    }
}
