//! What a message's own sequence number says: whether a line follows from another, and
//! whether a lower number is a power-up or only the number's own wrap. Knows no counts.
//!
//! In the rig's own line the number is 0 at power-up and one more each line, one line a
//! second (`config/meters/rig-line.toml`).

use super::GAP_MS;

/// Lines that may come at any time, above what the time passed explains: a burst that
/// waited in a buffer.
const BURST_LINES: u64 = 64;
/// No meter speaks faster, in lines a second.
const FASTEST_LINES_PER_S: u64 = 20;
/// After a long silence the number is only believed near one line a second: at most
/// this many lines a second …
const AFTER_GAP_LINES_PER_S: u64 = 2;
/// … and so many more.
const AFTER_GAP_SLACK_LINES: u64 = 5;
/// Lines that a meter may have spoken before the board it shares its power with is up.
const HEAD_START_LINES: u64 = 120;

/// How one sequence number stands to an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// One of the two is missing, or the meter has no such number.
    Unknown,
    /// It is what the lines in between make of it, a wrap included.
    Follows,
    /// It is higher by more than the time passed explains.
    Ahead,
    /// It is lower, and no wrap explains that: a power-up, or a damaged line.
    Back,
}

/// The step between two sequence numbers. `elapsed_ms` is `None` where the time between
/// them is not known: then every lower number is [`Step::Back`].
pub(super) fn step(
    modulus: Option<u32>,
    from: Option<u16>,
    to: Option<u16>,
    elapsed_ms: Option<i64>,
) -> Step {
    let (Some(lines), Some(from), Some(to)) = (lines_between(modulus, from, to), from, to) else {
        return Step::Unknown;
    };
    let Some(elapsed_ms) = elapsed_ms else {
        return match (to >= from, lines <= most_lines(super::SHORTEST_STEP_MS)) {
            (true, true) => Step::Follows,
            (true, false) => Step::Ahead,
            (false, _) => Step::Back,
        };
    };
    let possible = if elapsed_ms <= GAP_MS {
        lines <= most_lines(elapsed_ms)
    } else {
        possible_after_gap(modulus, lines, to < from, seconds(elapsed_ms))
    };
    match (possible, to >= from) {
        (true, _) => Step::Follows,
        (false, true) => Step::Ahead,
        (false, false) => Step::Back,
    }
}

/// Whether a silence of so many seconds explains so many lines, or so many and any number
/// of wraps. A wrap also needs about the time that a wrap takes; a power-up in the middle of
/// a long silence mostly leaves a number that is too low for it.
fn possible_after_gap(modulus: Option<u32>, lines: u64, wrapped: bool, s: u64) -> bool {
    let most = s.saturating_mul(AFTER_GAP_LINES_PER_S).saturating_add(AFTER_GAP_SLACK_LINES);
    if !wrapped && lines <= most {
        return true;
    }
    let least = (s / 2).saturating_sub(AFTER_GAP_SLACK_LINES);
    let modulus = u64::from(modulus.unwrap_or(0));
    let wraps = least.saturating_sub(lines).div_ceil(modulus.max(1));
    let lines = lines.saturating_add(wraps.saturating_mul(modulus));
    (least..=most).contains(&lines)
}

/// Whether a meter that got its power with the board, so long ago, may have come to this
/// number; one that got it before may have any. Generous: some speak before the board's
/// clock begins, and some faster than one line a second.
pub(super) fn began_with_the_board(to: Option<u16>, uptime_ms: i64) -> bool {
    let lines = seconds(uptime_ms).saturating_mul(AFTER_GAP_LINES_PER_S);
    u64::from(to.unwrap_or(0)) <= lines.saturating_add(HEAD_START_LINES)
}

