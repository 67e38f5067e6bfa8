//! Frames that vnet may drop.

use vnet_user::lab::{EthernetFrame, LabError, RawSocket};

/// Sends one frame, which may be dropped: of that netkit tells the sender.
///
/// # Panics
///
/// When the kernel refuses for another reason.
pub fn send_even_if_dropped(socket: &RawSocket, frame: &EthernetFrame) {
    match socket.send(frame) {
        Err(LabError::Io { source, .. }) if source.raw_os_error() == Some(libc::ENOBUFS) => {}
        sent => sent.unwrap(),
    }
}
