//! Follows what was changed on an uplink from outside, as `macvlan_device_event` (`drivers/net/macvlan.c`) and the VLAN
//! device below it do.

mod announce;
mod carrier;
mod dormancy;
mod joins;
mod mac;
mod names;
mod ports;
mod sizes;

use super::Vnet;
use crate::link::Link;

impl Vnet {
    /// The uplinks whose interfaces are there, by name.
    fn present<'a>(&self, links: &'a [Link]) -> Vec<(String, &'a Link)> {
        let uplinks = self.state.uplinks.iter();
        let present = uplinks.filter_map(|(name, uplink)| {
            let link = links.iter().find(|link| link.index == uplink.ifindex)?;
            Some((name.clone(), link))
        });
        present.collect()
    }
}
