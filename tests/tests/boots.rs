//! Hosts that boot with vnet: one test for each boot, in the order of their names, on a disk that stays.
//!
//! Run by `cargo xtask test` in emulated machines, one boot after the other.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "in a test, the panic is the report"
)]

mod boots {
    mod docker;
    mod service;
}
