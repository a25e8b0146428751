//! Whether a meter's count and its own rate say the same. Volume comes from the count alone, so
//! a count that stands still while liquid flows loses all of it, and only the rate tells.
//! Judges no count and changes nothing: it is for `status`. Knows no reading and no meter.

use serde::Serialize;

use crate::clock::BootInstant;
use crate::units::UL_PER_GALLON;

/// So long one says that it flows and the other that it doesn't, before it is a disagreement:
/// the rates of meters are smoothed and lag behind.
const LASTING_MS: i64 = 10_000;
/// And the one that flows must be worth so many counts: a slow drip of a coarse meter may
/// take longer than that for one.
const COUNTS: f64 = 3.0;
/// Between samples further apart anything may have happened.
const LONGEST_STEP_MS: i64 = 60_000;

/// What doesn't agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Disagreement {
    /// The rate says flow and the count stands still.
    CountFrozen,
    /// The count advances and the rate says that nothing flows.
    CountsWithoutRate,
}

/// A believed sample, as far as the two are told.
#[derive(Debug, Clone, Copy)]
pub struct Told {
    /// When.
    pub at: BootInstant,
    /// Volume by the count since the sample before, in microlitres.
    pub ul: f64,
    /// The meter's own rate in gallons a minute, where it tells one.
    pub rate_gpm: Option<f64>,
    /// Volume of one count, in microlitres.
    pub count_ul: f64,
    /// Below it a rate is none, in gallons a minute.
    pub low_flow_gpm: f64,
}

/// Watches the two.
#[derive(Debug, Clone, Default)]
pub struct Agreement {
    heard: Option<BootInstant>,
    counted: Option<BootInstant>,
    /// Since when only one of them says flow, which, and how much by that one.
    alone: Option<(Disagreement, BootInstant, f64)>,
    now: Option<Disagreement>,
    frozen: u64,
    without_rate: u64,
}

impl Agreement {
    /// A believed sample whose volume came since the one before it.
    pub fn saw(&mut self, told: Told) {
        let step_ms = self.heard.map(|heard| told.at.since_ms(heard));
        let Some(step_ms) = step_ms.filter(|ms| (0..=LONGEST_STEP_MS).contains(ms)) else {
            return self.broke(told.at);
        };
        self.heard = Some(told.at);
        if told.ul > 0.0 {
            self.counted = Some(told.at);
        }
        let Some(rate_gpm) = told.rate_gpm.filter(|gpm| gpm.is_finite()) else {
            return self.agreed();
        };
        let rated_ul = rate_gpm * UL_PER_GALLON * step_ms as f64 / 60_000.0;
        let rated = rate_gpm > 0.0 && rate_gpm >= told.low_flow_gpm;
        // Between two counts of a slow flow it goes on.
        let counting = self.counted.is_some_and(|at| told.at.since_ms(at) < LASTING_MS);
        if rated && told.ul <= 0.0 {
            self.went_alone(Disagreement::CountFrozen, rated_ul, &told);
        } else if !rated && counting {
            self.went_alone(Disagreement::CountsWithoutRate, told.ul, &told);
        } else {
            self.agreed();
        }
    }

    /// What came before this moment says nothing: a gap, a jump, a restart, another meter.
    pub fn broke(&mut self, at: BootInstant) {
        self.heard = Some(at);
        self.counted = None;
        self.agreed();
    }

    /// What doesn't agree, as of the last sample.
    pub fn now(&self) -> Option<Disagreement> {
        self.now
    }

    /// How often the count was found frozen, and how often it advanced without a rate.
    pub fn times(&self) -> (u64, u64) {
        (self.frozen, self.without_rate)
    }

    fn agreed(&mut self) {
        self.alone = None;
        self.now = None;
    }

