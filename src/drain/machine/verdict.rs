//! What a verdict means: acknowledged, ready again, or in doubt, and when to try next.

use std::time::Instant;

use super::{Cause, Doubt, Effects, FITTING, Machine, RISK_STEP, Session, Trouble, WaitFor};
use crate::delivery::{JobKey, Outcome};
use crate::jobcloser::verdict::{Refusal, Unclear, Verdict};
use crate::reading::Seq;

impl Machine {
    /// A batch has been sent, or not: what its verdict means. `seqs` are the readings of
    /// the attempt, all of them in doubt until these effects are written down.
    pub fn sent(
        &mut self,
        attempt: i64,
        key: &JobKey,
        seqs: &[Seq],
        verdict: &Verdict,
        now: Instant,
    ) -> Effects {
        match verdict {
            Verdict::NotSent => {
                self.not_reached(Trouble::NotReached, now);
                self.again(attempt, seqs, "not sent")
            }
            Verdict::Refused(refusal) => self.refused(attempt, seqs, *refusal, now),
            Verdict::Accepted { ids } => self.accepted(attempt, seqs, ids),
            Verdict::Unclear(unclear) => {
                self.doubt(attempt, key, seqs, unclear, now);
                Effects::default()
            }
        }
    }

    fn accepted(&mut self, attempt: i64, seqs: &[Seq], ids: &[Option<String>]) -> Effects {
        self.pace.reset();
        self.raise_ceiling();
        self.limit = self.limit.saturating_mul(RISK_STEP).min(self.ceiling);
        // What can't be settled of another job is still so.
        self.trouble = self.unsettled();
        self.lone.clear();
        self.answered();
        self.sent += seqs.len() as u64;
        // Ids are taken only where there is one for each: their order is all that ties them.
        let id =
            |n: usize| if ids.len() == seqs.len() { ids.get(n).cloned().flatten() } else { None };
        let mut effects = Effects { attempts: vec![(attempt, "accepted")], ..Effects::default() };
        effects
            .results
            .extend(seqs.iter().enumerate().map(|(n, seq)| (*seq, Outcome::Sent(id(n)))));
        self.leave_isolation(seqs, &mut effects);
        effects
    }

    /// A batch was too large once, perhaps for a single record in it: after a while larger
    /// ones are tried again.
    fn raise_ceiling(&mut self) {
        self.fitting += 1;
        if self.fitting >= FITTING {
            self.fitting = 0;
            self.ceiling = self.ceiling.saturating_mul(2).min(self.records);
        }
    }

    fn refused(&mut self, attempt: i64, seqs: &[Seq], refusal: Refusal, now: Instant) -> Effects {
        match refusal {
            Refusal::Wait { after } => {
                self.answered();
                self.trouble = Some(Trouble::TooOften);
                self.rest(after, now);
                self.again(attempt, seqs, "too often")
            }
            Refusal::Smaller => self.too_large(attempt, seqs, now),
            Refusal::SignIn => {
                // Once more with a new session; if that is refused too, it isn't the session.
                if matches!(self.session, Session::In { tried: false, .. }) {
                    self.trouble = Some(Trouble::NotAllowed);
                    self.pause(WaitFor::Pace, self.pace.longest(), now);
                }
                self.session = Session::None;
                self.again(attempt, seqs, "no session")
            }
            Refusal::Moved => {
                self.answered();
                self.trouble = Some(Trouble::Moved);
                self.pause(WaitFor::Pace, self.pace.longest(), now);
                self.again(attempt, seqs, "api moved")
            }
        }
    }

    fn too_large(&mut self, attempt: i64, seqs: &[Seq], now: Instant) -> Effects {
        self.answered();
        let mut effects = open_again(attempt, seqs, "too large");
        if let [seq] = seqs {
            // Of the size of batches this says nothing.
            self.trouble = Some(Trouble::TooLarge);
            self.set_aside(*seq, now);
            let wait = self.pace.answer();
            self.pause(WaitFor::Pace, wait, now);
            self.leave_isolation(seqs, &mut effects);
            return effects;
        }
        self.ceiling = seqs.len().div_ceil(2);
        self.limit = self.ceiling;
        self.fitting = 0;
        if let Some(isolation) = self.isolation.as_mut() {
            isolation.halve(seqs);
        }
        effects
    }

    fn doubt(&mut self, attempt: i64, key: &JobKey, seqs: &[Seq], unclear: &Unclear, now: Instant) {
        let cause = match &unclear.refusal {
            Some(message) => Cause::Refused(message.clone()),
            None if unclear.from_gateway_or_silence => Cause::Silence,
            None => Cause::Answered,
        };
        let silent = unclear.from_gateway_or_silence;
        if !silent {
            self.answered();
        }
        if unclear.refusal.is_none() {
            self.trouble = Some(Trouble::Unclear);
            self.risk_less(now);
        }
        let settles_at = if silent { now + self.settle_after } else { now };
        let seqs = seqs.to_vec();
        if silent && let Some(isolation) = self.isolation.as_mut() {
            for seq in &seqs {
                // The first one's refusal, if any, is found again when it is sent again.
                isolation.gone(*seq);
            }
        }
        let alone = seqs.len() == 1;
        self.doubts.push(Doubt {
            attempt,
            key: key.clone(),
            seqs,
            alone,
            cause,
            settles_at,
            empty_once: false,
            ask_at: settles_at,
            why: None,
            carried: false,
        });
    }

    /// Ready again, and first in line if they were a piece of an isolation.
    fn again(&mut self, attempt: i64, seqs: &[Seq], outcome: &'static str) -> Effects {
        if let Some(isolation) = self.isolation.as_mut() {
            isolation.put_back(seqs.to_vec());
        }
        open_again(attempt, seqs, outcome)
    }
}

fn open_again(attempt: i64, seqs: &[Seq], outcome: &'static str) -> Effects {
    let results = seqs.iter().map(|seq| (*seq, Outcome::Open)).collect();
    Effects { results, attempts: vec![(attempt, outcome)], refuse: None }
}
