//! Jobs that the server refuses as a whole: their readings are held, not rejected, until
//! an operator asks for another try.

use rusqlite::{Connection, params};

use super::{Doing, QueueError, Store};
use crate::delivery::JobKey;

/// Holds a job, or with `None` everything, with the server's words.
pub(super) fn hold(db: &Connection, key: Option<&JobKey>, message: &str) -> Result<(), QueueError> {
    let (event, job) = key.map_or(("", ""), |k| (&k.event, &k.job));
    db.execute(
        "INSERT INTO refusal VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET message = ?3",
        params![event, job, message],
    )
    .map(drop)
    .doing("hold a job")
}

/// Lets every held job be tried again; says how many there were.
pub(super) fn lift(db: &Connection) -> Result<usize, QueueError> {
    db.execute("DELETE FROM refusal", []).doing("let held jobs be tried again")
}

impl Store {
    /// Lets every held job be tried again; says how many there were.
    ///
    /// # Errors
    /// Where it can't be written.
    pub fn allow_all(&mut self) -> Result<usize, QueueError> {
        lift(&self.db)
    }
}
