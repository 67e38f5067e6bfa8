//! A socket that only hears frames of one `skb->priority`: before Linux 6.14 (`SO_RCVPRIORITY`) a receiver is not told.

use std::os::fd::{AsFd as _, AsRawFd as _};

use vnet_user::lab::RawSocket;

use crate::raw_program::{self, Instruction, ProgramType};

/// `offsetof(struct __sk_buff, priority)`.
const PRIORITY_OFFSET: i16 = 32;

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
    let program = raw_program::load(ProgramType::SocketFilter, &program);
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
    let error = std::io::Error::last_os_error();
    assert_eq!(set, 0, "attach a filter: {error}");
}
