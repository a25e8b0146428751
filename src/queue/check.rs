//! The full check of a database: every page, every entry of every index, every reference. It
//! reads through a connection of its own, in a thread of its own at the lowest priority, so
//! that neither recording nor delivery waits for it. Knows neither when it is due nor what
//! becomes of what it finds.
//!
//! Each statement is one read transaction, and while it lasts the log only grows: checkpoints
//! can't begin it anew. So the whole is checked at once, which alone sees pages that two
//! tables claim, and where the log grows too large meanwhile table by table. Where it still
//! does, the check is given up.

mod message;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, InterruptHandle, OpenFlags};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::balance::audit;
use super::{Doing, QueueError};
use crate::cause::chain;
use message::Message;

const DOING: &str = "check the whole queue";

/// So many things that are wrong are told of one table, and of all of them: more of them say
/// no more.
const TOLD: usize = 100;
/// Bytes that the log may have while a check holds it: as many as those at which the writer
/// helps with checkpoints, and where it has more already none beyond.
const LOG: u64 = 64 << 20;
/// And so many more for checking table by table after that.
const LOG_MORE: u64 = 16 << 20;
/// How often the log is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// An interrupt that comes between two statements is lost, and so it is said again.
const SAY_AGAIN: Duration = Duration::from_millis(10);
/// The lowest there is, for this thread alone.
const NICE: i32 = 19;

/// What a full check found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Finding {
    /// What makes the database a damaged one.
    pub damage: Vec<String>,
    /// Indexes that lack entries, and nothing more: all that they say is in the tables.
    pub indexes: Vec<String>,
    /// Rows with values that no program wrote, or that refer to nothing. The rest is whole.
    pub rows: Vec<String>,
}

/// How a check ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// All of it was read.
    Done(Finding, Duration),
    /// The log grew too large meanwhile, or it was told to end.
    GivenUp,
}

/// What the thread is told.
const GO_ON: u8 = 0;
const GIVE_WAY: u8 = 1;
const END: u8 = 2;

/// A check that is under way.
pub struct Examination {
    told: Arc<AtomicU8>,
    interrupt: InterruptHandle,
    done: oneshot::Receiver<Result<Ended, QueueError>>,
    log: PathBuf,
    log_at_most: u64,
}

impl std::fmt::Debug for Examination {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Examination").field("log", &self.log).finish_non_exhaustive()
    }
}

impl Examination {
    /// Begins one of the database in `file`.
    ///
    /// # Errors
    /// Where it can't be opened, or there is no thread.
    pub fn begin(file: &Path) -> Result<Self, QueueError> {
        let fail = |source| QueueError::Open { path: file.to_owned(), source };
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db = Connection::open_with_flags(file, flags).map_err(fail)?;
        db.busy_timeout(Duration::from_secs(5)).map_err(fail)?;
        let interrupt = db.get_interrupt_handle();
        let told = Arc::new(AtomicU8::new(GO_ON));
        let (reply, done) = oneshot::channel();
        let orders = Arc::clone(&told);
        let work = move || {
            // Where that isn't allowed it works all the same.
            let _ = rustix::process::setpriority_process(None, NICE);
            let ended = examine(&db, &orders);
            // Who waits for the end may move the file away.
            drop(db);
            let _ = reply.send(ended);
        };
        std::thread::Builder::new().name("check".to_owned()).spawn(work).map_err(|_| {
            QueueError::Refused("there is no thread to check the queue with".to_owned())
        })?;
        let mut log = file.as_os_str().to_owned();
        log.push("-wal");
        let log = PathBuf::from(log);
        let log_at_most = size(&log).max(LOG);
        Ok(Self { told, interrupt, done, log, log_at_most })
    }

    /// Waits for its end, with signs of life. Whoever stops waiting is to [`Self::end`] it.
    ///
    /// # Errors
    /// Where the database can't be read, for another reason than damage.
    pub async fn ended(&mut self, beat: impl Fn()) -> Result<Ended, QueueError> {
        loop {
            if let Ok(ended) = timeout(LOOK_EVERY, &mut self.done).await {
                return ended.map_err(|_| QueueError::Closed)?;
            }
            beat();
            // The file of the log never shrinks, so that it is growth which counts.
            let now = size(&self.log);
            if now > self.log_at_most {
                self.log_at_most = now + LOG_MORE;
                self.told.store(GIVE_WAY, Ordering::SeqCst);
                self.interrupt.interrupt();
            }
        }
    }

