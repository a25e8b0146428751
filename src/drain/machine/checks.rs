//! When a job is set beside its list, and when what the list lacks is believed (RULES.md,
//! 24): two lists, under two sign-ins, `settle_after` apart.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::super::reconcile::Checked;
use super::{FRESH_SESSION, Machine, Session, Step, Trouble};
use crate::clock::UtcMs;
use crate::delivery::JobKey;
use crate::jobcloser::verdict::Unbelievable;
use crate::reading::Seq;
use crate::verified::Extra;

/// What was missing and can't be believed lost is asked about again after so long.
const CHECK_REST: Duration = Duration::from_secs(6 * 3600);

/// A job that is to be verified.
#[derive(Debug)]
pub(super) struct PendingCheck {
    key: JobKey,
    /// The server isn't asked before.
    pub(super) ask_at: Instant,
    /// Nothing in doubt of this job can be settled before: it goes before sending.
    urgent: bool,
    /// An operator waits for it.
    pub(super) by_hand: bool,
    /// What both lists lack and may be sent again is.
    resend: bool,
    first: Option<First>,
}

/// What the first list lacked, when it was asked for, and under which sign-in.
#[derive(Debug)]
struct First {
    asked: Instant,
    session: Instant,
    lacked: BTreeSet<Seq>,
}

/// What two lists have shown of a job.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mend {
    /// To be sent again.
    pub lost: Vec<Seq>,
    /// Not there, and not to be sent again by itself.
    pub missing: Vec<Seq>,
    /// Records that are nobody's.
    pub extras: u64,
    /// Some of them.
    pub named: Vec<Extra>,
}

impl Machine {
    /// A job is to be verified, when there is nothing else to do, or before.
    pub fn check(&mut self, key: JobKey, urgent: bool, now: Instant) {
        match self.checks.iter_mut().find(|check| check.key == key) {
            Some(check) => check.urgent |= urgent,
            None => self.checks.push(PendingCheck {
                key,
                ask_at: now,
                urgent,
                by_hand: false,
                resend: false,
                first: None,
            }),
        }
    }

    /// An operator wants a job verified now, under a session of now, and with `resend` has what
    /// it lacks sent again. A first list that is there already stays the first.
    pub fn check_by_hand(&mut self, key: JobKey, resend: bool, now: Instant) {
        self.check(key.clone(), true, now);
        for check in self.checks.iter_mut().filter(|check| check.key == key) {
            check.by_hand = true;
            check.resend |= resend;
            if check.first.is_none() {
                check.ask_at = now;
            }
        }
        self.end_session();
        self.wait = None;
    }

    /// When the next question comes that an operator waits for.
    pub fn next_check(&self) -> Option<Instant> {
        self.checks.iter().filter(|check| check.by_hand).map(|check| check.ask_at).min()
    }

    /// Why the server isn't to be asked now, whatever an operator wants.
    pub fn at_rest(&self, now: Instant) -> Option<Trouble> {
        if matches!(self.session, Session::PasswordRefused { until } if until > now) {
            return Some(Trouble::Password);
        }
        self.server_rests.filter(|until| *until > now).map(|_| Trouble::TooOften)
    }

    /// The server has answered 429 to a question, with how long it wants to be left alone.
    pub fn too_often(&mut self, asked: Option<Duration>, now: Instant) {
        // The sign-in after it tells that it is over.
        self.end_session();
        self.trouble = Some(Trouble::TooOften);
        self.rest(asked, now);
    }

    /// Jobs that are being verified, or were a while ago and lack records still.
    pub fn checking(&self) -> Vec<JobKey> {
        self.checks.iter().map(|check| check.key.clone()).collect()
    }

    /// The check that is due: the question, or the sign-in that comes before it.
    pub(super) fn due_check(&self, urgent: bool, now: Instant) -> Option<Step> {
        let due = |check: &&PendingCheck| check.ask_at <= now && (check.urgent || !urgent);
        let check = self.checks.iter().find(due)?;
        let Session::In { since, .. } = self.session else { return Some(Step::SignIn) };
        let used = check.first.as_ref().is_some_and(|first| first.session == since);
        if used || now - since > FRESH_SESSION {
            return Some(Step::SignIn);
        }
        Some(Step::Check(check.key.clone()))
    }

    /// The list asked for at `asked` says this of a job; what is to be written down, if it
    /// is enough to say anything.
    pub fn checked(
        &mut self,
        key: &JobKey,
        list: Checked,
        asked: Instant,
        now: Instant,
    ) -> Option<Mend> {
        self.answered();
        let at = self.checks.iter().position(|check| check.key == *key)?;
        let mut check = self.checks.swap_remove(at);
        let lacked: BTreeSet<Seq> = list.lost.iter().chain(&list.missing).copied().collect();
        if lacked.is_empty() {
            self.ask_again(key, now);
            return Some(Mend { extras: list.extras, named: list.named, ..Mend::default() });
        }
        let Session::In { since: session, .. } = self.session else {
            self.checks.push(check);
            return None;
        };
        let before = check.first.take_if(|first| {
            first.session != session
                && asked.saturating_duration_since(first.asked) >= self.settle_after
        });
        let Some(before) = before else {
            check.first.get_or_insert(First { asked, session, lacked });
            check.ask_at = now + self.settle_after;
            self.checks.push(check);
            return None;
        };
        let gone: BTreeSet<Seq> = list.gone.into_iter().filter(|_| check.resend).collect();
        let again = list.missing.iter().copied().filter(|seq| gone.contains(seq));
        let (lost, late): (Vec<Seq>, Vec<Seq>) =
            list.lost.into_iter().chain(again).partition(|seq| before.lacked.contains(seq));
        let stays = list.missing.into_iter().filter(|seq| !gone.contains(seq));
        let missing: Vec<Seq> = stays.chain(late).collect();
        if !missing.is_empty() {
            check.ask_at = now + CHECK_REST;
            (check.urgent, check.by_hand, check.resend) = (false, false, false);
            self.checks.push(check);
        }
        if !lost.is_empty() {
            self.ask_again(key, now);
        }
        Some(Mend { lost, missing, extras: list.extras, named: list.named })
    }

    /// The answer was no list. `wall` serves a `Retry-After` date.
    pub fn not_checked(
        &mut self,
        key: &JobKey,
        why: &Unbelievable,
        wall: Option<UtcMs>,
        now: Instant,
    ) {
        match why {
            Unbelievable::NotAsked(_) => self.not_reached(Trouble::NotReached, now),
            Unbelievable::NeedsSignIn => self.end_session(),
            Unbelievable::Status { status: 429, retry_after } => {
                self.too_often(retry_after.and_then(|after| after.wait(wall)), now);
            }
            Unbelievable::Status { .. }
            | Unbelievable::Lost(_)
            | Unbelievable::NotJson
            | Unbelievable::NotAList(_) => {}
        }
        let again = now + self.pace.longest();
        for check in self.checks.iter_mut().filter(|c| c.key == *key) {
            check.ask_at = again;
            (check.by_hand, check.resend) = (false, false);
        }
    }

    /// What a list lacked is sent again, or is there after all: it can be told now what else
    /// it says.
    fn ask_again(&mut self, key: &JobKey, now: Instant) {
        for doubt in self.doubts.iter_mut().filter(|d| d.key == *key && d.why.is_some()) {
            doubt.ask_at = doubt.ask_at.min(now);
        }
        self.passed.remove(key);
    }
}
