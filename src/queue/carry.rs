//! What a fresh queue takes over from a damaged one that was set aside: its tag, the small
//! tables, where the counting was and the technician's pick, at once; its readings after
//! that, beside the work ([`rows`]). So the volume that flows meanwhile is found as a gap, as
//! after any power cut, and the job goes on. Nothing is written to the damaged files: opening
//! them leaves an index beside them at most.
//!
//! The readings keep their numbers, which JobCloser has in their notes, and all ids are kept
//! with them. So whatever the fresh queue numbers itself begins above all that the damaged one
//! can have given out, also in what can't be read of it.
//!
//! All of it is in the transaction that gives the fresh database its tag. A power cut before
//! it leaves a database without one, which takes over at the next start; one after it
//! leaves all that there is to take, and the readings to be carried.

mod damaged;
mod numbers;
mod put;
mod rows;
mod tables;
mod told;

use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension, Transaction, params};
use serde::{Deserialize, Serialize};
use tracing::{info, warn};

use super::aside::all_aside;
use super::newest::last_reading;
use super::rows::{integer, next_id};
use super::store::{Last, SegmentStart, pick};
use super::{Doing, Position, QueueError, meta};
use crate::jobcloser::note::Tag;
use crate::reading::{SegmentId, SegmentReason};
use crate::units::KFactor;

pub use damaged::{Damaged, Part};
use numbers::{highest, numbers_from, tag_of};
pub use rows::{Carrying, ToCarry};
pub use told::CarriedOver;
pub(super) use told::taken_share;

const DOING: &str = "take over from a damaged queue";

/// Says that a database was taken over from: a queue that is begun after an operator has
/// taken the fresh one away must not go on where this one was. It also says what tag the fresh
/// one got and where its numbers begin, should that one's own word for it be lost too.
const TAKEN: &str = "taken-over";

/// Where the counting was, until the first reading tells it.
#[derive(Serialize, Deserialize)]
struct Kept {
    segment: i64,
    raw: u64,
    meter_seq: Option<u16>,
    unwrapped: u64,
}

/// What the mark says of the queue that took over.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Mark {
    /// Its tag.
    pub tag: String,
    /// Its numbers begin above this one.
    pub from: i64,
}

/// A database that begins: its tag, and the directories that it takes over from.
pub(super) struct Begun {
    mark: Mark,
    asides: Vec<PathBuf>,
}

impl Begun {
    /// Its tag.
    pub fn tag(&self) -> &str {
        &self.mark.tag
    }

    /// All that was taken over is on the disk.
    pub fn committed(self) -> String {
        self.asides.iter().for_each(|aside| taken(aside, &self.mark));
        self.mark.tag
    }
}

/// Begins a database in `dir`, with what there is to take over. `random` is the tag where there
/// is none to go on with: then nothing was ever sent that could be told from another's.
pub(super) fn begin(tx: &Transaction<'_>, dir: &Path, random: Tag) -> Result<Begun, QueueError> {
    let asides = sources(dir);
    if asides.is_empty() {
        let mark = Mark { tag: random.as_str().to_owned(), from: 0 };
        return Ok(Begun { mark, asides });
    }
    take_over(tx, dir, asides, random)
}

/// The directories that a fresh queue in `dir` takes over from, the newest first: more than
/// one where a fresh one was damaged before it began.
fn sources(dir: &Path) -> Vec<PathBuf> {
    let all = all_aside(dir).into_iter().rev();
    all.take_while(|aside| !aside.join(TAKEN).exists()).collect()
}

