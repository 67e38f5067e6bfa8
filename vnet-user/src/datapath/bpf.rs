//! The few commands of `bpf(2)` that aya has no call for.

use std::{
    ffi::CString,
    io,
    os::{
        fd::{AsRawFd, FromRawFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::Path,
};

/// `enum bpf_cmd` of `include/uapi/linux/bpf.h`.
const BPF_OBJ_PIN: libc::c_long = 6;
const BPF_OBJ_GET: libc::c_long = 7;
const BPF_OBJ_GET_INFO_BY_FD: libc::c_long = 15;
const BPF_MAP_LOOKUP_BATCH: libc::c_long = 24;
const BPF_MAP_UPDATE_BATCH: libc::c_long = 26;
const BPF_MAP_DELETE_BATCH: libc::c_long = 27;
const BPF_LINK_CREATE: libc::c_long = 28;
const BPF_LINK_UPDATE: libc::c_long = 29;
const BPF_LINK_DETACH: libc::c_long = 34;

/// `union bpf_attr` as `BPF_LINK_CREATE` reads it, up to `netkit.expected_revision`.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct LinkCreate {
    prog_fd: u32,
    target_ifindex: u32,
    attach_type: u32,
    flags: u32,
    relative_fd: u32,
    padding: u32,
    expected_revision: u64,
}

/// `union bpf_attr` as `BPF_LINK_UPDATE` reads it.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct LinkUpdate {
    link_fd: u32,
    new_prog_fd: u32,
    flags: u32,
    old_prog_fd: u32,
}

/// `union bpf_attr` as `BPF_OBJ_PIN` and `BPF_OBJ_GET` read it.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct ObjPin {
    pathname: u64,
    bpf_fd: u32,
    file_flags: u32,
}

/// `union bpf_attr` as `BPF_OBJ_GET_INFO_BY_FD` reads it.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct GetInfo {
    bpf_fd: u32,
    info_len: u32,
    info: u64,
}

/// `struct bpf_link_info` of a tcx, netkit or XDP link, as far as its interface.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct LinkInfo {
    kind: u32,
    id: u32,
    prog_id: u32,
    padding: u32,
    ifindex: u32,
    attach_type: u32,
}

/// `union bpf_attr` as the commands on many rows of a map read it.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Batch {
    in_batch: u64,
    out_batch: u64,
    keys: u64,
    values: u64,
    count: u32,
    map_fd: u32,
    elem_flags: u64,
    flags: u64,
}

/// All `count` values of an array that has so many.
pub(super) fn all_rows<T: bytemuck::Pod>(map: &OwnedFd, count: u32) -> io::Result<Vec<T>> {
    let mut keys = vec![0_u32; count as usize];
    let mut rows = vec![T::zeroed(); count as usize];
    let mut next = 0_u32;
    let mut attr = Batch {
        in_batch: 0,
        out_batch: std::ptr::from_mut(&mut next) as u64,
        keys: keys.as_mut_ptr() as u64,
        values: rows.as_mut_ptr() as u64,
        count,
        map_fd: map.as_raw_fd() as u32,
        elem_flags: 0,
        flags: 0,
    };
    bpf(BPF_MAP_LOOKUP_BATCH, &mut attr)?;
    match attr.count == count {
        true => Ok(rows),
        false => Err(io::Error::other(format!("{} rows of {count}", attr.count))),
    }
}

/// Sets all values of an array.
pub(super) fn fill<T: bytemuck::Pod>(map: &OwnedFd, rows: &[T]) -> io::Result<()> {
    let keys: Vec<u32> = (0..).take(rows.len()).collect();
    update(map, &keys, rows)
}

/// All keys and values of a hash map that nobody else writes.
pub(super) fn all_pairs<K: bytemuck::Pod, V: bytemuck::Pod>(
    map: &OwnedFd,
) -> io::Result<Vec<(K, V)>> {
    /// More than what one bucket holds, which the kernel does not give in pieces.
    const AT_ONCE: usize = 4096;
    let mut keys = vec![K::zeroed(); AT_ONCE];
    let mut values = vec![V::zeroed(); AT_ONCE];
    let mut pairs = Vec::new();
    // A bucket's number (`__htab_map_lookup_and_delete_batch` in kernel/bpf/hashtab.c).
    let mut next = 0_u32;
    let next = std::ptr::from_mut(&mut next) as u64;
    let mut from = 0;
    loop {
        let mut attr = Batch {
            in_batch: from,
            out_batch: next,
            keys: keys.as_mut_ptr() as u64,
            values: values.as_mut_ptr() as u64,
            count: AT_ONCE as u32,
            map_fd: map.as_raw_fd() as u32,
            elem_flags: 0,
            flags: 0,
        };
        let read = bpf(BPF_MAP_LOOKUP_BATCH, &mut attr);
        // What tells that nothing is behind these comes with the last of them.
        let is_last = matches!(&read, Err(error) if error.raw_os_error() == Some(libc::ENOENT));
        if !is_last {
            read?;
        }
        let read = keys.iter().copied().zip(values.iter().copied());
        pairs.extend(read.take(attr.count as usize));
        if is_last {
            return Ok(pairs);
        }
        from = next;
    }
}

