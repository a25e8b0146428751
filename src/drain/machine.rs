//! The delivery state machine: what to do next, and what an outcome means for the queue.
//! Pure: it is told the time and the outcomes, and returns what to do and what to write
//! down. It knows neither sockets nor SQL.

mod checks;
mod orders;
mod settle;
mod verdict;
mod view;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::isolate::Isolation;
use super::retry::{self, Pace};
use crate::config::Config;
use crate::delivery::{JobKey, OpenAttempt, Outcome, Pick};
use crate::reading::Seq;

pub use checks::Mend;
use checks::PendingCheck;
pub use view::{DrainView, Trouble};

/// A settling answer needs a session that is at most this old: a server that has
/// forgotten us may answer with an empty list.
const FRESH_SESSION: Duration = Duration::from_secs(30);
/// A start waits so long at most.
const START_JITTER: Duration = Duration::from_secs(3);
/// After a refused password, no new sign-in for so long, unless the files change.
const PASSWORD_REST: Duration = Duration::from_secs(3600);
/// An unclear outcome divides what is risked next by this, an acknowledgement multiplies.
const RISK_STEP: usize = 8;
/// After so many acknowledgements batches may be twice as large as the server once refused.
const FITTING: usize = 20;
/// So many lone refusals in a row, and it is us who are wrong, not the readings.
const LONE_REFUSALS: usize = 5;

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Nothing before this time, or with `None` before something new is recorded.
    Wait(Option<Instant>),
    /// Sign in; where no sign-in is needed, see whether the server is reached.
    SignIn,
    /// Ask what the server holds of this job.
    Settle(JobKey),
    /// Ask whether the server holds the whole of this job.
    Check(JobKey),
    /// Freeze and send, so many at most.
    Send(Pick, usize),
}

/// What to write down, in one transaction.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Effects {
    /// What became of readings.
    pub results: Vec<(Seq, Outcome)>,
    /// What became of attempts.
    pub attempts: Vec<(i64, &'static str)>,
    /// A job to hold, or with `None` everything, with the server's words.
    pub refuse: Option<(Option<JobKey>, String)>,
}

/// How a sign-in ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignInOutcome {
    /// There is a session, or none is needed.
    In,
    /// The e-mail address or password is wrong.
    Refused,
    /// The server wasn't reached.
    NotReached,
    /// There was a server, but not one to trust, and why: its certificate, or the time.
    Untrusted(String),
    /// It answered something else.
    Unclear,
    /// It asked to wait, so long where it said so.
    Later(Option<Duration>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Session {
    None,
    /// Since then; `tried` once a call has been answered under it.
    In {
        since: Instant,
        tried: bool,
    },
    PasswordRefused {
        until: Instant,
    },
}

/// Why an attempt is in doubt.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Cause {
    /// No answer, or a gateway's.
    Silence,
    /// The server answered, and it means nothing.
    Answered,
    /// The server said no.
    Refused(String),
}

/// What a wait is for, and so who may end it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WaitFor {
    /// A connection: news of the network ends it, and an operator.
    Link,
    /// Our own measure, of an answer that brought nothing: an operator ends it.
    Pace,
}

#[derive(Debug)]
struct Doubt {
    attempt: i64,
    key: JobKey,
    seqs: Vec<Seq>,
    /// The request carried this one reading and no other.
    alone: bool,
    cause: Cause,
    /// Absence is not believed before.
    settles_at: Instant,
    /// The list was empty; absence is believed once it is under a new session too.
    empty_once: bool,
    /// The server isn't asked before.
    ask_at: Instant,
    /// Why the last question settled nothing.
    why: Option<String>,
    /// Whether it was ever sent is lost with a damaged queue.
    carried: bool,
}

impl Doubt {
    /// An attempt of which nothing is known but that it was begun.
    fn left(attempt: OpenAttempt, settles_at: Instant) -> Self {
        Self {
            attempt: attempt.id,
            key: attempt.key,
            alone: attempt.seqs.len() == 1,
            seqs: attempt.seqs,
            cause: Cause::Silence,
            settles_at,
            empty_once: false,
            ask_at: settles_at,
            why: None,
            carried: attempt.carried,
        }
    }
}

