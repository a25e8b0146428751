//! What is known and told of damaged databases whose readings are carried over: how many
//! there were, how far it has come, what is lost; and their part in the balance.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, Transaction, params};
use serde::{Deserialize, Serialize};

use super::super::balance::Share;
use super::super::file::others_beside;
use super::super::{Doing, QueueError, Store, View, meta, schema};
use super::{DOING, Mark, damaged, tables};

/// So many stretches of lost numbers are named.
const NAMED: usize = 50;

/// A damaged database, as its operator reads of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CarriedOver {
    /// The directory that it was set aside in.
    pub dir: PathBuf,
    /// Whether that is still where it was.
    pub there: bool,
    /// Readings that were carried over from it.
    pub readings: i64,
    /// How many there were; `None` where that can't be told.
    pub of: Option<i64>,
    /// Readings that can't be read.
    pub lost: i64,
    /// Between which numbers they were, first and last.
    pub lost_numbers: Vec<(i64, i64)>,
    /// Whether all of it is over.
    pub done: bool,
}

impl View {
    /// The databases beside it, as [`others_beside`] finds them, but for those that are
    /// carried over.
    pub fn others(&self) -> Vec<PathBuf> {
        uncarried(&self.db, others_beside(&self.path))
    }

    /// The damaged databases that readings come from, and how far that is.
    ///
    /// # Errors
    /// Where the rows can't be read.
    pub fn carried_over(&self) -> Result<Vec<CarriedOver>, QueueError> {
        carried_over(&self.db, &self.path)
    }
}

impl Store {
    /// As [`View::others`].
    pub fn others(&self) -> Vec<PathBuf> {
        uncarried(&self.db, others_beside(&self.path))
    }
}

/// What is known of one, by the name of its directory.
pub(super) type AllKnown = BTreeMap<String, Known>;

/// What is known of one beyond its row.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Known {
    /// Readings that it had, and that weren't carried over by an earlier database.
    had: Option<i64>,
    /// Lost while an earlier database carried them over.
    lost_before: i64,
    /// Numbers at places that can't be read.
    unread: i64,
    /// The first of those places.
    gaps: Vec<(i64, i64)>,
}

impl Known {
    /// Nothing from `first` to `last` can be read.
    pub fn missing(&mut self, first: i64, last: i64) {
        self.unread += last - first + 1;
        if self.gaps.len() < NAMED {
            self.gaps.push((first, last));
        }
    }

    /// How many are lost, with so many carried over. Numbers that were pruned are missing too
    /// and aren't lost, so that what it had decides.
    pub fn lost(&self, readings: i64, done: bool) -> i64 {
        let rest = self.had.map(|had| (had - readings).max(0));
        self.lost_before
            + match rest {
                Some(rest) if done => rest,
                Some(rest) => rest.min(self.unread),
                None => self.unread,
            }
    }
}

/// The number in the name of a directory.
pub(super) fn number(file: &str) -> u64 {
    file.rsplit('-').next().and_then(|n| n.parse().ok()).unwrap_or(0)
}

fn name(aside: &Path) -> String {
    aside.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Notes that the readings in `aside` are to be carried over, and those of older ones that
/// it was carrying over itself. Where it can't say which, all before it are gone through
/// again: what is there already is passed over.
pub(super) fn begin(
    tx: &Transaction<'_>,
    aside: &Path,
    old: &Connection,
    tag: &str,
    highest: i64,
    marks: &[(PathBuf, Mark)],
) -> Result<(), QueueError> {
    let mut all = known(tx)?;
    let mut gone = Known::default();
    match older(old) {
        Ok(rows) => {
            all.append(&mut known(old).unwrap_or_default());
            for (file, last, next, readings, lost, done) in rows {
                if file == name(aside) {
                    // Its directory was taken away, and the next one has got its number: what
                    // hasn't come from there is lost.
                    gone = all.remove(&file).unwrap_or_default();
                    gone.lost_before = gone.lost(readings, true).max(lost);
                    continue;
                }
                row(tx, &file, tag, last, next, done)?;
                let known = all.entry(file.clone()).or_default();
                known.had = known.had.map(|had| (had - readings).max(0));
                // What was read of the places in vain is in `lost` already.
                (known.lost_before, known.unread) = (lost, 0);
                if done {
                    known.had = Some(0);
                }
                let sql = "UPDATE carried SET lost = ?2 WHERE file = ?1";
                tx.execute(sql, params![file, lost]).doing(DOING)?;
            }
        }
        // One that was damaged before it began has nothing, and had nothing.
        Err(_) if is_empty(old) => {}
        Err(_) => {
            for (dir, mark) in marks.iter().filter(|(_, mark)| mark.tag == tag) {
                if let Ok(older) = damaged::open(dir) {
                    tables::copy(tx, &older, mark.from)?;
                }
                row(tx, &name(dir), tag, mark.from, 1, false)?;
            }
        }
    }
    let sum = "SELECT coalesce(sum(readings), 0) FROM standing";
    let had = old.query_row(sum, [], |r| r.get(0)).ok().or(is_empty(old).then_some(0));
    all.insert(name(aside), Known { had, unread: 0, ..gone });
    row(tx, &name(aside), tag, highest, 1, false)?;
    know(tx, &all)?;
    let (readings, ul): (i64, i64) = tx
        .query_row(
            "SELECT coalesce(sum(readings), 0), coalesce(sum(total_ul), 0) FROM tally",
            [],
            |r| Ok((r.get(0)?, r.get(1)?)),
        )
        .doing(DOING)?;
    meta::set(tx, meta::key::TOOK, &format!("{readings} {ul}"))
}

fn is_empty(old: &Connection) -> bool {
    schema::version(old).is_ok_and(|version| version == 0)
}

type Older = (String, i64, i64, i64, i64, bool);

fn older(old: &Connection) -> rusqlite::Result<Vec<Older>> {
    old.prepare("SELECT file, last_seq, next_seq, readings, lost, done FROM carried")?
        .query_map([], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?, r.get(4)?, r.get(5)?)))?
        .collect()
}

