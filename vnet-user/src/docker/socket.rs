//! The socket that dockerd calls: HTTP/1 with a JSON body, a call at a time.

use std::{
    fs, io,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    os::{fd::FromRawFd as _, unix::net::UnixStream},
    path::{Path, PathBuf},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt as _, Full};
use hyper::{
    Method, StatusCode, body::Incoming, header::CONTENT_TYPE, server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use thiserror::Error;
use tokio::{
    net::UnixListener,
    sync::{Semaphore, mpsc, oneshot},
    task::AbortHandle,
};

use super::driver::Answer;

/// Longest body. Docker's are some hundred bytes, and a network's options a few thousand at most.
const LONGEST_BODY: usize = 1 << 20;
/// Connections at a time; others wait. dockerd keeps two.
const CONNECTIONS: usize = 64;
/// Time for a call's head to come in, and for its body.
const TIMEOUT: Duration = Duration::from_secs(30);
/// What Docker's plugin protocol answers with.
const MEDIA_TYPE: &str = "application/vnd.docker.plugins.v1.2+json";

/// A call, with the way back for its answer.
pub struct Call {
    /// The path without its `/`, such as `NetworkDriver.Join`.
    pub method: String,
    pub body: Bytes,
    answer: oneshot::Sender<Answer>,
}

impl Call {
    /// Nobody waits for the answer any more.
    pub fn is_abandoned(&self) -> bool {
        self.answer.is_closed()
    }

    /// Answers it. A caller that is gone is fine: it asks again, or has given up.
    pub fn answer(self, answer: Answer) {
        let _ = self.answer.send(answer);
    }
}

/// Calls as they come.
pub struct Calls {
    calls: mpsc::Receiver<Call>,
    /// Who comes after it has ended is not for this process: under systemd, the next one finds them waiting.
    accepting: AbortHandle,
    /// Goes with it; `None` for a socket of systemd, which stays.
    _file: Option<SocketFile>,
}

/// Why there is no socket.
#[derive(Debug, Error)]
pub enum SocketError {
    #[error("cannot listen for Docker on {path}: {source}")]
    Listen { path: PathBuf, source: io::Error },
    #[error("the socket that systemd gave: {0}")]
    Systemd(io::Error),
    #[error(
        "another process listens for Docker on {0}: end it first, or give --docker-socket another path"
    )]
    Taken(PathBuf),
}

impl Calls {
    /// Listens, on the socket that systemd has opened if it has (`sd_listen_fds(3)`), else on `path`; only root may call.
    /// Must run within a tokio runtime.
    ///
    /// # Errors
    ///
    /// When the socket can't be made, or another process has it.
    pub fn listen(path: &Path) -> Result<Self, SocketError> {
        if let Some(listener) = from_systemd().map_err(SocketError::Systemd)? {
            return Ok(Self::on(listener, None));
        }
        if UnixStream::connect(path).is_ok() {
            return Err(SocketError::Taken(path.to_owned()));
        }
        let bound = bind(path).and_then(|listener| Ok((listener, SocketFile::at(path)?)));
        let (listener, file) = bound.map_err(|source| SocketError::Listen {
            path: path.to_owned(),
            source,
        })?;
        Ok(Self::on(listener, Some(file)))
    }

    fn on(listener: UnixListener, file: Option<SocketFile>) -> Self {
        let (sender, calls) = mpsc::channel(1);
        let accepting = tokio::spawn(accept(listener, sender)).abort_handle();
        Self {
            calls,
            accepting,
            _file: file,
        }
    }

    /// Waits for the next call.
    pub async fn next(&mut self) -> Option<Call> {
        self.calls.recv().await
    }
}

