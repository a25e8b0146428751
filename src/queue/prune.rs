//! Pruning (RULES.md, 5): what was delivered and is older than the retention time goes, a
//! few rows at a time and oldest first; its share stays in `tally`, so that both sums of
//! the balance hold. Knows no configuration and no hour of the day.
//!
//! Never the last reading, which is where the counters go on; nothing of an open span or
//! at which one opened; nothing right before a reading without a job, whose volume counts
//! from there; nothing that isn't settled for good; and of a job that still has something to
//! send, nothing that proves a list of the server whole (RULES.md, 23).

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::time::Duration;

use rusqlite::{Connection, params};

use super::{Doing, QueueError, Store, meta};
use crate::clock::resolve::best_source;
use crate::clock::{AnchorSource, BootInstant};
use crate::reading::{Seq, SpanId, State};
use crate::units::Microlitres;

const DOING: &str = "prune what was delivered long ago";

/// Rows in one transaction, so that recording and delivery get their turn in between.
const TOGETHER: i64 = 100;
/// Rows in one day of anchored time, across restarts. More than a long day records (ten hours
/// of a reading in 2 s), so that pruning keeps up; and all that a clock which jumps years
/// ahead can take in a day. What it takes was delivered.
const A_DAY: i64 = 20_000;
/// Readings sent last that prove a list whole, as many as delivery asks for.
const PROOF: usize = 20;
const DAY_S: i64 = 86_400;

/// How far a pass has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pruned {
    /// Rows that went.
    pub rows: i64,
    /// Where the pass goes on; `None` at its end, or where the day has had its share.
    pub next: Option<Seq>,
}

impl Pruned {
    const DONE: Self = Self { rows: 0, next: None };
}

/// A delivered row that is old enough.
struct Old {
    seq: Seq,
    span: SpanId,
    state: State,
    share: Microlitres,
    attempt: i64,
}

/// What of a span may go.
enum Spare {
    Nothing,
    Everything,
    AllBut(HashSet<Seq>),
}

impl Store {
    /// Prunes some of what was delivered before `retention`, beyond the number `after`,
    /// in one transaction. Does nothing in a boot whose time wasn't measured, nor while
    /// readings are to come from a damaged database: one of them may need what is here as a
    /// proof, and what went from here would come again from there.
    ///
    /// # Errors
    /// Where it can't be written; nothing has changed then.
    pub fn prune(
        &mut self,
        after: Seq,
        now: BootInstant,
        retention: Duration,
    ) -> Result<Pruned, QueueError> {
        // What a slip of a hand made three years old must not go.
        let measured = best_source(self.anchors()).is_some_and(|s| s != AnchorSource::Operator);
        let time = self.time_of(self.boot, now).filter(|_| measured);
        let Some(utc) = time else { return Ok(Pruned::DONE) };
        if self.to_carry()?.is_some() {
            return Ok(Pruned::DONE);
        }
        let today = utc.0.div_euclid(1000 * DAY_S);
        let had = self.pruned_on(today)?;
        let many = TOGETHER.min(A_DAY - had);
        if many <= 0 {
            return Ok(Pruned::DONE);
        }
        let kept_s = i64::try_from(retention.as_secs()).unwrap_or(i64::MAX);
        let before_s = utc.0.div_euclid(1000).saturating_sub(kept_s);
        let (seen, old) = self.old(after, before_s, many)?;
        let Some(last_seen) = seen else { return Ok(Pruned::DONE) };
        let old = self.spared(old)?;
        if !old.is_empty() {
            self.drop_rows(&old, today, had)?;
        }
        Ok(Pruned { rows: old.len() as i64, next: Some(last_seen) })
    }

    /// The next rows that are old, up to the first that isn't: how far that is, and those
    /// of them that are settled for good.
    fn old(
        &self,
        after: Seq,
        before_s: i64,
        many: i64,
    ) -> Result<(Option<Seq>, Vec<Old>), QueueError> {
        let mut statement = self
            .db
            .prepare_cached(
                "SELECT d.seq, d.span, r.state, r.share_ul, d.attempt, d.utc_s
                 FROM delivery d CROSS JOIN reading r ON r.seq = d.seq
                 WHERE d.seq > ?1 AND d.seq < ?2 ORDER BY d.seq LIMIT ?3",
            )
            .doing(DOING)?;
        let rows = statement
            .query_map(params![after, self.last_seq, many], |r| {
                let old = Old {
                    seq: r.get(0)?,
                    span: r.get(1)?,
                    state: r.get(2)?,
                    share: r.get(3)?,
                    attempt: r.get(4)?,
                };
                Ok((old, r.get::<_, i64>(5)?))
            })
            .doing(DOING)?;
        let (mut seen, mut found) = (None, Vec::new());
        for row in rows {
            let (old, utc_s) = row.doing(DOING)?;
            if utc_s >= before_s {
                break;
            }
            seen = Some(old.seq);
            if matches!(old.state, State::Sent | State::Deleted) {
                found.push(old);
            }
        }
        Ok((seen, found))
    }

