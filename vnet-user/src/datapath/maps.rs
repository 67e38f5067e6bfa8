//! The pinned maps of one uplink.

use std::collections::{BTreeMap, BTreeSet};

use aya::{
    Pod,
    maps::{Array, HashMap, Map, MapData, MapError, PerCpuArray, PerCpuValues, xdp::DevMapHash},
};
use vnet_common::{
    AllowedMacKey, Counters, EgressPriorityKey, Endpoint, FdbKey, FloodKey, HostMacKey,
    IngressPriorityKey, Member, MemberKey, QinqEntry, QinqKey, Querier, QuerierKey, Reason,
    Receiver, Reporter, ReporterKey, Segment, SegmentKey, SourceKey,
};

use super::{
    direct::{DirectSegments, DirectTable},
    error::DatapathError,
    pins::Pins,
};
use crate::model::{Rows, Traffic, xdp::HostRows};

/// The maps of one uplink.
pub struct Maps {
    fdb: HashMap<MapData, FdbKey, Receiver>,
    direct_fdb: DirectTable,
    direct_senders: DirectTable,
    direct_segments: DirectSegments,
    endpoints: HashMap<MapData, u32, Endpoint>,
    segments: HashMap<MapData, SegmentKey, Segment>,
    qinq: HashMap<MapData, QinqKey, QinqEntry>,
    flood: HashMap<MapData, FloodKey, Receiver>,
    sources: HashMap<MapData, SourceKey, Receiver>,
    allowed_macs: HashMap<MapData, AllowedMacKey, u32>,
    ingress_priorities: HashMap<MapData, IngressPriorityKey, u32>,
    egress_priorities: HashMap<MapData, EgressPriorityKey, u32>,
    queriers: HashMap<MapData, QuerierKey, Querier>,
    members: HashMap<MapData, MemberKey, Member>,
    reporters: HashMap<MapData, ReporterKey, Reporter>,
    known_vlans: Array<MapData, u64>,
    host_macs: HashMap<MapData, HostMacKey, u32>,
    xdp_receivers: DevMapHash<MapData>,
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
            direct_fdb: DirectTable::open(pins, "direct_fdb")?,
            direct_senders: DirectTable::open(pins, "direct_senders")?,
            direct_segments: DirectSegments::open(pins)?,
            endpoints: open(pins, "endpoints", Map::HashMap)?,
            segments: open(pins, "segments", Map::HashMap)?,
            qinq: open(pins, "qinq", Map::HashMap)?,
            flood: open(pins, "flood", Map::HashMap)?,
            sources: open(pins, "sources", Map::HashMap)?,
            allowed_macs: open(pins, "allowed_macs", Map::HashMap)?,
            ingress_priorities: open(pins, "ingress_priorities", Map::HashMap)?,
            egress_priorities: open(pins, "egress_priorities", Map::HashMap)?,
            queriers: open(pins, "queriers", Map::HashMap)?,
            members: open(pins, "members", Map::HashMap)?,
            reporters: open(pins, "reporters", Map::HashMap)?,
            known_vlans: open(pins, "known_vlans", Map::Array)?,
            host_macs: open(pins, "host_macs", Map::HashMap)?,
            xdp_receivers: open(pins, "xdp_receivers", Map::DevMapHash)?,
            counters: open(pins, "counters", Map::PerCpuArray)?,
            reasons: open(pins, "reasons", Map::PerCpuArray)?,
        })
    }

    /// Brings the maps to what they must say, in an order in which no frame goes where it should not: what leads to an
    /// endpoint goes before what the endpoint needs, and comes after it.
    ///
    /// # Errors
    ///
    /// What the kernel says. The next reconcile goes on where this one ended.
    pub fn reconcile(&mut self, rows: &Rows) -> Result<(), DatapathError> {
        let Rows {
            fdb,
            endpoints,
            segments,
            qinq,
            flood,
            sources,
            allowed_macs,
            ingress_priorities,
            egress_priorities,
            xdp_receivers,
        } = rows;
        let (direct_fdb, direct_senders) = (rows.direct_fdb(), rows.direct_senders());
        self.direct_fdb.remove_stale(&direct_fdb)?;
        self.direct_senders.remove_stale(&direct_senders)?;
        let allowed_macs: BTreeMap<_, u32> = allowed_macs.iter().map(|key| (*key, 1)).collect();
        self.remove_xdp_receivers(xdp_receivers)?;
        let stale_fdb = remove_stale(&mut self.fdb, fdb, "fdb");
        let stale_sources = remove_stale(&mut self.sources, sources, "sources");
        stale_fdb.and(stale_sources)?;

        self.reset_new_counters(endpoints)?;
        self.forget_gone(rows)?;
        insert_missing(&mut self.allowed_macs, &allowed_macs, "allowed_macs")?;
        let (ingress, egress) = (&mut self.ingress_priorities, &mut self.egress_priorities);
        insert_missing(ingress, ingress_priorities, "ingress_priorities")?;
        insert_missing(egress, egress_priorities, "egress_priorities")?;
        insert_missing(&mut self.endpoints, endpoints, "endpoints")?;
        insert_missing(&mut self.flood, flood, "flood")?;
        insert_missing(&mut self.segments, segments, "segments")?;
        insert_missing(&mut self.qinq, qinq, "qinq")?;
        insert_missing(&mut self.sources, sources, "sources")?;
        insert_missing(&mut self.fdb, fdb, "fdb")?;
        self.direct_fdb.insert_missing(&direct_fdb)?;
        self.direct_senders.insert_missing(&direct_senders)?;
        self.direct_segments.reconcile(&rows.direct_segments())?;
        self.insert_xdp_receivers(xdp_receivers)?;

        remove_stale(&mut self.qinq, qinq, "qinq")?;
        remove_stale(&mut self.segments, segments, "segments")?;
        remove_stale(&mut self.flood, flood, "flood")?;
        remove_stale(&mut self.endpoints, endpoints, "endpoints")?;
        let (ingress, egress) = (&mut self.ingress_priorities, &mut self.egress_priorities);
        remove_stale(ingress, ingress_priorities, "ingress_priorities")?;
        remove_stale(egress, egress_priorities, "egress_priorities")?;
        remove_stale(&mut self.allowed_macs, &allowed_macs, "allowed_macs")
    }

    /// Brings what XDP knows of the host to what it must be. What it must spare comes before what it need not goes.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn reconcile_host(&mut self, rows: &HostRows) -> Result<(), DatapathError> {
        let HostRows {
            known_vlans,
            host_macs,
        } = rows;
        let host_macs = host_macs.iter().map(|mac| (HostMacKey { mac: *mac }, 1));
        let host_macs: BTreeMap<_, u32> = host_macs.collect();
        insert_missing(&mut self.host_macs, &host_macs, "host_macs")?;
        for (index, word) in (0..).zip(known_vlans) {
            let what = || DatapathError::map(format!("set word {index} of map known_vlans"));
            if self.known_vlans.get(&index, 0).map_err(what())? != *word {
                self.known_vlans.set(index, *word, 0).map_err(what())?;
            }
        }
        remove_stale(&mut self.host_macs, &host_macs, "host_macs")
    }

    /// Brings whom XDP may redirect to, and nothing else, to what it must be.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn reconcile_xdp_receivers(&mut self, rows: &Rows) -> Result<(), DatapathError> {
        self.remove_xdp_receivers(&rows.xdp_receivers)?;
        self.insert_xdp_receivers(&rows.xdp_receivers)
    }

    /// Those of interfaces that are gone went with them (`dev_map_notification` in kernel/bpf/devmap.c).
    fn remove_xdp_receivers(&mut self, wanted: &BTreeSet<u32>) -> Result<(), DatapathError> {
        let known: Vec<u32> = self.xdp_receivers.keys().filter_map(Result::ok).collect();
        for ifindex in known.iter().filter(|ifindex| !wanted.contains(ifindex)) {
            is_removed(self.xdp_receivers.remove(*ifindex), "xdp_receivers")?;
        }
        Ok(())
    }

    fn insert_xdp_receivers(&mut self, wanted: &BTreeSet<u32>) -> Result<(), DatapathError> {
        for ifindex in wanted {
            if self.xdp_receivers.get(*ifindex, 0).is_ok() {
                continue;
            }
            let inserted = self.xdp_receivers.insert(*ifindex, *ifindex, None, 0);
            inserted.map_err(|source| {
                let what = format!("insert {ifindex} into map xdp_receivers");
                DatapathError::io(what, std::io::Error::other(source))
            })?;
        }
        Ok(())
    }

    /// An endpoint that comes counts from zero, whoever had its number before.
    fn reset_new_counters(
        &mut self,
        wanted: &BTreeMap<u32, Endpoint>,
    ) -> Result<(), DatapathError> {
        for (ifindex, endpoint) in wanted {
            if let Err(MapError::KeyNotFound) = self.endpoints.get(ifindex, 0) {
                let number = endpoint.endpoint;
                let zero = PerCpuValues::try_from(vec![Counters::default(); cpus()?]);
                let zero = zero.map_err(|error| {
                    DatapathError::io(format!("reset counters {number}"), error)
                })?;
                let what = DatapathError::map(format!("reset counters {number}"));
                self.counters
                    .set(u32::from(number), zero, 0)
                    .map_err(what)?;
            }
        }
        Ok(())
    }

    /// What was learnt of endpoints and segments that are gone, or are new with the number of one that is gone; and what
    /// has not been true for long.
    fn forget_gone(&mut self, rows: &Rows) -> Result<(), DatapathError> {
        let endpoints = rows.endpoints.iter();
        let known = endpoints.filter(|(ifindex, _)| self.endpoints.get(ifindex, 0).is_ok());
        let known: BTreeSet<u16> = known.map(|(_, endpoint)| endpoint.endpoint).collect();
        let now = monotonic_ns()?;
        remove_if(&mut self.members, "members", |key, member| {
            !known.contains(&key.endpoint) || member.until_ns <= now
        })?;
        remove_if(&mut self.reporters, "reporters", |key, _| {
            !known.contains(&key.endpoint)
        })?;
        remove_if(&mut self.queriers, "queriers", |key, querier| {
            let segment = SegmentKey {
                segment: key.segment,
            };
            !rows.segments.contains_key(&segment) || querier.until_ns <= now
        })
    }

    /// Counters of an endpoint, summed over the CPUs.
    pub fn counters(&self, number: u16) -> Result<Traffic, DatapathError> {
        let what = DatapathError::map(format!("read the counters of endpoint {number}"));
        let per_cpu = self.counters.get(&u32::from(number), 0).map_err(what)?;
        let mut sum = Traffic::default();
        for counters in per_cpu.iter() {
            sum += Traffic::from(*counters);
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
}

/// `CLOCK_MONOTONIC`, as programs read it.
fn monotonic_ns() -> Result<u64, DatapathError> {
    let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC);
    let now = now.map_err(|errno| DatapathError::io("read the clock", errno.into()))?;
    let since_boot = std::time::Duration::from(now);
    Ok(u64::try_from(since_boot.as_nanos()).unwrap_or(u64::MAX))
}

