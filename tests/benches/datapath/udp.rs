//! A process in a container that sends datagrams.

use std::net::{Ipv4Addr, UdpSocket};
use std::time::Instant;

use vnet_user::lab::LabError;

use crate::bed::Container;

/// The smallest that fill an Ethernet frame of 64 bytes with its headers and its check sequence.
const DATAGRAM: [u8; 18] = [0; 18];
/// The port of the discard service (RFC 863).
const PORT: u16 = 9;

/// Sends so many to an address, and returns how long that took, in nanoseconds.
pub fn send(from: &Container, to: Ipv4Addr, packets: u64) -> u64 {
    let connect = || {
        let socket = UdpSocket::bind((from.address, 0))?;
        socket.connect((to, PORT))?;
        Ok(socket)
    };
    let socket = from
        .netns
        .run(|| connect().map_err(LabError::io("open a socket")))
        .unwrap();
    let start = Instant::now();
    for _ in 0..packets {
        socket.send(&DATAGRAM).unwrap();
    }
    start.elapsed().as_nanos() as u64
}
