//! What a person would type to see whether a network works, as functions: ping, one hop of a traceroute, a UDP question,
//! a TCP stream. They need no program that a small machine may lack.

mod echo;
mod stream;
mod whoami;

pub use echo::{Echo, hop, ping};
pub use stream::{Transfer, stream};
pub use whoami::{WhoAmI, who_am_i};
