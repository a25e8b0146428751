//! Recording: one reading, and the segment and span that open with it, in one
//! transaction. A power cut leaves all of it or none: the meter's own count is then
//! still ahead, and the next start finds the volume as a gap.

use rusqlite::{Connection, Transaction, params};

use super::rows::{integer, next_id};
use super::store::{Last, OpenSpan, SegmentStart};
use super::{Doing, Position, QueueError, Store, backfill};
use crate::failpoint;
use crate::reading::{Flag, Flags, NewSegment, NewSpan, Reading, SegmentId, Seq, SpanId};
use crate::units::Microlitres;

const DOING: &str = "record a reading";

/// What recording a reading came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Its sequence number, committed.
    pub seq: Seq,
    /// The span it belongs to.
    pub span: Option<SpanId>,
    /// The span that is open after it.
    pub open: Option<SpanId>,
}

impl Store {
    /// Records a reading of the running boot.
    ///
    /// # Errors
    /// Where it can't be written; nothing has changed then, and the same reading may be
    /// offered again.
    pub fn append(&mut self, reading: &Reading) -> Result<Appended, QueueError> {
        let appended = self.append_all(std::slice::from_ref(reading))?;
        appended.into_iter().next().ok_or_else(no_segment)
    }

    /// Records readings of the running boot, in their order and in one transaction: after a
    /// power cut all of them are there, or none.
    ///
    /// # Errors
    /// Where they can't be written; nothing has changed then, and the same readings may be
    /// offered again.
    pub fn append_all(&mut self, readings: &[Reading]) -> Result<Vec<Appended>, QueueError> {
        self.append_and_fill(readings, false)
    }

    /// The same; with `fill`, what was recorded in a short hole of the fixes gets a place with
    /// the reading that ends it.
    ///
    /// # Errors
    /// As [`Store::append_all`].
    pub fn append_and_fill(
        &mut self,
        readings: &[Reading],
        fill: bool,
    ) -> Result<Vec<Appended>, QueueError> {
        let mut head = Head {
            boot: self.boot,
            last: self.last.clone(),
            span: self.span.clone(),
            seq: self.last_seq,
            odometer: self.odometer,
        };
        let tx = Self::begin(&mut self.db, DOING)?;
        let appended =
            readings.iter().map(|r| head.append(&tx, r)).collect::<Result<Vec<_>, _>>()?;
        if fill {
            for (reading, appended) in readings.iter().zip(&appended) {
                if reading.place.is_some() {
                    backfill::fill(&tx, self.boot, appended.seq)?;
                }
            }
        }
        failpoint::pass("append_before_commit");
        tx.commit().doing(DOING)?;
        failpoint::pass("append_after_commit");
        // Only now: what is remembered is what the rows say.
        let Head { last, span, seq, odometer, .. } = head;
        (self.last, self.span, self.last_seq, self.odometer) = (last, span, seq, odometer);
        Ok(appended)
    }
}

/// Where recording stands within a transaction; the store takes it over after the commit.
struct Head {
    boot: i64,
    last: Option<Last>,
    span: Option<OpenSpan>,
    seq: Seq,
    odometer: Microlitres,
}

