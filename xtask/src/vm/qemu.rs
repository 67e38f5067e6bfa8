//! One emulated machine: starts it, waits for it, and never leaves it behind.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use super::kernel::Kernel;
use super::{disk, nics, tail};
use crate::tools;

/// Quick enough to be unnoticed beside a boot, and slow enough to cost nothing.
const POLL: Duration = Duration::from_millis(200);

/// Memory of a guest; it is only taken from the host as the guest touches it. Half of it can hold files.
const MEMORY_MIB: u32 = 2048;

/// How much of the console is shown when a machine fails.
const CONSOLE_TAIL_LINES: usize = 40;

/// What a machine is to do.
pub struct Job<'a> {
    pub kernel: &'a Kernel,
    pub initramfs: &'a Path,
    /// Shared with the guest both ways. Emptied first; keeps the script, the output and the console's log.
    pub directory: &'a Path,
    /// Run by bash in the guest, as root, with the host's files as the root file system.
    pub script: &'a str,
    /// Whether the guest has the NICs of [`nics`].
    pub nics: bool,
    /// A disk of [`disk`], which stays.
    pub disk: Option<&'a Path>,
    /// Whether the guest's clock counts its instructions, one for a nanosecond, instead of following the host's.
    pub counts_instructions: bool,
    /// Gets each line that the script prints, as it comes.
    pub watch: Option<&'a dyn Fn(&str)>,
    pub timeout: Duration,
}

/// How a machine ended.
pub struct Outcome {
    /// What the script printed.
    pub output: String,
    /// Seconds from the kernel's start to the script's, as the guest measured them.
    pub boot_secs: Option<String>,
    /// The script's exit status, or why there is none.
    pub status: Result<i32, String>,
    /// The serial console's log.
    pub console: PathBuf,
}

impl Outcome {
    /// Why a machine left no exit status, with the end of its console; nothing if it did.
    pub fn trouble(&self) -> Option<String> {
        let reason = self.status.as_ref().err()?;
        let console = fs::read(&self.console).unwrap_or_default();
        let console = String::from_utf8_lossy(&console);
        let tail = tail(&console, CONSOLE_TAIL_LINES, &self.console);
        Some(format!(
            "the virtual machine {reason}; the end of its console:\n{tail}"
        ))
    }
}

/// Boots a machine, runs its script, and returns when the machine has ended.
///
/// # Errors
///
/// When it cannot be started. A machine that dies or hangs is an [`Outcome`].
pub fn run(job: &Job<'_>) -> anyhow::Result<Outcome> {
    let directory = job.directory;
    if directory.exists() {
        fs::remove_dir_all(directory)
            .with_context(|| format!("cannot empty {}", directory.display()))?;
    }
    fs::create_dir_all(directory)
        .with_context(|| format!("cannot make {}", directory.display()))?;
    fs::write(directory.join("script"), job.script)
        .with_context(|| format!("cannot write to {}", directory.display()))?;

    let console = directory.join("console");
    let mut machine = Machine::start(job, &console)?;
    let ended = machine.wait(job)?;
    drop(machine);

    let read = |name: &str| {
        fs::read(directory.join(name))
            .ok()
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    };
    let boot_secs = read("booted").map(|text| text.trim().to_owned());
    let status = match read("status") {
        Some(text) => text
            .trim()
            .parse()
            .with_context(|| format!("the guest left the exit status {text:?}"))
            .map(Ok)?,
        None if !ended => Err(format!("did not end in {} s", job.timeout.as_secs())),
        None if boot_secs.is_none() => Err("did not boot".to_owned()),
        None => Err("died while its script ran".to_owned()),
    };
    Ok(Outcome {
        output: read("output").unwrap_or_default(),
        boot_secs,
        status,
        console,
    })
}

/// A running QEMU; killed when dropped.
struct Machine {
    qemu: Child,
    /// What QEMU itself complains about.
    errors: PathBuf,
}

