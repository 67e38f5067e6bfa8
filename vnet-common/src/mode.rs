//! How endpoints of a network see each other: the modes of the kernel's macvlan, one bit each, with its values
//! (`enum macvlan_mode`, `include/uapi/linux/if_link.h`).

/// Endpoints send to the wire only, and their broadcasts do not come to each other even if the switch sends them back.
pub const PRIVATE: u8 = 1;
/// Endpoints reach each other by a switch that sends their frames back (IEEE 802.1Qbg).
pub const VEPA: u8 = 2;
/// Endpoints reach each other directly.
pub const BRIDGE: u8 = 4;
/// One endpoint has the whole segment.
pub const PASSTHRU: u8 = 8;
/// An endpoint gets what comes from the source addresses on its list.
pub const SOURCE: u8 = 16;

/// Every mode that hears broadcasts of its segment.
pub const HEARS_BROADCAST: u8 = PRIVATE | VEPA | BRIDGE | PASSTHRU;
