//! Traffic between two places, and what it tells.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::socket::{setsockopt, sockopt};
use vnet_user::lab::{LabError, Netns};

/// Where traffic begins or ends.
pub struct Place {
    netns: Netns,
    address: Ipv4Addr,
}

/// A kind of traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Load {
    /// TCP, as much as there is room for.
    Stream,
    /// A byte by TCP, and a byte back.
    Requests,
    /// A datagram there, and back.
    RoundTrip,
    /// Datagrams of 18 bytes, as many as are sent.
    SmallPackets,
}

/// What one call of a stream's sender hands over.
const CHUNK: usize = 128 << 10;
/// The smallest that fills an Ethernet frame of 64 bytes with its headers and its check sequence.
const DATAGRAM: [u8; 18] = [0; 18];
/// How long flows run before they are measured.
const START: Duration = Duration::from_millis(50);
/// How often who waits for a datagram looks whether there will be none.
const GLANCE: Duration = Duration::from_millis(20);
/// What a receiver of small packets may have waiting.
const RECEIVE_BUFFER: usize = 8 << 20;

impl Place {
    pub fn new(netns: &Netns, address: Ipv4Addr) -> Self {
        Self {
            netns: netns.clone(),
            address,
        }
    }

    fn udp(&self) -> UdpSocket {
        let bind = || UdpSocket::bind((self.address, 0)).map_err(LabError::io("open a socket"));
        self.netns.run(bind).unwrap()
    }
}

impl Load {
    pub const ALL: [Self; 4] = [
        Self::Stream,
        Self::Requests,
        Self::RoundTrip,
        Self::SmallPackets,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Stream => "TCP stream",
            Self::Requests => "TCP request and response",
            Self::RoundTrip => "UDP round trip",
            Self::SmallPackets => "UDP, 18 bytes",
        }
    }

    /// Of each figure that [`Load::measure`] returns.
    pub fn units(self) -> &'static [&'static str] {
        match self {
            Self::Stream => &["Gbit/s"],
            Self::Requests => &["1/s"],
            Self::RoundTrip => &["µs, median", "µs, 99th percentile"],
            Self::SmallPackets => &["1/s received"],
        }
    }

    /// Lets flows run for a while, and returns what they came to.
    pub fn measure(self, from: &Place, to: &Place, flows: usize, time: Duration) -> Vec<f64> {
        match self {
            Self::Stream => {
                let bytes = tcp(from, to, flows, time, send_chunks, count_bytes);
                vec![bytes * 8.0 / 1e9]
            }
            Self::Requests => vec![tcp(from, to, flows, time, ask, answer)],
            Self::RoundTrip => round_trips(from, to, time),
            Self::SmallPackets => vec![small_packets(from, to, flows, time)],
        }
    }
}

/// What of a flow counts, until its end.
struct Count {
    sum: AtomicU64,
    ended: AtomicBool,
}

impl Count {
    fn new() -> Self {
        Self {
            sum: AtomicU64::new(0),
            ended: AtomicBool::new(false),
        }
    }

    fn add(&self, more: usize) {
        self.sum.fetch_add(more as u64, Ordering::Relaxed);
    }

    fn goes_on(&self) -> bool {
        !self.ended.load(Ordering::Relaxed)
    }

    /// Lets it run, and returns how much it counts in a second.
    fn rate(&self, time: Duration) -> f64 {
        thread::sleep(START);
        let (start, before) = (Instant::now(), self.sum.load(Ordering::Relaxed));
        thread::sleep(time);
        let counted = self.sum.load(Ordering::Relaxed) - before;
        let rate = counted as f64 / start.elapsed().as_secs_f64();
        self.ended.store(true, Ordering::Relaxed);
        rate
    }
}

/// One end of a TCP flow, until that is cut.
type End = fn(&mut TcpStream, &Count) -> std::io::Result<()>;

