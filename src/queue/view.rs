//! Looking in: a read-only connection of its own, for `status`, lists and exports. Never
//! waits for the writer for longer than a commit takes, and can't change a thing.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension, params};
use serde::Serialize;

use super::anchor::by_boot;
use super::assign::within;
use super::balance::{Balance, audit, draw};
use super::freeze::problem;
use super::undated::Bounds;
use super::unreadable::{detail, read_any};
use super::{Doing, QueueError, learnt, schema, store};
use crate::clock::UtcMs;
use crate::learnt::Learnt;
use crate::reading::{Assignment, Flags, Hold, Origin, Seq, State};

/// A read-only look at the queue.
#[derive(Debug)]
pub struct View {
    pub(super) db: Connection,
    pub(super) path: PathBuf,
}

/// Which readings a list shows; every part that is given must hold.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// In this state.
    pub state: Option<State>,
    /// Open, and held or (false) ready.
    pub held: Option<bool>,
    /// Of this job.
    pub job: Option<String>,
    /// In this boot.
    pub boot: Option<i64>,
    /// First and last sequence number.
    pub seq: Option<(Seq, Seq)>,
    /// Recorded at or after this time.
    pub from: Option<UtcMs>,
    /// Recorded at or before this time.
    pub to: Option<UtcMs>,
    /// At most so many, the newest.
    pub limit: usize,
}

/// A reading in a list.
#[derive(Debug, Clone, Serialize)]
pub struct Listed {
    /// Its number.
    pub seq: Seq,
    /// Which boot recorded it.
    pub boot: i64,
    /// Milliseconds into that boot.
    pub boottime_ms: i64,
    /// Its second at JobCloser once frozen, else the resolved one.
    pub time: Option<String>,
    /// The same, for comparing.
    #[serde(skip)]
    pub utc: Option<UtcMs>,
    /// Where it has no time: the bounds that the boots before and after give.
    #[serde(flatten)]
    pub bounds: Bounds,
    /// `MeterSerialNumber`.
    pub meter: String,
    /// Raw count as the meter showed it.
    pub raw: i64,
    /// Unwrapped count, as sent.
    pub unwrapped: i64,
    /// Gallons since the reading before.
    pub gallons: f64,
    /// Gallons of the span so far.
    pub total_gallons: f64,
    /// `JobId`.
    pub job: Option<String>,
    /// `EventId`.
    pub event: Option<String>,
    /// Latitude in degrees.
    pub lat: Option<f64>,
    /// Longitude in degrees.
    pub lon: Option<f64>,
    /// What happened in its second.
    pub flags: Flags,
    /// What became of it.
    pub state: State,
    /// Why it can't be sent yet.
    pub held_for: Vec<Hold>,
}

/// One reading with all that is known of it.
#[derive(Debug, Clone, Serialize)]
pub struct Detail {
    /// As in a list.
    #[serde(flatten)]
    pub listed: Listed,
    /// Rate in gallons a minute.
    pub rate_gpm: Option<f64>,
    /// Fluid temperature in °F.
    pub fluid_f: Option<f64>,
    /// Ambient temperature in °F.
    pub ambient_f: Option<f64>,
    /// Battery in percent.
    pub battery_percent: Option<f64>,
    /// Run time left in minutes.
    pub runtime_min: Option<f64>,
    /// Age of its fix.
    pub fix_age_ms: Option<i64>,
    /// HDOP of its fix.
    pub hdop: Option<f64>,
    /// K of its segment.
    pub k: f64,
    /// The attempt that froze it.
    pub attempt: Option<i64>,
    /// The record as it is sent, once frozen.
    pub record: Option<serde_json::Value>,
    /// `Id` at JobCloser.
    pub server_id: Option<String>,
    /// What the server said against it.
    pub message: Option<String>,
    /// What is wrong with its row, where that can't be decoded; what can't be taken of it
    /// is shown as nothing then.
    pub problem: Option<String>,
    /// Why an operator took it out of delivery.
    pub reason: Option<String>,
}

const LISTED: &str =
    "r.seq, r.boot, r.boottime_ms, m.serial, r.raw, r.unwrapped, r.share_ul, r.total_ul,
    p.job, p.event, r.lat_e7, r.lon_e7, r.flags, r.state, d.utc_s, r.meter = 0,
    coalesce(r.span IN (SELECT q.id FROM span q JOIN refusal f
        ON (f.event = q.event AND f.job = q.job) OR (f.event = '' AND f.job = '')), 0)";
const FROM: &str =
    "FROM reading r LEFT JOIN meter m ON m.id = r.meter LEFT JOIN segment s ON s.id = r.segment
    LEFT JOIN span p ON p.id = r.span LEFT JOIN delivery d ON d.seq = r.seq";

