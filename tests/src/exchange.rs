//! Everybody on a segment talks with the wire at once, in numbered datagrams: what is stolen, lost or doubled is seen.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use vnet_user::lab::{LabError, Netns, probe};

use crate::{PATIENCE, expected};

/// UDP port of both sides, and TCP port of each party's stream, which has its number added.
const PORT: u16 = 7020;
/// Broadcasts of the wire. Each waits until somebody has heard the one before it.
const BROADCASTS: usize = 10;
/// How often a receiver looks whether it is to end.
const GLANCE: Duration = Duration::from_millis(50);

/// Somebody with an IPv4 address that the wire reaches.
#[derive(Clone, Debug)]
pub struct Party {
    pub name: String,
    pub netns: Netns,
    pub address: Ipv4Addr,
    /// Its address on the wire.
    pub wire: Ipv4Addr,
    /// The broadcast address of its segment, where it hears such.
    pub broadcast: Option<Ipv4Addr>,
}

/// How often each message came.
type Counts = BTreeMap<String, usize>;

/// Lets all parties talk with the wire at once: each asks and is answered, gets the wire's broadcasts, and has a stream both
/// ways. Checks that of all this everything came once.
///
/// # Panics
///
/// When something was lost, came twice, or came to somebody else.
pub fn exchange(what: &str, wire: &Netns, parties: &[Party]) {
    // Resolves addresses, so that no datagram waits for that.
    for party in parties {
        for (from, to) in [(&party.netns, party.wire), (wire, party.address)] {
            let echo = probe::ping(from, to.into(), PATIENCE).unwrap();
            let (here, name) = (from.name(), &party.name);
            assert!(
                echo.is_some(),
                "{what}, {name}: {to} does not answer {here}"
            );
        }
    }
    let (questions, bytes) = match expected::is_emulated() {
        true => (20, 256 << 10),
        false => (200, 4 << 20),
    };
    let server = socket(wire, Ipv4Addr::UNSPECIFIED);
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let answering = scope.spawn(|| answer(&server, &stop));
        let asking: Vec<_> = parties
            .iter()
            .map(|party| scope.spawn(move || ask(what, party, questions)))
            .collect();
        let streaming: Vec<_> = parties
            .iter()
            .zip(PORT..)
            .map(|(party, port)| {
                scope.spawn(move || {
                    let server = SocketAddr::new(party.wire.into(), port);
                    probe::stream(&party.netns, wire, server, bytes, 2 * PATIENCE)
                        .unwrap_or_else(|error| panic!("{what}, {}: {error}", party.name));
                })
            })
            .collect();
        for thread in asking.into_iter().chain(streaming) {
            thread.join().unwrap();
        }
        stop.store(true, Ordering::Relaxed);
        let heard = answering.join().unwrap();
        let names = parties.iter().map(|party| &party.name);
        let wanted: Counts = names
            .flat_map(|name| (0..questions).map(move |n| (format!("{name}:{n}"), 1)))
            .collect();
        assert_eq!(heard, wanted, "{what}: at the wire");
    });
    broadcasts(what, &server, parties);
}

/// Answers what comes, and returns how often each question came.
fn answer(socket: &UdpSocket, stop: &AtomicBool) -> Counts {
    let mut heard = Counts::new();
    while let Some((message, from)) = receive(socket, stop) {
        socket.send_to(message.as_bytes(), from).unwrap();
        *heard.entry(message).or_default() += 1;
    }
    heard
}

/// Asks so many questions, each once the one before it is answered; every answer must come once.
fn ask(what: &str, party: &Party, questions: usize) {
    let Party {
        name,
        netns,
        address,
        wire,
        broadcast: _,
    } = party;
    let socket = socket(netns, *address);
    let mut answers = Counts::new();
    for number in 0..questions {
        let question = format!("{name}:{number}");
        socket.send_to(question.as_bytes(), (*wire, PORT)).unwrap();
        await_message(&socket, &question, &mut answers)
            .unwrap_or_else(|heard| panic!("{what}: no answer to {question}: {heard:?}"));
    }
    let wanted: Counts = (0..questions).map(|n| (format!("{name}:{n}"), 1)).collect();
    assert_eq!(answers, wanted, "{what}: at {name}");
}

/// Broadcasts from the wire, which everybody who hears such must get once.
fn broadcasts(what: &str, wire: &UdpSocket, parties: &[Party]) {
    wire.set_broadcast(true).unwrap();
    let mut listeners: Vec<_> = parties
        .iter()
        .filter_map(|party| {
            let to = party.broadcast?;
            Some((party, to, socket(&party.netns, to), Counts::new()))
        })
        .collect();
    let mut segments: Vec<_> = listeners.iter().map(|(_, to, ..)| *to).collect();
    segments.sort();
    segments.dedup();
    for number in 0..BROADCASTS {
        for to in &segments {
            let message = format!("{to}:{number}");
            wire.send_to(message.as_bytes(), (*to, PORT)).unwrap();
        }
        for (party, to, socket, heard) in &mut listeners {
            await_message(socket, &format!("{to}:{number}"), heard)
                .unwrap_or_else(|heard| panic!("{what}, {}: {to}:{number}: {heard:?}", party.name));
        }
    }
    for (party, to, _, heard) in listeners {
        let wanted: Counts = (0..BROADCASTS).map(|n| (format!("{to}:{n}"), 1)).collect();
        assert_eq!(heard, wanted, "{what}: at {}", party.name);
    }
}

/// Counts what comes until this one has, and gives up after a while.
fn await_message(socket: &UdpSocket, wanted: &str, heard: &mut Counts) -> Result<(), Counts> {
    let (deadline, at_once) = (Instant::now() + PATIENCE, AtomicBool::new(true));
    while !heard.contains_key(wanted) {
        if Instant::now() >= deadline {
            return Err(heard.clone());
        }
        if let Some((message, _)) = receive(socket, &at_once) {
            *heard.entry(message).or_default() += 1;
        }
    }
    Ok(())
}

/// The next message; none, when nothing came for a moment and an end is asked for.
fn receive(socket: &UdpSocket, stop: &AtomicBool) -> Option<(String, SocketAddr)> {
    let mut buffer = [0; 128];
    loop {
        let stopped = stop.load(Ordering::Relaxed);
        match socket.recv_from(&mut buffer) {
            Ok((length, from)) => {
                let message = String::from_utf8_lossy(&buffer[..length]);
                return Some((message.into_owned(), from));
            }
            Err(_) if stopped => return None,
            Err(_) => {}
        }
    }
}

/// A socket that hears what is sent to this address, which may be a broadcast address.
fn socket(netns: &Netns, address: Ipv4Addr) -> UdpSocket {
    let open = || {
        let socket = UdpSocket::bind((address, PORT))?;
        socket.set_read_timeout(Some(GLANCE))?;
        Ok(socket)
    };
    netns
        .run(|| open().map_err(LabError::io("open a UDP socket")))
        .unwrap()
}
