//! The verbs: they decide by `model`, do by `link` and `datapath`, and remember in `store`.
//!
//! Each change is written as begun before it is made and as done after, so whatever a killed
//! command leaves behind, the next one finds and mends ([`repair`]).

pub mod attach;
mod container_end;
mod container_programs;
mod detach;
mod device;
pub mod docker;
pub mod endpoint;
mod error;
mod follow;
mod grace_periods;
mod host_links;
pub mod log;
pub mod network;
mod nic;
pub mod privilege;
mod progress;
mod repair;
mod replace;
pub mod serve;
pub mod stats;
pub mod status;
mod uplink;
pub mod xdp;

use std::path::{Path, PathBuf};

pub use error::{ControlError, RefusedTogether};

use crate::{
    datapath::Pins,
    link::{Netlink, Netns},
    model::{EndpointId, NetnsId, State, Uplink},
    store::Store,
};

/// Where vnet keeps what outlives its processes.
#[derive(Clone, Debug)]
pub struct Dirs {
    /// The state file and its lock.
    pub state: PathBuf,
    /// The pins, on a BPF file system.
    pub bpf: PathBuf,
}

/// vnet on this host, locked for one command.
pub struct Vnet {
    store: Store,
    state: State,
    bpf_dir: PathBuf,
    netlink: Netlink,
    /// The namespace that this command runs in.
    netns: NetnsId,
    /// Endpoints that this command found broken and cleaned up.
    cleaned: Vec<EndpointId>,
    /// Some process follows what changes ([`serve`]).
    watched: bool,
    /// What the user should know, a line each: for standard error.
    pub notices: Vec<String>,
    /// The same of what is wrong, and stays so until somebody does something about it.
    pub troubles: Vec<String>,
}

impl Vnet {
    /// Locks the store, waiting for another command if there is one, and mends what a killed
    /// command left behind. What can't be mended is a notice: the next command tries again.
    ///
    /// # Errors
    ///
    /// When the store can't be used, or belongs to another network namespace.
    pub async fn open(dirs: &Dirs) -> Result<Self, ControlError> {
        let store = Store::lock(&dirs.state, |holder| match holder {
            Some(pid) => eprintln!("waiting for another vnet command to end (process {pid})"),
            None => eprintln!("waiting for another vnet command to end"),
        })?;
        let mut vnet = Self {
            state: store.load()?,
            watched: store.is_watched()?,
            store,
            bpf_dir: dirs.bpf.clone(),
            netlink: Netlink::open()?,
            netns: Netns::current()?.id(),
            cleaned: Vec::new(),
            notices: Vec::new(),
            troubles: Vec::new(),
        };
        vnet.forget_other_boots()?;
        vnet.check_netns()?;
        vnet.repair().await?;
        Ok(vnet)
    }

    /// What there is.
    pub fn state(&self) -> &State {
        &self.state
    }

    fn save(&self) -> Result<(), ControlError> {
        Ok(self.store.save(&self.state)?)
    }

    fn pins(&self, uplink: &str) -> Pins {
        Pins::new(&self.bpf_dir, uplink)
    }

    /// Where an uplink's maps are pinned.
    pub fn map_path(&self, uplink: &str, map: &str) -> PathBuf {
        self.pins(uplink).map(map)
    }

    /// The folder of all pins.
    pub fn bpf_dir(&self) -> &Path {
        &self.bpf_dir
    }

    /// Interfaces are only visible from their own namespace: from any other, all of them would look gone, and would be
    /// cleaned up.
    fn check_netns(&mut self) -> Result<(), ControlError> {
        let State {
            netns,
            uplinks,
            endpoints,
            ..
        } = &mut self.state;
        // After a boot, none is anywhere yet.
        if uplinks.values().all(Uplink::is_expected) && endpoints.is_empty() {
            *netns = None;
        }
        match *netns.get_or_insert(self.netns) {
            known if known != self.netns => Err(ControlError::OtherNetns {
                uplinks: uplinks.keys().cloned().collect::<Vec<_>>().join(", "),
                known,
                here: self.netns,
                state: self.store.path(),
            }),
            _ => Ok(()),
        }
    }
}
