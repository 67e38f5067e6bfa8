//! Where an uplink's maps, programs and links are pinned, so that they outlive every process.

use std::{
    fs, io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use super::{
    bpf,
    error::DatapathError,
    load::{CONTAINER_PROGRAMS, FOR_ENDPOINTS, MAPS, XDP_UPLINK},
};

/// The magic number of bpffs (`include/uapi/linux/magic.h`).
const BPF_FS_MAGIC: i64 = 0xcafe_4a11;

/// The pins of one uplink.
#[derive(Clone, Debug)]
pub struct Pins {
    dir: PathBuf,
}

impl Pins {
    /// The pins of `uplink` below `bpf_dir`.
    pub fn new(bpf_dir: &Path, uplink: &str) -> Self {
        Self {
            // bpffs refuses names with a dot, which interface names may have.
            dir: bpf_dir.join(uplink.replace('.', "%")),
        }
    }

    /// The pin of a map.
    pub fn map(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// The pin of a program.
    pub fn program(&self, name: &str) -> PathBuf {
        self.dir.join("programs").join(name)
    }

    /// The pin of the link that attaches a program to the uplink or to an endpoint's host side.
    pub fn link(&self, name: &str) -> PathBuf {
        self.dir.join("links").join(name.replace('.', "%"))
    }

    /// The pin of the link by which an endpoint's netkit host side takes later rounds of copies.
    pub fn rounds_link(&self, host_ifname: &str) -> PathBuf {
        // No interface has a colon in its name.
        self.link(&format!("{host_ifname}:rounds"))
    }

    /// The pin of the link that attaches a program to the container's end of an endpoint's link.
    pub fn container_link(&self, host_ifname: &str, program: &str) -> PathBuf {
        self.link(&format!("{host_ifname}:{program}"))
    }

    /// True if nothing is missing of what the uplink's datapath needs.
    pub fn complete(&self) -> bool {
        let programs = FOR_ENDPOINTS.iter().all(|name| self.program(name).exists());
        programs && MAPS.iter().all(|map| self.map(map).exists())
    }

    /// The interface on which the link of this name holds its program; nothing once it was detached, or the interface
    /// is gone. Where links are not pinned (clsact), the interface itself must be asked.
    ///
    /// Of a netkit pair, the kernel tells the container's end, as that is counted in the container.
    pub fn holds(&self, name: &str) -> Option<u32> {
        let link = bpf::open(&self.link(name)).ok()?;
        let ifindex = bpf::link_ifindex(&link).ok()?;
        (ifindex != 0).then_some(ifindex)
    }

    /// Where maps of another layout are made, to take the place of these.
    pub fn next(&self) -> Self {
        let mut name = self.dir.file_name().unwrap_or_default().to_owned();
        // No interface has a colon in its name, so this is no other uplink's.
        name.push(":next");
        Self {
            dir: self.dir.with_file_name(name),
        }
    }

    /// Puts the maps that are pinned here in the place of `old`'s.
    ///
    /// # Errors
    ///
    /// What the file system says. Those that were moved already stay so.
    pub fn take_over(&self, old: &Self) -> Result<(), DatapathError> {
        for name in MAPS {
            let (from, to) = (self.map(name), old.map(name));
            fs::rename(&from, &to)
                .map_err(|error| DatapathError::io(format!("replace {}", to.display()), error))?;
        }
        self.remove()
    }

    /// Goes by the new name of a renamed uplink. What was moved already is fine.
    ///
    /// # Errors
    ///
    /// What the file system says.
    pub fn rename(&self, to: &Self) -> Result<(), DatapathError> {
        if !self.dir.exists() {
            return Ok(());
        }
        fs::rename(&self.dir, &to.dir)
            .map_err(|error| DatapathError::io(format!("rename {}", self.dir.display()), error))
    }

    /// Whether pins can be made here.
    ///
    /// # Errors
    ///
    /// [`DatapathError::NotBpffs`] where no BPF file system is mounted.
    pub fn check(&self) -> Result<(), DatapathError> {
        let existing = self.dir.ancestors().find(|path| path.exists());
        let existing = existing.unwrap_or(&self.dir);
        // What is there already was taken by its file system; what is still to be made must be.
        let missing = self.dir.strip_prefix(existing).unwrap_or(&self.dir);
        if missing.to_string_lossy().contains('.') {
            return Err(DatapathError::Dot {
                path: self.dir.clone(),
            });
        }
        let kind = nix::sys::statfs::statfs(existing).map_err(|errno| {
            DatapathError::io(format!("look at {}", existing.display()), errno.into())
        })?;
        if kind.filesystem_type().0 == BPF_FS_MAGIC {
            Ok(())
        } else {
            Err(DatapathError::NotBpffs {
                path: self.dir.clone(),
            })
        }
    }

    /// Makes the folders.
    ///
    /// # Errors
    ///
    /// As [`Pins::check`], and what the file system says.
    pub fn create(&self) -> Result<(), DatapathError> {
        self.check()?;
        for dir in [self.dir.join("programs"), self.dir.join("links")] {
            // For root alone, whatever the umask says: who can remove a pin detaches a program.
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&dir)
                .map_err(|error| DatapathError::io(format!("make {}", dir.display()), error))?;
        }
        Ok(())
    }

    /// True if the container's end of an endpoint's link has both its programs by pinned links.
    pub fn has_container_links(&self, host_ifname: &str) -> bool {
        let mut programs = CONTAINER_PROGRAMS.iter();
        programs.all(|program| self.container_link(host_ifname, program).exists())
    }

    /// Removes the link pins of one endpoint's host side, which detaches its program. What is gone is fine.
    pub fn remove_link(&self, host_ifname: &str) -> Result<(), DatapathError> {
        for link in [self.link(host_ifname), self.rounds_link(host_ifname)] {
            remove(fs::remove_file(&link), &link)?;
        }
        Ok(())
    }

    /// The same for the container's end.
    pub fn remove_container_links(&self, host_ifname: &str) -> Result<(), DatapathError> {
        for program in CONTAINER_PROGRAMS {
            let link = self.container_link(host_ifname, program);
            remove(fs::remove_file(&link), &link)?;
        }
        Ok(())
    }

    /// Detaches the uplink's XDP program, and removes the pin of its link. What is gone is fine.
    pub fn remove_xdp_link(&self) -> Result<(), DatapathError> {
        let pin = self.link(XDP_UPLINK);
        // Without a pin the kernel takes its time, and in the meantime neither another mode nor LRO can be had.
        if let Ok(link) = bpf::open(&pin) {
            let detached = bpf::detach_link(&link);
            detached.map_err(|e| DatapathError::io(format!("detach {}", pin.display()), e))?;
        }
        remove(fs::remove_file(&pin), &pin)
    }

    /// Removes all pins, which detaches every program that is attached by a link.
    pub fn remove(&self) -> Result<(), DatapathError> {
        remove(fs::remove_dir_all(&self.dir), &self.dir)
    }
}

fn remove(result: io::Result<()>, path: &Path) -> Result<(), DatapathError> {
    match result {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(DatapathError::io(
            format!("remove {}", path.display()),
            error,
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bpffs_gets_no_dots() {
        let pins = Pins::new(Path::new("/sys/fs/bpf/vnet"), "my.nic");
        assert_eq!(pins.map("fdb"), Path::new("/sys/fs/bpf/vnet/my%nic/fdb"));
        let next = Path::new("/sys/fs/bpf/vnet/my%nic:next/fdb");
        assert_eq!(pins.next().map("fdb"), next);
    }
}
