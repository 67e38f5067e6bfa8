//! Frames as bytes: just enough Ethernet to say what a test sends, and to compare it with what came out.

use std::{fmt, str::FromStr};

use super::LabError;

/// Bytes before the payload of an untagged frame.
pub const ETHERNET_HEADER_BYTES: usize = 14;
/// Bytes of one 802.1Q tag.
const TAG_BYTES: usize = 4;
/// Where the tag goes: behind the two addresses.
const TAG_OFFSET: usize = 12;
/// Tag protocol identifier of 802.1Q (IEEE 802.1Q-2022, 9.6).
const TPID_8021Q: u16 = 0x8100;
/// Local Experimental Ethertype 1 (IEEE 802, 9.2.4): no stack answers it, so a test's frame is nobody else's.
pub const ETH_P_EXPERIMENT: u16 = 0x88b5;

/// An Ethernet address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// All stations.
    pub const BROADCAST: Self = Self([0xff; 6]);
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl FromStr for Mac {
    type Err = LabError;

    fn from_str(text: &str) -> Result<Self, LabError> {
        let bad = || LabError::Unexpected {
            expected: "an Ethernet address like 02:00:00:00:00:01".to_owned(),
            found: text.to_owned(),
        };
        let bytes: Vec<u8> = text
            .trim()
            .split(':')
            .map(|part| u8::from_str_radix(part, 16).map_err(|_| bad()))
            .collect::<Result<_, _>>()?;
        bytes.try_into().map(Self).map_err(|_| bad())
    }
}

/// An Ethernet frame under construction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EthernetFrame {
    bytes: Vec<u8>,
}

impl EthernetFrame {
    /// A frame with this header and payload, padded to the 60 bytes that Ethernet asks for (IEEE 802.3, 3.2.8).
    pub fn new(destination: Mac, source: Mac, ethertype: u16, payload: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(ETHERNET_HEADER_BYTES + payload.len());
        bytes.extend(destination.0);
        bytes.extend(source.0);
        bytes.extend(ethertype.to_be_bytes());
        bytes.extend(payload);
        if bytes.len() < 60 {
            bytes.resize(60, 0);
        }
        Self { bytes }
    }

    /// A frame that no stack answers, with a text to recognise it by.
    pub fn experiment(destination: Mac, source: Mac, text: &str) -> Self {
        Self::new(destination, source, ETH_P_EXPERIMENT, text.as_bytes())
    }

    /// The same frame with one more 802.1Q tag, outside those it has.
    #[must_use]
    pub fn tagged(self, vlan: u16, priority: u8) -> Self {
        self.tagged_as(TPID_8021Q, vlan, priority)
    }

    /// As [`EthernetFrame::tagged`], with a tag of this protocol.
    #[must_use]
    pub fn tagged_as(mut self, tpid: u16, vlan: u16, priority: u8) -> Self {
        let tci = (u16::from(priority) << 13) | vlan;
        let mut tag = [0; TAG_BYTES];
        tag[..2].copy_from_slice(&tpid.to_be_bytes());
        tag[2..].copy_from_slice(&tci.to_be_bytes());
        self.bytes.splice(TAG_OFFSET..TAG_OFFSET, tag);
        self
    }

    /// The bytes as they go on the wire, without the checksum that hardware adds.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_goes_behind_the_addresses_and_the_last_one_is_outermost() {
        let mac: Mac = "02:00:00:00:00:0a".parse().unwrap();
        let frame = EthernetFrame::experiment(Mac::BROADCAST, mac, "x")
            .tagged(5, 0)
            .tagged(200, 3);
        assert_eq!(frame.bytes()[6..12], mac.0);
        assert_eq!(frame.bytes()[12..16], [0x81, 0, 0x60, 200]);
        assert_eq!(frame.bytes()[16..20], [0x81, 0, 0, 5]);
        assert_eq!(frame.bytes()[20..23], [0x88, 0xb5, b'x']);
    }

    #[test]
    fn an_address_reads_as_it_is_written() {
        let mac: Mac = "02:00:5e:10:00:ff".parse().unwrap();
        assert_eq!(mac.to_string(), "02:00:5e:10:00:ff");
        assert!("02:00:5e:10:00".parse::<Mac>().is_err());
        assert!("02:00:5e:10:00:zz".parse::<Mac>().is_err());
    }
}
