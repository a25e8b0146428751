//! Reading what can be read of the readings in a damaged database, some rows at a time and in
//! the order of their numbers, around pages that can't be. Changes nothing anywhere, and
//! judges no value.

use std::path::Path;

use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, params};

use super::super::file::databases_in;
use super::super::{Doing, FILE, QueueError};

const DOING: &str = "read a damaged queue";

/// Rows in a part: so many are written in one transaction, which an append may wait for.
const TOGETHER: usize = 200;
/// A page holds more than so many readings, so that steps of this find each page.
const STEP: i64 = 8;
/// After so many steps in vain they double: a whole branch is gone, not a page.
const DOUBLE_AFTER: u32 = 1024;

/// The columns of a reading, in the order in which [`Raw::reading`] has them.
pub(super) const READING: &str = "seq, boot, boottime_ms, meter, segment, span, raw, meter_seq,
    unwrapped, share_ul, total_ul, odometer_ul, rate, temp_fluid, temp_ambient, battery_pct,
    runtime_min, lat_e7, lon_e7, fix_age_ms, hdop, flags, state";
const DELIVERY: &str = "seq, attempt, span, meter, utc_s, offset_min, wire, server_id, message";

/// A reading as it lies there, and what belongs to it as far as that can be read.
#[derive(Debug)]
pub(super) struct Raw {
    pub seq: i64,
    pub reading: Vec<Value>,
    pub delivery: Option<Vec<Value>>,
    pub attempt: Option<Vec<Value>>,
    pub ruling: Option<Vec<Value>>,
}

/// Some of them.
#[derive(Debug)]
pub struct Part {
    /// The number it was read from.
    pub(super) from: i64,
    pub(super) rows: Vec<Raw>,
    /// Numbers between which nothing can be read.
    pub(super) gap: Option<(i64, i64)>,
    /// Where the next part begins; `None` at the end.
    pub(super) next: Option<i64>,
}

/// A damaged database that is read.
#[derive(Debug)]
pub struct Damaged {
    db: Connection,
    /// No number is above this.
    last: i64,
}

