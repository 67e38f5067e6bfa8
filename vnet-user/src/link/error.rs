//! What can go wrong with an interface.

use std::{io, path::PathBuf};

use thiserror::Error;

use crate::model::NetnsId;

/// An operation on an interface or a namespace failed.
#[derive(Debug, Error)]
pub enum LinkError {
    #[error("cannot open a netlink socket")]
    Open(#[source] io::Error),
    #[error("no interface {0:?}: `ip link` shows those there are")]
    NoLink(String),
    #[error("cannot {what}")]
    Netlink {
        what: String,
        #[source]
        source: io::Error,
    },
    #[error("cannot set {key} to {value}")]
    Sysctl {
        key: String,
        value: &'static str,
        #[source]
        source: io::Error,
    },
    #[error("cannot announce the addresses of {ifname:?} in network namespace {netns:?}")]
    Announce {
        netns: String,
        ifname: String,
        #[source]
        source: io::Error,
    },
    #[error(
        "the kernel tells of no more changes of interfaces: start `vnet-user serve` again, which catches up"
    )]
    WatchEnded,
    #[error("cannot {what} of {ifname:?}")]
    Ethtool {
        what: &'static str,
        ifname: String,
        #[source]
        source: io::Error,
    },
    #[error(
        "no network namespace {name:?}: a name from `ip netns`, a path or the id of a running process was expected \
         (looked at {path})"
    )]
    NoNetns {
        name: String,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{path} of {name:?} is not a network namespace")]
    NotNetns { name: String, path: PathBuf },
    #[error(
        "network namespace {name:?} ({id}) is found neither by its name nor by a process in it"
    )]
    LostNetns { name: String, id: NetnsId },
    #[error("network namespace {name:?} is another one now than when the command began")]
    OtherNetns { name: String },
    #[error("cannot work inside network namespace {name:?}")]
    Enter {
        name: String,
        #[source]
        source: io::Error,
    },
    #[error(
        "network namespace {netns:?} already has an interface {ifname:?}: another --ifname was expected"
    )]
    IfnameTaken { netns: String, ifname: String },
}

impl LinkError {
    /// True where a namespace is not there any more, or nobody knows where.
    pub fn is_lost_netns(&self) -> bool {
        matches!(
            self,
            Self::NoNetns { .. } | Self::NotNetns { .. } | Self::LostNetns { .. }
        )
    }

    /// Wraps what the kernel answered to `what`.
    pub(crate) fn netlink(what: impl Into<String>, error: &rtnetlink::Error) -> Self {
        let source = match error {
            rtnetlink::Error::NetlinkError(message) => message.to_io(),
            other => io::Error::other(other.to_string()),
        };
        Self::Netlink {
            what: what.into(),
            source,
        }
    }

    /// The kernel's error number, where it was the kernel that refused.
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Netlink { source, .. }
            | Self::Open(source)
            | Self::Ethtool { source, .. }
            | Self::Sysctl { source, .. }
            | Self::NoNetns { source, .. }
            | Self::Announce { source, .. }
            | Self::Enter { source, .. } => source.raw_os_error(),
            Self::NoLink(_)
            | Self::WatchEnded
            | Self::NotNetns { .. }
            | Self::LostNetns { .. }
            | Self::OtherNetns { .. }
            | Self::IfnameTaken { .. } => None,
        }
    }
}

/// Takes some errors of the kernel as success: what was to be made exists, what was to go is gone.
pub(crate) fn allow(result: Result<(), LinkError>, errnos: &[i32]) -> Result<(), LinkError> {
    match result {
        Err(error) if error.errno().is_some_and(|errno| errnos.contains(&errno)) => Ok(()),
        other => other,
    }
}