impl Head {
    fn append(&mut self, tx: &Transaction<'_>, reading: &Reading) -> Result<Appended, QueueError> {
        let seq = Seq(self.seq.0 + 1);
        let odometer = self.odometer + reading.share;
        let mut span = self.span.clone();
        let meter = meter_row(tx, self.last.as_ref(), &reading.serial)?;
        let segment = match (&reading.segment, &self.last) {
            (Some(new), _) => insert_segment(tx, meter, new)?,
            (None, Some(last)) => last.segment,
            (None, None) => return Err(no_segment()),
        };
        let carried = reading.segment.as_ref().map_or(Microlitres::ZERO, |s| s.carried);
        // A reading that owns a new span has no volume; one that doesn't closes the old
        // span with its volume, so that no gallon moves into an assignment made later.
        let owned = match &reading.span {
            Some(new) if new.owns_reading => {
                span = change_span(tx, span.as_ref(), new, reading, seq, segment)?;
                span.clone()
            }
            _ => match span.take() {
                Some(open) => Some(meet(tx, open, segment, reading, carried)?),
                None => None,
            },
        };
        let total = match &owned {
            Some(owned) => owned.total + reading.share,
            None => Microlitres::ZERO,
        };
        // The span may have opened at a reading that still belonged to the one before.
        let tare = owned.as_ref().is_some_and(|span| !span.begun);
        let flags = if tare { reading.flags.with(Flag::Tare) } else { reading.flags };
        let ids = Ids { seq, boot: self.boot, meter, segment, span: owned.as_ref().map(|s| s.id) };
        insert_reading(tx, &ids, reading, flags, total, odometer)?;
        let mut open = owned.clone().map(|s| OpenSpan { total, begun: true, ..s });
        if let Some(new) = reading.span.as_ref().filter(|new| !new.owns_reading) {
            open = change_span(tx, open.as_ref(), new, reading, seq, segment)?;
        }
        self.remember(seq, odometer, meter, segment, reading);
        let appended = Appended { seq, span: ids.span, open: open.as_ref().map(|s| s.id) };
        self.span = open;
        Ok(appended)
    }

    fn remember(
        &mut self,
        seq: Seq,
        odometer: Microlitres,
        meter: i64,
        segment: SegmentId,
        reading: &Reading,
    ) {
        let (k, start) = match (&reading.segment, &self.last) {
            (None, Some(last)) => (last.position.k, last.position.segment.clone()),
            (new, _) => new.as_ref().map_or((0.0, SegmentStart::default()), |new| {
                (new.k.counts_per_gallon(), SegmentStart::of(new))
            }),
        };
        let position = Position {
            serial: reading.serial.clone(),
            raw: reading.raw,
            meter_seq: reading.meter_seq,
            unwrapped: reading.unwrapped,
            at: Some(reading.at),
            k,
            segment: start,
        };
        self.seq = seq;
        self.odometer = odometer;
        self.last = Some(Last { serial: reading.serial.clone(), meter, segment, position });
    }
}

fn no_segment() -> QueueError {
    QueueError::Refused("the first reading of a queue must open a segment".to_owned())
}

/// The row of a meter, from memory where it is the one of the last reading.
fn meter_row(tx: &Transaction<'_>, last: Option<&Last>, serial: &str) -> Result<i64, QueueError> {
    if let Some(last) = last.filter(|l| l.serial == serial) {
        return Ok(last.meter);
    }
    // Blanks tell no meter from another either: with them it is the one without a serial.
    let serial = if serial.trim().is_empty() { "" } else { serial };
    tx.execute(
        "INSERT INTO meter (id, serial) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
        params![next_id(tx, "meter")?, serial],
    )
    .doing(DOING)?;
    tx.query_row("SELECT id FROM meter WHERE serial = ?1", [serial], |r| r.get(0)).doing(DOING)
}

fn insert_segment(tx: &Connection, meter: i64, new: &NewSegment) -> Result<SegmentId, QueueError> {
    let id = next_id(tx, "segment")?;
    tx.execute(
        "INSERT INTO segment (meter, raw_start, unwrapped_start, k, carried_ul, reason, points, id)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        params![
            meter,
            integer("raw count", new.raw_start)?,
            integer("unwrapped count", new.unwrapped_start)?,
            new.k.counts_per_gallon(),
            new.carried,
            new.reason,
            new.points,
            id,
        ],
    )
    .doing(DOING)?;
    Ok(SegmentId(id))
}