/// Whether the time that passed leaves room for a wrap, at any speed a meter may speak.
pub(super) fn may_wrap(
    modulus: Option<u32>,
    from: Option<u16>,
    to: Option<u16>,
    elapsed_ms: Option<i64>,
) -> bool {
    match (lines_between(modulus, from, to), elapsed_ms) {
        (None, _) => false,
        (Some(_), None) => true,
        (Some(lines), Some(ms)) => lines <= most_lines(ms),
    }
}

fn lines_between(modulus: Option<u32>, from: Option<u16>, to: Option<u16>) -> Option<u64> {
    let modulus = i64::from(modulus.filter(|m| *m > 0)?);
    let lines = (i64::from(to?) - i64::from(from?)).rem_euclid(modulus);
    u64::try_from(lines).ok()
}

fn most_lines(elapsed_ms: i64) -> u64 {
    seconds(elapsed_ms).saturating_mul(FASTEST_LINES_PER_S).saturating_add(BURST_LINES)
}

fn seconds(ms: i64) -> u64 {
    u64::try_from(ms / 1000).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(ms: i64, from: u16, to: u16) -> Step {
        step(Some(65536), Some(from), Some(to), Some(ms))
    }

    #[test]
    fn a_wrap_is_no_drop() {
        assert_eq!(after(1_000, 65535, 0), Step::Follows);
        assert_eq!(after(50_000, 65530, 44), Step::Follows);
    }

    #[test]
    fn zero_after_anything_else_is_a_drop() {
        assert_eq!(after(1_000, 5_000, 0), Step::Back);
        assert_eq!(after(1_000, 1, 0), Step::Back);
        assert_eq!(after(60_000, 60_000, 3), Step::Back);
    }

    #[test]
    fn a_repeated_line_follows() {
        assert_eq!(after(0, 7, 7), Step::Follows);
    }

    #[test]
    fn a_leap_is_not_explained_by_one_second() {
        assert_eq!(after(1_000, 100, 184), Step::Follows);
        assert_eq!(after(1_000, 100, 185), Step::Ahead);
    }

    #[test]
    fn after_a_long_silence_a_wrap_needs_the_time_that_a_wrap_takes() {
        let two_hours = 7_200_000;
        assert_eq!(after(two_hours, 60_000, 1_664), Step::Follows);
        assert_eq!(after(two_hours, 60_000, 63_000), Step::Follows);
        assert_eq!(after(two_hours, 60_000, 100), Step::Follows);
        assert_eq!(after(two_hours, 63_000, 100), Step::Back);
        assert_eq!(after(two_hours, 60_000, 20_000), Step::Back);
    }

    #[test]
    fn after_days_the_number_may_have_wrapped_more_than_once() {
        let hours_65 = 234_000_000;
        let lines = 234_000 % 65_536;
        assert_eq!(after(hours_65, 60_000, ((60_000 + lines) % 65_536) as u16), Step::Follows);
        // Ten hours are less than a wrap: from 60 000 it can't have come to 59 000.
        assert_eq!(after(20_000_000, 60_000, 59_000), Step::Back);
    }

    #[test]
    fn a_number_that_is_too_high_for_this_boot_began_before_it() {
        assert!(began_with_the_board(Some(140), 12_000));
        assert!(!began_with_the_board(Some(200), 12_000));
        assert!(!began_with_the_board(Some(30_464), 3_600_000));
    }

    #[test]
    fn across_a_boot_every_drop_counts() {
        let across = |from, to| step(Some(65536), Some(from), Some(to), None);
        assert_eq!(across(65535, 0), Step::Back);
        assert_eq!(across(10, 100), Step::Follows);
        assert_eq!(across(10, 10_000), Step::Ahead);
    }

    #[test]
    fn a_meter_without_the_number_says_nothing() {
        assert_eq!(step(None, Some(5), Some(0), Some(0)), Step::Unknown);
        assert_eq!(step(Some(65536), None, Some(0), Some(0)), Step::Unknown);
        assert_eq!(step(Some(0), Some(5), Some(0), Some(0)), Step::Unknown);
    }
}
