//! The writing connection and what it remembers between transactions: which boot this
//! is, the last reading, the open span. All of it is read back from the rows at start,
//! so that a power cut can't make the two disagree.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use super::newest::{last_reading, opened};
use super::rows::next_id;
use super::{Doing, QueueError, meta};
use super::{aside, carry, schema, sound};
use crate::clock::{Anchor, BootId, BootInstant};
use crate::failpoint;
use crate::jobcloser::note::Tag;
use crate::reading::{Assignment, NewSegment, Origin, SegmentId, Seq, SpanId};
use crate::units::Microlitres;

/// Statements that are kept prepared: more than appending, freezing and settling use between
/// them, so that none is prepared anew for each batch. Each takes some kilobytes.
const STATEMENTS: usize = 64;

/// The queue's one writer.
#[derive(Debug)]
pub struct Store {
    pub(super) db: Connection,
    pub(super) path: PathBuf,
    /// Row id of the running boot.
    pub(super) boot: i64,
    /// Five base32 characters of this database.
    pub(super) tag: String,
    pub(super) last: Option<Last>,
    pub(super) span: Option<OpenSpan>,
    pub(super) last_seq: Seq,
    pub(super) odometer: Microlitres,
    /// Anchors by boot, as they are in the database.
    pub(super) anchors: HashMap<i64, Vec<Anchor>>,
    /// The span up to which the last turn has looked for jobs to be verified.
    pub(super) looked_to: i64,
}

/// The last reading's place in the counts.
#[derive(Debug, Clone)]
pub(super) struct Last {
    pub serial: String,
    pub meter: i64,
    pub segment: SegmentId,
    pub position: Position,
}

/// Where the counting goes on after a start: the meter's last reading, and nothing else.
#[derive(Debug, Clone, PartialEq)]
pub struct Position {
    /// The meter's serial number.
    pub serial: String,
    /// Raw count.
    pub raw: u64,
    /// The message's sequence number.
    pub meter_seq: Option<u16>,
    /// Unwrapped count.
    pub unwrapped: u64,
    /// When, if in this boot.
    pub at: Option<BootInstant>,
    /// K of its segment, in counts a gallon.
    pub k: f64,
    /// Where its segment began, or after a start the open span in it, if that is later.
    pub segment: SegmentStart,
}

/// Where a segment began.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SegmentStart {
    /// Raw count.
    pub raw: u64,
    /// Unwrapped count.
    pub unwrapped: u64,
    /// (Hz, K) points in force, in their text.
    pub points: String,
}

impl SegmentStart {
    /// Of one that opens.
    pub fn of(new: &NewSegment) -> Self {
        Self { raw: new.raw_start, unwrapped: new.unwrapped_start, points: new.points.clone() }
    }
}

/// The span that readings go to.
#[derive(Debug, Clone)]
pub(super) struct OpenSpan {
    pub id: SpanId,
    pub assignment: Assignment,
    pub origin: Origin,
    pub total: Microlitres,
    /// Whether a reading belongs to it already.
    pub begun: bool,
    /// Segments that it has met so far.
    pub stretches: i64,
    pub last_segment: SegmentId,
}

