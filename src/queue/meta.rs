//! The few facts that belong to the database as a whole, as named text values.

use rusqlite::{Connection, OptionalExtension, params};

use super::{Doing, QueueError};

/// Keys of `meta`.
pub mod key {
    /// Five base32 characters that tell this database from every other.
    pub const DATABASE: &str = "database_id";
    /// The technician's pick, as JSON.
    pub const PICK: &str = "pick";
    /// Where the counting goes on while there is no reading yet.
    pub const POSITION: &str = "position";
    /// The database's own numbers and ids begin above this one: what is below it was carried
    /// over from a damaged one.
    pub const FROM: &str = "numbers_from";
    /// Readings and microlitres that a damaged database had pruned, and this one counts.
    pub const TOOK: &str = "took_pruned";
    /// What is known of the readings that were to be carried over, as JSON by file.
    pub const CARRYING: &str = "carrying";
    /// What a test record has shown of the server, as JSON.
    pub const LEARNT: &str = "learnt";
    /// The highest sequence number that pruning has taken out.
    pub const LAST_SEQ: &str = "last_seq";
    /// What the last full check found, as JSON.
    pub const CHECKED: &str = "checked";
    /// The day of the last pruning, in days since 1970, and how many rows went on it.
    pub const PRUNED: &str = "pruned";
}

/// A value, if it is there.
pub fn get(db: &Connection, key: &str) -> Result<Option<String>, QueueError> {
    db.prepare_cached("SELECT value FROM meta WHERE key = ?1")
        .and_then(|mut s| s.query_row([key], |row| row.get(0)).optional())
        .doing("read a setting of its own")
}

/// A value that is a number; 0 where there is none.
pub fn number(db: &Connection, key: &str) -> Result<i64, QueueError> {
    Ok(get(db, key)?.and_then(|text| text.parse().ok()).unwrap_or(0))
}

/// Sets a value.
pub fn set(db: &Connection, key: &str, value: &str) -> Result<(), QueueError> {
    db.execute(
        "INSERT INTO meta VALUES (?1, ?2) ON CONFLICT DO UPDATE SET value = ?2",
        params![key, value],
    )
    .map(drop)
    .doing("keep a setting of its own")
}

/// Forgets a value.
pub fn unset(db: &Connection, key: &str) -> Result<(), QueueError> {
    db.execute("DELETE FROM meta WHERE key = ?1", [key])
        .map(drop)
        .doing("forget a setting of its own")
}
