//! What the maps of an uplink must say, made from the state alone.

mod direct;

use std::collections::{BTreeMap, BTreeSet};

use vnet_common::{
    AllowedMacKey, EgressPriorityKey, Endpoint as Sender, FdbKey, FloodKey, IngressPriorityKey,
    QinqEntry, QinqKey, Receiver, Segment as SegmentRow, SegmentKey, SourceKey, flags,
};

use super::{
    endpoint::Endpoint,
    mode::{Guard, Mode},
    network::Network,
    state::{Phase, State},
    xdp::Xdp,
};

/// The rows of each map.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    pub fdb: BTreeMap<FdbKey, Receiver>,
    /// By the ifindex of the host side.
    pub endpoints: BTreeMap<u32, Sender>,
    pub segments: BTreeMap<SegmentKey, SegmentRow>,
    pub qinq: BTreeMap<QinqKey, QinqEntry>,
    pub flood: BTreeMap<FloodKey, Receiver>,
    pub sources: BTreeMap<SourceKey, Receiver>,
    pub allowed_macs: BTreeSet<AllowedMacKey>,
    pub ingress_priorities: BTreeMap<IngressPriorityKey, u32>,
    pub egress_priorities: BTreeMap<EgressPriorityKey, u32>,
    /// The host sides that XDP may redirect to.
    pub xdp_receivers: BTreeSet<u32>,
}

impl Rows {
    /// What the networks and endpoints on an uplink make of its maps.
    pub fn wanted(state: &State, uplink: &str) -> Self {
        let mut rows = Self::default();
        let xdp = state.uplinks.get(uplink).and_then(|it| it.xdp.as_ref());
        let redirects = xdp.is_some_and(Xdp::redirects);
        for (_, network) in state.networks_on(uplink) {
            rows.add_network(network);
        }
        for (_, endpoint) in state.endpoints_on(uplink) {
            let has_link = endpoint.host_ifindex != 0 && endpoint.phase != Phase::Removing;
            if let (Some(network), true) = (state.networks.get(&endpoint.network), has_link) {
                rows.add_endpoint(endpoint, network);
                if redirects && endpoint.takes_xdp {
                    rows.xdp_receivers.insert(endpoint.host_ifindex);
                }
            }
        }
        rows
    }

    fn add_network(&mut self, network: &Network) {
        let segment = network.number;
        self.segments.entry(SegmentKey { segment }).or_default();
        if let (Some(vlan), Some(outer)) = (network.segment.vlan, network.segment.outer) {
            let key = QinqKey {
                outer_ethertype: outer.protocol.ethertype(),
                outer_vlan: outer.vlan.into(),
                vlan: vlan.into(),
            };
            self.qinq.insert(key, QinqEntry { segment });
        }
    }

    fn add_endpoint(&mut self, endpoint: &Endpoint, network: &Network) {
        let segment = network.number;
        let mac = endpoint.mac.octets();
        let slot = endpoint.flood_slot;
        let receiver = receiver(endpoint, network);
        self.fdb.insert(FdbKey { segment, mac }, receiver);
        self.flood.insert(FloodKey { segment, slot }, receiver);
        self.endpoints
            .insert(endpoint.host_ifindex, sender(endpoint, network));
        let row = self.segments.entry(SegmentKey { segment }).or_default();
        row.flood_slots = row.flood_slots.max(u32::from(slot) + 1);
        row.relay_ifindex = endpoint.host_ifindex;
        if network.mode == Mode::Passthru {
            row.passthru_ifindex = endpoint.host_ifindex;
            row.passthru_endpoint = endpoint.number;
            row.passthru_flags = u16::from(receiver.flags);
        }
        for source in &endpoint.sources {
            self.add_source(segment, source.octets(), receiver);
        }
        for allowed in &network.allowed_macs {
            self.allowed_macs.insert(AllowedMacKey {
                endpoint: endpoint.number,
                mac: allowed.octets(),
            });
        }
        self.add_priorities(endpoint.number, network);
    }

    fn add_priorities(&mut self, endpoint: u16, network: &Network) {
        for (pcp, priority) in network.ingress_qos_map.iter() {
            let key = IngressPriorityKey { endpoint, pcp };
            self.ingress_priorities.insert(key, u32::from(priority));
        }
        for (priority, pcp) in network.egress_qos_map.iter() {
            let key = EgressPriorityKey { endpoint, priority };
            self.egress_priorities.insert(key, u32::from(pcp));
        }
    }

