//! vnet in a lab of namespaces, driven through the real binary; frames are checked byte by byte on the wire.
//!
//! Run by `cargo xtask test` on this machine's kernel and, in QEMU, on others. With one thread: some tests measure silence.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "in a test, the panic is the report"
)]

mod lab {
    mod accounts;
    mod announce;
    mod attach;
    mod batch;
    mod beside;
    mod broadcast;
    mod concurrent;
    mod crash;
    mod crowd;
    mod dhcp;
    mod driver;
    mod fast_path;
    mod follow;
    mod ground;
    mod handed_on;
    mod hostile;
    mod inspect;
    mod install;
    mod ipv6;
    mod large_groups;
    mod log;
    mod many;
    mod mdns;
    mod modes;
    mod multicast;
    mod offload;
    mod oracle;
    mod outside;
    mod priority;
    mod programs;
    mod reattach;
    mod refuse;
    mod replace;
    mod segments;
    mod serve;
    mod untagged;
    mod uplinks;
    mod verifier;
    mod vlan;
    mod xdp_attach;
    mod xdp_filter;
    mod xdp_redirect;
    mod xdp_streams;
}
