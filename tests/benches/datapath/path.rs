//! The ways of a frame that are measured.

use crate::{
    bed::{self, Bed, VLAN},
    pktgen::{self, Entrance, Frame},
    udp,
};

/// From where to where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// From behind the NIC's driver into the first container.
    Rx,
    /// From the first container to the wire.
    Tx,
    /// From the second container to the first.
    ContainerToContainer,
    /// From the wire through the NIC's driver, with native XDP where there is some, into the first container.
    FromDriver,
    /// The same way, for a container that is not there.
    Dropped,
    /// From behind the driver to the host itself.
    BesideUntagged,
    /// The same in a VLAN that is not the containers'.
    BesideTagged,
}

impl Path {
    pub fn name(self) -> &'static str {
        match self {
            Self::Rx => "rx",
            Self::Tx => "tx",
            Self::ContainerToContainer => "c2c",
            Self::FromDriver => "from-driver",
            Self::Dropped => "dropped",
            Self::BesideUntagged => "beside-untagged",
            Self::BesideTagged => "beside-tagged",
        }
    }

    /// Where its frames end.
    pub fn end(self) -> bed::End {
        match self {
            Self::Rx | Self::ContainerToContainer | Self::FromDriver => bed::End::Container,
            Self::Tx => bed::End::Wire,
            Self::Dropped => bed::End::Nowhere,
            Self::BesideUntagged | Self::BesideTagged => bed::End::Host,
        }
    }

    /// What so many packets take, with what it takes to begin and to end.
    pub fn nanoseconds(self, bed: &Bed, packets: u64) -> u64 {
        let [first, second] = &bed.containers;
        let to_first = Frame {
            mac: first.mac,
            address: first.address,
            vlan: bed.vlan,
        };
        let to_host = Frame {
            mac: bed.host_mac,
            vlan: None,
            ..to_first
        };
        let generate = |entrance, frame| pktgen::generate(&bed.fixture, entrance, &frame, packets);
        match self {
            Self::Rx => generate(Entrance::BehindDriver, to_first),
            Self::Tx => udp::send(first, bed::WIRE_ADDRESS, packets),
            Self::ContainerToContainer => udp::send(second, first.address, packets),
            Self::FromDriver => generate(Entrance::Wire, to_first),
            Self::Dropped => {
                let mac = bed::NOBODY;
                generate(Entrance::Wire, Frame { mac, ..to_first })
            }
            Self::BesideUntagged => generate(Entrance::BehindDriver, to_host),
            Self::BesideTagged => {
                let vlan = Some(VLAN + 1);
                generate(Entrance::BehindDriver, Frame { vlan, ..to_host })
            }
        }
    }
}
