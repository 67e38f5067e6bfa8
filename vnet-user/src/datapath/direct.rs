//! The direct-mapped tables, see `vnet_common::direct`.

use std::{collections::BTreeMap, os::fd::OwnedFd};

use aya::{
    Pod,
    maps::{Array, Map, MapData},
};
use vnet_common::DirectRow;

use super::{bpf, error::DatapathError, pins::Pins};

/// A table of endpoints.
pub struct DirectTable {
    name: &'static str,
    map: Array<MapData, DirectRow>,
    fd: OwnedFd,
    /// What it holds, once it was read: nobody else writes while the caller holds the store's lock.
    rows: Option<Vec<DirectRow>>,
}

impl DirectTable {
    /// Opens a pinned one.
    ///
    /// # Errors
    ///
    /// When it is not there.
    pub fn open(pins: &Pins, name: &'static str) -> Result<Self, DatapathError> {
        let (map, fd) = open(pins, name)?;
        Ok(Self {
            name,
            map,
            fd,
            rows: None,
        })
    }

    /// Takes out what is not wanted, and lets be asked for what is to be changed.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn remove_stale(&mut self, wanted: &BTreeMap<u32, DirectRow>) -> Result<(), DatapathError> {
        let mut rows = self.rows()?.clone();
        // As the kernel makes it, it holds zeros, which are a segment and an address too.
        if rows.iter().all(|row| *row == DirectRow::default()) {
            rows.fill(DirectRow::default().taken_out());
            bpf::fill(&self.fd, &rows)
                .map_err(|error| DatapathError::io(format!("empty map {}", self.name), error))?;
            self.rows = Some(rows.clone());
        }
        for (index, row) in (0..).zip(rows) {
            match wanted.get(&index) {
                Some(wanted) if *wanted == row => {}
                Some(_) if row.is_nobodys() => {}
                Some(_) => self.set(index, row.in_change())?,
                None if row.is_nobodys() => {}
                None => self.set(index, row.taken_out())?,
            }
        }
        Ok(())
    }

    /// Puts in what is wanted and not there.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn insert_missing(
        &mut self,
        wanted: &BTreeMap<u32, DirectRow>,
    ) -> Result<(), DatapathError> {
        let rows = self.rows()?.clone();
        let row_at = |index: u32| rows.get(index as usize).copied().unwrap_or_default();
        let missing = wanted
            .iter()
            .map(|(index, row)| (*index, *row, row_at(*index)));
        let missing = missing.filter(|(_, row, known)| row != known);
        // What led elsewhere may still be read by a program that found it so.
        let led_elsewhere =
            |known: &DirectRow, row: &DirectRow| known.ifindex != 0 && !known.leads_where(row);
        let (taken, mut free): (Vec<_>, Vec<_>) =
            missing.partition(|(_, row, known)| led_elsewhere(known, row));
        if !taken.is_empty() {
            match self.wait_for_programs()? {
                true => free.extend(taken),
                false => {
                    for (index, _, known) in taken {
                        self.set(index, known.in_change())?;
                    }
                }
            }
        }
        for (index, row, _) in &free {
            self.set(*index, row.in_change())?;
        }
        // The rest of a row must be seen by whoever sees who it is for. x86 keeps the order of stores, and of loads (Intel's
        // manual, volume 3, section 8.2.2).
        if !cfg!(target_arch = "x86_64") && !free.is_empty() && !self.wait_for_programs()? {
            return Ok(());
        }
        for (index, row, _) in free {
            self.set(index, row)?;
        }
        Ok(())
    }

    /// Waits until no program runs that may have read a row as it was. False where the kernel can't: then the rows stay in
    /// change, and their endpoints on the general path.
    fn wait_for_programs(&self) -> Result<bool, DatapathError> {
        bpf::wait_for_programs().map_err(|error| {
            let what = format!("wait for the programs that read map {}", self.name);
            DatapathError::io(what, error)
        })
    }

    fn rows(&mut self) -> Result<&mut Vec<DirectRow>, DatapathError> {
        Ok(match &mut self.rows {
            Some(rows) => rows,
            unread => {
                let rows = bpf::all_rows(&self.fd, self.map.len());
                unread.insert(
                    rows.map_err(|error| {
                        DatapathError::io(format!("read map {}", self.name), error)
                    })?,
                )
            }
        })
    }

    fn set(&mut self, index: u32, row: DirectRow) -> Result<(), DatapathError> {
        let set = self.map.set(index, row, 0);
        set.map_err(DatapathError::map(format!(
            "set row {index} of map {}",
            self.name
        )))?;
        if let Some(known) = self.rows()?.get_mut(index as usize) {
            *known = row;
        }
        Ok(())
    }
}

/// The table `direct_segments`.
pub struct DirectSegments {
    map: Array<MapData, u32>,
    fd: OwnedFd,
}

impl DirectSegments {
    /// Opens the pinned one.
    ///
    /// # Errors
    ///
    /// When it is not there.
    pub fn open(pins: &Pins) -> Result<Self, DatapathError> {
        let (map, fd) = open(pins, "direct_segments")?;
        Ok(Self { map, fd })
    }

    /// Brings all rows to what they must be.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn reconcile(&mut self, wanted: &[u32]) -> Result<(), DatapathError> {
        let known: Vec<u32> = bpf::all_rows(&self.fd, self.map.len())
            .map_err(|error| DatapathError::io("read map direct_segments", error))?;
        let rows = (0..).zip(known.iter().zip(wanted));
        let changed = rows.filter(|(_, (known, wanted))| known != wanted);
        let (indices, rows): (Vec<u32>, Vec<u32>) =
            changed.map(|(at, (_, row))| (at, *row)).unzip();
        bpf::update(&self.fd, &indices, &rows)
            .map_err(|error| DatapathError::io("set rows of map direct_segments", error))
    }
}

/// A pinned array, and the same for what aya has no call for.
fn open<T: Pod>(pins: &Pins, name: &str) -> Result<(Array<MapData, T>, OwnedFd), DatapathError> {
    let path = pins.map(name);
    let what = || format!("open map {}", path.display());
    let data = MapData::from_pin(&path).map_err(DatapathError::map(what()))?;
    let map = Array::try_from(Map::Array(data)).map_err(DatapathError::map(what()))?;
    let fd = bpf::open(&path).map_err(|error| DatapathError::io(what(), error))?;
    Ok((map, fd))
}