    fn went_alone(&mut self, what: Disagreement, ul: f64, told: &Told) {
        let (since, before_ul) = match self.alone {
            Some((same, since, before_ul)) if same == what => (since, before_ul),
            _ => {
                self.now = None;
                (told.at, 0.0)
            }
        };
        let all_ul = before_ul + ul;
        self.alone = Some((what, since, all_ul));
        let ms = told.at.since_ms(since);
        let flow_ul = told.low_flow_gpm * UL_PER_GALLON * ms as f64 / 60_000.0;
        if ms < LASTING_MS || all_ul < (COUNTS * told.count_ul).max(flow_ul) {
            return;
        }
        if self.now != Some(what) {
            match what {
                Disagreement::CountFrozen => self.frozen += 1,
                Disagreement::CountsWithoutRate => self.without_rate += 1,
            }
        }
        self.now = Some(what);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A meter at 120 counts a gallon, with a sample a second.
    struct Meter {
        agreement: Agreement,
        ms: i64,
    }

    impl Meter {
        fn new() -> Self {
            Self { agreement: Agreement::default(), ms: 1_000 }
        }

        /// So many seconds; the second of them in which each disagreement was first seen.
        fn run(
            &mut self,
            seconds: i64,
            gpm: f64,
            rate: Option<f64>,
        ) -> Option<(i64, Disagreement)> {
            let mut first = None;
            for second in 1..=seconds {
                self.ms += 1_000;
                self.agreement.saw(Told {
                    at: BootInstant(self.ms),
                    ul: gpm / 60.0 * UL_PER_GALLON,
                    rate_gpm: rate,
                    count_ul: UL_PER_GALLON / 120.0,
                    low_flow_gpm: 0.05,
                });
                first = first.or(self.agreement.now().map(|what| (second, what)));
            }
            first
        }
    }

    use Disagreement::{CountFrozen, CountsWithoutRate};

    #[test]
    fn a_count_that_stands_still_while_the_rate_says_flow_is_frozen() {
        let mut meter = Meter::new();
        assert_eq!(meter.run(60, 2.0, Some(2.0)), None);
        assert_eq!(meter.run(60, 0.0, Some(2.0)), Some((11, CountFrozen)));
        assert_eq!(meter.agreement.times(), (1, 0));
        assert_eq!(meter.run(1, 2.0, Some(2.0)), None, "it counts again");
        meter.run(60, 0.0, Some(2.0));
        assert_eq!(meter.agreement.times(), (2, 0));
    }

    #[test]
    fn a_count_that_never_moved_is_frozen_after_ten_seconds_of_flow() {
        assert_eq!(Meter::new().run(60, 0.0, Some(2.0)), Some((12, CountFrozen)));
    }

    #[test]
    fn counts_without_a_rate_are_told_and_seepage_is_not() {
        let mut meter = Meter::new();
        meter.run(3_600, 0.0, Some(0.0));
        let (second, what) = meter.run(60, 2.0, Some(0.0)).unwrap();
        assert_eq!((second, what), (11, CountsWithoutRate));
        assert_eq!(meter.agreement.times(), (0, 1));
        assert_eq!(meter.run(30, 0.0, Some(0.0)).map(|(_, what)| what), Some(CountsWithoutRate));
        assert_eq!(meter.agreement.now(), None, "it has stopped");
        assert_eq!(meter.run(600, 0.03, Some(0.0)), None, "below the cut-off");
    }

    #[test]
    fn a_rate_that_lags_behind_is_no_disagreement() {
        let mut meter = Meter::new();
        meter.run(60, 0.0, Some(0.0));
        assert_eq!(meter.run(9, 2.0, Some(0.0)), None);
        assert_eq!(meter.run(60, 2.0, Some(2.0)), None);
        assert_eq!(meter.run(9, 0.0, Some(1.0)), None);
        assert_eq!(meter.run(60, 0.0, Some(0.0)), None);
    }

    #[test]
    fn a_drip_of_a_coarse_meter_is_not_frozen_between_two_counts() {
        // 0.06 gallons a minute are a count in 8 s here; half a minute without one is frozen.
        let mut meter = Meter::new();
        assert_eq!(meter.run(25, 0.0, Some(0.06)), None);
        assert!(matches!(meter.run(10, 0.0, Some(0.06)), Some((1..=3, CountFrozen))));
    }

    #[test]
    fn a_meter_without_a_rate_or_after_a_silence_says_nothing() {
        let mut meter = Meter::new();
        assert_eq!(meter.run(60, 2.0, None), None);
        assert_eq!(meter.run(60, 0.0, None), None);
        assert!(meter.run(60, 0.0, Some(2.0)).is_some());
        meter.ms += 61_000;
        assert_eq!(meter.run(10, 0.0, Some(2.0)), None);
    }
}
