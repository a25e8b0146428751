//! Giving held readings a job afterwards. Each unbroken run of readings becomes a closed
//! span of its own, so that every record's raw count, zero and total still agree. One
//! transaction: a power cut leaves all of it or none.

use rusqlite::{Connection, OptionalExtension, params};
use serde::{Deserialize, Serialize};

use super::append::insert_stretch;
use super::rows::{integer, next_id};
use super::{Doing, QueueError, Store};
use crate::clock::{BootInstant, UtcMs};
use crate::reading::{Assignment, Flag, Flags, Origin, SegmentId, Seq, SpanId};
use crate::units::Microlitres;

const DOING: &str = "assign readings";

/// Which readings an operator means; every part that is given must hold, and a part that
/// isn't known is refused: without it more would be meant.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Selector {
    /// Recorded at or after this time (needs an anchored boot).
    pub from: Option<UtcMs>,
    /// Recorded at or before this time.
    pub to: Option<UtcMs>,
    /// In this boot (its row id, as lists show it).
    pub boot: Option<i64>,
    /// First and last sequence number.
    pub seq: Option<(Seq, Seq)>,
}

/// What an assignment came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Assigned {
    /// Readings that have the job now.
    pub readings: u64,
    /// Their volume.
    pub gallons: f64,
}

/// A held reading without a job.
struct Unassigned {
    seq: Seq,
    boot: i64,
    at: BootInstant,
    segment: SegmentId,
    share: Microlitres,
    flags: Flags,
}

/// A span that is being filled.
struct Run {
    span: SpanId,
    last_seq: Seq,
    segment: SegmentId,
    stretches: i64,
    total: Microlitres,
}

impl Store {
    /// Assigns every open reading without a job that `which` selects.
    ///
    /// # Errors
    /// Where it can't be written; nothing has changed then.
    pub fn assign(&mut self, which: &Selector, to: &Assignment) -> Result<Assigned, QueueError> {
        let chosen: Vec<Unassigned> = unassigned(&self.db, which)?
            .into_iter()
            .filter(|r| within(which.from, which.to, || self.time_of(r.boot, r.at)))
            .collect();
        let tx = Self::begin(&mut self.db, DOING)?;
        let mut run: Option<Run> = None;
        let mut done = Microlitres::ZERO;
        for reading in &chosen {
            let flags = reading.flags.with(Flag::AssignedLater);
            let (next, flags) = match run.take().filter(|r| r.last_seq.0 + 1 == reading.seq.0) {
                Some(run) => (go_on(&tx, run, reading)?, flags),
                None => (begin_run(&tx, reading, to)?, flags.with(Flag::Tare)),
            };
            let total = next.total + reading.share;
            tx.prepare_cached(
                "UPDATE reading SET span = ?2, total_ul = ?3, flags = ?4 WHERE seq = ?1",
            )
            .and_then(|mut s| s.execute(params![reading.seq, next.span, total, flags]))
            .doing(DOING)?;
            done += reading.share;
            run = Some(Run { total, last_seq: reading.seq, ..next });
        }
        tx.commit().doing(DOING)?;
        Ok(Assigned { readings: chosen.len() as u64, gallons: done.gallons() })
    }

    /// Makes rejected, conflicting and unreadable readings ready again, and lifts every hold
    /// on jobs. What an operator rejected while it was in doubt is in doubt again. Returns how
    /// many readings are under way again.
    ///
    /// # Errors
    /// Where it can't be written, or a time is given; nothing has changed then.
    pub fn retry(&mut self, which: &Selector) -> Result<u64, QueueError> {
        if which.from.is_some() || which.to.is_some() {
            let why = "retry takes no times; name the boot or the sequence numbers";
            return Err(QueueError::Refused(why.to_owned()));
        }
        let doing = "make readings ready again";
        let (low, high) = which.seq.unwrap_or((Seq(0), Seq(i64::MAX)));
        // One transaction: a power cut leaves the holds with the rejected readings, so that
        // asking again does the same.
        let tx = Self::begin(&mut self.db, doing)?;
        // What the server said against them goes with their rejection.
        tx.execute(
            "UPDATE delivery SET message = NULL WHERE message IS NOT NULL AND seq IN (
                SELECT seq FROM reading
                WHERE state = 3 AND seq BETWEEN ?1 AND ?2 AND boot = coalesce(?3, boot))",
            params![low, high, which.boot],
        )
        .doing(doing)?;
        let doubtful = super::discard::take_back(&tx, (low, high), which.boot).doing(doing)?;
        let readings = tx
            .execute(
                "UPDATE reading SET state = 0
                 WHERE state IN (3, 6, 7) AND seq BETWEEN ?1 AND ?2 AND boot = coalesce(?3, boot)",
                params![low, high, which.boot],
            )
            .doing(doing)?;
        super::refusal::lift(&tx)?;
        tx.commit().doing(doing)?;
        Ok((readings + doubtful) as u64)
    }
}

