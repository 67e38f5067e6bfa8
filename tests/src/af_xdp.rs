//! A receiver that takes frames right at the XDP hook of its interface (`Documentation/networking/af_xdp.rst`), by system
//! calls alone.

use std::{
    io,
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
    ptr,
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use vnet_user::lab::{LabError, Netns};

use crate::raw_program::{self, Instruction, ProgramType};

/// `enum bpf_cmd` and `enum bpf_map_type` of `include/uapi/linux/bpf.h`.
const BPF_MAP_CREATE: libc::c_long = 0;
const BPF_MAP_UPDATE_ELEM: libc::c_long = 2;
const BPF_LINK_CREATE: libc::c_long = 28;
const BPF_MAP_TYPE_XSKMAP: u32 = 17;
const BPF_XDP: u32 = 37;
const XDP_FLAGS_DRV_MODE: u32 = 1 << 2;

const FRAMES: u32 = 1024;
const FRAME_BYTES: u32 = 2048;

/// An `AF_XDP` socket on queue 0 of an interface, with the program that gives it the frames.
pub struct AfXdp {
    fd: OwnedFd,
    frames: Mapping,
    received: Ring,
    _fill: Ring,
    _map: OwnedFd,
    _link: OwnedFd,
}

/// Memory that is shared with the kernel.
struct Mapping {
    start: *mut u8,
    bytes: usize,
}

// SAFETY: it is the only owner, and memory belongs to no thread.
unsafe impl Send for Mapping {}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped by this, with this length, and nobody uses it any more.
        unsafe { libc::munmap(self.start.cast(), self.bytes) };
    }
}

/// One of the rings: producer, consumer and entries in one mapping.
struct Ring {
    mapping: Mapping,
    offsets: libc::xdp_ring_offset,
}

impl AfXdp {
    /// Takes what comes to queue 0 of a veth in a namespace.
    ///
    /// # Panics
    ///
    /// When the kernel refuses.
    pub fn open(netns: &Netns, device: &str) -> Self {
        netns
            .run(|| Ok::<_, LabError>(Self::open_here(device)))
            .unwrap()
    }

