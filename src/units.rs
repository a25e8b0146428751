//! Units that cross module borders, as types. Conversions happen once, here or in a
//! decoder; everything inside is integer microlitres and integer milliseconds.
//!
//! Knows nothing of meters, files or clocks.

use std::iter::Sum;
use std::ops::{Add, AddAssign, Sub};

use serde::{Deserialize, Serialize};

/// Microlitres in a US gallon of exactly 231 cubic inches (NIST HB 44, appendix C).
pub const UL_PER_GALLON: f64 = 3_785_411.784;

/// A volume in microlitres: fine enough for a thousandth of any meter's pulse, and an
/// `i64` of it holds 2.4 million million gallons.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Microlitres(pub i64);

impl Microlitres {
    /// No volume.
    pub const ZERO: Self = Self(0);

    /// From US gallons, rounded to the nearest microlitre.
    pub fn from_gallons(gallons: f64) -> Self {
        Self((gallons * UL_PER_GALLON).round() as i64)
    }

    /// In US gallons.
    pub fn gallons(self) -> f64 {
        self.0 as f64 / UL_PER_GALLON
    }
}

impl Add for Microlitres {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

impl AddAssign for Microlitres {
    fn add_assign(&mut self, other: Self) {
        self.0 += other.0;
    }
}

impl Sub for Microlitres {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0 - other.0)
    }
}

impl Sum for Microlitres {
    fn sum<I: Iterator<Item = Self>>(items: I) -> Self {
        items.fold(Self::ZERO, Add::add)
    }
}

/// K: a meter's calibration factor in counts a US gallon. Always finite and above zero.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KFactor(f64);

impl KFactor {
    /// `None` unless `counts_per_gallon` is finite and above zero.
    pub fn new(counts_per_gallon: f64) -> Option<Self> {
        (counts_per_gallon.is_finite() && counts_per_gallon > 0.0)
            .then_some(Self(counts_per_gallon))
    }

    /// Counts a US gallon.
    pub fn counts_per_gallon(self) -> f64 {
        self.0
    }

    /// The volume of so many counts, rounded once.
    pub fn volume(self, counts: u64) -> Microlitres {
        Microlitres::from_gallons(counts as f64 / self.0)
    }

    /// How many counts a volume of so many gallons is, not rounded.
    pub fn counts(self, gallons: f64) -> f64 {
        gallons * self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gallon_of_counts_is_a_gallon_of_microlitres() {
        let k = KFactor::new(126.7).unwrap();
        assert_eq!(k.volume(1267), Microlitres(37_854_118));
        assert!((k.volume(1267).gallons() - 10.0).abs() < 1e-6);
    }

    #[test]
    fn k_is_never_zero_negative_or_not_a_number() {
        for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(KFactor::new(bad).is_none());
        }
    }
}
