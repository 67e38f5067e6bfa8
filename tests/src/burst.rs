//! Frames back to back, as a NIC hands them over in one poll: between those of a sender's own loop the receiver has its time.

use std::os::fd::AsRawFd as _;

use vnet_user::lab::{EthernetFrame, LabError, Netns};

use crate::raw_program::{self, Instruction, ProgramType};

/// `BPF_PROG_TEST_RUN` of `enum bpf_cmd`.
const BPF_PROG_TEST_RUN: libc::c_long = 10;
/// `bpf_clone_redirect` of `enum bpf_func_id`.
const CLONE_REDIRECT: i32 = 13;

/// `union bpf_attr` as `BPF_PROG_TEST_RUN` reads it, as far as needed.
#[repr(C)]
struct TestRun {
    program: u32,
    returned: u32,
    data_in_bytes: u32,
    data_out_bytes: u32,
    data_in: u64,
    data_out: u64,
    repeat: u32,
    duration: u32,
}

/// Sends a frame so many times out of a device, before anybody can receive the first of them.
///
/// # Panics
///
/// When the kernel refuses.
pub fn burst(netns: &Netns, device: &str, frame: &EthernetFrame, times: u32) {
    let index = || {
        nix::net::if_::if_nametoindex(device).map_err(|errno| LabError::Io {
            what: format!("find {device}"),
            source: errno.into(),
        })
    };
    let ifindex = netns.run(index).unwrap() as i32;
    let program = [
        // r6 = skb; for r7 = times; r7 != 0; r7 -= 1 { bpf_clone_redirect(r6, ifindex, 0) } return TC_ACT_OK
        Instruction(0xbf, 0x16, 0, 0),
        Instruction(0xb4, 0x07, 0, times as i32),
        Instruction(0xbf, 0x61, 0, 0),
        Instruction(0xb4, 0x02, 0, ifindex),
        Instruction(0xb4, 0x03, 0, 0),
        Instruction(0x85, 0x00, 0, CLONE_REDIRECT),
        Instruction(0x04, 0x07, 0, -1),
        Instruction(0x56, 0x07, -6, 0),
        Instruction(0xb4, 0x00, 0, 0),
        Instruction(0x95, 0x00, 0, 0),
    ];
    let program = raw_program::load(ProgramType::SchedClassifier, &program);
    let attr = TestRun {
        program: program.as_raw_fd() as u32,
        returned: 0,
        data_in_bytes: frame.bytes().len() as u32,
        data_out_bytes: 0,
        data_in: frame.bytes().as_ptr() as u64,
        data_out: 0,
        repeat: 1,
        duration: 0,
    };
    netns
        .run(|| {
            // SAFETY: what `attr` points to is alive, and as long as it says.
            let run = unsafe {
                libc::syscall(
                    libc::SYS_bpf,
                    BPF_PROG_TEST_RUN,
                    &attr,
                    size_of::<TestRun>(),
                )
            };
            match run {
                0 => Ok(()),
                _ => Err(LabError::Io {
                    what: "run a program".to_owned(),
                    source: std::io::Error::last_os_error(),
                }),
            }
        })
        .unwrap();
}