    /// Those of them that nothing needs any more.
    fn spared(&self, old: Vec<Old>) -> Result<Vec<Old>, QueueError> {
        let mut spans: HashMap<SpanId, Spare> = HashMap::new();
        let mut going = Vec::with_capacity(old.len());
        for row in old {
            let spare = match spans.entry(row.span) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => new.insert(self.spare_of(row.span)?),
            };
            let goes = match spare {
                Spare::Nothing => false,
                Spare::Everything => true,
                Spare::AllBut(proof) => !proof.contains(&row.seq),
            };
            if goes && !is_a_beginning(&self.db, row.seq)? {
                going.push(row);
            }
        }
        Ok(going)
    }

    fn spare_of(&self, span: SpanId) -> Result<Spare, QueueError> {
        // `closed`, whether anything of its job is unsettled, whether its job is open.
        let (closed, unsettled): (bool, bool) = self
            .db
            .prepare_cached(
                "SELECT p.closed, EXISTS (SELECT 1 FROM span o WHERE o.event = p.event
                     AND o.job = p.job AND (o.closed = 0 OR EXISTS (SELECT 1 FROM standing s
                         WHERE s.span = o.id AND s.state NOT IN (2, 4, 5))))
                 FROM span p WHERE p.id = ?1",
            )
            .and_then(|mut s| s.query_row([span], |r| Ok((r.get(0)?, r.get(1)?))))
            .doing(DOING)?;
        Ok(match (closed, unsettled) {
            (false, _) => Spare::Nothing,
            (true, false) => Spare::Everything,
            (true, true) => {
                let proof = self.newest_of(span, PROOF)?;
                Spare::AllBut(proof.into_iter().map(|frozen| frozen.seq).collect())
            }
        })
    }

    /// One transaction: a power cut leaves the rows and no share of theirs in the tally, or
    /// the other way round; the balance holds in both.
    fn drop_rows(&mut self, old: &[Old], today: i64, had: i64) -> Result<(), QueueError> {
        let tx = Self::begin(&mut self.db, DOING)?;
        let (mut highest, mut attempt) = (Seq(0), 0);
        for row in old {
            tx.prepare_cached(
                "INSERT INTO tally VALUES (?1, ?2, 1, ?3) ON CONFLICT DO UPDATE
                 SET readings = readings + 1, total_ul = total_ul + excluded.total_ul",
            )
            .and_then(|mut s| s.execute(params![row.span, row.state, row.share]))
            .doing(DOING)?;
            for sql in ["DELETE FROM delivery WHERE seq = ?1", "DELETE FROM reading WHERE seq = ?1"]
            {
                tx.prepare_cached(sql).and_then(|mut s| s.execute([row.seq])).doing(DOING)?;
            }
            highest = highest.max(row.seq);
            attempt = attempt.max(row.attempt);
        }
        // Attempts are numbered on from the last one, so that one stays.
        tx.execute(
            "DELETE FROM attempt WHERE id <= ?1 AND id < (SELECT max(id) FROM attempt)
                 AND NOT EXISTS (SELECT 1 FROM delivery d
                     WHERE d.span = attempt.span AND d.attempt = attempt.id)",
            [attempt],
        )
        .doing(DOING)?;
        let before = meta::get(&tx, meta::key::LAST_SEQ)?.and_then(|t| t.parse().ok()).unwrap_or(0);
        meta::set(&tx, meta::key::LAST_SEQ, &highest.0.max(before).to_string())?;
        let had = had + old.len() as i64;
        meta::set(&tx, meta::key::PRUNED, &format!("{today} {had}"))?;
        tx.commit().doing(DOING)
    }

    /// Rows that went on this day.
    fn pruned_on(&self, day: i64) -> Result<i64, QueueError> {
        let kept = meta::get(&self.db, meta::key::PRUNED)?;
        let parsed = kept.as_deref().and_then(|text| {
            let (day, rows) = text.split_once(' ')?;
            Some((day.parse::<i64>().ok()?, rows.parse::<i64>().ok()?))
        });
        Ok(parsed.filter(|(of, _)| *of == day).map_or(0, |(_, rows)| rows))
    }
}

/// Whether something counts from this reading: an open span that began at it, which may
/// belong to the one before, or the next reading, once it is given a job.
fn is_a_beginning(db: &Connection, seq: Seq) -> Result<bool, QueueError> {
    db.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM span WHERE closed = 0 AND opened_seq = ?1)
             OR EXISTS (SELECT 1 FROM reading WHERE seq = ?1 + 1 AND span IS NULL)",
    )
    .and_then(|mut s| s.query_row([seq], |r| r.get(0)))
    .doing(DOING)
}

#[cfg(test)]
mod tests;
