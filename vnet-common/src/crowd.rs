//! What goes with a broadcast whose copies are made in several rounds, in `skb->mark` and `skb->tc_index`.

use crate::{maps::MAX_FLOOD_SLOTS, rules::NOBODY};

/// Slots of a segment that get their copies in one round. A NIC hands over 64 frames in one poll (`NAPI_POLL_WEIGHT`), and a
/// CPU's backlog takes 1000 (`netdev_max_backlog`): so each may put fifteen there at once, of which one is for the next round.
pub const ROUND_SLOTS: u32 = 8;

/// Of a frame that has come by no tag, from a sibling: no map names it.
pub const NO_PCP: u16 = 8;

/// No frame from a container has a mark, which the kernel clears on its way out of the namespace.
const IS_ROUND: u32 = 1 << 31;
const SEGMENT_BITS: u32 = 13;
const ROUND_BITS: u32 = 6;
const MODES_BITS: u32 = 5;
const PCP_BITS: u32 = 4;
const MODES_SHIFT: u32 = SEGMENT_BITS + ROUND_BITS;
const PCP_SHIFT: u32 = MODES_SHIFT + MODES_BITS;
const EXCEPT_BITS: u32 = 13;
const EXCEPT_NOBODY: u32 = mask(EXCEPT_BITS);

const _: () = assert!(MAX_FLOOD_SLOTS as u32 / ROUND_SLOTS <= 1 << ROUND_BITS);

const fn mask(bits: u32) -> u32 {
    (1 << bits) - 1
}

/// A round of copies to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Round {
    /// The segment's number.
    pub segment: u16,
    /// The first slot that has not got its copy.
    pub slot: u32,
    /// Of endpoints in these modes.
    pub modes: u8,
    /// The endpoint that gets none.
    pub except: u16,
    /// The frame's priority code point, or [`NO_PCP`].
    pub pcp: u16,
}

impl Round {
    /// To stand in `skb->mark`.
    #[inline(always)]
    pub const fn mark(&self) -> u32 {
        IS_ROUND
            | self.segment as u32
            | (self.slot / ROUND_SLOTS) << SEGMENT_BITS
            | (self.modes as u32) << MODES_SHIFT
            | (self.pcp as u32) << PCP_SHIFT
    }

    /// To stand in `skb->tc_index`.
    #[inline(always)]
    pub const fn tc_index(&self) -> u32 {
        self.except as u32 & EXCEPT_NOBODY
    }

    /// True for the mark of a round.
    #[inline(always)]
    pub const fn is_round(mark: u32) -> bool {
        mark & IS_ROUND != 0
    }

    /// What [`Round::mark`] and [`Round::tc_index`] made.
    #[inline(always)]
    pub const fn read(mark: u32, tc_index: u32) -> Self {
        let except = tc_index & EXCEPT_NOBODY;
        Self {
            segment: (mark & mask(SEGMENT_BITS)) as u16,
            slot: (mark >> SEGMENT_BITS & mask(ROUND_BITS)) * ROUND_SLOTS,
            modes: (mark >> MODES_SHIFT & mask(MODES_BITS)) as u8,
            except: if except == EXCEPT_NOBODY {
                NOBODY
            } else {
                except as u16
            },
            pcp: (mark >> PCP_SHIFT & mask(PCP_BITS)) as u16,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MAX_ENDPOINTS, MAX_QINQ_SEGMENTS, mode};

    #[test]
    fn a_round_is_read_as_it_was_written() {
        let last_segment = (4095 + MAX_QINQ_SEGMENTS) as u16;
        for (segment, slot, modes, except, pcp) in [
            (0, 8, mode::BRIDGE, NOBODY, 0),
            (
                last_segment,
                504,
                mode::HEARS_BROADCAST,
                MAX_ENDPOINTS as u16 - 1,
                7,
            ),
            (200, 64, mode::VEPA | mode::BRIDGE, 0, NO_PCP),
        ] {
            let round = Round {
                segment,
                slot,
                modes,
                except,
                pcp,
            };
            assert!(Round::is_round(round.mark()));
            assert!(round.tc_index() <= u32::from(u16::MAX));
            assert_eq!(Round::read(round.mark(), round.tc_index()), round);
        }
        assert!(!Round::is_round(0));
    }
}