/// The state of delivery.
#[derive(Debug)]
pub struct Machine {
    records: usize,
    settle_after: Duration,
    /// By then whatever was on its way before the start has been stored, or never will be.
    quiet_from: Instant,
    pace: Pace,
    /// Readings risked in the next batch.
    limit: usize,
    /// Nothing is asked of the server before.
    wait: Option<(Instant, WaitFor)>,
    /// Nor before this, since it has asked for that itself.
    server_rests: Option<Instant>,
    session: Session,
    doubts: Vec<Doubt>,
    checks: Vec<PendingCheck>,
    isolation: Option<Isolation>,
    /// Readings passed over until then.
    aside: BTreeMap<Seq, Instant>,
    /// Jobs passed over until then: the server refuses what it is sent for them, and doesn't
    /// say what it stored.
    passed: BTreeMap<JobKey, Instant>,
    /// Refused alone since the last acknowledgement, with the server's words.
    lone: Vec<(JobKey, Seq, String)>,
    /// No batch is larger: the server has refused one as too large.
    ceiling: usize,
    /// Acknowledgements since the ceiling was last moved.
    fitting: usize,
    trouble: Option<Trouble>,
    sent: u64,
}

impl Machine {
    /// A start: what was in doubt when the power went is asked about after `settle_after`,
    /// counted from now, since nobody knows when that request ended.
    pub fn new(config: &Config, left: Vec<OpenAttempt>, now: Instant) -> Self {
        let settles_at = now + config.jobcloser.settle_after;
        let doubts = left.into_iter().map(|a| Doubt::left(a, settles_at)).collect();
        let mut machine = Self {
            records: config.jobcloser.batch_records,
            settle_after: config.jobcloser.settle_after,
            quiet_from: settles_at,
            pace: Pace::new(&config.retry),
            limit: config.jobcloser.batch_records,
            wait: None,
            server_rests: None,
            session: Session::None,
            doubts,
            checks: Vec::new(),
            isolation: None,
            aside: BTreeMap::new(),
            passed: BTreeMap::new(),
            lone: Vec::new(),
            ceiling: config.jobcloser.batch_records,
            fitting: 0,
            trouble: None,
            sent: 0,
        };
        // A yard full of rigs is switched on at the same minute. The network, which comes up
        // meanwhile, does so for all of them: it ends no jitter.
        machine.pause(WaitFor::Pace, retry::jitter(START_JITTER), now);
        machine
    }

    /// What to do now.
    pub fn next(&mut self, now: Instant) -> Step {
        let waits = [self.wait.map(|(until, _)| until), self.server_rests];
        if let Some(until) = waits.into_iter().flatten().max().filter(|until| *until > now) {
            return Step::Wait(Some(until));
        }
        (self.wait, self.server_rests) = (None, None);
        self.aside.retain(|_, until| *until > now);
        match self.session {
            Session::PasswordRefused { until } if until > now => return Step::Wait(Some(until)),
            Session::PasswordRefused { .. } | Session::None => return Step::SignIn,
            Session::In { .. } => {}
        }
        if let Some(due) = self.doubts.iter().filter(|d| d.ask_at <= now).min_by_key(|d| d.ask_at) {
            return match self.session {
                Session::In { since, .. } if now - since > FRESH_SESSION => Step::SignIn,
                _ => Step::Settle(due.key.clone()),
            };
        }
        if let Some(step) = self.due_check(true, now) {
            return step;
        }
        if let Some(piece) = self.isolation.as_mut().and_then(Isolation::next) {
            let many = piece.len();
            return Step::Send(Pick::These(piece), many);
        }
        // One that still waits for an answer about its last reading isn't over.
        self.isolation.take_if(|isolation| isolation.is_over());
        self.passed.retain(|_, until| *until > now);
        let skip = self.aside.keys().copied().collect();
        let but = self.passed.keys().cloned().collect();
        Step::Send(Pick::Oldest { skip, but }, self.limit.max(1))
    }

