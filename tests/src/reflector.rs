//! A switch that sends back what it gets: a hairpin port, or a promiscuous port group of a hypervisor.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use vnet_user::lab::{Captured, Netns, RawSocket};

/// Sends every broadcast and multicast that comes in by a device out again by it, with its tag, as long as it lives.
pub struct Reflector {
    stop: Arc<AtomicBool>,
    reflected: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Reflector {
    /// Starts to reflect on a device.
    pub fn start(netns: &Netns, device: &str) -> Self {
        let socket = RawSocket::open(netns, device).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let reflected = Arc::new(AtomicU64::new(0));
        let (stopped, counter) = (Arc::clone(&stop), Arc::clone(&reflected));
        let thread = thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                let Ok(Some(frame)) = socket.receive(Instant::now() + Duration::from_millis(50))
                else {
                    continue;
                };
                if is_group(&frame) && socket.send_bytes(&frame.wire_bytes()).is_ok() {
                    counter.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        Self {
            stop,
            reflected,
            thread: Some(thread),
        }
    }

    /// Frames sent back so far.
    pub fn reflected(&self) -> u64 {
        self.reflected.load(Ordering::Relaxed)
    }
}

impl Drop for Reflector {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The group bit is the first to go on the wire (IEEE 802, 8.2).
fn is_group(frame: &Captured) -> bool {
    frame.destination().is_some_and(|mac| mac.0[0] & 1 == 1)
}
