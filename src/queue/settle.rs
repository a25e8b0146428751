//! What became of a batch: acknowledged, open again, rejected. Also what is still in
//! doubt, and what proves that a list is whole.
//!
//! A power cut before the commit leaves the readings in doubt: the server is asked
//! again, and gives the same answer.

use std::cmp::Reverse;

use rusqlite::{Connection, OptionalExtension, params};

use super::{Doing, QueueError, Store, unreadable};
use crate::delivery::{Frozen, JobKey, OpenAttempt, Outcome};
use crate::failpoint;
use crate::reading::{Flag, Seq, SpanId, State};

const DOING: &str = "settle a batch";

impl Store {
    /// Writes down what became of readings, of the attempts they were in, and of a job that
    /// is refused as a whole. A reading that was already settled otherwise is left alone.
    ///
    /// # Errors
    /// Where it can't be written; nothing has changed then.
    pub fn settle(
        &mut self,
        results: &[(Seq, Outcome)],
        attempts: &[(i64, &str)],
        refuse: Option<(Option<&JobKey>, &str)>,
    ) -> Result<(), QueueError> {
        let tx = Self::begin(&mut self.db, DOING)?;
        for (seq, outcome) in results {
            settle_one(&tx, *seq, outcome)?;
        }
        for (id, outcome) in attempts {
            tx.execute("UPDATE attempt SET outcome = ?2 WHERE id = ?1", params![id, outcome])
                .doing(DOING)?;
        }
        if let Some((key, message)) = refuse {
            super::refusal::hold(&tx, key, message)?;
        }
        failpoint::pass("settle_before_commit");
        tx.commit().doing(DOING)?;
        failpoint::pass("settle_after_commit");
        Ok(())
    }

    /// Attempts with readings in doubt, oldest first. One of which it can't be told which
    /// attempt or job it was is set aside as unreadable, and the rest goes on.
    ///
    /// # Errors
    /// Where the rows can't be read, or what can't be told not be set aside.
    pub fn open_attempts(&self) -> Result<Vec<OpenAttempt>, QueueError> {
        let mut statement = self
            .db
            .prepare(
                "SELECT d.attempt, p.event, p.job, r.seq, r.flags & ?1 <> 0
                 FROM reading r LEFT JOIN delivery d ON d.seq = r.seq LEFT JOIN span p ON p.id = r.span
                 WHERE r.state = 1 ORDER BY d.attempt, r.seq",
            )
            .doing(DOING)?;
        let rows = statement
            .query_map([Flag::Carried as u32], |r| {
                let key = || Ok((r.get(0)?, JobKey { event: r.get(1)?, job: r.get(2)? }));
                Ok((
                    r.get::<_, Seq>(3)?,
                    r.get::<_, bool>(4)?,
                    key().map_err(|err| unreadable::what(r, &err)),
                ))
            })
            .doing(DOING)?;
        let mut attempts: Vec<OpenAttempt> = Vec::new();
        let mut bad = Vec::new();
        for row in rows {
            let (seq, carried, told) = row.doing(DOING)?;
            match (told, attempts.last_mut()) {
                (Err(why), _) => bad.push((seq, State::InDoubt, why)),
                (Ok((id, key)), Some(attempt)) if attempt.id == id && attempt.key == key => {
                    attempt.seqs.push(seq);
                    attempt.carried &= carried;
                }
                (Ok((id, key)), _) => {
                    attempts.push(OpenAttempt { id, key, seqs: vec![seq], carried })
                }
            }
        }
        drop(statement);
        self.set_frozen_aside(&bad)?;
        Ok(attempts)
    }

    /// The frozen keys of readings in doubt. One that can't be told is set aside as
    /// unreadable and isn't among them.
    ///
    /// # Errors
    /// Where the rows can't be read, or what can't be told not be set aside.
    pub fn frozen(&self, seqs: &[Seq]) -> Result<Vec<Frozen>, QueueError> {
        let mut found = Vec::with_capacity(seqs.len());
        let mut bad = Vec::new();
        let mut statement = self
            .db
            .prepare_cached(
                "SELECT d.seq, m.serial, d.utc_s, r.unwrapped, d.server_id, d.offset_min, d.attempt,
                     r.state
                 FROM reading r LEFT JOIN delivery d ON r.seq = d.seq LEFT JOIN meter m ON m.id = d.meter
                 WHERE r.seq = ?1 AND r.state IN (0, 1) AND (d.seq IS NOT NULL OR r.state = 1)",
            )
            .doing(DOING)?;
        for seq in seqs {
            let row = statement
                .query_row([seq], |r| {
                    Ok((r.get(7)?, read_frozen(r).map_err(|err| unreadable::what(r, &err))))
                })
                .optional()
                .doing(DOING)?;
            match row {
                None => {}
                Some((_, Ok(frozen))) => found.push(frozen),
                Some((was, Err(why))) => bad.push((*seq, was, why)),
            }
        }
        drop(statement);
        self.set_frozen_aside(&bad)?;
        Ok(found)
    }