    fn open_here(device: &str) -> Self {
        // SAFETY: plain system calls; the descriptor is new.
        let fd = unsafe { libc::socket(libc::AF_XDP, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
        let fd = owned(i64::from(fd), "open an AF_XDP socket");
        let frames = map(-1, 0, (FRAMES * FRAME_BYTES) as usize);
        // SAFETY: plain data, for which all zeroes is a value.
        let mut umem: libc::xdp_umem_reg = unsafe { std::mem::zeroed() };
        umem.addr = frames.start as u64;
        umem.len = frames.bytes as u64;
        umem.chunk_size = FRAME_BYTES;
        set(&fd, libc::XDP_UMEM_REG, &umem);
        for ring in [
            libc::XDP_UMEM_FILL_RING,
            libc::XDP_UMEM_COMPLETION_RING,
            libc::XDP_RX_RING,
        ] {
            set(&fd, ring, &FRAMES);
        }
        let offsets = offsets(&fd);
        let fill = Ring::map(&fd, libc::XDP_UMEM_PGOFF_FILL_RING as i64, offsets.fr, 8);
        let received = Ring::map(&fd, libc::XDP_PGOFF_RX_RING, offsets.rx, 16);
        for index in 0..FRAMES {
            fill.write(index, u64::from(index * FRAME_BYTES));
        }
        fill.producer().store(FRAMES, Ordering::Release);
        bind(&fd, device);

        let map = map_of(&fd);
        let program = program(&map);
        let link = attach(&program, device);
        Self {
            fd,
            frames,
            received,
            _fill: fill,
            _map: map,
            _link: link,
        }
    }

    /// The next frame; nothing when none comes in time.
    pub fn receive(&self, within: Duration) -> Option<Vec<u8>> {
        let deadline = Instant::now() + within;
        let (producer, consumer) = (self.received.producer(), self.received.consumer());
        let at = consumer.load(Ordering::Relaxed);
        while producer.load(Ordering::Acquire) == at {
            let left = deadline.saturating_duration_since(Instant::now());
            let mut poll = libc::pollfd {
                fd: self.fd.as_raw_fd(),
                events: libc::POLLIN,
                revents: 0,
            };
            // SAFETY: one pollfd, which is alive.
            unsafe { libc::poll(&raw mut poll, 1, left.as_millis() as i32) };
            if left.is_zero() {
                return None;
            }
        }
        let descriptor = self.received.descriptor(at);
        // SAFETY: the kernel says that a frame of this length is there, within the mapping.
        let bytes = unsafe {
            std::slice::from_raw_parts(
                self.frames.start.add(descriptor.addr as usize),
                descriptor.len as usize,
            )
        };
        let bytes = bytes.to_vec();
        consumer.store(at.wrapping_add(1), Ordering::Release);
        Some(bytes)
    }
}

impl Ring {
    fn map(fd: &OwnedFd, at: i64, offsets: libc::xdp_ring_offset, entry_bytes: usize) -> Self {
        let bytes = offsets.desc as usize + FRAMES as usize * entry_bytes;
        Self {
            mapping: map(fd.as_raw_fd(), at, bytes),
            offsets,
        }
    }

    fn producer(&self) -> &AtomicU32 {
        self.number(self.offsets.producer)
    }

    fn consumer(&self) -> &AtomicU32 {
        self.number(self.offsets.consumer)
    }

    fn number(&self, offset: u64) -> &AtomicU32 {
        // SAFETY: the kernel says that a number is there, which both sides change.
        unsafe { &*self.mapping.start.add(offset as usize).cast() }
    }

    fn entry<T>(&self, index: u32) -> *mut T {
        let offset = self.offsets.desc as usize + (index % FRAMES) as usize * size_of::<T>();
        // SAFETY: within the mapping, which has room for as many.
        unsafe { self.mapping.start.add(offset).cast() }
    }

    fn write(&self, index: u32, frame: u64) {
        // SAFETY: an entry of the fill ring, which the kernel does not read yet.
        unsafe { self.entry::<u64>(index).write(frame) };
    }

    fn descriptor(&self, index: u32) -> libc::xdp_desc {
        // SAFETY: an entry of the receive ring, which the kernel has handed over.
        unsafe { self.entry::<libc::xdp_desc>(index).read() }
    }
}

fn map(fd: i32, at: i64, bytes: usize) -> Mapping {
    let anonymous = if fd < 0 {
        libc::MAP_ANONYMOUS | libc::MAP_PRIVATE
    } else {
        libc::MAP_SHARED
    };
    // SAFETY: a new mapping, wherever the kernel likes.
    let start = unsafe {
        libc::mmap(
            ptr::null_mut(),
            bytes,
            libc::PROT_READ | libc::PROT_WRITE,
            anonymous | libc::MAP_POPULATE,
            fd,
            at,
        )
    };
    assert_ne!(
        start,
        libc::MAP_FAILED,
        "map: {}",
        io::Error::last_os_error()
    );
    Mapping {
        start: start.cast(),
        bytes,
    }
}

fn set<T>(fd: &OwnedFd, option: i32, value: &T) {
    // SAFETY: the value is alive, and as long as said.
    let result = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            libc::SOL_XDP,
            option,
            ptr::from_ref(value).cast(),
            size_of::<T>() as u32,
        )
    };
    let error = io::Error::last_os_error();
    assert_eq!(
        result, 0,
        "set option {option} of an AF_XDP socket: {error}"
    );
}

