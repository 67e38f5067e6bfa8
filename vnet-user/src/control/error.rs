//! What can go wrong with a verb.

use std::path::PathBuf;

use thiserror::Error;

use crate::{
    datapath::DatapathError,
    error::one_line,
    link::LinkError,
    model::{
        EndpointId, NetnsId, endpoint::EndpointError, mac::MacAddrError, network::NetworkError,
        parent::ParentError, vlan::VlanIdError, xdp::XdpError,
    },
    store::StoreError,
};

/// A verb failed; nothing was changed, or it was undone.
#[derive(Debug, Error)]
pub enum ControlError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Link(#[from] LinkError),
    #[error(transparent)]
    Datapath(#[from] DatapathError),
    #[error(transparent)]
    Network(#[from] NetworkError),
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    #[error(transparent)]
    Xdp(#[from] XdpError),
    #[error("the uplink's address: {0}")]
    UplinkMac(#[from] MacAddrError),
    #[error(transparent)]
    Parent(#[from] ParentError),
    #[error(transparent)]
    Vlan(#[from] VlanIdError),
    #[error(
        "parent {0:?} is a VLAN device on another in a way that vnet has no segment for: 802.1Q, alone or in one outer tag, was expected"
    )]
    VlanDevice(String),
    #[error(
        "no Docker network {0} is known here: remove it by `docker network rm`, and create it again"
    )]
    NoDockerNetwork(String),
    #[error(
        "network {0:?} is Docker's: `docker network rm {0}` removes it, or `vnet-user network remove --force {0}` where \
         Docker has forgotten it"
    )]
    DockersNetwork(String),
    #[error(
        "network {0:?} is Docker's: `docker run --network` and `docker network connect` put containers into it"
    )]
    DockersContainers(String),
    #[error("missing {missing}: run as root, for example `sudo vnet-user …`")]
    Privilege { missing: String },
    #[error("interface {0:?} is not an Ethernet device: a NIC such as enp0s8 was expected")]
    NotEthernet(String),
    #[error("{uplink:?} is not attached: run `vnet-user attach --iface {uplink}` first")]
    NotAttached { uplink: String },
    #[error(
        "the interface of uplink {uplink:?} is gone: once it is back, run `vnet-user attach --iface {uplink}`"
    )]
    UplinkGone { uplink: String },
    #[error(
        "the datapath of {uplink:?} is gone: run `vnet-user attach --iface {uplink}` to bring it back"
    )]
    DatapathGone { uplink: String },
    #[error(
        "the maps of {uplink:?} are of another vnet version: run `vnet-user attach --iface {uplink}` to go over to this one"
    )]
    OtherLayout { uplink: String },
    #[error(
        "{ifname:?} is the host side of an endpoint of network {network:?}: a NIC such as enp0s8 was expected"
    )]
    OwnLink { ifname: String, network: String },
    #[error(
        "uplink {old:?} is called {new:?} now, but both names have networks or uplinks of their own: \
         rename the interfaces back, or detach first"
    )]
    Renamed { old: String, new: String },
    #[error(
        "this command runs in network namespace {here}, but {uplinks} was attached in {known}: run it there, \
         or, if that namespace is gone, remove {state}"
    )]
    OtherNetns {
        uplinks: String,
        here: NetnsId,
        known: NetnsId,
        state: PathBuf,
    },
    #[error("{0:?} is not attached: `vnet-user show` shows what is")]
    NothingToDetach(String),
    #[error(
        "{uplink:?} is attached with {now} endpoints, not {asked}: run `vnet-user detach --iface {uplink}` first"
    )]
    OtherDevice {
        uplink: String,
        now: &'static str,
        asked: &'static str,
    },
    #[error("netkit does not work on this kernel (Linux 6.10 with CONFIG_NETKIT was expected)")]
    NoNetkit(#[source] Box<ControlError>),
    #[error("the kernel gave the netkit pair no MAC address of ours")]
    NetkitMac,
    #[error("{uplink:?} still has endpoints ({endpoints}): remove them first, or use --force")]
    UplinkInUse { uplink: String, endpoints: String },
    #[error(
        "network {network:?} still has endpoints ({endpoints}): remove them first, or use --force"
    )]
    NetworkInUse { network: String, endpoints: String },
    #[error("no network {0:?}: `vnet-user network list` shows those there are")]
    NoNetwork(String),
    #[error("no endpoint {0:?}: `vnet-user endpoint list` shows those there are")]
    NoEndpoint(String),
    #[error(
        "endpoint {0} is Docker's: `docker network disconnect` takes a container out, or `vnet-user network remove --force` \
         all of a network that Docker has forgotten"
    )]
    DockersEndpoint(EndpointId),
    #[error("{ifname:?} belongs to network {network:?} alone: a NIC such as enp0s8 was expected")]
    PrivateUplink { ifname: String, network: String },
    #[error("endpoint {0} exists already: an id that begins otherwise was expected")]
    EndpointExists(EndpointId),
    #[error("endpoint id {id:?} fits {count} endpoints: more of it was expected")]
    AmbiguousEndpoint { id: String, count: usize },
    #[error("network namespace {0:?} is the uplink's own: a container's was expected")]
    OwnNetns(String),
    #[error("{0}")]
    Several(String),
    #[error("cannot {what}")]
    Io {
        what: &'static str,
        #[source]
        source: std::io::Error,
    },
}

/// Of several requests that are one change, none was done.
#[derive(Debug)]
pub struct RefusedTogether {
    /// Which of them was refused, if it was one.
    pub index: Option<usize>,
    pub error: ControlError,
}

impl RefusedTogether {
    /// For the error of one of the requests.
    pub(super) fn at<E: Into<ControlError>>(index: usize) -> impl FnOnce(E) -> Self {
        move |error| Self {
            index: Some(index),
            error: error.into(),
        }
    }
}

impl<E: Into<ControlError>> From<E> for RefusedTogether {
    fn from(error: E) -> Self {
        Self {
            index: None,
            error: error.into(),
        }
    }
}

impl ControlError {
    /// True where an uplink's datapath is not there to be changed, which an attach makes up for.
    pub(super) fn is_not_running(&self) -> bool {
        matches!(
            self,
            Self::NotAttached { .. }
                | Self::UplinkGone { .. }
                | Self::DatapathGone { .. }
                | Self::OtherLayout { .. }
        )
    }
}

/// What went wrong in a teardown, which goes on after each failure so that as little as possible is left.
#[derive(Default)]
pub(super) struct Failures(Vec<ControlError>);

impl Failures {
    /// Keeps the failure, or gives the value.
    pub(super) fn note<T, E: Into<ControlError>>(&mut self, result: Result<T, E>) -> Option<T> {
        result.map_err(|error| self.0.push(error.into())).ok()
    }

    /// All of them as one.
    pub(super) fn into_result(mut self) -> Result<(), ControlError> {
        match self.0.len() {
            0 => Ok(()),
            1 => Err(self.0.remove(0)),
            _ => {
                let lines: Vec<_> = self.0.iter().map(|error| one_line(error)).collect();
                Err(ControlError::Several(lines.join("; ")))
            }
        }
    }
}