/// The open span meets the segment of this reading; where it is a new one, the stretch
/// that its records will be told in is noted.
fn meet(
    tx: &Connection,
    span: OpenSpan,
    segment: SegmentId,
    reading: &Reading,
    carried: Microlitres,
) -> Result<OpenSpan, QueueError> {
    if segment == span.last_segment {
        return Ok(span);
    }
    let zero = reading.segment.as_ref().map_or(reading.unwrapped, |s| s.unwrapped_start);
    let met = OpenSpan { stretches: span.stretches + 1, last_segment: segment, ..span };
    insert_stretch(tx, met.id, segment, met.stretches, zero, met.total + carried)?;
    Ok(met)
}

pub(super) fn insert_stretch(
    tx: &Connection,
    span: SpanId,
    segment: SegmentId,
    n: i64,
    zero: u64,
    base: Microlitres,
) -> Result<(), QueueError> {
    let zero = integer("unwrapped count", zero)?;
    tx.prepare_cached(
        "INSERT INTO stretch (span, segment, n, zero, base_ul) VALUES (?1, ?2, ?3, ?4, ?5)",
    )
    .and_then(|mut s| s.execute(params![span, segment, n, zero, base]))
    .map(drop)
    .doing("note where a span meets a segment")
}

/// Closes the old span and opens the new one at this reading's count.
fn change_span(
    tx: &Connection,
    old: Option<&OpenSpan>,
    new: &NewSpan,
    reading: &Reading,
    seq: Seq,
    segment: SegmentId,
) -> Result<Option<OpenSpan>, QueueError> {
    if let Some(old) = old {
        tx.execute("UPDATE span SET closed = 1 WHERE id = ?1", [old.id]).doing(DOING)?;
    }
    let Some(assignment) = new.assignment.clone() else { return Ok(None) };
    let id = SpanId(next_id(tx, "span")?);
    tx.execute(
        "INSERT INTO span (event, job, item, product, note, tare_unwrapped, opened_seq, origin, id)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        params![
            assignment.event,
            assignment.job,
            assignment.item,
            assignment.product,
            assignment.note,
            integer("unwrapped count", reading.unwrapped)?,
            seq,
            new.origin,
            id,
        ],
    )
    .doing(DOING)?;
    insert_stretch(tx, id, segment, 1, reading.unwrapped, Microlitres::ZERO)?;
    let total = Microlitres::ZERO;
    Ok(Some(OpenSpan {
        id,
        assignment,
        origin: new.origin,
        total,
        begun: false,
        stretches: 1,
        last_segment: segment,
    }))
}

/// The row ids that a reading refers to.
struct Ids {
    seq: Seq,
    boot: i64,
    meter: i64,
    segment: SegmentId,
    span: Option<SpanId>,
}