fn offsets(fd: &OwnedFd) -> libc::xdp_mmap_offsets {
    // SAFETY: plain data, for which all zeroes is a value.
    let mut offsets: libc::xdp_mmap_offsets = unsafe { std::mem::zeroed() };
    let mut bytes = size_of::<libc::xdp_mmap_offsets>() as u32;
    // SAFETY: both are alive, and the first as long as the second says.
    let result = unsafe {
        libc::getsockopt(
            fd.as_raw_fd(),
            libc::SOL_XDP,
            libc::XDP_MMAP_OFFSETS,
            (&raw mut offsets).cast(),
            &raw mut bytes,
        )
    };
    assert_eq!(result, 0, "read offsets: {}", io::Error::last_os_error());
    offsets
}

fn index_of(device: &str) -> u32 {
    let name = std::ffi::CString::new(device).unwrap();
    // SAFETY: a string that ends with a NUL.
    unsafe { libc::if_nametoindex(name.as_ptr()) }
}

fn bind(fd: &OwnedFd, device: &str) {
    let address = libc::sockaddr_xdp {
        sxdp_family: libc::AF_XDP as u16,
        sxdp_flags: libc::XDP_COPY,
        sxdp_ifindex: index_of(device),
        sxdp_queue_id: 0,
        sxdp_shared_umem_fd: 0,
    };
    // SAFETY: the address is alive, and as long as said.
    let result = unsafe {
        libc::bind(
            fd.as_raw_fd(),
            (&raw const address).cast(),
            size_of::<libc::sockaddr_xdp>() as u32,
        )
    };
    assert_eq!(
        result,
        0,
        "bind to {device}: {}",
        io::Error::last_os_error()
    );
}

/// A map whose row 0 is the socket.
fn map_of(socket: &OwnedFd) -> OwnedFd {
    // Type, size of key, size of value, rows.
    let map = bpf(BPF_MAP_CREATE, &[BPF_MAP_TYPE_XSKMAP, 4, 4, 1]);
    let map = owned(map, "make an XSKMAP");
    let (key, value) = (0_u32, socket.as_raw_fd());
    let attr = [
        map.as_raw_fd() as u64,
        ptr::from_ref(&key) as u64,
        ptr::from_ref(&value) as u64,
        0,
    ];
    let updated = bpf(BPF_MAP_UPDATE_ELEM, &attr);
    assert_eq!(
        updated,
        0,
        "put the socket in: {}",
        io::Error::last_os_error()
    );
    map
}

/// Gives every frame to the socket of its queue.
fn program(map: &OwnedFd) -> OwnedFd {
    let program = [
        // r2 = rx_queue_index; r1 = map; r3 = XDP_PASS, for other queues; call bpf_redirect_map; exit
        Instruction(0x61, 0x12, 16, 0),
        Instruction(0x18, 0x11, 0, map.as_raw_fd()),
        Instruction(0, 0, 0, 0),
        Instruction(0xb7, 0x03, 0, 2),
        Instruction(0x85, 0, 0, 51),
        Instruction(0x95, 0, 0, 0),
    ];
    raw_program::load(ProgramType::Xdp, &program)
}

fn attach(program: &OwnedFd, device: &str) -> OwnedFd {
    // The program, the interface, the type, the mode.
    let attr = [
        program.as_raw_fd() as u32,
        index_of(device),
        BPF_XDP,
        XDP_FLAGS_DRV_MODE,
    ];
    owned(bpf(BPF_LINK_CREATE, &attr), "attach to the container's end")
}

fn bpf<T>(command: libc::c_long, attr: &T) -> i64 {
    // SAFETY: what `attr` points to is alive in the caller.
    unsafe { libc::syscall(libc::SYS_bpf, command, ptr::from_ref(attr), size_of::<T>()) }
}

fn owned(fd: i64, what: &str) -> OwnedFd {
    assert!(fd >= 0, "{what}: {}", io::Error::last_os_error());
    // SAFETY: the kernel just made this descriptor, and nobody else has it.
    unsafe { OwnedFd::from_raw_fd(fd as i32) }
}
