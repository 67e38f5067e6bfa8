//! What the NIC must let through for the endpoints behind it, and what to change for that.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{mac::MacAddr, mode::Mode, state::State};

/// What the NIC does now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NicStatus {
    pub promiscuous: bool,
    pub allmulticast: bool,
    pub vlan_filter: VlanFilter,
    /// Whether it merges frames (`rx-lro`), and the driver lets that be switched off.
    pub lro: bool,
    /// The addresses in its unicast filter beside its own.
    pub unicast: BTreeSet<MacAddr>,
}

/// The NIC's `rx-vlan-filter`: it drops VLANs that no VLAN device registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VlanFilter {
    Off,
    /// On, and the driver lets it be switched off.
    On,
    /// On, and the driver does not let it be switched off.
    Fixed,
}

/// What vnet changed on the NIC, or was about to when it was killed. Only what was not so before stands here, so
/// undoing it never clears what the user had set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NicChanges {
    #[serde(default)]
    pub promiscuous: bool,
    #[serde(default)]
    pub allmulticast: bool,
    #[serde(default)]
    pub vlan_filter_off: bool,
    /// XDP and LRO exclude each other, and whoever attaches XDP switches LRO off for good (`dev_disable_lro` in
    /// net/core/dev.c, `vmxnet3_xdp_set` in drivers/net/vmxnet3/vmxnet3_xdp.c).
    #[serde(default)]
    pub lro_off: bool,
    /// Addresses added to the NIC's unicast filter.
    #[serde(default)]
    pub unicast: BTreeSet<MacAddr>,
}

/// One change to make. In this order nothing that gets through now is dropped in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NicStep {
    SetVlanFilter(bool),
    SetLro(bool),
    SetPromiscuous(bool),
    SetAllmulticast(bool),
    AddUnicast(MacAddr),
    RemoveUnicast(MacAddr),
}

/// What the driver turned out to refuse, so that something else must do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Refused {
    /// To switch `rx-vlan-filter` off, whatever it says of it.
    pub vlan_filter: bool,
    /// An address in the unicast filter: it has none, or it is full.
    pub unicast: bool,
}

/// Why the NIC must let all frames through, where it must.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhyPromiscuous {
    VlanFilter,
    UnicastFilter,
    Passthru,
}

impl WhyPromiscuous {
    /// For people.
    pub fn describe(self) -> &'static str {
        match self {
            Self::VlanFilter => {
                "its rx-vlan-filter drops VLANs and the driver does not let it be switched off"
            }
            Self::UnicastFilter => "its unicast filter takes no more addresses",
            Self::Passthru => "a passthru endpoint gets what is for any address",
        }
    }
}

/// What of vnet's must be in effect for the endpoints on `uplink`: what the user has set himself need not be.
pub fn wanted(
    state: &State,
    uplink: &str,
    ours: &NicChanges,
    now: &NicStatus,
    refused: Refused,
) -> (NicChanges, Option<WhyPromiscuous>) {
    let tagged = state
        .networks_on(uplink)
        .any(|(_, network)| network.segment.vlan.is_some());
    let mut macs = BTreeSet::new();
    let mut passthru = false;
    for (_, endpoint) in state.endpoints_on(uplink) {
        match state.networks.get(&endpoint.network) {
            // It has its whole segment, whatever address a frame is for (`macvlan_open`).
            Some(network) if network.mode == Mode::Passthru => passthru = true,
            _ => _ = macs.insert(endpoint.mac),
        }
    }
    let has_xdp = state.uplinks.get(uplink).is_some_and(|it| it.xdp.is_some());
    let filter = tagged && (now.vlan_filter != VlanFilter::Off || ours.vlan_filter_off);
    let filter_stays = now.vlan_filter == VlanFilter::Fixed || refused.vlan_filter;
    let why = if filter && filter_stays {
        Some(WhyPromiscuous::VlanFilter)
    } else if refused.unicast && !macs.is_empty() {
        Some(WhyPromiscuous::UnicastFilter)
    } else {
        passthru.then_some(WhyPromiscuous::Passthru)
    };
    let users_promiscuous = now.promiscuous && !ours.promiscuous;
    let users_allmulticast = now.allmulticast && !ours.allmulticast;
    let hears_groups = passthru || !macs.is_empty();
    let is_ours = |mac: &MacAddr| match now.unicast.contains(mac) {
        true => ours.unicast.contains(mac),
        false => !refused.unicast,
    };
    let changes = NicChanges {
        promiscuous: !users_promiscuous && why.is_some(),
        allmulticast: !users_allmulticast && hears_groups,
        vlan_filter_off: filter && !filter_stays,
        lro_off: has_xdp && (now.lro || ours.lro_off),
        unicast: macs.into_iter().filter(is_ours).collect(),
    };
    (changes, why)
}

