//! One feature of a NIC, by the ethtool ioctl (`include/uapi/linux/ethtool.h`).

use std::{
    io,
    mem::size_of,
    os::fd::{AsRawFd, OwnedFd},
};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

use super::error::LinkError;
use crate::model::nic::VlanFilter;

const ETHTOOL_GSTRINGS: u32 = 0x1b;
const ETHTOOL_GSSET_INFO: u32 = 0x37;
const ETHTOOL_GFEATURES: u32 = 0x3a;
const ETHTOOL_SFEATURES: u32 = 0x3b;
const ETH_SS_FEATURES: u32 = 4;
const ETH_GSTRING_LEN: usize = 32;
const FEATURE: &[u8] = b"rx-vlan-filter";

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
    match nic.vlan_filter() {
        Ok(filter) => Ok(filter),
        Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => Ok(VlanFilter::Off),
        Err(error) => Err(nic.error("read rx-vlan-filter", error)),
    }
}

/// Switches the NIC's `rx-vlan-filter`.
///
/// # Errors
///
/// What the kernel says, or that the driver did not follow.
pub fn set_vlan_filter(ifname: &str, on: bool) -> Result<(), LinkError> {
    let nic = Ethtool::open(ifname)?;
    let result = nic
        .set_vlan_filter(on)
        .and_then(|()| match nic.vlan_filter()? {
            VlanFilter::Off if on => Err(io::Error::other("the driver left it off")),
            VlanFilter::On | VlanFilter::Fixed if !on => {
                Err(io::Error::other("the driver left it on"))
            }
            _ => Ok(()),
        });
    result.map_err(|error| nic.error("switch rx-vlan-filter", error))
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

    fn vlan_filter(&self) -> io::Result<VlanFilter> {
        let names = self.feature_names()?;
        let Some(bit) = position(&names) else {
            return Ok(VlanFilter::Off);
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
                (false, _) => VlanFilter::Off,
                (true, true) => VlanFilter::On,
                (true, false) => VlanFilter::Fixed,
            },
        )
    }

    fn set_vlan_filter(&self, on: bool) -> io::Result<()> {
        let names = self.feature_names()?;
        let Some(bit) = position(&names) else {
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

fn position(names: &[[u8; ETH_GSTRING_LEN]]) -> Option<usize> {
    names
        .iter()
        .position(|name| name.strip_prefix(FEATURE).is_some_and(|rest| rest[0] == 0))
}
