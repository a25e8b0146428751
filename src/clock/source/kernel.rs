//! One system call that no safe crate wraps: `adjtimex(2)` in its read-only form.
//! Knows nothing but the kernel's answer.

/// Whether the kernel's clock is disciplined by something: `TIME_ERROR` is returned
/// while `STA_UNSYNC` is set, as it is on every boot until NTP or PPS has settled
/// (adjtimex(2), "Return value"). Without an answer it is not synchronised.
#[allow(unsafe_code, reason = "adjtimex has no safe wrapper; see the SAFETY comment and the test")]
pub fn synchronised() -> bool {
    // SAFETY: `timex` is plain integers, for which all zeroes is a valid value, and
    // `modes = 0` makes adjtimex only write into the struct it is given, which lives
    // until the call returns.
    let state = unsafe {
        let mut timex: libc::timex = std::mem::zeroed();
        libc::adjtimex(&raw mut timex)
    };
    (0..libc::TIME_ERROR).contains(&state)
}

#[cfg(test)]
mod tests {
    #[test]
    fn asking_twice_gives_the_same_answer() {
        assert_eq!(super::synchronised(), super::synchronised());
    }
}
