//! Where frames end: before anything of the receiver's own network stack, so that a figure is the datapath's.

use serde_json::Value;
use vnet_user::lab::Netns;

/// A device whose frames all end at its ingress, until this is dropped.
pub struct Sink {
    netns: Netns,
}

impl Sink {
    /// Makes a device one.
    pub fn open(netns: &Netns, device: &str) -> Self {
        let hook = format!("type filter hook ingress device \"{device}\" priority 0; policy drop;");
        let table = format!("table netdev sink {{\n chain ingress {{\n {hook}\n }}\n}}\n");
        netns.nft(&table).unwrap();
        Self {
            netns: netns.clone(),
        }
    }

    /// How many frames come while something is done. Else nothing counts, since counting costs.
    pub fn counted(&self, work: impl FnOnce()) -> u64 {
        self.netns
            .nft("add rule netdev sink ingress counter\n")
            .unwrap();
        work();
        let listed = self
            .netns
            .sh("nft --json list chain netdev sink ingress")
            .unwrap();
        self.netns.nft("flush chain netdev sink ingress\n").unwrap();
        packets(&listed).unwrap_or_else(|| panic!("nft lists no counter: {listed}"))
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        // With its namespace it goes anyway.
        let _ = self.netns.nft("delete table netdev sink\n");
    }
}

fn packets(listed: &str) -> Option<u64> {
    let listed: Value = serde_json::from_str(listed).ok()?;
    let objects = listed["nftables"].as_array()?;
    let mut counts = objects
        .iter()
        .filter_map(|object| object["rule"]["expr"][0]["counter"]["packets"].as_u64());
    counts.next()
}
