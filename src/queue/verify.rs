//! What verification reads and writes (RULES.md, 24): which job is to be looked at, its
//! records as the server should have them, and what came of it.
//!
//! A power cut before the commit leaves all as it was: the server is asked again, and gives
//! the same answer.

use jiff::Timestamp;
use jiff::tz::Offset;
use rusqlite::{Connection, OptionalExtension, params};
use serde::Serialize;

use super::settle::read_frozen;
use super::{Doing, QueueError, Store};
use crate::clock::UtcMs;
use crate::delivery::{JobKey, Placed};
use crate::failpoint;
use crate::reading::{Seq, SpanId, State};

/// A closed span, as its owner reads it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Closed {
    /// `EventId`.
    pub event: String,
    /// `JobId`.
    pub job: String,
    /// Gallons acknowledged.
    pub gallons: f64,
    /// Records acknowledged.
    pub records: i64,
    /// Readings of it that are still on their way, or held.
    pub waiting: i64,
    /// When JobCloser's list was looked through, in the rig's own time; `None` where it wasn't
    /// since the last record went there.
    pub verified: Option<String>,
    /// Whether all records are in it.
    pub all_there: bool,
    /// Records that it lacks and that aren't sent again by themselves.
    pub missing: i64,
    /// Records of the job that no reading accounts for, or that are there twice.
    pub extras: i64,
}

/// So many closed spans are shown, the newest.
const SHOWN: i64 = 20;

/// The newest closed spans, oldest first. A database that this program has not written to
/// yet may have no verification in it.
pub(super) fn closed(db: &Connection) -> Result<Vec<Closed>, QueueError> {
    let there: bool = db
        .query_row("SELECT count(*) FROM sqlite_master WHERE name = 'verification'", [], |r| {
            r.get(0)
        })
        .doing(DOING)?;
    let verification = match there {
        true => "verification",
        false => "(SELECT NULL AS span, NULL AS utc_s, 0 AS readings, 0 AS missing, 0 AS extras)",
    };
    let sql = format!(
        "SELECT p.event, p.job,
            (SELECT coalesce(sum(share_ul), 0) FROM standing WHERE span = p.id AND state = 2),
            (SELECT coalesce(sum(readings), 0) FROM standing WHERE span = p.id AND state = 2) AS sent,
            (SELECT coalesce(sum(readings), 0) FROM standing WHERE span = p.id AND state IN (0, 1, 6)),
            v.utc_s, coalesce(v.readings, 0), coalesce(v.missing, 0), coalesce(v.extras, 0),
            (SELECT offset_min FROM delivery d WHERE d.span = p.id ORDER BY d.attempt DESC LIMIT 1),
            v.span IS NOT NULL
         FROM span p LEFT JOIN {verification} v ON v.span = p.id
         WHERE p.closed = 1 AND EXISTS (SELECT 1 FROM standing s WHERE s.span = p.id)
         ORDER BY p.id DESC LIMIT {SHOWN}"
    );
    let read = |r: &rusqlite::Row<'_>| {
        let (records, seen, missing): (i64, i64, i64) = (r.get(3)?, r.get(6)?, r.get(7)?);
        let offset = Offset::from_seconds(r.get::<_, Option<i32>>(9)?.unwrap_or(0) * 60);
        let at = r.get::<_, Option<i64>>(5)?.and_then(|s| Timestamp::from_second(s).ok());
        // What was made ready again has gone there since, or not yet.
        let current = r.get(10)? && records <= seen + missing;
        let when = at
            .zip(offset.ok())
            .map(|(at, offset)| offset.to_datetime(at).strftime("%Y-%m-%d %H:%M").to_string());
        let missing = if current { (records - seen).max(0) } else { 0 };
        Ok(Closed {
            event: r.get(0)?,
            job: r.get(1)?,
            gallons: r.get::<_, crate::units::Microlitres>(2)?.gallons(),
            records,
            waiting: r.get(4)?,
            verified: current.then(|| when.unwrap_or_else(|| "without a clock".to_owned())),
            all_there: current && missing == 0 && records == seen,
            missing,
            extras: r.get(8)?,
        })
    };
    let mut spans: Vec<Closed> =
        db.prepare(&sql).and_then(|mut s| s.query_map([], read)?.collect()).doing(DOING)?;
    spans.reverse();
    Ok(spans)
}