/// Takes over what can be read; what can't is left and said. Numbers of another tag would be
/// taken for ours: such a database is left to support.
fn take_over(
    tx: &Transaction<'_>,
    dir: &Path,
    asides: Vec<PathBuf>,
    random: Tag,
) -> Result<Begun, QueueError> {
    let mut olds = Vec::new();
    for aside in asides {
        let old = open_any(&aside)?;
        let tag = tag_of(&old);
        olds.push((aside, old, tag));
    }
    let marks = marks_before(dir);
    let marked = marks.last().map(|(_, mark)| mark.clone()).unwrap_or_default();
    let tag = olds.iter().find_map(|(_, _, tag)| tag.clone());
    let tag = tag.or_else(|| Tag::parse(&marked.tag)).unwrap_or(random);
    olds.retain(|(_, _, other)| other.as_ref().is_none_or(|other| *other == tag));
    let mut from = 0;
    for (aside, old, _) in &olds {
        let old_from = from_of(old, &marked);
        from = from.max(numbers_from(old, aside, highest(old, old_from).max(old_from)));
    }
    meta::set(tx, meta::key::FROM, &from.to_string())?;
    meta::set(tx, meta::key::LAST_SEQ, &from.to_string())?;
    for (aside, old, _) in &olds {
        let left = tables::copy(tx, old, from)?;
        if left > 0 {
            warn!(left, damaged = %aside.display(), "rows of the damaged queue's small tables can't be read; they are left out");
        }
        told::begin(tx, aside, old, tag.as_str(), highest(old, from_of(old, &marked)), &marks)?;
    }
    // What is newer is set last.
    for (_, old, _) in olds.iter().rev() {
        carry_settings(tx, old)?;
    }
    let last = olds.iter().find_map(|(_, old, _)| newest(old, from_of(old, &marked)));
    match last.filter(|last| sound(&last.position)) {
        Some(last) => {
            info!(
                raw = last.position.raw,
                numbers_from = from,
                "counting goes on where the damaged queue was"
            );
            keep(tx, &last)?;
        }
        None => {
            warn!(
                "no reading of the damaged queue can be read; the meter's next count is a new baseline"
            );
        }
    }
    let mark = Mark { tag: tag.as_str().to_owned(), from };
    Ok(Begun { mark, asides: olds.into_iter().map(|(aside, ..)| aside).collect() })
}

/// A database that can't be opened is one in which nothing can be read.
fn open_any(aside: &Path) -> Result<Connection, QueueError> {
    damaged::open(aside).or_else(|err| {
        let err = &err as &dyn std::error::Error;
        warn!(err, damaged = %aside.display(), "nothing of the damaged queue can be read now");
        Connection::open_in_memory().doing(DOING)
    })
}

/// Above which number a damaged database's own are.
fn from_of(old: &Connection, marked: &Mark) -> i64 {
    meta::number(old, meta::key::FROM).unwrap_or(0).max(marked.from)
}

/// Marks a directory as taken over from. Without the mark, after a power cut, the fresh
/// database says it too, and the next start marks it.
fn taken(aside: &Path, mark: &Mark) {
    let text = serde_json::to_string(mark).unwrap_or_default();
    if let Err(err) = fs::write(aside.join(TAKEN), text) {
        warn!(%err, path = %aside.display(), "a damaged queue can't be marked");
    }
}

/// Marks what was taken over from just before the power went.
pub(super) fn mark_late(db: &Connection, dir: &Path, tag: &str) {
    for aside in sources(dir).into_iter().filter(|aside| told::is_known(db, aside)) {
        let from = meta::number(db, meta::key::FROM).unwrap_or(0);
        taken(&aside, &Mark { tag: tag.to_owned(), from });
    }
}

/// The marks in the directories that were taken over from, in their order. One that an earlier
/// version left says nothing.
fn marks_before(dir: &Path) -> Vec<(PathBuf, Mark)> {
    let read =
        |dir: &PathBuf| serde_json::from_str(&fs::read_to_string(dir.join(TAKEN)).ok()?).ok();
    all_aside(dir).into_iter().filter_map(|dir| Some((dir.clone(), read(&dir)?))).collect()
}

/// What `meta` knows that still holds.
fn carry_settings(tx: &Transaction<'_>, old: &Connection) -> Result<(), QueueError> {
    if let Ok(Some(pick)) = pick(old)
        && let Ok(text) = serde_json::to_string(&pick)
    {
        meta::set(tx, meta::key::PICK, &text)?;
    }
    for key in [meta::key::LEARNT, meta::key::PRUNED] {
        if let Ok(Some(text)) = meta::get(old, key) {
            meta::set(tx, key, &text)?;
        }
    }
    Ok(())
}