/// Whether a time lies between two, of which either may be left open. What has no time is in
/// no range; where none is asked for it isn't looked up.
pub(super) fn within(
    from: Option<UtcMs>,
    to: Option<UtcMs>,
    time: impl FnOnce() -> Option<UtcMs>,
) -> bool {
    if from.is_none() && to.is_none() {
        return true;
    }
    time().is_some_and(|t| from.is_none_or(|from| t >= from) && to.is_none_or(|to| t <= to))
}

fn unassigned(db: &Connection, which: &Selector) -> Result<Vec<Unassigned>, QueueError> {
    let (low, high) = which.seq.unwrap_or((Seq(0), Seq(i64::MAX)));
    db.prepare(
        "SELECT seq, boot, boottime_ms, segment, share_ul, flags FROM reading
         WHERE state = 0 AND span IS NULL AND seq BETWEEN ?1 AND ?2 AND boot = coalesce(?3, boot)
         ORDER BY seq",
    )
    .and_then(|mut s| {
        let rows = s.query_map(params![low, high, which.boot], |r| {
            Ok(Unassigned {
                seq: r.get(0)?,
                boot: r.get(1)?,
                at: r.get(2)?,
                segment: r.get(3)?,
                share: r.get(4)?,
                flags: r.get(5)?,
            })
        })?;
        rows.collect()
    })
    .doing(DOING)
}

/// Where a reading's own volume begins in its segment, and what it brought from the
/// segment before.
fn beginning(tx: &Connection, reading: &Unassigned) -> Result<(u64, Microlitres), QueueError> {
    // A segment is an unbroken run of readings, so that the one before tells enough.
    let before: Option<(Seq, i64, SegmentId)> = tx
        .prepare_cached(
            "SELECT seq, unwrapped, segment FROM reading WHERE seq < ?1 ORDER BY seq DESC LIMIT 1",
        )
        .and_then(|mut s| {
            s.query_row([reading.seq], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?))).optional()
        })
        .doing(DOING)?;
    let is_first = reading.seq.0 == 1;
    match before.filter(|(seq, ..)| seq.0 + 1 == reading.seq.0) {
        Some((_, unwrapped, segment)) if segment == reading.segment => {
            Ok((unwrapped.cast_unsigned(), Microlitres::ZERO))
        }
        Some(_) => start_of(tx, reading),
        None if is_first => start_of(tx, reading),
        None => by_its_volume(tx, reading),
    }
}

/// Where its segment began, and the volume that was carried into it.
fn start_of(tx: &Connection, reading: &Unassigned) -> Result<(u64, Microlitres), QueueError> {
    tx.query_row(
        "SELECT unwrapped_start, carried_ul FROM segment WHERE id = ?1",
        [reading.segment],
        |r| Ok((r.get::<_, i64>(0)?.cast_unsigned(), r.get(1)?)),
    )
    .doing(DOING)
}

/// The one before is pruned, or was lost with a damaged queue, or hasn't come from there yet:
/// the reading's own volume tells how many counts it brought.
fn by_its_volume(tx: &Connection, reading: &Unassigned) -> Result<(u64, Microlitres), QueueError> {
    let (unwrapped, k): (i64, f64) = tx
        .query_row(
            "SELECT r.unwrapped, s.k FROM reading r JOIN segment s ON s.id = r.segment
             WHERE r.seq = ?1",
            [reading.seq],
            |r| Ok((r.get(0)?, r.get(1)?)),
        )
        .doing(DOING)?;
    let zero = unwrapped - (reading.share.gallons() * k).round() as i64;
    let (start, carried) = start_of(tx, reading)?;
    match u64::try_from(zero) {
        Ok(zero) if zero > start => Ok((zero, Microlitres::ZERO)),
        _ => Ok((start, carried)),
    }
}

fn begin_run(tx: &Connection, reading: &Unassigned, to: &Assignment) -> Result<Run, QueueError> {
    let (zero, carried) = beginning(tx, reading)?;
    let span = SpanId(next_id(tx, "span")?);
    tx.execute(
        "INSERT INTO span (event, job, item, product, note, tare_unwrapped, opened_seq, origin, closed, id)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 1, ?9)",
        params![
            to.event,
            to.job,
            to.item,
            to.product,
            to.note,
            integer("unwrapped count", zero)?,
            reading.seq,
            Origin::Assigned,
            span,
        ],
    )
    .doing(DOING)?;
    // Volume carried over from the segment before is told as the base of a second
    // stretch, since no count of this segment stands for it.
    let stretches = if carried == Microlitres::ZERO { 1 } else { 2 };
    insert_stretch(tx, span, reading.segment, stretches, zero, carried)?;
    Ok(Run {
        span,
        last_seq: reading.seq,
        segment: reading.segment,
        stretches,
        total: Microlitres::ZERO,
    })
}

