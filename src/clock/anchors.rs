//! When an observation of the time becomes an anchor. Pure: observations come in with
//! their boot time, anchors worth storing come out. Knows neither receiver nor store.

use std::collections::VecDeque;

use super::resolve::resolve;
use super::{Anchor, AnchorSource, BootInstant, UtcMs, weeks};

/// How far three fixes may disagree, and how far time may drift from the anchors before
/// a new one is stored.
const RESIDUAL_MS: i64 = 300;
/// Another anchor is stored at least this often, to follow the crystal's drift.
const EVERY_MS: i64 = 600_000;
/// Fixes further apart than this aren't consecutive.
const NEIGHBOURS_MS: i64 = 10_000;
/// Fixes read this close together came in one delivery, and were late by the same cause:
/// they bear each other no witness. Less than the 33 ms of a receiver of 30 Hz.
const ONE_DELIVERY_MS: i64 = 20;
/// How many consistent fixes make an anchor.
const FIXES: usize = 3;

/// Decides which observations of one boot are stored.
#[derive(Debug, Default)]
pub struct AnchorKeeper {
    stored: Vec<Anchor>,
    recent: VecDeque<(BootInstant, UtcMs)>,
    refused: u64,
}

impl AnchorKeeper {
    /// Begins with what is already stored for this boot.
    pub fn new(stored: Vec<Anchor>) -> Self {
        Self { stored, ..Self::default() }
    }

    /// A GPS epoch: `utc` is the receiver's own date, `at` the boot time of the first
    /// byte of the epoch's first sentence. Returns the anchor to store, if any.
    pub fn gps(&mut self, at: BootInstant, utc: UtcMs) -> Option<Anchor> {
        self.gps_within(at, utc, 0)
    }

    /// The same where `at` may be up to `late_ms` after that byte.
    pub fn gps_within(&mut self, at: BootInstant, utc: UtcMs, late_ms: i64) -> Option<Anchor> {
        let Some(utc) = weeks::snap(utc) else {
            self.refused += 1;
            return None;
        };
        match self.recent.back().map(|(last, _)| at.since_ms(*last)) {
            Some(since) if since > NEIGHBOURS_MS => self.recent.clear(),
            // The last of a delivery waited least, so it speaks for all of them.
            Some(since) if since < ONE_DELIVERY_MS => drop(self.recent.pop_back()),
            _ => {}
        }
        self.recent.push_back((at, utc));
        while self.recent.len() > FIXES {
            self.recent.pop_front();
        }
        let err_ms = self.spread()? + late_ms;
        self.offer(Anchor { at, utc, err_ms, source: AnchorSource::Gps })
    }

    /// The system clock, while the caller believes it.
    pub fn system(&mut self, at: BootInstant, utc: UtcMs) -> Option<Anchor> {
        if utc < weeks::RELEASE_FLOOR {
            self.refused += 1;
            return None;
        }
        self.offer(Anchor { at, utc, err_ms: 100, source: AnchorSource::System })
    }

    /// Wall time at `at` by what is stored.
    pub fn resolve(&self, at: BootInstant) -> Option<UtcMs> {
        resolve(&self.stored, at)
    }

    /// The anchors of this boot so far.
    pub fn stored(&self) -> &[Anchor] {
        &self.stored
    }

    /// Observations that were no date, or that would have turned time back.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// The disagreement of the last three fixes, if there are three and it is small.
    fn spread(&self) -> Option<i64> {
        let offsets = || self.recent.iter().map(|(at, utc)| utc.0 - at.0);
        let (low, high) = (offsets().min()?, offsets().max()?);
        (self.recent.len() == FIXES && high - low <= RESIDUAL_MS).then_some(high - low)
    }

