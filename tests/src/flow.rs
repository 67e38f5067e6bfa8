//! A steady flow of numbered frames, so that one that is lost or comes twice is seen.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use vnet_user::lab::{ETHERNET_HEADER_BYTES, EthernetFrame, Mac, RawSocket};

use crate::PATIENCE;

/// Frames that are sent one by one at first, to learn how long one takes from socket to socket.
const MEASURED: u32 = 50;
/// So many times as long as a frame takes, it is until the next: no queue fills up, and other work goes on beside.
const PACE: u32 = 8;
/// Stands in the place of the number in a flow's last frame.
const LAST: &str = "last";

/// A flow from one socket to another, on threads of its own; they end when it is dropped.
pub struct Flow {
    name: &'static str,
    shared: Arc<Shared>,
    sender: Option<JoinHandle<u32>>,
    receiver: Option<JoinHandle<Vec<u32>>>,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    sent: AtomicU32,
    received: AtomicU32,
}

/// Where a flow's frames go in by a socket.
pub struct Source {
    pub socket: RawSocket,
    pub mac: Mac,
    /// The VLAN whose tag the sender itself puts on them.
    pub tag: Option<u16>,
}

impl Flow {
    /// Starts to send to `to`, and to listen on `ears`.
    pub fn start(name: &'static str, from: Source, to: Mac, ears: RawSocket) -> Self {
        let shared = Arc::new(Shared::default());
        let (of_sender, of_receiver) = (Arc::clone(&shared), Arc::clone(&shared));
        Self {
            name,
            shared,
            sender: Some(thread::spawn(move || of_sender.send(name, &from, to))),
            receiver: Some(thread::spawn(move || of_receiver.receive(name, &ears))),
        }
    }

    /// Frames sent so far.
    pub fn sent(&self) -> u32 {
        self.shared.sent.load(Ordering::Relaxed)
    }

    /// Waits until this many frames were sent.
    ///
    /// # Panics
    ///
    /// When it takes too long.
    pub fn wait_sent(&self, at_least: u32) {
        let deadline = Instant::now() + 2 * PATIENCE;
        while self.sent() < at_least {
            assert!(
                Instant::now() < deadline,
                "{}: only {} of {at_least} sent",
                self.name,
                self.sent()
            );
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Stops, and checks that every frame came once. Returns how many there were.
    ///
    /// # Panics
    ///
    /// When one was lost or came twice.
    pub fn finish(mut self) -> u32 {
        self.shared.stop.store(true, Ordering::Relaxed);
        let sent = self.sender.take().unwrap().join().unwrap();
        let mut counts = self.receiver.take().unwrap().join().unwrap();
        counts.resize(sent as usize, 0);
        let with = |wanted: fn(u32) -> bool| -> Vec<usize> {
            let found = counts.iter().enumerate();
            let found = found.filter(|(_, count)| wanted(**count));
            found.map(|(number, _)| number).collect()
        };
        let (lost, repeated) = (with(|count| count == 0), with(|count| count > 1));
        assert!(
            lost.is_empty() && repeated.is_empty(),
            "{}: of {sent} frames, {} were lost ({:?}…), {} came twice ({:?}…)",
            self.name,
            lost.len(),
            &lost[..lost.len().min(10)],
            repeated.len(),
            &repeated[..repeated.len().min(10)],
        );
        sent
    }
}

impl Drop for Flow {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        // Only after a failed test is there still something to wait for, and what it came to is not asked any more.
        let _ = self.sender.take().map(JoinHandle::join);
        let _ = self.receiver.take().map(JoinHandle::join);
    }
}

impl Shared {
    /// Sends until it is stopped, and returns how many there were.
    fn send(&self, name: &str, from: &Source, to: Mac) -> u32 {
        let begun = Instant::now();
        let mut pace = Duration::ZERO;
        let mut number = 0;
        while !self.stop.load(Ordering::Relaxed) {
            from.send(name, to, &number.to_string());
            number += 1;
            self.sent.store(number, Ordering::Relaxed);
            if number <= MEASURED {
                self.wait_received(name, number);
                pace = begun.elapsed() * PACE / number;
            } else {
                thread::sleep(pace);
            }
        }
        from.send(name, to, LAST);
        number
    }

    fn wait_received(&self, name: &str, number: u32) {
        let deadline = Instant::now() + PATIENCE;
        while self.received.load(Ordering::Relaxed) < number {
            assert!(
                Instant::now() < deadline,
                "{name}: frame {number} never came"
            );
            thread::yield_now();
        }
    }

    /// Returns how often each number came, until the last frame came or none for a long time.
    fn receive(&self, name: &str, ears: &RawSocket) -> Vec<u32> {
        let mut counts = Vec::new();
        while let Some(frame) = ears.receive(Instant::now() + PATIENCE).unwrap() {
            let Some(number) = number(name, &frame.bytes) else {
                continue;
            };
            let Ok(number) = number.parse::<usize>() else {
                assert_eq!(number, LAST);
                break;
            };
            if counts.len() <= number {
                counts.resize(number + 1, 0);
            }
            counts[number] += 1;
            self.received.fetch_add(1, Ordering::Relaxed);
        }
        let dropped = ears.dropped().unwrap();
        assert_eq!(dropped, 0, "{name}: the listener was too slow");
        counts
    }
}

impl Source {
    fn send(&self, name: &str, to: Mac, number: &str) {
        let frame = EthernetFrame::experiment(to, self.mac, &format!("{name}:{number}:"));
        let frame = match self.tag {
            Some(vlan) => frame.tagged(vlan, 0),
            None => frame,
        };
        self.socket.send(&frame).unwrap();
    }
}

/// The number in a flow's frame, or nothing when the frame is not of this flow.
fn number<'a>(name: &str, bytes: &'a [u8]) -> Option<&'a str> {
    let payload = std::str::from_utf8(bytes.get(ETHERNET_HEADER_BYTES..)?).ok()?;
    let mut parts = payload.strip_prefix(name)?.strip_prefix(':')?.split(':');
    parts.next()
}
