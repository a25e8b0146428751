//! What a start finds of a damaged database, and what it lets pass.

use std::path::PathBuf;

use super::super::append::tests::{assignment, reading, segment, to_job};
use super::super::{FILE, Store};
use super::*;
use crate::clock::{Anchor, AnchorSource, BootId, BootInstant, UtcMs};
use crate::reading::{Reading, SegmentReason};

fn open(path: &Path) -> Result<Store, QueueError> {
    Store::open(path, &BootId("boot-1".to_owned()))
}

/// A queue with something in every table that a reading needs.
fn queue(dir: &Path) -> (Store, PathBuf) {
    let path = dir.join(FILE);
    let mut store = open(&path).unwrap();
    store.db.execute_batch("PRAGMA synchronous = OFF").unwrap();
    let (at, utc, source) = (BootInstant(0), UtcMs(1_809_253_002_000), AnchorSource::Gps);
    store.add_anchor(Anchor { at, utc, err_ms: 0, source }).unwrap();
    let opens = segment(0, 0, SegmentReason::First);
    let first = Reading { segment: opens, span: to_job("a", true), ..reading(1, 0, 0) };
    store.append(&first).unwrap();
    for n in 1..200 {
        store.append(&reading(1 + n as i64, 100 * n, 100)).unwrap();
    }
    store.set_pick(Some(&assignment("a"))).unwrap();
    (store, path)
}

/// What a start says after `damage` was done.
fn said_after(damage: &str) -> Option<String> {
    let dir = tempfile::tempdir().unwrap();
    let (store, path) = queue(dir.path());
    let unguarded = "PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON";
    store.db.execute_batch(&format!("{unguarded}; {damage}")).unwrap();
    drop(store);
    let err = open(&path).err()?;
    assert!(err.is_damage(), "{damage}: {err:?}");
    Some(chain(&err))
}

#[test]
fn a_schema_that_is_not_the_programs_is_found_and_named() {
    for (damage, found) in [
        ("DROP TRIGGER reading_gone", "the trigger reading_gone is missing"),
        ("DROP INDEX reading_ready", "the index reading_ready is missing"),
        ("DROP TABLE carried", "the table carried is missing"),
        (
            "DROP INDEX reading_doubt; CREATE INDEX reading_doubt ON reading (seq)",
            "the index reading_doubt is not as it was made",
        ),
        // It would be made anew over what is there.
        ("PRAGMA user_version = 1", "already exists"),
        ("PRAGMA user_version = -7", "already exists"),
    ] {
        let said = said_after(damage).unwrap();
        assert!(said.contains(found), "{damage}: {said}");
    }
    assert_eq!(said_after("CREATE INDEX mine ON reading (raw)"), None, "an operator's own");
}

#[test]
fn a_small_table_that_cannot_be_decoded_is_found_and_named() {
    for (damage, found) in [
        ("UPDATE span SET opened_seq = 'x'", "span: opened_seq of row 1 is no INTEGER"),
        ("UPDATE span SET event = x'ff'", "span: event of row 1 is no TEXT"),
        ("UPDATE span SET note = CAST(x'ff' AS TEXT)", "span: note of row 1 is no TEXT"),
        ("UPDATE span SET origin = 'moon'", "origin"),
        ("UPDATE segment SET k = 'x'", "segment: k of row 1 is no REAL"),
        ("UPDATE segment SET reason = 'moon'", "reason"),
        ("UPDATE meta SET value = x'00' WHERE key = 'pick'", "meta: value of row"),
        ("UPDATE meta SET value = 'moon' WHERE key = 'database_id'", "the queue's id is none"),
        ("UPDATE anchor SET source = 'moon'", "source"),
        ("UPDATE stretch SET zero = x'00'", "stretch: zero of row 1 is no INTEGER"),
        ("DELETE FROM stretch", "find the open span"),
    ] {
        let said = said_after(damage).unwrap_or_else(|| panic!("{damage} passed"));
        assert!(said.contains(found), "{damage}: {said}");
    }
}

#[test]
fn a_reading_or_a_pick_that_cannot_be_decoded_keeps_no_start_from_going_on() {
    for damage in [
        "UPDATE reading SET total_ul = x'ff', flags = 'x' WHERE seq = 200",
        "UPDATE reading SET share_ul = 'x' WHERE seq = 7",
        "UPDATE meta SET value = '{' WHERE key = 'pick'",
    ] {
        assert_eq!(said_after(damage), None, "{damage}");
    }
}

#[test]
fn the_total_of_a_span_goes_on_over_a_last_reading_whose_own_cannot_be_read() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, path) = queue(dir.path());
    let total = |store: &Store, seq: i64| -> i64 {
        let sql = "SELECT total_ul FROM reading WHERE seq = ?1";
        store.db.query_row(sql, [seq], |r| r.get(0)).unwrap()
    };
    let each = total(&store, 200) - total(&store, 199);
    let last = total(&store, 200);
    store.db.execute_batch("UPDATE reading SET total_ul = x'ff' WHERE seq >= 199").unwrap();
    store.reload().unwrap();
    store.append(&reading(900, 100 * 200, 100)).unwrap();
    assert_eq!(total(&store, 201), last + each);
    drop(store);
    assert_eq!(open(&path).unwrap().last_seq().0, 201);
}

#[test]
fn a_file_that_was_cut_short_is_found_with_and_without_its_log() {
    let dir = tempfile::tempdir().unwrap();
    let (store, path) = queue(dir.path());
    store.db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    let len = path.metadata().unwrap().len();
    for with_log in [false, true] {
        if with_log {
            store.db.execute_batch("UPDATE reading SET rate = 1 WHERE seq = 1").unwrap();
        }
        for cut in [0, 99, 4096, len - 4096, len - 1] {
            let dir = tempfile::tempdir().unwrap();
            let copy = dir.path().join(FILE);
            for end in ["", "-wal"] {
                let from = format!("{}{end}", path.display());
                std::fs::copy(from, format!("{}{end}", copy.display())).unwrap();
            }
            files(&copy).unwrap();
            File::options().write(true).open(&copy).unwrap().set_len(cut).unwrap();
            if cut == 0 && !with_log {
                files(&copy).unwrap();
                continue;
            }
            let said = chain(&open(&copy).unwrap_err());
            let found = match cut {
                0 => "the file is empty, and its log is not",
                99 => "the file ends after 99 bytes",
                _ => "the file is cut short",
            };
            assert!(said.contains(found), "cut at {cut}: {said}");
        }
    }
}

#[test]
fn pages_that_are_in_the_log_alone_are_not_missed() {
    let dir = tempfile::tempdir().unwrap();
    let (store, path) = queue(dir.path());
    let pages: i64 = store.db.query_row("PRAGMA page_count", [], |r| r.get(0)).unwrap();
    assert!(path.metadata().unwrap().len() < pages as u64 * 4096, "it was never brought over");
    files(&path).unwrap();
    assert_eq!(files(Path::new("/nowhere/queue.db")).unwrap(), ());
    std::fs::write(&path, [0x5a; 9000]).unwrap();
    assert!(chain(&files(&path).unwrap_err()).contains("not a database"));
}
