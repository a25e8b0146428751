//! A trend that a few wrong values don't bend (Theil and Sen: the median of the slopes of all
//! pairs of points), with the bounds that chance leaves it (Sen 1968, by Kendall's tau). Knows
//! no battery and no unit.

/// Bounds are those that a trend is within 999 times in a thousand, were values independent;
/// a sensor's are less so, hence that much.
const SIGMAS: f64 = 3.29;

/// A straight line through points.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Trend {
    /// y for each x.
    pub slope: f64,
    /// The least slope that the points leave possible …
    pub least: f64,
    /// … and the greatest.
    pub most: f64,
    /// y where x is 0.
    pub start: f64,
}

impl Trend {
    /// y of the line.
    pub(super) fn at(self, x: f64) -> f64 {
        self.start + self.slope * x
    }
}

/// The trend of points (x, y) that ascend in x; `None` of fewer than two.
pub(super) fn trend(points: &[(f64, f64)]) -> Option<Trend> {
    let mut slopes = Vec::with_capacity(points.len() * points.len() / 2);
    for (i, (x0, y0)) in points.iter().enumerate() {
        for (x1, y1) in points.iter().skip(i + 1) {
            if x1 > x0 {
                slopes.push((y1 - y0) / (x1 - x0));
            }
        }
    }
    slopes.sort_unstable_by(f64::total_cmp);
    let slope = middle(&slopes)?;
    let n = points.len() as f64;
    let chance = SIGMAS * (n * (n - 1.0) * (2.0 * n + 5.0) / 18.0).sqrt();
    let aside = ((slopes.len() as f64 - chance) / 2.0).floor();
    // So few points that any slope is possible.
    let (least, most) = if aside < 0.0 {
        (f64::NEG_INFINITY, f64::INFINITY)
    } else {
        let aside = aside as usize;
        (*slopes.get(aside)?, *slopes.get(slopes.len().checked_sub(aside + 1)?)?)
    };
    let starts: Vec<f64> = points.iter().map(|(x, y)| y - slope * x).collect();
    Some(Trend { slope, least, most, start: median(&starts) })
}

/// The median; 0 of nothing.
pub(super) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    middle(&sorted).unwrap_or(0.0)
}

fn middle(sorted: &[f64]) -> Option<f64> {
    let half = sorted.len() / 2;
    let upper = *sorted.get(half)?;
    if sorted.len() % 2 == 1 {
        return Some(upper);
    }
    Some((sorted.get(half.checked_sub(1)?)? + upper) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(points: usize, y: impl Fn(f64) -> f64) -> Vec<(f64, f64)> {
        (0..points).map(|x| (x as f64, y(x as f64))).collect()
    }

    #[test]
    fn a_straight_line_is_found_as_it_is() {
        let found = trend(&line(20, |x| 90.0 - 0.5 * x)).unwrap();
        assert!((found.slope + 0.5).abs() < 1e-9 && (found.at(20.0) - 80.0).abs() < 1e-9);
        assert!(found.most < 0.0);
    }

    #[test]
    fn a_fifth_of_wrong_values_does_not_bend_it() {
        let points =
            line(30, |x| if (x as u32 + 3).is_multiple_of(5) { 0.0 } else { 90.0 - 0.5 * x });
        assert!((trend(&points).unwrap().slope + 0.5).abs() < 0.1);
    }

    #[test]
    fn a_flat_line_and_too_few_points_leave_either_direction_possible() {
        let flat =
            trend(&line(30, |x| if (x as u32).is_multiple_of(2) { 50.0 } else { 51.0 })).unwrap();
        assert!(flat.least <= 0.0 && flat.most >= 0.0);
        let few = trend(&line(4, |x| -x)).unwrap();
        assert!(few.most > 0.0);
        assert_eq!(trend(&[(0.0, 1.0)]), None);
    }

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!((median(&[3.0, 1.0, 2.0]), median(&[4.0, 1.0]), median(&[])), (2.0, 2.5, 0.0));
    }
}
