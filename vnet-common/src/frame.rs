//! What the rules look at in a frame.

/// A MAC address as it stands on the wire.
pub type Mac = [u8; 6];

/// IEEE 802.1Q clause 9.6: the tag protocol identifier of a customer VLAN tag.
pub const ETHER_TYPE_8021Q: u16 = 0x8100;
/// IEEE 802.1Q clause 9.6: the tag protocol identifier of a service VLAN tag (802.1ad).
pub const ETHER_TYPE_8021AD: u16 = 0x88A8;
/// How long a tag is: its protocol identifier and its control information (IEEE 802.1Q clause 9.3).
pub const VLAN_TAG_BYTES: usize = 4;
/// The VLAN id's bits in a tag's control information, below PCP and DEI (IEEE 802.1Q clause 9.6).
pub const VLAN_ID_MASK: u16 = 0x0FFF;
/// Where the priority code point begins in a tag's control information.
pub const PCP_SHIFT: u16 = 13;

/// A VLAN tag, or none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tag {
    /// The tag protocol identifier; 0 where there is no tag.
    pub ethertype: u16,
    /// PCP, DEI and VLAN id (IEEE 802.1Q clause 9.6).
    pub tci: u16,
}

impl Tag {
    /// No tag.
    pub const NONE: Self = Self {
        ethertype: 0,
        tci: 0,
    };

    /// A customer tag.
    pub const fn dot1q(tci: u16) -> Self {
        Self {
            ethertype: ETHER_TYPE_8021Q,
            tci,
        }
    }

    /// A service tag.
    pub const fn dot1ad(tci: u16) -> Self {
        Self {
            ethertype: ETHER_TYPE_8021AD,
            tci,
        }
    }

    /// True if there is one.
    #[inline(always)]
    pub const fn is_some(self) -> bool {
        self.ethertype != 0
    }

    /// The VLAN id.
    #[inline(always)]
    pub const fn vlan(self) -> u16 {
        self.tci & VLAN_ID_MASK
    }

    /// The priority code point, 0 to 7.
    #[inline(always)]
    pub const fn pcp(self) -> u16 {
        self.tci >> PCP_SHIFT
    }
}

/// The part of a frame that decides its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    pub dst: Mac,
    pub src: Mac,
    /// The outermost tag, wherever the kernel keeps it.
    pub tag: Tag,
    /// The tag behind the outermost one.
    pub inner: Tag,
}

/// True for broadcast and multicast: the group bit of IEEE 802 clause 8.2.2.
#[inline(always)]
pub const fn is_group(mac: &Mac) -> bool {
    mac[0] & 1 == 1
}
