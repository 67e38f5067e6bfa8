//! Broadcast domains on an uplink: untagged, one VLAN, or a VLAN inside another.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::vlan::VlanId;

/// One broadcast domain on an uplink.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
pub struct Segment {
    /// `None` is the untagged segment.
    pub vlan: Option<VlanId>,
    /// The tag outside of that VLAN's, where there are two (QinQ).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outer: Option<OuterTag>,
}

/// The outer of two tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct OuterTag {
    pub vlan: VlanId,
    pub protocol: OuterProtocol,
}

/// The outer tag's protocol, as `ip link … type vlan protocol` names it.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
pub enum OuterProtocol {
    /// A service tag (IEEE 802.1Q clause 9.6, formerly 802.1ad), which provider bridges expect.
    #[default]
    #[serde(rename = "802.1ad")]
    Dot1ad,
    /// A second customer tag, as many switches and hypervisors stack them.
    #[serde(rename = "802.1q")]
    Dot1q,
}

/// Not an outer tag's protocol.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("outer protocol {0:?} is neither 802.1ad nor 802.1q")]
pub struct OuterProtocolError(String);

impl OuterProtocol {
    /// The tag protocol identifier.
    pub fn ethertype(self) -> u16 {
        match self {
            Self::Dot1ad => vnet_common::ETHER_TYPE_8021AD,
            Self::Dot1q => vnet_common::ETHER_TYPE_8021Q,
        }
    }

    /// The one with a tag protocol identifier.
    pub fn from_ethertype(ethertype: u16) -> Option<Self> {
        [Self::Dot1ad, Self::Dot1q]
            .into_iter()
            .find(|protocol| protocol.ethertype() == ethertype)
    }

    /// As `ip` writes it, in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Dot1ad => "802.1ad",
            Self::Dot1q => "802.1q",
        }
    }
}

impl FromStr for OuterProtocol {
    type Err = OuterProtocolError;

    fn from_str(text: &str) -> Result<Self, OuterProtocolError> {
        [Self::Dot1ad, Self::Dot1q]
            .into_iter()
            .find(|protocol| protocol.name().eq_ignore_ascii_case(text))
            .ok_or_else(|| OuterProtocolError(text.to_owned()))
    }
}

/// In words: `untagged`, `VLAN 200`, `VLAN 60 in 100 (802.1ad)`.
impl fmt::Display for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.vlan, self.outer) {
            (None, _) => f.write_str("untagged"),
            (Some(vlan), None) => write!(f, "VLAN {vlan}"),
            (Some(vlan), Some(outer)) => {
                write!(
                    f,
                    "VLAN {vlan} in {} ({})",
                    outer.vlan,
                    outer.protocol.name()
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_in_words() {
        let vlan = |id| VlanId::try_from(id).ok();
        let outer = vlan(100).map(|vlan| OuterTag {
            vlan,
            protocol: OuterProtocol::Dot1ad,
        });
        let segment = |vlan, outer| Segment { vlan, outer }.to_string();
        assert_eq!(segment(None, None), "untagged");
        assert_eq!(segment(vlan(200), None), "VLAN 200");
        assert_eq!(segment(vlan(60), outer), "VLAN 60 in 100 (802.1ad)");
    }

    #[test]
    fn protocols_by_name() {
        assert_eq!("802.1Q".parse(), Ok(OuterProtocol::Dot1q));
        assert_eq!("802.1ad".parse(), Ok(OuterProtocol::Dot1ad));
        let bad = "802.1x".parse::<OuterProtocol>().unwrap_err().to_string();
        assert!(bad.contains("802.1x") && bad.contains("802.1ad"), "{bad}");
    }
}
