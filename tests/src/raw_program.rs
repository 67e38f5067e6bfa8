//! Small eBPF programs written by hand: what a test needs of the kernel is not vnet's business.

use std::os::fd::{FromRawFd as _, OwnedFd};

/// `BPF_PROG_LOAD` of `enum bpf_cmd`.
const BPF_PROG_LOAD: libc::c_long = 5;

/// `enum bpf_prog_type`.
#[derive(Clone, Copy)]
#[repr(u32)]
pub enum ProgramType {
    SocketFilter = 1,
    SchedClassifier = 3,
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
