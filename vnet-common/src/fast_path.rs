//! Whether programs have a fast path, and how it sees that a frame has no tag: values of the constant `FAST_PATH`.

/// None: a network needs of unicast what the fast path does not do, or the programs log.
pub const NONE: u8 = 0;
/// `skb->vlan_proto` is 0 without a tag, since Linux 6.2 (commit 354259fa73e2, "net: remove skb->vlan_present").
pub const TAG_BY_PROTOCOL: u8 = 1;
/// Before that it is what the last tag had, and `skb->vlan_present` tells.
pub const TAG_BY_FLAG: u8 = 2;
