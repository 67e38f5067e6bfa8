//! Which features the programs of an uplink are loaded with. What no network needs, nor the likeliest first one, costs nothing on
//! the packet path.

use serde::{Deserialize, Serialize};

use vnet_common::crowd::ROUND_SLOTS;

use super::{
    mode::Mode,
    network::Network,
    state::State,
    xdp::{Delivery, Unknown},
};

/// The features that programs are specialised for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variant {
    /// A network has two tags.
    #[serde(default)]
    pub qinq: bool,
    /// A network is in source mode.
    #[serde(default)]
    pub source_mode: bool,
    /// A network maps priorities.
    #[serde(default)]
    pub priorities: bool,
    /// A network prunes multicast.
    #[serde(default)]
    pub snooping: bool,
    /// A segment has so many endpoints that copies of a broadcast are made in rounds.
    #[serde(default)]
    pub crowd: bool,
    /// There is an XDP program.
    #[serde(default)]
    pub xdp: bool,
    /// It drops VLANs that nobody uses.
    #[serde(default)]
    pub xdp_drops_unknown_vlan: bool,
    /// It drops unicast that is for nobody here.
    #[serde(default)]
    pub xdp_drops_unknown_unicast: bool,
    /// It gives unicast to endpoints.
    #[serde(default)]
    pub xdp_redirects: bool,
}

impl Variant {
    /// True if no network needs of unicast what the fast path does not do.
    pub fn has_fast_path(self) -> bool {
        let Self {
            qinq,
            source_mode,
            priorities,
            // Of groups alone.
            snooping: _,
            crowd: _,
            // What XDP lets pass.
            xdp: _,
            xdp_drops_unknown_vlan: _,
            xdp_drops_unknown_unicast: _,
            xdp_redirects: _,
        } = self;
        !(qinq || source_mode || priorities)
    }

    /// What an uplink and the networks on it need. Where there is none yet, what the most likely one will need: so that it comes
    /// without a change of programs.
    pub fn wanted(state: &State, uplink: &str) -> Self {
        let mut wanted = Self::default();
        if let Some(xdp) = state.uplinks.get(uplink).and_then(|it| it.xdp.as_ref()) {
            wanted.xdp = true;
            wanted.xdp_drops_unknown_vlan = xdp.request.unknown_vlan == Unknown::Drop;
            wanted.xdp_drops_unknown_unicast = xdp.request.unknown_unicast == Unknown::Drop;
            wanted.xdp_redirects = xdp.request.delivery == Delivery::Redirect;
        }
        let likely = Network::on(uplink);
        let mut networks = state.networks_on(uplink).map(|(_, network)| network);
        let first = networks.next().unwrap_or(&likely);
        for network in [first].into_iter().chain(networks) {
            wanted.qinq |= network.segment.outer.is_some();
            wanted.source_mode |= network.mode == Mode::Source;
            wanted.priorities |= network.maps_priorities();
            wanted.snooping |= network.multicast_snooping;
        }
        for (_, endpoint) in state.endpoints_on(uplink) {
            wanted.crowd |= u32::from(endpoint.flood_slot) >= ROUND_SLOTS;
        }
        wanted
    }
}
