//! Who is on which segment: an index of the state, made once for many requests.

use std::collections::{BTreeMap, BTreeSet};

use vnet_common::{FIRST_QINQ_SEGMENT, MAX_ENDPOINTS, MAX_FLOOD_SLOTS, MAX_QINQ_SEGMENTS};

use super::{
    endpoint::{Endpoint, EndpointId},
    network::Network,
    segment::Segment,
    state::State,
};

/// The places that networks and endpoints have on uplinks and segments.
#[derive(Debug, Default)]
pub struct Places {
    uplinks: BTreeMap<String, OnUplink>,
}

#[derive(Debug, Default)]
struct OnUplink {
    segments: BTreeMap<Segment, OnSegment>,
    segment_numbers: BTreeSet<u16>,
    endpoint_numbers: BTreeSet<u16>,
}

#[derive(Debug, Default)]
struct OnSegment {
    networks: Vec<String>,
    endpoints: Vec<EndpointId>,
    flood_slots: BTreeSet<u16>,
}

impl Places {
    /// Those in a state.
    pub fn of(state: &State) -> Self {
        let mut places = Self::default();
        for (name, network) in &state.networks {
            places.add_network(name, network);
        }
        for (id, endpoint) in &state.endpoints {
            if let Some(network) = state.networks.get(&endpoint.network) {
                places.add_endpoint(id, endpoint, network);
            }
        }
        places
    }

    /// Adds one that the state has got.
    pub fn add_network(&mut self, name: &str, network: &Network) {
        let uplink = self.uplink(network);
        uplink.segment_numbers.insert(network.number);
        let segment = uplink.segments.entry(network.segment).or_default();
        segment.networks.push(name.to_owned());
    }

    /// Adds one that the state has got, in its network.
    pub fn add_endpoint(&mut self, id: &EndpointId, endpoint: &Endpoint, network: &Network) {
        let uplink = self.uplink(network);
        uplink.endpoint_numbers.insert(endpoint.number);
        let segment = uplink.segments.entry(network.segment).or_default();
        segment.endpoints.push(id.clone());
        segment.flood_slots.insert(endpoint.flood_slot);
    }

    fn uplink(&mut self, network: &Network) -> &mut OnUplink {
        self.uplinks.entry(network.uplink.clone()).or_default()
    }

    fn segment(&self, uplink: &str, segment: Segment) -> Option<&OnSegment> {
        self.uplinks.get(uplink)?.segments.get(&segment)
    }

    /// The networks on a segment.
    pub fn networks<'a>(
        &'a self,
        state: &'a State,
        uplink: &str,
        segment: Segment,
    ) -> impl Iterator<Item = (&'a String, &'a Network)> {
        let names = self.segment(uplink, segment).map(|it| it.networks.iter());
        let networks = &state.networks;
        names
            .into_iter()
            .flatten()
            .filter_map(|name| networks.get_key_value(name))
    }

    /// The endpoints on a network's segment, of this network and of others.
    pub fn endpoints<'a>(
        &'a self,
        state: &'a State,
        network: &Network,
    ) -> impl Iterator<Item = (&'a EndpointId, &'a Endpoint)> {
        let segment = self.segment(&network.uplink, network.segment);
        let ids = segment.map(|it| it.endpoints.iter());
        let endpoints = &state.endpoints;
        ids.into_iter()
            .flatten()
            .filter_map(|id| endpoints.get_key_value(id))
    }

    /// The lowest number that none of the uplink's segments of two tags has.
    pub fn free_segment_number(&self, uplink: &str) -> Option<u16> {
        let taken = self.uplinks.get(uplink).map(|it| &it.segment_numbers);
        let taken = taken
            .into_iter()
            .flat_map(|it| it.range(FIRST_QINQ_SEGMENT..));
        lowest_free(taken, FIRST_QINQ_SEGMENT, MAX_QINQ_SEGMENTS)
    }

    /// The lowest number that none of the uplink's endpoints has.
    pub fn free_number(&self, uplink: &str) -> Option<u16> {
        let taken = self.uplinks.get(uplink).map(|it| &it.endpoint_numbers);
        lowest_free(taken.into_iter().flatten(), 0, MAX_ENDPOINTS)
    }

    /// The lowest flood slot that none of the segment's endpoints has.
    pub fn free_flood_slot(&self, network: &Network) -> Option<u16> {
        let segment = self.segment(&network.uplink, network.segment);
        let taken = segment.map(|it| &it.flood_slots);
        lowest_free(taken.into_iter().flatten(), 0, MAX_FLOOD_SLOTS)
    }
}

/// The lowest number from `first` on that is not taken, if it is one of the first `count`; `taken` in order.
fn lowest_free<'a>(taken: impl Iterator<Item = &'a u16>, first: u16, count: usize) -> Option<u16> {
    let mut numbers = (first..).take(count);
    let mut free = numbers.next();
    for number in taken {
        if Some(*number) != free {
            break;
        }
        free = numbers.next();
    }
    free
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_free_number_fills_gaps() {
        let free = |taken: &[u16]| lowest_free(taken.iter(), 5, 4);
        assert_eq!(free(&[]), Some(5));
        assert_eq!(free(&[5, 6, 8]), Some(7));
        assert_eq!(free(&[6, 7]), Some(5));
        assert_eq!(free(&[5, 6, 7]), Some(8));
        assert_eq!(free(&[5, 6, 7, 8]), None);
    }
}
