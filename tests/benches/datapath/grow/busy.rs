//! How long a machine is busy with something that goes on when who began it has ended.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};

/// How long all of it has to end.
const UNTIL_IDLE: Duration = Duration::from_millis(200);

/// The nanoseconds that the machine's one CPU takes for what `work` begins: all but those that are left for a thread which
/// gets what nobody else wants.
pub fn nanoseconds(work: impl FnOnce()) -> u64 {
    let (ended, left) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        let _end = EndOnDrop(&ended);
        scope.spawn(|| {
            want_nothing().unwrap();
            while !ended.load(Ordering::Relaxed) {
                left.store(cpu_time(), Ordering::Relaxed);
            }
        });
        thread::sleep(UNTIL_IDLE);
        let (start, left_before) = (Instant::now(), left.load(Ordering::Relaxed));
        work();
        thread::sleep(UNTIL_IDLE);
        let left = left.load(Ordering::Relaxed) - left_before;
        let elapsed = start.elapsed().as_nanos() as u64;
        elapsed.saturating_sub(left)
    })
}

/// Ends the thread also when the work panics: the scope waits for it.
struct EndOnDrop<'a>(&'a AtomicBool);

impl Drop for EndOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Lets the calling thread run where no other wants to (`SCHED_IDLE`, sched(7)).
fn want_nothing() -> io::Result<()> {
    let parameters = libc::sched_param { sched_priority: 0 };
    // SAFETY: the parameters are read in the call; 0 is the calling thread.
    match unsafe { libc::sched_setscheduler(0, libc::SCHED_IDLE, &raw const parameters) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The calling thread's, in nanoseconds.
fn cpu_time() -> u64 {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap();
    Duration::from(time).as_nanos() as u64
}
