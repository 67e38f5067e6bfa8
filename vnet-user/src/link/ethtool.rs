//! Features of a NIC, by the ethtool ioctl (`include/uapi/linux/ethtool.h`).

use std::{
    io,
    mem::size_of,
    os::fd::{AsRawFd, OwnedFd},
};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

use super::error::LinkError;
use crate::model::{nic::VlanFilter, xdp::Stripping};

const ETHTOOL_GSTRINGS: u32 = 0x1b;
const ETHTOOL_GSSET_INFO: u32 = 0x37;
const ETHTOOL_GFEATURES: u32 = 0x3a;
const ETHTOOL_SFEATURES: u32 = 0x3b;
const ETH_SS_FEATURES: u32 = 4;
const ETH_GSTRING_LEN: usize = 32;

/// Features by the kernel's names (`netdev_features_strings` in net/ethtool/common.c), which `ethtool` shortens.
const VLAN_FILTER: &str = "rx-vlan-filter";
const GRO: &str = "rx-gro";
const LRO: &str = "rx-lro";
/// `ethtool -K … rxvlan` and `rx-vlan-stag-hw-parse`: the NIC takes off tags of 802.1Q and 802.1ad.
const STRIPPING: [(&str, &str); 2] = [
    ("rx-vlan-hw-parse", "rxvlan"),
    ("rx-vlan-stag-hw-parse", "rx-vlan-stag-hw-parse"),
];

/// `ETHTOOL_GFEATURES` answers in words: how many a block of 32 features has.
const GET_WORDS: usize = 4;
/// `ETHTOOL_SFEATURES` takes valid and requested of each block.
const SET_WORDS: usize = 2;

/// Reads the NIC's `rx-vlan-filter`.
///
/// # Errors
///
/// What the kernel says; a device without ethtool has no filter.
pub fn vlan_filter(ifname: &str) -> Result<VlanFilter, LinkError> {
    let nic = Ethtool::open(ifname)?;
    let filter = nic.read(VLAN_FILTER, "read rx-vlan-filter")?;
    Ok(match filter {
        Feature::Off => VlanFilter::Off,
        Feature::On => VlanFilter::On,
        Feature::Fixed => VlanFilter::Fixed,
    })
}

/// Switches the NIC's `rx-vlan-filter`.
///
/// # Errors
///
/// What the kernel says, or that the driver did not follow.
pub fn set_vlan_filter(ifname: &str, on: bool) -> Result<(), LinkError> {
    Ethtool::open(ifname)?.switch(VLAN_FILTER, on, "switch rx-vlan-filter")
}

/// Whether the NIC merges frames (`ethtool -K … lro`), and that can be switched off.
///
/// # Errors
///
/// As [`vlan_filter`].
pub fn lro(ifname: &str) -> Result<bool, LinkError> {
    let lro = Ethtool::open(ifname)?.read(LRO, "read LRO")?;
    Ok(lro == Feature::On)
}

/// Switches that.
///
/// # Errors
///
/// As [`set_vlan_filter`].
pub fn set_lro(ifname: &str, on: bool) -> Result<(), LinkError> {
    Ethtool::open(ifname)?.switch(LRO, on, "switch LRO")
}

/// Switches an interface's GRO (`ethtool -K … gro`). A veth takes frames of XDP only where its receiving end has it
/// (`veth_xdp_xmit` in drivers/net/veth.c).
///
/// # Errors
///
/// As [`set_vlan_filter`].
pub fn set_gro(ifname: &str, on: bool) -> Result<(), LinkError> {
    Ethtool::open(ifname)?.switch(GRO, on, "switch GRO")
}

/// Whether the NIC takes tags off (`rx-vlan-offload`), and the command that switches it off.
///
/// # Errors
///
/// As [`vlan_filter`].
pub fn stripping(ifname: &str) -> Result<Stripping, LinkError> {
    let nic = Ethtool::open(ifname)?;
    let mut options = Vec::new();
    for (feature, option) in STRIPPING {
        match nic.read(feature, "read rx-vlan-offload")? {
            Feature::Off => {}
            Feature::On => options.push(format!("{option} off")),
            Feature::Fixed => {
                return Ok(Stripping::Fixed {
                    iface: ifname.to_owned(),
                });
            }
        }
    }
    Ok(match options.as_slice() {
        [] => Stripping::Off,
        options => Stripping::On {
            commands: vec![format!("ethtool -K {ifname} {}", options.join(" "))],
        },
    })
}

/// How a feature stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Feature {
    Off,
    /// On, and the driver lets it be switched off.
    On,
    /// On, and the driver does not let it be switched off.
    Fixed,
}

struct Ethtool {
    ifname: String,
    socket: OwnedFd,
}

