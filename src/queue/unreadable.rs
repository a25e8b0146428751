//! Rows that can't be decoded: damage that left the page whole, a value that a program
//! wrote that isn't this one, an edit by hand. Says what is wrong with one; what becomes
//! of it is decided elsewhere. Knows nothing of pages that SQLite itself can't read.

use rusqlite::{Connection, Error, Row, params};
use tracing::warn;

use super::anchor::Anchors;
use super::listed::read;
use super::undated::Bounds;
use super::{Detail, Doing, Listed, QueueError};
use crate::reading::{Flags, Hold, Place, Seq, State};
use crate::units::Microlitres;

/// What is wrong with a row whose values can't be taken, by the column's name.
pub(super) fn what(row: &Row<'_>, err: &Error) -> String {
    let name = |i: &usize| row.as_ref().column_name(*i).unwrap_or("a column").to_owned();
    match err {
        Error::InvalidColumnType(_, name, found) => format!("{name} holds {found}"),
        Error::FromSqlConversionFailure(i, _, why) => format!("{}: {why}", name(i)),
        Error::IntegralValueOutOfRange(i, value) => format!("{} {value} is out of range", name(i)),
        other => other.to_string(),
    }
}

/// Sets a reading aside that can't be decoded: it is held as such, and the rest goes on. A
/// power cut before the commit leaves it open, and it is found again.
pub(super) fn set_aside(db: &Connection, seq: Seq, why: &str) -> Result<(), QueueError> {
    warn!(seq = seq.0, why, "a reading can't be decoded; it is set aside");
    db.prepare_cached("UPDATE reading SET state = ?2 WHERE seq = ?1")
        .and_then(|mut s| s.execute(params![seq, State::Unreadable]))
        .map(drop)
        .doing("set a reading aside")
}

/// Sets a reading aside that was frozen, with what it was: JobCloser may have it, so that a
/// `retry` brings it back to where it was, and what was in doubt is asked about first. One
/// transaction: a power cut before it leaves it as it was, and it is found again.
pub(super) fn set_frozen_aside(
    db: &Connection,
    seq: Seq,
    was: State,
    why: &str,
) -> Result<(), QueueError> {
    let doing = "set a frozen reading aside";
    let tx = db.unchecked_transaction().doing(doing)?;
    tx.prepare_cached("INSERT OR REPLACE INTO ruling (seq, was, reason) VALUES (?1, ?2, ?3)")
        .and_then(|mut s| s.execute(params![seq, was, why]))
        .doing(doing)?;
    set_aside(&tx, seq, why)?;
    tx.commit().doing(doing)
}

/// All of a reading that can be taken.
pub(super) fn detail(r: &rusqlite::Row<'_>, anchors: &Anchors) -> Detail {
    let (listed, problem) = read_any(r, anchors);
    let number = |i: usize| r.get::<_, Option<f64>>(i).unwrap_or_default();
    let wire: Option<Vec<u8>> = r.get(26).unwrap_or_default();
    Detail {
        listed,
        rate_gpm: number(17),
        fluid_f: number(18),
        ambient_f: number(19),
        battery_percent: number(20),
        runtime_min: number(21),
        fix_age_ms: r.get(22).unwrap_or_default(),
        hdop: number(23),
        k: number(24).unwrap_or_default(),
        attempt: r.get(25).unwrap_or_default(),
        record: wire.and_then(|wire| serde_json::from_slice(&wire).ok()),
        server_id: r.get(27).unwrap_or_default(),
        message: r.get(28).unwrap_or_default(),
        reason: r.get(29).unwrap_or_default(),
        problem,
    }
}

/// A reading, also where its row can't be decoded: then without what can't be taken of it,
/// and with what is wrong.
pub(super) fn read_any(r: &rusqlite::Row<'_>, anchors: &Anchors) -> (Listed, Option<String>) {
    let err = match read(r, anchors) {
        Ok(listed) => return (listed, None),
        Err(err) => err,
    };
    let (state, held_for) = match r.get(13) {
        Ok(State::Open | State::Unreadable) | Err(_) => (State::Unreadable, vec![Hold::Unreadable]),
        // What became of it doesn't hang on the rest of the row.
        Ok(state) => (state, Vec::new()),
    };
    let gallons = |i: usize| r.get::<_, Microlitres>(i).unwrap_or_default().gallons();
    let place = |i: usize| r.get::<_, Option<i32>>(i).unwrap_or_default();
    let place = place(10).zip(place(11)).map(|(lat_e7, lon_e7)| Place { lat_e7, lon_e7 });
    let listed = Listed {
        seq: r.get(0).unwrap_or(Seq(0)),
        boot: r.get(1).unwrap_or_default(),
        boottime_ms: r.get(2).unwrap_or_default(),
        time: None,
        utc: None,
        bounds: Bounds::default(),
        meter: r.get(3).unwrap_or_default(),
        raw: r.get(4).unwrap_or_default(),
        unwrapped: r.get(5).unwrap_or_default(),
        gallons: gallons(6),
        total_gallons: gallons(7),
        job: r.get(8).unwrap_or_default(),
        event: r.get(9).unwrap_or_default(),
        lat: place.map(Place::lat),
        lon: place.map(Place::lon),
        flags: r.get(12).unwrap_or(Flags::NONE),
        state,
        held_for,
    };
    (listed, Some(what(r, &err)))
}