    fn set_frozen_aside(&self, bad: &[(Seq, State, String)]) -> Result<(), QueueError> {
        bad.iter()
            .try_for_each(|(seq, was, why)| unreadable::set_frozen_aside(&self.db, *seq, *was, why))
    }

    /// The acknowledged readings of a job that were sent last: a list of the job without
    /// them is not the whole list. Span by span, so that one assigned late or sprayed last
    /// year costs no more than the one being sprayed.
    ///
    /// # Errors
    /// Where the rows can't be read.
    pub fn newest_sent(&self, key: &JobKey, how_many: usize) -> Result<Vec<Frozen>, QueueError> {
        let spans: Vec<SpanId> = self
            .db
            .prepare_cached("SELECT id FROM span WHERE event = ?1 AND job = ?2")
            .and_then(|mut s| s.query_map([&key.event, &key.job], |r| r.get(0))?.collect())
            .doing(DOING)?;
        let mut newest: Vec<Frozen> = Vec::new();
        for span in spans {
            newest.extend(self.newest_of(span, how_many)?);
            newest.sort_by_key(|frozen| Reverse((frozen.attempt, frozen.seq)));
            newest.truncate(how_many);
        }
        Ok(newest)
    }

    pub(super) fn newest_of(
        &self,
        span: SpanId,
        how_many: usize,
    ) -> Result<Vec<Frozen>, QueueError> {
        let mut statement = self
            .db
            .prepare_cached(
                "SELECT d.seq, m.serial, d.utc_s, r.unwrapped, d.server_id, d.offset_min, d.attempt
                 FROM delivery d CROSS JOIN reading r ON r.seq = d.seq LEFT JOIN meter m ON m.id = d.meter
                 WHERE d.span = ?1 AND r.state = 2
                 ORDER BY d.attempt DESC, d.seq DESC",
            )
            .doing(DOING)?;
        let mut rows = statement.query([span]).doing(DOING)?;
        let (mut newest, mut bad) = (Vec::new(), None);
        while newest.len() < how_many
            && let Some(row) = rows.next().doing(DOING)?
        {
            // One that can't be told proves nothing; the one before it does.
            match read_frozen(row) {
                Ok(told) => newest.push(told),
                Err(err) => bad = Some(err),
            }
        }
        match bad {
            // Without a proof a list that is cut would be believed.
            Some(err) if newest.is_empty() => Err(err).doing(DOING),
            _ => Ok(newest),
        }
    }
}

/// Of a row that begins with the columns of its key, its id and its attempt.
pub(super) fn read_frozen(r: &rusqlite::Row<'_>) -> rusqlite::Result<Frozen> {
    Ok(Frozen {
        seq: r.get(0)?,
        serial: r.get(1)?,
        utc_s: r.get(2)?,
        raw: r.get(3)?,
        server_id: r.get(4)?,
        offset_min: r.get(5)?,
        attempt: r.get(6)?,
    })
}

fn settle_one(tx: &Connection, seq: Seq, outcome: &Outcome) -> Result<(), QueueError> {
    let (state, from, id, message) = match outcome {
        // A record that is found at the server is sent, whatever was thought of it before.
        Outcome::Sent(id) => (State::Sent, "0, 1, 3, 6", id.as_deref(), None),
        // Not what an operator has rejected meanwhile.
        Outcome::Open => (State::Open, "1, 3) AND seq NOT IN (SELECT seq FROM ruling", None, None),
        Outcome::Rejected(message) => (State::Rejected, "0, 1", None, Some(message.as_str())),
    };
    // It was asked about, so that nothing is unproven about it any more.
    let changed = tx
        .prepare_cached(&format!(
            "UPDATE reading SET state = ?2, flags = flags & ~?3 WHERE seq = ?1 AND state IN ({from})"
        ))
        .and_then(|mut s| s.execute(params![seq, state, Flag::Carried as u32]))
        .doing(DOING)?;
    if changed > 0 {
        // What the server said against a reading holds no longer once that is open or sent; a
        // row that had nothing said against it isn't written again.
        tx.prepare_cached(
            "UPDATE delivery SET server_id = coalesce(?2, server_id), message = ?3
             WHERE seq = ?1 AND (message IS NOT ?3 OR ?2 IS NOT NULL)",
        )
        .and_then(|mut s| s.execute(params![seq, id, message]))
        .doing(DOING)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