    fn offer(&mut self, anchor: Anchor) -> Option<Anchor> {
        let same = || self.stored.iter().filter(|a| a.source == anchor.source);
        if let Some(last) = same().max_by_key(|a| a.at) {
            let known = UtcMs(last.utc.0 + anchor.at.since_ms(last.at));
            let residual = (anchor.utc.0 - known.0).abs();
            if residual <= RESIDUAL_MS && anchor.at.since_ms(last.at) < EVERY_MS {
                return None;
            }
            if anchor.utc <= last.utc || anchor.at <= last.at {
                self.refused += 1;
                return None;
            }
        }
        self.stored.push(anchor);
        Some(anchor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2027-05-02T10:16:42Z.
    const NOON: i64 = 1_809_253_002_000;

    fn fix(keeper: &mut AnchorKeeper, at: i64, utc: i64) -> Option<Anchor> {
        keeper.gps(BootInstant(at), UtcMs(utc))
    }

    #[test]
    fn the_third_consistent_fix_is_the_first_anchor() {
        let mut keeper = AnchorKeeper::default();
        assert_eq!(fix(&mut keeper, 1_000, NOON), None);
        assert_eq!(fix(&mut keeper, 2_010, NOON + 1_000), None);
        let anchor = fix(&mut keeper, 3_000, NOON + 2_000).unwrap();
        assert_eq!(
            (anchor.at, anchor.utc, anchor.err_ms),
            (BootInstant(3_000), UtcMs(NOON + 2_000), 10)
        );
        assert_eq!(keeper.resolve(BootInstant(0)), Some(UtcMs(NOON - 1_000)));
    }

    #[test]
    fn fixes_that_disagree_are_no_anchor() {
        let mut keeper = AnchorKeeper::default();
        for (at, utc) in [(1_000, NOON), (2_000, NOON + 5_000), (3_000, NOON + 2_000)] {
            assert_eq!(fix(&mut keeper, at, utc), None);
        }
    }

    #[test]
    fn fixes_with_a_hole_between_them_are_no_anchor() {
        let mut keeper = AnchorKeeper::default();
        for second in [1, 2, 13] {
            assert_eq!(fix(&mut keeper, second * 1_000, NOON + second * 1_000), None);
        }
    }

    #[test]
    fn fixes_of_one_delivery_are_no_anchor() {
        let mut keeper = AnchorKeeper::default();
        // A second of a 10 Hz receiver that waited in the kernel, taken in three reads.
        for (at, tenths) in [(60_000, 0..4), (60_001, 4..8), (60_001, 8..10)] {
            for tenth in tenths {
                assert_eq!(fix(&mut keeper, at, NOON + tenth * 100), None, "{at} {tenth}");
            }
        }
        // The line itself is not late: three of its deliveries agree.
        assert_eq!(fix(&mut keeper, 61_000, NOON + 60_900), None);
        assert_eq!(fix(&mut keeper, 61_100, NOON + 61_000), None);
        let anchor = fix(&mut keeper, 61_200, NOON + 61_100).unwrap();
        assert_eq!(anchor.utc, UtcMs(NOON + 61_100));
    }

    #[test]
    fn a_receiver_of_which_two_epochs_come_in_one_read_gives_an_anchor_in_three_reads() {
        let mut keeper = AnchorKeeper::default();
        let mut stored = Vec::new();
        for read in 1..=10 {
            let (at, utc) = (read * 200, NOON + read * 200);
            stored.extend(fix(&mut keeper, at, utc - 110));
            stored.extend(fix(&mut keeper, at, utc - 10));
        }
        let [anchor] = stored.as_slice() else { panic!("{stored:?}") };
        assert_eq!((anchor.at, anchor.err_ms), (BootInstant(600), 100));
        assert_eq!(keeper.refused(), 0);
    }

    #[test]
    fn one_late_read_of_two_epochs_breaks_no_row_of_witnesses() {
        let mut keeper = AnchorKeeper::default();
        assert_eq!(fix(&mut keeper, 1_000, NOON), None);
        assert_eq!(fix(&mut keeper, 2_000, NOON + 1_000), None);
        // The reader stood still for a second: the first of these is late, the second not.
        assert_eq!(fix(&mut keeper, 4_000, NOON + 2_000), None);
        let anchor = fix(&mut keeper, 4_000, NOON + 3_000).unwrap();
        assert_eq!((anchor.utc, anchor.err_ms), (UtcMs(NOON + 3_000), 0));
    }

    #[test]
    fn another_anchor_follows_in_ten_minutes_or_when_the_clock_has_drifted() {
        let mut keeper = AnchorKeeper::default();
        let mut stored = Vec::new();
        for second in 0..1_300 {
            let drift = if second > 900 { 400 } else { 0 };
            stored.extend(fix(&mut keeper, second * 1_000, NOON + second * 1_000 + drift));
        }
        let at: Vec<_> = stored.iter().map(|a| a.at.0 / 1_000).collect();
        assert_eq!(at, [2, 602, 903]);
    }

    #[test]
    fn a_date_from_a_wrapped_week_counter_is_moved_up_first() {
        let mut keeper = AnchorKeeper::default();
        let back = 1024 * 7 * 86_400_000;
        fix(&mut keeper, 1_000, NOON - back);
        fix(&mut keeper, 2_000, NOON - back + 1_000);
        assert_eq!(fix(&mut keeper, 3_000, NOON - back + 2_000).unwrap().utc, UtcMs(NOON + 2_000));
    }

    #[test]
    fn time_is_never_turned_back() {
        let mut keeper = AnchorKeeper::default();
        for second in 0..3 {
            fix(&mut keeper, second * 1_000, NOON + second * 1_000);
        }
        for second in 3..9 {
            assert_eq!(fix(&mut keeper, second * 1_000, NOON - 90_000 + second * 1_000), None);
        }
        assert_eq!(keeper.refused(), 4);
    }

    #[test]
    fn a_system_clock_before_the_release_is_not_believed() {
        let mut keeper = AnchorKeeper::default();
        assert_eq!(keeper.system(BootInstant(5), UtcMs(1_000)), None);
        assert!(keeper.system(BootInstant(5), UtcMs(NOON)).is_some());
        assert_eq!(keeper.system(BootInstant(9), UtcMs(NOON + 4)), None, "one is enough");
    }
}
