//! Which system calls change something that outlives the process.
//!
//! Of calls that may only look, what is not known to do so counts as a change: a point too many costs a moment.

use std::path::Path;

use crate::kill_point::Memory;

/// A system call as its caller makes it.
#[derive(Clone, Copy, Debug)]
pub struct Syscall {
    pub number: i64,
    pub arguments: [u64; 6],
}

/// Calls that always change the file system or the machine. `fsync` is none of them: a killed process's files are in the page
/// cache all the same.
const CHANGES: &[i64] = &[
    libc::SYS_unlinkat,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_linkat,
    libc::SYS_symlinkat,
    libc::SYS_ftruncate,
    libc::SYS_truncate,
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    libc::SYS_mount,
    libc::SYS_umount2,
];

/// The same by their older names, which newer architectures do not have.
#[cfg(target_arch = "x86_64")]
const OLDER_CHANGES: &[i64] = &[
    libc::SYS_rmdir,
    libc::SYS_unlink,
    libc::SYS_rename,
    libc::SYS_link,
    libc::SYS_symlink,
    libc::SYS_creat,
];
#[cfg(not(target_arch = "x86_64"))]
const OLDER_CHANGES: &[i64] = &[];

/// Commands of `bpf(2)` (`enum bpf_cmd`) that only look, or make a descriptor that goes with its process.
const HARMLESS_BPF: &[u64] = &[
    0,  // BPF_MAP_CREATE
    1,  // BPF_MAP_LOOKUP_ELEM
    4,  // BPF_MAP_GET_NEXT_KEY
    5,  // BPF_PROG_LOAD
    7,  // BPF_OBJ_GET
    10, // BPF_PROG_TEST_RUN
    11, // BPF_PROG_GET_NEXT_ID
    12, // BPF_MAP_GET_NEXT_ID
    13, // BPF_PROG_GET_FD_BY_ID
    14, // BPF_MAP_GET_FD_BY_ID
    15, // BPF_OBJ_GET_INFO_BY_FD
    16, // BPF_PROG_QUERY
    18, // BPF_BTF_LOAD
    19, // BPF_BTF_GET_FD_BY_ID
    23, // BPF_BTF_GET_NEXT_ID
    24, // BPF_MAP_LOOKUP_BATCH
    30, // BPF_LINK_GET_FD_BY_ID
    31, // BPF_LINK_GET_NEXT_ID
];

/// Commands of `SIOCETHTOOL` that only look: `ETHTOOL_GSTRINGS`, `ETHTOOL_GSSET_INFO`, `ETHTOOL_GFEATURES`.
const HARMLESS_ETHTOOL: &[u32] = &[0x1b, 0x37, 0x3a];
/// `SIOCETHTOOL` of `include/uapi/linux/sockios.h`.
const SIOCETHTOOL: u64 = 0x8946;
/// Other requests of `ioctl(2)` that change nothing outside: `TCGETS`, `FIONBIO`, `FIOCLEX`, `SIOCGIFINDEX`,
/// `NS_GET_NSTYPE`.
const HARMLESS_IOCTL: &[u64] = &[0x5401, 0x5421, 0x5451, 0x8933, 0xb703];
/// Where `struct ifreq` has its pointer, behind the name.
const IFR_DATA_OFFSET: u64 = 16;

/// How the words for a write to a file begin; the path follows.
pub const WRITE: &str = "write to ";

/// What the call changes that is still there when its process is gone, in a few words; nothing if nothing.
pub fn change(syscall: &Syscall, memory: &Memory) -> Option<String> {
    let Syscall {
        number,
        arguments: [first, second, third, ..],
    } = *syscall;
    match number {
        libc::SYS_openat if third & libc::O_CREAT as u64 != 0 => {
            missing(memory, second).map(|path| format!("make {path}"))
        }
        libc::SYS_openat => None,
        libc::SYS_mkdirat => missing(memory, second).map(|path| format!("mkdir {path}")),
        #[cfg(target_arch = "x86_64")]
        libc::SYS_mkdir => missing(memory, first).map(|path| format!("mkdir {path}")),
        libc::SYS_write | libc::SYS_pwrite64 | libc::SYS_writev => {
            file(memory, first).map(|path| format!("{WRITE}{path}"))
        }
        libc::SYS_sendto => netlink_change(memory, second),
        // A message header's third word points to its parts, and each of them begins with a pointer.
        libc::SYS_sendmsg | libc::SYS_sendmmsg => {
            let parts = pointer(memory, second + 16)?;
            netlink_change(memory, pointer(memory, parts)?)
        }
        libc::SYS_bpf => (!HARMLESS_BPF.contains(&first)).then(|| format!("bpf command {first}")),
        libc::SYS_ioctl if second == SIOCETHTOOL => {
            let data = pointer(memory, third + IFR_DATA_OFFSET)?;
            let command = u32::from_ne_bytes(memory.read(data)?);
            (!HARMLESS_ETHTOOL.contains(&command)).then(|| format!("ethtool command {command:#x}"))
        }
        libc::SYS_ioctl => {
            (!HARMLESS_IOCTL.contains(&second)).then(|| format!("ioctl {second:#x}"))
        }
        _ if CHANGES.contains(&number) || OLDER_CHANGES.contains(&number) => {
            Some(format!("system call {number}"))
        }
        _ => None,
    }
}

/// The file that a descriptor is open on, if it is no device, socket or pipe.
fn file(memory: &Memory, fd: u64) -> Option<String> {
    let target = memory.descriptor(fd)?;
    (target.starts_with('/') && !target.starts_with("/dev/")).then_some(target)
}

/// The path at an address, if nothing is there yet: what is there already is not made once more.
fn missing(memory: &Memory, address: u64) -> Option<String> {
    // As long as a path may be; read byte by byte, because memory may end behind a short one.
    let bytes: Vec<u8> = (address..)
        .take(libc::PATH_MAX as usize)
        .map_while(|at| memory.read::<1>(at))
        .flatten()
        .take_while(|byte| *byte != 0)
        .collect();
    let path = String::from_utf8_lossy(&bytes).into_owned();
    (!Path::new(&path).exists()).then_some(path)
}

/// What a message to the kernel changes.
///
/// Of the four messages that each kind of object has, the third one asks (`include/uapi/linux/rtnetlink.h`: `RTM_NEWLINK` is
/// 16, `RTM_GETLINK` 18).
fn netlink_change(memory: &Memory, message: u64) -> Option<String> {
    const LENGTH_BYTES: u64 = 4;
    const FIRST: u16 = 16;
    const GET: u16 = 2;
    let kind = u16::from_ne_bytes(memory.read(message + LENGTH_BYTES)?);
    (kind >= FIRST && kind % 4 != GET).then(|| format!("netlink message {kind}"))
}

fn pointer(memory: &Memory, address: u64) -> Option<u64> {
    memory.read(address).map(u64::from_ne_bytes)
}
