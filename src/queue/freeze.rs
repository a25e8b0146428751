//! Taking a batch and freezing it: the transaction that records the attempt also fixes
//! each reading's second, offset, ids and exact bytes (RULES.md, 21).
//!
//! A power cut before the commit leaves the readings ready and nothing sent. One after it
//! leaves them in doubt, whether or not a byte has left: they are asked about, and a
//! retry sends the same bytes.

mod record;
mod second;
mod walk;

use std::cell::Cell;
use std::collections::{BTreeSet, HashMap};

use rusqlite::{Connection, OptionalExtension, params};

use super::batch::{Batch, BatchLimits, WireSettings};
use super::rows::next_id;
use super::{Doing, QueueError, Store, unreadable};
use crate::clock::resolve::{best_source, resolve};
use crate::clock::{Anchor, AnchorSource, BootInstant};
use crate::delivery::{JobKey, Pick};
use crate::failpoint;
use crate::reading::{Seq, SpanId, State};
use record::{Frozen, Row};

const DOING: &str = "freeze a batch";

/// Readings carried over from a damaged queue that one list is asked about. They take no
/// part of a request, so that a batch of them is larger; one transaction writes their bytes,
/// and recording waits for it.
const ASKED_TOGETHER: BatchLimits = BatchLimits { records: 2000, bytes: u64::MAX };
/// With so many of a job in doubt no more of them are frozen: what is asked about lies in
/// memory.
const ASKED_AT_MOST: i64 = 4000;

/// Readings looked at in a turn, however few are wanted: a run of time conflicts is marked
/// in few turns.
const LOOK_AT_LEAST: usize = 100;

impl Store {
    /// Freezes the next batch; `None` where nothing of what was asked for is ready.
    /// Readings whose second is taken are put on hold as time conflicts on the way, and
    /// those that can't be decoded as unreadable.
    ///
    /// # Errors
    /// Where it can't be written; nothing has changed then.
    pub fn freeze(
        &mut self,
        pick: &Pick,
        limits: BatchLimits,
        wire: &WireSettings,
        now: BootInstant,
    ) -> Result<Option<Batch>, QueueError> {
        let boot = self.boot;
        let tx = Self::begin(&mut self.db, DOING)?;
        let attempt = next_id(&tx, "attempt")?;
        let (anchors, tag, passed) = (&self.anchors, &self.tag, Cell::new(0));
        let freezer = Freezer { db: &tx, anchors, tag, wire, attempt, passed };
        let Some(taken) = freezer.next(pick, limits)? else {
            // What was put on hold on the way is kept.
            tx.commit().doing(DOING)?;
            return Ok(None);
        };
        tx.execute(
            "INSERT INTO attempt (id, span, boot, started) VALUES (?1, ?2, ?3, ?4)",
            params![attempt, taken.span, boot, now],
        )
        .doing(DOING)?;
        failpoint::pass("freeze_before_commit");
        tx.commit().doing(DOING)?;
        failpoint::pass("freeze_after_commit");
        let (seqs, records) = taken.records.into_iter().map(|r| (r.seq, r.wire)).unzip();
        Ok(Some(Batch { attempt, key: taken.key, seqs, records, asks: taken.asks }))
    }
}

/// What is wrong with a reading that was set aside as unreadable, or `None` for one that
/// wasn't.
pub(super) fn problem(db: &Connection, seq: Seq) -> Result<Option<String>, QueueError> {
    let row = Row::of(db, seq, State::Unreadable)?;
    if let Some(Err(why)) = row {
        return Ok(Some(why));
    }
    // What is wrong with one that was frozen was kept.
    let kept = db
        .query_row(
            "SELECT u.reason FROM ruling u JOIN reading r ON r.seq = u.seq
             WHERE u.seq = ?1 AND r.state = ?2",
            params![seq, State::Unreadable],
            |r| r.get(0),
        )
        .optional()
        .doing(DOING)?;
    Ok(kept.or_else(|| row.map(|_| "no calendar has its second".to_owned())))
}

/// What has been taken for a batch so far.
struct Taken {
    span: SpanId,
    key: JobKey,
    records: Vec<Frozen>,
    /// Readings that are asked about before they are sent, and no others.
    asks: bool,
}

struct Freezer<'a> {
    db: &'a Connection,
    anchors: &'a HashMap<i64, Vec<Anchor>>,
    tag: &'a str,
    wire: &'a WireSettings,
    attempt: i64,
    /// Readings put on hold so far, as time conflicts or since they can't be decoded.
    passed: Cell<usize>,
}

