//! What the two ends of an endpoint's link tell each other of a frame, in `skb->tc_index`: the kernel clears `skb->priority`
//! and `skb->mark` on the way (`____dev_forward_skb`, `include/linux/netdevice.h`), and sets the packet type anew.

/// The largest `skb->priority` that there is room for.
pub const MAX_PRIORITY: u32 = 0x7ffe;
/// Stands for every larger priority, which no map has.
const LARGER: u16 = 0x7fff;
/// The frame is the host's own as well, though not to the container's MAC (`PACKET_HOST`).
const FOR_HOST: u16 = 0x8000;

/// A note about a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Note(u16);

impl Note {
    /// A frame of a priority.
    #[inline(always)]
    pub const fn new(priority: u32, for_host: bool) -> Self {
        let priority = if priority > MAX_PRIORITY {
            LARGER
        } else {
            priority as u16
        };
        Self(priority | if for_host { FOR_HOST } else { 0 })
    }

    /// As it stands in `skb->tc_index`.
    #[inline(always)]
    pub const fn from_tc_index(tc_index: u32) -> Self {
        Self(tc_index as u16)
    }

    /// To stand in `skb->tc_index`.
    #[inline(always)]
    pub const fn tc_index(self) -> u32 {
        self.0 as u32
    }

    /// The priority, 0x7fff for one that there is no room for.
    #[inline(always)]
    pub const fn priority(self) -> u32 {
        (self.0 & LARGER) as u32
    }

    /// True for a frame that is the host's own as well.
    #[inline(always)]
    pub const fn is_for_host(self) -> bool {
        self.0 & FOR_HOST != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_says_what_was_written_on_it() {
        for (priority, read) in [
            (0, 0),
            (7, 7),
            (0x7ffe, 0x7ffe),
            (0x7fff, 0x7fff),
            (u32::MAX, 0x7fff),
        ] {
            for for_host in [false, true] {
                let note = Note::from_tc_index(Note::new(priority, for_host).tc_index());
                assert_eq!((note.priority(), note.is_for_host()), (read, for_host));
            }
        }
    }
}
