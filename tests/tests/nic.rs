//! vnet on real NIC drivers, in a virtual machine: two emulated NICs on one hub are a wire.
//!
//! `VNET_NICS` says which: `virtio-net-pci=MAC,MAC;e1000=MAC,MAC;…`. The first of each pair becomes the uplink, the second
//! the other end.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "in a test, the panic is the report"
)]

mod nic {
    mod beside;
    mod bond;
    mod changes;
    mod failover;
    mod models;
    mod xdp;
}