/// The way from what is to what is wanted. What is so already, whoever made it, is no step.
pub fn steps(ours: &NicChanges, wanted: &NicChanges, now: &NicStatus) -> Vec<NicStep> {
    let NicChanges {
        promiscuous,
        allmulticast,
        vlan_filter_off,
        lro_off,
        unicast,
    } = wanted;
    let mut steps = Vec::new();
    let filter_off = now.vlan_filter == VlanFilter::Off;
    if (*vlan_filter_off || ours.vlan_filter_off) && *vlan_filter_off != filter_off {
        steps.push(NicStep::SetVlanFilter(!vlan_filter_off));
    }
    if (*lro_off || ours.lro_off) && *lro_off == now.lro {
        steps.push(NicStep::SetLro(!lro_off));
    }
    if (*promiscuous || ours.promiscuous) && *promiscuous != now.promiscuous {
        steps.push(NicStep::SetPromiscuous(*promiscuous));
    }
    if (*allmulticast || ours.allmulticast) && *allmulticast != now.allmulticast {
        steps.push(NicStep::SetAllmulticast(*allmulticast));
    }
    let missing = unicast.difference(&now.unicast);
    steps.extend(missing.map(|mac| NicStep::AddUnicast(*mac)));
    let left = ours
        .unicast
        .difference(unicast)
        .filter(|mac| now.unicast.contains(mac));
    steps.extend(left.map(|mac| NicStep::RemoveUnicast(*mac)));
    steps
}

