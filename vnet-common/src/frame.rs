//! What the rules look at in a frame.

/// A MAC address as it stands on the wire.
pub type Mac = [u8; 6];

/// IEEE 802.1Q clause 9.6: the tag protocol identifier of a customer VLAN tag.
pub const ETHER_TYPE_8021Q: u16 = 0x8100;
/// IEEE 802.1Q clause 9.6: the tag protocol identifier of a service VLAN tag (802.1ad).
pub const ETHER_TYPE_8021AD: u16 = 0x88A8;
/// The VLAN id's bits in a tag's control information, below PCP and DEI (IEEE 802.1Q clause 9.6).
pub const VLAN_ID_MASK: u16 = 0x0FFF;

/// A frame's outermost VLAN tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tag {
    /// No tag.
    None,
    /// An 802.1Q tag with this control information: PCP, DEI and VLAN id.
    Dot1q(u16),
    /// A tag of another protocol, such as 802.1ad.
    Other,
}

/// The part of a frame that decides its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    pub dst: Mac,
    pub src: Mac,
    /// The outermost tag, wherever the kernel keeps it.
    pub tag: Tag,
}

/// True for broadcast and multicast: the group bit of IEEE 802 clause 8.2.2.
#[inline(always)]
pub const fn is_group(mac: &Mac) -> bool {
    mac[0] & 1 == 1
}
