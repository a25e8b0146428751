//! A meter that is asked: what is common to every way of asking. One round is all questions
//! once, one after the other, and at most one sample. Pure; knows no port and no bytes, and time only as
//! durations.
//!
//! A question that isn't answered costs its timeout and as much silence again, in which an
//! answer that is late can still come without being taken for the next one's. So one that has
//! failed [`TRIES`] times in a row is asked in every [`SELDOM`]th round only, and the others
//! are not held back by it; but for the question for the count, without which there is no
//! sample.

use std::time::Duration;

use serde::Serialize;

/// Failures in a row after which a question is asked seldom.
const TRIES: u32 = 3;
/// It is asked in one of so many rounds then.
const SELDOM: u64 = 10;

/// One question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// What is sent.
    pub send: Vec<u8>,
    /// What is waited before.
    pub pause: Duration,
    /// How long the answer may take, besides the time that its bytes take on the line.
    pub timeout: Duration,
    /// Bytes of the answer, with whatever comes before it; 0 where nobody knows.
    pub answer_bytes: usize,
}

/// What bytes meant for a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// The answer isn't whole yet.
    More,
    /// It is over: the answer came, or the meter's refusal.
    Over,
    /// Something else came; the line must fall silent before the next question.
    Wrong,
}

/// What was asked and what became of it, since this meter is asked so: `asked` is all of the
/// others but `unasked_bytes`, `rounds`, `samples` and `bad_values`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counters {
    /// Questions.
    pub asked: u64,
    /// Those with an answer.
    pub answered: u64,
    /// Those without a byte of an answer.
    pub no_answer: u64,
    /// Those with an answer that broke off.
    pub short: u64,
    /// Those that another unit answered.
    pub wrong_unit: u64,
    /// Those with an answer to another kind of question.
    pub wrong_function: u64,
    /// Those with an answer of another length.
    pub wrong_length: u64,
    /// Those with a damaged answer.
    pub bad_checksum: u64,
    /// Those that the meter refused.
    pub refused: u64,
    /// Those with an answer that can't be read.
    pub malformed: u64,
    /// Those that were under way when the port was lost or the settings changed.
    pub broken_off: u64,
    /// Bytes that came when no answer was due.
    pub unasked_bytes: u64,
    /// Rounds.
    pub rounds: u64,
    /// Rounds that brought a sample.
    pub samples: u64,
    /// Sensor values in them that can't be, and were taken for none.
    pub bad_values: u64,
}

/// Which questions are asked in a round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turns {
    failures: Vec<u32>,
    /// Asked in every round, whatever becomes of it.
    always: usize,
    round: u64,
    next: usize,
}

impl Turns {
    /// So many questions. Number `always` is asked in each round, and before the others.
    pub fn new(questions: usize, always: usize) -> Self {
        // Nothing is due before a round begins.
        Self { failures: vec![0; questions], always, round: 0, next: questions + 1 }
    }

    /// A round begins.
    pub fn begin(&mut self) {
        self.round += 1;
        self.next = 0;
    }

    /// The next question of this round, by its number.
    pub fn next_due(&mut self) -> Option<usize> {
        while self.next <= self.failures.len() {
            let turn = self.next;
            self.next += 1;
            let question = match turn.checked_sub(1) {
                None => self.always,
                Some(question) if question == self.always => continue,
                Some(question) => question,
            };
            if question >= self.failures.len() {
                continue;
            }
            let seldom = self.is_failing(question) && question != self.always;
            if !seldom || self.round.is_multiple_of(SELDOM) {
                return Some(question);
            }
        }
        None
    }

    /// Whether a question has failed so often in a row that it is no chance any more.
    pub fn is_failing(&self, question: usize) -> bool {
        self.failures.get(question).is_some_and(|failures| *failures >= TRIES)
    }

    /// What became of a question.
    pub fn ended(&mut self, question: usize, answered: bool) {
        if let Some(failures) = self.failures.get_mut(question) {
            *failures = if answered { 0 } else { failures.saturating_add(1) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The questions of one round, where those in `dead` fail.
    fn round(turns: &mut Turns, dead: &[usize]) -> Vec<usize> {
        turns.begin();
        let mut asked = Vec::new();
        while let Some(question) = turns.next_due() {
            turns.ended(question, !dead.contains(&question));
            asked.push(question);
        }
        asked
    }

    #[test]
    fn the_question_for_the_count_comes_first() {
        assert_eq!(round(&mut Turns::new(3, 1), &[]), [1, 0, 2]);
        assert_eq!(round(&mut Turns::new(1, 0), &[]), [0]);
        assert_eq!(Turns::new(3, 1).next_due(), None, "no round has begun");
    }

    #[test]
    fn a_question_that_is_never_answered_is_asked_seldom_and_the_others_always() {
        let mut turns = Turns::new(3, 0);
        let rounds: Vec<usize> = (0..30).map(|_| round(&mut turns, &[2]).len()).collect();
        assert_eq!(rounds[..3], [3, 3, 3]);
        assert_eq!(rounds[3..].iter().filter(|asked| **asked == 3).count(), 3);
        assert!(rounds.iter().all(|asked| *asked >= 2));
    }

    #[test]
    fn one_answer_brings_it_back() {
        let mut turns = Turns::new(2, 0);
        for _ in 0..9 {
            round(&mut turns, &[1]);
        }
        assert_eq!(round(&mut turns, &[]), [0, 1], "the tenth round");
        assert_eq!(round(&mut turns, &[]), [0, 1]);
    }

    #[test]
    fn the_count_is_asked_for_in_every_round_whether_it_comes_or_not() {
        let mut turns = Turns::new(2, 0);
        assert!((0..40).all(|_| round(&mut turns, &[0, 1]).first() == Some(&0)));
    }
}
