//! A test record sent, read back, compared and deleted again: the one way it is done,
//! whether by the running delivery or by a command that has the data directory to itself.
//! One request at a time, and the record is never sent twice.
//!
//! Nothing of it is in the queue. A power cut between sending and deleting leaves the
//! record at JobCloser, under its own name; the next test record of that job finds it.

use std::collections::HashSet;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::OnceLock;
use std::time::Duration;

use tokio::time::sleep;
use tracing::{info, warn};

use super::canary::{self, Canary, Facts, Row, SERIAL, Setting};
use crate::cause::chain;
use crate::clock::UtcMs;
use crate::config::JobCloser;
use crate::jobcloser::client::{Ask, Client, SignIn};
use crate::jobcloser::verdict::{Answer, Exchange, Refusal, Verdict, verdict};
use crate::jobcloser::wire;
use crate::learnt::{Ended, Learnt, Nulls, Order, Told};

/// An event that nobody has, to see whether a list is of one event.
const NO_EVENT: &str = "000000000000000000000000000000";

/// What a test is made with.
pub(super) struct Trial<'a> {
    pub client: &'a Client,
    pub server: &'a JobCloser,
    pub order: &'a Order,
    pub setting: Setting,
    pub now: UtcMs,
    /// The server has answered 429, with how long it wants to be left alone.
    pub too_often: OnceLock<Option<Duration>>,
}

/// How one sending ended.
enum Sent {
    /// As told; nothing of it is at the server.
    Over(Told),
    /// Refused by the server itself, which doesn't have it.
    Refused(String),
    /// It may be at the server.
    Unclear(String),
    /// It is.
    There { row: Row, ids: bool },
}

/// Why there is no session, in words for an operator; `None` where there is one.
pub(super) fn not_signed_in(outcome: &SignIn) -> Option<String> {
    match outcome {
        SignIn::Done { .. } | SignIn::NotNeeded => None,
        SignIn::Refused => Some("JobCloser refuses the e-mail address or password".to_owned()),
        SignIn::Failed(err) => Some(format!("cannot sign in: {}", chain(err))),
    }
}

/// Nothing was sent, and why.
pub(super) fn not_sent(why: impl Into<String>) -> Told {
    ended(Ended::NotSent, why.into())
}

fn ended(ended: Ended, said: String) -> Told {
    Told {
        ended,
        said,
        note: None,
        id: None,
        left: false,
        fields: Vec::new(),
        learnt: None,
        remarks: Vec::new(),
    }
}

