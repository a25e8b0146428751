//! Places where a test may cut the power: `SPRAYLOG_FAILPOINT=NAME` or `NAME:N` kills
//! the process with SIGKILL at the N-th time it passes the place. Without the feature
//! `testhooks` nothing of it is compiled.

/// Passes a place called `name`.
#[cfg(not(feature = "testhooks"))]
#[inline(always)]
pub fn pass(_name: &str) {}

/// Passes a place called `name`, or dies there.
#[cfg(feature = "testhooks")]
pub fn pass(name: &str) {
    use std::sync::atomic::{AtomicU32, Ordering};
    static PASSED: AtomicU32 = AtomicU32::new(0);

    let Ok(wanted) = std::env::var("SPRAYLOG_FAILPOINT") else { return };
    let (place, nth) = wanted.split_once(':').unwrap_or((&wanted, "1"));
    if place != name {
        return;
    }
    let nth: u32 = nth.parse().unwrap_or(1);
    if PASSED.fetch_add(1, Ordering::SeqCst) + 1 >= nth {
        // Nothing can be flushed or unwound after this: it is what a power cut looks like
        // to everything but the page cache.
        let _ =
            rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        std::thread::park();
    }
}
