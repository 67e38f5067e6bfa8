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

/// From one frame to the next. Shorter than a program's absence could be, and long enough that no queue on the way fills up.
const PACE: Duration = Duration::from_micros(50);

/// A flow from one socket to another, on threads of its own.
pub struct Flow {
    name: &'static str,
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU32>,
    sender: JoinHandle<u32>,
    receiver: JoinHandle<Vec<u32>>,
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
        let (stop, sent) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicU32::new(0)),
        );
        let (stopped, counter) = (Arc::clone(&stop), Arc::clone(&sent));
        let sender = thread::spawn(move || {
            let mut number = 0;
            while !stopped.load(Ordering::Relaxed) {
                from.send(name, to, &number.to_string());
                number += 1;
                counter.store(number, Ordering::Relaxed);
                thread::sleep(PACE);
            }
            from.send(name, to, LAST);
            number
        });
        let receiver = thread::spawn(move || counts(name, &ears));
        Self {
            name,
            stop,
            sent,
            sender,
            receiver,
        }
    }

    /// Frames sent so far.
    pub fn sent(&self) -> u32 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Waits until this many frames were sent.
    ///
    /// # Panics
    ///
    /// When it takes too long.
    pub fn wait_sent(&self, at_least: u32) {
        let deadline = Instant::now() + PATIENCE;
        while self.sent() < at_least {
            assert!(
                Instant::now() < deadline,
                "{}: only {} sent",
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
    pub fn finish(self) -> u32 {
        self.stop.store(true, Ordering::Relaxed);
        let sent = self.sender.join().unwrap();
        let mut counts = self.receiver.join().unwrap();
        counts.resize(sent as usize, 0);
        let with = |wanted: fn(u32) -> bool| -> Vec<usize> {
            let found = counts
                .iter()
                .enumerate()
                .filter(|(_, count)| wanted(**count));
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

/// Stands in the place of the number in a flow's last frame.
const LAST: &str = "last";

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

/// How often each number came, until the last frame came or none for a long time.
fn counts(name: &str, ears: &RawSocket) -> Vec<u32> {
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
    }
    assert_eq!(
        ears.dropped().unwrap(),
        0,
        "{name}: the listener was too slow"
    );
    counts
}

/// The number in a flow's frame, or nothing when the frame is not of this flow.
fn number<'a>(name: &str, bytes: &'a [u8]) -> Option<&'a str> {
    let payload = std::str::from_utf8(bytes.get(ETHERNET_HEADER_BYTES..)?).ok()?;
    payload
        .strip_prefix(name)?
        .strip_prefix(':')?
        .split(':')
        .next()
}
