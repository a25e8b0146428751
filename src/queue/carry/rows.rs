//! Carrying readings over from a damaged database, part by part beside the work. With each
//! part how far it has come is written in the same transaction: a power cut at any moment
//! leaves whole parts, and the next start goes on behind the last.

use std::path::PathBuf;

use rusqlite::{Connection, params};
use tracing::{info, warn};

use super::super::{Doing, QueueError, Store, meta};
use super::damaged::Part;
use super::put::Put;
use super::told::{self, Known};
use crate::failpoint;

const DOING: &str = "carry readings over";

/// A damaged database whose readings are to be carried over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToCarry {
    /// The name of its directory.
    pub file: String,
    /// Where that is.
    pub dir: PathBuf,
    /// The number to go on from.
    pub from: i64,
    /// None of its numbers is higher.
    pub last: i64,
}

/// How far it has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Carrying {
    /// Where to go on; `None` where all is over.
    pub next: Option<i64>,
    /// Whether readings in doubt have come with it.
    pub doubtful: bool,
}

impl Store {
    /// The damaged database whose readings come next, the newest first: it knows more of what
    /// it carried over itself. One that was moved away keeps none that is there waiting.
    ///
    /// # Errors
    /// Where the rows can't be read.
    pub fn to_carry(&self) -> Result<Option<ToCarry>, QueueError> {
        let last = meta::number(&self.db, meta::key::FROM)?;
        let dir = self.path.parent().map(std::path::Path::to_owned).unwrap_or_default();
        let waiting: Vec<(String, i64)> = self
            .db
            .prepare("SELECT file, next_seq FROM carried WHERE done = 0")
            .and_then(|mut s| s.query_map([], |r| Ok((r.get(0)?, r.get(1)?)))?.collect())
            .doing(DOING)?;
        let newest = waiting
            .into_iter()
            .max_by_key(|(file, _)| (dir.join(file).is_dir(), told::number(file)));
        Ok(newest.map(|(file, from)| ToCarry { dir: dir.join(&file), file, from, last }))
    }

    /// Puts a part into the database. One that isn't the next is left.
    ///
    /// # Errors
    /// Where it can't be written; nothing has changed then.
    pub fn carry(&mut self, file: &str, part: &Part) -> Result<Carrying, QueueError> {
        let tx = Self::begin(&mut self.db, DOING)?;
        let highest = meta::number(&tx, meta::key::FROM)?;
        let next: i64 = tx
            .query_row("SELECT next_seq FROM carried WHERE file = ?1", [file], |r| r.get(0))
            .doing(DOING)?;
        if next != part.from {
            return Ok(Carrying { next: Some(next), doubtful: false });
        }
        let mut put = Put::new(&tx, file, highest);
        let (mut readings, mut share_ul) = (0, 0);
        for raw in &part.rows {
            if let Some(share) = put.reading(raw)? {
                readings += 1;
                share_ul += share;
            }
        }
        let doubtful = put.doubtful;
        tx.execute(
            "UPDATE carried SET next_seq = ?2, readings = readings + ?3, share_ul = share_ul + ?4,
                 done = ?5 WHERE file = ?1",
            params![file, part.next.unwrap_or(part.from), readings, share_ul, part.next.is_none()],
        )
        .doing(DOING)?;
        let lost = count_lost(&tx, file, part)?;
        failpoint::pass("carry_before_commit");
        tx.commit().doing(DOING)?;
        failpoint::pass("carry_after_commit");
        if part.next.is_none() {
            self.tell(file, lost)?;
        }
        Ok(Carrying { next: part.next, doubtful })
    }

    /// Says once what came of it; `status` goes on saying it.
    fn tell(&self, file: &str, lost: i64) -> Result<(), QueueError> {
        let readings: i64 = self
            .db
            .query_row("SELECT readings FROM carried WHERE file = ?1", [file], |r| r.get(0))
            .doing(DOING)?;
        if lost > 0 || readings == 0 {
            warn!(file, readings, lost, "readings of the damaged queue are carried over, not all");
        } else {
            info!(file, readings, "all readings of the damaged queue are carried over");
        }
        Ok(())
    }
}

/// Counts what can't be read. How many there were is known from the sums kept along with the
/// rows, where those could be read; else by the numbers that are missing.
fn count_lost(tx: &Connection, file: &str, part: &Part) -> Result<i64, QueueError> {
    let (last_seq, readings): (i64, i64) = tx
        .query_row("SELECT last_seq, readings FROM carried WHERE file = ?1", [file], |r| {
            Ok((r.get(0)?, r.get(1)?))
        })
        .doing(DOING)?;
    let mut all = told::known(tx)?;
    let known: &mut Known = all.entry(file.to_owned()).or_default();
    if let Some((first, last)) = part.gap.map(|(first, last)| (first, last.min(last_seq)))
        && first <= last
    {
        known.missing(first, last);
        told::know(tx, &all)?;
    }
    let known = all.get(file).cloned().unwrap_or_default();
    let lost = known.lost(readings, part.next.is_none());
    tx.execute("UPDATE carried SET lost = ?2 WHERE file = ?1", params![file, lost]).doing(DOING)?;
    Ok(lost)
}
