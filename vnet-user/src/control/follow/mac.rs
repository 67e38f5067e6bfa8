//! An uplink's MAC address.

use crate::{
    control::{ControlError, Vnet, container_end::at_container_end},
    link::{Link, Netlink},
    model::{EndpointId, MacAddr, Mode, state::Phase},
};

impl Vnet {
    /// A passthru endpoint that has its uplink's address takes the new one, as `macvlan_sync_address` does. Others keep
    /// theirs; where one of them is the uplink's now, that is said.
    pub(in crate::control) async fn follow_macs(&mut self, links: &[Link]) {
        for (name, link) in self.present(links) {
            let Ok(mac) = MacAddr::try_from(link.mac) else {
                continue;
            };
            let endpoints = self.state.endpoints_on(&name);
            let behind = endpoints.filter(|(_, endpoint)| {
                endpoint.mac_of_uplink && endpoint.phase == Phase::Ready && endpoint.mac != mac
            });
            let behind: Vec<_> = behind.map(|(id, _)| id.clone()).collect();
            for id in behind {
                let done = self.change_mac(&name, &id, mac).await;
                if self.note(done).is_some() {
                    self.notices.push(format!(
                        "{name}: its MAC address is {mac}, and passthru endpoint {id} follows"
                    ));
                }
            }
            self.note_conflicts(&name, mac);
        }
    }

    /// The container's end first: if this process dies before the state has it, the next one does all of it again.
    async fn change_mac(
        &mut self,
        uplink: &str,
        id: &EndpointId,
        mac: MacAddr,
    ) -> Result<(), ControlError> {
        let endpoint = self.endpoint_mut(id)?.clone();
        let Some(host) = self.host_side(id, &endpoint).await? else {
            return Ok(());
        };
        let changed = at_container_end(
            &endpoint,
            &host,
            |netlink: Netlink, link: Link| async move { netlink.set_mac(link.index, mac).await },
        );
        if let Err(error) = &changed
            && !error.is_lost_netns()
        {
            return Ok(changed.map(drop)?);
        }
        // A lost namespace is said once, as with sizes.
        self.endpoint_mut(id)?.mac = mac;
        self.state.unsettled.insert(uplink.to_owned());
        self.save()?;
        self.settle(uplink).await?;
        Ok(changed.map(drop)?)
    }

    fn note_conflicts(&mut self, uplink: &str, mac: MacAddr) {
        let endpoints = self.state.endpoints_on(uplink);
        let conflicts = endpoints.filter(|(_, endpoint)| {
            let network = self.state.networks.get(&endpoint.network);
            let takes_by_mac = network.is_some_and(|network| network.mode != Mode::Passthru);
            takes_by_mac && endpoint.mac == mac
        });
        let conflicts = conflicts.map(|(id, endpoint)| {
            format!(
                "{uplink}: has MAC address {mac} now, which is that of endpoint {id}, whose network {:?} takes the uplink's \
                 own frames",
                endpoint.network
            )
        });
        let conflicts: Vec<_> = conflicts.collect();
        self.troubles.extend(conflicts);
    }
}
