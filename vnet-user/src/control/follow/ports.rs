//! A bond's ports, which come and go.

use crate::{control::Vnet, link::Link, model::state::Phase};

impl Vnet {
    /// Each port filters VLANs by itself, whatever its bond says: one that is new may need the bond to be promiscuous.
    pub(in crate::control) async fn follow_ports(&mut self, links: &[Link]) {
        for (name, link) in self.present(links) {
            let ready = self.uplink(&name).is_ok_and(|it| it.phase == Phase::Ready);
            if ready && link.has_ports() {
                let done = self.apply_nic(&name).await;
                self.note(done);
            }
        }
    }
}
