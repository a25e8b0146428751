//! What `status` says of the delivery, in words that tell what to do.

use std::collections::BTreeMap;
use std::time::Instant;

use serde::Serialize;

use super::{Machine, Session};
use crate::delivery::JobKey;

/// What stands in the way of delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// There is nothing to send with: credentials, certificates.
    NoClient(String),
    /// No connection.
    NotReached,
    /// No connection to be trusted, and why.
    Untrusted(String),
    /// Wrong e-mail address or password.
    Password,
    /// A new session was refused as well.
    NotAllowed,
    /// 404, 405 or 415.
    Moved,
    /// 429.
    TooOften,
    /// 413 for a single record.
    TooLarge,
    /// An answer that means nothing, or none.
    Unclear,
    /// The server was asked what it holds, in vain.
    NotSettled(String),
    /// A job is on hold.
    JobRefused(String),
    /// Everything is on hold.
    AllRefused(String),
}

impl Trouble {
    /// Whether a new session is the end of it.
    pub(super) fn ends_with_a_session(&self) -> bool {
        self.is_no_connection() || matches!(self, Self::Password | Self::TooOften)
    }

    /// Whether no request came through.
    pub fn is_no_connection(&self) -> bool {
        matches!(self, Self::NotReached | Self::Untrusted(_))
    }
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoClient(why) => write!(f, "nothing can be sent: {why}"),
            Self::NotReached => f.write_str("no connection to JobCloser; trying again by itself"),
            Self::Untrusted(why) => {
                write!(f, "no trusted connection to JobCloser ({why}); trying again by itself")
            }
            Self::Password => f.write_str(
                "JobCloser refuses the e-mail address or password; correct the credentials files, \
                 then `systemctl restart spraylog` where it is a service",
            ),
            Self::NotAllowed => f.write_str(
                "JobCloser refuses a signed-in call; check \"Enable API Access\" in the company settings",
            ),
            Self::Moved => f.write_str("JobCloser's API is not at this address; check jobcloser.base_url"),
            Self::TooOften => f.write_str("JobCloser asks to wait; waiting"),
            Self::TooLarge => {
                f.write_str("JobCloser refuses a single record as too large; shorten job.note")
            }
            Self::Unclear => f.write_str("JobCloser does not answer clearly; asking what it stored"),
            Self::NotSettled(why) => write!(f, "cannot tell yet what JobCloser stored: {why}"),
            Self::JobRefused(why) => {
                write!(f, "JobCloser refuses a job (\"{why}\"); mend it there, then `spraylog records retry`")
            }
            Self::AllRefused(why) => write!(
                f,
                "JobCloser refuses every record (\"{why}\"); check meter and profile, then `spraylog records retry`"
            ),
        }
    }
}

/// The delivery's part of `status`.
#[derive(Debug, Clone, Default, Serialize)]
pub struct DrainView {
    /// What it is doing: `waiting`, `sending`, `asking`, `signing in`, `idle`.
    pub doing: &'static str,
    /// What stands in the way, with what to do.
    pub trouble: Option<String>,
    /// Whether there is a session, or none is needed.
    pub signed_in: bool,
    /// Seconds to the next try.
    pub next_try_s: Option<u64>,
    /// Attempts whose outcome is not known.
    pub in_doubt_attempts: usize,
    /// What is in doubt, job by job.
    pub doubts: Vec<DoubtView>,
    /// Records acknowledged since the start.
    pub acknowledged: u64,
}

/// What is in doubt of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DoubtView {
    /// The job.
    #[serde(flatten)]
    pub key: JobKey,
    /// How many readings.
    pub readings: usize,
    /// Of these, how many come from a damaged queue, and may never have been sent.
    pub carried: usize,
    /// Why the last question settled nothing; `None` where none was asked yet.
    pub why: Option<String>,
    /// Seconds to the next question.
    pub next_question_s: u64,
}

impl Machine {
    fn doubts_view(&self, now: Instant) -> Vec<DoubtView> {
        let mut jobs: BTreeMap<&JobKey, DoubtView> = BTreeMap::new();
        for doubt in &self.doubts {
            let next_question_s = doubt.ask_at.saturating_duration_since(now).as_secs();
            let job = jobs.entry(&doubt.key).or_insert_with(|| DoubtView {
                key: doubt.key.clone(),
                readings: 0,
                carried: 0,
                why: None,
                next_question_s,
            });
            job.readings += doubt.seqs.len();
            job.carried += if doubt.carried { doubt.seqs.len() } else { 0 };
            job.next_question_s = job.next_question_s.min(next_question_s);
            job.why = job.why.take().or_else(|| doubt.why.clone());
        }
        jobs.into_values().collect()
    }

    /// For `status`.
    pub fn view(&self, doing: &'static str, next_try: Option<Instant>, now: Instant) -> DrainView {
        DrainView {
            doing,
            trouble: self.trouble.as_ref().map(Trouble::to_string),
            signed_in: matches!(self.session, Session::In { .. }),
            next_try_s: next_try.map(|t| t.saturating_duration_since(now).as_secs()),
            in_doubt_attempts: self.doubts.len(),
            doubts: self.doubts_view(now),
            acknowledged: self.sent,
        }
    }

    /// What stands in the way.
    pub fn trouble(&self) -> Option<&Trouble> {
        self.trouble.as_ref()
    }
}
