//! Removes what a lab leaves when its process ends without dropping it: by a signal, or by SIGKILL and the next run.
//!
//! Whatever a lab makes outside of its namespaces has `<lab>-<pid>` in front of its name.

use std::{fs, panic, path::Path, process, sync::Once, thread};

use super::{binary::remove_pins, namespace};
use crate::interrupt::{INTERRUPTED, Interrupt};

/// Where labs leave names: namespaces, pins, and the state of a binary.
const NETNS: &str = "/run/netns";
const BPFFS: &str = "/sys/fs/bpf";

/// Removes what dead processes left; from now on SIGINT, SIGTERM and SIGHUP remove what this process's labs made, and
/// end it. For programs that do not handle signals themselves, such as tests. Only the first call counts.
pub fn sweep_on_signal(lab: &'static str) {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| {
        sweep_dead(lab);
        // Without it a signal just ends the process; the next run sweeps.
        let _ = thread::Builder::new()
            .name("sweep".to_owned())
            .spawn(move || wait_for_signal().map(|()| end(lab)));
    });
}

/// Removes what dead processes of this lab left.
pub fn sweep_dead(lab: &str) {
    sweep(lab, |pid| {
        !Path::new("/proc").join(pid.to_string()).exists()
    });
}

fn end(lab: &str) {
    // A test that fails because its namespaces go must not end the process before all of it is gone.
    panic::set_hook(Box::new(|_| {
        loop {
            thread::park();
        }
    }));
    sweep(lab, |pid| pid == process::id());
    process::exit(INTERRUPTED.into());
}

fn wait_for_signal() -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        Interrupt::listen()?.wait().await;
        Ok(())
    })
}

fn sweep(lab: &str, is_swept: impl Fn(u32) -> bool) {
    let ours = |directory: &Path| {
        let entries = fs::read_dir(directory).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        names
            .filter(|name| owner(lab, name).is_some_and(&is_swept))
            .collect::<Vec<_>>()
    };
    // Whoever still runs inside would keep the namespace alive without a name.
    for name in ours(Path::new(NETNS)) {
        namespace::remove_with_processes(&name);
    }
    for name in ours(Path::new(BPFFS)) {
        remove_pins(&Path::new(BPFFS).join(name));
    }
    let temporary = std::env::temp_dir();
    for name in ours(&temporary) {
        // Nobody to tell, and the next one may still go.
        let _ = fs::remove_dir_all(temporary.join(name));
    }
}

/// The process that made what has this name: `<lab>-<pid>` or `<lab>-<pid>-…`.
fn owner(lab: &str, name: &str) -> Option<u32> {
    let rest = name.strip_prefix(lab)?.strip_prefix('-')?;
    rest.split('-').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_its_process() {
        assert_eq!(owner("vnet-test", "vnet-test-17-0-host"), Some(17));
        assert_eq!(owner("vnet-test", "vnet-test-17"), Some(17));
        assert_eq!(owner("vnet-test", "vnet-test-programs-17"), None);
        assert_eq!(owner("vnet-test", "vnet-tester-17"), None);
        assert_eq!(owner("vnet-test", "mine"), None);
    }
}
