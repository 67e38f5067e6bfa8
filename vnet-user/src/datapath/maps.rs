//! The pinned maps of one uplink.

use std::collections::{BTreeMap, BTreeSet};

use aya::maps::{HashMap, Map, MapData, MapError, PerCpuArray, PerCpuValues};
use vnet_common::{
    Counters, Endpoint, FdbEntry, FdbKey, FloodEntry, FloodKey, Reason, Segment, SegmentKey,
};

use super::{error::DatapathError, pins::Pins};

/// One endpoint, as the maps know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its row in `fdb`, `endpoints` and `counters`.
    pub endpoint: Endpoint,
    /// The host side of its link.
    pub ifindex: u32,
    /// Its slot in `flood`.
    pub flood_slot: u16,
}

/// The maps of one uplink.
pub struct Maps {
    fdb: HashMap<MapData, FdbKey, FdbEntry>,
    endpoints: HashMap<MapData, u32, Endpoint>,
    segments: HashMap<MapData, SegmentKey, Segment>,
    flood: HashMap<MapData, FloodKey, FloodEntry>,
    counters: PerCpuArray<MapData, Counters>,
    reasons: PerCpuArray<MapData, u64>,
}

impl Maps {
    /// Opens the pinned maps.
    ///
    /// # Errors
    ///
    /// When a pin is not there, or is another kind of map.
    pub fn open(pins: &Pins) -> Result<Self, DatapathError> {
        Ok(Self {
            fdb: open(pins, "fdb", Map::HashMap)?,
            endpoints: open(pins, "endpoints", Map::HashMap)?,
            segments: open(pins, "segments", Map::HashMap)?,
            flood: open(pins, "flood", Map::HashMap)?,
            counters: open(pins, "counters", Map::PerCpuArray)?,
            reasons: open(pins, "reasons", Map::PerCpuArray)?,
        })
    }

    /// Makes just these segments known. Those that were known keep their receivers.
    pub fn set_segments(&mut self, wanted: &BTreeSet<u16>) -> Result<(), DatapathError> {
        let known: BTreeSet<u16> = self
            .segments
            .keys()
            .map(|key| key.map(|key| key.vlan))
            .collect::<Result<_, _>>()
            .map_err(DatapathError::map("list the segments"))?;
        for &vlan in wanted.difference(&known) {
            let result = self
                .segments
                .insert(SegmentKey { vlan }, Segment::default(), 0);
            result.map_err(DatapathError::map(format!("add segment {vlan}")))?;
        }
        for &vlan in known.difference(wanted) {
            let what = format!("remove segment {vlan}");
            gone(self.segments.remove(&SegmentKey { vlan }), what)?;
        }
        Ok(())
    }

    /// Adds an endpoint. The FDB comes last, when all that a frame to it needs is there.
    pub fn add_endpoint(&mut self, member: Member) -> Result<(), DatapathError> {
        let Member {
            endpoint,
            ifindex,
            flood_slot,
        } = member;
        let Endpoint {
            endpoint: number,
            vlan,
            mac,
        } = endpoint;
        let what = || DatapathError::map(format!("add endpoint {number}"));
        let zero = vec![Counters::default(); cpus()?];
        let zero = PerCpuValues::try_from(zero)
            .map_err(|error| DatapathError::io(format!("reset counters {number}"), error))?;
        self.counters.set(number, zero, 0).map_err(what())?;
        self.endpoints
            .insert(ifindex, endpoint, 0)
            .map_err(what())?;
        let entry = FloodEntry {
            ifindex,
            endpoint: number,
        };
        let key = FloodKey {
            vlan,
            slot: flood_slot,
        };
        self.flood.insert(key, entry, 0).map_err(what())?;
        self.set_flood_slots(vlan)?;
        let entry = FdbEntry {
            ifindex,
            endpoint: number,
        };
        self.fdb
            .insert(FdbKey { vlan, mac }, entry, 0)
            .map_err(what())
    }

    /// Removes an endpoint. What is gone already is fine.
    pub fn remove_endpoint(&mut self, member: Member) -> Result<(), DatapathError> {
        let Member {
            endpoint,
            ifindex,
            flood_slot,
        } = member;
        let Endpoint {
            endpoint: number,
            vlan,
            mac,
        } = endpoint;
        let what = || format!("remove endpoint {number}");
        gone(self.fdb.remove(&FdbKey { vlan, mac }), what())?;
        let key = FloodKey {
            vlan,
            slot: flood_slot,
        };
        gone(self.flood.remove(&key), what())?;
        self.set_flood_slots(vlan)?;
        gone(self.endpoints.remove(&ifindex), what())
    }

    /// Counters of an endpoint, summed over the CPUs.
    pub fn counters(&self, number: u32) -> Result<Counters, DatapathError> {
        let what = DatapathError::map(format!("read the counters of endpoint {number}"));
        let per_cpu = self.counters.get(&number, 0).map_err(what)?;
        let mut sum = Counters::default();
        for counters in per_cpu.iter() {
            sum += *counters;
        }
        Ok(sum)
    }

    /// Frames that were not delivered, by reason, summed over the CPUs.
    pub fn reasons(&self) -> Result<BTreeMap<&'static str, u64>, DatapathError> {
        let mut counts = BTreeMap::new();
        for reason in Reason::ALL {
            let what = DatapathError::map(format!("read the count of {}", reason.name()));
            let per_cpu = self.reasons.get(&(*reason as u32), 0).map_err(what)?;
            counts.insert(reason.name(), per_cpu.iter().sum());
        }
        Ok(counts)
    }

    /// The broadcast's loop runs as far as the highest slot in use.
    fn set_flood_slots(&mut self, vlan: u16) -> Result<(), DatapathError> {
        let key = SegmentKey { vlan };
        let what = || DatapathError::map(format!("update segment {vlan}"));
        match self.segments.get(&key, 0) {
            Ok(_) => {}
            Err(MapError::KeyNotFound) => return Ok(()),
            Err(error) => return Err(what()(error)),
        }
        let mut flood_slots = 0;
        for key in self.flood.keys() {
            let FloodKey { vlan: of, slot } = key.map_err(what())?;
            if of == vlan {
                flood_slots = flood_slots.max(u32::from(slot) + 1);
            }
        }
        let segment = Segment { flood_slots };
        self.segments.insert(key, segment, 0).map_err(what())
    }
}

fn open<T: TryFrom<Map, Error = MapError>>(
    pins: &Pins,
    name: &'static str,
    kind: fn(MapData) -> Map,
) -> Result<T, DatapathError> {
    let path = pins.map(name);
    let what = || DatapathError::map(format!("open map {}", path.display()));
    let data = MapData::from_pin(&path).map_err(what())?;
    T::try_from(kind(data)).map_err(what())
}

fn gone(result: Result<(), MapError>, what: String) -> Result<(), DatapathError> {
    match result {
        Err(MapError::KeyNotFound) => Ok(()),
        Err(MapError::SyscallError(error))
            if error.io_error.raw_os_error() == Some(libc::ENOENT) =>
        {
            Ok(())
        }
        other => other.map_err(DatapathError::map(what)),
    }
}

fn cpus() -> Result<usize, DatapathError> {
    aya::util::nr_cpus().map_err(|(what, error)| DatapathError::io(format!("read {what}"), error))
}
