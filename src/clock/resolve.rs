//! From a row's boot time to wall time, by the anchors of its boot. Pure; knows nothing
//! of where anchors come from or are kept.

use super::{Anchor, AnchorSource, BootInstant, UtcMs};

/// Wall time at `at`, or `None` without an anchor.
///
/// Only the anchors of the most trusted source count. Between two of them time is
/// interpolated, outside them the nearest serves. `anchors` may come in any order.
pub fn resolve(anchors: &[Anchor], at: BootInstant) -> Option<UtcMs> {
    let source = best_source(anchors)?;
    let trusted = || anchors.iter().filter(|a| a.source == source);
    let before = trusted().filter(|a| a.at <= at).max_by_key(|a| a.at);
    let after = trusted().filter(|a| a.at > at).min_by_key(|a| a.at);
    match (before, after) {
        (Some(a), Some(b)) => Some(between(a, b, at)),
        (Some(a), None) | (None, Some(a)) => Some(UtcMs(a.utc.0 + at.since_ms(a.at))),
        (None, None) => None,
    }
}

/// The most trusted source that has an anchor.
pub fn best_source(anchors: &[Anchor]) -> Option<AnchorSource> {
    anchors.iter().map(|a| a.source).max()
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
