//! Values that the verifier does not know.
//!
//! It follows a loop once for each combination of the constants that are known before it, and gives up after a million
//! instructions. What is read from writable memory is known to nobody.

use vnet_common::{Endpoint, Frame, Tag, crowd::Round, rules::Place};

#[unsafe(no_mangle)]
static mut ZERO: u32 = 0;

/// The same, without what is known of it.
pub trait Opaque {
    fn opaque(self) -> Self;
}

impl Opaque for u8 {
    #[inline(always)]
    fn opaque(self) -> Self {
        self ^ zero() as Self
    }
}

impl Opaque for u16 {
    #[inline(always)]
    fn opaque(self) -> Self {
        self ^ zero() as Self
    }
}

impl Opaque for Tag {
    #[inline(always)]
    fn opaque(self) -> Self {
        Self {
            ethertype: self.ethertype.opaque(),
            tci: self.tci.opaque(),
        }
    }
}

impl Opaque for Endpoint {
    #[inline(always)]
    fn opaque(self) -> Self {
        Self {
            segment: self.segment.opaque(),
            mode: self.mode.opaque(),
            flags: self.flags.opaque(),
            vlan: self.vlan.opaque(),
            outer_vlan: self.outer_vlan.opaque(),
            outer_ethertype: self.outer_ethertype.opaque(),
            ..self
        }
    }
}

impl Opaque for Round {
    #[inline(always)]
    fn opaque(self) -> Self {
        Self {
            modes: self.modes.opaque(),
            except: self.except.opaque(),
            pcp: self.pcp.opaque(),
            ..self
        }
    }
}

impl Opaque for Place {
    #[inline(always)]
    fn opaque(self) -> Self {
        Self {
            tags: self.tags.opaque(),
            ..self
        }
    }
}

impl Opaque for Frame {
    #[inline(always)]
    fn opaque(self) -> Self {
        Self {
            tag: self.tag.opaque(),
            inner: self.inner.opaque(),
            ..self
        }
    }
}

/// Nothing, but the verifier does not know that.
#[inline(always)]
fn zero() -> u32 {
    // SAFETY: valid for reading, and nobody writes it.
    unsafe { (&raw const ZERO).read_volatile() }
}
