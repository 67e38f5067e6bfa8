//! The hash maps that user space alone writes, read and written in batches.

use std::{collections::BTreeMap, os::fd::OwnedFd};

use bytemuck::Pod;

use super::{bpf, error::DatapathError, pins::Pins};

/// A hash map. The caller holds the store's lock, so that nobody else writes.
pub struct Table<K, V> {
    name: &'static str,
    map: OwnedFd,
    /// What it holds, once it was read.
    rows: Option<BTreeMap<K, V>>,
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
            rows: None,
        })
    }

    /// All that it holds.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn rows(&mut self) -> Result<&BTreeMap<K, V>, DatapathError> {
        Ok(match &mut self.rows {
            Some(rows) => rows,
            unread => {
                let rows = bpf::all_pairs(&self.map);
                let rows = rows
                    .map_err(|error| DatapathError::io(format!("read map {}", self.name), error))?;
                unread.insert(rows.into_iter().collect())
            }
        })
    }

    /// Removes what is not wanted.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn remove_stale(&mut self, wanted: &BTreeMap<K, V>) -> Result<(), DatapathError> {
        let known = self.rows()?.keys();
        let stale: Vec<K> = known
            .filter(|key| !wanted.contains_key(key))
            .copied()
            .collect();
        // What fails half-way is read again.
        let rows = self.rows.take();
        bpf::delete(&self.map, &stale)
            .map_err(|error| DatapathError::io(format!("remove from map {}", self.name), error))?;
        self.rows = rows.map(|mut rows| {
            rows.retain(|key, _| wanted.contains_key(key));
            rows
        });
        Ok(())
    }

    /// Inserts what is wanted and not there, or there with another value.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn insert_missing(&mut self, wanted: &BTreeMap<K, V>) -> Result<(), DatapathError> {
        let known = self.rows()?;
        let missing = wanted
            .iter()
            .filter(|(key, value)| known.get(key) != Some(value));
        let (keys, values): (Vec<K>, Vec<V>) = missing.unzip();
        // What fails half-way is read again.
        let rows = self.rows.take();
        bpf::update(&self.map, &keys, &values)
            .map_err(|error| DatapathError::io(format!("insert into map {}", self.name), error))?;
        self.rows = rows.map(|mut rows| {
            rows.extend(keys.into_iter().zip(values));
            rows
        });
        Ok(())
    }
}
