//! One row as the record that the server gets. Which row, and at which second, is
//! decided elsewhere.

use rusqlite::{Connection, OptionalExtension, params};

use super::super::batch::WireSettings;
use super::super::{Doing, QueueError, unreadable};
use super::DOING;
use crate::clock::BootInstant;
use crate::delivery::JobKey;
use crate::jobcloser::note;
use crate::jobcloser::wire::{self, Outgoing};
use crate::reading::{Assignment, Flag, Flags, Place, Seq, SpanId, State};
use crate::units::{KFactor, Microlitres};

/// A reading in a state, with all that its record says.
///
/// The plus hides a parameter from the planner. Bare in an equation, its value would count in the
/// choice of a plan, and SQLite would prepare the statement anew whenever its bindings are
/// cleared: for each row, which took longer than all else that is done with one.
const ROW: &str =
    "SELECT r.seq, r.boot, r.boottime_ms, r.meter, r.span, m.serial, r.unwrapped, r.total_ul, r.rate,
         r.temp_fluid, r.temp_ambient, r.battery_pct, r.runtime_min, r.lat_e7, r.lon_e7, r.fix_age_ms,
         r.flags, s.k, t.n, t.zero, t.base_ul, p.event, p.job, p.item, p.product, p.note,
         d.utc_s, d.offset_min, d.wire
     FROM reading r
     LEFT JOIN meter m ON m.id = r.meter
     LEFT JOIN segment s ON s.id = r.segment
     LEFT JOIN span p ON p.id = r.span
     LEFT JOIN stretch t ON t.span = r.span AND t.segment = r.segment
     LEFT JOIN delivery d ON d.seq = r.seq
     WHERE r.seq = +?1 AND r.state = +?2 AND r.span IS NOT NULL AND r.lat_e7 IS NOT NULL
         AND r.meter <> 0";

/// A ready reading with all that its record says.
pub(super) struct Row {
    pub seq: Seq,
    pub boot: i64,
    pub at: BootInstant,
    pub meter: i64,
    pub span: SpanId,
    serial: String,
    unwrapped: i64,
    total: Microlitres,
    rate: Option<f64>,
    fluid: Option<f64>,
    ambient: Option<f64>,
    battery: Option<f64>,
    runtime: Option<f64>,
    place: Place,
    fix_age_ms: i64,
    flags: Flags,
    k: f64,
    stretch: i64,
    zero: i64,
    base: Microlitres,
    assignment: Assignment,
    frozen: Option<(i64, i32, Vec<u8>)>,
}

/// A record as it will be sent, now and at every retry.
pub(super) struct Frozen {
    pub seq: Seq,
    pub span: SpanId,
    pub meter: i64,
    pub utc_s: i64,
    pub offset_min: i32,
    pub wire: Vec<u8>,
    /// The reading's, and whether an operator told its time.
    pub flags: Flags,
}

impl Row {
    /// The reading, if it is open, assigned and placed, and its meter has a serial number;
    /// where it can't be decoded, what is wrong with it.
    pub(super) fn ready(
        db: &Connection,
        seq: Seq,
    ) -> Result<Option<Result<Self, String>>, QueueError> {
        Self::of(db, seq, State::Open)
    }

    /// The same of a reading in another state.
    pub(super) fn of(
        db: &Connection,
        seq: Seq,
        state: State,
    ) -> Result<Option<Result<Self, String>>, QueueError> {
        db.prepare_cached(ROW)
            .and_then(|mut s| s.query_row(params![seq, state], |r| Ok(Self::decode(r))).optional())
            .doing(DOING)
    }

    fn decode(r: &rusqlite::Row<'_>) -> Result<Self, String> {
        let row = Self::read(r).map_err(|err| unreadable::what(r, &err))?;
        match row.nonsense() {
            Some(what) => Err(what.to_owned()),
            None => Ok(row),
        }
    }

