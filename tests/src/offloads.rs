//! Offloads of a device, switched as a user would: `ethtool -K`.

use std::fmt;

use vnet_user::lab::Netns;

/// What a device leaves to be done later, and what it does by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offloads {
    /// Frames may leave with an unfinished checksum.
    pub tx: bool,
    /// The device vouches for checksums of what it receives.
    pub rx: bool,
    /// TCP segments may leave uncut. Without `tx` the kernel takes it away (`netdev_fix_features` in net/core/dev.c).
    pub tso: bool,
    /// TCP makes large segments also for a device that cannot take them, and the kernel cuts them on the way to it.
    pub gso: bool,
    /// Segments that come in one after the other are put together.
    pub gro: bool,
}

impl Offloads {
    /// All on.
    pub const ALL: Self = Self {
        tx: true,
        rx: true,
        tso: true,
        gso: true,
        gro: true,
    };
    /// All off.
    pub const NONE: Self = Self {
        tx: false,
        rx: false,
        tso: false,
        gso: false,
        gro: false,
    };

    /// Every combination that a device can have.
    pub fn combinations() -> impl Iterator<Item = Self> {
        (0_u8..32)
            .map(|bits| {
                let on = |bit: u8| bits & 1 << bit != 0;
                Self {
                    tx: on(0),
                    rx: on(1),
                    tso: on(2),
                    gso: on(3),
                    gro: on(4),
                }
            })
            .filter(|offloads| offloads.tx || !offloads.tso)
    }

    /// Switches a device to this.
    ///
    /// # Panics
    ///
    /// When the device refuses: then a test of the combination would tell nothing.
    pub fn set(self, netns: &Netns, device: &str) {
        netns.sh(&format!("ethtool -K {device} {self}")).unwrap();
    }
}

impl fmt::Display for Offloads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            tx,
            rx,
            tso,
            gso,
            gro,
        } = *self;
        let of = |on| if on { "on" } else { "off" };
        write!(
            f,
            "tx {} rx {} tso {} gso {} gro {}",
            of(tx),
            of(rx),
            of(tso),
            of(gso),
            of(gro)
        )
    }
}