/// Removes what programs have put there and is no longer so.
fn remove_if<K: Pod + Ord, V: Pod>(
    map: &mut HashMap<MapData, K, V>,
    name: &str,
    gone: impl Fn(&K, &V) -> bool,
) -> Result<(), DatapathError> {
    // One that goes while the map is listed is no error.
    let rows: BTreeMap<K, V> = map.iter().filter_map(Result::ok).collect();
    let gone = rows.iter().filter(|(key, value)| gone(key, value));
    remove_keys(map, gone.map(|(key, _)| key), name)
}

/// Removes what is not wanted. What is gone already is fine.
fn remove_stale<K: Pod + Ord, V: Pod>(
    map: &mut HashMap<MapData, K, V>,
    wanted: &BTreeMap<K, V>,
    name: &str,
) -> Result<(), DatapathError> {
    let keys: BTreeSet<K> = map
        .keys()
        .collect::<Result<_, _>>()
        .map_err(DatapathError::map(format!("list map {name}")))?;
    let stale = keys.iter().filter(|key| !wanted.contains_key(key));
    remove_keys(map, stale, name)
}

fn remove_keys<'a, K: Pod, V: Pod>(
    map: &mut HashMap<MapData, K, V>,
    keys: impl Iterator<Item = &'a K>,
    name: &str,
) -> Result<(), DatapathError> {
    for key in keys {
        is_removed(map.remove(key), name)?;
    }
    Ok(())
}

/// What was gone already is fine.
fn is_removed(result: Result<(), MapError>, name: &str) -> Result<(), DatapathError> {
    match result {
        Ok(()) | Err(MapError::KeyNotFound) => Ok(()),
        Err(MapError::SyscallError(error))
            if error.io_error.raw_os_error() == Some(libc::ENOENT) =>
        {
            Ok(())
        }
        Err(error) => Err(DatapathError::map(format!("remove from map {name}"))(error)),
    }
}

/// Inserts what is wanted and not there, or there with another value.
fn insert_missing<K: Pod + Ord, V: Pod + PartialEq>(
    map: &mut HashMap<MapData, K, V>,
    wanted: &BTreeMap<K, V>,
    name: &str,
) -> Result<(), DatapathError> {
    for (key, value) in wanted {
        if map.get(key, 0).is_ok_and(|known| known == *value) {
            continue;
        }
        map.insert(key, value, 0)
            .map_err(DatapathError::map(format!("insert into map {name}")))?;
    }
    Ok(())
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

fn cpus() -> Result<usize, DatapathError> {
    aya::util::nr_cpus().map_err(|(what, error)| DatapathError::io(format!("read {what}"), error))
}
