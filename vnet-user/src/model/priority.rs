//! Priority code points and `skb->priority`: how a network maps one to the other, as `ip link … type vlan` has it.

use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;
use vnet_common::note::MAX_PRIORITY;

/// The largest priority code point: it has three bits (IEEE 802.1Q clause 9.6).
const MAX_PCP: u32 = 7;

/// From a tag's priority code point to the `skb->priority` of the frame in the container (`ingress-qos-map`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct IngressMap(BTreeMap<u16, u16>);

/// From the `skb->priority` of a container's frame to the tag's priority code point (`egress-qos-map`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EgressMap(BTreeMap<u16, u16>);

/// Not such a map.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum PriorityMapError {
    #[error("{0:?}: pairs FROM:TO such as 3:5,4:6 were expected, or none")]
    Pair(String),
    #[error("{pair:?}: {what} {value} is not between 0 and {max}")]
    Range {
        pair: String,
        what: &'static str,
        value: u64,
        max: u32,
    },
    #[error("{pair:?}: {from} was given twice")]
    Twice { pair: String, from: u16 },
}

/// One side of a pair.
#[derive(Clone, Copy)]
enum Side {
    CodePoint,
    Priority,
}

impl Side {
    fn parse(self, pair: &str, text: &str) -> Result<u16, PriorityMapError> {
        let (what, max) = match self {
            Self::CodePoint => ("priority code point", MAX_PCP),
            Self::Priority => ("priority", MAX_PRIORITY),
        };
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number {
            return Err(PriorityMapError::Pair(pair.to_owned()));
        }
        let value: u64 = text.parse().unwrap_or(u64::MAX);
        let small = u16::try_from(value).ok();
        small
            .filter(|small| u32::from(*small) <= max)
            .ok_or_else(|| PriorityMapError::Range {
                pair: pair.to_owned(),
                what,
                value,
                max,
            })
    }
}

fn parse(text: &str, from: Side, to: Side) -> Result<BTreeMap<u16, u16>, PriorityMapError> {
    let mut map = BTreeMap::new();
    if text == "none" {
        return Ok(map);
    }
    for pair in text.split([',', ' ']) {
        let Some((left, right)) = pair.split_once(':') else {
            return Err(PriorityMapError::Pair(pair.to_owned()));
        };
        let (key, value) = (from.parse(pair, left)?, to.parse(pair, right)?);
        if map.insert(key, value).is_some() {
            return Err(PriorityMapError::Twice {
                pair: pair.to_owned(),
                from: key,
            });
        }
    }
    Ok(map)
}

fn write(map: &BTreeMap<u16, u16>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if map.is_empty() {
        return f.write_str("none");
    }
    let pairs: Vec<_> = map
        .iter()
        .map(|(from, to)| format!("{from}:{to}"))
        .collect();
    f.write_str(&pairs.join(","))
}

impl IngressMap {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Pairs of a code point and a priority.
    pub fn iter(&self) -> impl Iterator<Item = (u16, u16)> {
        self.0.iter().map(|(pcp, priority)| (*pcp, *priority))
    }
}

impl EgressMap {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Pairs of a priority and a code point.
    pub fn iter(&self) -> impl Iterator<Item = (u16, u16)> {
        self.0.iter().map(|(priority, pcp)| (*priority, *pcp))
    }
}

impl FromStr for IngressMap {
    type Err = PriorityMapError;

    fn from_str(text: &str) -> Result<Self, PriorityMapError> {
        parse(text, Side::CodePoint, Side::Priority).map(Self)
    }
}

impl FromStr for EgressMap {
    type Err = PriorityMapError;

    fn from_str(text: &str) -> Result<Self, PriorityMapError> {
        parse(text, Side::Priority, Side::CodePoint).map(Self)
    }
}

/// As it is parsed.
impl fmt::Display for IngressMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write(&self.0, f)
    }
}

/// As it is parsed.
impl fmt::Display for EgressMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_are_written_as_they_are_read() {
        for text in ["none", "0:1", "3:5,7:0"] {
            assert_eq!(text.parse::<IngressMap>().unwrap().to_string(), text);
            assert_eq!(text.parse::<EgressMap>().unwrap().to_string(), text);
        }
        let map: EgressMap = "16:7 2:1".parse().unwrap();
        assert_eq!(map.to_string(), "2:1,16:7");
    }

    #[test]
    fn what_is_no_map_is_refused_with_what_was_expected() {
        let ingress = |text: &str| text.parse::<IngressMap>().unwrap_err().to_string();
        assert!(ingress("8:1").contains("code point 8 is not between 0 and 7"));
        assert!(ingress("1:99999").contains("priority 99999 is not between 0 and 32766"));
        assert!(ingress("1:2,1:3").contains("1 was given twice"));
        for bad in ["", "1", "1:", ":1", "a:1", "1:2,", "-1:2", "1:2:3"] {
            assert!(ingress(bad).contains("3:5,4:6"), "{bad}");
        }
        let egress = "1:8".parse::<EgressMap>().unwrap_err().to_string();
        assert!(
            egress.contains("code point 8 is not between 0 and 7"),
            "{egress}"
        );
    }
}
