//! The runs: which tests, on which kernel, and what they are to find there.
//!
//! To add one, add a line to [`MACHINES`]; a new kernel is a [`Flavour`] in `vm/kernel.rs`.

use std::fs;
use std::path::Path;

use anyhow::Context as _;

use crate::vm::kernel::{Flavour, Kernel, LINUX_6_1, LINUX_6_12};
use crate::vm::{self, disk, nics};
use crate::workspace::Workspace;

/// One run of a test executable in one environment.
pub struct Run {
    pub label: String,
    /// The hook that vnet must choose here: `tcx` or `clsact`. A test fails when it finds another.
    hook: &'static str,
    /// The endpoint device to use: `veth` or `netkit`.
    endpoint_device: &'static str,
    /// Whether the kernel has 802.1Q devices to compare with.
    has_8021q: bool,
    /// Whether it runs in an emulated machine.
    emulated: bool,
    /// Whether there are the emulated NICs of [`nics`].
    pub has_nics: bool,
    /// Whether there is a disk that stays, so that each test is a boot of its own.
    pub has_disk: bool,
    /// Whether long tests do all, though the machine is emulated.
    pub full: bool,
}

/// A run in a virtual machine.
pub struct Machine {
    pub flavour: Flavour,
    hook: &'static str,
    endpoint_device: &'static str,
    pub tests: Tests,
}

/// Which tests a machine runs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Tests {
    /// The whole lab.
    Lab,
    /// Those of the lab that look at how frames come and go: how a kernel treats another device makes a difference there,
    /// and not in what the control plane does.
    Frames,
    /// Those with emulated NICs, instead of the lab.
    Nics,
    /// Those of a host that boots again, one a boot.
    Boots,
}

/// Parts of the lab's names: the tests of [`Tests::Frames`].
const FRAMES: [&str; 9] = [
    "::oracle::",
    "::broadcast::",
    "::large_groups::",
    "::offload::",
    "::priority::",
    "::segments::",
    "::hostile::",
    "::xdp_",
    "::verifier::",
];

impl Tests {
    /// Which of the lab's or of the NICs' tests these are.
    ///
    /// # Errors
    ///
    /// When a part of the lab is named here that it does not have, so that a test that is renamed does not fall out.
    pub fn choose(self, mut names: Vec<String>) -> anyhow::Result<Vec<String>> {
        if self == Self::Frames {
            for part in FRAMES {
                anyhow::ensure!(
                    names.iter().any(|name| name.contains(part)),
                    "no test's name contains `{part}`, which `FRAMES` of xtask/src/test/runs.rs expects"
                );
            }
            names.retain(|name| FRAMES.iter().any(|part| name.contains(part)));
        }
        Ok(names)
    }
}

/// The machines, with each kernel, each hook and each endpoint device in one that runs the whole lab.
pub const MACHINES: [Machine; 7] = [
    machine(LINUX_6_1, "clsact", "veth", Tests::Lab),
    machine(LINUX_6_12, "tcx", "netkit", Tests::Lab),
    machine(LINUX_6_12, "tcx", "veth", Tests::Frames),
    machine(LINUX_6_1, "clsact", "veth", Tests::Boots),
    machine(LINUX_6_12, "tcx", "netkit", Tests::Boots),
    machine(LINUX_6_1, "clsact", "veth", Tests::Nics),
    machine(LINUX_6_12, "tcx", "veth", Tests::Nics),
];

const fn machine(
    flavour: Flavour,
    hook: &'static str,
    endpoint_device: &'static str,
    tests: Tests,
) -> Machine {
    Machine {
        flavour,
        hook,
        endpoint_device,
        tests,
    }
}

impl Run {
    /// The run on this machine's kernel, which is expected to have tcx from Linux 6.6 on.
    pub fn host() -> anyhow::Result<Self> {
        let path = "/proc/sys/kernel/osrelease";
        let release = fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?;
        let mut numbers = release
            .split(|c: char| !c.is_ascii_digit())
            .map(|n| n.parse::<u32>().ok());
        let version = numbers.next().flatten().zip(numbers.next().flatten());
        let (major, minor) =
            version.with_context(|| format!("cannot read the version in {release:?}"))?;
        let hook = if (major, minor) >= (6, 6) {
            "tcx"
        } else {
            "clsact"
        };
        Ok(Self {
            label: format!("{major}.{minor} {hook}+veth (this machine)"),
            hook,
            endpoint_device: "veth",
            has_8021q: false,
            emulated: false,
            has_nics: false,
            has_disk: false,
            full: false,
        })
    }

    /// One of [`MACHINES`].
    pub fn in_machine(machine: &Machine) -> Self {
        let &Machine {
            ref flavour,
            hook,
            endpoint_device,
            tests,
        } = machine;
        let what = match tests {
            Tests::Lab => "",
            Tests::Frames => ", frames",
            Tests::Nics => ", NIC drivers",
            Tests::Boots => ", boots",
        };
        Self {
            label: format!("{} {hook}+{endpoint_device}{what}", flavour.name),
            hook,
            endpoint_device,
            has_8021q: true,
            emulated: true,
            has_nics: tests == Tests::Nics,
            has_disk: tests == Tests::Boots,
            full: false,
        }
    }

    /// The same, whose long tests do all or not.
    pub fn all_of(self, full: bool) -> Self {
        Self { full, ..self }
    }

    /// What the tests are told.
    pub fn environment(&self, workspace: &Workspace) -> Vec<(&'static str, String)> {
        let mut environment = vec![
            ("VNET_BIN", workspace.vnet_user().display().to_string()),
            ("VNET_SYSTEMD", workspace.systemd().display().to_string()),
            ("VNET_DOCKER", workspace.docker().display().to_string()),
            ("VNET_EXPECT_HOOK", self.hook.to_owned()),
            ("VNET_ENDPOINT_DEVICE", self.endpoint_device.to_owned()),
        ];
        if self.has_8021q {
            environment.push(("VNET_EXPECT_8021Q", "1".to_owned()));
        }
        if self.emulated {
            environment.push(("VNET_EMULATED", "1".to_owned()));
        }
        if self.full {
            environment.push(("VNET_FULL", "1".to_owned()));
        }
        if self.has_disk {
            environment.push(("VNET_DISK", disk::MOUNT.to_owned()));
        }
        if self.has_nics {
            environment.push(("VNET_NICS", nics::environment()));
        }
        environment
    }

    /// The script for the guest; `args` choose the tests.
    pub fn script<'a>(
        &self,
        workspace: &Workspace,
        kernel: &Kernel,
        executable: &Path,
        args: impl IntoIterator<Item = &'a str>,
    ) -> String {
        let mut script = vm::script_prelude(kernel, self.has_nics);
        if self.has_disk {
            script.push_str(&disk::script());
        }
        for (key, value) in self.environment(workspace) {
            script.push_str(&format!("export {key}={}\n", vm::quote(&value)));
        }
        let directory = workspace.root().join("tests");
        script.push_str(&format!(
            "cd {}\n",
            vm::quote(&directory.display().to_string())
        ));
        script.push_str(&format!(
            "exec {} --test-threads=1",
            vm::quote(&executable.display().to_string())
        ));
        for arg in args {
            script.push_str(&format!(" {}", vm::quote(arg)));
        }
        script.push('\n');
        script
    }
}
