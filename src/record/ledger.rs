//! Volumes and segments (RULES.md, 8 and 10): what one meter has counted since its last
//! reading, in which segment, and how that becomes whole microlitres. Knows no time and
//! no assignment, and judges no count: it is told what was believed.
//!
//! ```text
//!  last reading        restart, K, another meter          this reading
//!       │◄──────── carried ────────►│◄── in the new segment ──►│
//!       │◄────────────────────── share ───────────────────────►│
//! ```
//!
//! Each share is the exact volume so far, rounded, less the shares before it: the sum
//! of them is never further than a microlitre from what was metered.

use crate::meter::calibration::Calibration;
use crate::reading::{NewSegment, SegmentReason};
use crate::units::{Microlitres, UL_PER_GALLON};

use super::rules::LastReading;

/// One meter's account.
#[derive(Debug, Clone)]
pub struct Ledger {
    serial: String,
    calibration: Calibration,
    here: Position,
    /// At the last reading. Of the segment before, where one is about to open.
    recorded: Position,
    /// Exact volume since the last reading, with what its rounding left over.
    pending_ul: f64,
    opening: Option<Opening>,
}

/// What a reading takes out of the ledger.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Raw count.
    pub raw: u64,
    /// Count within the segment's base, at most the greatest that the API holds.
    pub unwrapped: u64,
    /// Volume since the last entry.
    pub share: Microlitres,
    /// The segment that opens with it.
    pub segment: Option<NewSegment>,
    /// Whether raw and zero were rebased together.
    pub rebased: bool,
}

#[derive(Debug, Clone, Copy)]
struct Position {
    raw: u64,
    unwrapped: u64,
}

/// A segment that has begun and that no reading carries yet.
#[derive(Debug, Clone, Copy)]
struct Opening {
    at: Position,
    carried_ul: f64,
    reason: SegmentReason,
}

impl Ledger {
    /// The first count ever.
    pub fn first(serial: String, raw: u64, max_count: u64, calibration: Calibration) -> Self {
        let here = baseline(raw, max_count);
        let opening = Opening { at: here, carried_ul: 0.0, reason: SegmentReason::First };
        let opening = Some(opening);
        Self { serial, calibration, here, recorded: here, pending_ul: 0.0, opening }
    }

    /// Goes on from the meter's last reading, at the K of its segment.
    pub fn resumed(last: LastReading, calibration: Calibration) -> Self {
        let here = Position { raw: last.raw, unwrapped: last.unwrapped };
        let serial = last.serial;
        Self { serial, calibration, here, recorded: here, pending_ul: 0.0, opening: None }
    }

    /// The meter's serial number.
    pub fn serial(&self) -> &str {
        &self.serial
    }

    /// What turns its counts into volume.
    pub fn calibration(&self) -> &Calibration {
        &self.calibration
    }

    /// Raw and unwrapped count of the last believed sample.
    pub fn counts(&self) -> (u64, u64) {
        (self.here.raw, self.here.unwrapped)
    }

    /// Gallons since the last reading.
    pub fn pending_gallons(&self) -> f64 {
        self.pending_ul / UL_PER_GALLON
    }

    /// Whether a reading made now would bring volume.
    pub fn has_volume(&self) -> bool {
        whole(self.pending_ul) > 0
    }

    /// The meter counted on, at so many counts a second where that is known. Returns the
    /// volume in microlitres, not rounded.
    pub fn advance(&mut self, raw: u64, counts: u64, hz: Option<f64>) -> f64 {
        let ul = self.calibration.volume_ul(counts, hz);
        let unwrapped = self.here.unwrapped.saturating_add(counts);
        self.here = Position { raw, unwrapped };
        self.pending_ul += ul;
        ul
    }

    /// The meter began again and has counted `counts` since, as far as they are volume.
    pub fn restart(&mut self, raw: u64, counts: u64, max_count: u64) -> f64 {
        self.here = baseline(raw.saturating_sub(counts), max_count);
        self.open(SegmentReason::Restart);
        self.advance(raw, counts, None)
    }

    /// Another K from the last believed count on.
    pub fn recalibrate(&mut self, calibration: Calibration) {
        self.calibration = calibration;
        self.open(SegmentReason::Calibration);
    }

    /// Another meter from here on. Its count against the old one's is no volume.
    pub fn change_meter(
        &mut self,
        serial: String,
        raw: u64,
        max_count: u64,
        calibration: Calibration,
    ) {
        self.serial = serial;
        self.calibration = calibration;
        self.here = baseline(raw, max_count);
        self.open(SegmentReason::Meter);
    }

