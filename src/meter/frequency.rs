//! How fast a meter counts just now, as K by frequency needs it. Lines may come faster than
//! pulses, or several in one piece, so that the time from one sample to the next says
//! little: the shortest stretch of time up to now counts that holds enough counts.
//!
//! Knows no K and no volume.

use std::collections::VecDeque;

use crate::clock::BootInstant;

/// Counts that make a frequency good to a tenth, over which K hardly moves (1.3 % over the
/// whole range of a Badger B2800).
const ENOUGH: u64 = 10;
/// No stretch is shorter, in milliseconds, so that a burst is not taken for speed …
const SHORTEST_MS: i64 = 1_000;
/// … and none longer than the flow is looked at, unless the meter speaks less often.
const LONGEST_MS: i64 = 5_000;
/// Marks closer together than this are one, so that a meter that floods takes no memory.
const GRAIN_MS: i64 = 100;

/// The counts of the last seconds.
#[derive(Debug, Clone, Default)]
pub struct Frequency {
    marks: VecDeque<Mark>,
}

/// Counts up to a moment.
#[derive(Debug, Clone, Copy)]
struct Mark {
    at: BootInstant,
    total: u64,
}

impl Frequency {
    /// What was counted before says nothing any more: a gap, a jump, a restart.
    pub fn broke(&mut self, at: BootInstant) {
        self.marks.clear();
        self.marks.push_back(Mark { at, total: 0 });
    }

    /// So many counts came up to a moment; counts a second, where that can be told.
    pub fn saw(&mut self, at: BootInstant, counts: u64) -> Option<f64> {
        let Some(last) = self.marks.back().copied() else {
            self.broke(at);
            return None;
        };
        let now = Mark { at, total: last.total.saturating_add(counts) };
        let before = self.marks.len().checked_sub(2).and_then(|i| self.marks.get(i));
        if before.is_some_and(|before| at.since_ms(before.at) < GRAIN_MS) {
            self.marks.pop_back();
        }
        self.marks.push_back(now);
        while self.marks.get(1).is_some_and(|second| at.since_ms(second.at) >= LONGEST_MS) {
            self.marks.pop_front();
        }
        self.hz(now)
    }

    fn hz(&self, now: Mark) -> Option<f64> {
        let mut hz = None;
        for mark in self.marks.iter().rev().skip(1) {
            let (ms, counts) = (now.at.since_ms(mark.at), now.total.saturating_sub(mark.total));
            if ms > 0 {
                hz = Some(counts as f64 * 1_000.0 / ms as f64);
            }
            if ms >= SHORTEST_MS && counts >= ENOUGH {
                break;
            }
        }
        hz
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The frequency at the end of lines that come every `every_ms`, of a meter that
    /// counts `hz` times a second.
    fn at_the_end(hz: u64, every_ms: i64, lines: i64) -> f64 {
        let mut frequency = Frequency::default();
        let (mut told, mut found) = (0, None);
        for line in 0..lines {
            let at = line * every_ms;
            let counted = hz * at as u64 / 1_000;
            found = frequency.saw(BootInstant(at), counted - told);
            told = counted;
        }
        found.unwrap()
    }

    fn near(found: f64, hz: f64, part: f64) -> bool {
        (found - hz).abs() <= hz * part
    }

    #[test]
    fn it_is_the_meters_however_often_lines_come() {
        for (hz, every_ms) in [(4, 100), (4, 1_000), (100, 100), (700, 1_000), (5, 10_000)] {
            let found = at_the_end(hz, every_ms, 120);
            assert!(near(found, hz as f64, 0.1), "{hz} Hz every {every_ms} ms: {found}");
        }
    }

    #[test]
    fn lines_that_come_in_one_piece_are_no_burst() {
        let mut frequency = Frequency::default();
        let mut found = None;
        for second in (0..20).step_by(2) {
            for _ in 0..2 {
                found = frequency.saw(BootInstant(second * 1_000), 10);
            }
        }
        assert!(near(found.unwrap(), 10.0, 0.01), "{found:?}");
    }

    #[test]
    fn a_change_of_flow_shows_within_a_second() {
        let mut frequency = Frequency::default();
        for second in 0..10 {
            frequency.saw(BootInstant(second * 1_000), 100);
        }
        assert!(near(frequency.saw(BootInstant(10_000), 500).unwrap(), 500.0, 0.01));
    }

    #[test]
    fn nothing_is_known_at_first_and_after_a_break() {
        let mut frequency = Frequency::default();
        assert_eq!(frequency.saw(BootInstant(0), 100), None);
        assert_eq!(frequency.saw(BootInstant(1_000), 100), Some(100.0));
        frequency.broke(BootInstant(60_000));
        assert_eq!(frequency.saw(BootInstant(61_000), 7), Some(7.0));
        assert_eq!(frequency.saw(BootInstant(61_000), 0), Some(7.0));
    }

    #[test]
    fn a_flood_of_lines_takes_no_memory() {
        let mut frequency = Frequency::default();
        for ms in 0..20_000 {
            frequency.saw(BootInstant(ms), 1);
        }
        assert!(frequency.marks.len() <= 2 * (LONGEST_MS / GRAIN_MS) as usize);
    }
}