impl Drop for Calls {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// A socket's file, removed when this is dropped, unless another has taken its place.
struct SocketFile {
    path: PathBuf,
    /// Device and inode.
    is: (u64, u64),
}

impl SocketFile {
    fn at(path: &Path) -> io::Result<Self> {
        let is = identity(path)?;
        let path = path.to_owned();
        Ok(Self { path, is })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|now| now == self.is) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let metadata = fs::symlink_metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

fn from_systemd() -> io::Result<Option<UnixListener>> {
    let Some(fd) = sd_notify::listen_fds()?.next() else {
        return Ok(None);
    };
    // SAFETY: systemd opened it for this process, and nobody else here has taken it.
    let listener = unsafe { std::os::unix::net::UnixListener::from_raw_fd(fd) };
    listener.set_nonblocking(true)?;
    UnixListener::from_std(listener).map(Some)
}

/// Under another name first, so that nobody who may not finds it open for an instant, and what a process that was killed
/// has left is replaced.
fn bind(path: &Path) -> io::Result<UnixListener> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    let mut hidden = path.as_os_str().to_owned();
    hidden.push(".new");
    match fs::remove_file(&hidden) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&hidden)?;
    fs::set_permissions(&hidden, fs::Permissions::from_mode(0o600))?;
    fs::rename(&hidden, path)?;
    Ok(listener)
}

/// Nobody takes calls any more. The connection is closed without an answer, so dockerd asks again: an answer would be final.
#[derive(Debug, Error)]
#[error("vnet-user serve is ending")]
struct Ending;

async fn accept(listener: UnixListener, calls: mpsc::Sender<Call>) {
    let connections = std::sync::Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(permit) = connections.clone().acquire_owned().await else {
            return;
        };
        let Ok((stream, _)) = listener.accept().await else {
            // Out of file descriptors: some come back.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let calls = calls.clone();
        tokio::spawn(async move {
            let service = service_fn(|request| respond(request, calls.clone()));
            let _ = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(TIMEOUT)
                .serve_connection(TokioIo::new(stream), service)
                .await;
            drop(permit);
        });
    }
}

async fn respond(
    request: hyper::Request<Incoming>,
    calls: mpsc::Sender<Call>,
) -> Result<hyper::Response<Full<Bytes>>, Ending> {
    let answer = match read_call(request).await {
        Ok((method, body)) => ask(method, body, &calls).await?,
        Err(malformed) => Answer::Malformed(malformed),
    };
    let (status, value) = answer.into_parts();
    let mut response = hyper::Response::new(Full::new(Bytes::from(value.to_string())));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    let media_type = hyper::header::HeaderValue::from_static(MEDIA_TYPE);
    response.headers_mut().insert(CONTENT_TYPE, media_type);
    Ok(response)
}

/// A call's method and body.
async fn read_call(request: hyper::Request<Incoming>) -> Result<(String, Bytes), String> {
    if request.method() != Method::POST {
        return Err(format!("{}: POST was expected", request.method()));
    }
    let method = request.uri().path().trim_start_matches('/').to_owned();
    let body = tokio::time::timeout(TIMEOUT, read(request.into_body())).await;
    let body = body.unwrap_or_else(|_| Err("the body did not come in time".to_owned()))?;
    Ok((method, body))
}

async fn ask(method: String, body: Bytes, calls: &mpsc::Sender<Call>) -> Result<Answer, Ending> {
    let (answer, answered) = oneshot::channel();
    let call = Call {
        method,
        body,
        answer,
    };
    calls.send(call).await.map_err(|_| Ending)?;
    answered.await.map_err(|_| Ending)
}

/// Also what is too long is read to its end, or the caller would get no answer; but it is not kept.
async fn read(mut body: Incoming) -> Result<Bytes, String> {
    let mut all = BytesMut::new();
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| format!("the body: {error}"))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        length += data.len();
        if length <= LONGEST_BODY {
            all.extend_from_slice(&data);
        }
    }
    match length {
        ..=LONGEST_BODY => Ok(all.freeze()),
        _ => Err(format!(
            "the body: {length} bytes, where {LONGEST_BODY} are the limit"
        )),
    }
}