impl Freezer<'_> {
    fn next(&self, pick: &Pick, limits: BatchLimits) -> Result<Option<Taken>, QueueError> {
        let mut refused = self.refused_spans()?;
        match pick {
            Pick::These(seqs) => {
                let mut taken = None;
                self.take(seqs.iter().copied(), limits, true, &refused, &mut taken)?;
                Ok(taken)
            }
            Pick::Oldest { skip, but } => {
                for job in but {
                    refused.extend(self.spans_of(job)?);
                }
                let skip: BTreeSet<Seq> = skip.iter().copied().collect();
                // Each turn takes something, puts something on hold or passes a span for good, so
                // the loop ends.
                while let Some(span) = self.oldest_span(&skip, &refused)? {
                    let before = self.passed.get();
                    let taken = self.take_of(span, &skip, limits, &refused)?;
                    if taken.is_some() {
                        return Ok(taken);
                    }
                    // Behind what was only marked there may be more that is ready.
                    if self.passed.get() == before {
                        refused.insert(span);
                    }
                }
                Ok(None)
            }
        }
    }

    /// The oldest readings of one span, boot by boot.
    fn take_of(
        &self,
        span: SpanId,
        skip: &BTreeSet<Seq>,
        limits: BatchLimits,
        refused: &BTreeSet<SpanId>,
    ) -> Result<Option<Taken>, QueueError> {
        let mut taken: Option<Taken> = None;
        let (mut asks, mut may_ask) = (false, true);
        for boot in self.boots_of(span)? {
            if taken.is_none() {
                asks = self.asks_first(span, boot, skip)?;
                may_ask = !asks || self.asked_of(span)? < ASKED_AT_MOST;
            }
            let records = if asks && may_ask { ASKED_TOGETHER.records } else { limits.records };
            let had = taken.as_ref().map_or(0, |t| t.records.len());
            let room = records.saturating_sub(had);
            let looked_at = room.max(LOOK_AT_LEAST).saturating_add(skip.len());
            let seqs = self.ready_in(span, boot, looked_at)?;
            let seqs = seqs.into_iter().filter(|s| !skip.contains(s));
            if self.take(seqs, limits, may_ask, refused, &mut taken)? {
                break;
            }
        }
        Ok(taken)
    }

    /// Adds readings to the batch until it is full; says whether it is. What is asked about
    /// before it is sent is in no batch with what isn't.
    fn take(
        &self,
        seqs: impl Iterator<Item = Seq>,
        limits: BatchLimits,
        may_ask: bool,
        refused: &BTreeSet<SpanId>,
        taken: &mut Option<Taken>,
    ) -> Result<bool, QueueError> {
        for seq in seqs {
            let Some(row) = Row::ready(self.db, seq)? else { continue };
            let row = match row {
                Ok(row) => row,
                Err(why) => {
                    unreadable::set_aside(self.db, seq, &why)?;
                    self.passed.set(self.passed.get() + 1);
                    continue;
                }
            };
            let asks = row.asks();
            let other = |t: &Taken| t.span != row.span || t.asks != asks;
            if refused.contains(&row.span) || taken.as_ref().is_some_and(other) || asks && !may_ask
            {
                continue;
            }
            let limits = if asks { ASKED_TOGETHER } else { limits };
            let Some(frozen) = self.freeze_row(&row)? else { continue };
            let held = taken.get_or_insert_with(|| Taken {
                span: row.span,
                key: row.key(),
                records: Vec::new(),
                asks,
            });
            let bytes: usize = held.records.iter().map(|r| r.wire.len() + 1).sum();
            let full =
                bytes + frozen.wire.len() + 2 > usize::try_from(limits.bytes).unwrap_or(usize::MAX);
            if full && !held.records.is_empty() {
                return Ok(true);
            }
            // At once, so that the next reading sees that its second is taken.
            self.keep(&frozen)?;
            held.records.push(frozen);
            if held.records.len() >= limits.records.max(1) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The record of a row: as it was frozen before, or frozen now; `None` where its boot
    /// has no anchor, or its second is taken (it is on hold then).
    fn freeze_row(&self, row: &Row) -> Result<Option<Frozen>, QueueError> {
        if let Some(frozen) = row.frozen_before() {
            return Ok(Some(frozen));
        }
        let Some(anchors) = self.anchors.get(&row.boot) else { return Ok(None) };
        let Some(utc) = resolve(anchors, row.at) else { return Ok(None) };
        let Some(second) = self.free_second(row, utc.floor_s())? else {
            self.db
                .prepare_cached("UPDATE reading SET state = ?2 WHERE seq = ?1")
                .and_then(|mut s| s.execute(params![row.seq, State::TimeConflict]))
                .doing(DOING)?;
            self.passed.set(self.passed.get() + 1);
            return Ok(None);
        };
        let by_hand = best_source(anchors) == Some(AnchorSource::Operator);
        let record = row.write(second, by_hand, self.tag, self.wire);
        if record.is_none() {
            unreadable::set_aside(self.db, row.seq, "no calendar has its second")?;
            self.passed.set(self.passed.get() + 1);
        }
        Ok(record)
    }

    /// The second that a reading gets: that of its resolved time, or the nearest one after its
    /// predecessor's and before that of a successor in its boot, moved by at most two; `None`
    /// where those are taken. It moves back only where it must: what is frozen late, for it got
    /// its job or place late, may have been left just too little room by then.
    fn free_second(&self, row: &Row, resolved: i64) -> Result<Option<i64>, QueueError> {
        let before = self.second_before(row, resolved)?;
        let after = self.second_after(row)?;
        let moved = [0, 1, 2, -1, -2].map(|moved| resolved.saturating_add(moved));
        let fits = |second: &i64| {
            before.is_none_or(|before| *second > before)
                && after.is_none_or(|after| *second < after)
        };
        for second in moved.into_iter().filter(fits) {
            let taken: bool = self
                .db
                .prepare_cached(
                    "SELECT EXISTS (SELECT 1 FROM delivery WHERE meter = ?1 AND utc_s = ?2)",
                )
                .and_then(|mut s| s.query_row(params![row.meter, second], |r| r.get(0)))
                .doing(DOING)?;
            if !taken {
                return Ok(Some(second));
            }
        }
        Ok(None)
    }

    /// The second of a reading's predecessor, where that could push it.
    ///
    /// The predecessor is the nearest frozen reading of its meter *before it in sequence*,
    /// not the last one frozen: what was held for want of a job is frozen after readings
    /// that were recorded later.
    fn second_before(&self, row: &Row, resolved: i64) -> Result<Option<i64>, QueueError> {
        // In order, nothing of this meter is frozen that late: one look into the index
        // tells, also for a new meter, or one that comes back after a year of another.
        let pushed: bool = self
            .db
            .prepare_cached(
                // A text that damage has left there is above every number.
                "SELECT EXISTS (SELECT 1 FROM delivery WHERE meter = +?1 AND utc_s BETWEEN +?2 AND +?3)",
            )
            .and_then(|mut s| s.query_row(params![row.meter, resolved, i64::MAX], |r| r.get(0)))
            .doing(DOING)?;
        if !pushed {
            return Ok(None);
        }
        let nearest: Option<Option<(i64, i64)>> = self
            .db
            .prepare_cached(
                "SELECT meter, utc_s FROM delivery WHERE seq < ?1 ORDER BY seq DESC LIMIT 1",
            )
            .and_then(|mut s| {
                s.query_row([row.seq], |r| Ok(r.get(0).ok().zip(r.get(1).ok()))).optional()
            })
            .doing(DOING)?;
        match nearest {
            None => Ok(None),
            Some(Some((meter, second))) if meter == row.meter => Ok(Some(second)),
            // Assigned late, and the first after a change of meters: once for such a run
            // the meter's own entries are walked, in the index alone. So they are where the
            // nearest can't be decoded.
            Some(_) => self
                .db
                .prepare_cached(
                    "SELECT utc_s, max(seq) FROM delivery INDEXED BY delivery_second
                     WHERE meter = ?1 AND seq < ?2 AND utc_s <= ?3",
                )
                .and_then(|mut s| s.query_row(params![row.meter, row.seq, i64::MAX], |r| r.get(0)))
                .doing(DOING),
        }
    }

    fn keep(&self, record: &Frozen) -> Result<(), QueueError> {
        self.db
            .prepare_cached(
                "INSERT INTO delivery (seq, attempt, span, meter, utc_s, offset_min, wire)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
                 ON CONFLICT (seq) DO UPDATE SET attempt = ?2, message = NULL",
            )
            .and_then(|mut s| {
                s.execute(params![
                    record.seq,
                    self.attempt,
                    record.span,
                    record.meter,
                    record.utc_s,
                    record.offset_min,
                    record.wire
                ])
            })
            .doing(DOING)?;
        self.db
            .prepare_cached("UPDATE reading SET state = ?2, flags = ?3 WHERE seq = ?1")
            .and_then(|mut s| s.execute(params![record.seq, State::InDoubt, record.flags]))
            .map(drop)
            .doing(DOING)
    }
}

#[cfg(test)]
mod tests;