    /// What the reading at the last believed count records.
    pub fn record(&mut self, max_count: u64) -> Entry {
        let rebased = self.here.unwrapped > max_count;
        if rebased {
            self.rebase(max_count);
        }
        let share = whole(self.pending_ul);
        let segment = self.opening.take().map(|opening| NewSegment {
            raw_start: opening.at.raw,
            unwrapped_start: opening.at.unwrapped,
            k: self.calibration.factor(),
            points: self.calibration.points_text(),
            carried: Microlitres(whole(opening.carried_ul)),
            reason: opening.reason,
        });
        self.pending_ul -= share as f64;
        self.recorded = self.here;
        let Position { raw, unwrapped } = self.here;
        Entry { raw, unwrapped, share: Microlitres(share), segment, rebased }
    }

    /// Opens a segment at the last believed count. One that opened since the last
    /// reading gives way: no reading lies in it, and its volume is carried.
    fn open(&mut self, reason: SegmentReason) {
        let reason = match self.opening.map(|before| before.reason) {
            Some(newer @ (SegmentReason::First | SegmentReason::Meter)) => newer,
            _ => reason,
        };
        self.opening = Some(Opening { at: self.here, carried_ul: self.pending_ul, reason });
    }

    /// Lets the segment begin at 0, at the last reading or where it opens anyway.
    fn rebase(&mut self, max_count: u64) {
        let opening = self.opening.get_or_insert(Opening {
            at: self.recorded,
            carried_ul: 0.0,
            reason: SegmentReason::Rebase,
        });
        self.here.unwrapped = self.here.unwrapped.saturating_sub(opening.at.unwrapped);
        opening.at.unwrapped = 0;
        if self.here.unwrapped > max_count {
            // More than the API holds since one reading: the segment begins here, and the
            // closed one has the volume.
            self.here.unwrapped = 0;
            self.open(SegmentReason::Rebase);
        }
    }
}

/// Where a segment begins at a count: at the count itself, so that people find what the
/// meter shows, unless the API couldn't hold it.
fn baseline(raw: u64, max_count: u64) -> Position {
    Position { raw, unwrapped: if raw <= max_count { raw } else { 0 } }
}

