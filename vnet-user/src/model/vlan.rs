//! VLAN ids.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A VLAN id that a frame can carry: 1 to 4094 (IEEE 802.1Q table 9-2 reserves 0 and 4095).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct VlanId(u16);

/// Not a VLAN id.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("VLAN id {0:?} is not a number from 1 to 4094")]
pub struct VlanIdError(String);

impl TryFrom<u16> for VlanId {
    type Error = VlanIdError;

    fn try_from(id: u16) -> Result<Self, VlanIdError> {
        match id {
            1..=4094 => Ok(Self(id)),
            _ => Err(VlanIdError(id.to_string())),
        }
    }
}

impl FromStr for VlanId {
    type Err = VlanIdError;

    fn from_str(text: &str) -> Result<Self, VlanIdError> {
        text.parse::<u16>()
            .ok()
            .filter(|_| text.bytes().all(|b| b.is_ascii_digit()))
            .and_then(|id| Self::try_from(id).ok())
            .ok_or_else(|| VlanIdError(text.to_owned()))
    }
}

impl From<VlanId> for u16 {
    fn from(vlan: VlanId) -> Self {
        vlan.0
    }
}

impl fmt::Display for VlanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_1_to_4094() {
        assert_eq!("1".parse(), Ok(VlanId(1)));
        assert_eq!("4094".parse(), Ok(VlanId(4094)));
        for bad in ["0", "4095", "65536", "-1", "+1", "", "web", "1 "] {
            assert_eq!(bad.parse::<VlanId>(), Err(VlanIdError(bad.to_owned())));
        }
    }
}
