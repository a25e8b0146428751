//! Counts for a meter that tells only a rate: the rate over time, a count a millilitre.
//! What flows while nobody hears the meter is lost, which is why every reading of such a
//! meter says so. Pure: the time is an argument. Knows no meter and no reading.

use crate::clock::BootInstant;
use crate::units::UL_PER_GALLON;

/// Between two rates further apart, in milliseconds, nobody knows what flowed: no volume is
/// made up for it.
const LONGEST_STEP_MS: i64 = 10_000;
const ML_PER_GALLON: f64 = UL_PER_GALLON / 1e3;
const MS_PER_MINUTE: f64 = 60_000.0;

/// The account of a rate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Integral {
    begun_at: u64,
    ml: f64,
    last: Option<(BootInstant, f64)>,
}

impl Integral {
    /// Goes on from a count.
    pub fn from(count: u64) -> Self {
        Self { begun_at: count, ml: 0.0, last: None }
    }

    /// A rate in gallons a minute, `None` where it isn't known; the count at that time.
    /// Between two rates the flow is taken to change evenly.
    pub fn hear(&mut self, rate_gpm: Option<f64>, at: BootInstant) -> u64 {
        if let (Some((before, earlier)), Some(rate)) = (self.last, rate_gpm) {
            let ms = at.0 - before.0;
            if (0..=LONGEST_STEP_MS).contains(&ms) {
                let gallons = (earlier + rate) / 2.0 * (ms as f64 / MS_PER_MINUTE);
                self.ml += gallons * ML_PER_GALLON;
            }
        }
        self.last = rate_gpm.map(|rate| (at, rate));
        self.begun_at.saturating_add(self.ml as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_at_two_gallons_a_minute_is_two_gallons() {
        let mut integral = Integral::from(100);
        let last = (0..=60).map(|s| integral.hear(Some(2.0), BootInstant(s * 1000))).last();
        assert_eq!(last, Some(100 + 7570));
    }

    #[test]
    fn a_flow_that_rises_evenly_is_counted_at_its_mean() {
        let mut integral = Integral::from(0);
        integral.hear(Some(0.0), BootInstant(0));
        assert_eq!(integral.hear(Some(12.0), BootInstant(5_000)), 1892);
    }

    #[test]
    fn no_volume_is_made_up_for_silence_or_for_a_rate_that_is_not_known() {
        let mut integral = Integral::from(0);
        integral.hear(Some(2.0), BootInstant(0));
        assert_eq!(integral.hear(Some(2.0), BootInstant(10_001)), 0);
        assert_eq!(integral.hear(None, BootInstant(11_000)), 0);
        assert_eq!(integral.hear(Some(2.0), BootInstant(12_000)), 0);
        assert_eq!(integral.hear(Some(2.0), BootInstant(13_000)), 126);
    }

    #[test]
    fn parts_of_a_millilitre_add_up() {
        let mut integral = Integral::from(0);
        let trickle = 0.01;
        let last = (0..=600).map(|s| integral.hear(Some(trickle), BootInstant(s * 1000))).last();
        assert_eq!(last, Some(378));
    }
}