    /// Nothing of what [`Step::Send`] asked for is ready: what to do instead. Readings that
    /// an operator has changed meanwhile drop out of an isolation here.
    pub fn nothing_ready(&mut self, pick: &Pick, now: Instant) -> Step {
        if let (Pick::These(piece), Some(isolation)) = (pick, self.isolation.as_mut()) {
            for seq in piece {
                isolation.gone(*seq);
            }
            // Not what comes next: only the loop that asks for it also does it.
            return Step::Wait(Some(now));
        }
        if let Some(step) = self.due_check(false, now) {
            return step;
        }
        let asks = self.doubts.iter().map(|d| d.ask_at);
        let asks = asks.chain(self.checks.iter().map(|c| c.ask_at));
        Step::Wait(
            asks.chain(self.aside.values().copied()).chain(self.passed.values().copied()).min(),
        )
    }

    /// A sign-in has ended.
    pub fn signed_in(&mut self, outcome: SignInOutcome, now: Instant) {
        match outcome {
            SignInOutcome::In => {
                self.session = Session::In { since: now, tried: false };
                self.trouble = self.trouble.take().filter(|trouble| !trouble.ends_with_a_session());
            }
            SignInOutcome::Refused => {
                self.session = Session::PasswordRefused { until: now + PASSWORD_REST };
                self.trouble = Some(Trouble::Password);
            }
            SignInOutcome::NotReached => self.not_reached(Trouble::NotReached, now),
            SignInOutcome::Untrusted(why) => self.not_reached(Trouble::Untrusted(why), now),
            SignInOutcome::Unclear => {
                self.trouble = Some(Trouble::Unclear);
                let wait = self.pace.answer();
                self.pause(WaitFor::Pace, wait, now);
            }
            SignInOutcome::Later(asked) => {
                self.trouble = Some(Trouble::TooOften);
                self.rest(asked, now);
            }
        }
    }

    /// While the server doesn't answer clearly, little is risked, and rarely.
    fn risk_less(&mut self, now: Instant) {
        self.limit = (self.limit / RISK_STEP).max(1);
        let wait = self.pace.answer();
        self.pause(WaitFor::Pace, wait, now);
    }

    /// The next try is a sign-in: it freezes nothing, and a rig that is out of coverage for
    /// weeks would write a batch to its card at every try.
    fn not_reached(&mut self, trouble: Trouble, now: Instant) {
        self.end_session();
        self.trouble = Some(trouble);
        let wait = self.pace.connect();
        self.pause(WaitFor::Link, wait, now);
    }

    fn pause(&mut self, why: WaitFor, wait: Duration, now: Instant) {
        self.wait = Some((now + wait, why));
    }

    /// The server has asked to be left alone, perhaps without saying for how long.
    fn rest(&mut self, asked: Option<Duration>, now: Instant) {
        let wait = self.pace.answer().max(asked.unwrap_or_default());
        self.server_rests = self.server_rests.max(Some(now + wait));
    }

    /// The session has carried a call.
    fn answered(&mut self) {
        if let Session::In { tried, .. } = &mut self.session {
            *tried = true;
        }
    }

    fn set_aside(&mut self, seq: Seq, now: Instant) {
        self.aside.insert(seq, now + self.pace.longest());
    }

    fn leave_isolation(&mut self, seqs: &[Seq], effects: &mut Effects) {
        for seq in seqs {
            let Some(isolation) = self.isolation.as_mut() else { return };
            if let Some((first, message)) = isolation.gone(*seq)
                && !self.is_doubted(first)
            {
                effects.results.push((first, Outcome::Rejected(message)));
            }
        }
    }

    /// Whether a reading is in doubt, in whatever attempt: it may be stored, so it is not
    /// rejected for what the server said before.
    fn is_doubted(&self, seq: Seq) -> bool {
        self.doubts.iter().any(|doubt| doubt.seqs.contains(&seq))
    }
}

#[cfg(test)]
mod tests;
