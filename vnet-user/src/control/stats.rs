//! What went where: by endpoint, by segment, by reason; and what was lost behind vnet.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use serde::Serialize;

use super::{ControlError, Vnet, error::Failures};
use crate::{
    link::Link,
    model::{EndpointId, Segment, Traffic, state::Phase},
};

/// One uplink's counts.
#[derive(Clone, Debug, Serialize)]
pub struct UplinkStats {
    pub name: String,
    pub segments: Vec<SegmentStats>,
    pub endpoints: Vec<EndpointStats>,
    /// Frames that did not go to one place, by reason.
    pub reasons: BTreeMap<&'static str, u64>,
    pub lost: Lost,
}

/// One segment's counts: those of its endpoints, also of such as are gone.
#[derive(Clone, Debug, Serialize)]
pub struct SegmentStats {
    #[serde(flatten)]
    pub segment: Segment,
    pub networks: BTreeSet<String>,
    #[serde(flatten)]
    pub traffic: Traffic,
}

/// One endpoint's counts.
#[derive(Clone, Debug, Serialize)]
pub struct EndpointStats {
    pub id: EndpointId,
    pub network: String,
    #[serde(flatten)]
    pub segment: Segment,
    #[serde(flatten)]
    pub traffic: Traffic,
    /// Frames for the container that its link lost after vnet gave them to it: the link's own `tx_dropped`.
    pub lost: u64,
}

/// Frames that were lost after vnet had sent them on, as those who lost them count.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Lost {
    /// The uplink's own `tx_dropped`, of all that leaves by it.
    pub uplink: u64,
    /// Full backlogs of the whole host (`softnet_stat`, second column). Those on the way to containers are among what the
    /// endpoints' links lost too.
    pub softnet: u64,
}

impl Vnet {
    /// The counts of all uplinks, or of the one of a name.
    ///
    /// # Errors
    ///
    /// When `iface` is not attached, or counters can't be read.
    pub async fn stats(&self, iface: Option<&str>) -> Result<Vec<UplinkStats>, ControlError> {
        let names = self.uplinks_asked_for(iface).await?;
        let links = self.netlink.list().await?;
        let dropped: BTreeMap<u32, u64> = links.iter().map(dropped).collect();
        let softnet = softnet_dropped()?;
        let names = names.iter();
        names
            .map(|name| self.uplink_stats(name, &dropped, softnet))
            .collect()
    }

    fn uplink_stats(
        &self,
        name: &str,
        dropped: &BTreeMap<u32, u64>,
        softnet: u64,
    ) -> Result<UplinkStats, ControlError> {
        let maps = self.maps(name)?;
        let lost_by = |ifindex: u32| dropped.get(&ifindex).copied().unwrap_or(0);
        let mut segments = self.segments_without_endpoints(name);
        let mut endpoints = Vec::new();
        for (id, endpoint) in self.state().endpoints_on(name) {
            let network = self.network(&endpoint.network)?;
            let traffic = match &maps {
                Some(maps) => maps.counters(endpoint.number)?,
                None => Traffic::default(),
            };
            if let Some(segment) = segments.get_mut(&network.segment) {
                segment.traffic += traffic;
            }
            endpoints.push(EndpointStats {
                id: id.clone(),
                network: endpoint.network.clone(),
                segment: network.segment,
                traffic,
                lost: lost_by(endpoint.host_ifindex),
            });
        }
        Ok(UplinkStats {
            name: name.to_owned(),
            segments: segments.into_values().collect(),
            lost: Lost {
                uplink: lost_by(self.uplink(name)?.ifindex),
                softnet,
            },
            endpoints,
            reasons: match &maps {
                Some(maps) => maps.reasons()?,
                None => BTreeMap::new(),
            },
        })
    }

    /// The segments with what endpoints have left behind that are gone.
    fn segments_without_endpoints(&self, uplink: &str) -> BTreeMap<Segment, SegmentStats> {
        let mut segments = BTreeMap::new();
        let retired = |number| {
            let uplink = self.state().uplinks.get(uplink)?;
            uplink.retired.get(&number).copied()
        };
        for (name, network) in self.state().networks_on(uplink) {
            let segment = segments
                .entry(network.segment)
                .or_insert_with(|| SegmentStats {
                    segment: network.segment,
                    networks: BTreeSet::new(),
                    traffic: retired(network.number).unwrap_or_default(),
                });
            segment.networks.insert(name.clone());
        }
        segments
    }

    /// Keeps what an endpoint counted, for its segment, before its counters go to another.
    pub(super) fn retire_counters(
        &mut self,
        uplink: &str,
        ids: &[&EndpointId],
    ) -> Result<(), ControlError> {
        let Some(maps) = self.maps(uplink)? else {
            return Ok(());
        };
        let mut failures = Failures::default();
        for id in ids {
            let Some(endpoint) = self.state.endpoints.get(*id) else {
                continue;
            };
            let network = self.network(&endpoint.network)?;
            // The number of one that was never added may still count for who had it before.
            if network.uplink != uplink || endpoint.phase == Phase::Adding {
                continue;
            }
            let segment = network.number;
            if let Some(traffic) = failures.note(maps.counters(endpoint.number)) {
                let retired = &mut self.uplink_mut(uplink)?.retired;
                *retired.entry(segment).or_default() += traffic;
            }
        }
        failures.into_result()
    }
}

fn dropped(link: &Link) -> (u32, u64) {
    (link.index, link.tx_dropped)
}

/// The second column of each processor's line: frames that found its backlog full
/// (`softnet_seq_show` in net/core/net-procfs.c).
fn softnet_dropped() -> Result<u64, ControlError> {
    let text = fs::read_to_string("/proc/net/softnet_stat").map_err(|source| ControlError::Io {
        what: "read /proc/net/softnet_stat",
        source,
    })?;
    Ok(text.lines().filter_map(second_column).sum())
}

fn second_column(line: &str) -> Option<u64> {
    let column = line.split_whitespace().nth(1)?;
    u64::from_str_radix(column, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn softnet_counts_in_hex() {
        assert_eq!(second_column("0000272d 0000001f 00000001 0"), Some(31));
        assert_eq!(second_column(""), None);
    }
}