impl Filter {
    /// Whether the time asked for covers a reading; one without a time is in no range.
    fn covers(&self, row: &Listed) -> bool {
        within(self.from, self.to, || row.utc)
    }
}

impl View {
    /// Opens the queue for reading.
    ///
    /// # Errors
    /// Where it isn't there, can't be read, or is newer than the program.
    pub fn open(path: &Path) -> Result<Self, QueueError> {
        let fail = |source| QueueError::Open { path: path.to_owned(), source };
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db = Connection::open_with_flags(path, flags).map_err(fail)?;
        db.busy_timeout(Duration::from_secs(5)).map_err(fail)?;
        // SQLite opens at the first question only: who may not write beside a database that
        // nobody has open is turned away here.
        let found = schema::version(&db).map_err(|err| match err {
            QueueError::Sql { source, .. } => fail(source),
            err => err,
        })?;
        if found > schema::KNOWN {
            return Err(QueueError::Newer { path: path.to_owned(), found, known: schema::KNOWN });
        }
        Ok(Self { db, path: path.to_owned() })
    }

    /// The balance.
    ///
    /// # Errors
    /// Where the rows can't be read.
    pub fn balance(&self) -> Result<Balance, QueueError> {
        draw(&self.db)
    }

    /// The balance by reading every row: where it isn't balanced, rows are missing, which
    /// [`View::balance`] wouldn't see. Slow.
    ///
    /// # Errors
    /// Where the rows can't be read.
    pub fn audit(&self) -> Result<Balance, QueueError> {
        audit(&self.db)
    }

    /// The last reading that is committed.
    ///
    /// # Errors
    /// Where the rows can't be read.
    pub fn last_seq(&self) -> Result<Option<Seq>, QueueError> {
        self.db
            .query_row("SELECT max(seq) FROM reading", [], |r| r.get(0))
            .doing("find the last reading")
    }

    /// Jobs on hold, with the server's words; two empty ids stand for all of them.
    ///
    /// # Errors
    /// Where the rows can't be read.
    pub fn refusals(&self) -> Result<Vec<(String, String, String)>, QueueError> {
        self.db
            .prepare("SELECT event, job, message FROM refusal")
            .and_then(|mut s| s.query_map([], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))?.collect())
            .doing("list held jobs")
    }

    /// The newest closed spans, oldest first, with what is known of their records at
    /// JobCloser.
    ///
    /// # Errors
    /// Where the rows can't be read.
    pub fn closed_spans(&self) -> Result<Vec<super::verify::Closed>, QueueError> {
        super::verify::closed(&self.db)
    }

    /// The technician's pick, as [`super::Store::pick`].
    ///
    /// # Errors
    /// Where the row can't be read.
    pub fn pick(&self) -> Result<Option<Assignment>, QueueError> {
        store::pick(&self.db)
    }

    /// What a test record has shown of the server, as [`super::Store::learnt`].
    ///
    /// # Errors
    /// Where the row can't be read.
    pub fn learnt(&self) -> Result<Option<Learnt>, QueueError> {
        learnt::learnt(&self.db)
    }

    /// The assignment of the open span.
    ///
    /// # Errors
    /// Where the rows can't be read.
    pub fn open_assignment(&self) -> Result<Option<(Assignment, Origin)>, QueueError> {
        Ok(store::open_span(&self.db)?.map(|span| (span.assignment, span.origin)))
    }

    /// Readings, newest last.
    ///
    /// # Errors
    /// Where the rows can't be read.
    pub fn list(&self, filter: &Filter) -> Result<Vec<Listed>, QueueError> {
        let doing = "list readings";
        let (low, high) = filter.seq.unwrap_or((Seq(0), Seq(i64::MAX)));
        let sql = format!(
            "SELECT {LISTED} {FROM} WHERE r.seq BETWEEN ?1 AND ?2 AND r.state = coalesce(?3, r.state)
             AND r.boot = coalesce(?4, r.boot) AND coalesce(p.job = ?5, ?5 IS NULL) ORDER BY r.seq DESC"
        );
        let anchors = by_boot(&self.db)?;
        let mut statement = self.db.prepare(&sql).doing(doing)?;
        let rows = statement
            .query_map(params![low, high, filter.state, filter.boot, filter.job], |r| {
                Ok(read_any(r, &anchors).0)
            })
            .doing(doing)?;
        let mut listed = Vec::new();
        for row in rows {
            if listed.len() >= filter.limit {
                break;
            }
            let row = row.doing(doing)?;
            if filter.held.is_none_or(|held| row.held_for.is_empty() != held) && filter.covers(&row)
            {
                listed.push(row);
            }
        }
        listed.reverse();
        self.bound(&mut listed, &anchors)?;
        Ok(listed)
    }

    /// One reading.
    ///
    /// # Errors
    /// Where there is none of that number, or its row can't be read.
    pub fn show(&self, seq: Seq) -> Result<Detail, QueueError> {
        let doing = "show a reading";
        let sql = format!(
            "SELECT {LISTED}, r.rate, r.temp_fluid, r.temp_ambient, r.battery_pct, r.runtime_min, r.fix_age_ms,
             r.hdop, s.k, d.attempt, d.wire, d.server_id, d.message,
             (SELECT u.reason FROM ruling u WHERE u.seq = r.seq AND r.state IN (3, 4)) {FROM} WHERE r.seq = ?1"
        );
        let anchors = by_boot(&self.db)?;
        let mut detail = self
            .db
            .query_row(&sql, [seq], |r| Ok(detail(r, &anchors)))
            .optional()
            .doing(doing)?
            .ok_or(QueueError::NoSuchReading(seq))?;
        if detail.problem.is_none() {
            detail.problem = problem(&self.db, seq)?;
        }
        self.bound(std::slice::from_mut(&mut detail.listed), &anchors)?;
        Ok(detail)
    }
}