fn row(
    tx: &Connection,
    file: &str,
    tag: &str,
    last: i64,
    next: i64,
    done: bool,
) -> Result<(), QueueError> {
    tx.execute(
        "INSERT OR IGNORE INTO carried VALUES (?1, ?2, 1, ?3, ?4, 0, 0, 0, ?5)",
        params![file, tag, last, next, done],
    )
    .map(drop)
    .doing(DOING)
}

/// What is known of each.
pub(super) fn known(db: &Connection) -> Result<AllKnown, QueueError> {
    let text = meta::get(db, meta::key::CARRYING)?;
    Ok(text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default())
}

/// Keeps it.
pub(super) fn know(tx: &Connection, all: &AllKnown) -> Result<(), QueueError> {
    match serde_json::to_string(all) {
        Ok(text) => meta::set(tx, meta::key::CARRYING, &text),
        Err(err) => Err(QueueError::Refused(format!("what is lost cannot be kept: {err}"))),
    }
}

/// Whether the readings in a directory are carried over, or were.
pub(super) fn is_known(db: &Connection, aside: &Path) -> bool {
    names(db).contains(&name(aside))
}

/// A database that this program has not written to yet may have no such table.
fn names(db: &Connection) -> Vec<String> {
    db.prepare("SELECT file FROM carried")
        .and_then(|mut s| s.query_map([], |r| r.get(0))?.collect())
        .unwrap_or_default()
}

/// Those of these databases whose readings are not carried over.
fn uncarried(db: &Connection, mut others: Vec<PathBuf>) -> Vec<PathBuf> {
    let names = names(db);
    others.retain(|path| !path.parent().is_some_and(|dir| names.contains(&name(dir))));
    others
}

/// What has come from damaged databases so far, pruned or not.
pub(in super::super) fn taken_share(db: &Connection) -> Result<Share, QueueError> {
    let Some(took) = meta::get(db, meta::key::TOOK)? else { return Ok(Share::default()) };
    let pruned = took.split_once(' ').and_then(|(n, ul)| Some((n.parse().ok()?, ul.parse().ok()?)));
    let (pruned, pruned_ul): (i64, i64) = pruned.unwrap_or_default();
    let sql = "SELECT coalesce(sum(readings), 0), coalesce(sum(share_ul), 0) FROM carried";
    let (readings, ul): (i64, i64) =
        db.query_row(sql, [], |r| Ok((r.get(0)?, r.get(1)?))).doing(DOING)?;
    let volume = crate::units::Microlitres(pruned_ul + ul);
    Ok(Share { readings: pruned + readings, volume })
}

/// All of them, oldest first, of the queue in `path`.
pub(super) fn carried_over(db: &Connection, path: &Path) -> Result<Vec<CarriedOver>, QueueError> {
    if meta::get(db, meta::key::TOOK)?.is_none() {
        return Ok(Vec::new());
    }
    let all = known(db)?;
    let dir = path.parent().map(Path::to_owned).unwrap_or_default();
    let mut told: Vec<(String, CarriedOver)> = db
        .prepare("SELECT file, readings, lost, done FROM carried")
        .and_then(|mut s| {
            let rows = s.query_map([], |r| {
                let file: String = r.get(0)?;
                let known = all.get(&file).cloned().unwrap_or_default();
                let dir = dir.join(&file);
                let one = CarriedOver {
                    there: dir.exists(),
                    dir,
                    readings: r.get(1)?,
                    of: known.had,
                    lost: r.get(2)?,
                    lost_numbers: known.gaps,
                    done: r.get(3)?,
                };
                Ok((file, one))
            })?;
            rows.collect()
        })
        .doing(DOING)?;
    told.sort_by_key(|(file, _)| number(file));
    Ok(told.into_iter().map(|(_, one)| one).collect())
}
