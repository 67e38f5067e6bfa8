//! Why a frame was not delivered by vnet. One list for the programs, `vnet-user show` and the docs.

/// What became of a frame that is counted under a [`Reason`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It went on to the host's own stack, as it came.
    HandedOn,
    /// It ended here.
    Dropped,
}

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $variant:ident = $index:literal, $name:literal, $effect:ident;)+) => {
        /// Why a frame was handed on or dropped: the index into the map `reasons`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u32)]
        pub enum Reason {
            $($(#[doc = $doc])+ $variant = $index,)+
        }

        impl Reason {
            /// All reasons, in the order of their index.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];
            /// How many reasons there are: the size of the map `reasons`.
            pub const COUNT: usize = Self::ALL.len();

            /// The name that commands, JSON and documents use.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// What became of the frame.
            pub const fn effect(self) -> Effect {
                match self { $(Self::$variant => Effect::$effect,)+ }
            }
        }
    };
}

reasons! {
    /// From the wire, on a VLAN (or untagged) that no network uses.
    UnknownVlan = 0, "unknown_vlan", HandedOn;
    /// From the wire, to a MAC that is no endpoint of its segment: the host's own, or anybody's.
    UnknownUnicast = 1, "unknown_unicast", HandedOn;
    /// Broadcast or multicast from the wire: the endpoints got copies, the host got the frame.
    Group = 2, "group", HandedOn;
    /// Broadcast or multicast from the wire whose source is an endpoint in bridge or VEPA mode: the switch
    /// sent its own frame back, so it gets no copy (IPv6 DAD would find itself).
    Reflected = 3, "reflected", HandedOn;
    /// Shorter than an Ethernet header.
    ShortFrame = 4, "short_frame", Dropped;
    /// Came through an interface that is no endpoint.
    NotAnEndpoint = 5, "not_an_endpoint", Dropped;
    /// An endpoint of an untagged segment sent a tagged frame, which would hop into a VLAN.
    VlanNotAllowed = 6, "vlan_not_allowed", Dropped;
    /// The kernel could not push or pop the tag: no memory, or no room in front of the frame.
    TagFailed = 7, "tag_failed", Dropped;
    /// The kernel could not clone a broadcast for one endpoint, or that endpoint's link is down.
    CloneFailed = 8, "clone_failed", Dropped;
    /// The kernel could not make the header readable: no memory.
    PullFailed = 9, "pull_failed", Dropped;
    /// The kernel did not let the frame become one for the container.
    TypeFailed = 10, "type_failed", Dropped;
    /// An endpoint sent from a MAC address that is not its own.
    SourceNotAllowed = 11, "source_not_allowed", Dropped;
    /// From the wire, on a VLAN that neither a network nor a device of the host uses: XDP drops it where that was asked for.
    FilteredVlan = 12, "filtered_vlan", Dropped;
    /// From the wire, to a MAC that is neither an endpoint's nor the host's: XDP drops it where that was asked for.
    FilteredUnicast = 13, "filtered_unicast", Dropped;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indexes_are_dense_and_names_unique() {
        for (index, reason) in Reason::ALL.iter().enumerate() {
            assert_eq!(*reason as usize, index);
            let same = Reason::ALL.iter().filter(|r| r.name() == reason.name());
            assert_eq!(same.count(), 1, "{}", reason.name());
        }
    }
}