impl Trial<'_> {
    /// Does all of it, signed in.
    pub(super) async fn run(&self) -> Told {
        let Some(first) = Canary::new(self.order, &self.setting, bits()) else {
            return not_sent("the time now has no date in device.timezone");
        };
        // Who can't read back can't delete either.
        let before = match self.held(Some(&self.order.event)).await {
            Ok(rows) => rows,
            Err(why) => {
                return not_sent(format!(
                    "nothing was sent, since nothing can be read back: {why}"
                ));
            }
        };
        let mut told = match self.send(&first, &before).await {
            Sent::Refused(why) if first.has_nulls() => {
                self.again_without_nulls(&first, &before, &why).await
            }
            sent => self.tell(&first, &before, sent).await,
        };
        told.remarks.extend(left_behind(&before));
        told
    }

    /// The first was refused, and the list shows that it isn't there: is it the nulls?
    async fn again_without_nulls(&self, first: &Canary, before: &[Row], why: &str) -> Told {
        let second = first.without_nulls(bits());
        let sent = self.send(&second, before).await;
        let mut told = self.tell(&second, before, sent).await;
        match (told.ended, &mut told.learnt) {
            (Ended::ReadBack, Some(learnt)) => learnt.nulls = Nulls::Refused,
            (Ended::Refused, _) => told
                .remarks
                .push("it isn't for the nulls: without them it is refused too".to_owned()),
            _ => {}
        }
        told.remarks.push(format!("a first one, with null for sensors, was refused: {why}"));
        told
    }

    /// One sending, and where it isn't clear one question.
    async fn send(&self, canary: &Canary, before: &[Row]) -> Sent {
        // The log has its name before it leaves: with that it can be found by hand.
        info!(note = canary.note(), job = self.order.job, "test record goes out");
        let body = wire::body(&[canary.bytes()], &self.server.body_wrapper);
        let exchange = self.client.create_batch(body).await;
        self.heed(&exchange);
        let verdict = verdict(&exchange, Some(self.now));
        let (ids, accepted, refusal) = match verdict {
            Verdict::NotSent => {
                return Sent::Over(not_sent("nothing was sent: JobCloser isn't reached"));
            }
            Verdict::Refused(why) => {
                return Sent::Over(ended(Ended::Refused, unprocessed(why).to_owned()));
            }
            Verdict::Accepted { ids } => (ids.iter().any(Option::is_some), true, None),
            Verdict::Unclear(unclear) => {
                if unclear.from_gateway_or_silence {
                    // RULES.md, 23: the server may be at work yet.
                    sleep(self.server.settle_after).await;
                }
                (false, false, unclear.refusal)
            }
        };
        let rows = match self.held(Some(&self.order.event)).await {
            Ok(rows) => rows,
            Err(why) => {
                return Sent::Unclear(format!("it was sent, and can't be read back: {why}"));
            }
        };
        match (canary.find(&rows, before), refusal) {
            (Some(row), _) => Sent::There { row: row.clone(), ids },
            // A list that lacks what it had a moment ago proves nothing.
            (None, Some(why)) if whole(&rows, before) => {
                Sent::Refused(format!("JobCloser says \"{why}\""))
            }
            (None, Some(why)) => Sent::Unclear(format!(
                "JobCloser says \"{why}\", and its list isn't whole, so that it may be stored"
            )),
            (None, None) if accepted => Sent::Unclear(
                "JobCloser said that it stored it, and its list doesn't have it".to_owned(),
            ),
            (None, None) => Sent::Unclear(
                "it was sent, no clear answer came, and it isn't in the list so far".to_owned(),
            ),
        }
    }

    async fn tell(&self, canary: &Canary, before: &[Row], sent: Sent) -> Told {
        let note = Some(canary.note().to_owned());
        match sent {
            Sent::Over(told) => told,
            Sent::Refused(why) => Told { note, ..ended(Ended::Refused, why) },
            Sent::Unclear(why) => {
                warn!(note = canary.note(), job = self.order.job, "test record may be stored");
                let said = format!(
                    "{why}. If it shows up in job {}, delete it: meter {SERIAL}, note \"{}\"",
                    self.order.job,
                    canary.note()
                );
                Told { note, left: true, ..ended(Ended::Unclear, said) }
            }
            Sent::There { row, ids } => self.read_back(canary, before, &row, ids).await,
        }
    }

    /// It is there: compares, looks at the filters, deletes.
    async fn read_back(&self, canary: &Canary, before: &[Row], row: &Row, ids: bool) -> Told {
        let fields = canary::compare(canary, row);
        let is_there = |rows: &[Row]| canary.find(rows, before).is_some();
        let filtered = self.held(Some(NO_EVENT)).await;
        let alone = self.held(None).await;
        let id = canary::id(row).map(str::to_owned);
        let (gone, why) = self.delete(canary, before, id.as_deref()).await;
        let facts = Facts {
            at: self.now.rfc3339(),
            base_url: self.server.base_url.clone(),
            ids,
            event_filter: filtered.ok().map(|rows| !is_there(&rows)),
            by_job_alone: alone.ok().map(|rows| is_there(&rows)),
            deletes: gone,
        };
        let learnt: Learnt = canary::learn(canary, &fields, facts);
        let said = if gone {
            "stored, read back and deleted again".to_owned()
        } else {
            warn!(note = canary.note(), id, job = self.order.job, "test record not deleted");
            let id = id.as_deref().unwrap_or("not told");
            format!(
                "stored and read back, but NOT DELETED ({why}): delete it at JobCloser by hand, \
                 in job {}, id {id}, meter {SERIAL}, note \"{}\"",
                self.order.job,
                canary.note()
            )
        };
        Told {
            note: Some(canary.note().to_owned()),
            id,
            left: !gone,
            fields,
            learnt: Some(learnt),
            ..ended(Ended::ReadBack, said)
        }
    }

    /// Whether it is gone, and why not. Both must say so, the call and the list: a session
    /// that has ended may be given an empty one.
    async fn delete(&self, canary: &Canary, before: &[Row], id: Option<&str>) -> (bool, String) {
        let Some(id) = id else { return (false, "the list has no id for it".to_owned()) };
        let deleted = self.client.ask(Ask::Delete { id }).await;
        self.heed(&deleted);
        let said = canary::result(&deleted);
        match (self.held(Some(&self.order.event)).await, said) {
            (_, Err(why)) => (false, why),
            (Ok(rows), Ok(_)) if canary.find(&rows, before).is_some() => {
                (false, "the list has it still".to_owned())
            }
            (Ok(rows), Ok(_)) if !whole(&rows, before) => {
                (false, "perhaps it is: the list isn't whole".to_owned())
            }
            (Ok(_), Ok(_)) => (true, String::new()),
            (Err(why), Ok(_)) => (false, format!("perhaps it is: the list can't be read, {why}")),
        }
    }

    /// What is stored for the job: the one place that reads a list here.
    async fn held(&self, event: Option<&str>) -> Result<Vec<Row>, String> {
        let held = self.client.ask(Ask::Held { job: &self.order.job, event }).await;
        self.heed(&held);
        canary::rows(&held)
    }

    fn heed(&self, exchange: &Exchange) {
        if let Exchange::Answered(Answer { status: 429, retry_after, .. }) = exchange {
            // The first is told; what follows it only cleans up.
            let _ = self.too_often.set(retry_after.and_then(|after| after.wait(Some(self.now))));
        }
    }
}

/// Whether a list has all that it had before.
fn whole(rows: &[Row], before: &[Row]) -> bool {
    let ids: HashSet<&str> = rows.iter().filter_map(canary::id).collect();
    before.iter().filter_map(canary::id).all(|id| ids.contains(id))
}

fn left_behind(before: &[Row]) -> Option<String> {
    let left: Vec<&str> =
        before.iter().filter(|row| canary::is_canary(row)).filter_map(canary::id).collect();
    (!left.is_empty()).then(|| {
        format!("{} left in this job by an earlier test: delete {}", left.len(), left.join(", "))
    })
}

fn unprocessed(why: Refusal) -> &'static str {
    match why {
        Refusal::Wait { .. } => "JobCloser asks to wait; try again later",
        Refusal::Smaller => "JobCloser refuses a single record as too large",
        Refusal::SignIn => {
            "JobCloser refuses a signed-in call; check \"Enable API Access\" in the company settings"
        }
        Refusal::Moved => "JobCloser's API is not at this address; check jobcloser.base_url",
    }
}

/// Bits that no other test record has.
fn bits() -> u32 {
    RandomState::new().build_hasher().finish() as u32
}
