//! An uplink's name.

use crate::{
    control::{ControlError, Vnet},
    link::Link,
};

impl Vnet {
    /// An uplink that was renamed keeps its datapath; networks, pins and state go by the new name from here on.
    pub(in crate::control) fn follow_names(&mut self, links: &[Link]) {
        let renamed: Vec<_> = self
            .state
            .uplinks
            .iter()
            .filter_map(|(name, uplink)| {
                let link = links.iter().find(|link| link.index == uplink.ifindex)?;
                (link.name != *name).then(|| (name.clone(), link.name.clone()))
            })
            .collect();
        for (old, new) in renamed {
            let done = self.rename_uplink(&old, &new);
            if self.note(done).is_some() {
                self.notices.push(format!("{old}: is called {new} now"));
            }
        }
    }

    /// Pins first: if this process dies in between, the next one finds the state's name wrong again and goes on.
    fn rename_uplink(&mut self, old: &str, new: &str) -> Result<(), ControlError> {
        let taken = self.state.networks_on(new).next().is_some();
        if taken || self.state.uplinks.contains_key(new) {
            return Err(ControlError::Renamed {
                old: old.to_owned(),
                new: new.to_owned(),
            });
        }
        self.pins(old).rename(&self.pins(new))?;
        if let Some(uplink) = self.state.uplinks.remove(old) {
            self.state.uplinks.insert(new.to_owned(), uplink);
        }
        if self.state.unsettled.remove(old) {
            self.state.unsettled.insert(new.to_owned());
        }
        let networks = self.state.networks.values_mut();
        for network in networks.filter(|network| network.uplink == old) {
            new.clone_into(&mut network.uplink);
        }
        self.save()
    }
}
