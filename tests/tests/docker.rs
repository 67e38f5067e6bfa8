//! Real Docker engines in a lab's host, an old one and a new one.
//!
//! Run by `cargo xtask test` on this machine only: an emulated one would take minutes to start one of them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "in a test, the panic is the report"
)]

mod docker {
    mod ground;
    mod options;
    mod restarts;
    mod scenarios;
}
