//! What went through an endpoint or a segment.

use std::ops::AddAssign;

use serde::{Deserialize, Serialize};
use vnet_common::Counters;

/// Frames and bytes. `rx` is towards the container, as its own interface counts; bytes are without the segment's tags.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    pub rx_packets: u64,
    pub rx_bytes: u64,
    pub tx_packets: u64,
    pub tx_bytes: u64,
}

impl From<Counters> for Traffic {
    fn from(counters: Counters) -> Self {
        let Counters {
            rx_packets,
            rx_bytes,
            tx_packets,
            tx_bytes,
        } = counters;
        Self {
            rx_packets,
            rx_bytes,
            tx_packets,
            tx_bytes,
        }
    }
}

impl AddAssign for Traffic {
    fn add_assign(&mut self, other: Self) {
        let Self {
            rx_packets,
            rx_bytes,
            tx_packets,
            tx_bytes,
        } = other;
        self.rx_packets += rx_packets;
        self.rx_bytes += rx_bytes;
        self.tx_packets += tx_packets;
        self.tx_bytes += tx_bytes;
    }
}

impl Traffic {
    /// What came since an earlier look. A counter that began anew counts from there.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        let since = |now: u64, then: u64| now.checked_sub(then).unwrap_or(now);
        Self {
            rx_packets: since(self.rx_packets, earlier.rx_packets),
            rx_bytes: since(self.rx_bytes, earlier.rx_bytes),
            tx_packets: since(self.tx_packets, earlier.tx_packets),
            tx_bytes: since(self.tx_bytes, earlier.tx_bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_since() {
        let at = |rx_packets| Traffic {
            rx_packets,
            ..Traffic::default()
        };
        assert_eq!(at(5).since(at(3)), at(2));
        assert_eq!(at(1).since(at(3)), at(1));
        let mut sum = at(5);
        sum += at(3);
        assert_eq!(sum, at(8));
    }
}
