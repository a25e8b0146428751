//! Seeded dice: the same seed throws the same numbers on every machine, so that a
//! scenario that failed can be run again. Not for secrets, and knows nothing of what is
//! thrown for.

/// SplitMix64 (Steele, Lea and Flood, 2014): one 64-bit state, full period.
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// Dice that always throw the same sequence for `seed`.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Other dice of the same seed, for another purpose: what one throws does not depend
    /// on how often the other was thrown.
    pub fn for_purpose(seed: u64, purpose: &str) -> Self {
        let mixed = purpose.bytes().fold(seed ^ 0x51_7C_C1_B7_27_22_0A_95, |h, b| {
            (h.rotate_left(5) ^ u64::from(b)).wrapping_mul(0x0100_0000_01B3)
        });
        Self(mixed)
    }

    /// The next 64 bits.
    pub fn throw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `sides`; 0 where there are no sides.
    pub fn below(&mut self, sides: u64) -> u64 {
        self.throw().checked_rem(sides).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_throws_the_same_numbers_and_another_purpose_throws_others() {
        let (mut a, mut b) = (Dice::for_purpose(7, "noise"), Dice::for_purpose(7, "noise"));
        let mut c = Dice::for_purpose(7, "kill");
        let first: Vec<u64> = (0..8).map(|_| a.throw()).collect();
        assert_eq!(first, (0..8).map(|_| b.throw()).collect::<Vec<_>>());
        assert_ne!(first, (0..8).map(|_| c.throw()).collect::<Vec<_>>());
    }
}
