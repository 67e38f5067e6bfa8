//! Where frames end: before anything of the receiver's own network stack, so that a figure is the datapath's.

use serde_json::Value;
use vnet_user::lab::Netns;

/// Devices whose frames all end at their ingress, until this is dropped.
pub struct Sink {
    netns: Netns,
    chains: usize,
}

/// How many devices share a chain: fewer than it takes (`NFT_NETDEVICE_MAX` in net/netfilter/nf_tables_api.c).
const DEVICES: usize = 128;

impl Sink {
    /// Makes a device one.
    pub fn open(netns: &Netns, device: &str) -> Self {
        Self::open_many(netns, &[device.to_owned()])
    }

    /// Makes all of these devices one.
    pub fn open_many(netns: &Netns, devices: &[String]) -> Self {
        let chains = devices.chunks(DEVICES);
        let chains: Vec<String> = chains
            .zip(0..)
            .map(|(devices, at)| chain(at, devices))
            .collect();
        let table = format!("table netdev sink {{\n{}}}\n", chains.concat());
        netns.nft(&table).unwrap();
        Self {
            netns: netns.clone(),
            chains: chains.len(),
        }
    }

    /// How many frames come while something is done. Else nothing counts, since counting costs.
    pub fn counted(&self, work: impl FnOnce()) -> u64 {
        let each = |command: &str, rule: &str| {
            let lines =
                (0..self.chains).map(|at| format!("{command} netdev sink ingress{at}{rule}\n"));
            self.netns.nft(&lines.collect::<String>()).unwrap();
        };
        each("add rule", " counter");
        work();
        let listed = self.netns.sh("nft --json list table netdev sink").unwrap();
        each("flush chain", "");
        packets(&listed).unwrap_or_else(|| panic!("nft lists no counter: {listed}"))
    }
}

/// The chain of this number, for some devices.
fn chain(number: usize, devices: &[String]) -> String {
    let devices: Vec<String> = devices
        .iter()
        .map(|device| format!("\"{device}\""))
        .collect();
    let devices = devices.join(", ");
    format!(
        "chain ingress{number} {{\n type filter hook ingress devices = {{ {devices} }} priority 0; policy drop;\n }}\n"
    )
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
    let counts = objects
        .iter()
        .filter_map(|object| object["rule"]["expr"][0]["counter"]["packets"].as_u64());
    counts.reduce(|sum, count| sum + count)
}