#[cfg(test)]
mod tests {
    use super::super::append::tests::{reading, segment};
    use super::super::{FILE, Store};
    use super::*;
    use crate::clock::{Anchor, AnchorSource, BootId, BootInstant};
    use crate::reading::{Reading, SegmentReason};

    #[test]
    fn every_row_is_dated_by_the_anchors_of_its_own_boot() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        for (boot, utc) in [("boot-1", Some(1_000_000)), ("boot-2", None), ("boot-3", Some(0))] {
            let mut store = Store::open(&path, &BootId(boot.to_owned())).unwrap();
            let opens = segment(0, 0, SegmentReason::Restart);
            store.append(&Reading { segment: opens, ..reading(2, 0, 0) }).unwrap();
            if let Some(utc) = utc.map(UtcMs) {
                let at = BootInstant(1000);
                store.add_anchor(Anchor { at, utc, err_ms: 0, source: AnchorSource::Gps }).unwrap();
            }
        }
        let rows =
            View::open(&path).unwrap().list(&Filter { limit: 9, ..Filter::default() }).unwrap();
        let times: Vec<Option<i64>> = rows.iter().map(|r| r.utc.map(|t| t.0)).collect();
        assert_eq!(times, [Some(1_001_000), None, Some(1000)]);
    }

    #[test]
    fn a_meter_without_a_serial_is_a_reason_to_hold() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        let mut store = Store::open(&path, &BootId("boot-1".to_owned())).unwrap();
        let opens = segment(0, 0, SegmentReason::First);
        let nameless = Reading { segment: opens, serial: String::new(), ..reading(2, 0, 0) };
        store.append(&nameless).unwrap();
        let detail = View::open(&path).unwrap().show(Seq(1)).unwrap();
        assert_eq!(detail.listed.held_for, [Hold::NoJob, Hold::NoTime, Hold::NoSerial]);
        assert_eq!((detail.rate_gpm, detail.k, detail.message), (Some(2.0), 100.0, None));
    }

    #[test]
    fn one_row_that_cannot_be_decoded_hides_no_other_and_says_what_is_wrong() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        let mut store = Store::open(&path, &BootId("boot-1".to_owned())).unwrap();
        let opens = segment(0, 0, SegmentReason::First);
        store.append(&Reading { segment: opens, ..reading(2, 0, 0) }).unwrap();
        store.append(&reading(7, 100, 100)).unwrap();
        for damage in ["share_ul = x'ff'", "state = 99, share_ul = 0", "flags = 'x', state = 0"] {
            store.db.execute_batch(&format!("UPDATE reading SET {damage} WHERE seq = 1")).unwrap();
            let view = View::open(&path).unwrap();
            let rows = view.list(&Filter { limit: 9, ..Filter::default() }).unwrap();
            assert_eq!(rows.len(), 2, "{damage}");
            assert_eq!(rows[0].held_for, [Hold::Unreadable], "{damage}");
            assert_eq!(rows[1].state, State::Open);
            let problem = view.show(Seq(1)).unwrap().problem.unwrap();
            let column = damage.split_whitespace().next().unwrap();
            assert!(problem.contains(column), "{damage}: {problem}");
            assert_eq!(view.show(Seq(2)).unwrap().problem, None);
            let (balance, audit) = (view.balance().unwrap(), view.audit().unwrap());
            assert_eq!(balance.recorded.readings, 2, "{damage}");
            assert_eq!(audit.states().readings, 2, "{damage}");
        }
    }
}
