//! Where things lie: the workspace's root and the paths below cargo's target directory.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// The workspace's directories.
pub struct Workspace {
    root: PathBuf,
    target: PathBuf,
}

impl Workspace {
    /// Finds the workspace this command was started in.
    ///
    /// `cargo run` passes `CARGO_MANIFEST_DIR`; it comes before the path compiled in, so that a moved tree works.
    pub fn find() -> anyhow::Result<Self> {
        let manifest_dir = env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = manifest_dir
            .parent()
            .with_context(|| format!("{} has no parent directory", manifest_dir.display()))?
            .to_path_buf();
        let target = match env::var_os("CARGO_TARGET_DIR") {
            // Cargo reads a relative path from the directory it is started in, which `cargo xtask` passes on to us.
            Some(dir) => env::current_dir()
                .context("cannot read the current directory")?
                .join(dir),
            None => root.join("target"),
        };
        Ok(Self { root, target })
    }

    /// The directory of the workspace's `Cargo.toml`.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Cargo's target directory, absolute.
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// Target directory of the eBPF build: its flags differ, and in its own directory neither build evicts the other.
    pub fn bpf_target(&self) -> PathBuf {
        self.target.join("bpf")
    }

    /// The eBPF object that vnet-user's build script includes.
    pub fn bpf_object(&self) -> PathBuf {
        self.bpf_target().join("vnet-ebpf.o")
    }

    /// The release binary.
    pub fn vnet_user(&self) -> PathBuf {
        self.target.join("release/vnet-user")
    }

    /// Kernels, initramfs images and the logs of virtual machines.
    pub fn vm(&self) -> PathBuf {
        self.target.join("vm")
    }

    /// What benchmarks measured.
    pub fn bench(&self) -> PathBuf {
        self.target.join("bench")
    }

    /// Open vSwitch, one directory for each suite.
    pub fn openvswitch(&self) -> PathBuf {
        self.target.join("openvswitch")
    }

    /// systemd, one directory for each suite.
    pub fn systemd(&self) -> PathBuf {
        self.target.join("systemd")
    }

    /// Docker engines, one directory for each suite.
    pub fn docker(&self) -> PathBuf {
        self.target.join("docker")
    }
}
