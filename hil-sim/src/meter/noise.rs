//! What a wet connector, a long cable or a bad earth makes of a line. Whatever comes out
//! can't be read as a line with a right checksum. Knows nothing of ports.

use crate::dice::Dice;

/// How a line is spoilt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Damage {
    /// Other bytes in its place, any value.
    Garbage,
    /// Cut short, so that the next line follows in the middle of it.
    Torn,
    /// A digit of its count changed and the checksum left as it was.
    BadChecksum,
}

impl Damage {
    /// One of them by a throw.
    pub fn thrown(dice: &mut Dice) -> Self {
        match dice.below(3) {
            0 => Self::Garbage,
            1 => Self::Torn,
            _ => Self::BadChecksum,
        }
    }
}

/// What comes out of the cable instead of `line`.
pub fn damaged(line: &str, damage: Damage, dice: &mut Dice) -> Vec<u8> {
    match damage {
        Damage::Garbage => {
            let length = 20 + dice.below(60);
            // A '*' is what a checksum follows: without one, no garbage is ever a line.
            let mut bytes: Vec<u8> = (0..length)
                .map(|_| (dice.throw() & 0xFF) as u8)
                .map(|byte| if byte == b'*' { 0 } else { byte })
                .collect();
            bytes.extend_from_slice(b"\r\n");
            bytes
        }
        Damage::Torn => {
            let keep = 1 + dice.below(line.len().saturating_sub(6) as u64) as usize;
            line.as_bytes().iter().copied().take(keep).collect()
        }
        Damage::BadChecksum => {
            let mut bytes = line.as_bytes().to_vec();
            if let Some(digit) = last_digit_of_count(&bytes).and_then(|at| bytes.get_mut(at)) {
                *digit = if *digit == b'9' { b'0' } else { *digit + 1 };
            }
            bytes
        }
    }
}

/// The count is the fourth field.
fn last_digit_of_count(line: &[u8]) -> Option<usize> {
    let fourth_comma = line.iter().enumerate().filter(|(_, byte)| **byte == b',').nth(3)?.0;
    fourth_comma.checked_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nmea::{sentence, xor8};

    fn has_right_checksum(bytes: &[u8]) -> bool {
        let Some(star) = bytes.iter().position(|b| *b == b'*') else {
            return false;
        };
        let Some(start) = bytes[..star].iter().rposition(|b| *b == b'$') else {
            return false;
        };
        let sum = format!("{:02X}", xor8(&bytes[start + 1..star]));
        bytes[star + 1..].starts_with(sum.as_bytes())
    }

    #[test]
    fn no_damaged_line_can_be_read() {
        let line = sentence("FLOW,AF23265,17,1289,2.00,76.8,71.55,86,1350");
        assert!(has_right_checksum(line.as_bytes()));
        for damage in [Damage::Garbage, Damage::Torn, Damage::BadChecksum] {
            for seed in 0..2000 {
                let out = damaged(&line, damage, &mut Dice::new(seed));
                assert!(!has_right_checksum(&out), "{damage:?} with seed {seed}");
                assert_ne!(out, line.as_bytes());
            }
        }
    }

    #[test]
    fn a_bad_checksum_changes_one_digit_of_the_count() {
        let line = sentence("FLOW,A,17,1289,2.00,,,,");
        let out = damaged(&line, Damage::BadChecksum, &mut Dice::new(1));
        assert!(out.starts_with(b"$FLOW,A,17,1280,2.00"));
    }
}
