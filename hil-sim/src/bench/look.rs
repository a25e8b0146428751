//! Looking at server and agent until something holds, and having it judged. Turns no knob.

use std::time::{Duration, Instant};

use super::{Bench, BenchError};
use crate::agent::{self, Status};
use crate::jobcloser::StoredRecord;
use crate::judge::{Evidence, Verdict, judge};

/// How often something awaited is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// A look at server and agent, for conditions.
#[derive(Debug, Clone)]
pub struct Look {
    /// What the server holds.
    pub records: Vec<StoredRecord>,
    /// What the agent says; `None` where it can't be asked.
    pub status: Option<Status>,
}

impl Look {
    /// What the agent says; nothing of everything where it can't be asked.
    pub fn status(&self) -> Status {
        self.status.clone().unwrap_or_default()
    }

    /// Whether the agent answered and has nothing left to send or settle.
    pub fn is_drained(&self) -> bool {
        self.status.as_ref().is_some_and(|status| status.balance.backlog() == 0)
    }
}

impl Bench {
    /// What the server holds, in the order in which it came.
    pub fn records(&self) -> Vec<StoredRecord> {
        self.server.records()
    }

    /// What the agent says of itself; what it shows as recorded is held against it later.
    ///
    /// # Errors
    /// Where it can't be asked.
    pub async fn status(&mut self) -> Result<Status, BenchError> {
        self.notice_end();
        let status = self.agent.status().await?;
        self.shown_seq = self.shown_seq.max(status.last_seq);
        Ok(status)
    }

    /// Server and agent at a glance.
    pub async fn look(&mut self) -> Look {
        let status = self.status().await.ok();
        Look { records: self.records(), status }
    }

    /// Waits until a condition holds, looking five times a second.
    ///
    /// # Errors
    /// Where it doesn't within the time given; the last look is in the error.
    pub async fn wait_until(
        &mut self,
        what: &str,
        within: Duration,
        mut holds: impl FnMut(&Look) -> bool,
    ) -> Result<Look, BenchError> {
        let begun = Instant::now();
        loop {
            let look = self.look().await;
            if holds(&look) {
                return Ok(look);
            }
            if begun.elapsed() >= within {
                return Err(BenchError::InVain {
                    what: what.to_owned(),
                    waited_s: within.as_secs(),
                    found: described(&look),
                });
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Waits until the server holds so many records.
    ///
    /// # Errors
    /// As [`Bench::wait_until`].
    pub async fn wait_for_records(
        &mut self,
        count: usize,
        within: Duration,
    ) -> Result<Look, BenchError> {
        let what = format!("{count} records");
        self.wait_until(&what, within, |look| look.records.len() >= count).await
    }

    /// Waits until the agent has the meter's port open.
    ///
    /// # Errors
    /// As [`Bench::wait_until`].
    pub async fn wait_until_ready(&mut self, within: Duration) -> Result<Look, BenchError> {
        self.wait_until("an open meter port", within, |look| look.status().meter_open()).await
    }

    /// Waits until the agent has nothing left to send or settle, twice in a row: between
    /// a sample and its commit there is a moment in which there is nothing yet.
    ///
    /// # Errors
    /// As [`Bench::wait_until`].
    pub async fn wait_until_drained(&mut self, within: Duration) -> Result<Look, BenchError> {
        let mut before = None;
        self.wait_until("an empty backlog", within, |look| {
            let now = look.is_drained().then(|| look.status().last_seq);
            let twice = now.is_some() && now == before;
            before = now;
            twice
        })
        .await
    }

    /// Waits until what is left is delivered (no longer than `within`; a backlog then is
    /// a finding) and judges. Where the liquid has stopped, its last reading is waited
    /// for too.
    pub async fn settle_and_judge(&mut self, within: Duration) -> Verdict {
        let begun = Instant::now();
        let last = self.rig.truth_log().lock().flow.last().copied();
        if let Some(change) = last.filter(|change| change.gpm == 0.0) {
            // Stopped is none for 3 s (RULES.md, 11); then it is recorded.
            let quiet = self.rig.clock().until(change.at_ms + 5000);
            tokio::time::sleep(quiet.min(within)).await;
        }
        let left = within.saturating_sub(begun.elapsed());
        // In vain or not: the judge finds what is left.
        let _ = self.wait_until_drained(left.max(LOOK_EVERY)).await;
        self.judge_now().await
    }

    /// Judges what there is.
    pub async fn judge_now(&mut self) -> Verdict {
        self.notice_end();
        let status = self.status().await;
        if let Err(err) = &status {
            self.mishaps.push(err.to_string());
        }
        let evidence = Evidence {
            records: self.records(),
            violations: self.server.violations(),
            truth: self.rig.truth(),
            status: status.ok(),
            shown_seq: self.shown_seq,
            rules: agent::rules(&self.config),
            mishaps: self.mishaps.clone(),
        };
        judge(&evidence)
    }
}

fn described(look: &Look) -> String {
    let records = look.records.len();
    match &look.status {
        None => format!("{records} records, and no status from the agent"),
        Some(status) => format!("{records} records, {:?}", status.balance),
    }
}
