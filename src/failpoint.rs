//! Places where a test may cut the power: `SPRAYLOG_FAILPOINT=NAME` or `NAME:N` kills
//! the process with SIGKILL at the N-th time it passes the place. Without the feature
//! `testhooks` nothing of it is compiled.

/// Every place, in the order of a reading's way from the meter to its acknowledgement and on.
pub const PLACES: &[&str] = &[
    "bytes_read",
    "line_framed",
    "sample_decoded",
    "sample_before_judged",
    "fix_taken",
    "anchor_before_commit",
    "anchor_after_commit",
    "reading_made",
    "append_before_commit",
    "append_after_commit",
    "reading_told",
    "sign_in_before",
    "sign_in_after",
    "freeze_before_commit",
    "freeze_after_commit",
    "request_half_written",
    "answered_before_settle",
    "ask_before",
    "list_half_read",
    "ask_in_the_list",
    "ask_answered",
    "asked_before_settle",
    "settle_before_commit",
    "settle_after_commit",
    // A job that is picked.
    "pick_before_commit",
    "pick_after_commit",
    // A job that is over.
    "verify_before_asking",
    "verify_before_commit",
    "verify_after_commit",
    // A queue that is damaged.
    "aside_begun",
    "aside_moving",
    "aside_done",
    "begun_before_commit",
    "carry_before_commit",
    "carry_after_commit",
];

/// Whether a test waits for this place: for what must go otherwise than it would, so that
/// the place is passed at all.
#[cfg(not(feature = "testhooks"))]
#[inline(always)]
pub fn awaits(_name: &str) -> bool {
    false
}

/// Whether a test waits for this place: for what must go otherwise than it would, so that
/// the place is passed at all.
#[cfg(feature = "testhooks")]
pub fn awaits(name: &str) -> bool {
    std::env::var("SPRAYLOG_FAILPOINT").is_ok_and(|wanted| {
        wanted.split_once(':').map_or(wanted.as_str(), |(place, _)| place) == name
    })
}

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
