//! Follows what was changed on an uplink from outside, as `macvlan_device_event` (`drivers/net/macvlan.c`) and the VLAN
//! device below it do.

mod announce;
mod carrier;
mod dormancy;
mod mac;
mod names;
mod sizes;
