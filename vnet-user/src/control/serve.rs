//! `serve`: follows what changes outside as it changes, by the same pass that each command begins with ([`super::repair`]),
//! and by what only pays where somebody watches: carriers, uplinks that come back, and neighbours that must learn anew.

mod burst;
mod reattach;

use std::collections::{BTreeMap, BTreeSet};

use tokio::time::Instant;

pub use burst::Burst;
use burst::Gathering;

use super::{ControlError, Dirs, Vnet};
use crate::{error::one_line, link::LinkChanges, store::Store, store::WatchLock};

/// The one process that watches.
pub struct Watcher {
    dirs: Dirs,
    changes: LinkChanges,
    lock: WatchLock,
    /// Uplinks that could not be attached again, with the index of the interface that was tried.
    refused: BTreeMap<String, u32>,
    /// Uplinks whose endpoints are to be announced once they have a carrier.
    due: BTreeSet<String>,
    /// The burst that has begun.
    gathering: Option<Gathering>,
    /// What was wrong at the last pass.
    known: Vec<String>,
    /// The last pass had nothing to do.
    settled: bool,
}

impl Watcher {
    /// Begins to watch. What changes from now on is known to [`Watcher::changed`]; what did before, the first pass finds.
    ///
    /// # Errors
    ///
    /// When another process watches already, or the store can't be used.
    pub fn begin(dirs: &Dirs) -> Result<Self, ControlError> {
        let changes = LinkChanges::listen()?;
        let lock = Store::lock(&dirs.state, |_| ())?.watch()?;
        Ok(Self {
            dirs: dirs.clone(),
            changes,
            lock,
            refused: BTreeMap::new(),
            due: BTreeSet::new(),
            gathering: None,
            known: Vec::new(),
            settled: true,
        })
    }

    /// Waits until interfaces have changed, and no more do for a moment. Who stops waiting misses nothing.
    ///
    /// # Errors
    ///
    /// When the kernel tells of no more changes.
    pub async fn changed(&mut self) -> Result<Burst, ControlError> {
        // What fails again and again, and changes interfaces as it does, must not go round and round.
        let pause = match self.settled {
            true => burst::QUIET,
            false => burst::AFTER_NEWS,
        };
        Ok(Burst::gather(&mut self.changes, pause, &mut self.gathering).await?)
    }

    /// Brings everything to what it must be now, and returns the names of the uplinks. The store is locked meanwhile, no
    /// longer.
    ///
    /// # Errors
    ///
    /// When the store can't be used. What can't be mended is news; the next pass tries again.
    pub async fn pass(&mut self, burst: &Burst) -> Result<Pass, ControlError> {
        let mut vnet = Vnet::open(&self.dirs).await?;
        let back = vnet.reattach(&mut self.refused).await?;
        self.due.extend(back);
        let awaited = vnet.follow_places(&burst.moved, &mut self.due).await?;
        if !awaited.is_empty() {
            self.gathering = Some(Gathering::awaiting(awaited, Instant::now()));
        }
        Ok(Pass {
            uplinks: vnet.state.uplinks.keys().cloned().collect(),
            news: self.news(vnet.notices, vnet.troubles),
        })
    }

    /// As [`Watcher::pass`], for as long as it goes on: a failure is news too.
    pub async fn try_pass(&mut self, burst: &Burst) -> Vec<String> {
        match self.pass(burst).await {
            Ok(pass) => pass.news,
            Err(error) => self.news(Vec::new(), vec![one_line(&error)]),
        }
    }

    /// Ends the watch: nothing stays as it may only be while somebody watches.
    ///
    /// # Errors
    ///
    /// When the store can't be used.
    pub async fn end(self) -> Result<Vec<String>, ControlError> {
        drop(self.lock);
        let mut vnet = Vnet::open(&self.dirs).await?;
        vnet.notices.append(&mut vnet.troubles);
        Ok(vnet.notices)
    }

    /// What was done, and what is wrong that was not so at the last pass.
    fn news(&mut self, mut notices: Vec<String>, troubles: Vec<String>) -> Vec<String> {
        let new = troubles.iter().filter(|line| !self.known.contains(line));
        notices.extend(new.cloned());
        self.known = troubles;
        self.settled = notices.is_empty() && self.known.is_empty();
        notices
    }
}

/// What a pass came to.
pub struct Pass {
    /// The uplinks that are attached.
    pub uplinks: Vec<String>,
    /// What the user should know, a line each.
    pub news: Vec<String>,
}
