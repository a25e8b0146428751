//! Whether a sprayer can have come to where a fix puts it: a jump that none makes is not
//! used, and wins only if the fixes after it agree with it. Knows no reading, no receiver
//! and not what made the fix wrong.

use crate::reading::Fix;

/// Faster than this (180 km/h) goes no sprayer, nor the truck that it is on.
const FASTEST_MPS: f64 = 50.0;

/// Two good fixes of a rig that stands may be this far apart: at the worst HDOP that counts
/// each is off by some 25 m. It also covers a second of driving between fixes that
/// were read together and tell no time of their own.
const SCATTER_M: f64 = 50.0;

/// Fixes that agree with each other and not with those before them are believed once they
/// have done so for this long: the second one of a receiver at 1 Hz, whose epochs may come
/// a little early, and the same second's worth of a faster one.
const AGREED_MS: i64 = 900;

/// Fixes that waited together in a port bear nearly the same boot time. Then it is the
/// receiver's own time that tells how long lay between them, up to this much: no port holds
/// more, and a receiver whose date jumps would allow any distance.
const WAITED_MS: i64 = 10_000;

/// Judges fixes in their order.
#[derive(Debug, Clone, Default)]
pub struct Reach {
    last: Option<Fix>,
    suspects: Option<Suspects>,
    refused: u64,
}

/// Fixes that agree with each other, out of reach of the last one that counted.
#[derive(Debug, Clone)]
struct Suspects {
    first: Fix,
    newest: Fix,
}

impl Reach {
    /// Whether the fix counts. The first one does, and a configured place always: it says
    /// nothing of where a receiver will be.
    pub fn takes(&mut self, fix: &Fix) -> bool {
        if fix.is_configured() {
            (self.last, self.suspects) = (None, None);
            return true;
        }
        let reached = self.last.as_ref().is_none_or(|last| within(last, fix));
        if !(reached || self.agreed(fix)) {
            self.refused += 1;
            return false;
        }
        self.suspects = None;
        self.last = Some(fix.clone());
        true
    }

    /// Fixes that didn't count.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// Whether the fixes before it have put the rig there for long enough; else it is kept
    /// to compare the next ones with.
    fn agreed(&mut self, fix: &Fix) -> bool {
        let agreeing = self.suspects.take().filter(|them| within(&them.newest, fix));
        let first = agreeing.map_or_else(|| fix.clone(), |them| them.first);
        let agreed = between_ms(&first, fix) >= AGREED_MS;
        self.suspects = Some(Suspects { first, newest: fix.clone() });
        agreed
    }
}

fn within(earlier: &Fix, later: &Fix) -> bool {
    let driven_m = FASTEST_MPS * between_ms(earlier, later) as f64 / 1000.0;
    earlier.place.metres_to(later.place) <= driven_m + SCATTER_M
}

