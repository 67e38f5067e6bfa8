//! The rows of the direct-mapped tables, see `vnet_common::direct`: the same as those of `fdb`, `endpoints` and `segments`, for
//! those of whom they say all that the fast path asks.

use std::collections::{BTreeMap, btree_map::Entry};

use vnet_common::{DirectRow, FIRST_QINQ_SEGMENT, SegmentKey, direct, flags, mode};

use super::Rows;

impl Rows {
    /// The rows of `direct_fdb`: of those whom a frame can be given without a further look.
    pub fn direct_fdb(&self) -> BTreeMap<u32, DirectRow> {
        let receivers = self.fdb.iter().filter(|(_, to)| to.mode != mode::SOURCE);
        direct_table(receivers.map(|(key, to)| {
            let row = DirectRow {
                segment: key.segment,
                mac: key.mac,
                ifindex: to.ifindex,
                endpoint: to.endpoint,
                mode: to.mode,
                ask: 0,
            };
            (direct::fdb_row(row.key()), row)
        }))
    }

    /// The rows of `direct_senders`: of those who send from their own address alone, and see their siblings.
    pub fn direct_senders(&self) -> BTreeMap<u32, DirectRow> {
        const GUARD: u8 = flags::GUARD_MAC | flags::EXTRA_MACS;
        let senders = self.endpoints.iter().filter(|(_, sender)| {
            sender.mode == mode::BRIDGE
                && sender.flags & GUARD == flags::GUARD_MAC
                && sender.segment < FIRST_QINQ_SEGMENT
        });
        direct_table(senders.map(|(ifindex, sender)| {
            let row = DirectRow {
                segment: sender.segment,
                mac: sender.mac,
                ifindex: *ifindex,
                endpoint: sender.endpoint,
                mode: sender.mode,
                ask: 0,
            };
            (direct::sender_row(*ifindex), row)
        }))
    }

    /// The rows of `direct_segments`.
    pub fn direct_segments(&self) -> Vec<u32> {
        let kind = |segment| match self.segments.get(&SegmentKey { segment }) {
            None => direct::UNUSED,
            Some(segment) if segment.passthru_ifindex == 0 => direct::BY_ADDRESS,
            Some(_) => direct::ASK,
        };
        (0..FIRST_QINQ_SEGMENT).map(kind).collect()
    }
}

/// Of several that share a row, the first has it.
fn direct_table(rows: impl Iterator<Item = (u32, DirectRow)>) -> BTreeMap<u32, DirectRow> {
    let mut table = BTreeMap::new();
    for (index, row) in rows {
        match table.entry(index) {
            Entry::Vacant(free) => _ = free.insert(row),
            Entry::Occupied(mut taken) => taken.get_mut().ask = 1,
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_those_who_share_a_row_one_has_it() {
        let row = |segment| DirectRow {
            segment,
            ..DirectRow::default()
        };
        let table = direct_table([(5, row(1)), (6, row(2)), (5, row(3))].into_iter());
        let shared = DirectRow { ask: 1, ..row(1) };
        assert_eq!(table, [(5, shared), (6, row(2))].into());
    }
}
