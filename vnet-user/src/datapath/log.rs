//! What the programs say, for people who debug them.

use aya::Ebpf;
use aya_log::EbpfLogger;
use tokio::io::unix::AsyncFd;

use super::error::DatapathError;

/// Prints the programs' log records to standard error until the future is dropped.
///
/// # Errors
///
/// When the records can't be read.
pub async fn follow(ebpf: &mut Ebpf) -> Result<(), DatapathError> {
    let io = |error| DatapathError::io("read the programs' log", error);
    let other = |error: String| io(std::io::Error::other(error));
    let logger =
        EbpfLogger::init_with_logger(ebpf, Stderr).map_err(|error| other(error.to_string()))?;
    // SAFETY: the logger owns its ring buffer's descriptor, keeps it open and never changes it.
    let registered = unsafe { AsyncFd::register(logger) };
    let mut logger = registered.map_err(|error| other(error.to_string()))?;
    loop {
        let mut ready = logger.readable_mut().await.map_err(io)?;
        ready.get_inner_mut().flush();
        ready.clear_ready();
    }
}

struct Stderr;

impl log::Log for Stderr {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        eprintln!(
            "{}: {}",
            record.level().as_str().to_lowercase(),
            record.args()
        );
    }

    fn flush(&self) {}
}
