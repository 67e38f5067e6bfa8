//! The kernel's memory.

use std::fs;
use std::thread;
use std::time::Duration;

/// How long the kernel has to free what it frees later.
const SETTLED: Duration = Duration::from_secs(1);

/// How many bytes are in use for anything but files and programs.
pub fn in_use() -> u64 {
    thread::sleep(SETTLED);
    fs::write("/proc/sys/vm/drop_caches", "3").unwrap();
    let text = fs::read_to_string("/proc/meminfo").unwrap();
    let kibibytes = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace()
            .nth(1)
            .unwrap()
            .parse::<u64>()
            .unwrap()
    };
    let elsewhere = [
        "MemFree:",
        "Buffers:",
        "Cached:",
        "AnonPages:",
        "PageTables:",
    ];
    let elsewhere: u64 = elsewhere.into_iter().map(kibibytes).sum();
    (kibibytes("MemTotal:") - elsewhere) * 1024
}