impl Store {
    /// Opens the queue in `path`, creating or migrating it. A fresh one takes over from
    /// a damaged one that was set aside before it.
    ///
    /// # Errors
    /// Where it can't be opened, is damaged, or was written by a newer program.
    pub fn open(path: &Path, boot: &BootId) -> Result<Self, QueueError> {
        let fail = |source| QueueError::Open { path: path.to_owned(), source };
        if let Some(dir) = path.parent() {
            aside::finish(dir)?;
        }
        sound::files(path)?;
        let mut db = Connection::open(path).map_err(fail)?;
        // Where it turns out to be damaged, closing it must not write its log into it.
        no_checkpoint_at_close(&db, true).map_err(fail)?;
        db.busy_timeout(Duration::from_secs(5)).map_err(fail)?;
        // The version is looked at before anything is written: a newer database stays as
        // it is, journal mode included.
        let found = schema::version(&db)?;
        if found > schema::KNOWN {
            return Err(QueueError::Newer { path: path.to_owned(), found, known: schema::KNOWN });
        }
        db.set_prepared_statement_cache_capacity(STATEMENTS);
        // FULL syncs the WAL at every commit: the promise of rule 3.
        db.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;",
        )
        .map_err(fail)?;
        sound::or_unsound(path, schema::migrate(&mut db))?;
        sound::or_unsound(path, sound::tables(&db, path))?;
        let mut store = Self {
            db,
            path: path.to_owned(),
            boot: 0,
            tag: String::new(),
            last: None,
            span: None,
            last_seq: Seq(0),
            odometer: Microlitres::ZERO,
            anchors: HashMap::new(),
            looked_to: 0,
        };
        let begun = store.begin_with(boot);
        sound::or_unsound(path, begun)?;
        no_checkpoint_at_close(&store.db, false).map_err(fail)?;
        Ok(store)
    }

    fn begin_with(&mut self, boot: &BootId) -> Result<(), QueueError> {
        self.tag = self.database_tag()?;
        self.boot = self.boot_row(boot)?;
        self.reload()
    }

    /// Where the counting goes on.
    pub fn position(&self) -> Option<Position> {
        self.last.as_ref().map(|last| last.position.clone())
    }

    /// The assignment of the open span.
    pub fn open_assignment(&self) -> Option<(Assignment, Origin)> {
        self.span.as_ref().map(|s| (s.assignment.clone(), s.origin))
    }

    /// The last reading that was recorded, 0 before the first.
    pub fn last_seq(&self) -> Seq {
        self.last_seq
    }

    /// The five characters that tell this database from others, in every note.
    pub fn tag(&self) -> &str {
        &self.tag
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The technician's pick as it was kept.
    ///
    /// # Errors
    /// Where the row can't be read; a pick that isn't JSON any more counts as none.
    pub fn pick(&self) -> Result<Option<Assignment>, QueueError> {
        pick(&self.db)
    }

    /// Keeps the technician's pick; `None` forgets it. It is durable before the recorder
    /// hears of it: a power cut between the two takes effect at the next start.
    ///
    /// # Errors
    /// Where it can't be written.
    pub fn set_pick(&mut self, pick: Option<&Assignment>) -> Result<(), QueueError> {
        let told = pick
            .map(serde_json::to_string)
            .transpose()
            .map_err(|err| QueueError::Refused(format!("the pick cannot be kept: {err}")))?;
        failpoint::pass("pick_before_commit");
        match told {
            Some(text) => meta::set(&self.db, meta::key::PICK, &text)?,
            None => meta::unset(&self.db, meta::key::PICK)?,
        }
        failpoint::pass("pick_after_commit");
        Ok(())
    }

    /// From now on closing it doesn't write its log into it: what a damaged database has
    /// left is for whoever looks into it.
    pub(super) fn leave_as_it_is(&self) {
        // Where that is refused the log is written, as it always was.
        let _ = no_checkpoint_at_close(&self.db, true);
    }

    /// Starts a transaction that holds the write lock from the start.
    pub(super) fn begin<'a>(
        db: &'a mut Connection,
        doing: &'static str,
    ) -> Result<Transaction<'a>, QueueError> {
        db.transaction_with_behavior(TransactionBehavior::Immediate).doing(doing)
    }

    /// Reads back everything that is remembered between transactions.
    pub(super) fn reload(&mut self) -> Result<(), QueueError> {
        let opened = opened(&self.db)?;
        // What was carried over is older than where the counting goes on.
        let from = meta::number(&self.db, meta::key::FROM)?;
        self.last = match last_reading(&self.db, self.boot, (from, i64::MAX), opened)? {
            None => carry::position(&self.db)?,
            last => last,
        };
        let pruned =
            meta::get(&self.db, meta::key::LAST_SEQ)?.and_then(|t| t.parse().ok()).unwrap_or(0);
        let seq: Option<i64> = self
            .db
            .query_row("SELECT max(seq) FROM reading", [], |r| r.get(0))
            .doing("find the last reading")?;
        self.last_seq = Seq(seq.unwrap_or(0).max(pruned));
        // Where the last one's can't be decoded the sums differ from here on, and say so.
        self.odometer = self
            .db
            .query_row(
                "SELECT odometer_ul FROM reading WHERE typeof(odometer_ul) = 'integer' AND seq > ?1
                 ORDER BY seq DESC LIMIT 1",
                [from],
                |r| r.get(0),
            )
            .optional()
            .doing("find the last reading")?
            .unwrap_or_default();
        self.span = open_span(&self.db)?;
        self.load_anchors()
    }

    fn database_tag(&mut self) -> Result<String, QueueError> {
        let dir = self.path.parent().map(Path::to_owned).unwrap_or_default();
        if let Some(tag) = meta::get(&self.db, meta::key::DATABASE)? {
            carry::mark_late(&self.db, &dir, &tag);
            return Ok(tag);
        }
        let doing = "choose its id";
        let tx = Self::begin(&mut self.db, doing)?;
        let random: i64 = tx.query_row("SELECT random()", [], |r| r.get(0)).doing(doing)?;
        let tag = Tag::from_random((random & 0x1ff_ffff) as u32);
        let begun = carry::begin(&tx, &dir, tag)?;
        meta::set(&tx, meta::key::DATABASE, begun.tag())?;
        failpoint::pass("begun_before_commit");
        tx.commit().doing(doing)?;
        Ok(begun.committed())
    }

    fn boot_row(&mut self, boot: &BootId) -> Result<i64, QueueError> {
        let doing = "note this boot";
        self.db
            .execute(
                "INSERT INTO boot (id, boot_uuid) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
                params![next_id(&self.db, "boot")?, boot.0],
            )
            .doing(doing)?;
        self.db
            .query_row("SELECT id FROM boot WHERE boot_uuid = ?1", [&boot.0], |r| r.get(0))
            .doing(doing)
    }
}