/// The newest reading of its own that can be read; before the first of them, where it went on.
/// One that it carried over is older than that. Where it has readings and none can be told,
/// where it went on would have their volume again.
fn newest(old: &Connection, from: i64) -> Option<Last> {
    // The fresh queue has no span that this one's count could be told from.
    let last = match last_reading(old, NO_BOOT, (from, i64::MAX), None) {
        Ok(last) => last,
        Err(_) => last_reading(old, NO_BOOT, (from, highest(old, from)), None).ok().flatten(),
    };
    let own = "SELECT EXISTS (SELECT 1 FROM reading WHERE seq > ?1)";
    let begun = || old.query_row(own, [from], |r| r.get(0)).unwrap_or(true);
    last.or_else(|| if begun() { None } else { position(old).ok().flatten() })
}

/// The position is taken as after a boot, whichever boot it was.
const NO_BOOT: i64 = -1;

/// Whether a position is one that a program recorded. A count that is none would invent
/// volume, a K that is none any amount of it.
fn sound(position: &Position) -> bool {
    let counts = [position.raw, position.unwrapped, position.segment.raw];
    counts.iter().all(|count| i64::try_from(*count).is_ok())
        && position.segment.unwrapped <= position.unwrapped
        && KFactor::new(position.k).is_some()
}

/// Keeps where the counting goes on: in its segment, if that could be read.
fn keep(tx: &Transaction<'_>, last: &Last) -> Result<(), QueueError> {
    let at = &last.position;
    let there: bool = tx
        .query_row(
            "SELECT EXISTS (SELECT 1 FROM segment s JOIN meter m ON m.id = s.meter
             WHERE s.id = ?1 AND m.serial = ?2 AND s.k = ?3)",
            params![last.segment, at.serial, at.k],
            |r| r.get(0),
        )
        .doing(DOING)?;
    let segment = if there { last.segment.0 } else { new_segment(tx, at)? };
    let (raw, meter_seq, unwrapped) = (at.raw, at.meter_seq, at.unwrapped);
    let kept = Kept { segment, raw, meter_seq, unwrapped };
    match serde_json::to_string(&kept) {
        Ok(text) => meta::set(tx, meta::key::POSITION, &text),
        Err(err) => Err(QueueError::Refused(format!("the position cannot be kept: {err}"))),
    }
}

fn new_segment(tx: &Transaction<'_>, at: &Position) -> Result<i64, QueueError> {
    tx.execute(
        "INSERT INTO meter (id, serial) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
        params![next_id(tx, "meter")?, at.serial],
    )
    .doing(DOING)?;
    let id = next_id(tx, "segment")?;
    tx.execute(
        "INSERT INTO segment (id, meter, raw_start, unwrapped_start, k, carried_ul, reason, points)
         SELECT ?7, id, ?2, ?3, ?4, 0, ?5, ?6 FROM meter WHERE serial = ?1",
        params![
            at.serial,
            integer("raw count", at.segment.raw)?,
            integer("unwrapped count", at.segment.unwrapped)?,
            at.k,
            SegmentReason::First,
            at.segment.points,
            id,
        ],
    )
    .doing(DOING)?;
    Ok(id)
}

/// Where the counting goes on in a queue that has no reading yet.
pub(super) fn position(db: &Connection) -> Result<Option<Last>, QueueError> {
    let text = meta::get(db, meta::key::POSITION)?;
    let Some(kept) = text.and_then(|text| serde_json::from_str::<Kept>(&text).ok()) else {
        return Ok(None);
    };
    db.query_row(
        "SELECT m.serial, s.meter, s.k, s.raw_start, s.unwrapped_start, s.points
         FROM segment s JOIN meter m ON m.id = s.meter WHERE s.id = ?1",
        [kept.segment],
        |r| {
            let serial: String = r.get(0)?;
            Ok(Last {
                serial: serial.clone(),
                meter: r.get(1)?,
                segment: SegmentId(kept.segment),
                position: Position {
                    serial,
                    raw: kept.raw,
                    meter_seq: kept.meter_seq,
                    unwrapped: kept.unwrapped,
                    at: None,
                    k: r.get(2)?,
                    segment: SegmentStart {
                        raw: r.get::<_, i64>(3)?.cast_unsigned(),
                        unwrapped: r.get::<_, i64>(4)?.cast_unsigned(),
                        points: r.get(5)?,
                    },
                },
            })
        },
    )
    .optional()
    .doing(DOING)
}

#[cfg(test)]
mod tests;