fn go_on(tx: &Connection, run: Run, reading: &Unassigned) -> Result<Run, QueueError> {
    if run.segment == reading.segment {
        return Ok(run);
    }
    let (zero, carried) = beginning(tx, reading)?;
    let stretches = run.stretches + 1;
    insert_stretch(tx, run.span, reading.segment, stretches, zero, run.total + carried)?;
    Ok(Run { segment: reading.segment, stretches, ..run })
}

#[cfg(test)]
mod tests {
    use super::super::append::tests::{assignment, reading, segment, store};
    use super::*;
    use crate::reading::{Reading, SegmentReason};

    #[test]
    fn an_hour_without_a_job_is_one_span_afterwards_with_its_own_tare() {
        let mut store = store();
        let opens = segment(1000, 0, SegmentReason::First);
        store.append(&Reading { segment: opens, ..reading(1, 1000, 0) }).unwrap();
        for n in 1..=4 {
            store.append(&reading(1 + 5 * n, 1000 + 100 * n as u64, 100)).unwrap();
        }
        // A K change in the middle, with 50 counts carried.
        let change = segment(1450, 50, SegmentReason::Calibration);
        store.append(&Reading { segment: change, ..reading(26, 1450, 50) }).unwrap();
        store.append(&reading(31, 1550, 100)).unwrap();

        let which = Selector { seq: Some((Seq(3), Seq(7))), ..Selector::default() };
        let assigned = store.assign(&which, &assignment("late")).unwrap();
        assert_eq!(assigned.readings, 5);
        assert!((assigned.gallons - 4.5).abs() < 1e-6);
        let stretches: Vec<(i64, i64, f64)> = store
            .db
            .prepare("SELECT n, zero, base_ul FROM stretch ORDER BY n")
            .unwrap()
            .query_map([], |r| Ok((r.get(0)?, r.get(1)?, r.get::<_, Microlitres>(2)?.gallons())))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        assert_eq!(stretches.len(), 2);
        assert_eq!(
            (stretches[0].0, stretches[0].1),
            (1, 1100),
            "zero is the count before the first"
        );
        assert_eq!((stretches[1].0, stretches[1].1), (2, 1450));
        assert!((stretches[1].2 - 3.5).abs() < 1e-6);
    }

    #[test]
    fn a_reading_whose_predecessor_is_lost_begins_where_its_own_volume_did() {
        let mut store = store();
        let opens = segment(0, 0, SegmentReason::First);
        store.append(&Reading { segment: opens, ..reading(1, 0, 0) }).unwrap();
        for n in 1..=4 {
            store.append(&reading(1 + 5 * n, 100 * n as u64, 100)).unwrap();
        }
        store.db.execute("DELETE FROM reading WHERE seq IN (1, 4)", []).unwrap();
        store.assign(&Selector::default(), &assignment("late")).unwrap();
        let zeros: String =
            store.db.query_row("SELECT group_concat(zero) FROM stretch", [], |r| r.get(0)).unwrap();
        assert_eq!(zeros, "0,300", "of the second and the fifth");
    }

    #[test]
    fn runs_that_are_not_neighbours_become_spans_of_their_own() {
        let mut store = store();
        let opens = segment(0, 0, SegmentReason::First);
        store.append(&Reading { segment: opens, ..reading(1, 0, 0) }).unwrap();
        for n in 1..=4 {
            store.append(&reading(1 + 5 * n, 100 * n as u64, 100)).unwrap();
        }
        let one = |n| Selector { seq: Some((Seq(n), Seq(n))), ..Selector::default() };
        store.assign(&one(3), &assignment("b")).unwrap();
        store.assign(&Selector::default(), &assignment("a")).unwrap();
        let spans: Vec<i64> = store
            .db
            .prepare("SELECT span FROM reading ORDER BY seq")
            .unwrap()
            .query_map([], |r| r.get(0))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        assert_eq!(spans, [2, 2, 1, 3, 3]);
    }

    #[test]
    fn a_selection_that_would_mean_more_than_was_said_is_refused() {
        assert!(serde_json::from_str::<Selector>(r#"{"sequence":[3,4]}"#).is_err());
        let mut store = store();
        for (from, to) in [(Some(UtcMs(0)), None), (None, Some(UtcMs(0)))] {
            let which = Selector { from, to, ..Selector::default() };
            assert!(matches!(store.retry(&which), Err(QueueError::Refused(_))));
        }
        assert_eq!(store.retry(&Selector::default()).unwrap(), 0);
    }

    #[test]
    fn a_time_range_selects_nothing_in_a_boot_without_a_clock() {
        let mut store = store();
        let opens = segment(0, 0, SegmentReason::First);
        store.append(&Reading { segment: opens, ..reading(1, 0, 0) }).unwrap();
        let any_time = Selector { from: Some(UtcMs(0)), ..Selector::default() };
        assert_eq!(store.assign(&any_time, &assignment("a")).unwrap().readings, 0);
    }
}
