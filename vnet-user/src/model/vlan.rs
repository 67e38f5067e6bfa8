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

/// VLAN ids side by side, the first and the last included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VlanRange {
    first: VlanId,
    last: VlanId,
}

/// Not a range of VLAN ids.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("VLAN range {0:?} is not two numbers from 1 to 4094 such as 100-199, the lower one first")]
pub struct VlanRangeError(String);

impl FromStr for VlanRange {
    type Err = VlanRangeError;

    fn from_str(text: &str) -> Result<Self, VlanRangeError> {
        let parse = || {
            let (first, last) = text.split_once('-')?;
            let (first, last): (VlanId, VlanId) = (first.parse().ok()?, last.parse().ok()?);
            (first.0 <= last.0).then_some(Self { first, last })
        };
        parse().ok_or_else(|| VlanRangeError(text.to_owned()))
    }
}

impl VlanRange {
    /// Its ids in order.
    pub fn iter(self) -> impl Iterator<Item = VlanId> {
        (self.first.0..=self.last.0).map(VlanId)
    }
}

impl fmt::Display for VlanRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { first, last } = self;
        write!(f, "{first}-{last}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_has_its_lower_end_first() {
        let ids = |text: &str| text.parse::<VlanRange>().map(|range| range.iter().count());
        assert_eq!(ids("1-4094"), Ok(4094));
        assert_eq!(ids("7-7"), Ok(1));
        for bad in ["", "7", "-7", "7-", "8-7", "0-7", "1-4095", "1-2-3", "a-b"] {
            assert_eq!(ids(bad), Err(VlanRangeError(bad.to_owned())));
        }
    }

    #[test]
    fn only_1_to_4094() {
        assert_eq!("1".parse(), Ok(VlanId(1)));
        assert_eq!("4094".parse(), Ok(VlanId(4094)));
        for bad in ["0", "4095", "65536", "-1", "+1", "", "web", "1 "] {
            assert_eq!(bad.parse::<VlanId>(), Err(VlanIdError(bad.to_owned())));
        }
    }
}
