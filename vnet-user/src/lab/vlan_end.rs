//! The other end of a VLAN: what a router's `enp0s8.200` is.
//!
//! Where the kernel has 802.1Q devices, one of those: an end that shares no line with vnet. Where it has not, a TAP, and a
//! thread that pushes and pops the tag by hand between it and a packet socket on the device.

mod pump;
mod tap;

use super::{LabError, Netns, Result};
use pump::Pump;

/// Who handles the tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VlanEndKind {
    /// The kernel's own 802.1Q device.
    Kernel,
    /// A TAP and a pump of ours.
    Tap,
}

/// A VLAN's interface on a device; removed on drop.
#[derive(Debug)]
pub struct VlanEnd {
    netns: Netns,
    name: String,
    /// `None` when the kernel handles the tag.
    pump: Option<Pump>,
}

impl VlanEnd {
    /// Makes `name` the interface of VLAN `vlan` on `device`, with these addresses (each with its prefix length), and up.
    /// By the kernel's own device where it can, else by a TAP; [`VlanEnd::kind`] tells which.
    ///
    /// # Errors
    ///
    /// [`LabError`] when neither can be made.
    pub fn new(
        netns: &Netns,
        device: &str,
        vlan: u16,
        name: &str,
        addresses: &[&str],
    ) -> Result<Self> {
        match Self::kernel(netns, device, vlan, name, addresses) {
            Err(LabError::Command { stderr, .. }) if is_unsupported(&stderr) => {
                Self::tap(netns, device, vlan, name, addresses)
            }
            other => other,
        }
    }

    /// As [`VlanEnd::new`], by the kernel's own device or not at all.
    ///
    /// # Errors
    ///
    /// [`LabError::Command`] when the kernel has no 802.1Q devices.
    pub fn kernel(
        netns: &Netns,
        device: &str,
        vlan: u16,
        name: &str,
        addresses: &[&str],
    ) -> Result<Self> {
        netns.ip(&format!(
            "link add link {device} name {name} type vlan id {vlan}"
        ))?;
        let end = Self {
            netns: netns.clone(),
            name: name.to_owned(),
            pump: None,
        };
        end.set_up(addresses)?;
        Ok(end)
    }

    /// As [`VlanEnd::new`], by a TAP and a pump, also where the kernel could do it: for a machine that must have no VLAN
    /// device at all.
    ///
    /// # Errors
    ///
    /// [`LabError`] when the TAP or the packet socket cannot be made.
    pub fn tap(
        netns: &Netns,
        device: &str,
        vlan: u16,
        name: &str,
        addresses: &[&str],
    ) -> Result<Self> {
        let pump = Pump::start(netns, device, vlan, name)?;
        let end = Self {
            netns: netns.clone(),
            name: name.to_owned(),
            pump: Some(pump),
        };
        // As the kernel's VLAN device has it: the address and the MTU of the device below.
        let mac = netns.mac_of(device)?;
        let mtu = netns.link_value(device, "mtu")?;
        netns.ip(&format!("link set {name} address {mac} mtu {mtu}"))?;
        end.set_up(addresses)?;
        Ok(end)
    }

    /// Who handles the tag here.
    pub fn kind(&self) -> VlanEndKind {
        match self.pump {
            Some(_) => VlanEndKind::Tap,
            None => VlanEndKind::Kernel,
        }
    }

    /// The interface's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn set_up(&self, addresses: &[&str]) -> Result<()> {
        let Self {
            netns,
            name,
            pump: _,
        } = self;
        for address in addresses {
            netns.ip(&format!("addr add {address} dev {name}"))?;
        }
        netns.ip(&format!("link set {name} up")).map(drop)
    }
}

impl Drop for VlanEnd {
    fn drop(&mut self) {
        // A TAP goes with its last descriptor, which is the pump's. The namespace may be gone already, and the kernel's
        // device with it: nothing to tell anybody.
        if self.pump.is_none() {
            let _ = self.netns.ip(&format!("link del {}", self.name));
        }
    }
}

/// What `ip link add type vlan` says on a kernel without 802.1Q.
fn is_unsupported(stderr: &str) -> bool {
    ["Unknown device type", "not supported"]
        .iter()
        .any(|text| stderr.contains(text))
}
