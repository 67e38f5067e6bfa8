//! A socket that only hears frames of one `skb->priority`: before Linux 6.14 (`SO_RCVPRIORITY`) a receiver is not told.

use std::os::fd::{AsFd as _, AsRawFd as _, FromRawFd as _, OwnedFd};

use vnet_user::lab::RawSocket;

/// `BPF_PROG_LOAD` of `enum bpf_cmd`.
const BPF_PROG_LOAD: libc::c_long = 5;
/// `BPF_PROG_TYPE_SOCKET_FILTER` of `enum bpf_prog_type`.
const SOCKET_FILTER: u32 = 1;
/// `offsetof(struct __sk_buff, priority)`.
const PRIORITY_OFFSET: i16 = 32;

/// `struct bpf_insn`: the opcode, registers (`src << 4 | dst`), offset and constant.
#[repr(C)]
#[derive(Clone, Copy)]
struct Instruction(u8, u8, i16, i32);

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

/// From now on, `socket` hears only frames of this priority.
pub fn hear_only(socket: &RawSocket, priority: u32) {
    let program = [
        // r2 = skb->priority; r0 = 0; if r2 != priority goto exit; r0 = all of the frame; exit
        Instruction(0x61, 0x12, PRIORITY_OFFSET, 0),
        Instruction(0xb4, 0x00, 0, 0),
        Instruction(0x56, 0x02, 1, priority as i32),
        Instruction(0xb4, 0x00, 0, 0x7fff_ffff),
        Instruction(0x95, 0x00, 0, 0),
    ];
    let attr = Load {
        kind: SOCKET_FILTER,
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
        "load a filter: {}",
        std::io::Error::last_os_error()
    );
    // SAFETY: the kernel just made this descriptor, and nobody else has it.
    let program = unsafe { OwnedFd::from_raw_fd(fd as i32) };
    let fd = program.as_raw_fd();
    // SAFETY: the option is one int, which is alive.
    let set = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_BPF,
            (&raw const fd).cast(),
            size_of::<i32>() as libc::socklen_t,
        )
    };
    assert_eq!(
        set,
        0,
        "attach a filter: {}",
        std::io::Error::last_os_error()
    );
}