impl NicChanges {
    /// Both: what is to be written down before a change, since the process may die at any step of it.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        Self {
            promiscuous: self.promiscuous || other.promiscuous,
            allmulticast: self.allmulticast || other.allmulticast,
            vlan_filter_off: self.vlan_filter_off || other.vlan_filter_off,
            lro_off: self.lro_off || other.lro_off,
            unicast: self.unicast.union(&other.unicast).copied().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        endpoint::{EndpointId, EndpointRequest, HostOnSegment},
        network::Network,
        segment::Segment,
        vlan::VlanId,
    };

    const MAC: &str = "02:00:00:00:00:0a";

    fn plain() -> NicStatus {
        NicStatus {
            promiscuous: false,
            allmulticast: false,
            vlan_filter: VlanFilter::Off,
            lro: true,
            unicast: BTreeSet::new(),
        }
    }

    fn mac() -> MacAddr {
        MAC.parse().unwrap()
    }

    fn state(vlan: Option<u16>, with_endpoint: bool) -> State {
        let mut state = State::default();
        let network = Network {
            segment: Segment {
                vlan: vlan.map(|id| VlanId::try_from(id).unwrap()),
                outer: None,
            },
            ..Network::on("enp0s8")
        };
        state.networks.insert("web".into(), network);
        if with_endpoint {
            let request = EndpointRequest {
                mac: Some(mac()),
                ..EndpointRequest::in_network("web", "c1")
            };
            let host = HostOnSegment {
                mac: "52:54:00:00:00:01".parse().ok(),
                addresses: BTreeSet::new(),
            };
            let endpoint = request.plan(&state, &host, [0; 4]).unwrap();
            let id = EndpointId::from_random([0; 6]);
            state.endpoints.insert(id, endpoint);
        }
        state
    }

    fn plan(state: &State, ours: &NicChanges, now: &NicStatus) -> (NicChanges, Vec<NicStep>) {
        let (wanted, _) = wanted(state, "enp0s8", ours, now, Refused::default());
        let steps = steps(ours, &wanted, now);
        (wanted, steps)
    }

    #[test]
    fn a_vlan_filter_goes_off_or_promiscuous_mode_on() {
        let with = |vlan, vlan_filter, promiscuous, refused| {
            let now = NicStatus {
                vlan_filter,
                promiscuous,
                ..plain()
            };
            let refused = Refused {
                vlan_filter: refused,
                unicast: false,
            };
            let ours = NicChanges::default();
            let (wanted, _) = wanted(&state(vlan, false), "enp0s8", &ours, &now, refused);
            (wanted.promiscuous, wanted.vlan_filter_off)
        };
        use VlanFilter::{Fixed, Off, On};
        assert_eq!(with(Some(200), Off, false, false), (false, false));
        assert_eq!(with(Some(200), On, false, false), (false, true));
        assert_eq!(with(Some(200), Fixed, false, false), (true, false));
        // A driver that says it lets it be switched off, and then does not.
        assert_eq!(with(Some(200), On, false, true), (true, false));
        // The user's own flag is not ours to undo, so it is no change of ours.
        assert_eq!(with(Some(200), Fixed, true, false), (false, false));
        assert_eq!(with(None, Fixed, false, false), (false, false));
    }

    #[test]
    fn an_idle_uplink_is_left_alone() {
        let nothing = plan(&State::default(), &NicChanges::default(), &plain());
        assert_eq!(nothing, (NicChanges::default(), vec![]));
    }

    #[test]
    fn an_endpoint_opens_the_nic_and_its_end_closes_it() {
        let now = NicStatus {
            vlan_filter: VlanFilter::On,
            ..plain()
        };
        let (ours, steps) = plan(&state(Some(200), true), &NicChanges::default(), &now);
        let open = [
            NicStep::SetVlanFilter(false),
            NicStep::SetAllmulticast(true),
            NicStep::AddUnicast(mac()),
        ];
        assert_eq!(steps, open);
        let now = NicStatus {
            allmulticast: true,
            unicast: [mac()].into(),
            ..plain()
        };
        let (left, steps) = plan(&State::default(), &ours, &now);
        assert_eq!(left, NicChanges::default());
        let close = [
            NicStep::SetVlanFilter(true),
            NicStep::SetAllmulticast(false),
            NicStep::RemoveUnicast(mac()),
        ];
        assert_eq!(steps, close);
    }

    #[test]
    fn what_was_written_down_and_not_made_is_made_now_or_forgotten() {
        let written = NicChanges {
            vlan_filter_off: true,
            allmulticast: true,
            unicast: [mac()].into(),
            ..NicChanges::default()
        };
        let now = NicStatus {
            vlan_filter: VlanFilter::On,
            ..plain()
        };
        let (wanted, steps) = plan(&state(Some(200), true), &written, &now);
        assert_eq!(wanted, written);
        assert_eq!(steps.len(), 3, "{steps:?}");
        let (wanted, steps) = plan(&State::default(), &written, &now);
        assert_eq!((wanted, steps), (NicChanges::default(), vec![]));
    }

    #[test]
    fn what_the_user_has_set_is_neither_set_nor_cleared() {
        let now = NicStatus {
            promiscuous: true,
            allmulticast: true,
            vlan_filter: VlanFilter::Fixed,
            lro: true,
            unicast: [mac()].into(),
        };
        let (ours, steps) = plan(&state(Some(200), true), &NicChanges::default(), &now);
        assert_eq!((&ours, steps), (&NicChanges::default(), vec![]));
        assert_eq!(plan(&State::default(), &ours, &now).1, vec![]);
    }

    #[test]
    fn lro_is_off_as_long_as_there_is_xdp() {
        let uplink = serde_json::json!({
            "phase": "ready", "ifindex": 2, "hook": "tcx", "endpoint_device": "veth",
            "xdp": {
                "delivery": "filter", "mode": null, "unknown_vlan": "drop", "unknown_unicast": "pass",
                "far_end_checksums": false, "runs": "native",
            },
        });
        let mut state = State::default();
        let uplink = serde_json::from_value(uplink).unwrap();
        state.uplinks.insert("enp0s8".into(), uplink);
        let (ours, steps) = plan(&state, &NicChanges::default(), &plain());
        assert!(ours.lro_off);
        assert_eq!(steps, [NicStep::SetLro(false)]);
        let off = NicStatus {
            lro: false,
            ..plain()
        };
        assert_eq!(plan(&state, &ours, &off), (ours.clone(), vec![]));
        let undone = (NicChanges::default(), vec![NicStep::SetLro(true)]);
        assert_eq!(plan(&State::default(), &ours, &off), undone);
        // What the user has switched off stays off.
        let (none, steps) = plan(&state, &NicChanges::default(), &off);
        assert_eq!((none, steps), (NicChanges::default(), vec![]));
    }

    #[test]
    fn promiscuous_mode_stands_in_for_a_unicast_filter_that_refuses() {
        let refused = Refused {
            unicast: true,
            vlan_filter: false,
        };
        let with = |with_endpoint, ours: &NicChanges| {
            let state = state(None, with_endpoint);
            wanted(&state, "enp0s8", ours, &plain(), refused)
        };
        let ours = NicChanges::default();
        let (changes, why) = with(true, &ours);
        assert_eq!(why, Some(WhyPromiscuous::UnicastFilter));
        assert!(changes.promiscuous);
        // What was written down before it was refused is not tried again and again.
        let written = NicChanges {
            unicast: [mac()].into(),
            ..ours.clone()
        };
        let (changes, _) = with(true, &written);
        let steps = steps(&written, &changes, &plain());
        let open = [
            NicStep::SetPromiscuous(true),
            NicStep::SetAllmulticast(true),
        ];
        assert_eq!(steps, open);
        assert_eq!(with(false, &ours), (NicChanges::default(), None));
    }
}
