//! Direct-mapped tables: where a frame's addresses say in which row to look, and one comparison says whether it is there.
//!
//! An array's lookup is a few instructions in the program itself, where a hash map costs a hash and a call. So these tables
//! stand before `fdb` and `endpoints`, which hold everybody. Of several endpoints whose row would be the same, one has it,
//! and the row says that there are more to ask for.
//!
//! Programs read rows where they are while user space changes them. So a row is changed in steps: first nobody finds himself in
//! it (`taken_out`, `in_change`) while what it led to stays, for programs that have just found it; it leads elsewhere only
//! when none of these runs any more; and last it says who is in it.

use crate::{DirectRow, FIRST_QINQ_SEGMENT, Mac};

/// Rows of `direct_fdb`: of the most endpoints that an uplink may have, two in five share one.
pub const FDB_ROWS: usize = 8192;
/// Rows of `direct_senders`.
pub const SENDER_ROWS: usize = 4096;
/// Rows of `direct_segments`: one for each segment of one tag or none.
pub const SEGMENT_ROWS: usize = FIRST_QINQ_SEGMENT as usize;
/// In `direct_segments`: no network uses the segment.
pub const UNUSED: u32 = 0;
/// In `direct_segments`: the segment's frames are for the addresses that its endpoints have.
pub const BY_ADDRESS: u32 = 1;
/// In `direct_segments`: the map `segments` has to be asked.
pub const ASK: u32 = 2;
/// In place of a segment: a row of nobody.
pub const NOBODY: u16 = u16::MAX;
/// In place of a segment: a row that is being changed, so that `fdb` or `endpoints` have to be asked.
pub const CHANGING: u16 = u16::MAX - 1;

/// Fibonacci hashing (Knuth, The Art of Computer Programming, volume 3, section 6.4): 2^64 divided by the golden ratio.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// A segment and an address as one number, as they stand in a [`DirectRow`]. The address is that of the lowest six bytes.
#[inline(always)]
pub const fn key(segment: u16, mac: u64) -> u64 {
    mac << 16 | segment as u64
}

/// An address as a number, for [`key`].
#[inline(always)]
pub const fn number(mac: &Mac) -> u64 {
    let [a, b, c, d, e, f] = *mac;
    u64::from_le_bytes([a, b, c, d, e, f, 0, 0])
}

/// The row of `direct_fdb` in which a key is, if it is in one.
#[inline(always)]
pub const fn fdb_row(key: u64) -> u32 {
    (key.wrapping_mul(GOLDEN) >> (u64::BITS - FDB_ROWS.trailing_zeros())) as u32
}

/// The row of `direct_senders` in which an endpoint is, by the host side of its link.
#[inline(always)]
pub const fn sender_row(ifindex: u32) -> u32 {
    ifindex % SENDER_ROWS as u32
}

impl DirectRow {
    /// What a program compares with.
    #[inline(always)]
    pub const fn key(&self) -> u64 {
        key(self.segment, number(&self.mac))
    }

    /// The row as nobody's. What it led to stays in it: a program that has just found it may still read that.
    pub const fn taken_out(self) -> Self {
        Self {
            segment: NOBODY,
            mac: [0; 6],
            ask: 0,
            ..self
        }
    }

    /// The row while it is filled or changed, in which nobody finds himself, and that sends all to ask.
    pub const fn in_change(self) -> Self {
        Self {
            segment: CHANGING,
            mac: [0; 6],
            ask: 1,
            ..self
        }
    }

    /// True for a row of nobody.
    pub const fn is_nobodys(&self) -> bool {
        self.segment == NOBODY
    }

    /// True if a program that has just found the row as it was may read the same of it when it is another.
    pub const fn leads_where(&self, other: &Self) -> bool {
        self.ifindex == other.ifindex && self.endpoint == other.endpoint
    }
}

/// What the tables mean beside what their types say, as a number: part of [`crate::LAYOUT`], for a program looks only where
/// it expects a row.
pub const MEANING: u64 = {
    let rows = fdb_row(key(200, 0x0605_0403_0201)) as u64 ^ (sender_row(0x1234_5678) as u64) << 16;
    let segments = (UNUSED | BY_ADDRESS << 2 | ASK << 4) as u64;
    rows ^ segments << 32 ^ (NOBODY as u64) << 40 ^ (CHANGING as u64) << 44
};

#[cfg(test)]
mod tests {
    use super::*;

    const ROW: DirectRow = DirectRow {
        segment: 200,
        mac: [2, 0x42, 0xc0, 0xa8, 0xc8, 2],
        ifindex: 7,
        endpoint: 3,
        mode: 4,
        ask: 0,
    };

    #[test]
    fn a_program_finds_the_key_in_the_first_word_of_a_row() {
        let bytes: [u8; size_of::<DirectRow>()] = bytemuck::cast(ROW);
        let (word, _) = bytes.split_first_chunk::<8>().unwrap();
        assert_eq!(u64::from_le_bytes(*word), ROW.key());
        assert_eq!(ROW.key(), key(200, number(&ROW.mac)));
    }

    #[test]
    fn what_follows_an_address_is_no_part_of_its_key() {
        let frame = [2, 0x42, 0xc0, 0xa8, 0xc8, 2, 0xaa, 0xbb];
        assert_eq!(key(200, u64::from_le_bytes(frame)), ROW.key());
    }

    #[test]
    fn every_key_has_a_row() {
        for shift in 0..64 {
            assert!((fdb_row(u64::MAX << shift) as usize) < FDB_ROWS);
            assert!((fdb_row(1 << shift) as usize) < FDB_ROWS);
        }
        assert_eq!(sender_row(SENDER_ROWS as u32 + 5), 5);
    }

    #[test]
    fn the_endpoints_of_a_subnet_and_of_many_vlans_seldom_share_a_row() {
        let taken = |keys: &dyn Fn(u16) -> u64| {
            let mut rows = [false; FDB_ROWS];
            (0..1000).for_each(|index| rows[fdb_row(keys(index)) as usize] = true);
            rows.iter().filter(|row| **row).count()
        };
        // As Docker makes addresses from IPv4 addresses.
        let docker = |index: u16| {
            let [high, low] = index.to_be_bytes();
            number(&[2, 0x42, 10, 0, high, low])
        };
        assert!(taken(&|index| key(7, docker(index))) > 900);
        assert!(taken(&|index| key(index, docker(1))) > 900);
    }

    #[test]
    fn nobody_is_in_a_row_that_was_taken_out_or_is_in_change() {
        for row in [ROW.taken_out(), ROW.in_change()] {
            assert!(row.segment > 0x0fff && row.segment as usize > crate::MAX_SEGMENTS);
            assert!(row.leads_where(&ROW));
        }
        assert_eq!((ROW.taken_out().ask, ROW.in_change().ask), (0, 1));
    }
}