const DOING: &str = "verify a job";

/// A closed span with records at JobCloser, none of which is on its way, and which wasn't
/// looked at since the last of them went there or was found to lack some. Of `span`,
/// `verification` and `standing` alone, between two spans. While readings come from a damaged
/// database, those that have not yet would be nobody's.
const DUE: &str = "
    SELECT p.event, p.job FROM span p LEFT JOIN verification v ON v.span = p.id
    WHERE p.closed = 1 AND p.id > ?1 AND p.id <= ?2
        AND NOT EXISTS (SELECT 1 FROM carried WHERE done = 0)
        AND (SELECT sum(readings) FROM standing s WHERE s.span = p.id AND s.state = 2)
            > CASE WHEN v.missing = 0 THEN v.readings ELSE 0 END
        AND NOT EXISTS (SELECT 1 FROM standing s WHERE s.span = p.id AND (s.state = 1
            OR s.state = 0 AND s.placed = 1 AND s.named = 1
                AND s.boot IN (SELECT boot FROM anchor)))
    ORDER BY p.id";

/// So many spans are looked at in a turn, twice: the newest, of which one may just have
/// closed, and those that come next after the last turn's. A season has thousands, and an
/// append waits for the turn to end.
const TURN: i64 = 200;

impl Store {
    /// A job that is to be verified, but for these. The newest is found at once, an old one
    /// that is due again in one of the turns that it takes to go through all.
    ///
    /// # Errors
    /// Where the rows can't be read.
    pub fn unverified(&mut self, but: &[JobKey]) -> Result<Option<JobKey>, QueueError> {
        let newest: i64 = self
            .db
            .query_row("SELECT coalesce(max(id), 0) FROM span", [], |r| r.get(0))
            .doing(DOING)?;
        let after = if self.looked_to < newest { self.looked_to } else { 0 };
        let found = self.due(newest - TURN, newest, but)?;
        if found.is_some() {
            return Ok(found);
        }
        let found = self.due(after, after + TURN, but)?;
        if found.is_none() {
            self.looked_to = after + TURN;
        }
        Ok(found)
    }

    /// The first job that is due among the spans after one, up to another.
    fn due(&self, after: i64, to: i64, but: &[JobKey]) -> Result<Option<JobKey>, QueueError> {
        let mut statement = self.db.prepare_cached(DUE).doing(DOING)?;
        let rows = statement
            .query_map([after, to], |r| Ok(JobKey { event: r.get(0)?, job: r.get(1)? }))
            .doing(DOING)?;
        for row in rows {
            let key = row.doing(DOING)?;
            if !but.contains(&key) {
                return Ok(Some(key));
            }
        }
        Ok(None)
    }

    /// The spans of a job, oldest first.
    ///
    /// # Errors
    /// Where the rows can't be read.
    pub fn spans_of(&self, key: &JobKey) -> Result<Vec<SpanId>, QueueError> {
        self.db
            .prepare_cached("SELECT id FROM span WHERE event = ?1 AND job = ?2 ORDER BY id")
            .and_then(|mut s| s.query_map([&key.event, &key.job], |r| r.get(0))?.collect())
            .doing(DOING)
    }

    /// Frozen readings of a span in the order of sending, so many after (attempt, number):
    /// a page of what may take long to read. Those that were never sent for certain, or are
    /// to be sent again, come too: they may be there. One that can't be decoded is passed over:
    /// the rest of the job, and other jobs, are verified all the same.
    ///
    /// # Errors
    /// Where the rows can't be read.
    pub fn placed(
        &self,
        span: SpanId,
        after: (i64, Seq),
        how_many: usize,
    ) -> Result<Vec<Placed>, QueueError> {
        self.db
            .prepare_cached(
                "SELECT d.seq, m.serial, d.utc_s, r.unwrapped, d.server_id, d.offset_min, d.attempt,
                    r.state = 2
                 FROM delivery d CROSS JOIN reading r ON r.seq = d.seq JOIN meter m ON m.id = d.meter
                 WHERE d.span = ?1 AND (d.attempt, d.seq) > (?2, ?3)
                 ORDER BY d.attempt, d.seq LIMIT ?4",
            )
            .and_then(|mut s| {
                let how_many = i64::try_from(how_many).unwrap_or(i64::MAX);
                let rows = s.query_map(params![span, after.0, after.1, how_many], |r| {
                    let placed = |frozen| -> rusqlite::Result<_> {
                        Ok(Placed { frozen, sent: r.get(7)? })
                    };
                    Ok(read_frozen(r).and_then(placed).ok())
                })?;
                rows.filter_map(Result::transpose).collect()
            })
            .doing(DOING)
    }

