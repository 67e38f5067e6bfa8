//! What the NIC must let through for the endpoints behind it, and what to change for that.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{mac::MacAddr, state::State};

/// What the NIC does now, as the user and its driver left it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NicStatus {
    /// The user's own `promisc` flag.
    pub promiscuous: bool,
    /// The user's own `allmulticast` flag.
    pub allmulticast: bool,
    pub vlan_filter: VlanFilter,
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

/// What vnet changed on the NIC. Only what was not so before stands here, so undoing it never
/// clears what the user had set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NicChanges {
    #[serde(default)]
    pub promiscuous: bool,
    #[serde(default)]
    pub allmulticast: bool,
    #[serde(default)]
    pub vlan_filter_off: bool,
    /// Addresses added to the NIC's unicast filter.
    #[serde(default)]
    pub unicast: BTreeSet<MacAddr>,
}

/// What must be changed for the state's endpoints on `uplink`; `now` is the NIC without our changes.
pub fn wanted(state: &State, uplink: &str, now: NicStatus) -> NicChanges {
    let tagged = state
        .networks_on(uplink)
        .any(|(_, network)| network.vlan.is_some());
    let macs: BTreeSet<_> = state.endpoints_on(uplink).map(|(_, e)| e.mac).collect();
    NicChanges {
        promiscuous: tagged && now.vlan_filter == VlanFilter::Fixed && !now.promiscuous,
        allmulticast: !macs.is_empty() && !now.allmulticast,
        vlan_filter_off: tagged && now.vlan_filter == VlanFilter::On,
        unicast: macs,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{network::Network, vlan::VlanId};

    const PLAIN: NicStatus = NicStatus {
        promiscuous: false,
        allmulticast: false,
        vlan_filter: VlanFilter::Off,
    };

    fn state(vlan: Option<u16>) -> State {
        let mut state = State::default();
        state.networks.insert(
            "web".into(),
            Network {
                uplink: "enp0s8".into(),
                vlan: vlan.map(|id| VlanId::try_from(id).unwrap()),
                subnets: vec![],
                gateways: vec![],
                mtu: None,
            },
        );
        state
    }

    #[test]
    fn a_vlan_filter_goes_off_or_promiscuous_mode_on() {
        let with = |vlan, vlan_filter, promiscuous| {
            let now = NicStatus {
                vlan_filter,
                promiscuous,
                ..PLAIN
            };
            let NicChanges {
                promiscuous,
                vlan_filter_off,
                ..
            } = wanted(&state(vlan), "enp0s8", now);
            (promiscuous, vlan_filter_off)
        };
        assert_eq!(with(Some(200), VlanFilter::Off, false), (false, false));
        assert_eq!(with(Some(200), VlanFilter::On, false), (false, true));
        assert_eq!(with(Some(200), VlanFilter::Fixed, false), (true, false));
        // The user's own flag is not ours to undo, so it is no change of ours.
        assert_eq!(with(Some(200), VlanFilter::Fixed, true), (false, false));
        assert_eq!(with(None, VlanFilter::Fixed, false), (false, false));
    }

    #[test]
    fn an_idle_uplink_is_left_alone() {
        assert_eq!(
            wanted(&State::default(), "enp0s8", PLAIN),
            NicChanges::default()
        );
    }
}
