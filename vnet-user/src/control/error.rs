//! What can go wrong with a verb.

use thiserror::Error;

use crate::{
    datapath::DatapathError,
    link::LinkError,
    model::{endpoint::EndpointError, mac::MacAddrError, network::NetworkError},
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
    #[error("the uplink's address: {0}")]
    UplinkMac(#[from] MacAddrError),
    #[error("missing {missing}: run as root, for example `sudo vnet-user …`")]
    Privilege { missing: String },
    #[error("interface {0:?} is not an Ethernet device: a NIC such as enp0s8 was expected")]
    NotEthernet(String),
    #[error("{uplink:?} is not attached: run `vnet-user attach --iface {uplink}` first")]
    NotAttached { uplink: String },
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
    #[error("network {network:?} still has endpoints ({endpoints}): remove them first")]
    NetworkInUse { network: String, endpoints: String },
    #[error("no network {0:?}: `vnet-user network list` shows those there are")]
    NoNetwork(String),
    #[error("no endpoint {0:?}: `vnet-user endpoint list` shows those there are")]
    NoEndpoint(String),
    #[error("endpoint id {id:?} fits {count} endpoints: more of it was expected")]
    AmbiguousEndpoint { id: String, count: usize },
    #[error("network namespace {0:?} is the uplink's own: a container's was expected")]
    OwnNetns(String),
    #[error("cannot {what}")]
    Io {
        what: &'static str,
        #[source]
        source: std::io::Error,
    },
}