fn insert_reading(
    tx: &Connection,
    ids: &Ids,
    reading: &Reading,
    flags: Flags,
    total: Microlitres,
    odometer: Microlitres,
) -> Result<(), QueueError> {
    let (place, age_ms, hdop) = match reading.place {
        // No receiver has an HDOP of 0, and a configured place has none.
        Some((place, age_ms, hdop)) => (Some(place), Some(age_ms), Some(hdop).filter(|h| *h > 0.0)),
        None => (None, None, None),
    };
    let raw = integer("raw count", reading.raw)?;
    let unwrapped = integer("unwrapped count", reading.unwrapped)?;
    tx.prepare_cached(
        "INSERT INTO reading (seq, boot, boottime_ms, meter, segment, span, raw, meter_seq, unwrapped,
             share_ul, total_ul, odometer_ul, rate, temp_fluid, temp_ambient, battery_pct, runtime_min,
             lat_e7, lon_e7, fix_age_ms, hdop, flags)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19,
             ?20, ?21, ?22)",
    )
    .and_then(|mut s| {
        s.execute(params![
            ids.seq,
            ids.boot,
            reading.at,
            ids.meter,
            ids.segment,
            ids.span,
            raw,
            reading.meter_seq,
            unwrapped,
            reading.share,
            total,
            odometer,
            reading.rate_gpm,
            reading.fluid_f,
            reading.ambient_f,
            reading.battery_percent,
            reading.runtime_min,
            place.map(|p| p.lat_e7),
            place.map(|p| p.lon_e7),
            age_ms,
            hdop,
            flags,
        ])
    })
    .map(drop)
    .doing(DOING)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::clock::{BootId, BootInstant};
    use crate::reading::{Assignment, Origin, Place, SegmentReason};
    use crate::units::KFactor;

    impl Store {
        /// What a full disk does to a database: it may not grow.
        pub fn limit_growth(&self, full: bool) {
            let pages: i64 = self.db.query_row("PRAGMA page_count", [], |r| r.get(0)).unwrap();
            let most = if full { pages } else { pages + 1_000_000 };
            self.db.query_row(&format!("PRAGMA max_page_count = {most}"), [], |_| Ok(())).unwrap();
        }
    }

    pub const K: f64 = 100.0;

    pub fn store() -> Store {
        Store::open(std::path::Path::new(":memory:"), &BootId("boot-1".to_owned())).unwrap()
    }

    pub fn assignment(job: &str) -> Assignment {
        Assignment {
            event: format!("e-{job}"),
            job: job.to_owned(),
            item: None,
            product: None,
            note: String::new(),
        }
    }

    /// A reading `second` seconds into the boot, at a count, with the counts it brought.
    pub fn reading(second: i64, unwrapped: u64, counts: u64) -> Reading {
        Reading {
            at: BootInstant(second * 1000),
            serial: "AF23265".to_owned(),
            raw: unwrapped,
            meter_seq: None,
            unwrapped,
            share: KFactor::new(K).unwrap().volume(counts),
            rate_gpm: Some(2.0),
            fluid_f: None,
            ambient_f: Some(71.55),
            battery_percent: Some(86.0),
            runtime_min: None,
            place: Some((Place { lat_e7: 335_116_331, lon_e7: -868_965_344 }, 400, 0.9)),
            flags: Flags::NONE,
            segment: None,
            span: None,
        }
    }

    pub fn segment(start: u64, carried: u64, reason: SegmentReason) -> Option<NewSegment> {
        let k = KFactor::new(K).unwrap();
        Some(NewSegment {
            raw_start: start,
            unwrapped_start: start,
            k,
            points: String::new(),
            carried: k.volume(carried),
            reason,
        })
    }

    pub fn to_job(job: &str, owns_reading: bool) -> Option<NewSpan> {
        Some(NewSpan { assignment: Some(assignment(job)), origin: Origin::Pick, owns_reading })
    }

    fn totals(store: &Store) -> Vec<(i64, Option<i64>, i64)> {
        let mut s =
            store.db.prepare("SELECT seq, span, total_ul FROM reading ORDER BY seq").unwrap();
        s.query_map([], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))
            .unwrap()
            .map(Result::unwrap)
            .collect()
    }

    fn stretches(store: &Store) -> Vec<(i64, i64, i64, i64, i64)> {
        let sql = "SELECT span, segment, n, zero, base_ul FROM stretch ORDER BY span, segment";
        let mut s = store.db.prepare(sql).unwrap();
        s.query_map([], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?, r.get(4)?)))
            .unwrap()
            .map(Result::unwrap)
            .collect()
    }

    #[test]
    fn the_first_reading_opens_segment_and_span_and_is_their_tare() {
        let mut store = store();
        let first = Reading {
            segment: segment(5000, 0, SegmentReason::First),
            span: to_job("a", true),
            ..reading(1, 5000, 0)
        };
        let appended = store.append(&first).unwrap();
        assert_eq!(
            appended,
            Appended { seq: Seq(1), span: Some(SpanId(1)), open: Some(SpanId(1)) }
        );
        store.append(&reading(6, 5100, 100)).unwrap();
        let gallon = Microlitres::from_gallons(1.0).0;
        assert_eq!(totals(&store), [(1, Some(1), 0), (2, Some(1), gallon)]);
        assert_eq!(stretches(&store), [(1, 1, 1, 5000, 0)]);
    }

    #[test]
    fn volume_up_to_a_change_of_job_stays_with_the_old_job() {
        let mut store = store();
        let opens = segment(0, 0, SegmentReason::First);
        store
            .append(&Reading { segment: opens, span: to_job("a", true), ..reading(1, 0, 0) })
            .unwrap();
        store.append(&reading(6, 100, 100)).unwrap();
        let change =
            store.append(&Reading { span: to_job("b", false), ..reading(8, 150, 50) }).unwrap();
        assert_eq!((change.span, change.open), (Some(SpanId(1)), Some(SpanId(2))));
        store.append(&reading(13, 250, 100)).unwrap();
        let g = |gallons| Microlitres::from_gallons(gallons).0;
        assert_eq!(
            totals(&store),
            [(1, Some(1), 0), (2, Some(1), g(1.0)), (3, Some(1), g(1.5)), (4, Some(2), g(1.0))]
        );
        assert_eq!(stretches(&store), [(1, 1, 1, 0, 0), (2, 1, 1, 150, 0)]);
        let tares = "SELECT group_concat(seq) FROM reading WHERE flags & 4";
        let tares: String = store.db.query_row(tares, [], |r| r.get(0)).unwrap();
        assert_eq!(tares, "1,4", "the first reading of each, not the last of the one before");
    }

    #[test]
    fn a_second_segment_in_a_span_starts_from_the_gallons_before_it() {
        let mut store = store();
        let opens = segment(0, 0, SegmentReason::First);
        store
            .append(&Reading { segment: opens, span: to_job("a", true), ..reading(1, 0, 0) })
            .unwrap();
        store.append(&reading(6, 100, 100)).unwrap();
        // The meter restarted: 20 counts more on the old segment, 30 since on the new one.
        let restart = segment(0, 20, SegmentReason::Restart);
        store.append(&Reading { segment: restart, ..reading(11, 30, 50) }).unwrap();
        let g = |gallons| Microlitres::from_gallons(gallons).0;
        assert_eq!(totals(&store).last(), Some(&(3, Some(1), g(1.5))));
        assert_eq!(stretches(&store), [(1, 1, 1, 0, 0), (1, 2, 2, 0, g(1.2))]);
    }

    #[test]
    fn clearing_the_job_closes_the_span_and_later_readings_have_none() {
        let mut store = store();
        let opens = segment(0, 0, SegmentReason::First);
        store
            .append(&Reading { segment: opens, span: to_job("a", true), ..reading(1, 0, 0) })
            .unwrap();
        let none = Some(NewSpan { assignment: None, origin: Origin::Pick, owns_reading: false });
        store.append(&Reading { span: none, ..reading(6, 100, 100) }).unwrap();
        let later = store.append(&reading(11, 200, 100)).unwrap();
        assert_eq!((later.span, later.open), (None, None));
        assert_eq!(store.open_assignment(), None);
    }

    #[test]
    fn a_reopened_queue_goes_on_where_the_last_commit_left_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(super::super::FILE);
        let mut store = Store::open(&path, &BootId("boot-1".to_owned())).unwrap();
        let opens = segment(0, 0, SegmentReason::First);
        store
            .append(&Reading { segment: opens, span: to_job("a", true), ..reading(1, 0, 0) })
            .unwrap();
        store.append(&reading(6, 100, 100)).unwrap();
        let tag = store.tag().to_owned();
        drop(store);

        let mut store = Store::open(&path, &BootId("boot-2".to_owned())).unwrap();
        let position = store.position().unwrap();
        assert_eq!((position.raw, position.at, position.k), (100, None, K));
        assert_eq!(store.open_assignment(), Some((assignment("a"), Origin::Pick)));
        assert_eq!(store.tag(), tag);
        store.append(&reading(3, 200, 100)).unwrap();
        assert_eq!(totals(&store).last(), Some(&(3, Some(1), Microlitres::from_gallons(2.0).0)));
    }

    #[test]
    fn a_count_that_no_integer_holds_is_refused_and_changes_nothing() {
        let mut store = store();
        let opens = segment(0, 0, SegmentReason::First);
        let huge = Reading { segment: opens, ..reading(1, u64::MAX, 0) };
        assert!(matches!(store.append(&huge), Err(QueueError::Range { .. })));
        assert_eq!(store.last_seq(), Seq(0));
        assert!(totals(&store).is_empty());
    }

    #[test]
    fn readings_of_one_commit_are_numbered_totalled_and_assigned_as_if_each_had_its_own() {
        let opens = segment(0, 0, SegmentReason::First);
        let readings = [
            Reading { segment: opens, span: to_job("a", true), ..reading(1, 0, 0) },
            reading(6, 100, 100),
            Reading { segment: segment(0, 20, SegmentReason::Restart), ..reading(11, 30, 50) },
            Reading { span: to_job("b", false), ..reading(16, 80, 50) },
            reading(21, 180, 100),
        ];
        let (mut one, mut each) = (store(), store());
        let together = one.append_all(&readings).unwrap();
        let apart: Vec<_> = readings.iter().map(|r| each.append(r).unwrap()).collect();
        assert_eq!(together, apart);
        assert_eq!(totals(&one), totals(&each));
        assert_eq!(stretches(&one), stretches(&each));
        assert_eq!((one.last_seq(), one.position()), (each.last_seq(), each.position()));
        assert_eq!(one.open_assignment(), each.open_assignment());
    }

    #[test]
    fn of_readings_that_cannot_all_be_kept_none_is_and_the_good_ones_may_be_offered_again() {
        let mut store = store();
        let opens = segment(0, 0, SegmentReason::First);
        let first = Reading { segment: opens, span: to_job("a", true), ..reading(1, 0, 0) };
        let (good, huge) = (reading(6, 100, 100), reading(11, u64::MAX, 0));
        let refused = store.append_all(&[first.clone(), good.clone(), huge]);
        assert!(matches!(refused, Err(QueueError::Range { .. })));
        assert_eq!((store.last_seq(), store.position()), (Seq(0), None));
        assert_eq!(store.open_assignment(), None);
        assert!(totals(&store).is_empty() && stretches(&store).is_empty());
        store.append_all(&[first, good]).unwrap();
        let gallon = Microlitres::from_gallons(1.0).0;
        assert_eq!(totals(&store), [(1, Some(1), 0), (2, Some(1), gallon)]);
    }

    #[test]
    fn what_is_owed_is_counted_from_the_span_that_is_open_if_it_opened_later() {
        let mut store = store();
        let opens = segment(0, 0, SegmentReason::First);
        store
            .append(&Reading { segment: opens, span: to_job("a", true), ..reading(1, 0, 0) })
            .unwrap();
        // A damaged line's count went on ahead of the meter's.
        let ahead = Reading { raw: 100, ..reading(6, 400, 400) };
        store.append(&ahead).unwrap();
        store.reload().unwrap();
        let start = store.position().unwrap().segment;
        assert_eq!((start.raw, start.unwrapped), (0, 0), "300 are owed");
        store
            .append(&Reading {
                span: to_job("b", true),
                ..Reading { raw: 100, ..reading(9, 400, 0) }
            })
            .unwrap();
        store.append(&Reading { raw: 150, ..reading(14, 450, 50) }).unwrap();
        store.reload().unwrap();
        let start = store.position().unwrap().segment;
        assert_eq!((start.raw, start.unwrapped), (100, 400), "b owes nothing");
    }
}