    /// Ends it at once, wherever it is; returns when its connection is closed.
    pub async fn end(mut self) {
        self.told.store(END, Ordering::SeqCst);
        loop {
            self.interrupt.interrupt();
            if timeout(SAY_AGAIN, &mut self.done).await.is_ok() {
                return;
            }
        }
    }
}

fn size(log: &Path) -> u64 {
    std::fs::metadata(log).map_or(0, |log| log.len())
}

fn examine(db: &Connection, told: &AtomicU8) -> Result<Ended, QueueError> {
    let begun = Instant::now();
    let mut messages = Vec::new();
    match read_all(db, told, &mut messages) {
        Ok(()) => {}
        Err(err) if err.is_damage() => messages.push(Message::Damage(chain(&err))),
        Err(err) if interrupted(&err) => return Ok(Ended::GivenUp),
        Err(err) => return Err(err),
    }
    Ok(Ended::Done(message::sorted(messages, TOLD), begun.elapsed()))
}

fn read_all(
    db: &Connection,
    told: &AtomicU8,
    messages: &mut Vec<Message>,
) -> Result<(), QueueError> {
    match integrity(db, &TOLD.to_string(), messages) {
        Ok(()) => {}
        Err(err) if interrupted(&err) && told.load(Ordering::SeqCst) == GIVE_WAY => {
            told.store(GO_ON, Ordering::SeqCst);
            messages.clear();
            for table in tables(db)? {
                still_wanted(told)?;
                integrity(db, &format!("\"{}\"", table.replace('"', "\"\"")), messages)?;
            }
        }
        Err(err) => return Err(err),
    }
    still_wanted(told)?;
    messages.extend(references(db)?);
    still_wanted(told)?;
    // Of an index of some rows only SQLite doesn't say that it has too many entries; rows that
    // an older copy of a page has lost are missed here.
    if !audit(db)?.balanced() {
        messages.push(Message::Row("the rows do not add up to what was recorded".to_owned()));
    }
    Ok(())
}

/// Says as SQLite would where the word came between two statements.
fn still_wanted(told: &AtomicU8) -> Result<(), QueueError> {
    if told.load(Ordering::SeqCst) == GO_ON {
        return Ok(());
    }
    let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_INTERRUPT);
    Err(rusqlite::Error::SqliteFailure(code, None)).doing(DOING)
}

fn interrupted(err: &QueueError) -> bool {
    let QueueError::Sql { source, .. } = err else { return false };
    // While a statement is prepared SQLite has no code for it but that of a mistake.
    let preparing =
        matches!(source, rusqlite::Error::SqliteFailure(_, Some(said)) if said == "interrupted");
    preparing || source.sqlite_error_code() == Some(ErrorCode::OperationInterrupted)
}

/// Of a table, or of all there is: then the number of messages. Those that came before an
/// error say more than it does.
fn integrity(db: &Connection, of: &str, messages: &mut Vec<Message>) -> Result<(), QueueError> {
    let mut statement = db.prepare(&format!("PRAGMA integrity_check({of})")).doing(DOING)?;
    let mut rows = statement.query([]).doing(DOING)?;
    while let Some(row) = rows.next().doing(DOING)? {
        messages.extend(message::read(&row.get::<_, String>(0).doing(DOING)?));
    }
    Ok(())
}

fn tables(db: &Connection) -> Result<Vec<String>, QueueError> {
    db.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'")
        .and_then(|mut s| s.query_map([], |r| r.get(0))?.collect())
        .doing(DOING)
}

/// Rows that refer to what isn't there.
fn references(db: &Connection) -> Result<Vec<Message>, QueueError> {
    let mut statement = db
        .prepare("SELECT \"table\", rowid, parent FROM pragma_foreign_key_check LIMIT ?1")
        .doing(DOING)?;
    let mut rows = statement.query([TOLD as i64]).doing(DOING)?;
    let mut messages = Vec::new();
    while let Some(row) = rows.next().doing(DOING)? {
        let text = |i| row.get::<_, String>(i).doing(DOING);
        let (table, parent) = (text(0)?, text(2)?);
        // A table without row numbers has none.
        let row: Option<i64> = row.get(1).doing(DOING)?;
        let row = row.map(|n| format!(" {n}")).unwrap_or_default();
        messages.push(Message::Row(format!("row{row} of {table} refers to no {parent}")));
    }
    Ok(messages)
}

#[cfg(test)]
mod tests;
