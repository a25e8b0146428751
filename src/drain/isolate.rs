//! Finding the reading that the server refuses, among those that it would take. Pure.
//!
//! The first and the last of a refused batch go alone: if both are refused with the same
//! words, it is the job that is refused, and halving a hundred readings would only
//! reject them one by one (RULES.md, 22).

use crate::delivery::JobKey;
use crate::reading::Seq;

/// A refused batch that is being taken apart.
#[derive(Debug)]
pub struct Isolation {
    key: JobKey,
    /// Pieces still to send; the last is the next.
    pieces: Vec<Vec<Seq>>,
    probe: Option<Probe>,
}

/// The first and last reading, sent alone before anything is halved.
#[derive(Debug)]
struct Probe {
    first: Seq,
    refused: Option<String>,
    last: Seq,
    between: Vec<Seq>,
}

/// What a lone refusal means.
#[derive(Debug, PartialEq, Eq)]
pub enum Lone {
    /// Not known yet: wait for the last one's answer.
    Wait,
    /// These readings are refused, each for its reason.
    Reject(Vec<(Seq, String)>),
    /// The job is refused.
    Job(String),
}

impl Isolation {
    /// Takes apart what a refused batch left missing.
    pub fn new(key: JobKey, missing: &[Seq]) -> Self {
        let probe = match missing {
            [first, between @ .., last] => {
                Some(Probe { first: *first, refused: None, last: *last, between: between.to_vec() })
            }
            _ => None,
        };
        let pieces = match &probe {
            Some(probe) => vec![vec![probe.last], vec![probe.first]],
            None => vec![missing.to_vec()],
        };
        Self { key, pieces, probe }
    }

    /// The job whose readings they are.
    pub fn key(&self) -> &JobKey {
        &self.key
    }

    /// Whether nothing is left to send, and no answer awaited that decides about the job.
    pub fn is_over(&self) -> bool {
        self.pieces.is_empty() && self.probe.is_none()
    }

    /// The next piece to send, taken off.
    pub fn next(&mut self) -> Option<Vec<Seq>> {
        self.pieces.pop()
    }

    /// A piece that could not be sent comes first again.
    pub fn put_back(&mut self, piece: Vec<Seq>) {
        self.pieces.push(piece);
    }

    /// Of a piece that was refused, this is missing: halve it.
    pub fn halve(&mut self, missing: &[Seq]) {
        let (low, high) = missing.split_at(missing.len() / 2);
        self.pieces.extend([high, low].into_iter().filter(|p| !p.is_empty()).map(<[Seq]>::to_vec));
    }

    /// A reading was alone and refused.
    pub fn refused_alone(&mut self, seq: Seq, message: String) -> Lone {
        let Some(mut probe) = self.probe.take() else { return Lone::Reject(vec![(seq, message)]) };
        if seq == probe.first {
            probe.refused = Some(message);
            self.probe = Some(probe);
            return Lone::Wait;
        }
        if seq != probe.last {
            self.probe = Some(probe);
            return Lone::Reject(vec![(seq, message)]);
        }
        match probe.refused {
            Some(first) if first == message => Lone::Job(message),
            first => {
                self.halve(&probe.between);
                let both = first.map(|m| (probe.first, m)).into_iter().chain([(seq, message)]);
                Lone::Reject(both.collect())
            }
        }
    }

    /// A reading left in another way than by a refusal (it was taken, or is in doubt).
    /// Returns the first one's refusal if that stood alone after all. If it is the first
    /// one that left, its refusal is of the past: it may have been taken meanwhile.
    pub fn gone(&mut self, seq: Seq) -> Option<(Seq, String)> {
        if let Some(probe) = self.probe.as_mut().filter(|p| p.first == seq) {
            probe.refused = None;
        }
        let probe = self.probe.take_if(|p| p.last == seq)?;
        self.halve(&probe.between);
        probe.refused.map(|message| (probe.first, message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seqs(range: std::ops::RangeInclusive<i64>) -> Vec<Seq> {
        range.map(Seq).collect()
    }

    fn key() -> JobKey {
        JobKey { event: "e".to_owned(), job: "j".to_owned() }
    }

    /// Sends pieces to a server that refuses `bad` with `words` until nothing is left.
    fn run(
        missing: &[Seq],
        bad: &[Seq],
        words: impl Fn(Seq) -> String,
    ) -> (Vec<Seq>, Vec<Seq>, usize, Option<String>) {
        let mut isolation = Isolation::new(key(), missing);
        let (mut taken, mut rejected, mut requests) = (Vec::new(), Vec::new(), 0);
        while let Some(piece) = isolation.next() {
            requests += 1;
            let refuses = piece.iter().any(|s| bad.contains(s));
            if refuses && piece.len() == 1 {
                match isolation.refused_alone(piece[0], words(piece[0])) {
                    Lone::Wait => {}
                    Lone::Reject(them) => rejected.extend(them.into_iter().map(|(s, _)| s)),
                    Lone::Job(message) => return (taken, rejected, requests, Some(message)),
                }
            } else if refuses {
                isolation.halve(&piece);
            } else {
                for seq in &piece {
                    rejected.extend(isolation.gone(*seq).map(|(s, _)| s));
                }
                taken.extend(piece);
            }
        }
        (taken, rejected, requests, None)
    }

    #[test]
    fn one_bad_reading_among_a_hundred_is_found_and_the_rest_are_taken() {
        for bad in [1, 2, 37, 99, 100] {
            let (mut taken, rejected, requests, job) =
                run(&seqs(1..=100), &[Seq(bad)], |_| "bad".to_owned());
            taken.sort();
            assert_eq!(rejected, [Seq(bad)]);
            assert_eq!(taken.len(), 99);
            assert!(requests <= 16, "{requests} requests for {bad}");
            assert_eq!(job, None);
        }
    }

    #[test]
    fn a_job_that_is_refused_is_known_after_two_requests_and_nothing_is_rejected() {
        let (taken, rejected, requests, job) =
            run(&seqs(1..=100), &seqs(1..=100), |_| "job closed".to_owned());
        assert_eq!((taken.len(), rejected.len(), requests), (0, 0, 2));
        assert_eq!(job.as_deref(), Some("job closed"));
    }

    #[test]
    fn first_and_last_bad_for_their_own_reasons_are_both_rejected() {
        let bad = [Seq(1), Seq(9)];
        let (taken, rejected, _, job) = run(&seqs(1..=9), &bad, |s| format!("bad {}", s.0));
        assert_eq!((taken.len(), rejected, job), (7, bad.to_vec(), None));
    }

    #[test]
    fn a_refusal_of_the_first_is_forgotten_once_it_left_in_another_way() {
        let mut isolation = Isolation::new(key(), &seqs(1..=3));
        assert_eq!(isolation.refused_alone(Seq(1), "bad".to_owned()), Lone::Wait);
        assert_eq!(isolation.gone(Seq(1)), None);
        let last = vec![(Seq(3), "bad".to_owned())];
        assert_eq!(isolation.refused_alone(Seq(3), "bad".to_owned()), Lone::Reject(last));
    }

    #[test]
    fn two_readings_are_probed_without_a_middle() {
        let (taken, rejected, requests, _) = run(&seqs(4..=5), &[Seq(4)], |_| "bad".to_owned());
        assert_eq!((taken, rejected, requests), (vec![Seq(5)], vec![Seq(4)], 2));
    }
}
