//! What a damaged database can have given out: its tag, and its numbers, also those that
//! can't be read of it. Doesn't know what becomes of its rows.

use std::fs;
use std::path::Path;

use rusqlite::{Connection, OptionalExtension};

use super::super::meta;
use crate::jobcloser::note::Tag;

/// Numbers begin at the next multiple of this.
const STEP: i64 = 1_000_000;
/// No number above this is believed: no rig records so much.
const BELIEVED: i64 = 1 << 50;
/// A row takes more than so many bytes, so that a file tells how many it may hold.
const ROW_BYTES: u64 = 32;

/// The tag that the readings of a database have in their notes.
pub(super) fn tag_of(old: &Connection) -> Option<Tag> {
    let kept = meta::get(old, meta::key::DATABASE).ok().flatten();
    if let Some(tag) = kept.as_deref().and_then(Tag::parse) {
        return Some(tag);
    }
    ["ASC", "DESC"].into_iter().find_map(|way| {
        let sql = format!("SELECT wire FROM delivery ORDER BY seq {way} LIMIT 100");
        let mut statement = old.prepare(&sql).ok()?;
        let mut wires = statement.query_map([], |r| r.get::<_, Vec<u8>>(0)).ok()?;
        wires.find_map(|wire| {
            let record: serde_json::Value = serde_json::from_slice(&wire.ok()?).ok()?;
            let id = record["Note"].as_str()?.split_whitespace().next()?;
            Tag::parse(id.strip_prefix('#')?.split_once('-')?.0)
        })
    })
}

/// The fresh queue's own numbers and ids begin above this one.
pub(super) fn numbers_from(old: &Connection, aside: &Path, highest: i64) -> i64 {
    let asked = [
        "SELECT max(seq) FROM delivery",
        "SELECT max(opened_seq) FROM span",
        "SELECT max(id) FROM span",
        "SELECT max(id) FROM boot",
        "SELECT max(id) FROM segment",
        "SELECT max(id) FROM meter",
        "SELECT max(id) FROM attempt",
    ];
    let said = asked.iter().filter_map(|sql| old.query_row(sql, [], |r| r.get(0)).ok());
    let pruned = meta::number(old, meta::key::LAST_SEQ).unwrap_or(0);
    let seen = said
        .chain([pruned, highest])
        .filter(|number: &i64| (0..=BELIEVED).contains(number))
        .max()
        .unwrap_or(0);
    let files = fs::read_dir(aside).into_iter().flatten().filter_map(Result::ok);
    let bytes: u64 = files.filter_map(|file| file.metadata().ok()).map(|m| m.len()).sum();
    let rows = i64::try_from(bytes / ROW_BYTES).unwrap_or(BELIEVED).min(BELIEVED);
    ((seen + rows) / STEP + 1) * STEP
}

/// The highest number above `low` that can be read. Where the end of the table can't be, it
/// is looked for by halving what may be the range of numbers: the one that is found is
/// readable, and next to a place that isn't.
pub(super) fn highest(old: &Connection, low: i64) -> i64 {
    let whole = old.query_row("SELECT max(seq) FROM reading", [], |r| r.get::<_, Option<i64>>(0));
    if let Ok(last) = whole {
        return last.unwrap_or(0).min(BELIEVED);
    }
    let (mut low, mut beyond) = (low, low + (1_i64 << 40));
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
    low
}
