//! The programs and maps: load, attach, pin, read and write. Nobody else touches a map or a pin.

pub mod attach;
mod bpf;
mod direct;
mod error;
pub mod load;
pub mod log;
pub mod maps;
mod netkit;
pub mod pins;
pub mod replace;
mod table;
pub mod xdp;

/// The loaded programs and their maps.
pub use aya::Ebpf as Programs;
pub use error::DatapathError;
pub use maps::Maps;
pub use pins::Pins;
