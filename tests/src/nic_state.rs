//! What vnet may change on a NIC, and must undo.

use serde_json::Value;
use vnet_user::lab::Netns;

use crate::{active_features, link};

/// A NIC's settings, to be compared with those at another time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NicState {
    /// Flags, counts of promiscuous mode and allmulticast, MTU.
    pub flags: Value,
    /// The queueing disciplines, `clsact` among them.
    pub qdiscs: String,
    /// The unicast filter, an entry a line.
    pub unicast: String,
    /// Offload features, as bits.
    pub features: Vec<u32>,
    /// All links beside it.
    pub links: String,
}

impl NicState {
    /// As it is now.
    pub fn of(netns: &Netns, device: &str) -> Self {
        let shown = link(netns, device);
        Self {
            flags: serde_json::json!({
                "flags": shown["flags"],
                "promiscuity": shown["promiscuity"],
                "allmulti": shown["allmulti"],
                "mtu": shown["mtu"],
            }),
            qdiscs: netns.sh(&format!("tc qdisc show dev {device}")).unwrap(),
            unicast: unicast_filter(netns, device),
            features: active_features(netns, device),
            links: links(netns),
        }
    }
}

/// All links, without what each says of its own state, which settles some time after it came up.
fn links(netns: &Netns) -> String {
    let shown = netns.ip("-o link show").unwrap();
    let mut words = shown.split_whitespace();
    let mut kept = Vec::new();
    while let Some(word) = words.next() {
        if word == "state" {
            words.next();
        } else {
            kept.push(word);
        }
    }
    kept.join(" ")
}

/// The filter without its groups, which come and go with the host's own IPv6 addresses.
pub fn unicast_filter(netns: &Netns, device: &str) -> String {
    let entries = netns.sh(&format!("bridge fdb show dev {device}")).unwrap();
    let unicast = entries
        .lines()
        .filter(|entry| !entry.starts_with("33:33:") && !entry.starts_with("01:"));
    unicast.collect::<Vec<_>>().join("\n")
}