/// The technician's pick.
pub(super) fn pick(db: &Connection) -> Result<Option<Assignment>, QueueError> {
    let text = meta::get(db, meta::key::PICK)?;
    Ok(text.and_then(|t| serde_json::from_str(&t).ok()))
}

fn no_checkpoint_at_close(db: &Connection, never: bool) -> rusqlite::Result<()> {
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, never).map(drop)
}

pub(super) fn open_span(db: &Connection) -> Result<Option<OpenSpan>, QueueError> {
    let doing = "find the open span";
    let found = db
        .query_row(
            "SELECT id, event, job, item, product, note, origin, opened_seq FROM span
             WHERE closed = 0 ORDER BY id DESC LIMIT 1",
            [],
            |row| {
                let assignment = Assignment {
                    event: row.get(1)?,
                    job: row.get(2)?,
                    item: row.get(3)?,
                    product: row.get(4)?,
                    note: row.get(5)?,
                };
                Ok((row.get::<_, SpanId>(0)?, assignment, row.get(6)?, row.get::<_, i64>(7)?))
            },
        )
        .optional()
        .doing(doing)?;
    let Some((id, assignment, origin, opened)) = found else { return Ok(None) };
    // Where the last one's can't be decoded, that of the one before it and the shares since.
    let total: Option<Microlitres> = db
        .query_row(
            "SELECT g.total_ul + (SELECT coalesce(sum(iif(typeof(r.share_ul) = 'integer', r.share_ul, 0)), 0)
                 FROM reading r WHERE r.seq > g.seq AND r.span = ?1)
             FROM reading g WHERE g.seq >= ?2 AND g.span = ?1 AND typeof(g.total_ul) = 'integer'
             ORDER BY g.seq DESC LIMIT 1",
            params![id, opened],
            |r| r.get(0),
        )
        .optional()
        .doing(doing)?;
    let (stretches, last_segment) = db
        .query_row("SELECT max(n), max(segment) FROM stretch WHERE span = ?1", [id], |r| {
            Ok((r.get(0)?, r.get(1)?))
        })
        .doing(doing)?;
    Ok(Some(OpenSpan {
        id,
        assignment,
        origin,
        total: total.unwrap_or_default(),
        begun: total.is_some(),
        stretches,
        last_segment,
    }))
}
