//! What the server's list means for readings in doubt: acknowledged, ready again, taken
//! apart, rejected, or still in doubt.

use std::collections::BTreeSet;
use std::time::Instant;

use super::super::isolate::{Isolation, Lone};
use super::super::reconcile::{Findings, Flaw};
use super::{Cause, Doubt, Effects, LONE_REFUSALS, Machine, Session, Trouble};
use crate::clock::UtcMs;
use crate::delivery::{JobKey, OpenAttempt, Outcome};
use crate::jobcloser::verdict::Unbelievable;
use crate::reading::Seq;

impl Machine {
    /// The readings in doubt of a job.
    pub fn doubted(&self, key: &JobKey) -> Vec<Seq> {
        self.doubts.iter().filter(|d| d.key == *key).flat_map(|d| d.seqs.iter().copied()).collect()
    }

    /// Every reading in doubt.
    pub fn all_doubted(&self) -> Vec<Seq> {
        self.doubts.iter().flat_map(|d| d.seqs.iter().copied()).collect()
    }

    /// Readings from a damaged queue were frozen: before the start they may have been sent, and
    /// that they were is lost. So the server is asked, and nothing is sent before.
    pub fn asks(&mut self, id: i64, key: JobKey, seqs: Vec<Seq>, now: Instant) {
        let settles_at = self.quiet_from.max(now);
        self.doubts.push(Doubt::left(OpenAttempt { id, key, seqs, carried: true }, settles_at));
    }

    /// An operator has changed what is in doubt: only `open` of it may still be, and of
    /// `left`, all that is written down, some may have been put back. Nothing is asked about
    /// what was taken out.
    pub fn doubts_changed(
        &mut self,
        open: &BTreeSet<Seq>,
        left: Vec<OpenAttempt>,
        now: Instant,
    ) -> Effects {
        let known: BTreeSet<Seq> = self.all_doubted().into_iter().collect();
        for doubt in &mut self.doubts {
            doubt.seqs.retain(|seq| open.contains(seq));
        }
        self.doubts.retain(|doubt| !doubt.seqs.is_empty());
        let settles_at = now + self.settle_after;
        for mut attempt in left {
            attempt.seqs.retain(|seq| !known.contains(seq));
            if !attempt.seqs.is_empty() {
                self.doubts.push(Doubt::left(attempt, settles_at));
            }
        }
        let mut effects = Effects::default();
        for seq in known.difference(open) {
            self.leave_isolation(&[*seq], &mut effects);
        }
        // Not that the server can't be reached: no answer has said otherwise.
        let over = self.doubts.is_empty() && self.trouble == Some(Trouble::Unclear);
        if over || matches!(self.trouble, Some(Trouble::NotSettled(_))) {
            self.trouble = self.unsettled();
        }
        effects
    }

    /// The server was asked and its answer says nothing: the doubts stay. `wall` serves a
    /// `Retry-After` date.
    pub fn not_settled(
        &mut self,
        key: &JobKey,
        why: &Unbelievable,
        wall: Option<UtcMs>,
        now: Instant,
    ) {
        match why {
            Unbelievable::NotAsked(_) => self.not_reached(Trouble::NotReached, now),
            // A new session may not ask either: that is no reason to stop sending, so only
            // the question waits.
            Unbelievable::NeedsSignIn
                if matches!(self.session, Session::In { tried: false, .. }) =>
            {
                self.answered();
                self.stays(key, &why.to_string());
                self.ask_at(key, now + self.pace.longest());
            }
            Unbelievable::NeedsSignIn => self.session = Session::None,
            Unbelievable::Status { status, retry_after } => {
                let asked = retry_after.and_then(|after| after.wait(wall));
                match status {
                    429 | 500.. => self.cannot_tell(key, why.to_string(), now),
                    // What is wrong with this question is wrong with this job.
                    _ => self.pass_over(key, &why.to_string(), now),
                }
                self.ask_at(key, now + asked.unwrap_or_default());
                // Too often is too often, whatever was asked. Another status is about this
                // question, and sending goes on.
                if *status == 429 {
                    self.rest(asked, now);
                }
            }
            Unbelievable::Lost(_) | Unbelievable::NotJson | Unbelievable::NotAList(_) => {
                self.cannot_tell(key, why.to_string(), now);
            }
        }
    }

