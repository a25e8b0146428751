//! Which requests fetch a meter's registers: neighbours together, since each request costs a
//! turn on the line and what is read in one answer is of one moment. Pure; knows no values.

use super::frame::MOST_REGISTERS;
use crate::meter::profile::registers::Function;

/// Neighbouring registers of one table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stretch {
    /// The table.
    pub function: Function,
    /// The first register, from 0.
    pub first: u16,
    /// How many; at least 1.
    pub count: u16,
}

impl Stretch {
    /// The register after its last.
    fn end(&self) -> u32 {
        u32::from(self.first) + u32::from(self.count)
    }
}

/// What to ask for, in the order of the registers. Two stretches of one table are asked for
/// together if at most `max_gap` registers that nobody wants lie between them and one answer
/// carries it all; none is ever divided, for the halves of a number read apart are of two
/// moments.
pub fn join(wanted: &[Stretch], max_gap: u16) -> Vec<Stretch> {
    let mut sorted = wanted.to_vec();
    sorted.sort_unstable();
    let mut joined: Vec<Stretch> = Vec::new();
    for next in sorted {
        if let Some(last) = joined.last_mut()
            && last.function == next.function
            && u32::from(next.first) <= last.end() + u32::from(max_gap)
            && let end = last.end().max(next.end())
            && let Ok(count) = u16::try_from(end - u32::from(last.first))
            && count <= MOST_REGISTERS
        {
            last.count = count;
        } else {
            joined.push(next);
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn holding(first: u16, count: u16) -> Stretch {
        Stretch { function: Function::Holding, first, count }
    }

    #[test]
    fn neighbours_are_asked_for_together_and_others_are_not() {
        let wanted = [holding(0x236, 3), holding(0x230, 3), holding(0x233, 3), holding(0xFF, 1)];
        assert_eq!(join(&wanted, 0), [holding(0xFF, 1), holding(0x230, 9)]);
        let input = Stretch { function: Function::Input, first: 12, count: 2 };
        assert_eq!(join(&[holding(10, 2), input], 9), [holding(10, 2), input]);
    }

    #[test]
    fn a_gap_is_bridged_only_as_far_as_is_allowed() {
        let wanted = [holding(0, 2), holding(8, 2)];
        assert_eq!(join(&wanted, 5), wanted);
        assert_eq!(join(&wanted, 6), [holding(0, 10)]);
    }

    #[test]
    fn one_request_asks_for_no_more_than_an_answer_carries() {
        assert_eq!(join(&[holding(0, 2), holding(123, 2)], 200), [holding(0, 125)]);
        let apart = [holding(0, 2), holding(124, 2)];
        assert_eq!(join(&apart, 200), apart);
    }

    #[test]
    fn the_same_registers_are_asked_for_once() {
        assert_eq!(join(&[holding(8, 4), holding(8, 4), holding(9, 1)], 0), [holding(8, 4)]);
    }

    proptest! {
        #[test]
        fn every_register_that_is_wanted_is_within_one_request(
            wanted in proptest::collection::vec((any::<bool>(), any::<u16>(), 1_u16..=125), 0..20),
            narrow: bool,
            max_gap in 0_u16..200,
        ) {
            let wanted: Vec<Stretch> = wanted
                .into_iter()
                .map(|(input, first, count)| Stretch {
                    function: if input { Function::Input } else { Function::Holding },
                    first: if narrow { first % 400 } else { first.min(65_410) },
                    count,
                })
                .collect();
            let joined = join(&wanted, max_gap);
            prop_assert!(joined.len() <= wanted.len());
            prop_assert!(joined.iter().all(|s| s.count <= MOST_REGISTERS));
            for w in &wanted {
                let within = |s: &Stretch| {
                    s.function == w.function && s.first <= w.first && w.end() <= s.end()
                };
                prop_assert!(joined.iter().any(within), "{:?}", w);
            }
        }
    }
}
