//! From counts to volume: a constant K, or K by frequency. Knows no counter and no
//! reading; rounding to whole microlitres is the caller's, who knows what was left over.

use crate::units::{KFactor, UL_PER_GALLON};

/// How a meter's counts become volume.
#[derive(Debug, Clone, PartialEq)]
pub struct Calibration {
    factor: KFactor,
    points: Vec<(f64, KFactor)>,
}

/// Why (Hz, K) points are no calibration.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CalibrationError {
    /// A frequency that is negative or not a number.
    #[error("calibration point {index}: {hz} Hz is no frequency")]
    Frequency {
        /// Index of the point, from 0.
        index: usize,
        /// As given.
        hz: f64,
    },
    /// A factor that is not above zero.
    #[error("calibration point {index}: a factor of {k} counts a gallon is not above zero")]
    Factor {
        /// Index of the point, from 0.
        index: usize,
        /// As given.
        k: f64,
    },
    /// Points that don't ascend in frequency.
    #[error("calibration point {index}: {hz} Hz is not above the point before it")]
    Order {
        /// Index of the point, from 0.
        index: usize,
        /// As given.
        hz: f64,
    },
}

impl Calibration {
    /// A nominal K and any number of (Hz, counts a gallon) points that ascend in Hz.
    pub fn new(factor: KFactor, points: &[(f64, f64)]) -> Result<Self, CalibrationError> {
        let mut checked: Vec<(f64, KFactor)> = Vec::with_capacity(points.len());
        for (index, &(hz, k)) in points.iter().enumerate() {
            if !hz.is_finite() || hz < 0.0 {
                return Err(CalibrationError::Frequency { index, hz });
            }
            if checked.last().is_some_and(|(before, _)| hz <= *before) {
                return Err(CalibrationError::Order { index, hz });
            }
            let k = KFactor::new(k).ok_or(CalibrationError::Factor { index, k })?;
            checked.push((hz, k));
        }
        Ok(Self { factor, points: checked })
    }

    /// One K for every flow.
    pub fn constant(factor: KFactor) -> Self {
        Self { factor, points: Vec::new() }
    }

    /// The nominal K.
    pub fn factor(&self) -> KFactor {
        self.factor
    }

    /// Counts a gallon at so many counts a second: between two points on the straight line
    /// through them, outside all of them that of the nearest.
    pub fn counts_per_gallon_at(&self, hz: f64) -> f64 {
        let above = self.points.partition_point(|(at, _)| *at <= hz);
        let below = above.checked_sub(1).and_then(|i| self.points.get(i));
        match (below, self.points.get(above)) {
            (Some((f0, k0)), Some((f1, k1))) => {
                let (k0, k1) = (k0.counts_per_gallon(), k1.counts_per_gallon());
                k0 + (k1 - k0) * ((hz - f0) / (f1 - f0))
            }
            (Some((_, k)), None) | (None, Some((_, k))) => k.counts_per_gallon(),
            (None, None) => self.factor.counts_per_gallon(),
        }
    }

    /// Volume in microlitres, not rounded, of so many counts that came at so many a second;
    /// where that isn't known the nominal K serves.
    pub fn volume_ul(&self, counts: u64, hz: Option<f64>) -> f64 {
        let nominal = self.factor.counts_per_gallon();
        let k = hz.map_or(nominal, |hz| self.counts_per_gallon_at(hz));
        counts as f64 / k * UL_PER_GALLON
    }

    /// The points in a text of their own, to be compared with those of another time; empty
    /// where there are none.
    pub fn points_text(&self) -> String {
        let points = self.points.iter().map(|(hz, k)| format!("{hz}:{}", k.counts_per_gallon()));
        points.collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Badger B2800: gallons a minute and Hz at both ends of its range.
    const B2800: [(f64, f64); 2] = [(2.00, 103.6), (15.00, 769.7)];

    fn b2800() -> Calibration {
        let points = B2800.map(|(gpm, hz)| (hz, hz * 60.0 / gpm));
        Calibration::new(KFactor::new(3_090.0).unwrap(), &points).unwrap()
    }

    fn gallons_a_minute(calibration: &Calibration, hz: f64) -> f64 {
        let minutes = 10;
        let counts = (hz * 60.0 * f64::from(minutes)).round() as u64;
        calibration.volume_ul(counts, Some(hz)) / UL_PER_GALLON / f64::from(minutes)
    }

    #[test]
    fn the_ends_of_a_badger_b2800_come_out_as_published() {
        for (gpm, hz) in B2800 {
            assert!((gallons_a_minute(&b2800(), hz) - gpm).abs() < 1e-4, "{gpm}");
        }
        let (low, high) =
            (b2800().counts_per_gallon_at(103.6), b2800().counts_per_gallon_at(769.7));
        assert!((low - 3_108.0).abs() < 0.01 && (high - 3_078.8).abs() < 0.01, "{low} {high}");
    }

    #[test]
    fn between_two_points_k_lies_on_the_line_and_outside_it_stays() {
        let c = b2800();
        let middle = c.counts_per_gallon_at((103.6 + 769.7) / 2.0);
        assert!((middle - (3_108.0 + 3_078.8) / 2.0).abs() < 0.01, "{middle}");
        assert_eq!(c.counts_per_gallon_at(0.0), c.counts_per_gallon_at(103.6));
        assert_eq!(c.counts_per_gallon_at(1e9), c.counts_per_gallon_at(769.7));
    }

    #[test]
    fn without_points_or_without_a_frequency_the_nominal_k_serves() {
        let plain = Calibration::constant(KFactor::new(126.7).unwrap());
        assert!((plain.volume_ul(1_267, Some(1_267.0)) - 10.0 * UL_PER_GALLON).abs() < 1e-3);
        assert!((b2800().volume_ul(3_090, None) - UL_PER_GALLON).abs() < 1e-3);
        assert_eq!(b2800().volume_ul(0, Some(0.0)), 0.0);
    }

    #[test]
    fn points_that_make_no_line_are_refused() {
        let k = KFactor::new(100.0).unwrap();
        let refused = |points: &[(f64, f64)]| Calibration::new(k, points).unwrap_err();
        assert!(matches!(
            refused(&[(10.0, 1.0), (10.0, 2.0)]),
            CalibrationError::Order { index: 1, .. }
        ));
        assert!(matches!(
            refused(&[(f64::NAN, 1.0)]),
            CalibrationError::Frequency { index: 0, .. }
        ));
        assert!(matches!(refused(&[(1.0, 0.0)]), CalibrationError::Factor { index: 0, .. }));
    }
}