    /// Slots without holes: the first one free.
    fn add_source(&mut self, segment: u16, mac: vnet_common::Mac, receiver: Receiver) {
        let key = |slot| SourceKey { segment, mac, slot };
        let slot = (0..=u16::MAX).find(|slot| !self.sources.contains_key(&key(*slot)));
        self.sources.insert(key(slot.unwrap_or(u16::MAX)), receiver);
    }
}

fn receiver(endpoint: &Endpoint, network: &Network) -> Receiver {
    let mut bits = 0;
    if network.nodst {
        bits |= flags::NODST;
    }
    if !network.multicast_snooping {
        bits |= flags::ALL_MULTICAST;
    }
    if !network.ingress_qos_map.is_empty() {
        bits |= flags::INGRESS_PRIORITY;
    }
    Receiver {
        ifindex: endpoint.host_ifindex,
        endpoint: endpoint.number,
        mode: network.mode.bit(),
        flags: bits,
    }
}

fn sender(endpoint: &Endpoint, network: &Network) -> Sender {
    let outer = network.segment.outer;
    let mut bits = 0;
    if network.guard == Guard::Mac {
        bits |= flags::GUARD_MAC;
    }
    if !network.allowed_macs.is_empty() {
        bits |= flags::EXTRA_MACS;
    }
    if !network.egress_qos_map.is_empty() {
        bits |= flags::EGRESS_PRIORITY;
    }
    Sender {
        mac: endpoint.mac.octets(),
        segment: network.number,
        endpoint: endpoint.number,
        mode: network.mode.bit(),
        flags: bits,
        vlan: network.segment.vlan.map_or(0, u16::from),
        outer_vlan: outer.map_or(0, |outer| outer.vlan.into()),
        outer_ethertype: outer.map_or(0, |outer| outer.protocol.ethertype()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        endpoint::{EndpointId, EndpointRequest, HostOnSegment},
        network::NetworkRequest,
        segment::{OuterProtocol, OuterTag, Segment},
        vlan::VlanId,
    };
    use vnet_common::{DirectRow, direct};

    fn vlan(id: u16) -> VlanId {
        VlanId::try_from(id).unwrap()
    }

    fn add_network(state: &mut State, name: &str, segment: Segment, mode: Mode) {
        let network = Network {
            segment,
            mode,
            guard: mode.default_guard(),
            ..Network::on("enp0s8")
        };
        let request = NetworkRequest {
            name: name.into(),
            network,
        };
        let network = request.plan(state, 1500).unwrap();
        state.networks.insert(name.into(), network);
    }

    fn add_endpoint(state: &mut State, network: &str, sources: &[&str]) -> Endpoint {
        let number = state.endpoints.len() as u8;
        let mac = format!("02:00:00:00:00:{number:02x}");
        let request = EndpointRequest {
            mac: Some(mac.parse().unwrap()),
            sources: sources.iter().map(|mac| mac.parse().unwrap()).collect(),
            ..EndpointRequest::in_network(network, "c1")
        };
        let host = HostOnSegment {
            mac: "52:54:00:00:00:01".parse().ok(),
            addresses: BTreeSet::new(),
        };
        let mut endpoint = request.plan(state, &host, [0; 4]).unwrap();
        endpoint.host_ifindex = 10 + u32::from(number);
        let id = EndpointId::from_random([0, 0, 0, 0, 0, number]);
        state.endpoints.insert(id, endpoint.clone());
        endpoint
    }

    #[test]
    fn segments_of_two_tags_have_numbers_of_their_own() {
        let mut state = State::default();
        let one = Segment {
            vlan: Some(vlan(60)),
            outer: None,
        };
        let two = Segment {
            outer: Some(OuterTag {
                vlan: vlan(100),
                protocol: OuterProtocol::Dot1ad,
            }),
            ..one
        };
        add_network(&mut state, "one", one, Mode::Bridge);
        add_network(&mut state, "two", two, Mode::Bridge);
        add_network(&mut state, "beside", two, Mode::Private);
        let endpoint = add_endpoint(&mut state, "two", &[]);
        let rows = Rows::wanted(&state, "enp0s8");
        let segments: Vec<_> = rows.segments.keys().map(|key| key.segment).collect();
        assert_eq!(segments, [60, 4096]);
        let key = QinqKey {
            outer_ethertype: 0x88a8,
            outer_vlan: 100,
            vlan: 60,
        };
        assert_eq!(rows.qinq, [(key, QinqEntry { segment: 4096 })].into());
        let sender = rows.endpoints[&endpoint.host_ifindex];
        assert_eq!((sender.segment, sender.vlan), (4096, 60));
        assert_eq!((sender.outer_vlan, sender.outer_ethertype), (100, 0x88a8));
    }

    #[test]
    fn the_direct_tables_have_those_for_whom_they_say_all() {
        let mut state = State::default();
        let on = |id| Segment {
            vlan: Some(vlan(id)),
            outer: None,
        };
        add_network(&mut state, "bridge", on(1), Mode::Bridge);
        add_network(&mut state, "open", on(2), Mode::Bridge);
        state.networks.get_mut("open").unwrap().guard = Guard::Off;
        add_network(&mut state, "vepa", on(3), Mode::Vepa);
        add_network(&mut state, "source", on(4), Mode::Source);
        add_network(&mut state, "passthru", on(5), Mode::Passthru);
        for network in ["bridge", "open", "vepa", "source", "passthru"] {
            add_endpoint(&mut state, network, &[]);
        }
        let rows = Rows::wanted(&state, "enp0s8");
        let segments = |table: BTreeMap<u32, DirectRow>| {
            let segments = table.values().map(|row| row.segment);
            segments.collect::<BTreeSet<_>>()
        };
        assert_eq!(segments(rows.direct_fdb()), [1, 2, 3, 5].into());
        assert_eq!(segments(rows.direct_senders()), [1].into());
        let kinds = &rows.direct_segments()[..7];
        let (by, ask) = (direct::BY_ADDRESS, direct::ASK);
        assert_eq!(kinds, [direct::UNUSED, by, by, by, by, ask, direct::UNUSED]);
    }

    #[test]
    fn an_endpoint_has_a_row_in_each_map_from_link_to_removal() {
        let mut state = State::default();
        add_network(&mut state, "web", Segment::default(), Mode::Bridge);
        let endpoint = add_endpoint(&mut state, "web", &[]);
        let rows = Rows::wanted(&state, "enp0s8");
        assert_eq!((rows.fdb.len(), rows.flood.len()), (1, 1));
        assert_eq!(rows.segments.values().next().unwrap().flood_slots, 1);
        let sender = rows.endpoints[&endpoint.host_ifindex];
        assert_eq!((sender.mode, sender.flags), (4, flags::GUARD_MAC));
        for (ifindex, phase) in [(0, Phase::Adding), (10, Phase::Removing)] {
            let known = state.endpoints.values_mut().next().unwrap();
            (known.host_ifindex, known.phase) = (ifindex, phase);
            let rows = Rows::wanted(&state, "enp0s8");
            assert!(rows.fdb.is_empty() && rows.endpoints.is_empty());
            assert_eq!(rows.segments.len(), 1);
        }
    }

    #[test]
    fn a_source_address_has_its_listeners_without_holes() {
        let mut state = State::default();
        add_network(&mut state, "s", Segment::default(), Mode::Source);
        let far = "02:00:00:00:00:77";
        for sources in [&[far][..], &[], &[far]] {
            add_endpoint(&mut state, "s", sources);
        }
        let rows = Rows::wanted(&state, "enp0s8");
        let slots: Vec<_> = rows.sources.keys().map(|key| key.slot).collect();
        assert_eq!(slots, [0, 1]);
    }

    #[test]
    fn passthru_has_the_segment() {
        let mut state = State::default();
        add_network(&mut state, "p", Segment::default(), Mode::Passthru);
        let endpoint = add_endpoint(&mut state, "p", &[]);
        let rows = Rows::wanted(&state, "enp0s8");
        let segment = rows.segments.values().next().unwrap();
        assert_eq!(segment.passthru_ifindex, endpoint.host_ifindex);
        assert_eq!(rows.endpoints[&endpoint.host_ifindex].flags, 0);
    }
}