/// Milliseconds between two fixes, by the boot's time or by the receiver's.
fn between_ms(earlier: &Fix, later: &Fix) -> i64 {
    let by_boot = later.at.since_ms(earlier.at);
    let by_receiver = later.utc.zip(earlier.utc).map_or(0, |(b, a)| b.0.saturating_sub(a.0));
    let waited = if by_receiver <= WAITED_MS { by_receiver } else { 0 };
    by_boot.max(waited).max(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{BootInstant, UtcMs};
    use crate::reading::Place;
    use proptest::prelude::*;

    const METRE: f64 = 1.0 / 111_195.0;

    fn fix(ms: i64, north_m: f64) -> Fix {
        Fix {
            at: BootInstant(ms),
            utc: None,
            place: Place::from_degrees(40.0 + north_m * METRE, -90.0).unwrap(),
            hdop: 0.9,
            quality: 1,
            speed_mps: None,
        }
    }

    /// Which of the fixes at these milliseconds and metres count.
    fn taken(fixes: &[(i64, f64)]) -> (Vec<i64>, u64) {
        let mut reach = Reach::default();
        let took = |(ms, north_m): &&(i64, f64)| reach.takes(&fix(*ms, *north_m));
        let times = fixes.iter().filter(took).map(|(ms, _)| *ms).collect();
        (times, reach.refused())
    }

    #[test]
    fn a_truck_on_the_road_is_followed_at_any_rate_of_fixes() {
        for step_ms in [100, 200, 1000, 5000] {
            let road: Vec<_> =
                (0..50).map(|i| (i * step_ms, (i * step_ms) as f64 * 0.040)).collect();
            assert_eq!(taken(&road).1, 0, "{step_ms}");
        }
    }

    #[test]
    fn one_fix_elsewhere_is_not_used_and_the_next_one_is() {
        let fixes = [(0, 0.0), (1000, 1.0), (2000, 400.0), (3000, 3.0), (4000, 4.0)];
        assert_eq!(taken(&fixes), (vec![0, 1000, 3000, 4000], 1));
    }

    #[test]
    fn wrong_fixes_that_agree_with_nothing_never_count() {
        let fixes = [(0, 0.0), (1000, 900.0), (2000, -900.0), (3000, 5e6), (4000, 0.0)];
        assert_eq!(taken(&fixes), (vec![0, 4000], 3));
    }

    #[test]
    fn a_true_place_after_a_wrong_one_wins_with_its_second_fix() {
        let fixes = [(0, 9000.0), (1000, 1.0), (1990, 2.0), (3000, 3.0)];
        assert_eq!(taken(&fixes), (vec![0, 1990, 3000], 1));
    }

    #[test]
    fn a_fast_receiver_must_stay_there_as_long_as_a_slow_one() {
        let mut fixes = vec![(0, 9000.0)];
        fixes.extend((1..=20).map(|i| (i * 100, 0.0)));
        let (times, refused) = taken(&fixes);
        assert_eq!((times[..2].to_vec(), refused), (vec![0, 1000], 9));
    }

    #[test]
    fn after_a_hole_a_rig_may_be_as_far_as_it_drives_meanwhile() {
        assert_eq!(taken(&[(0, 0.0), (60_000, 2900.0)]).1, 0);
        assert_eq!(taken(&[(0, 0.0), (60_000, 4000.0)]).1, 1);
    }

    #[test]
    fn fixes_that_waited_in_the_port_are_judged_by_the_receivers_time() {
        let mut reach = Reach::default();
        for second in 0..30 {
            let at = if second < 10 { second * 1000 } else { 30_000 };
            let driven = Fix { utc: Some(UtcMs(second * 1000)), ..fix(at, second as f64 * 40.0) };
            assert!(reach.takes(&driven), "{second}");
        }
    }

    #[test]
    fn a_date_that_jumps_allows_no_distance() {
        let mut reach = Reach::default();
        assert!(reach.takes(&Fix { utc: Some(UtcMs(0)), ..fix(0, 0.0) }));
        let later = Fix { utc: Some(UtcMs(600_000_000_000)), ..fix(1000, 90_000.0) };
        assert!(!reach.takes(&later));
    }

    proptest! {
        #[test]
        fn lone_fixes_elsewhere_are_left_out_of_any_drive_and_cost_it_none(
            drive in prop::collection::vec((0.0..45.0, prop::option::weighted(0.2, 500.0..4e6)), 2..60),
        ) {
            let mut reach = Reach::default();
            let (mut north_m, mut lone) = (0.0, false);
            for (second, (mps, off_m)) in (0..).zip(drive) {
                north_m += mps;
                let at = second * 1000;
                // The first one counts, and two in a row that are near each other may be true.
                let off_m = off_m.filter(|_| second > 0 && !lone);
                lone = off_m.is_some();
                let seen = fix(at, north_m + off_m.unwrap_or(0.0));
                prop_assert_eq!(reach.takes(&seen), off_m.is_none(), "second {}", second);
            }
        }

        #[test]
        fn whatever_came_before_the_second_of_two_true_fixes_counts(
            before in prop::collection::vec((0..5000i64, -1e6..1e6), 0..20),
        ) {
            let mut reach = Reach::default();
            let mut at = 0;
            for (later_ms, north_m) in before {
                at += later_ms;
                reach.takes(&fix(at, north_m));
            }
            reach.takes(&fix(at + 1000, 0.0));
            prop_assert!(reach.takes(&fix(at + 2000, 10.0)));
        }
    }

    #[test]
    fn a_configured_place_is_not_judged_and_judges_none() {
        let mut reach = Reach::default();
        assert!(reach.takes(&fix(0, 0.0)));
        assert!(reach.takes(&Fix { quality: Fix::CONFIGURED, ..fix(500, 90_000.0) }));
        assert!(reach.takes(&fix(1000, 0.0)));
        assert_eq!(reach.refused(), 0);
    }
}