    /// The question settled nothing: it waits. Where the server also refused what it was
    /// sent, sending waits too, and risks less: else a server that says no to everything
    /// would be sent the whole backlog, all of it in doubt.
    fn cannot_tell(&mut self, key: &JobKey, why: String, now: Instant) {
        self.stays(key, &why);
        self.ask_later(key, now);
        if self.doubts.iter().any(|d| d.key == *key && d.cause != Cause::Silence) {
            self.risk_less(now);
        }
    }

    /// The question settled nothing, for a reason that is this job's alone: it waits, and
    /// other jobs go on. Where the server also refused what it was sent, more of the job is
    /// sent again before the next question, but rarely: else all of it would end in doubt.
    fn pass_over(&mut self, key: &JobKey, why: &str, now: Instant) {
        self.stays(key, why);
        if self.doubts.iter().any(|d| d.key == *key && d.cause != Cause::Silence) {
            self.passed.insert(key.clone(), now + self.pace.longest() / 2);
            self.ask_at(key, now + self.pace.longest());
        } else {
            self.ask_later(key, now);
        }
    }

    /// What is in doubt of a job stays so, for a reason that `status` says (RULES.md, 23).
    fn stays(&mut self, key: &JobKey, why: &str) {
        for doubt in self.doubts.iter_mut().filter(|d| d.key == *key) {
            doubt.why = Some(why.to_owned());
        }
        self.trouble = Some(Trouble::NotSettled(why.to_owned()));
    }

    /// A doubt that the last question couldn't end, if there is one.
    pub(super) fn unsettled(&self) -> Option<Trouble> {
        self.doubts.iter().find_map(|d| d.why.clone()).map(Trouble::NotSettled)
    }

    /// The server was asked at `asked`, and has answered with a list. What the list lacks
    /// may have been stored while it was on its way, so absence is judged by when it was
    /// asked for.
    pub fn settled(
        &mut self,
        key: &JobKey,
        findings: &Findings,
        asked: Instant,
        now: Instant,
    ) -> Effects {
        self.answered();
        let mut effects = Effects::default();
        for (seq, id) in &findings.present {
            effects.results.push((*seq, Outcome::Sent(id.clone())));
            self.sent += 1;
        }
        let (ours, others): (Vec<Doubt>, Vec<Doubt>) =
            std::mem::take(&mut self.doubts).into_iter().partition(|d| d.key == *key);
        self.doubts = others;
        // Nothing was acknowledged that the list could prove itself by, and to one without a
        // session some servers show an empty one: asked again at once, under a new session.
        let ask_anew = findings.empty && ours.iter().any(|d| !d.empty_once);
        if ask_anew {
            self.session = Session::None;
        }
        // What stays in doubt is known before anything is decided about the rest: a reading
        // may be in doubt in a newer attempt, and is not rejected then.
        let absent: BTreeSet<Seq> = findings.absent.iter().copied().collect();
        let mut over = Vec::new();
        for doubt in ours {
            let missing = doubt.seqs.iter().copied().filter(|s| absent.contains(s)).collect();
            over.extend(self.over(doubt, missing, findings, asked));
        }
        for seq in findings.present.iter().map(|(seq, _)| *seq) {
            self.leave_isolation(&[seq], &mut effects);
        }
        for (doubt, missing) in over {
            self.settle_one(doubt, missing, now, &mut effects);
        }
        let doubtful = self.doubts.iter().any(|d| d.key == *key);
        if let Some(flaw) = findings.flaw.filter(|_| doubtful) {
            // What is acknowledged and not there keeps the job from ever being settled: it is
            // looked at first.
            if flaw == Flaw::Lacks {
                self.check(key.clone(), true, now);
            }
            self.pass_over(key, &flaw.to_string(), now);
        } else if !ask_anew && self.doubts.iter().any(|d| d.key == *key && d.ask_at <= now) {
            self.ask_later(key, now);
        }
        let over = |t: &Trouble| *t == Trouble::Unclear || t.is_no_connection();
        let over = self.trouble.as_ref().is_some_and(over);
        if over && self.doubts.is_empty() || matches!(self.trouble, Some(Trouble::NotSettled(_))) {
            self.trouble = self.unsettled();
        }
        effects
    }

