//! A device's offload features as the kernel lists them (`ethtool -k` without the names).

use std::os::fd::AsRawFd as _;

use vnet_user::lab::{LabError, Netns};

/// `ETHTOOL_GFEATURES` (include/uapi/linux/ethtool.h).
const ETHTOOL_GFEATURES: u32 = 0x3a;
/// `SIOCETHTOOL` (include/uapi/linux/sockios.h).
const SIOCETHTOOL: libc::Ioctl = 0x8946;
/// Words of 32 features each. The kernel has two, and fills only as many as it has.
const BLOCKS: usize = 4;

/// `struct ethtool_gfeatures` with its blocks.
#[repr(C)]
struct Features {
    command: u32,
    size: u32,
    blocks: [Block; BLOCKS],
}

/// `struct ethtool_get_features_block`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Block {
    available: u32,
    requested: u32,
    active: u32,
    never_changed: u32,
}

/// Which features are on, as bits: to be compared with those at another time.
pub fn active_features(netns: &Netns, device: &str) -> Vec<u32> {
    netns
        .run(|| {
            let socket =
                std::net::UdpSocket::bind(("127.0.0.1", 0)).map_err(|source| LabError::Io {
                    what: "open a socket".to_owned(),
                    source,
                })?;
            let mut features = Features {
                command: ETHTOOL_GFEATURES,
                size: BLOCKS as u32,
                blocks: [Block::default(); BLOCKS],
            };
            // SAFETY: ifreq is plain data, for which all zeroes is a value.
            let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
            for (to, from) in request.ifr_name.iter_mut().zip(device.bytes()) {
                *to = from as libc::c_char;
            }
            request.ifr_ifru.ifru_data = (&raw mut features).cast();
            // SAFETY: the request and the features that it points to are alive, and the latter have room for as many
            // blocks as they say.
            let got = unsafe { libc::ioctl(socket.as_raw_fd(), SIOCETHTOOL, &raw mut request) };
            assert!(
                got >= 0,
                "features of {device}: {}",
                std::io::Error::last_os_error()
            );
            Ok(features.blocks.iter().map(|block| block.active).collect())
        })
        .unwrap()
}
