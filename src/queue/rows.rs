//! How words are written in columns, in both directions. A value that no word stands
//! for becomes an SQL error, never a guess.

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, Value, ValueRef};

use rusqlite::Connection;

use super::{Doing, QueueError, meta};
use crate::clock::{AnchorSource, BootInstant, UtcMs};
use crate::reading::{Flags, Origin, SegmentId, SegmentReason, Seq, SpanId, State};
use crate::units::Microlitres;

/// A number of the meter as SQLite's signed integer.
pub fn integer(what: &'static str, value: u64) -> Result<i64, QueueError> {
    i64::try_from(value).map_err(|_| QueueError::Range { what, value })
}

/// The id of the next row of a table: above all that are there, and all that a damaged
/// database may have given out.
pub fn next_id(db: &Connection, table: &'static str) -> Result<i64, QueueError> {
    let from = meta::number(db, meta::key::FROM)?;
    db.prepare_cached(&format!("SELECT max(coalesce(max(id), 0), ?1) + 1 FROM {table}"))
        .and_then(|mut s| s.query_row([from], |r| r.get(0)))
        .doing("number a row")
}

/// Newtypes around one integer.
macro_rules! integers {
    ($($word:ident),*) => {$(
        impl ToSql for $word {
            fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
                Ok(ToSqlOutput::Owned(Value::Integer(self.0)))
            }
        }
        impl FromSql for $word {
            fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
                value.as_i64().map($word)
            }
        }
    )*};
}

integers!(Seq, SegmentId, SpanId, BootInstant, UtcMs, Microlitres);

/// Words of which each has a fixed text or number in the schema.
macro_rules! coded {
    ($word:ident, $($variant:ident = $code:expr),+ $(,)?) => {
        impl ToSql for $word {
            fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
                Ok(match self { $($word::$variant => ToSqlOutput::from($code)),+ })
            }
        }
        impl FromSql for $word {
            fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
                $(if ValueRef::from(&Value::from($code.to_owned())) == value { return Ok($word::$variant); })+
                Err(FromSqlError::InvalidType)
            }
        }
    };
}

coded!(
    State,
    Open = 0_i64,
    InDoubt = 1_i64,
    Sent = 2_i64,
    Rejected = 3_i64,
    Discarded = 4_i64,
    Deleted = 5_i64,
    TimeConflict = 6_i64,
    Unreadable = 7_i64,
);
coded!(AnchorSource, System = "system", Gps = "gps", Operator = "operator");
coded!(Origin, Pick = "pick", Fixed = "fixed", Assigned = "assigned");
coded!(
    SegmentReason,
    First = "first",
    Restart = "restart",
    Calibration = "calibration",
    Meter = "meter",
    Rebase = "rebase",
);

impl ToSql for Flags {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Owned(Value::Integer(i64::from(self.bits()))))
    }
}

impl FromSql for Flags {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let bits = value.as_i64()?;
        u32::try_from(bits).map(Self::from_bits).map_err(|_| FromSqlError::OutOfRange(bits))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_comes_back_as_it_was_written() {
        let db = rusqlite::Connection::open_in_memory().unwrap();
        let back =
            |state: State| -> State { db.query_row("SELECT ?1", [state], |r| r.get(0)).unwrap() };
        for state in [
            State::Open,
            State::InDoubt,
            State::Sent,
            State::Rejected,
            State::TimeConflict,
            State::Unreadable,
        ] {
            assert_eq!(back(state), state);
        }
        let source: AnchorSource =
            db.query_row("SELECT ?1", [AnchorSource::Gps], |r| r.get(0)).unwrap();
        assert_eq!(source, AnchorSource::Gps);
    }

    #[test]
    fn a_code_that_no_word_stands_for_is_an_error() {
        let db = rusqlite::Connection::open_in_memory().unwrap();
        assert!(db.query_row("SELECT 99", [], |r| r.get::<_, State>(0)).is_err());
        assert!(db.query_row("SELECT 'moon'", [], |r| r.get::<_, AnchorSource>(0)).is_err());
    }
}