/// Sets the values of keys, as many of one as of the other.
pub(super) fn update<K: bytemuck::Pod, V: bytemuck::Pod>(
    map: &OwnedFd,
    keys: &[K],
    values: &[V],
) -> io::Result<()> {
    let count = keys.len().min(values.len());
    if count == 0 {
        return Ok(());
    }
    let mut attr = Batch {
        keys: keys.as_ptr() as u64,
        values: values.as_ptr() as u64,
        count: count as u32,
        map_fd: map.as_raw_fd() as u32,
        ..bytemuck::Zeroable::zeroed()
    };
    bpf(BPF_MAP_UPDATE_BATCH, &mut attr).map(drop)
}

/// Removes keys. Those that are not there are fine.
pub(super) fn delete<K: bytemuck::Pod>(map: &OwnedFd, mut keys: &[K]) -> io::Result<()> {
    while !keys.is_empty() {
        let mut attr = Batch {
            keys: keys.as_ptr() as u64,
            count: keys.len() as u32,
            map_fd: map.as_raw_fd() as u32,
            ..bytemuck::Zeroable::zeroed()
        };
        match bpf(BPF_MAP_DELETE_BATCH, &mut attr) {
            Ok(_) => return Ok(()),
            // It ends at the first that is not there, and says how many came before.
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {
                keys = keys.get(attr.count as usize + 1..).unwrap_or_default();
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Returns once no program is running that was when this was called: they run between `rcu_read_lock` and
/// `rcu_read_unlock`, and the kernel waits for such here (`synchronize_rcu` in kernel/sched/membarrier.c). On a machine with
/// one CPU it need not: no program is interrupted by a process there, but with PREEMPT_RT. False with `nohz_full`, where the
/// kernel refuses.
pub(super) fn wait_for_programs() -> io::Result<bool> {
    /// `MEMBARRIER_CMD_GLOBAL` of include/uapi/linux/membarrier.h.
    const GLOBAL: libc::c_int = 1;
    // SAFETY: a system call without pointers.
    if unsafe { libc::syscall(libc::SYS_membarrier, GLOBAL, 0, 0) } == 0 {
        return Ok(true);
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::EINVAL) => Ok(false),
        _ => Err(error),
    }
}

/// Makes a link between a program and an interface.
pub(super) fn create_link(
    program: i32,
    ifindex: u32,
    attach_type: u32,
    flags: u32,
) -> io::Result<OwnedFd> {
    let mut attr = LinkCreate {
        prog_fd: program as u32,
        target_ifindex: ifindex,
        attach_type,
        flags,
        ..bytemuck::Zeroable::zeroed()
    };
    let fd = bpf(BPF_LINK_CREATE, &mut attr)?;
    // SAFETY: the kernel just made this descriptor, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Replaces the program of a link.
pub(super) fn update_link(link: &OwnedFd, program: i32) -> io::Result<()> {
    let mut attr = LinkUpdate {
        link_fd: link.as_raw_fd() as u32,
        new_prog_fd: program as u32,
        ..bytemuck::Zeroable::zeroed()
    };
    bpf(BPF_LINK_UPDATE, &mut attr).map(drop)
}

/// Takes a link off its interface.
pub(super) fn detach_link(link: &OwnedFd) -> io::Result<()> {
    // `union bpf_attr` as `BPF_LINK_DETACH` reads it.
    let mut link_fd = link.as_raw_fd() as u32;
    bpf(BPF_LINK_DETACH, &mut link_fd).map(drop)
}

/// Pins an object.
pub(super) fn pin(object: &OwnedFd, path: &Path) -> io::Result<()> {
    let path = c_path(path)?;
    let mut attr = ObjPin {
        pathname: path.as_ptr() as u64,
        bpf_fd: object.as_raw_fd() as u32,
        file_flags: 0,
    };
    bpf(BPF_OBJ_PIN, &mut attr).map(drop)
}

/// Opens a pinned object.
pub(super) fn open(path: &Path) -> io::Result<OwnedFd> {
    let path = c_path(path)?;
    let mut attr = ObjPin {
        pathname: path.as_ptr() as u64,
        ..bytemuck::Zeroable::zeroed()
    };
    let fd = bpf(BPF_OBJ_GET, &mut attr)?;
    // SAFETY: the kernel just made this descriptor, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The interface that a tcx, netkit or XDP link is on; 0 once it was detached, or the interface is gone.
pub(super) fn link_ifindex(link: &OwnedFd) -> io::Result<u32> {
    let mut info: LinkInfo = bytemuck::Zeroable::zeroed();
    let mut attr = GetInfo {
        bpf_fd: link.as_raw_fd() as u32,
        info_len: size_of::<LinkInfo>() as u32,
        info: std::ptr::from_mut(&mut info) as u64,
    };
    bpf(BPF_OBJ_GET_INFO_BY_FD, &mut attr)?;
    Ok(info.ifindex)
}

fn c_path(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(io::Error::other)
}

fn bpf<T: bytemuck::Pod>(command: libc::c_long, attr: &mut T) -> io::Result<i32> {
    // SAFETY: `attr` is plain data of the size given, of which the kernel takes what is missing as zero and may change
    // what is there, and what it points to is alive in the caller and as large as it says.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, attr, size_of::<T>()) };
    i32::try_from(result)
        .ok()
        .filter(|&result| result >= 0)
        .ok_or_else(io::Error::last_os_error)
}