/// Opens the database in a directory that it was set aside in.
pub(super) fn open(aside: &Path) -> Result<Connection, QueueError> {
    let files = databases_in(aside);
    let file = files.first().map_or_else(|| aside.join(FILE), Clone::clone);
    let fail = |source| QueueError::Open { path: file.clone(), source };
    Connection::open_with_flags(&file, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(fail)
}

impl Damaged {
    /// Opens the one in directory `aside`, whose numbers end at `last`.
    ///
    /// # Errors
    /// Where the file can't be opened.
    pub fn open(aside: &Path, last: i64) -> Result<Self, QueueError> {
        Ok(Self { db: open(aside)?, last })
    }

    /// Reads on from a number. With `patience` a disk that fails to read is an error, since
    /// it may read later; without, what it doesn't read is passed over as a damaged page is.
    ///
    /// # Errors
    /// Where the database can't be read for another reason than damage.
    pub fn read(&self, from: i64, patience: bool) -> Result<Part, QueueError> {
        let mut rows = Vec::new();
        let broken = self.read_rows(from, &mut rows);
        let next = rows.last().map_or(from, |raw: &Raw| raw.seq + 1);
        if let Err(err) = broken {
            if !passes(&err, patience) {
                return Err(err).doing(DOING);
            }
            if rows.is_empty() {
                let found = self.next_after(from, patience)?;
                let gap = Some((from, found.map_or(self.last, |seq| seq - 1)));
                return Ok(Part { from, rows, gap, next: found });
            }
        } else if rows.len() < TOGETHER {
            return self.completed(Part { from, rows, gap: None, next: None }, patience);
        }
        self.completed(Part { from, rows, gap: None, next: Some(next) }, patience)
    }

    fn read_rows(&self, from: i64, into: &mut Vec<Raw>) -> rusqlite::Result<()> {
        let sql = format!(
            "SELECT {READING} FROM reading WHERE seq >= ?1 AND seq <= ?2 ORDER BY seq LIMIT ?3"
        );
        let mut statement = self.db.prepare_cached(&sql)?;
        let mut rows = statement.query(params![from, self.last, TOGETHER as i64])?;
        let mut expected = from;
        while let Some(row) = rows.next()? {
            let seq = row.get(0)?;
            // Pages of two ages may both have a row.
            if seq < expected {
                continue;
            }
            expected = seq + 1;
            let (delivery, attempt, ruling) = (None, None, None);
            into.push(Raw { seq, reading: values(row)?, delivery, attempt, ruling });
        }
        Ok(())
    }

    /// With what belongs to the readings. What can't be read of it is as if it weren't there.
    fn completed(&self, mut part: Part, patience: bool) -> Result<Part, QueueError> {
        let delivery = format!("SELECT {DELIVERY} FROM delivery WHERE seq = ?1");
        let attempt = "SELECT id, span, boot, started, outcome FROM attempt WHERE id = ?1";
        let ruling = "SELECT seq, was, reason FROM ruling WHERE seq = ?1";
        let mut seen = Value::Null;
        for raw in &mut part.rows {
            raw.delivery = self.one(&delivery, &Value::Integer(raw.seq), patience)?;
            raw.ruling = self.one(ruling, &Value::Integer(raw.seq), patience)?;
            let id = raw.delivery.as_ref().and_then(|d| d.get(1)).filter(|id| **id != seen);
            if let Some(id) = id.cloned() {
                raw.attempt = self.one(attempt, &id, patience)?;
                seen = id;
            }
        }
        Ok(part)
    }

    fn one(&self, sql: &str, id: &Value, patience: bool) -> Result<Option<Vec<Value>>, QueueError> {
        // A table that an older schema doesn't have.
        let Ok(mut statement) = self.db.prepare_cached(sql) else { return Ok(None) };
        match statement.query_row([id], values).optional() {
            Err(err) if passes(&err, patience) => Ok(None),
            found => found.doing(DOING),
        }
    }

    /// The first number after a place that can't be read which can; `None` at the end.
    fn next_after(&self, from: i64, patience: bool) -> Result<Option<i64>, QueueError> {
        let (mut bad, mut step, mut steps) = (from, STEP, 0_u32);
        let (mut good, mut found) = loop {
            let at = bad.saturating_add(step);
            if at > self.last {
                match self.first_from(self.last, patience)? {
                    Some(found) => break (self.last, found),
                    None => return Ok(None),
                }
            }
            if let Some(found) = self.first_from(at, patience)? {
                break (at, found);
            }
            (bad, steps) = (at, steps + 1);
            if steps.is_multiple_of(DOUBLE_AFTER) {
                step = step.saturating_mul(2);
            }
        };
        while good - bad > 1 {
            let middle = bad + (good - bad) / 2;
            match self.first_from(middle, patience)? {
                Some(earlier) => (good, found) = (middle, earlier),
                None => bad = middle,
            }
        }
        Ok(found.filter(|seq| *seq <= self.last))
    }

    /// The first number from one on, if there is one; `None` where that can't be read.
    fn first_from(&self, seq: i64, patience: bool) -> Result<Option<Option<i64>>, QueueError> {
        let asked = self
            .db
            .prepare_cached("SELECT seq FROM reading WHERE seq >= ?1 ORDER BY seq LIMIT 1")
            .and_then(|mut s| s.query_row([seq], |r| r.get(0)).optional());
        match asked {
            Err(err) if passes(&err, patience) => Ok(None),
            asked => asked.map(Some).doing(DOING),
        }
    }
}

/// Whether what can't be read for this is passed over.
fn passes(err: &rusqlite::Error, patience: bool) -> bool {
    match err.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => true,
        Some(ErrorCode::SystemIoFailure) => !patience,
        // It has no such table: it is empty, or the schema itself is damaged.
        Some(ErrorCode::Unknown) => true,
        None => matches!(err, rusqlite::Error::SqlInputError { .. }),
        _ => false,
    }
}

/// All of a row as it lies there. A text that is none is told by its bytes, so that it fits
/// no column of texts, and stands in the way of nothing else.
pub(super) fn values(row: &rusqlite::Row<'_>) -> rusqlite::Result<Vec<Value>> {
    let value = |i| {
        let there = row.get_ref(i)?;
        Ok(match there {
            ValueRef::Text(bytes) => {
                Value::try_from(there).unwrap_or_else(|_| Value::Blob(bytes.to_vec()))
            }
            _ => row.get(i)?,
        })
    };
    (0..row.as_ref().column_count()).map(value).collect()
}
