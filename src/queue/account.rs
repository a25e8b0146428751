//! What of a job is at JobCloser by our own account, and which jobs have anything there: what
//! an operator has verified. Reads `span` and `standing` alone.

use rusqlite::{Row, params};

use super::{Doing, QueueError, Store, View};
use crate::delivery::JobKey;
use crate::reading::State;
use crate::units::Microlitres;
use crate::verified::Part;

const DOING: &str = "add a job up";

/// So many jobs are verified by one command, the newest.
const JOBS: i64 = 20;

/// A job by our own account.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Account {
    /// Of its spans that are over, what was acknowledged.
    pub closed: Part,
    /// Of the one being sprayed, what was acknowledged so far.
    pub open: Part,
    /// What is on its way, or held.
    pub waiting: u64,
}

impl View {
    /// The jobs with acknowledged readings, the newest 20, newest first; of this event and
    /// this job, where they are named.
    ///
    /// # Errors
    /// Where the rows can't be read.
    pub fn jobs_sent(
        &self,
        event: Option<&str>,
        job: Option<&str>,
    ) -> Result<Vec<JobKey>, QueueError> {
        self.db
            .prepare(
                "SELECT p.event, p.job FROM span p
                 WHERE coalesce(p.event = ?1, 1) AND coalesce(p.job = ?2, 1)
                     AND EXISTS (SELECT 1 FROM standing s WHERE s.span = p.id AND s.state = 2)
                 GROUP BY p.event, p.job ORDER BY max(p.id) DESC LIMIT ?3",
            )
            .and_then(|mut s| {
                let key = |r: &Row<'_>| Ok(JobKey { event: r.get(0)?, job: r.get(1)? });
                s.query_map(params![event, job, JOBS], key)?.collect()
            })
            .doing(DOING)
    }
}

impl Store {
    /// A job by our own account.
    ///
    /// # Errors
    /// Where the rows can't be read.
    pub fn account(&self, key: &JobKey) -> Result<Account, QueueError> {
        let rows: Vec<(bool, State, u64, Microlitres)> = self
            .db
            .prepare_cached(
                "SELECT p.closed, s.state, sum(s.readings), sum(s.share_ul)
                 FROM span p JOIN standing s ON s.span = p.id
                 WHERE p.event = ?1 AND p.job = ?2 GROUP BY p.closed, s.state",
            )
            .and_then(|mut s| {
                s.query_map([&key.event, &key.job], |r| {
                    let records: i64 = r.get(2)?;
                    Ok((r.get(0)?, r.get(1)?, records.max(0).cast_unsigned(), r.get(3)?))
                })?
                .collect()
            })
            .doing(DOING)?;
        let mut account = Account::default();
        for (closed, state, records, volume) in rows {
            let part = Part { gallons: volume.gallons(), records };
            match (state, closed) {
                (State::Sent, true) => account.closed = part,
                (State::Sent, false) => account.open = part,
                (State::Open | State::InDoubt | State::TimeConflict, _) => {
                    account.waiting += records;
                }
                _ => {}
            }
        }
        Ok(account)
    }
}
