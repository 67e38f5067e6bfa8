//! A TCP stream both ways, every byte checked: the work that finds broken checksums and segmentation.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

use crate::lab::{LabError, Netns, Result};

/// Written at once, so that the kernel has large segments to make of it.
const CHUNK_BYTES: usize = 256 * 1024;

/// A finished transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// Bytes that arrived as they were sent, each way.
    pub bytes: u64,
    /// For both ways together.
    pub took: Duration,
}

/// Sends `bytes` from the client to a server at `address`, then as many others back, and compares each with what was sent.
///
/// # Errors
///
/// [`LabError::Io`] when no connection comes about or it stalls for longer than `within`; [`LabError::Unexpected`] when
/// the content differs.
pub fn stream(
    client: &Netns,
    server: &Netns,
    address: SocketAddr,
    bytes: u64,
    within: Duration,
) -> Result<Transfer> {
    let listener = server.run(|| {
        TcpListener::bind(address).map_err(LabError::io(format!("listen on TCP {address}")))
    })?;
    let begun = Instant::now();
    thread::scope(|scope| {
        let serving = scope.spawn(move || {
            let mut connection = accept(&listener, within)?;
            receive(&mut connection, Pattern::new(1), bytes)?;
            send(&mut connection, Pattern::new(2), bytes)
        });
        let asked = client.run(|| {
            TcpStream::connect_timeout(&address, within)
                .map_err(LabError::io(format!("connect to TCP {address}")))
        });
        let asked = asked.and_then(|mut connection| {
            limit(&connection, within)?;
            send(&mut connection, Pattern::new(1), bytes)?;
            receive(&mut connection, Pattern::new(2), bytes)
        });
        let served = match serving.join() {
            Ok(served) => served,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        // The client's failure is mostly the cause of the server's.
        asked.and(served)
    })?;
    Ok(Transfer {
        bytes,
        took: begun.elapsed(),
    })
}

/// Accepts one connection, but does not wait for ever: the client may not get through at all.
fn accept(listener: &TcpListener, within: Duration) -> Result<TcpStream> {
    use std::os::fd::AsRawFd as _;

    let ready = crate::lab::packet::wait_readable([listener.as_raw_fd()], Some(within))
        .map_err(LabError::io("wait for a TCP connection"))?;
    if ready == [false] {
        return Err(LabError::Timeout {
            what: "a TCP connection".to_owned(),
            within,
        });
    }
    let (connection, _) = listener
        .accept()
        .map_err(LabError::io("accept a TCP connection"))?;
    limit(&connection, within)?;
    Ok(connection)
}

fn limit(connection: &TcpStream, within: Duration) -> Result<()> {
    connection
        .set_read_timeout(Some(within))
        .and_then(|()| connection.set_write_timeout(Some(within)))
        .map_err(LabError::io("set a time limit"))
}

fn send(connection: &mut TcpStream, mut pattern: Pattern, bytes: u64) -> Result<()> {
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut left = bytes;
    while left > 0 {
        let now = chunk.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        pattern.fill(&mut chunk[..now]);
        connection
            .write_all(&chunk[..now])
            .map_err(LabError::io(format!(
                "send the last {left} of {bytes} bytes"
            )))?;
        left -= now as u64;
    }
    // The connection stays open for the other direction; only large transfers would notice if it did not.
    let _ = connection.flush();
    Ok(())
}

fn receive(connection: &mut TcpStream, mut pattern: Pattern, bytes: u64) -> Result<()> {
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut wanted = vec![0; CHUNK_BYTES];
    let mut left = bytes;
    while left > 0 {
        let room = chunk.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let got = connection
            .read(&mut chunk[..room])
            .map_err(LabError::io(format!(
                "receive the last {left} of {bytes} bytes"
            )))?;
        pattern.fill(&mut wanted[..got]);
        if got == 0 || chunk[..got] != wanted[..got] {
            let _ = connection.shutdown(Shutdown::Both);
            return Err(LabError::Unexpected {
                expected: format!("{bytes} bytes as they were sent"),
                found: if got == 0 {
                    format!("an end {left} bytes before the last")
                } else {
                    format!("a difference about {left} bytes before the last")
                },
            });
        }
        left -= got as u64;
    }
    Ok(())
}

/// Bytes that do not repeat within any length that a lost or doubled segment could have (xorshift64).
#[derive(Clone, Debug)]
struct Pattern {
    state: u64,
    /// Bytes of the current word that are still to come.
    rest: usize,
}

impl Pattern {
    fn new(seed: u64) -> Self {
        Self {
            state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            rest: 0,
        }
    }

    fn fill(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            if self.rest == 0 {
                self.state ^= self.state << 13;
                self.state ^= self.state >> 7;
                self.state ^= self.state << 17;
                self.rest = 8;
            }
            self.rest -= 1;
            *byte = (self.state >> (8 * self.rest)) as u8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_does_not_depend_on_how_it_is_cut() {
        let mut whole = [0; 100];
        Pattern::new(1).fill(&mut whole);
        let mut cut = [0; 100];
        let mut pattern = Pattern::new(1);
        pattern.fill(&mut cut[..13]);
        pattern.fill(&mut cut[13..]);
        assert_eq!(whole, cut);
        assert_ne!(whole[..50], whole[50..]);
    }
}