impl Ethtool {
    fn open(ifname: &str) -> Result<Self, LinkError> {
        let socket = socket(
            AddressFamily::Inet,
            SockType::Datagram,
            SockFlag::SOCK_CLOEXEC,
            None,
        )
        .map_err(|errno| LinkError::Open(errno.into()))?;
        Ok(Self {
            ifname: ifname.to_owned(),
            socket,
        })
    }

    fn error(&self, what: &'static str, source: io::Error) -> LinkError {
        LinkError::Ethtool {
            what,
            ifname: self.ifname.clone(),
            source,
        }
    }

    /// A feature as it stands; a device without ethtool has none.
    fn read(&self, feature: &str, what: &'static str) -> Result<Feature, LinkError> {
        match self.get(feature) {
            Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => Ok(Feature::Off),
            result => result.map_err(|error| self.error(what, error)),
        }
    }

    /// Switches a feature, and sees whether the driver followed.
    fn switch(&self, feature: &str, on: bool, what: &'static str) -> Result<(), LinkError> {
        let switched = self
            .set(feature, on)
            .and_then(|()| match self.get(feature)? {
                Feature::Off if on => Err(io::Error::other("the driver left it off")),
                Feature::On | Feature::Fixed if !on => {
                    Err(io::Error::other("the driver left it on"))
                }
                _ => Ok(()),
            });
        switched.map_err(|error| self.error(what, error))
    }

    fn get(&self, feature: &str) -> io::Result<Feature> {
        let names = self.feature_names()?;
        let Some(bit) = position(&names, feature) else {
            return Ok(Feature::Off);
        };
        let blocks = names.len().div_ceil(32);
        let mut request = vec![ETHTOOL_GFEATURES, blocks as u32];
        request.resize(2 + blocks * GET_WORDS, 0);
        self.call(&mut request)?;
        // struct ethtool_get_features_block { available, requested, active, never_changed }
        let block = &request[2 + bit / 32 * GET_WORDS..][..GET_WORDS];
        let mask = 1 << (bit % 32);
        Ok(
            match (block[2] & mask != 0, block[0] & !block[3] & mask != 0) {
                (false, _) => Feature::Off,
                (true, true) => Feature::On,
                (true, false) => Feature::Fixed,
            },
        )
    }

    fn set(&self, feature: &str, on: bool) -> io::Result<()> {
        let names = self.feature_names()?;
        let Some(bit) = position(&names, feature) else {
            return Ok(());
        };
        let blocks = names.len().div_ceil(32);
        let mut request = vec![ETHTOOL_SFEATURES, blocks as u32];
        request.resize(2 + blocks * SET_WORDS, 0);
        // struct ethtool_set_features_block { valid, requested }
        let block = &mut request[2 + bit / 32 * SET_WORDS..][..SET_WORDS];
        block[0] = 1 << (bit % 32);
        block[1] = u32::from(on) << (bit % 32);
        self.call(&mut request)
    }

    fn feature_names(&self) -> io::Result<Vec<[u8; ETH_GSTRING_LEN]>> {
        // struct ethtool_sset_info { cmd, reserved, u64 sset_mask, u32 data[] }
        let mut info = [ETHTOOL_GSSET_INFO, 0, 1 << ETH_SS_FEATURES, 0, 0, 0];
        self.call(&mut info)?;
        let count = info[4] as usize;
        // struct ethtool_gstrings { cmd, string_set, len, u8 data[] }
        let mut request = vec![ETHTOOL_GSTRINGS, ETH_SS_FEATURES, count as u32];
        request.resize(3 + count * ETH_GSTRING_LEN / size_of::<u32>(), 0);
        self.call(&mut request)?;
        let bytes: &[u8] = bytemuck::cast_slice(&request[3..]);
        let names = bytes.chunks_exact(ETH_GSTRING_LEN);
        Ok(names.filter_map(|name| name.try_into().ok()).collect())
    }

    /// One ioctl; the first word of `request` is the command, and the answer takes its place.
    fn call(&self, request: &mut [u32]) -> io::Result<()> {
        // SAFETY: `ifreq` is plain data, for which zero is valid.
        let mut ifreq: libc::ifreq = unsafe { std::mem::zeroed() };
        for (to, from) in ifreq.ifr_name.iter_mut().zip(self.ifname.bytes().take(15)) {
            *to = from as libc::c_char;
        }
        ifreq.ifr_ifru.ifru_data = request.as_mut_ptr().cast();
        // SAFETY: the kernel writes as many features as it has, which is fixed when it is built; `request` was sized for
        // that number, as the kernel has just told it.
        let result = unsafe { libc::ioctl(self.socket.as_raw_fd(), libc::SIOCETHTOOL, &mut ifreq) };
        if result < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    }
}

fn position(names: &[[u8; ETH_GSTRING_LEN]], feature: &str) -> Option<usize> {
    let is_it = |name: &[u8; ETH_GSTRING_LEN]| {
        let rest = name.strip_prefix(feature.as_bytes());
        rest.is_some_and(|rest| rest.first() == Some(&0))
    };
    names.iter().position(is_it)
}
