//! Settings of one interface below `/proc/sys/net`, in the calling thread's namespace.

use std::{fs, io, path::Path};

use super::error::LinkError;

/// `Documentation/networking/ip-sysctl.rst`: a source that is not reached by this interface is not believed.
const STRICT: &str = "1";

/// Lets nothing of what an interface receives into the host's own IPv4 and IPv6, even if no program takes it: no
/// route leads back by it, so strict reverse path filtering believes no source, and IPv6 is off.
///
/// # Errors
///
/// What the kernel says. A kernel without one of the protocols has nothing to close.
pub fn close_to_host(ifname: &str) -> Result<(), LinkError> {
    set("ipv4", ifname, "rp_filter", STRICT)?;
    set("ipv4", ifname, "forwarding", "0")?;
    set("ipv6", ifname, "disable_ipv6", "1")
}

/// Lets an interface have IPv6 addresses, which container engines switch off for containers without a network.
///
/// # Errors
///
/// What the kernel says.
pub fn enable_ipv6(ifname: &str) -> Result<(), LinkError> {
    set("ipv6", ifname, "disable_ipv6", "0")
}

/// Lets an interface announce its addresses when it comes up, by gratuitous ARP and unsolicited neighbour advertisement:
/// neighbours and switches learn at once where a moved address is now.
///
/// # Errors
///
/// What the kernel says.
pub fn announce(ifname: &str) -> Result<(), LinkError> {
    set("ipv4", ifname, "arp_notify", "1")?;
    set("ipv6", ifname, "ndisc_notify", "1")
}

/// Whether an interface forwards IPv6, and so is a router's.
pub fn forwards_ipv6(ifname: &str) -> bool {
    let path = format!("/proc/sys/net/ipv6/conf/{ifname}/forwarding");
    fs::read_to_string(path).is_ok_and(|value| value.trim() != "0")
}

fn set(family: &str, ifname: &str, name: &str, value: &'static str) -> Result<(), LinkError> {
    let key = format!("net/{family}/conf/{ifname}/{name}");
    match fs::write(Path::new("/proc/sys").join(&key), value) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result.map_err(|source| LinkError::Sysctl { key, value, source }),
    }
}