/// Rounded to whole microlitres, halves up, so that what is left over is never taken for
/// negative volume.
fn whole(ul: f64) -> i64 {
    ((ul + 0.5).floor() as i64).max(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::KFactor;

    const MAX: u64 = 2_147_483_647;

    fn k(counts_per_gallon: f64) -> Calibration {
        Calibration::constant(KFactor::new(counts_per_gallon).unwrap())
    }

    fn begun(raw: u64, max_count: u64) -> Ledger {
        let mut ledger = Ledger::first("M1".into(), raw, max_count, k(126.7));
        ledger.record(max_count);
        ledger
    }

    fn ul(counts: u64) -> i64 {
        whole(counts as f64 / 126.7 * UL_PER_GALLON)
    }

    #[test]
    fn the_first_reading_opens_a_segment_at_its_own_count_and_brings_no_volume() {
        let entry = Ledger::first("M1".into(), 5000, MAX, k(126.7)).record(MAX);
        let segment = entry.segment.unwrap();
        assert_eq!((entry.raw, entry.unwrapped, entry.share), (5000, 5000, Microlitres::ZERO));
        assert_eq!((segment.raw_start, segment.unwrapped_start), (5000, 5000));
        assert_eq!(segment.reason, SegmentReason::First);
    }

    #[test]
    fn a_first_count_that_the_api_cannot_hold_begins_at_zero() {
        let mut ledger = Ledger::first("M1".into(), MAX + 1, MAX, k(126.7));
        let entry = ledger.record(MAX);
        assert_eq!((entry.raw, entry.unwrapped, entry.rebased), (MAX + 1, 0, false));
    }

    #[test]
    fn rounding_never_adds_up() {
        let mut ledger = begun(0, MAX);
        let mut sum = 0;
        for raw in 1..=10_000 {
            ledger.advance(raw, 1, Some(10.0));
            sum += ledger.record(MAX).share.0;
            assert!((sum - ul(raw)).abs() <= 1);
        }
    }

    #[test]
    fn rounding_leaves_no_negative_share() {
        // Half a microlitre a count: the first one rounds up, and nothing follows it.
        let mut ledger = Ledger::first("M1".into(), 0, MAX, k(2.0 * UL_PER_GALLON));
        ledger.record(MAX);
        let mut shares = Vec::new();
        for counts in [1, 0, 0, 1] {
            ledger.advance(1, counts, None);
            shares.push(ledger.record(MAX).share.0);
        }
        assert_eq!(shares, [1, 0, 0, 0]);
    }

    #[test]
    fn a_restart_from_zero_counts_what_the_meter_shows_and_carries_what_was_pending() {
        let mut ledger = begun(1000, MAX);
        ledger.advance(1040, 40, Some(10.0));
        ledger.restart(7, 7, MAX);
        let entry = ledger.record(MAX);
        let segment = entry.segment.unwrap();
        assert_eq!((segment.raw_start, segment.unwrapped_start), (0, 0));
        assert_eq!(segment.carried, Microlitres(ul(40)));
        assert_eq!((entry.unwrapped, entry.share), (7, Microlitres(ul(47))));
        assert_eq!(segment.reason, SegmentReason::Restart);
    }

    #[test]
    fn a_restart_from_an_unknown_count_begins_at_the_first_sample_after_it() {
        let mut ledger = begun(1000, MAX);
        ledger.restart(303, 3, MAX);
        let entry = ledger.record(MAX);
        let segment = entry.segment.unwrap();
        assert_eq!((segment.raw_start, segment.unwrapped_start), (300, 300));
        assert_eq!((entry.unwrapped, entry.share), (303, Microlitres(ul(3))));
    }

    #[test]
    fn another_k_begins_where_the_old_one_ends() {
        let mut ledger = begun(1000, MAX);
        ledger.advance(1040, 40, Some(10.0));
        ledger.recalibrate(k(50.0));
        let entry = ledger.record(MAX);
        let segment = entry.segment.unwrap();
        assert_eq!(segment.k.counts_per_gallon(), 50.0);
        assert_eq!((segment.raw_start, segment.unwrapped_start), (1040, 1040));
        assert_eq!((entry.share, segment.carried), (Microlitres(ul(40)), Microlitres(ul(40))));
        ledger.advance(1090, 50, Some(10.0));
        assert!((ledger.pending_gallons() - 1.0).abs() < 1e-6);
    }

    #[test]
    fn the_difference_between_two_meters_is_no_volume_and_the_old_ones_is_kept() {
        let mut ledger = begun(1000, MAX);
        ledger.advance(1040, 40, Some(10.0));
        ledger.change_meter("M2".into(), 900_000, MAX, k(126.7));
        ledger.advance(900_005, 5, Some(10.0));
        let entry = ledger.record(MAX);
        let segment = entry.segment.unwrap();
        assert_eq!((segment.raw_start, segment.reason), (900_000, SegmentReason::Meter));
        assert_eq!((entry.share, segment.carried), (Microlitres(ul(45)), Microlitres(ul(40))));
    }

    #[test]
    fn of_two_segments_between_readings_the_last_one_opens_and_nothing_is_lost() {
        let mut ledger = begun(1000, MAX);
        ledger.advance(1040, 40, Some(10.0));
        ledger.change_meter("M2".into(), 500, MAX, k(126.7));
        ledger.advance(510, 10, Some(10.0));
        ledger.restart(3, 3, MAX);
        let entry = ledger.record(MAX);
        let segment = entry.segment.unwrap();
        assert_eq!((segment.raw_start, segment.reason), (0, SegmentReason::Meter));
        assert_eq!((entry.share, segment.carried), (Microlitres(ul(53)), Microlitres(ul(50))));
    }

    #[test]
    fn before_the_greatest_integer_raw_and_zero_are_rebased_together() {
        let mut ledger = begun(990, 1000);
        ledger.advance(998, 8, Some(10.0));
        assert_eq!(ledger.record(1000).segment, None);
        ledger.advance(1003, 5, Some(10.0));
        let entry = ledger.record(1000);
        let segment = entry.segment.unwrap();
        assert!(entry.rebased);
        assert_eq!((segment.raw_start, segment.unwrapped_start), (998, 0));
        assert_eq!((segment.carried, segment.reason), (Microlitres::ZERO, SegmentReason::Rebase));
        assert_eq!((entry.raw, entry.unwrapped), (1003, 5));
        assert_eq!(entry.share.0, ul(13) - ul(8));
    }

    #[test]
    fn a_segment_that_opens_anyway_is_rebased_where_it_opens() {
        let mut ledger = begun(10, 1000);
        ledger.restart(1004, 5, 1000);
        let entry = ledger.record(1000);
        let segment = entry.segment.unwrap();
        assert_eq!((segment.raw_start, segment.unwrapped_start, entry.unwrapped), (999, 0, 5));
        assert_eq!(segment.reason, SegmentReason::Restart);
    }

    #[test]
    fn more_counts_in_one_reading_than_the_api_holds_still_lose_no_volume() {
        let mut ledger = begun(0, 10);
        ledger.advance(25, 25, None);
        let entry = ledger.record(10);
        let segment = entry.segment.unwrap();
        assert_eq!((segment.raw_start, segment.unwrapped_start, entry.unwrapped), (25, 0, 0));
        assert_eq!((entry.share.0, segment.carried.0), (ul(25), ul(25)));
    }
}