impl Machine {
    fn start(job: &Job<'_>, console: &Path) -> anyhow::Result<Self> {
        let errors = console.with_file_name("qemu");
        let stderr = fs::File::create(&errors)
            .with_context(|| format!("cannot write {}", errors.display()))?;
        let qemu = command(job, console)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr)
            .spawn()
            .context("cannot start QEMU by setpriv; run `cargo xtask setup`")?;
        Ok(Self { qemu, errors })
    }

    /// Waits for the machine to end by itself; false when it had not at the deadline.
    fn wait(&mut self, job: &Job<'_>) -> anyhow::Result<bool> {
        let deadline = Instant::now() + job.timeout;
        let mut seen = 0;
        while Instant::now() < deadline {
            let ended = self.qemu.try_wait().context("cannot wait for QEMU")?;
            if let Some(watch) = job.watch {
                seen += show(&job.directory.join("output"), seen, watch);
            }
            if let Some(status) = ended {
                if !status.success() {
                    let errors = fs::read_to_string(&self.errors).unwrap_or_default();
                    bail!("QEMU failed: {status}\n{}", errors.trim_end());
                }
                return Ok(true);
            }
            thread::sleep(POLL);
        }
        Ok(false)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // Both fail only when it has ended already, which is what is wanted.
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
    }
}

/// Hands over the whole lines of a file behind the first `seen` bytes, and returns how long they are.
fn show(file: &Path, seen: usize, watch: &dyn Fn(&str)) -> usize {
    // Before the script starts there is none.
    let bytes = fs::read(file).unwrap_or_default();
    let new = bytes.get(seen..).unwrap_or_default();
    let whole = new
        .iter()
        .rposition(|&byte| byte == b'\n')
        .map_or(0, |end| end + 1);
    String::from_utf8_lossy(&new[..whole])
        .lines()
        .for_each(watch);
    whole
}

fn command(job: &Job<'_>, console: &Path) -> Command {
    // However xtask ends, even killed, the kernel then ends QEMU. Strictly, the signal comes when the thread that
    // started it ends; that is the one that waits for it.
    let mut command = tools::command("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]);
    command.arg(tools::find("qemu-system-x86_64").unwrap_or_else(|| "qemu-system-x86_64".into()));
    command
        // KVM is often there but unusable, inside other virtual machines; emulation works everywhere.
        .args(["-machine", "pc,accel=tcg", "-smp", "1"])
        .args(["-m", &format!("{MEMORY_MIB}M")])
        .args([
            "-nodefaults",
            "-no-user-config",
            "-display",
            "none",
            "-no-reboot",
        ])
        .args(["-serial", &format!("file:{}", escape(console))])
        .arg("-kernel")
        .arg(job.kernel.image())
        .arg("-initrd")
        .arg(job.initramfs)
        .args([
            "-append",
            "console=ttyS0 quiet panic=-1 mitigations=off nokaslr",
        ])
        .args([
            "-virtfs",
            &share("/".as_ref(), "host", "readonly=on,multidevs=remap"),
        ])
        .args(["-virtfs", &share(job.directory, "run", "multidevs=remap")]);
    match job.counts_instructions {
        // Without chance, two runs differ less.
        true => command.args([
            "-cpu",
            "max,-rdrand,-rdseed",
            "-icount",
            "shift=0,sleep=off",
        ]),
        false => command.args(["-cpu", "max"]),
    };
    if job.nics {
        command.args(nics::qemu_args());
    }
    if let Some(path) = job.disk {
        command.args(disk::qemu_args(&escape(path)));
    }
    command
}

/// A `-virtfs` argument. The guest's root has the rights that QEMU has, so a read-only share must say so.
fn share(path: &Path, tag: &str, options: &str) -> String {
    format!(
        "local,path={},mount_tag={tag},security_model=none,{options}",
        escape(path)
    )
}

/// A path in QEMU's option syntax, where a comma is written twice.
fn escape(path: &Path) -> String {
    path.display().to_string().replace(',', ",,")
}