    /// Writes down what a verification found of a job: `lost` are ready again, with the bytes
    /// they had; `missing` aren't there either, and stay as they are. One transaction: that a
    /// reading is to be sent again and that it was missing are known together.
    ///
    /// # Errors
    /// Where it can't be written; nothing has changed then.
    pub fn verified(
        &mut self,
        key: &JobKey,
        lost: &[Seq],
        missing: &[Seq],
        extras: u64,
        now: Option<UtcMs>,
    ) -> Result<(), QueueError> {
        let spans = self.spans_of(key)?;
        let tx = Self::begin(&mut self.db, DOING)?;
        let mut found: Vec<(SpanId, i64, i64)> = Vec::new();
        for (seqs, reopened) in [(lost, true), (missing, false)] {
            for seq in seqs {
                let row: Option<(SpanId, i64)> = tx
                    .prepare_cached(
                        "SELECT span, share_ul FROM reading WHERE seq = ?1 AND state = 2",
                    )
                    .and_then(|mut s| s.query_row([seq], |r| Ok((r.get(0)?, r.get(1)?))).optional())
                    .doing(DOING)?;
                let Some((span, share)) = row else { continue };
                found.push((span, share, i64::from(!reopened)));
                if reopened {
                    // That it was rejected once, and found all the same, holds no longer: in
                    // doubt again it would stay so, as what an operator has rejected since.
                    tx.prepare_cached("DELETE FROM ruling WHERE seq = ?1")
                        .and_then(|mut s| s.execute([seq]))
                        .doing(DOING)?;
                    tx.prepare_cached("UPDATE reading SET state = ?2 WHERE seq = ?1")
                        .and_then(|mut s| s.execute(params![seq, State::Open]))
                        .doing(DOING)?;
                }
            }
        }
        for span in spans {
            let of = || found.iter().filter(|(of, ..)| *of == span);
            let missing = of().count() as i64;
            let (still, still_ul) =
                of().fold((0, 0), |(n, ul), (_, share, still)| (n + still, ul + share * still));
            tx.prepare_cached(
                "INSERT OR REPLACE INTO verification
                 SELECT p.id, ?2, coalesce(sum(s.readings), 0) - ?3, coalesce(sum(s.share_ul), 0) - ?4, ?5, ?6
                 FROM span p LEFT JOIN standing s ON s.span = p.id AND s.state = 2
                 WHERE p.id = ?1 AND p.closed = 1 GROUP BY p.id",
            )
            .and_then(|mut s| {
                let utc_s = now.map(|now| now.0.div_euclid(1000));
                s.execute(params![span, utc_s, still, still_ul, missing, extras as i64])
            })
            .doing(DOING)?;
        }
        failpoint::pass("verify_before_commit");
        tx.commit().doing(DOING)?;
        failpoint::pass("verify_after_commit");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::append::tests::{reading, segment, to_job};
    use super::super::{BatchLimits, FILE, WireSettings};
    use super::*;
    use crate::clock::{Anchor, AnchorSource, BootId, BootInstant};
    use crate::config::StandIn;
    use crate::delivery::{Outcome, Pick};
    use crate::reading::{Reading, SegmentReason};

    fn key(job: &str) -> JobKey {
        JobKey { event: "ev".to_owned(), job: job.to_owned() }
    }

    /// Three readings of job a, recorded, anchored and sent; then the job is another's.
    fn sprayed(dir: &std::path::Path) -> (Store, JobKey) {
        let mut store = Store::open(&dir.join(FILE), &BootId("boot-1".to_owned())).unwrap();
        let (utc, source) = (UtcMs(1_809_253_002_000), AnchorSource::Gps);
        store.add_anchor(Anchor { at: BootInstant(0), utc, err_ms: 0, source }).unwrap();
        let opens = segment(0, 0, SegmentReason::First);
        store
            .append(&Reading { segment: opens, span: to_job("a", true), ..reading(1, 0, 0) })
            .unwrap();
        for n in 1..3 {
            store.append(&reading(1 + 5 * n, 100 * n as u64, 100)).unwrap();
        }
        send(&mut store);
        let key = store
            .db
            .query_row("SELECT event, job FROM span", [], |r| {
                Ok(JobKey { event: r.get(0)?, job: r.get(1)? })
            })
            .unwrap();
        (store, key)
    }

    fn send(store: &mut Store) -> Vec<Seq> {
        let wire = WireSettings {
            device_name: "rig-7".to_owned(),
            zone: jiff::tz::TimeZone::UTC,
            stand_in: StandIn::default(),
        };
        let limits = BatchLimits { records: 10, bytes: 1 << 20 };
        let oldest = Pick::Oldest { skip: Vec::new(), but: Vec::new() };
        let batch = store.freeze(&oldest, limits, &wire, BootInstant(0)).unwrap().unwrap();
        let sent: Vec<_> = batch.seqs.iter().map(|seq| (*seq, Outcome::Sent(None))).collect();
        store.settle(&sent, &[(batch.attempt, "accepted")], None).unwrap();
        batch.seqs
    }

    fn row(store: &Store) -> (i64, i64, i64) {
        store
            .db
            .query_row("SELECT readings, missing, extras FROM verification", [], |r| {
                Ok((r.get(0)?, r.get(1)?, r.get(2)?))
            })
            .unwrap()
    }

    #[test]
    fn a_span_is_looked_at_once_it_has_closed_and_once_more_after_something_was_mended() {
        let dir = tempfile::tempdir().unwrap();
        let (mut store, key) = sprayed(dir.path());
        assert_eq!(store.unverified(&[]).unwrap(), None, "it is being sprayed");
        store.db.execute("UPDATE span SET closed = 1", []).unwrap();
        assert_eq!(store.unverified(&[]).unwrap(), Some(key.clone()));
        assert_eq!(store.unverified(std::slice::from_ref(&key)).unwrap(), None);
        let now = Some(UtcMs(1_809_260_000_000));
        store.verified(&key, &[Seq(2)], &[], 0, now).unwrap();
        assert_eq!(row(&store), (2, 1, 0));
        assert_eq!(store.unverified(&[]).unwrap(), None, "one is to be sent again");
        assert_eq!(send(&mut store), [Seq(2)], "and no other");
        assert_eq!(store.unverified(&[]).unwrap(), Some(key.clone()));
        store.verified(&key, &[], &[], 4, now).unwrap();
        assert_eq!(row(&store), (3, 0, 4));
        assert_eq!(store.unverified(&[]).unwrap(), None, "all there");
    }

    #[test]
    fn a_record_that_cannot_be_decoded_keeps_its_job_from_no_verification() {
        for damage in ["utc_s = 'x'", "meter = 'x'", "server_id = x'ff'", "offset_min = 'x'"] {
            let dir = tempfile::tempdir().unwrap();
            let (store, key) = sprayed(dir.path());
            let damage = format!("UPDATE delivery SET {damage} WHERE seq = 2");
            store.db.execute_batch(&damage).unwrap();
            let [span] = store.spans_of(&key).unwrap()[..] else { panic!("one span") };
            let placed = store.placed(span, (i64::MIN, Seq(i64::MIN)), 9);
            let placed = placed.unwrap_or_else(|err| panic!("{damage}: {err:?}"));
            let seqs: Vec<i64> = placed.iter().map(|placed| placed.frozen.seq.0).collect();
            assert_eq!(seqs, [1, 3], "{damage}");
        }
    }

    #[test]
    fn a_seasons_spans_cost_a_turn_no_more_than_a_days_and_each_of_them_has_its_turn() {
        let turn = |spans: i64, due: i64| {
            let dir = tempfile::tempdir().unwrap();
            let mut store =
                Store::open(&dir.path().join(FILE), &BootId("boot-1".to_owned())).unwrap();
            store
                .db
                .execute_batch(&format!(
                    "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {spans})
                     INSERT INTO span (id, event, job, tare_unwrapped, opened_seq, origin, closed)
                     SELECT n, 'ev', 'job-' || n, 0, 0, 'pick', 1 FROM n;
                     INSERT INTO standing SELECT id, 2, 0, 0, 0, 5, 100 FROM span;
                     INSERT INTO verification SELECT id, 0, 5, 100, 0, 0 FROM span WHERE id <> {due};"
                ))
                .unwrap();
            let turns = (1..)
                .take_while(|_| store.unverified(&[]).unwrap() != Some(key(&format!("job-{due}"))))
                .count();
            store.verified(&key(&format!("job-{due}")), &[], &[], 0, None).unwrap();
            let steps = |store: &mut Store| {
                let status = rusqlite::StatementStatus::VmStep;
                store.db.prepare_cached(DUE).unwrap().reset_status(status);
                assert_eq!(store.unverified(&[]).unwrap(), None);
                store.db.prepare_cached(DUE).unwrap().get_status(status)
            };
            (turns, steps(&mut store))
        };
        let (_, few) = turn(2 * TURN, 1);
        let (turns, many) = turn(10_000, 3 * TURN + 7);
        assert!(few > 0 && many <= few + few / 10, "{few} steps, then {many}");
        assert_eq!(turns, 3, "in its turn");
        assert_eq!(turn(10_000, 9_999).0, 0, "one that has just closed is found at once");
    }

    #[test]
    fn a_closed_job_is_shown_with_what_is_known_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let (mut store, key) = sprayed(dir.path());
        assert_eq!(closed(&store.db).unwrap(), [], "it is being sprayed");
        store.db.execute("UPDATE span SET closed = 1", []).unwrap();
        let shown = |store: &Store| closed(&store.db).unwrap().remove(0);
        assert_eq!((shown(&store).records, shown(&store).verified), (3, None));
        let now = Some(UtcMs(1_809_260_000_000));
        store.verified(&key, &[Seq(2)], &[Seq(3)], 0, now).unwrap();
        let mending = shown(&store);
        assert_eq!((mending.records, mending.waiting, mending.missing), (2, 1, 1));
        assert!(!mending.all_there);
        send(&mut store);
        store.verified(&key, &[], &[], 0, now).unwrap();
        let all = shown(&store);
        assert_eq!((all.all_there, all.records, all.missing), (true, 3, 0));
        assert_eq!(all.verified.as_deref(), Some("2027-05-02 12:13"), "the zone it was sent in");
        // A database of the first schema has no such table.
        store.db.execute("DROP TABLE verification", []).unwrap();
        assert_eq!(shown(&store).verified, None);
    }

