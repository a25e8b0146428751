//! What a verification is asked for with, and what it came to: words between delivery, the
//! control door and the command line. Plain data; knows neither the server nor the queue.

use serde::{Deserialize, Serialize};

use crate::delivery::JobKey;
use crate::reading::Seq;

/// So many stretches of numbers are told; the count tells of the rest.
const STRETCHES: usize = 20;

/// Which jobs an operator wants verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// The jobs.
    pub jobs: Vec<JobKey>,
    /// Send again what two lists lack, unless it may be there all the same.
    #[serde(default)]
    pub resend: bool,
}

/// What became of an order.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Told {
    /// Job by job, as far as it came.
    pub jobs: Vec<JobTold>,
    /// Why it came no further, with what to do.
    pub why: Option<String>,
}

/// What a verification found of one job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobTold {
    /// Whose.
    #[serde(flatten)]
    pub key: JobKey,
    /// What was sent of the job, where that is over.
    pub closed: Part,
    /// What was sent of it so far, where it is being sprayed.
    pub open: Part,
    /// Readings that are still on their way, or held.
    pub waiting: u64,
    /// When JobCloser's list was looked through, in the rig's zone; `None` where it wasn't, or
    /// no time was known.
    pub verified: Option<String>,
    /// Whether all that was sent is there.
    pub all_there: bool,
    /// Not there, and sent again.
    pub sent_again: Numbers,
    /// Not there, and not sent again.
    pub missing: Numbers,
    /// Records there that no reading accounts for, or that are there twice.
    pub extras: u64,
    /// Some of them.
    pub named: Vec<Extra>,
    /// Why it couldn't be verified; `None` where it was.
    pub why: Option<String>,
}

/// A part of a job.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// Gallons acknowledged.
    pub gallons: f64,
    /// Records acknowledged.
    pub records: u64,
}

/// Sequence numbers, bounded.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Numbers {
    /// How many.
    pub readings: u64,
    /// The first stretches of them, each from its first to its last.
    pub seq: Vec<(Seq, Seq)>,
}

/// A record at JobCloser that is one too many.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Extra {
    /// The reading that is there twice, if it is one.
    pub seq: Option<Seq>,
    /// `Id`, where it is nobody's.
    pub id: Option<String>,
}

impl Numbers {
    /// Of these, in any order.
    pub fn of(seqs: &[Seq]) -> Self {
        let mut sorted = seqs.to_vec();
        sorted.sort_unstable();
        let mut seq: Vec<(Seq, Seq)> = Vec::new();
        for next in &sorted {
            let room = seq.len() < STRETCHES;
            match seq.last_mut() {
                Some((_, last)) if last.0 + 1 >= next.0 => *last = *next,
                _ if room => seq.push((*next, *next)),
                _ => break,
            }
        }
        Self { readings: seqs.len() as u64, seq }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_told_in_stretches_and_not_without_end() {
        let of = |seqs: &[i64]| Numbers::of(&seqs.iter().copied().map(Seq).collect::<Vec<_>>());
        let stretches = vec![(Seq(3), Seq(5)), (Seq(9), Seq(9))];
        assert_eq!(of(&[9, 4, 3, 5]), Numbers { readings: 4, seq: stretches });
        let every_other: Vec<i64> = (0..1000).map(|n| n * 2).collect();
        assert_eq!((of(&every_other).readings, of(&every_other).seq.len()), (1000, STRETCHES));
    }
}
