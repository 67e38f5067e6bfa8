//! The state on disk: one file, replaced as a whole, and a lock that one command holds at a time.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io::{self, BufWriter, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg},
};
use thiserror::Error;

use crate::model::{State, state::FORMAT};

/// The store can't be used.
#[derive(Debug, Error)]
pub enum StoreError {
    #[error("cannot {what} {path}")]
    Io {
        what: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("process {pid} watches already: one `vnet-user serve` is enough")]
    Watched { pid: String },
    #[error("{path} is of a newer vnet (format {found}, this one knows {known}): use that one")]
    Newer {
        path: PathBuf,
        found: u32,
        known: u32,
    },
    #[error("{path} is not vnet's state: mend it or move it away")]
    Syntax {
        path: PathBuf,
        #[source]
        source: serde_json::Error,
    },
}

/// The store, locked. Another command waits until this is dropped, or its process ends.
pub struct Store {
    dir: PathBuf,
    _lock: Flock<File>,
}

/// Held by the process that watches.
pub struct WatchLock {
    _lock: Flock<File>,
}

/// How long a command waits for another before it says so: most take less.
const UNSAID: Duration = Duration::from_millis(300);
const PAUSE: Duration = Duration::from_millis(5);

impl Store {
    /// Locks the store in `dir`, which is made when missing; waits for a command that holds it,
    /// and says by `waiting` which process that is, if it can be told.
    ///
    /// # Errors
    ///
    /// When the folder or the lock can't be had.
    pub fn lock(dir: &Path, waiting: impl FnOnce(Option<u32>)) -> Result<Self, StoreError> {
        let io = |what, path: &Path| {
            let path = path.to_owned();
            move |source| StoreError::Io { what, path, source }
        };
        // For root alone, whatever the umask says: who can open the lock can hold it for ever.
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .map_err(io("make", dir))?;
        let path = dir.join("lock");
        let mut file = private(&path).map_err(io("open", &path))?;
        let said = Instant::now() + UNSAID;
        let lock = loop {
            match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(lock) => break lock,
                Err((again, Errno::EWOULDBLOCK)) if Instant::now() < said => {
                    file = again;
                    thread::sleep(PAUSE);
                }
                Err((file, Errno::EWOULDBLOCK)) => {
                    waiting(holder(&file));
                    break Flock::lock(file, FlockArg::LockExclusive)
                        .map_err(|(_, errno)| io("lock", &path)(errno.into()))?;
                }
                Err((_, errno)) => return Err(io("lock", &path)(errno.into())),
            }
        };
        Ok(Self {
            dir: dir.to_owned(),
            _lock: lock,
        })
    }

    /// Makes this process the one that watches, until what is returned is dropped or the process ends.
    ///
    /// # Errors
    ///
    /// [`StoreError::Watched`] when there is one already.
    pub fn watch(&self) -> Result<WatchLock, StoreError> {
        let path = self.watch_path();
        let io = |what, source| StoreError::Io {
            what,
            path: path.clone(),
            source,
        };
        let file = private(&path).map_err(|source| io("open", source))?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => Ok(WatchLock { _lock: lock }),
            Err((file, Errno::EWOULDBLOCK)) => Err(StoreError::Watched {
                pid: holder(&file).map_or("?".to_owned(), |pid| pid.to_string()),
            }),
            Err((_, errno)) => Err(io("lock", errno.into())),
        }
    }

    /// Whether a process watches. The store's own lock keeps two that ask from getting into each other's way.
    ///
    /// # Errors
    ///
    /// When it can't be told.
    pub fn is_watched(&self) -> Result<bool, StoreError> {
        let path = self.watch_path();
        let io = |source| StoreError::Io {
            what: "look at",
            path: path.clone(),
            source,
        };
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(io(error)),
        };
        match Flock::lock(file, FlockArg::LockSharedNonblock) {
            Ok(_) => Ok(false),
            Err((_, Errno::EWOULDBLOCK)) => Ok(true),
            Err((_, errno)) => Err(io(errno.into())),
        }
    }

    fn watch_path(&self) -> PathBuf {
        self.dir.join("watch")
    }

    /// Reads the state; there is none before the first change.
    ///
    /// # Errors
    ///
    /// When the file can't be read or is not a state.
    pub fn load(&self) -> Result<State, StoreError> {
        let path = self.path();
        match fs::read(&path) {
            Ok(bytes) => {
                let state: State = serde_json::from_slice(&bytes).map_err(|source| {
                    let path = path.clone();
                    StoreError::Syntax { path, source }
                })?;
                match state.format {
                    found if found > FORMAT => Err(StoreError::Newer {
                        path,
                        found,
                        known: FORMAT,
                    }),
                    _ => Ok(state),
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(State::default()),
            Err(source) => Err(StoreError::Io {
                what: "read",
                path,
                source,
            }),
        }
    }

    /// Writes the state. Whatever happens meanwhile, the file is the old one or the new one.
    ///
    /// # Errors
    ///
    /// When the file can't be written; then the old one stands.
    pub fn save(&self, state: &State) -> Result<(), StoreError> {
        let path = self.path();
        self.replace(&path, state).map_err(|source| StoreError::Io {
            what: "write",
            path,
            source,
        })
    }

    /// One name for the new file is enough, since the lock is ours: what a killed process left is overwritten.
    fn replace(&self, path: &Path, state: &State) -> io::Result<()> {
        let new = self.dir.join("state.json.new");
        let file = private(&new)?;
        file.set_len(0)?;
        let mut writer = BufWriter::new(&file);
        serde_json::to_writer_pretty(&mut writer, state)?;
        writer.write_all(b"\n")?;
        writer.flush()?;
        drop(writer);
        file.sync_all()?;
        fs::rename(&new, path)?;
        File::open(&self.dir)?.sync_all()
    }

    /// The state file.
    pub fn path(&self) -> PathBuf {
        self.dir.join("state.json")
    }
}

/// Opens or makes a file that only its owner can open.
fn private(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(path)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    Ok(file)
}

/// The process that holds a lock. The kernel lists locks a piece at a time, and may pass over one while others come and go
/// (`locks_start` in fs/locks.c finds its place by counting): it is asked again.
fn holder(file: &File) -> Option<u32> {
    const TRIES: usize = 10;
    (0..TRIES).find_map(|_| listed_holder(file))
}

/// As `proc_locks(5)` shows it: `1: FLOCK ADVISORY WRITE <pid> <major>:<minor>:<inode> …`.
fn listed_holder(file: &File) -> Option<u32> {
    let inode = file.metadata().ok()?.ino().to_string();
    let locks = fs::read_to_string("/proc/locks").ok()?;
    locks.lines().find_map(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let (kind, pid, of) = (fields.next()?, fields.nth(2)?, fields.next()?);
        let ours = kind == "FLOCK" && of.rsplit(':').next() == Some(inode.as_str());
        ours.then(|| pid.parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_saved_is_loaded() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::lock(&dir.path().join("new"), |_| ()).unwrap();
        assert_eq!(store.load().unwrap(), State::default());
        let state = State {
            boot_id: "b".into(),
            ..State::default()
        };
        store.save(&state).unwrap();
        assert_eq!(store.load().unwrap(), state);
    }

    #[test]
    fn nobody_else_can_open_the_store() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new");
        let store = Store::lock(&path, |_| ()).unwrap();
        store.save(&State::default()).unwrap();
        for (name, expected) in [("", 0o700), ("lock", 0o600), ("state.json", 0o600)] {
            let mode = fs::metadata(path.join(name)).unwrap().mode() & 0o777;
            assert_eq!(mode, expected, "{name}");
        }
        let file = File::open(path.join("lock")).unwrap();
        assert_eq!(holder(&file), Some(std::process::id()));
    }

    #[test]
    fn one_process_watches() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::lock(dir.path(), |_| ()).unwrap();
        assert!(!store.is_watched().unwrap());
        let lock = store.watch().unwrap();
        assert!(store.is_watched().unwrap());
        let pid = std::process::id().to_string();
        assert!(matches!(store.watch(), Err(StoreError::Watched { pid: of }) if of == pid));
        drop(lock);
        assert!(!store.is_watched().unwrap());
        store.watch().unwrap();
    }

    #[test]
    fn a_newer_state_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::lock(dir.path(), |_| ()).unwrap();
        let newer = State {
            format: FORMAT + 1,
            ..State::default()
        };
        store.save(&newer).unwrap();
        assert!(matches!(store.load(), Err(StoreError::Newer { .. })));
    }

    #[test]
    fn a_broken_file_is_named_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::lock(dir.path(), |_| ()).unwrap();
        fs::write(dir.path().join("state.json"), "{").unwrap();
        let error = store.load().unwrap_err().to_string();
        assert!(error.contains("state.json"), "{error}");
    }
}
