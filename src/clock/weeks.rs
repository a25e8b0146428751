//! Dates from GPS receivers whose week counter has wrapped. Pure.
//!
//! GPS counts weeks modulo 1024 (IS-GPS-200, 20.3.3.3.1.1): a receiver with old firmware
//! shows a date 19.6 years, or twice that, in the past. Knows nothing of sentences.

use super::UtcMs;

/// 1024 weeks in milliseconds.
const EPOCH_MS: i64 = 1024 * 7 * 86_400_000;

/// 2026-11-01T00:00:00Z: no record can be older than this program. Raised at each release.
pub const RELEASE_FLOOR: UtcMs = UtcMs(1_793_491_200_000);

/// How far past the floor a date is still believed: twelve years, so that a wrapped
/// date has one reading or none.
const WINDOW_MS: i64 = 12 * 31_557_600_000;

/// The date moved up by whole 1024-week epochs into `[floor, floor + 12 years)`; `None`
/// where no epoch lands there, which makes it no date at all.
pub fn snap(utc: UtcMs) -> Option<UtcMs> {
    let short = RELEASE_FLOOR.0.checked_sub(utc.0)?;
    let epochs = if short > 0 {
        short.div_euclid(EPOCH_MS) + i64::from(short.rem_euclid(EPOCH_MS) > 0)
    } else {
        0
    };
    let moved = utc.0.checked_add(epochs.checked_mul(EPOCH_MS)?)?;
    (moved < RELEASE_FLOOR.0 + WINDOW_MS).then_some(UtcMs(moved))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(text: &str) -> UtcMs {
        UtcMs(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
    }

    #[test]
    fn the_floor_is_the_first_of_november_2026() {
        assert_eq!(RELEASE_FLOOR, ms("2026-11-01T00:00:00Z"));
    }

    #[test]
    fn a_date_within_the_window_stays() {
        assert_eq!(snap(ms("2027-05-02T10:16:42Z")), Some(ms("2027-05-02T10:16:42Z")));
        assert_eq!(snap(RELEASE_FLOOR), Some(RELEASE_FLOOR));
    }

    #[test]
    fn a_date_one_epoch_back_is_moved_up() {
        assert_eq!(snap(ms("2007-09-16T10:16:42Z")), Some(ms("2027-05-02T10:16:42Z")));
    }

    #[test]
    fn a_date_two_epochs_back_is_moved_up_twice() {
        assert_eq!(snap(ms("1988-01-31T10:16:42Z")), Some(ms("2027-05-02T10:16:42Z")));
    }

    #[test]
    fn a_date_that_lands_beyond_the_window_is_no_date() {
        assert_eq!(snap(ms("2019-06-01T00:00:00Z")), None, "would be 2039");
        assert_eq!(snap(ms("2080-01-06T00:00:00Z")), None);
        assert_eq!(snap(UtcMs(i64::MIN)), None);
        assert_eq!(snap(UtcMs(i64::MAX)), None);
    }
}
