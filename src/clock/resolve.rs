//! From a row's boot time to wall time, by the anchors of its boot. Pure; knows nothing
//! of where anchors come from or are kept.

use super::{Anchor, AnchorSource, BootInstant, UtcMs};

/// A leap second, and the errors of two anchors. What is further off is no drift.
const STEP_MS: i64 = 1_500;

/// A crystal is off by 100 ppm at worst; the kernel slews the clock by 500 at most.
const DRIFT_PPM: i64 = 500;

/// How far a source may be off the one that is used before somebody should know.
const DISAGREES_MS: i64 = 2_000;

/// Wall time at `at`, or `None` without an anchor.
///
/// Only the anchors of the most trusted source count, and of those only the ones since its
/// last step: where a clock was set, one of its times before and after was wrong, and what
/// was told last and for longer than a moment (`anchors`) is taken for the whole boot. Time
/// never goes backwards within one. Between two anchors time is interpolated, outside them
/// the nearest serves. `anchors` may come in any order.
pub fn resolve(anchors: &[Anchor], at: BootInstant) -> Option<UtcMs> {
    resolve_by(anchors, best_source(anchors)?, at)
}

/// The most trusted source that has an anchor.
pub fn best_source(anchors: &[Anchor]) -> Option<AnchorSource> {
    anchors.iter().map(|a| a.source).max()
}

/// Whether between two anchors of one source its clock was set, rather than drifted.
pub fn is_step(earlier: &Anchor, later: &Anchor) -> bool {
    let gone = later.at.since_ms(earlier.at);
    let told = later.utc.0.saturating_sub(earlier.utc.0);
    told < 0 || (told.saturating_sub(gone)).abs() > STEP_MS + gone / 1_000 * DRIFT_PPM / 1_000
}

/// A source that is far off the one that is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disagreement {
    /// Which is off.
    pub source: AnchorSource,
    /// By how many milliseconds it is ahead; negative where it is behind.
    pub ahead_ms: i64,
}

/// The sources that are far off the one that is used, by what each told last.
pub fn disagreements(anchors: &[Anchor]) -> Vec<Disagreement> {
    let Some(best) = best_source(anchors) else { return Vec::new() };
    let of = |source| anchors.iter().filter(move |a| a.source == source).max_by_key(|a| a.at);
    [AnchorSource::Operator, AnchorSource::System, AnchorSource::Gps]
        .into_iter()
        .filter(|source| *source != best)
        .filter_map(|source| {
            let told = of(source)?;
            let ahead_ms = told.utc.0 - resolve_by(anchors, best, told.at)?.0;
            let far = ahead_ms.abs() > DISAGREES_MS.max(told.err_ms);
            far.then_some(Disagreement { source, ahead_ms })
        })
        .collect()
}

fn resolve_by(anchors: &[Anchor], source: AnchorSource, at: BootInstant) -> Option<UtcMs> {
    if anchors.is_sorted_by_key(|a| a.at) {
        nearest(anchors.iter().rev().filter(|a| a.source == source), at)
    } else {
        let mut sorted: Vec<&Anchor> = anchors.iter().filter(|a| a.source == source).collect();
        sorted.sort_by_key(|a| a.at);
        nearest(sorted.into_iter().rev(), at)
    }
}

/// By anchors of one source, the newest first.
fn nearest<'a>(newest_first: impl Iterator<Item = &'a Anchor>, at: BootInstant) -> Option<UtcMs> {
    let (mut before, mut after): (Option<&Anchor>, Option<&Anchor>) = (None, None);
    for anchor in newest_first {
        if after.is_some_and(|later| is_step(anchor, later)) {
            break;
        }
        if anchor.at <= at {
            before = Some(anchor);
            break;
        }
        after = Some(anchor);
    }
    match (before, after) {
        (Some(a), Some(b)) => Some(between(a, b, at)),
        (Some(a), None) | (None, Some(a)) => Some(UtcMs(a.utc.0 + at.since_ms(a.at))),
        (None, None) => None,
    }
}

