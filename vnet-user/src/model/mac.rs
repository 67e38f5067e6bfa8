//! MAC addresses of endpoints.

use std::{fmt, net::Ipv4Addr, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;
use vnet_common::Mac;

/// A MAC address that one station can have: neither group nor zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MacAddr(Mac);

/// Not a station's MAC address.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum MacAddrError {
    #[error("MAC address {0:?} is not six hex bytes such as 02:42:c0:a8:c8:02")]
    Syntax(String),
    #[error("MAC address {0} is a multicast address; a unicast one has an even first byte")]
    Group(String),
    #[error("MAC address {0} is zero; a unicast one such as 02:42:c0:a8:c8:02 was expected")]
    Zero(String),
}

impl MacAddr {
    /// What Docker gives a container that asked for none: `02:42` and the IPv4 address, so that the
    /// same address keeps its MAC.
    pub fn from_ipv4(address: Ipv4Addr) -> Self {
        let [a, b, c, d] = address.octets();
        Self([0x02, 0x42, a, b, c, d])
    }

    /// The bytes as they stand on the wire.
    pub fn octets(self) -> Mac {
        self.0
    }
}

impl TryFrom<Mac> for MacAddr {
    type Error = MacAddrError;

    fn try_from(mac: Mac) -> Result<Self, MacAddrError> {
        let text = || Self(mac).to_string();
        if mac == [0; 6] {
            Err(MacAddrError::Zero(text()))
        } else if vnet_common::is_group(&mac) {
            Err(MacAddrError::Group(text()))
        } else {
            Ok(Self(mac))
        }
    }
}

impl FromStr for MacAddr {
    type Err = MacAddrError;

    fn from_str(text: &str) -> Result<Self, MacAddrError> {
        let syntax = || MacAddrError::Syntax(text.to_owned());
        let mut mac = Mac::default();
        let mut parts = text.split([':', '-']);
        for byte in &mut mac {
            let part = parts.next().ok_or_else(syntax)?;
            if part.len() != 2 || !part.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Err(syntax());
            }
            *byte = u8::from_str_radix(part, 16).map_err(|_| syntax())?;
        }
        if parts.next().is_some() {
            return Err(syntax());
        }
        Self::try_from(mac)
    }
}

impl TryFrom<String> for MacAddr {
    type Error = MacAddrError;

    fn try_from(text: String) -> Result<Self, MacAddrError> {
        text.parse()
    }
}

impl From<MacAddr> for String {
    fn from(mac: MacAddr) -> Self {
        mac.to_string()
    }
}

impl fmt::Display for MacAddr {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, f] = self.0;
        write!(out, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_and_prints() {
        let mac: MacAddr = "02:42:C0:a8:c8:02".parse().unwrap();
        assert_eq!(mac.to_string(), "02:42:c0:a8:c8:02");
        assert_eq!(mac, MacAddr::from_ipv4("192.168.200.2".parse().unwrap()));
    }

    #[test]
    fn refuses_what_is_no_station() {
        let parse = |text: &str| text.parse::<MacAddr>().unwrap_err();
        assert!(matches!(parse("ff:ff:ff:ff:ff:ff"), MacAddrError::Group(_)));
        assert!(matches!(parse("01:00:5e:00:00:01"), MacAddrError::Group(_)));
        assert!(matches!(parse("00:00:00:00:00:00"), MacAddrError::Zero(_)));
        for bad in [
            "",
            "02:42",
            "02:42:c0:a8:c8:02:03",
            "2:42:c0:a8:c8:02",
            "02:42:c0:a8:c8:+2",
            "zz:42:c0:a8:c8:02",
        ] {
            assert!(matches!(parse(bad), MacAddrError::Syntax(_)), "{bad}");
        }
    }
}