    /// A doubt that the list ends, with the readings that it lacks; else it stays.
    fn over(
        &mut self,
        doubt: Doubt,
        missing: Vec<Seq>,
        findings: &Findings,
        asked: Instant,
    ) -> Option<(Doubt, Vec<Seq>)> {
        // A server that said no itself may have stored a part: that explains it without pages.
        let said_no = doubt.cause != Cause::Silence;
        let flaw = findings.flaw.filter(|flaw| *flaw != Flaw::Page || !said_no);
        let unproven = flaw.is_some() || findings.empty && !doubt.empty_once;
        if !missing.is_empty() && (unproven || doubt.settles_at > asked) {
            let empty_once = findings.empty;
            self.doubts.push(Doubt { seqs: missing, empty_once, why: None, ..doubt });
            return None;
        }
        Some((doubt, missing))
    }

    fn settle_one(&mut self, doubt: Doubt, missing: Vec<Seq>, now: Instant, effects: &mut Effects) {
        if missing.is_empty() {
            effects.attempts.push((doubt.attempt, "found at the server"));
            return self.leave_isolation(&doubt.seqs, effects);
        }
        effects.attempts.push((doubt.attempt, "settled by asking"));
        effects.results.extend(missing.iter().map(|seq| (*seq, Outcome::Open)));
        match doubt.cause {
            Cause::Silence => {}
            Cause::Refused(message) if doubt.alone => {
                for seq in missing {
                    self.refused_alone(&doubt.key, seq, message.clone(), effects);
                }
            }
            Cause::Answered if doubt.alone => {
                for seq in missing {
                    self.set_aside(seq, now);
                    self.leave_isolation(&[seq], effects);
                }
            }
            Cause::Refused(_) | Cause::Answered => self.take_apart(&doubt.key, &missing),
        }
    }

    fn take_apart(&mut self, key: &JobKey, missing: &[Seq]) {
        match self.isolation.as_mut().filter(|i| i.key() == key) {
            Some(isolation) => isolation.halve(missing),
            None => self.isolation = Some(Isolation::new(key.clone(), missing)),
        }
    }

    fn refused_alone(&mut self, key: &JobKey, seq: Seq, message: String, effects: &mut Effects) {
        let lone = match self.isolation.as_mut().filter(|i| i.key() == key) {
            Some(isolation) => isolation.refused_alone(seq, message),
            None => Lone::Reject(vec![(seq, message)]),
        };
        match lone {
            Lone::Wait => {}
            Lone::Reject(them) => self.reject(key, them, effects),
            Lone::Job(message) => {
                self.isolation = None;
                self.trouble = Some(Trouble::JobRefused(message.clone()));
                effects.refuse = Some((Some(key.clone()), message));
            }
        }
    }

    fn reject(&mut self, key: &JobKey, them: Vec<(Seq, String)>, effects: &mut Effects) {
        for (seq, message) in them {
            if self.is_doubted(seq) {
                continue;
            }
            effects.results.push((seq, Outcome::Rejected(message.clone())));
            self.lone.push((key.clone(), seq, message));
            if self.lone.len() >= LONE_REFUSALS {
                return self.hold_instead(effects);
            }
        }
    }

    /// So many refused in a row, and none taken between: none of them is rejected. If all
    /// are of one job and refused with the same words, it is the job; else it is us.
    fn hold_instead(&mut self, effects: &mut Effects) {
        let held = std::mem::take(&mut self.lone);
        effects.results.extend(held.iter().map(|(_, seq, _)| (*seq, Outcome::Open)));
        self.isolation = None;
        let Some((job, _, message)) = held.last().cloned() else { return };
        let one_job = held.iter().all(|(key, _, said)| *key == job && *said == message);
        if one_job {
            self.trouble = Some(Trouble::JobRefused(message.clone()));
            effects.refuse = Some((Some(job), message));
        } else {
            self.trouble = Some(Trouble::AllRefused(message.clone()));
            effects.refuse = Some((None, message));
        }
    }

    fn ask_later(&mut self, key: &JobKey, now: Instant) {
        let ask_at = now + self.pace.answer();
        self.ask_at(key, ask_at);
    }

    fn ask_at(&mut self, key: &JobKey, ask_at: Instant) {
        for doubt in self.doubts.iter_mut().filter(|d| d.key == *key && d.ask_at < ask_at) {
            doubt.ask_at = ask_at;
        }
    }
}