fn tcp(from: &Place, to: &Place, flows: usize, time: Duration, near: End, far: End) -> f64 {
    let listen = || TcpListener::bind((to.address, 0)).map_err(LabError::io("listen"));
    let listener = to.netns.run(listen).unwrap();
    let address = listener.local_addr().unwrap();
    let connect = || TcpStream::connect(address).map_err(LabError::io("connect"));
    let pairs: Vec<_> = (0..flows)
        .map(|_| {
            let near = from.netns.run(connect).unwrap();
            let (far, _) = listener.accept().unwrap();
            [near, far].map(|end| {
                end.set_nodelay(true).unwrap();
                end
            })
        })
        .collect();
    let count = Count::new();
    thread::scope(|scope| {
        for [one, other] in &pairs {
            for (end, run) in [(one, near), (other, far)] {
                let (mut end, count) = (end.try_clone().unwrap(), &count);
                // It ends by an error when it is cut.
                scope.spawn(move || _ = run(&mut end, count));
            }
        }
        let rate = count.rate(time);
        for end in pairs.iter().flatten() {
            // Where the other end was cut first, it is no longer connected.
            let _ = end.shutdown(Shutdown::Both);
        }
        rate
    })
}

fn send_chunks(end: &mut TcpStream, count: &Count) -> std::io::Result<()> {
    let chunk = vec![0; CHUNK];
    while count.goes_on() {
        end.write_all(&chunk)?;
    }
    Ok(())
}

fn count_bytes(end: &mut TcpStream, count: &Count) -> std::io::Result<()> {
    let mut chunk = vec![0; CHUNK];
    while count.goes_on() {
        match end.read(&mut chunk)? {
            0 => break,
            bytes => count.add(bytes),
        }
    }
    Ok(())
}

fn ask(end: &mut TcpStream, count: &Count) -> std::io::Result<()> {
    let mut byte = [0];
    while count.goes_on() {
        end.write_all(&byte)?;
        end.read_exact(&mut byte)?;
        count.add(1);
    }
    Ok(())
}

fn answer(end: &mut TcpStream, count: &Count) -> std::io::Result<()> {
    let mut byte = [0];
    while count.goes_on() {
        end.read_exact(&mut byte)?;
        end.write_all(&byte)?;
    }
    Ok(())
}

/// The median and the 99th percentile, in microseconds.
fn round_trips(from: &Place, to: &Place, time: Duration) -> Vec<f64> {
    let (near, far) = (from.udp(), to.udp());
    near.connect(far.local_addr().unwrap()).unwrap();
    far.connect(near.local_addr().unwrap()).unwrap();
    for socket in [&near, &far] {
        socket.set_read_timeout(Some(GLANCE)).unwrap();
    }
    let count = Count::new();
    let mut trips = thread::scope(|scope| {
        scope.spawn(|| {
            let mut datagram = DATAGRAM;
            while count.goes_on() {
                if far.recv(&mut datagram).is_ok() {
                    far.send(&datagram).unwrap();
                }
            }
        });
        let mut trips = Vec::new();
        let (start, mut datagram) = (Instant::now(), DATAGRAM);
        while start.elapsed() < time {
            let sent = Instant::now();
            near.send(&datagram).unwrap();
            near.recv(&mut datagram).expect("a datagram comes back");
            trips.push(sent.elapsed());
        }
        count.ended.store(true, Ordering::Relaxed);
        trips
    });
    trips.sort();
    let at = |part: usize| trips[(trips.len() - 1) * part / 100].as_secs_f64() * 1e6;
    vec![at(50), at(99)]
}

/// How many are received in a second.
fn small_packets(from: &Place, to: &Place, flows: usize, time: Duration) -> f64 {
    let pairs: Vec<_> = (0..flows)
        .map(|_| {
            let (near, far) = (from.udp(), to.udp());
            near.connect(far.local_addr().unwrap()).unwrap();
            setsockopt(&far, sockopt::RcvBufForce, &RECEIVE_BUFFER).unwrap();
            far.set_read_timeout(Some(GLANCE)).unwrap();
            (near, far)
        })
        .collect();
    let count = Count::new();
    thread::scope(|scope| {
        for (near, far) in &pairs {
            scope.spawn(|| {
                while count.goes_on() {
                    // One for which there is no room is one that is not received.
                    let _ = near.send(&DATAGRAM);
                }
            });
            scope.spawn(|| {
                let mut datagram = DATAGRAM;
                while count.goes_on() {
                    if far.recv(&mut datagram).is_ok() {
                        count.add(1);
                    }
                }
            });
        }
        count.rate(time)
    })
}