    /// What no program has ever recorded: sent, it would be an invention.
    fn nonsense(&self) -> Option<&'static str> {
        let measured = [self.rate, self.fluid, self.ambient, self.battery, self.runtime];
        let is_record = |wire: &[u8]| {
            serde_json::from_slice(wire).is_ok_and(|record: serde_json::Value| record.is_object())
        };
        if self.unwrapped < 0 || self.zero < 0 {
            Some("a count is negative")
        } else if KFactor::new(self.k).is_none() {
            Some("k is no number above zero")
        } else if self.place.lat().abs() > 90.0 || self.place.lon().abs() > 180.0 {
            Some("its place is not on Earth")
        } else if measured.into_iter().flatten().any(|value| !value.is_finite()) {
            Some("a measurement is no number")
        } else if self.frozen.as_ref().is_some_and(|(_, _, wire)| !is_record(wire)) {
            Some("what was frozen is no record")
        } else {
            None
        }
    }

    fn read(r: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        let frozen = match r.get::<_, Option<i64>>(26)? {
            Some(utc_s) => Some((utc_s, r.get(27)?, r.get(28)?)),
            None => None,
        };
        Ok(Self {
            seq: r.get(0)?,
            boot: r.get(1)?,
            at: r.get(2)?,
            meter: r.get(3)?,
            span: r.get(4)?,
            serial: r.get(5)?,
            unwrapped: r.get(6)?,
            total: r.get(7)?,
            rate: r.get(8)?,
            fluid: r.get(9)?,
            ambient: r.get(10)?,
            battery: r.get(11)?,
            runtime: r.get(12)?,
            place: Place { lat_e7: r.get(13)?, lon_e7: r.get(14)? },
            fix_age_ms: r.get::<_, Option<i64>>(15)?.unwrap_or(0),
            flags: r.get(16)?,
            k: r.get(17)?,
            stretch: r.get(18)?,
            zero: r.get(19)?,
            base: r.get(20)?,
            assignment: Assignment {
                event: r.get(21)?,
                job: r.get(22)?,
                item: r.get(23)?,
                product: r.get(24)?,
                note: r.get(25)?,
            },
            frozen,
        })
    }

    /// The job it is for.
    pub(super) fn key(&self) -> JobKey {
        JobKey { event: self.assignment.event.clone(), job: self.assignment.job.clone() }
    }

    /// As it was frozen by an earlier attempt.
    pub(super) fn frozen_before(&self) -> Option<Frozen> {
        let (utc_s, offset_min, wire) = self.frozen.clone()?;
        Some(Frozen {
            seq: self.seq,
            span: self.span,
            meter: self.meter,
            utc_s,
            offset_min,
            wire,
            flags: self.flags,
        })
    }

    /// Its record at this second, which an operator has told or not; `None` for a second that
    /// no calendar has.
    pub(super) fn write(
        &self,
        utc_s: i64,
        by_hand: bool,
        tag: &str,
        wire: &WireSettings,
    ) -> Option<Frozen> {
        let flags = if by_hand { self.flags.with(Flag::OperatorTime) } else { self.flags };
        let offset_min = wire::offset_minutes(&wire.zone, utc_s)?;
        let outgoing = Outgoing {
            event: self.assignment.event.clone(),
            job: self.assignment.job.clone(),
            item: self.assignment.item.clone(),
            product: self.assignment.product.clone(),
            application_date: wire::application_date(utc_s, offset_min)?,
            place: self.place,
            serial: self.serial.clone(),
            raw: self.unwrapped.cast_unsigned(),
            rate_gpm: self.rate,
            total_gal: self.total.gallons(),
            zero: self.zero.cast_unsigned(),
            fluid_f: self.fluid.or(wire.stand_in.fluid_f),
            ambient_f: self.ambient.or(wire.stand_in.ambient_f),
            battery_percent: self.battery.or(wire.stand_in.battery_percent),
            runtime_min: self.runtime.or(wire.stand_in.runtime_min),
            note: note::compose(tag, self.seq, &self.words(flags), &self.assignment.note),
            device_name: wire.device_name.clone(),
            k: self.effective_k(),
        };
        Some(Frozen {
            seq: self.seq,
            span: self.span,
            meter: self.meter,
            utc_s,
            offset_min,
            wire: wire::encode(&outgoing),
            flags,
        })
    }

    /// Whether the server is asked before it is sent.
    pub(super) fn asks(&self) -> bool {
        self.flags.has(Flag::Carried)
    }

    fn words(&self, flags: Flags) -> Vec<String> {
        // What became of the queue is no part of the record.
        let flags = flags.without(Flag::Carried);
        let mut words: Vec<String> =
            flags.words().filter(|w| *w != Flag::ReusedFix.word()).map(str::to_owned).collect();
        if flags.has(Flag::ReusedFix) {
            words.push(format!("fix-age={}s", self.fix_age_ms / 1000));
        }
        if self.stretch > 1 {
            words.push(format!("seg={} base={:.6}", self.stretch, self.base.gallons()));
        }
        words
    }

    /// K of the segment; where (Hz, K) points were at work, the counts since zero over
    /// their gallons, so that (raw − to zero) / K is the volume that was counted.
    fn effective_k(&self) -> f64 {
        let counts = (self.unwrapped - self.zero) as f64;
        let gallons = (self.total - self.base).gallons();
        let expected = counts / self.k;
        // A microlitre either way is rounding, not another K.
        if counts <= 0.0 || gallons <= 0.0 || (expected - gallons).abs() < 1e-6 {
            self.k
        } else {
            counts / gallons
        }
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::StatementStatus;

    use super::super::super::append::tests::{reading, segment};
    use super::super::super::{FILE, Store};
    use super::*;
    use crate::clock::BootId;
    use crate::reading::{Reading, SegmentReason};

    #[test]
    fn the_statement_that_reads_a_row_is_prepared_once_for_all_of_them() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        let mut store = Store::open(&path, &BootId("boot-1".to_owned())).unwrap();
        let opens = segment(0, 0, SegmentReason::First);
        store.append(&Reading { segment: opens, ..reading(2, 0, 0) }).unwrap();
        for n in 1..10 {
            store.append(&reading(2 + 5 * n, 100, 100)).unwrap();
        }
        for seq in 1..=10 {
            Row::ready(&store.db, Seq(seq)).unwrap();
        }
        let statement = store.db.prepare_cached(ROW).unwrap();
        assert_eq!(statement.get_status(StatementStatus::Run), 10);
        assert_eq!(statement.get_status(StatementStatus::RePrepare), 0);
    }
}
