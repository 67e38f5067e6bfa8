//! What a packet costs on its way through a host: through vnet, and through what else does its job.
//!
//! `instructions ROW…` and `grow PART…` are for a machine whose clock counts instructions, `wall` for one with a clock on the
//! wall; `cargo xtask bench` starts them. Each figure is a line of JSON on standard output.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a panic is the report"
)]

mod bed;
mod floor;
mod grow;
mod instructions;
mod kernel;
mod openvswitch;
mod path;
mod pktgen;
mod sink;
mod traffic;
mod udp;
mod vnet;
mod wall;

fn main() {
    // `cargo bench` says what it is; this is no bench for it to choose from.
    let mut arguments = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench");
    match arguments.next().as_deref() {
        Some("instructions") => arguments.for_each(|name| instructions::measure(&name)),
        Some("grow") => arguments.for_each(|name| grow::measure(&name)),
        Some("wall") => wall::measure(),
        other => panic!("{other:?}: expected `instructions`, `grow` or `wall`"),
    }
}
