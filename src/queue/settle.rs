//! What became of a batch: acknowledged, open again, rejected. Also what is still in
//! doubt, and what proves that a list is whole.
//!
//! A power cut before the commit leaves the readings in doubt: the server is asked
//! again, and gives the same answer.

use std::cmp::Reverse;

use rusqlite::{Connection, params};

use super::{Doing, QueueError, Store};
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

    /// Attempts with readings in doubt, oldest first.
    ///
    /// # Errors
    /// Where the rows can't be read.
    pub fn open_attempts(&self) -> Result<Vec<OpenAttempt>, QueueError> {
        let mut statement = self
            .db
            .prepare(
                "SELECT d.attempt, p.event, p.job, r.seq
                 FROM reading r JOIN delivery d ON d.seq = r.seq JOIN span p ON p.id = r.span
                 WHERE r.state = 1 ORDER BY d.attempt, r.seq",
            )
            .doing(DOING)?;
        let rows = statement
            .query_map([], |r| {
                let key = JobKey { event: r.get(1)?, job: r.get(2)? };
                Ok((r.get::<_, i64>(0)?, key, r.get::<_, Seq>(3)?))
            })
            .doing(DOING)?;
        let mut attempts: Vec<OpenAttempt> = Vec::new();
        for row in rows {
            let (id, key, seq) = row.doing(DOING)?;
            match attempts.last_mut().filter(|a| a.id == id) {
                Some(attempt) => attempt.seqs.push(seq),
                None => attempts.push(OpenAttempt { id, key, seqs: vec![seq] }),
            }
        }
        Ok(attempts)
    }

    /// The frozen keys of readings in doubt.
    ///
    /// # Errors
    /// Where the rows can't be read.
    pub fn frozen(&self, seqs: &[Seq]) -> Result<Vec<Frozen>, QueueError> {
        let mut found = Vec::with_capacity(seqs.len());
        let mut statement = self
            .db
            .prepare_cached(
                "SELECT d.seq, m.serial, d.utc_s, r.unwrapped, d.server_id, d.offset_min
                 FROM delivery d JOIN reading r ON r.seq = d.seq JOIN meter m ON m.id = d.meter
                 WHERE d.seq = ?1 AND r.state IN (0, 1)",
            )
            .doing(DOING)?;
        for seq in seqs {
            let rows = statement.query_map([seq], read_frozen).doing(DOING)?;
            for row in rows {
                found.push(row.doing(DOING)?);
            }
        }
        Ok(found)
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
        let mut newest: Vec<(i64, Frozen)> = Vec::new();
        for span in spans {
            newest.extend(self.newest_of(span, how_many)?);
            newest.sort_by_key(|(attempt, frozen)| Reverse((*attempt, frozen.seq)));
            newest.truncate(how_many);
        }
        Ok(newest.into_iter().map(|(_, frozen)| frozen).collect())
    }

    pub(super) fn newest_of(
        &self,
        span: SpanId,
        how_many: usize,
    ) -> Result<Vec<(i64, Frozen)>, QueueError> {
        self.db
            .prepare_cached(
                "SELECT d.seq, m.serial, d.utc_s, r.unwrapped, d.server_id, d.offset_min, d.attempt
                 FROM delivery d CROSS JOIN reading r ON r.seq = d.seq JOIN meter m ON m.id = d.meter
                 WHERE d.span = ?1 AND r.state = 2
                 ORDER BY d.attempt DESC, d.seq DESC LIMIT ?2",
            )
            .and_then(|mut s| {
                s.query_map(params![span, how_many as i64], |r| Ok((r.get(6)?, read_frozen(r)?)))?
                    .collect()
            })
            .doing(DOING)
    }
}

/// Of a row that begins with the six columns of its key.
pub(super) fn read_frozen(r: &rusqlite::Row<'_>) -> rusqlite::Result<Frozen> {
    Ok(Frozen {
        seq: r.get(0)?,
        serial: r.get(1)?,
        utc_s: r.get(2)?,
        raw: r.get(3)?,
        server_id: r.get(4)?,
        offset_min: r.get(5)?,
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
mod tests {
    use super::super::append::tests::{reading, segment, store, to_job};
    use super::super::{BatchLimits, Selector, WireSettings};
    use super::*;
    use crate::clock::{Anchor, AnchorSource, BootInstant, UtcMs};
    use crate::config::StandIn;
    use crate::delivery::Pick;
    use crate::reading::{Reading, SegmentReason};

    /// Three readings that the server refused, each alone.
    fn refused() -> Store {
        let mut store = store();
        let (utc, source) = (UtcMs(1_809_253_002_000), AnchorSource::Gps);
        store.add_anchor(Anchor { at: BootInstant(0), utc, err_ms: 0, source }).unwrap();
        let opens = segment(0, 0, SegmentReason::First);
        store
            .append(&Reading { segment: opens, span: to_job("a", true), ..reading(1, 0, 0) })
            .unwrap();
        for n in 1..3 {
            store.append(&reading(1 + 5 * n, 100 * n as u64, 100)).unwrap();
        }
        let wire = WireSettings {
            device_name: "rig-7".to_owned(),
            zone: jiff::tz::TimeZone::UTC,
            stand_in: StandIn::default(),
        };
        let limits = BatchLimits { records: 10, bytes: 1 << 20 };
        let oldest = Pick::Oldest { skip: Vec::new(), but: Vec::new() };
        let batch = store.freeze(&oldest, limits, &wire, BootInstant(0)).unwrap().unwrap();
        let no = |seq: &Seq| (*seq, Outcome::Rejected("The job is closed".to_owned()));
        let results: Vec<_> = batch.seqs.iter().map(no).collect();
        store.settle(&results, &[(batch.attempt, "settled by asking")], None).unwrap();
        store
    }

    fn messages(store: &Store) -> Vec<Option<String>> {
        let mut statement =
            store.db.prepare("SELECT message FROM delivery WHERE seq = ?1").unwrap();
        (1..4).map(|seq| statement.query_row([seq], |r| r.get(0)).unwrap()).collect()
    }

    #[test]
    fn what_the_server_said_against_a_reading_goes_with_its_rejection() {
        let mut store = refused();
        let said = || Some("The job is closed".to_owned());
        assert_eq!(messages(&store), [said(), said(), said()]);
        // Held instead, and found at the server after all.
        let results = [(Seq(1), Outcome::Open), (Seq(2), Outcome::Sent(None))];
        store.settle(&results, &[], None).unwrap();
        assert_eq!(messages(&store), [None, None, said()]);
        // An operator has it tried again.
        let which = Selector { seq: Some((Seq(3), Seq(3))), ..Selector::default() };
        assert_eq!(store.retry(&which).unwrap(), 1);
        assert_eq!(messages(&store), [None, None, None]);
    }
}
