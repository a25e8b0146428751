//! What a fresh queue takes over from a damaged one that was set aside: where the counting
//! was, and the technician's pick. So the volume that flows meanwhile is found as a gap, as
//! after any power cut, and the job goes on. Readings are not carried over, and nothing is
//! written to the damaged files: opening them leaves an index beside them at most.
//!
//! All of it is in the transaction that gives the fresh database its tag. A power cut before
//! it leaves a database without one, which takes over at the next start; one after it
//! leaves all that there is to take.

use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, OptionalExtension, Transaction, params};
use serde::{Deserialize, Serialize};
use tracing::{info, warn};

use super::aside::all_aside;
use super::file::databases_in;
use super::newest::last_reading;
use super::rows::integer;
use super::store::{Last, SegmentStart, pick};
use super::{Doing, FILE, Position, QueueError, meta};
use crate::reading::{SegmentId, SegmentReason};
use crate::units::KFactor;

const DOING: &str = "take over from a damaged queue";

/// Says that a database was taken over from: a queue that is begun after an operator has
/// taken the fresh one away must not go on where this one was.
const TAKEN: &str = "taken-over";

/// Where the counting was, until the first reading tells it.
#[derive(Serialize, Deserialize)]
struct Kept {
    segment: i64,
    raw: u64,
    meter_seq: Option<u16>,
    unwrapped: u64,
}

/// The directory that a fresh queue in `dir` takes over from, if there is one.
pub(super) fn source(dir: &Path) -> Option<PathBuf> {
    all_aside(dir).pop().filter(|aside| !aside.join(TAKEN).exists())
}

/// Takes over from the database in `aside` what can be read; what can't is left and said.
pub(super) fn take_over(tx: &Transaction<'_>, aside: &Path) -> Result<(), QueueError> {
    let damaged = aside.display();
    let old = match open(aside) {
        Ok(old) => old,
        Err(err) => {
            let err = &err as &dyn std::error::Error;
            warn!(err, %damaged, "nothing of the damaged queue can be read; the meter's next count is a new baseline");
            return Ok(());
        }
    };
    if let Ok(Some(pick)) = pick(&old)
        && let Ok(text) = serde_json::to_string(&pick)
    {
        meta::set(tx, meta::key::PICK, &text)?;
    }
    match newest(&old).filter(|last| sound(&last.position)) {
        Some(last) => {
            info!(%damaged, raw = last.position.raw, "counting goes on where the damaged queue was");
            keep(tx, &last.position)
        }
        None => {
            warn!(%damaged, "no reading of the damaged queue can be read; the meter's next count is a new baseline");
            Ok(())
        }
    }
}

/// Marks a directory as taken over from. Without the mark, after a power cut, the tag of the
/// fresh database says it too.
pub(super) fn taken(aside: &Path) {
    if let Err(err) = fs::write(aside.join(TAKEN), "") {
        warn!(%err, path = %aside.display(), "a damaged queue can't be marked");
    }
}

fn open(aside: &Path) -> Result<Connection, QueueError> {
    let files = databases_in(aside);
    let file = files.first().map_or_else(|| aside.join(FILE), Clone::clone);
    Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY).doing(DOING)
}