    #[test]
    fn what_is_sent_again_has_the_bytes_it_had() {
        let dir = tempfile::tempdir().unwrap();
        let (mut store, key) = sprayed(dir.path());
        let wire = |store: &Store| -> Vec<u8> {
            store.db.query_row("SELECT wire FROM delivery WHERE seq = 2", [], |r| r.get(0)).unwrap()
        };
        let before = wire(&store);
        store.verified(&key, &[Seq(2)], &[Seq(3)], 0, None).unwrap();
        assert_eq!(send(&mut store), [Seq(2)], "what is only missing is not sent again");
        assert_eq!(wire(&store), before);
    }

    #[test]
    fn what_was_sent_is_read_in_pages_in_the_order_of_sending() {
        let dir = tempfile::tempdir().unwrap();
        let (mut store, key) = sprayed(dir.path());
        store.verified(&key, &[Seq(1)], &[], 0, None).unwrap();
        send(&mut store);
        let span = store.spans_of(&key).unwrap().remove(0);
        let (mut after, mut order) = ((i64::MIN, Seq(i64::MIN)), Vec::new());
        while let Some(one) = store.placed(span, after, 1).unwrap().pop() {
            after = (one.frozen.attempt, one.frozen.seq);
            order.push(one.frozen.seq);
            assert!(one.sent);
        }
        assert_eq!(order, [Seq(2), Seq(3), Seq(1)]);
        assert_eq!(store.spans_of(&super::tests::key("none")).unwrap(), []);
    }
}
