//! Finding what is ready: walks the partial index from span to span, and boot to boot in those
//! that may have the oldest, so that the cost is that of the spans with a backlog, not of the
//! backlog. The plus before a parameter keeps a statement prepared, as in [`super::record`].

use std::collections::BTreeSet;

use rusqlite::{OptionalExtension, params};

use super::super::{Doing, QueueError};
use super::{DOING, Freezer};
use crate::delivery::JobKey;
use crate::reading::{Flag, Seq, SpanId};

/// The spans with a backlog, and the number of the reading that each opened with, before which
/// it has none: those it got late are no older than the first of them. One step of the
/// recursion is one look into the index. A span that is no number is in no range: such a row
/// isn't found here, and hinders none.
const BACKLOGS: &str = "
    WITH RECURSIVE backlog (span) AS (
        VALUES (-9223372036854775808)
        UNION ALL
        SELECT (SELECT r.span FROM reading r INDEXED BY reading_ready
                WHERE r.state = 0 AND r.span IS NOT NULL AND r.lat_e7 IS NOT NULL AND r.meter <> 0
                    AND r.span BETWEEN b.span + 1 AND 9223372036854775807
                ORDER BY r.span LIMIT 1)
        FROM backlog b WHERE b.span IS NOT NULL
    )
    SELECT b.span, p.opened_seq FROM backlog b LEFT JOIN span p ON p.id = b.span
    WHERE b.span > -9223372036854775808 ORDER BY p.opened_seq";

impl Freezer<'_> {
    /// The span whose oldest ready reading is the oldest of all.
    pub(super) fn oldest_span(
        &self,
        skip: &BTreeSet<Seq>,
        refused: &BTreeSet<SpanId>,
    ) -> Result<Option<SpanId>, QueueError> {
        let mut statement = self.db.prepare_cached(BACKLOGS).doing(DOING)?;
        let mut spans = statement.query([]).doing(DOING)?;
        let mut oldest: Option<(Seq, SpanId)> = None;
        while let Some(row) = spans.next().doing(DOING)? {
            // One whose row is gone comes first, and rules nothing out.
            let opened: Option<Seq> = row.get(1).unwrap_or_default();
            if oldest.zip(opened).is_some_and(|((head, _), opened)| opened > head) {
                break;
            }
            let span = row.get(0).doing(DOING)?;
            if refused.contains(&span) {
                continue;
            }
            if let Some(head) = self.head_of(span, skip)?
                && oldest.is_none_or(|(seq, _)| head < seq)
            {
                oldest = Some((head, span));
            }
        }
        Ok(oldest.map(|(_, span)| span))
    }

    /// The first ready reading of a span, in its first boot that has one.
    fn head_of(&self, span: SpanId, skip: &BTreeSet<Seq>) -> Result<Option<Seq>, QueueError> {
        for boot in self.boots_of(span)? {
            let heads = self.ready_in(span, boot, skip.len() + 1)?;
            if let Some(head) = heads.into_iter().find(|seq| !skip.contains(seq)) {
                return Ok(Some(head));
            }
        }
        Ok(None)
    }

    /// The anchored boots in which a span has open readings, in order.
    pub(super) fn boots_of(&self, span: SpanId) -> Result<Vec<i64>, QueueError> {
        let mut boots = Vec::new();
        let mut after = i64::MIN;
        loop {
            let next: Option<i64> = self
                .db
                .prepare_cached(
                    "SELECT boot FROM reading INDEXED BY reading_ready
                     WHERE state = 0 AND span IS NOT NULL AND lat_e7 IS NOT NULL AND meter <> 0
                         AND span = +?1 AND boot BETWEEN ?2 + 1 AND 9223372036854775807
                     ORDER BY boot LIMIT 1",
                )
                .and_then(|mut s| s.query_row(params![span, after], |r| r.get(0)).optional())
                .doing(DOING)?;
            let Some(boot) = next else { return Ok(boots) };
            after = boot;
            if self.anchors.contains_key(&boot) {
                boots.push(boot);
            }
        }
    }

    /// The first ready readings of a span in a boot.
    pub(super) fn ready_in(
        &self,
        span: SpanId,
        boot: i64,
        limit: usize,
    ) -> Result<Vec<Seq>, QueueError> {
        self.db
            .prepare_cached(
                "SELECT seq FROM reading INDEXED BY reading_ready
                 WHERE state = 0 AND span IS NOT NULL AND lat_e7 IS NOT NULL AND meter <> 0
                         AND span = +?1 AND boot = +?2
                 ORDER BY seq LIMIT +?3",
            )
            .and_then(|mut s| {
                let rows = s.query_map(params![span, boot, limit as i64], |r| r.get(0))?;
                rows.collect()
            })
            .doing(DOING)
    }

    /// Whether the oldest ready reading of a span in a boot is asked about before it is sent.
    pub(super) fn asks_first(
        &self,
        span: SpanId,
        boot: i64,
        skip: &BTreeSet<Seq>,
    ) -> Result<bool, QueueError> {
        let heads = self.ready_in(span, boot, skip.len() + 1)?;
        let Some(head) = heads.into_iter().find(|s| !skip.contains(s)) else { return Ok(false) };
        self.db
            .prepare_cached("SELECT flags & ?2 <> 0 FROM reading WHERE seq = ?1")
            .and_then(|mut s| s.query_row(params![head, Flag::Carried as u32], |r| r.get(0)))
            .doing(DOING)
    }

    /// How many readings of the job of a span are being asked about before they are sent.
    pub(super) fn asked_of(&self, span: SpanId) -> Result<i64, QueueError> {
        self.db
            .prepare_cached(
                "SELECT count(*) FROM reading r INDEXED BY reading_doubt
                 JOIN span p ON p.id = r.span JOIN span q ON q.event = p.event AND q.job = p.job
                 WHERE r.state = 1 AND r.flags & ?2 AND q.id = ?1",
            )
            .and_then(|mut s| s.query_row(params![span, Flag::Carried as u32], |r| r.get(0)))
            .doing(DOING)
    }

    /// Open or closed, the spans of a job.
    pub(super) fn spans_of(&self, job: &JobKey) -> Result<Vec<SpanId>, QueueError> {
        self.db
            .prepare_cached("SELECT id FROM span WHERE event = ?1 AND job = ?2")
            .and_then(|mut s| s.query_map([&job.event, &job.job], |r| r.get(0))?.collect())
            .doing(DOING)
    }

    /// Spans of jobs that the server refuses; `''` refuses every span.
    pub(super) fn refused_spans(&self) -> Result<BTreeSet<SpanId>, QueueError> {
        self.db
            .prepare_cached(
                "SELECT p.id FROM span p JOIN refusal f
                 ON (f.event = p.event AND f.job = p.job) OR (f.event = '' AND f.job = '')",
            )
            .and_then(|mut s| s.query_map([], |r| r.get(0))?.collect())
            .doing(DOING)
    }
}
