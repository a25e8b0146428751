//! When an observation of the time becomes an anchor. Pure: observations come in with
//! their boot time, anchors worth storing come out. Knows neither receiver nor store.

use std::collections::VecDeque;

use super::resolve::{is_step, resolve};
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
/// A time that contradicts what is stored is believed once it has been told for so long
/// without a break: a receiver that is out of its mind for a moment dates no reading.
const STEP_TOLD_MS: i64 = 30_000;
/// How many consistent fixes make an anchor.
const FIXES: usize = 3;

/// Decides which observations of one boot are stored.
#[derive(Debug, Default)]
pub struct AnchorKeeper {
    stored: Vec<Anchor>,
    recent: VecDeque<(BootInstant, UtcMs)>,
    contradictions: Vec<Contradiction>,
    refused: u64,
}

/// A time that contradicts what its source told before.
#[derive(Debug)]
struct Contradiction {
    source: AnchorSource,
    /// UTC less boot time, in milliseconds.
    offset_ms: i64,
    since: BootInstant,
    last: BootInstant,
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

    /// Observations that were no date, or that contradicted what was told before and weren't
    /// told for long enough.
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
        if let Some(last) = same().max_by_key(|a| a.at).copied() {
            let gone = anchor.at.since_ms(last.at);
            let residual = (anchor.utc.0 - last.utc.0 - gone).abs();
            if residual <= RESIDUAL_MS && gone < EVERY_MS {
                self.contradictions.retain(|c| c.source != anchor.source);
                return None;
            }
            if gone <= 0 || (is_step(&last, &anchor) && !self.told_for_long(&anchor)) {
                self.refused += 1;
                return None;
            }
        }
        self.contradictions.retain(|c| c.source != anchor.source);
        self.stored.push(anchor);
        Some(anchor)
    }

    /// Whether a time that contradicts what is stored has been told for long enough.
    fn told_for_long(&mut self, anchor: &Anchor) -> bool {
        let offset_ms = anchor.utc.0 - anchor.at.0;
        let same = |c: &&mut Contradiction| c.source == anchor.source;
        if let Some(told) = self.contradictions.iter_mut().find(same)
            && (offset_ms - told.offset_ms).abs() <= RESIDUAL_MS
            && anchor.at.since_ms(told.last) <= NEIGHBOURS_MS
        {
            told.last = anchor.at;
            return anchor.at.since_ms(told.since) >= STEP_TOLD_MS;
        }
        self.contradictions.retain(|c| c.source != anchor.source);
        let (source, since) = (anchor.source, anchor.at);
        self.contradictions.push(Contradiction { source, offset_ms, since, last: since });
        false
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
    fn what_may_be_late_makes_an_anchor_that_says_so() {
        let mut keeper = AnchorKeeper::default();
        let mut stored = (0..3).filter_map(|s| {
            keeper.gps_within(BootInstant(s * 1_010), UtcMs(NOON + s * 1_000), 1_000)
        });
        assert_eq!(stored.next().map(|anchor| anchor.err_ms), Some(1_020));
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

    /// Fixes at 1 Hz from one second to another, off by so many milliseconds.
    fn fixes(keeper: &mut AnchorKeeper, from: i64, to: i64, off: i64) -> Vec<i64> {
        let told = |s: i64| fix(keeper, s * 1_000, NOON + s * 1_000 + off).map(|_| s);
        (from..to).filter_map(told).collect()
    }

    #[test]
    fn a_receiver_that_is_out_of_its_mind_for_a_moment_moves_no_time() {
        for off in [-90_000, 86_400_000, -2_000] {
            let mut keeper = AnchorKeeper::default();
            assert_eq!(fixes(&mut keeper, 0, 60, 0), [2]);
            assert_eq!(fixes(&mut keeper, 60, 90, off), [0; 0]);
            assert_eq!(keeper.refused(), 28, "and each such date is counted");
            assert_eq!(fixes(&mut keeper, 90, 120, 0), [0; 0], "back to its senses");
            assert_eq!(fixes(&mut keeper, 120, 150, off), [0; 0], "not the sum of two moments");
            assert_eq!(keeper.resolve(BootInstant(100_000)), Some(UtcMs(NOON + 100_000)));
        }
    }

    #[test]
    fn a_time_that_is_told_for_long_enough_replaces_the_wrong_one_of_before() {
        for off in [-86_400_000, 86_400_000, -2_000] {
            let mut keeper = AnchorKeeper::default();
            assert_eq!(fixes(&mut keeper, 0, 60, off), [2], "a cold receiver's date");
            assert_eq!(fixes(&mut keeper, 60, 120, 0), [92]);
            assert_eq!(
                keeper.resolve(BootInstant(0)),
                Some(UtcMs(NOON)),
                "also for what was before"
            );
        }
    }

    #[test]
    fn a_step_that_is_told_with_breaks_is_not_believed() {
        let mut keeper = AnchorKeeper::default();
        assert_eq!(fixes(&mut keeper, 0, 10, 0), [2]);
        for n in 1..6 {
            let from = n * 100;
            assert_eq!(fixes(&mut keeper, from, from + 20, 60_000), [0; 0]);
        }
    }

    #[test]
    fn a_system_clock_that_is_set_while_it_is_synchronised_is_followed_both_ways() {
        let mut keeper = AnchorKeeper::default();
        let mut told = |from: i64, to: i64, off: i64| {
            let stored = |s: i64| {
                keeper.system(BootInstant(s * 1_000), UtcMs(NOON + s * 1_000 + off)).map(|_| s)
            };
            (from..to).filter_map(stored).collect::<Vec<_>>()
        };
        assert_eq!(told(0, 100, 0), [0]);
        assert_eq!(told(100, 200, 3_600_000), [130]);
        assert_eq!(told(200, 300, -3_600_000), [230]);
        assert_eq!(keeper.resolve(BootInstant(0)), Some(UtcMs(NOON - 3_600_000)));
    }

    #[test]
    fn after_a_start_in_the_same_boot_a_step_needs_as_long() {
        let mut before = AnchorKeeper::default();
        assert_eq!(fixes(&mut before, 0, 10, 0), [2]);
        let mut keeper = AnchorKeeper::new(before.stored().to_vec());
        assert_eq!(fixes(&mut keeper, 20, 100, 60_000), [52]);
    }

    #[test]
    fn a_system_clock_before_the_release_is_not_believed() {
        let mut keeper = AnchorKeeper::default();
        assert_eq!(keeper.system(BootInstant(5), UtcMs(1_000)), None);
        assert!(keeper.system(BootInstant(5), UtcMs(NOON)).is_some());
        assert_eq!(keeper.system(BootInstant(9), UtcMs(NOON + 4)), None, "one is enough");
    }
}
