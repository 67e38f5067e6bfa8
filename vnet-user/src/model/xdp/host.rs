//! What the host beside vnet gets by the uplink, which XDP must not drop.

use std::collections::BTreeSet;

use vnet_common::{EVERY_MAC, KNOWN_VLAN_WORDS, Mac, Tag, known_vlan_bit};

use crate::model::{MacAddr, State};

/// VLANs that devices of the host use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VlanUse {
    /// These tags.
    Some(BTreeSet<(u16, u16)>),
    /// Any, for this reason.
    Every(String),
}

/// What the host has on the uplink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostView {
    pub vlans: VlanUse,
    /// The uplink's own address, and those in its unicast filter.
    pub macs: BTreeSet<MacAddr>,
    /// Frames for any address must get through.
    pub wants_every_mac: bool,
}

/// What the maps `known_vlans` and `host_macs` must say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostRows {
    pub known_vlans: [u64; KNOWN_VLAN_WORDS],
    pub host_macs: BTreeSet<Mac>,
}

impl HostRows {
    /// What the networks on an uplink, and the host, make of them.
    pub fn wanted(state: &State, uplink: &str, host: &HostView) -> Self {
        let HostView {
            vlans,
            macs,
            wants_every_mac,
        } = host;
        let mut rows = Self {
            known_vlans: [0; KNOWN_VLAN_WORDS],
            host_macs: macs.iter().map(|mac| mac.octets()).collect(),
        };
        if *wants_every_mac {
            rows.host_macs.insert(EVERY_MAC);
        }
        match vlans {
            VlanUse::Every(_) => rows.known_vlans = [u64::MAX; KNOWN_VLAN_WORDS],
            VlanUse::Some(tags) => tags
                .iter()
                .for_each(|(ethertype, vlan)| rows.add(*ethertype, *vlan)),
        }
        for (_, network) in state.networks_on(uplink) {
            match (network.segment.outer, network.segment.vlan) {
                (Some(outer), _) => rows.add(outer.protocol.ethertype(), outer.vlan.into()),
                (None, Some(vlan)) => rows.add(vnet_common::ETHER_TYPE_8021Q, vlan.into()),
                (None, None) => {}
            }
        }
        rows
    }

    fn add(&mut self, ethertype: u16, vlan: u16) {
        let (word, bit) = known_vlan_bit(Tag {
            ethertype,
            tci: vlan,
        });
        self.known_vlans[word as usize] |= bit;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        Network,
        segment::{OuterProtocol, OuterTag, Segment},
        vlan::VlanId,
    };

    const MAC: &str = "02:00:00:00:00:0a";

    fn host(vlans: VlanUse) -> HostView {
        HostView {
            vlans,
            macs: [MAC.parse().unwrap()].into(),
            wants_every_mac: false,
        }
    }

    fn has(rows: &HostRows, tag: Tag) -> bool {
        let (word, bit) = known_vlan_bit(tag);
        rows.known_vlans[word as usize] & bit != 0
    }

    #[test]
    fn vlans_of_networks_and_of_the_host_are_known() {
        let vlan = |id| VlanId::try_from(id).unwrap();
        let outer = OuterTag {
            vlan: vlan(100),
            protocol: OuterProtocol::Dot1ad,
        };
        let mut state = State::default();
        for (name, uplink, segment) in [
            (
                "a",
                "enp0s8",
                Segment {
                    vlan: Some(vlan(200)),
                    outer: None,
                },
            ),
            (
                "b",
                "enp0s8",
                Segment {
                    vlan: Some(vlan(60)),
                    outer: Some(outer),
                },
            ),
            ("c", "enp0s8", Segment::default()),
            (
                "d",
                "other",
                Segment {
                    vlan: Some(vlan(9)),
                    outer: None,
                },
            ),
        ] {
            let network = Network {
                segment,
                ..Network::on(uplink)
            };
            state.networks.insert(name.to_owned(), network);
        }
        let rows = HostRows::wanted(&state, "enp0s8", &host(VlanUse::Some([(0x8100, 7)].into())));
        for (tag, known) in [
            (Tag::dot1q(200), true),
            (Tag::dot1q(7), true),
            (Tag::dot1ad(100), true),
            (Tag::dot1q(100), false),
            (Tag::dot1q(60), false),
            (Tag::dot1q(9), false),
            (Tag::dot1ad(200), false),
        ] {
            assert_eq!(has(&rows, tag), known, "{tag:?}");
        }
        assert_eq!(rows.host_macs.len(), 1);
    }

    #[test]
    fn a_host_that_wants_all_gets_all() {
        let mut view = host(VlanUse::Every("a bridge".into()));
        view.wants_every_mac = true;
        let rows = HostRows::wanted(&State::default(), "enp0s8", &view);
        assert!(has(&rows, Tag::dot1q(4094)) && has(&rows, Tag::dot1ad(1)));
        assert!(rows.host_macs.contains(&EVERY_MAC));
    }
}
