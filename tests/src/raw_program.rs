//! Small eBPF programs written by hand: what a test needs of the kernel is not vnet's business.

use std::{
    ffi::CString,
    os::{
        fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
    path::Path,
};

/// `BPF_PROG_LOAD` of `enum bpf_cmd`.
const BPF_PROG_LOAD: libc::c_long = 5;

/// `enum bpf_prog_type`.
#[derive(Clone, Copy)]
#[repr(u32)]
pub enum ProgramType {
    SocketFilter = 1,
    SchedClassifier = 3,
    Xdp = 6,
}

/// `struct bpf_insn`: the opcode, registers (`src << 4 | dst`), offset and constant.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Instruction(pub u8, pub u8, pub i16, pub i32);

/// `union bpf_attr` as `BPF_PROG_LOAD` reads it, as far as needed.
#[repr(C)]
struct Load {
    kind: u32,
    count: u32,
    instructions: u64,
    license: u64,
    log: [u32; 4],
    version: u32,
    flags: u32,
}

/// `BPF_LINK_CREATE` of `enum bpf_cmd`.
const BPF_LINK_CREATE: libc::c_long = 28;
/// `BPF_F_BEFORE` of include/uapi/linux/bpf.h.
const BPF_F_BEFORE: u32 = 1 << 3;

/// `enum bpf_attach_type`.
#[derive(Clone, Copy)]
#[repr(u32)]
pub enum AttachType {
    TcxIngress = 46,
    TcxEgress = 47,
    NetkitPeer = 55,
}

/// `union bpf_attr` as `BPF_LINK_CREATE` reads it for programs that stand in a row.
#[repr(C)]
struct LinkCreate {
    program: u32,
    ifindex: u32,
    attach_type: u32,
    flags: u32,
    /// Another program or none, which stands for all of them.
    relative_to: u32,
    padding: u32,
    revision: u64,
}

/// Attaches a program before all others at this place, as long as what is returned lives.
///
/// # Panics
///
/// When the kernel refuses.
pub fn attach_first(program: &OwnedFd, ifindex: i32, attach_type: AttachType) -> OwnedFd {
    let attr = LinkCreate {
        program: program.as_raw_fd() as u32,
        ifindex: ifindex as u32,
        attach_type: attach_type as u32,
        flags: BPF_F_BEFORE,
        relative_to: 0,
        padding: 0,
        revision: 0,
    };
    // SAFETY: `attr` is plain data of the size given.
    let link = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            BPF_LINK_CREATE,
            &attr,
            size_of::<LinkCreate>(),
        )
    };
    let error = std::io::Error::last_os_error();
    assert!(link >= 0, "attach a program: {error}");
    // SAFETY: the kernel just made this descriptor, and nobody else has it.
    unsafe { OwnedFd::from_raw_fd(link as i32) }
}

/// `BPF_OBJ_PIN` of `enum bpf_cmd`.
const BPF_OBJ_PIN: libc::c_long = 6;

/// `union bpf_attr` as `BPF_OBJ_PIN` reads it.
#[repr(C)]
struct Pin {
    path: u64,
    fd: u32,
    flags: u32,
}

/// Pins a program, for `ip` to find.
pub fn pin(program: &OwnedFd, path: &Path) {
    let path = CString::new(path.as_os_str().as_bytes()).expect("a path has no NUL");
    let attr = Pin {
        path: path.as_ptr() as u64,
        fd: program.as_raw_fd() as u32,
        flags: 0,
    };
    // SAFETY: what `attr` points to is alive, and ends with a NUL.
    let result = unsafe { libc::syscall(libc::SYS_bpf, BPF_OBJ_PIN, &attr, size_of::<Pin>()) };
    let error = std::io::Error::last_os_error();
    assert_eq!(result, 0, "pin {path:?}: {error}");
}

/// Loads a program.
pub fn load(kind: ProgramType, program: &[Instruction]) -> OwnedFd {
    let attr = Load {
        kind: kind as u32,
        count: program.len() as u32,
        instructions: program.as_ptr() as u64,
        license: c"MIT".as_ptr() as u64,
        log: [0; 4],
        version: 0,
        flags: 0,
    };
    // SAFETY: what `attr` points to is alive, and as long as it says.
    let fd = unsafe { libc::syscall(libc::SYS_bpf, BPF_PROG_LOAD, &attr, size_of::<Load>()) };
    assert!(
        fd >= 0,
        "load a program: {}",
        std::io::Error::last_os_error()
    );
    // SAFETY: the kernel just made this descriptor, and nobody else has it.
    unsafe { OwnedFd::from_raw_fd(fd as i32) }
}
