//! Bits of `flags` in the maps' values.

/// The endpoint may only send from its own address, or from one in `allowed_macs` where [`EXTRA_MACS`] says so.
pub const GUARD_MAC: u8 = 1;
/// The endpoint has rows in `allowed_macs`.
pub const EXTRA_MACS: u8 = 2;
/// In source mode: the segment's other endpoints and the host do not get what this one hears
/// (`MACVLAN_FLAG_NODST`).
pub const NODST: u8 = 4;
/// The endpoint has rows in `ingress_priorities`.
pub const INGRESS_PRIORITY: u8 = 8;
/// The endpoint has rows in `egress_priorities`.
pub const EGRESS_PRIORITY: u8 = 16;
/// The endpoint gets all multicast of its segment, whatever it asked for.
pub const ALL_MULTICAST: u8 = 32;