/// The newest reading that can be read. Where the end of the table can't be, it is looked
/// for by halving what may be the range of numbers: the one that is found is readable, and
/// next to a place that isn't.
fn newest(old: &Connection) -> Option<Last> {
    // The fresh queue has no span that this one's count could be told from.
    if let Ok(last) = last_reading(old, NO_BOOT, i64::MAX, None) {
        return last;
    }
    let (mut low, mut beyond) = (0_i64, 1_i64 << 40);
    while beyond - low > 1 {
        let middle = low + (beyond - low) / 2;
        let there: Option<i64> = old
            .prepare_cached("SELECT seq FROM reading WHERE seq >= ?1 ORDER BY seq LIMIT 1")
            .and_then(|mut s| s.query_row([middle], |r| r.get(0)).optional())
            .ok()
            .flatten();
        match there {
            Some(seq) => low = seq.clamp(middle, beyond - 1),
            None => beyond = middle,
        }
    }
    last_reading(old, NO_BOOT, low, None).ok().flatten()
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

fn keep(tx: &Transaction<'_>, at: &Position) -> Result<(), QueueError> {
    tx.execute("INSERT INTO meter (serial) VALUES (?1) ON CONFLICT DO NOTHING", [&at.serial])
        .doing(DOING)?;
    tx.execute(
        "INSERT INTO segment (meter, raw_start, unwrapped_start, k, carried_ul, reason, points)
         SELECT id, ?2, ?3, ?4, 0, ?5, ?6 FROM meter WHERE serial = ?1",
        params![
            at.serial,
            integer("raw count", at.segment.raw)?,
            integer("unwrapped count", at.segment.unwrapped)?,
            at.k,
            SegmentReason::First,
            at.segment.points,
        ],
    )
    .doing(DOING)?;
    let (raw, meter_seq, unwrapped) = (at.raw, at.meter_seq, at.unwrapped);
    let kept = Kept { segment: tx.last_insert_rowid(), raw, meter_seq, unwrapped };
    match serde_json::to_string(&kept) {
        Ok(text) => meta::set(tx, meta::key::POSITION, &text),
        Err(err) => Err(QueueError::Refused(format!("the position cannot be kept: {err}"))),
    }
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
mod tests {
    use std::os::unix::fs::FileExt;

    use super::super::append::tests::{assignment, reading, segment, to_job};
    use super::super::{Store, set_aside};
    use super::*;
    use crate::clock::BootId;
    use crate::reading::Reading;

    const MANY: u64 = 2000;
    const PAGE: u64 = 4096;

    fn open(dir: &Path) -> Result<Store, QueueError> {
        Store::open(&dir.join(FILE), &BootId("boot-1".to_owned()))
    }

    /// A queue of many readings, 100 counts each, closed; and its pages.
    fn many(dir: &Path) -> u64 {
        let mut store = open(dir).unwrap();
        store.db.execute_batch("PRAGMA synchronous = OFF").unwrap();
        let opens = segment(0, 0, SegmentReason::First);
        let first = Reading { segment: opens, span: to_job("a", true), ..reading(1, 0, 0) };
        store.append(&first).unwrap();
        for n in 1..MANY {
            store.append(&reading(1 + n as i64, 100 * n, 100)).unwrap();
        }
        store.set_pick(Some(&assignment("a"))).unwrap();
        drop(store);
        dir.join(FILE).metadata().unwrap().len() / PAGE
    }

    fn scribble(dir: &Path, page: u64) {
        let file = fs::OpenOptions::new().write(true).open(dir.join(FILE)).unwrap();
        file.write_all_at(&[0x5a; PAGE as usize], page * PAGE).unwrap();
    }

    #[test]
    fn counting_and_the_pick_go_on_from_a_queue_that_was_set_aside_and_numbers_begin_anew() {
        let dir = tempfile::tempdir().unwrap();
        many(dir.path());
        let old = open(dir.path()).unwrap();
        let (tag, position) = (old.tag().to_owned(), old.position().unwrap());
        drop(old);
        set_aside(&dir.path().join(FILE), "a test").unwrap();
        for start in 1..=2 {
            let fresh = open(dir.path()).unwrap();
            let there = fresh.position().unwrap();
            assert_eq!((there.raw, there.unwrapped), (position.raw, position.unwrapped));
            assert_eq!((there.k, &there.serial), (position.k, &position.serial), "start {start}");
            assert_eq!(there.at, None, "as after a boot");
            assert_eq!(fresh.last_seq().0, 0);
            assert_ne!(fresh.tag(), tag, "no number of the old one can be taken for a new one");
            assert_eq!(fresh.pick().unwrap(), Some(assignment("a")));
        }
        // What flowed meanwhile is recorded in the old segment, and in no job.
        let mut fresh = open(dir.path()).unwrap();
        fresh.append(&reading(9000, 100 * MANY, 100)).unwrap();
        let balance = super::super::balance::draw(&fresh.db).unwrap();
        assert!(balance.balanced());
        assert_eq!((balance.recorded.readings, balance.no_job), (1, 1));
        drop(fresh);
        assert_eq!(open(dir.path()).unwrap().position().unwrap().unwrapped, 100 * MANY);
    }

    #[test]
    fn a_queue_that_is_begun_by_hand_later_takes_over_nothing_from_years_ago() {
        let dir = tempfile::tempdir().unwrap();
        many(dir.path());
        set_aside(&dir.path().join(FILE), "a test").unwrap();
        drop(open(dir.path()).unwrap());
        fs::remove_file(dir.path().join(FILE)).unwrap();
        assert_eq!(open(dir.path()).unwrap().position(), None);
    }

    #[test]
    fn whichever_page_is_damaged_a_start_ends_with_a_queue_and_a_position_that_was_recorded() {
        let whole = tempfile::tempdir().unwrap();
        let pages = many(whole.path());
        let (mut aside, mut carried) = (0, 0);
        for page in 0..pages {
            let dir = tempfile::tempdir().unwrap();
            fs::copy(whole.path().join(FILE), dir.path().join(FILE)).unwrap();
            scribble(dir.path(), page);
            let store = match open(dir.path()) {
                Ok(store) => store,
                Err(err) => {
                    assert!(err.is_damage(), "page {page}: {err:?}");
                    let before = fs::read(dir.path().join(FILE)).unwrap();
                    let kept = set_aside(&dir.path().join(FILE), "a test").unwrap();
                    let store = open(dir.path()).unwrap();
                    assert_eq!(fs::read(kept.join(FILE)).unwrap(), before, "page {page}");
                    aside += 1;
                    carried += i32::from(store.position().is_some());
                    store
                }
            };
            if let Some(position) = store.position() {
                assert!(position.unwrapped <= 100 * (MANY - 1) && position.unwrapped % 100 == 0);
                assert_eq!((position.k, position.raw), (100.0, position.unwrapped));
            }
        }
        assert!(aside > 0 && carried > 0, "{aside} set aside, {carried} with a position");
    }
}
