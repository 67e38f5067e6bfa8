//! Network namespaces: named as `ip netns` does, by a path, or by a process.

use std::{
    fs::{File, OpenOptions},
    future::Future,
    os::fd::{AsRawFd, RawFd},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    thread,
};

use nix::sched::{CloneFlags, setns};

use super::error::LinkError;
use crate::model::NetnsId;

/// Where `ip netns` keeps its names.
const NAMED: &str = "/run/netns";
/// Where Docker keeps those of its containers.
const DOCKER: &str = "/run/docker/netns";
/// The magic number of nsfs (`include/uapi/linux/magic.h`).
const NSFS_MAGIC: i64 = 0x6e73_6673;

/// An open network namespace. It lives at least as long as this.
#[derive(Debug)]
pub struct Netns {
    name: String,
    file: File,
    id: NetnsId,
}

impl Netns {
    /// Opens the namespace that `name` means: a path if it has a slash, a process if it is a number,
    /// else a name from `ip netns`.
    ///
    /// # Errors
    ///
    /// When there is none, with the path that was looked at.
    pub fn open(name: &str) -> Result<Self, LinkError> {
        let path = path_of(name);
        if name.is_empty() {
            return Err(LinkError::NotNetns {
                name: name.to_owned(),
                path,
            });
        }
        let missing = |source| LinkError::NoNetns {
            name: name.to_owned(),
            path: path.clone(),
            source,
        };
        // Whatever the path is of, opening it must not wait for anybody (a FIFO would).
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(&path)
            .map_err(missing)?;
        let kind = nix::sys::statfs::fstatfs(&file).map_err(|errno| missing(errno.into()))?;
        let is_net = nsfs_is_net(&file);
        if kind.filesystem_type().0 != NSFS_MAGIC || !is_net {
            return Err(LinkError::NotNetns {
                name: name.to_owned(),
                path,
            });
        }
        let metadata = file.metadata().map_err(missing)?;
        Ok(Self {
            name: name.to_owned(),
            id: NetnsId {
                device: metadata.dev(),
                inode: metadata.ino(),
            },
            file,
        })
    }

    /// The calling thread's own namespace.
    pub fn current() -> Result<Self, LinkError> {
        Self::open("/proc/thread-self/ns/net")
    }

    /// Opens a namespace again that was known as `name`: by that name if it still means the same, else by another
    /// name or a process that is in it.
    ///
    /// # Errors
    ///
    /// [`LinkError::LostNetns`] when it is found by neither.
    pub fn find(name: &str, id: NetnsId) -> Result<Self, LinkError> {
        if let Ok(netns) = Self::open(name)
            && netns.id == id
        {
            return Ok(netns);
        }
        let named = [NAMED, DOCKER].into_iter().flat_map(entries);
        let processes = entries("/proc").filter_map(|path| {
            let pid = path.file_name()?.to_str()?;
            pid.bytes()
                .all(|byte| byte.is_ascii_digit())
                .then(|| path.join("ns/net"))
        });
        named
            .chain(processes)
            .filter_map(|path| Self::open(path.to_str()?).ok())
            .find(|netns| netns.id == id)
            .ok_or_else(|| LinkError::LostNetns {
                name: name.to_owned(),
                id,
            })
    }

    /// Which namespace it is, whatever its name.
    pub fn id(&self) -> NetnsId {
        self.id
    }

    /// The name that it was opened by.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn raw_fd(&self) -> RawFd {
        self.file.as_raw_fd()
    }

    /// Runs `work` inside, on a thread of its own: a namespace belongs to a thread, and a runtime's
    /// thread would carry it across an await.
    ///
    /// # Errors
    ///
    /// When the namespace can't be entered, or what `work` returns.
    pub fn run<T, E, F>(&self, work: impl FnOnce() -> F + Send) -> Result<T, E>
    where
        T: Send,
        E: From<LinkError> + Send,
        F: Future<Output = Result<T, E>>,
    {
        let enter = |source| LinkError::Enter {
            name: self.name.clone(),
            source,
        };
        let inside = || -> Result<T, E> {
            setns(&self.file, CloneFlags::CLONE_NEWNET).map_err(|errno| enter(errno.into()))?;
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(enter)?;
            runtime.block_on(work())
        };
        thread::scope(|scope| match scope.spawn(inside).join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    }
}

/// What is in a folder; nothing when it is not there.
fn entries(dir: &str) -> impl Iterator<Item = PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries.map(|entry| entry.path())
}

fn path_of(name: &str) -> PathBuf {
    if name.contains('/') {
        PathBuf::from(name)
    } else if !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit()) {
        Path::new("/proc").join(name).join("ns/net")
    } else {
        Path::new(NAMED).join(name)
    }
}

/// `ioctl_ns(2)`: the type of the namespace behind a file.
fn nsfs_is_net(file: &File) -> bool {
    const NS_GET_NSTYPE: libc::c_ulong = 0xb703;
    // SAFETY: the request takes no argument, and the file is open.
    let kind = unsafe { libc::ioctl(file.as_raw_fd(), NS_GET_NSTYPE) };
    kind == libc::CLONE_NEWNET
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_paths_and_processes() {
        assert_eq!(path_of("c1"), Path::new("/run/netns/c1"));
        assert_eq!(path_of("42"), Path::new("/proc/42/ns/net"));
        assert_eq!(path_of("/run/x"), Path::new("/run/x"));
    }

    #[test]
    fn other_files_are_no_namespace() {
        let error = Netns::open("/proc/self/ns/mnt").unwrap_err();
        assert!(matches!(error, LinkError::NotNetns { .. }), "{error}");
        let error = Netns::open("/dev/null").unwrap_err();
        assert!(matches!(error, LinkError::NotNetns { .. }), "{error}");
        let dir = tempfile::tempdir().unwrap();
        let fifo = dir.path().join("fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let error = Netns::open(&fifo.display().to_string()).unwrap_err();
        assert!(matches!(error, LinkError::NotNetns { .. }), "{error}");
        let error = Netns::open("nobody-made-this").unwrap_err();
        assert!(matches!(error, LinkError::NoNetns { .. }), "{error}");
    }

    #[test]
    fn a_namespace_is_found_again_by_a_process_in_it() {
        let own = Netns::current().unwrap();
        let found = Netns::find("nobody-made-this", own.id()).unwrap();
        assert_eq!(found.id(), own.id());
        let none = NetnsId {
            device: 0,
            inode: 0,
        };
        let error = Netns::find("c1", none).unwrap_err();
        assert!(matches!(error, LinkError::LostNetns { .. }), "{error}");
    }
}
