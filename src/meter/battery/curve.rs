//! Volts to percent: straight lines between configured points. Knows no time and no meter.

/// A battery's curve; without points it tells nothing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Curve {
    points: Vec<(f64, f64)>,
}

/// Why (volts, percent) points are no curve.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CurveError {
    /// A point that is no number, or no percentage.
    #[error("battery point {index}: {volts} V and {percent} % are no charge")]
    Point {
        /// Index of the point, from 0.
        index: usize,
        /// As given.
        volts: f64,
        /// As given.
        percent: f64,
    },
    /// Volts that don't ascend, or percents that fall with them.
    #[error("battery point {index}: {volts} V, {percent} % does not rise from the one before it")]
    Order {
        /// Index of the point, from 0.
        index: usize,
        /// As given.
        volts: f64,
        /// As given.
        percent: f64,
    },
}

impl Curve {
    /// Any number of (volts, percent) points, ascending in volts and never falling in percent.
    ///
    /// # Errors
    /// Where they aren't.
    pub fn new(points: &[(f64, f64)]) -> Result<Self, CurveError> {
        let mut before: Option<(f64, f64)> = None;
        for (index, &(volts, percent)) in points.iter().enumerate() {
            if !volts.is_finite() || !(0.0..=100.0).contains(&percent) {
                return Err(CurveError::Point { index, volts, percent });
            }
            if before.is_some_and(|(v, p)| volts <= v || percent < p) {
                return Err(CurveError::Order { index, volts, percent });
            }
            before = Some((volts, percent));
        }
        Ok(Self { points: points.to_vec() })
    }

    /// The charge at a voltage, in percent: between two points on the straight line through
    /// them, outside all of them that of the nearest. `None` without points.
    pub fn percent(&self, volts: f64) -> Option<f64> {
        if !volts.is_finite() {
            return None;
        }
        let above = self.points.partition_point(|(v, _)| *v <= volts);
        let below = above.checked_sub(1).and_then(|i| self.points.get(i));
        match (below, self.points.get(above)) {
            (Some((v0, p0)), Some((v1, p1))) => Some(p0 + (p1 - p0) * ((volts - v0) / (v1 - v0))),
            (Some((_, percent)), None) | (None, Some((_, percent))) => Some(*percent),
            (None, None) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LEAD: [(f64, f64); 4] = [(11.8, 0.0), (12.2, 50.0), (12.5, 80.0), (12.7, 100.0)];

    #[test]
    fn points_come_out_as_given_and_between_them_lies_a_straight_line() {
        let curve = Curve::new(&LEAD).unwrap();
        for (volts, percent) in LEAD {
            assert_eq!(curve.percent(volts), Some(percent));
        }
        assert!((curve.percent(12.0).unwrap() - 25.0).abs() < 1e-9);
    }

    #[test]
    fn outside_its_ends_a_curve_stays_at_them() {
        let curve = Curve::new(&LEAD).unwrap();
        assert_eq!((curve.percent(0.0), curve.percent(14.4)), (Some(0.0), Some(100.0)));
    }

    #[test]
    fn without_a_curve_or_a_voltage_there_is_no_percentage() {
        assert_eq!(Curve::default().percent(12.3), None);
        assert_eq!(Curve::new(&LEAD).unwrap().percent(f64::NAN), None);
    }

    #[test]
    fn points_that_do_not_rise_are_refused() {
        let order = |points: &[(f64, f64)]| {
            matches!(Curve::new(points), Err(CurveError::Order { index: 1, .. }))
        };
        assert!(order(&[(12.0, 0.0), (12.0, 10.0)]));
        assert!(order(&[(11.0, 50.0), (12.0, 40.0)]));
        assert!(matches!(Curve::new(&[(f64::NAN, 0.0)]), Err(CurveError::Point { index: 0, .. })));
        assert!(matches!(Curve::new(&[(1.0, 101.0)]), Err(CurveError::Point { .. })));
    }

    proptest! {
        #[test]
        fn more_volts_are_never_less_charge(
            steps in prop::collection::vec((0.01_f64..2.0, 0.0_f64..20.0), 2..12),
            volts in prop::collection::vec(0.0_f64..30.0, 2),
        ) {
            let mut point = (5.0, 0.0);
            let points: Vec<(f64, f64)> = steps
                .into_iter()
                .map(|(v, p)| {
                    point = (point.0 + v, f64::min(point.1 + p, 100.0));
                    point
                })
                .collect();
            let curve = Curve::new(&points).unwrap();
            let (low, high) = (volts[0].min(volts[1]), volts[0].max(volts[1]));
            let (low, high) = (curve.percent(low).unwrap(), curve.percent(high).unwrap());
            prop_assert!(low <= high + 1e-9 && (0.0..=100.0).contains(&low));
        }
    }
}