fn between(a: &Anchor, b: &Anchor, at: BootInstant) -> UtcMs {
    let span = i128::from(b.at.since_ms(a.at).max(1));
    let gone = i128::from(at.since_ms(a.at));
    let utc = i128::from(a.utc.0) + i128::from(b.utc.0 - a.utc.0) * gone / span;
    UtcMs(utc as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn anchor(at: i64, utc: i64, source: AnchorSource) -> Anchor {
        Anchor { at: BootInstant(at), utc: UtcMs(utc), err_ms: 0, source }
    }

    #[test]
    fn no_anchor_is_no_time() {
        assert_eq!(resolve(&[], BootInstant(5)), None);
    }

    #[test]
    fn one_anchor_dates_what_came_before_and_after_it() {
        let anchors = [anchor(10_000, 1_000_000, AnchorSource::Gps)];
        assert_eq!(resolve(&anchors, BootInstant(4_000)), Some(UtcMs(994_000)));
        assert_eq!(resolve(&anchors, BootInstant(11_500)), Some(UtcMs(1_001_500)));
    }

    #[test]
    fn between_two_anchors_the_crystals_drift_is_shared_out() {
        let anchors =
            [anchor(0, 0, AnchorSource::Gps), anchor(600_000, 600_300, AnchorSource::Gps)];
        assert_eq!(resolve(&anchors, BootInstant(300_000)), Some(UtcMs(300_150)));
    }

    #[test]
    fn what_was_measured_outranks_what_a_person_remembers_and_the_gps_the_system_clock() {
        let mut anchors = vec![anchor(0, 77, AnchorSource::Operator)];
        assert_eq!(resolve(&anchors, BootInstant(0)), Some(UtcMs(77)));
        anchors.push(anchor(0, 5_000, AnchorSource::System));
        assert_eq!(resolve(&anchors, BootInstant(0)), Some(UtcMs(5_000)));
        anchors.push(anchor(10, 1_000_010, AnchorSource::Gps));
        assert_eq!(resolve(&anchors, BootInstant(0)), Some(UtcMs(1_000_000)));
    }

    #[test]
    fn a_clock_that_was_set_dates_the_whole_boot_by_what_it_told_last() {
        let hour = 3_600_000;
        for step in [-hour, hour, -2_100, 2_100] {
            let system = |at: i64, utc: i64| anchor(at, utc, AnchorSource::System);
            let now = 9 * hour + step;
            let set = [system(0, 8 * hour), system(600_000, now), system(1_200_000, now + 600_020)];
            let told = |at: i64| resolve(&set, BootInstant(at)).unwrap().0 - now;
            assert_eq!([told(0), told(599_000), told(600_000)], [-600_000, -1_000, 0], "{step}");
            assert_eq!([told(900_000), told(1_300_000)], [300_010, 700_020], "{step}");
        }
    }

    #[test]
    fn a_leap_second_is_no_step_and_moves_no_reading_by_more_than_it() {
        let leap = [
            anchor(0, 1_000_000, AnchorSource::Gps),
            anchor(600_000, 1_600_010, AnchorSource::Gps),
            anchor(900_000, 1_899_010, AnchorSource::Gps),
            anchor(1_500_000, 2_499_020, AnchorSource::Gps),
        ];
        for at in (0..2_000_000).step_by(1_000) {
            let truth = 1_000_000 + at - if at > 899_000 { 1_000 } else { 0 };
            let off = resolve(&leap, BootInstant(at)).unwrap().0 - truth;
            assert!(off.abs() <= 1_020, "{at}: {off}");
        }
    }

    #[test]
    fn a_source_that_is_far_off_the_one_that_is_used_is_named() {
        use AnchorSource::{Gps, Operator, System};
        let gps = anchor(10_000, 1_010_000, Gps);
        let close = [anchor(0, 1_001_900, System), gps];
        assert_eq!(disagreements(&close), []);
        let by_hand = Anchor { err_ms: 60_000, ..anchor(0, 950_000, Operator) };
        assert_eq!(disagreements(&[by_hand, gps]), [], "good to the minute");
        let far = [anchor(0, 1_000_000, System), gps, anchor(20_000, 900_000, System)];
        let found = Disagreement { source: System, ahead_ms: -120_000 };
        assert_eq!(disagreements(&far), [found], "by what it told last");
    }

    proptest! {
        #[test]
        fn time_never_runs_backwards_within_a_boot(
            steps in prop::collection::vec((1i64..2_000_000, 1i64..2_000_000), 1..6),
            mut asks in prop::collection::vec(0i64..12_000_000, 2..20),
        ) {
            let (mut at, mut utc) = (0, 1_800_000_000_000);
            let anchors: Vec<_> = steps.iter().map(|(dt, du)| {
                at += dt; utc += du;
                anchor(at, utc, AnchorSource::Gps)
            }).collect();
            asks.sort_unstable();
            let times: Vec<_> = asks.iter().map(|a| resolve(&anchors, BootInstant(*a)).unwrap()).collect();
            prop_assert!(times.is_sorted());
        }
    }
}
