//! The hash maps that user space alone writes, read and written in batches.

use std::{collections::BTreeMap, marker::PhantomData, os::fd::OwnedFd};

use bytemuck::Pod;

use super::{bpf, error::DatapathError, pins::Pins};

/// A hash map. The caller holds the store's lock, so that nobody else writes.
pub struct Table<K, V> {
    name: &'static str,
    map: OwnedFd,
    of: PhantomData<(K, V)>,
}

impl<K: Pod + Ord, V: Pod + PartialEq> Table<K, V> {
    /// Opens a pinned one.
    ///
    /// # Errors
    ///
    /// When it is not there.
    pub fn open(pins: &Pins, name: &'static str) -> Result<Self, DatapathError> {
        let path = pins.map(name);
        let map = bpf::open(&path);
        let map =
            map.map_err(|error| DatapathError::io(format!("open map {}", path.display()), error))?;
        Ok(Self {
            name,
            map,
            of: PhantomData,
        })
    }

    /// All that it holds.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn rows(&self) -> Result<BTreeMap<K, V>, DatapathError> {
        let rows = bpf::all_pairs(&self.map);
        rows.map(BTreeMap::from_iter)
            .map_err(|error| DatapathError::io(format!("read map {}", self.name), error))
    }

    /// Removes what is not wanted.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn remove_stale(&self, wanted: &BTreeMap<K, V>) -> Result<(), DatapathError> {
        let known = self.rows()?.into_keys();
        let stale: Vec<K> = known.filter(|key| !wanted.contains_key(key)).collect();
        bpf::delete(&self.map, &stale)
            .map_err(|error| DatapathError::io(format!("remove from map {}", self.name), error))
    }

    /// Inserts what is wanted and not there, or there with another value.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn insert_missing(&self, wanted: &BTreeMap<K, V>) -> Result<(), DatapathError> {
        if wanted.is_empty() {
            return Ok(());
        }
        let known = self.rows()?;
        let missing = wanted
            .iter()
            .filter(|(key, value)| known.get(key) != Some(value));
        let (keys, values): (Vec<K>, Vec<V>) = missing.unzip();
        bpf::update(&self.map, &keys, &values)
            .map_err(|error| DatapathError::io(format!("insert into map {}", self.name), error))
    }
}
