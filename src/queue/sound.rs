//! Whether a database is fit to begin with: its header and size, its schema, and its small
//! tables, read whole. What can't be seen without reading every row is left to the full
//! check, so that a start takes no longer with a million of them. Only looks, and names what
//! it finds.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, ErrorKind, Read};
use std::path::Path;

use rusqlite::Connection;
use rusqlite::types::ValueRef;
use tracing::warn;

use super::{Doing, QueueError, meta, schema, wal};
use crate::cause::chain;
use crate::jobcloser::note::Tag;
use crate::reading::{Assignment, Origin, SegmentReason, State};

const DOING: &str = "look whether it is sound";

/// Tables whose rows are few, and without which many readings can't be told. Not `standing`,
/// which adds up whatever the readings hold.
const SMALL: [&str; 11] = [
    "meta",
    "boot",
    "anchor",
    "meter",
    "segment",
    "span",
    "stretch",
    "refusal",
    "tally",
    "verification",
    "carried",
];

/// Bytes of SQLite's header.
const HEADER: usize = 100;
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// Looks at the files of a database, before SQLite does: it takes an empty one for a new one,
/// deletes its log, and drops what is behind a bad frame of a log without a word.
///
/// # Errors
/// Where they are damaged; what can't be read is for SQLite to say.
pub(super) fn files(path: &Path) -> Result<(), QueueError> {
    let Ok(mut file) = File::open(path) else { return Ok(()) };
    let beside = |end: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(end);
        name
    };
    // A journal is what a power cut left of its making; SQLite takes it back.
    if std::fs::metadata(beside("-journal")).is_ok_and(|journal| journal.len() > 0) {
        return Ok(());
    }
    let log = match File::open(beside("-wal")).and_then(|log| wal::read(&mut BufReader::new(log))) {
        Err(err) if err.kind() == ErrorKind::NotFound => wal::Log::default(),
        // Without it what the file lacks says nothing.
        Err(_) => return Ok(()),
        Ok(log) => log,
    };
    if let Some(wal::Damage { frame, commits }) = log.damage {
        return Err(QueueError::Log { path: path.to_owned(), frame, commits });
    }
    let (Ok(len), mut head) = (file.metadata().map(|m| m.len()), [0; HEADER]) else {
        return Ok(());
    };
    let found = match (len, file.read_exact(&mut head)) {
        // Its first page is on the disk before there is a log.
        (0, _) => (log.pages > 0).then(|| "the file is empty, and its log is not".to_owned()),
        (_, Ok(())) => header(&head, len, &log),
        (len, Err(_)) => Some(format!("the file ends after {len} bytes")),
    };
    found.map_or(Ok(()), |found| Err(unsound(path, found)))
}

/// What is wrong with a header, or with the size of the file by it.
fn header(head: &[u8; HEADER], len: u64, log: &wal::Log) -> Option<String> {
    if !head.starts_with(MAGIC) {
        return Some("the file is not a database, by its first bytes".to_owned());
    }
    let word = |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let page = match u64::from(word(14) & 0xffff) {
        // It has two bytes.
        1 => 65_536,
        page => page,
    };
    if !page.is_power_of_two() || page < 512 {
        return Some(format!("its header says that a page has {page} bytes"));
    }
    // The number counts only with the version that it was written with.
    let by_header = if word(24) == word(92) { word(28) } else { 0 };
    let pages = if log.pages > 0 { log.pages } else { by_header };
    let there = u32::try_from(len / page).unwrap_or(u32::MAX);
    let lost = (there.saturating_add(1)..=pages).filter(|page| !log.holds.contains(page)).count();
    (lost > 0).then(|| format!("the file is cut short: {lost} of its {pages} pages are missing"))
}

/// Looks at the schema and at the small tables.
///
/// # Errors
/// Where they aren't what this program makes, or can't be read.
pub(super) fn tables(db: &Connection, path: &Path) -> Result<(), QueueError> {
    let fresh = || -> Result<_, QueueError> {
        let mut fresh = Connection::open_in_memory().doing(DOING)?;
        schema::migrate(&mut fresh)?;
        objects(&fresh)
    };
    let there = objects(db)?;
    for ((kind, name), made) in fresh()? {
        let what = match there.get(&(kind.clone(), name.clone())) {
            None => "is missing",
            Some(sql) if *sql != made => "is not as it was made",
            // Others beside them are somebody's own.
            Some(_) => continue,
        };
        return Err(unsound(path, format!("the {kind} {name} {what}")));
    }
    for table in SMALL {
        if let Some(found) = rows_of(db, table)? {
            return Err(unsound(path, format!("{table}: {found}")));
        }
    }
    words(db)
}

