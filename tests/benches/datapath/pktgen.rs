//! The kernel's packet generator (Documentation/networking/pktgen.rst).

use std::fs;
use std::net::Ipv4Addr;

use tests::Fixture;
use vnet_user::lab::{LabError, Mac, Result};

use crate::bed::{UPLINK, WIRE_ADDRESS};

/// Not of the process, whose main thread is in another namespace.
const DIRECTORY: &str = "/proc/thread-self/net/pktgen";

/// Where frames come from.
#[derive(Clone, Copy, Debug)]
pub enum Entrance {
    /// The NIC, as its driver hands frames over: behind native XDP.
    BehindDriver,
    /// The far end of the NIC's cable.
    Wire,
}

/// To whom a frame is addressed.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    pub mac: Mac,
    pub address: Ipv4Addr,
    /// Its tag.
    pub vlan: Option<u16>,
}

/// Lets so many frames come in, and returns how long that took, in nanoseconds.
pub fn generate(fixture: &Fixture, entrance: Entrance, frame: &Frame, packets: u64) -> u64 {
    let source = tests::mac_of(&fixture.wire(), UPLINK);
    let (netns, mode) = match entrance {
        Entrance::BehindDriver => (fixture.host(), "netif_receive"),
        Entrance::Wire => (fixture.wire(), "start_xmit"),
    };
    let mut settings = vec![
        format!("count {packets}"),
        format!("xmit_mode {mode}"),
        "pkt_size 64".to_owned(),
        "clone_skb 0".to_owned(),
        "burst 1".to_owned(),
        "delay 0".to_owned(),
        format!("src_mac {source}"),
        format!("dst_mac {}", frame.mac),
        format!("src_min {WIRE_ADDRESS}"),
        format!("src_max {WIRE_ADDRESS}"),
        format!("dst_min {}", frame.address),
        format!("dst_max {}", frame.address),
    ];
    settings.extend(frame.vlan.map(|vlan| format!("vlan_id {vlan}")));
    let run = || {
        write("kpktgend_0", "rem_device_all")?;
        write("kpktgend_0", &format!("add_device {UPLINK}"))?;
        for setting in &settings {
            write(UPLINK, setting)?;
        }
        write("pgctrl", "start")?;
        let path = format!("{DIRECTORY}/{UPLINK}");
        fs::read_to_string(path).map_err(LabError::io("read pktgen's result"))
    };
    let result = netns.run(run).unwrap();
    let busy = busy_microseconds(&result);
    1000 * busy.unwrap_or_else(|| panic!("pktgen did not end well: {result}"))
}

fn write(file: &str, line: &str) -> Result<()> {
    let path = format!("{DIRECTORY}/{file}");
    fs::write(path, format!("{line}\n"))
        .map_err(LabError::io(format!("tell pktgen's {file} {line:?}")))
}

/// Of `Result: OK: 40123(c39999+d124) usec, 10000 (64byte,0frags)` the time without pauses.
fn busy_microseconds(result: &str) -> Option<u64> {
    let (_, result) = result.split_once("Result: OK: ")?;
    let (_, result) = result.split_once("(c")?;
    let (busy, _) = result.split_once('+')?;
    busy.parse().ok()
}
