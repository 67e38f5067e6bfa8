//! The state on disk: one file, replaced as a whole, and a lock that one command holds at a time.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

use nix::fcntl::{Flock, FlockArg};
use thiserror::Error;

use crate::model::State;

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

impl Store {
    /// Locks the store in `dir`, which is made when missing; waits for a command that holds it,
    /// and says so by `waiting`.
    ///
    /// # Errors
    ///
    /// When the folder or the lock can't be had.
    pub fn lock(dir: &Path, waiting: impl FnOnce()) -> Result<Self, StoreError> {
        let io = |what, path: &Path| {
            let path = path.to_owned();
            move |source| StoreError::Io { what, path, source }
        };
        fs::create_dir_all(dir).map_err(io("make", dir))?;
        let path = dir.join("lock");
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(io("open", &path))?;
        let lock = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => lock,
            Err((file, nix::errno::Errno::EWOULDBLOCK)) => {
                waiting();
                Flock::lock(file, FlockArg::LockExclusive)
                    .map_err(|(_, errno)| io("lock", &path)(errno.into()))?
            }
            Err((_, errno)) => return Err(io("lock", &path)(errno.into())),
        };
        Ok(Self {
            dir: dir.to_owned(),
            _lock: lock,
        })
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
                serde_json::from_slice(&bytes).map_err(|source| StoreError::Syntax { path, source })
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

    fn replace(&self, path: &Path, state: &State) -> io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(&self.dir)?;
        serde_json::to_writer_pretty(&mut file, state)?;
        file.write_all(b"\n")?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        File::open(&self.dir)?.sync_all()
    }

    /// The state file.
    pub fn path(&self) -> PathBuf {
        self.dir.join("state.json")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_saved_is_loaded() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::lock(&dir.path().join("new"), || ()).unwrap();
        assert_eq!(store.load().unwrap(), State::default());
        let state = State {
            boot_id: "b".into(),
            ..State::default()
        };
        store.save(&state).unwrap();
        assert_eq!(store.load().unwrap(), state);
    }

    #[test]
    fn a_broken_file_is_named_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::lock(dir.path(), || ()).unwrap();
        fs::write(dir.path().join("state.json"), "{").unwrap();
        let error = store.load().unwrap_err().to_string();
        assert!(error.contains("state.json"), "{error}");
    }
}