type Objects = HashMap<(String, String), String>;

fn objects(db: &Connection) -> Result<Objects, QueueError> {
    db.prepare("SELECT type, name, coalesce(sql, '') FROM sqlite_schema")
        .and_then(|mut s| s.query_map([], |r| Ok(((r.get(0)?, r.get(1)?), r.get(2)?)))?.collect())
        .doing(DOING)
}

/// The first value of a table that isn't of its column's type.
fn rows_of(db: &Connection, table: &str) -> Result<Option<String>, QueueError> {
    let columns: Vec<(String, String, bool)> = db
        .prepare("SELECT name, type, \"notnull\" OR pk > 0 FROM pragma_table_info(?1)")
        .and_then(|mut s| {
            s.query_map([table], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))?.collect()
        })
        .doing(DOING)?;
    let mut statement = db.prepare(&format!("SELECT * FROM {table}")).doing(DOING)?;
    let mut rows = statement.query([]).doing(DOING)?;
    let mut nth = 0;
    while let Some(row) = rows.next().doing(DOING)? {
        nth += 1;
        for (i, (name, kind, needed)) in columns.iter().enumerate() {
            let fits = match (row.get_ref(i).doing(DOING)?, kind.as_str()) {
                (ValueRef::Null, _) => !needed,
                (ValueRef::Integer(_), "INTEGER") | (ValueRef::Real(_), "REAL") => true,
                (ValueRef::Text(text), "TEXT") => std::str::from_utf8(text).is_ok(),
                _ => false,
            };
            if !fits {
                return Ok(Some(format!("{name} of row {nth} is no {kind}")));
            }
        }
    }
    Ok(None)
}

/// The words that stand for something, and the two values that everything hangs on.
fn words(db: &Connection) -> Result<(), QueueError> {
    let every = |sql: &str, read: &dyn Fn(&rusqlite::Row<'_>) -> rusqlite::Result<()>| {
        db.prepare(sql)
            .and_then(|mut s| s.query_map([], |r| read(r))?.collect::<Result<(), _>>())
            .doing(DOING)
    };
    every("SELECT reason FROM segment", &|r| r.get::<_, SegmentReason>(0).map(drop))?;
    every("SELECT origin FROM span", &|r| r.get::<_, Origin>(0).map(drop))?;
    every("SELECT state FROM tally", &|r| r.get::<_, State>(0).map(drop))?;
    if meta::get(db, meta::key::DATABASE)?.is_some_and(|tag| Tag::parse(&tag).is_none()) {
        let why = "the queue's id is none".into();
        let err = rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, why);
        return Err(err).doing(DOING);
    }
    // A fresh database would have none either.
    let pick = meta::get(db, meta::key::PICK)?;
    if pick.is_some_and(|text| serde_json::from_str::<Assignment>(&text).is_err()) {
        warn!("the picked job can't be read and counts as none; pick it again");
    }
    Ok(())
}

/// What a start can't read isn't fit to go on with: it would fail again at every start. Other
/// failures, of the disk or by another program, pass.
pub(super) fn or_unsound<T>(path: &Path, read: Result<T, QueueError>) -> Result<T, QueueError> {
    use rusqlite::Error;
    read.map_err(|err| match &err {
        QueueError::Sql {
            source:
                Error::InvalidColumnType(..)
                | Error::FromSqlConversionFailure(..)
                | Error::IntegralValueOutOfRange(..)
                | Error::Utf8Error(..)
                | Error::QueryReturnedNoRows
                // A statement that doesn't fit its tables.
                | Error::SqlInputError { .. },
            ..
        } => unsound(path, chain(&err)),
        _ => err,
    })
}

fn unsound(path: &Path, found: String) -> QueueError {
    QueueError::Unsound { path: path.to_owned(), found }
}

#[cfg(test)]
mod tests;
