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
    table::Table,
};
use crate::model::{Rows, Traffic, xdp::HostRows};

/// The maps of one uplink.
pub struct Maps {
    fdb: Table<FdbKey, Receiver>,
    direct_fdb: DirectTable,
    direct_senders: DirectTable,
    direct_segments: DirectSegments,
    endpoints: Table<u32, Endpoint>,
    segments: Table<SegmentKey, Segment>,
    qinq: Table<QinqKey, QinqEntry>,
    flood: Table<FloodKey, Receiver>,
    sources: Table<SourceKey, Receiver>,
    allowed_macs: Table<AllowedMacKey, u32>,
    ingress_priorities: Table<IngressPriorityKey, u32>,
    egress_priorities: Table<EgressPriorityKey, u32>,
    queriers: HashMap<MapData, QuerierKey, Querier>,
    members: HashMap<MapData, MemberKey, Member>,
    reporters: HashMap<MapData, ReporterKey, Reporter>,
    known_vlans: Array<MapData, u64>,
    host_macs: Table<HostMacKey, u32>,
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
            fdb: Table::open(pins, "fdb")?,
            direct_fdb: DirectTable::open(pins, "direct_fdb")?,
            direct_senders: DirectTable::open(pins, "direct_senders")?,
            direct_segments: DirectSegments::open(pins)?,
            endpoints: Table::open(pins, "endpoints")?,
            segments: Table::open(pins, "segments")?,
            qinq: Table::open(pins, "qinq")?,
            flood: Table::open(pins, "flood")?,
            sources: Table::open(pins, "sources")?,
            allowed_macs: Table::open(pins, "allowed_macs")?,
            ingress_priorities: Table::open(pins, "ingress_priorities")?,
            egress_priorities: Table::open(pins, "egress_priorities")?,
            queriers: open(pins, "queriers", Map::HashMap)?,
            members: open(pins, "members", Map::HashMap)?,
            reporters: open(pins, "reporters", Map::HashMap)?,
            known_vlans: open(pins, "known_vlans", Map::Array)?,
            host_macs: Table::open(pins, "host_macs")?,
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
        let stale_fdb = self.fdb.remove_stale(fdb);
        let stale_sources = self.sources.remove_stale(sources);
        stale_fdb.and(stale_sources)?;

        self.reset_new_counters(endpoints)?;
        self.forget_gone(rows)?;
        self.allowed_macs.insert_missing(&allowed_macs)?;
        self.ingress_priorities.insert_missing(ingress_priorities)?;
        self.egress_priorities.insert_missing(egress_priorities)?;
        self.endpoints.insert_missing(endpoints)?;
        self.flood.insert_missing(flood)?;
        self.segments.insert_missing(segments)?;
        self.qinq.insert_missing(qinq)?;
        self.sources.insert_missing(sources)?;
        self.fdb.insert_missing(fdb)?;
        self.direct_fdb.insert_missing(&direct_fdb)?;
        self.direct_senders.insert_missing(&direct_senders)?;
        self.direct_segments.reconcile(&rows.direct_segments())?;
        self.insert_xdp_receivers(xdp_receivers)?;

        self.qinq.remove_stale(qinq)?;
        self.segments.remove_stale(segments)?;
        self.flood.remove_stale(flood)?;
        self.endpoints.remove_stale(endpoints)?;
        self.ingress_priorities.remove_stale(ingress_priorities)?;
        self.egress_priorities.remove_stale(egress_priorities)?;
        self.allowed_macs.remove_stale(&allowed_macs)
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
        self.host_macs.insert_missing(&host_macs)?;
        for (index, word) in (0..).zip(known_vlans) {
            let what = || DatapathError::map(format!("set word {index} of map known_vlans"));
            if self.known_vlans.get(&index, 0).map_err(what())? != *word {
                self.known_vlans.set(index, *word, 0).map_err(what())?;
            }
        }
        self.host_macs.remove_stale(&host_macs)
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
        let known = self.endpoints.rows()?;
        for (ifindex, endpoint) in wanted {
            if !known.contains_key(ifindex) {
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
        let known = self.endpoints.rows()?;
        let endpoints = rows.endpoints.iter();
        let known = endpoints.filter(|(ifindex, _)| known.contains_key(ifindex));
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
