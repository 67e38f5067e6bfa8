//! A UDP server that tells each client which address it was seen with: how a lab sees that an address was translated.

use std::{
    net::{SocketAddr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crate::lab::{LabError, Netns, Result};

/// How often the server looks whether it shall end.
const PATIENCE: Duration = Duration::from_millis(50);
/// Between two questions of one client.
const INTERVAL: Duration = Duration::from_millis(200);

/// A running server; ends when dropped.
#[derive(Debug)]
pub struct WhoAmI {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl WhoAmI {
    /// Answers on this address inside the namespace.
    ///
    /// # Errors
    ///
    /// [`LabError::Io`] when the address is not there, or taken.
    pub fn serve(netns: &Netns, address: SocketAddr) -> Result<Self> {
        let socket = netns.run(|| {
            UdpSocket::bind(address).map_err(LabError::io(format!("listen on UDP {address}")))
        })?;
        socket
            .set_read_timeout(Some(PATIENCE))
            .map_err(LabError::io("set a time limit"))?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let mut question = [0; 64];
            while !stopped.load(Ordering::Relaxed) {
                if let Ok((_, client)) = socket.recv_from(&mut question) {
                    // A client that is gone asks no more.
                    let _ = socket.send_to(client.ip().to_string().as_bytes(), client);
                }
            }
        });
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }
}

impl Drop for WhoAmI {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Asks a [`WhoAmI`] server, again and again until it answers or the time is up. Returns the address that it saw, in words.
///
/// # Errors
///
/// [`LabError::Io`] when no socket can be made, or there is no route.
pub fn who_am_i(netns: &Netns, server: SocketAddr, within: Duration) -> Result<Option<String>> {
    let any: SocketAddr = if server.is_ipv4() {
        ([0, 0, 0, 0], 0).into()
    } else {
        ([0_u16; 8], 0).into()
    };
    let socket = netns.run(|| UdpSocket::bind(any).map_err(LabError::io("open a UDP socket")))?;
    socket
        .set_read_timeout(Some(INTERVAL))
        .map_err(LabError::io("set a time limit"))?;
    let deadline = Instant::now() + within;
    let mut answer = [0; 64];
    while Instant::now() < deadline {
        socket
            .send_to(b"who am I?", server)
            .map_err(LabError::io(format!("ask {server}")))?;
        if let Ok((length, from)) = socket.recv_from(&mut answer)
            && from == server
        {
            return Ok(Some(
                String::from_utf8_lossy(&answer[..length]).into_owned(),
            ));
        }
    }
    Ok(None)
}
