//! Boots that never learnt the time, and what the boots around them say of it: a boot began
//! after the one before it had ended, and had ended when the one after it began. Only looks.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension};
use serde::{Serialize, Serializer};

use super::anchor::{Anchors, by_boot};
use super::{Doing, Listed, QueueError, View};
use crate::clock::resolve::resolve;
use crate::clock::{BootInstant, UtcMs};

const DOING: &str = "bound the time of a boot";

/// Between which times something lies; `None` where nothing is known on that side.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Bounds {
    /// No sooner.
    #[serde(serialize_with = "told", skip_serializing_if = "Option::is_none")]
    pub not_before: Option<UtcMs>,
    /// No later.
    #[serde(serialize_with = "told", skip_serializing_if = "Option::is_none")]
    pub not_after: Option<UtcMs>,
}

impl Bounds {
    /// Of something so many milliseconds later.
    pub fn later_ms(self, ms: i64) -> Self {
        let later = |t: Option<UtcMs>| t.map(|t| UtcMs(t.0.saturating_add(ms)));
        Self { not_before: later(self.not_before), not_after: later(self.not_after) }
    }

    /// Whether a time lies between them.
    pub fn hold(self, time: UtcMs) -> bool {
        self.not_before.is_none_or(|t| time >= t) && self.not_after.is_none_or(|t| time <= t)
    }
}

/// A boot without a time that holds readings for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Undated {
    /// Its row id, as lists show it.
    pub boot: i64,
    /// Readings that wait for a time.
    pub readings: i64,
    /// Whether it is the last boot of all: while it runs, its time may become known by itself.
    pub newest: bool,
    /// Between which times they were recorded.
    #[serde(flatten)]
    pub bounds: Bounds,
    /// Between which times the boot began: what a release takes.
    pub start: Bounds,
}

impl View {
    /// The boots that never learnt the time and hold readings for it.
    ///
    /// # Errors
    /// Where the rows can't be read.
    pub fn undated(&self) -> Result<Vec<Undated>, QueueError> {
        undated(&self.db, &by_boot(&self.db)?)
    }

    /// Gives readings without a time the bounds of it.
    pub(super) fn bound(&self, listed: &mut [Listed], anchors: &Anchors) -> Result<(), QueueError> {
        if listed.iter().all(|reading| reading.time.is_some()) {
            return Ok(());
        }
        let boots = undated(&self.db, anchors)?;
        for reading in listed.iter_mut().filter(|reading| reading.time.is_none()) {
            if let Some(boot) = boots.iter().find(|undated| undated.boot == reading.boot) {
                reading.bounds = boot.start.later_ms(reading.boottime_ms);
            }
        }
        Ok(())
    }
}

fn undated(db: &Connection, anchors: &Anchors) -> Result<Vec<Undated>, QueueError> {
    // Kept along with the rows, so that no look reads all of them.
    let held: Vec<(i64, i64)> = db
        .prepare(
            "SELECT boot, sum(readings) FROM standing WHERE state = 0 GROUP BY boot ORDER BY boot",
        )
        .and_then(|mut s| s.query_map([], |r| Ok((r.get(0)?, r.get(1)?)))?.collect())
        .doing(DOING)?;
    let held: Vec<_> = held.into_iter().filter(|(boot, _)| !anchors.contains_key(boot)).collect();
    if held.is_empty() {
        return Ok(Vec::new());
    }
    let starts = starts(db, anchors)?;
    let newest = starts.newest;
    let found = held.into_iter().map(|(boot, readings)| {
        let (start, last_ms) = starts.of.get(&boot).copied().unwrap_or_default();
        let not_after = start.later_ms(last_ms).not_after;
        let bounds = Bounds { not_after, ..start };
        Undated { boot, readings, newest: boot == newest, bounds, start }
    });
    Ok(found.collect())
}

/// When the boots without a time began, each with the milliseconds up to its last reading.
pub(super) struct Starts {
    pub of: BTreeMap<i64, (Bounds, i64)>,
    newest: i64,
}

/// Every boot is passed once in either direction: what lies between two that have a time is
/// bounded by both, less what the boots in between took themselves.
pub(super) fn starts(db: &Connection, anchors: &Anchors) -> Result<Starts, QueueError> {
    let boots: Vec<i64> = db
        .prepare("SELECT id FROM boot ORDER BY id")
        .and_then(|mut s| s.query_map([], |r| r.get(0))?.collect())
        .doing(DOING)?;
    let mut of = BTreeMap::new();
    let (mut ended, mut before) = (None, None);
    for boot in &boots {
        if anchors.contains_key(boot) {
            (before, ended) = (Some(*boot), None);
            continue;
        }
        if ended.is_none()
            && let Some(before) = before
        {
            ended = end(db, anchors, before)?;
        }
        let last_ms = last_reading_ms(db, *boot)?.unwrap_or(0).max(0);
        of.insert(*boot, (Bounds { not_before: ended, not_after: None }, last_ms));
        ended = ended.map(|t: UtcMs| UtcMs(t.0.saturating_add(last_ms)));
    }
    let mut began = None;
    for boot in boots.iter().rev() {
        match of.get_mut(boot) {
            Some((bounds, last_ms)) => {
                began = began.map(|t: UtcMs| UtcMs(t.0.saturating_sub(*last_ms)));
                bounds.not_after = began;
            }
            None => began = anchors.get(boot).and_then(|a| resolve(a, BootInstant(0))),
        }
    }
    Ok(Starts { of, newest: boots.last().copied().unwrap_or(0) })
}

/// The last that is known of a boot that has a time.
fn end(db: &Connection, anchors: &Anchors, boot: i64) -> Result<Option<UtcMs>, QueueError> {
    let Some(anchors) = anchors.get(&boot) else { return Ok(None) };
    let read = last_reading_ms(db, boot)?.map(BootInstant);
    let last = anchors.iter().map(|a| a.at).chain(read).max();
    Ok(last.and_then(|at| resolve(anchors, at)))
}

/// Milliseconds into a boot of its last reading. Boots follow one another in the numbers of
/// their readings, so that it is found by halving.
fn last_reading_ms(db: &Connection, boot: i64) -> Result<Option<i64>, QueueError> {
    let mut at_or_before = db
        .prepare_cached(
            "SELECT boot, boottime_ms FROM reading WHERE seq <= ?1 ORDER BY seq DESC LIMIT 1",
        )
        .doing(DOING)?;
    let mut look = |seq: i64| {
        at_or_before
            .query_row([seq], |r| Ok((r.get(0).unwrap_or(0), r.get(1).unwrap_or(0))))
            .optional()
            .doing(DOING)
    };
    let newest: Option<i64> =
        db.query_row("SELECT max(seq) FROM reading", [], |r| r.get(0)).doing(DOING)?;
    let (mut low, mut high) = (0, newest.unwrap_or(0));
    while low < high {
        let middle = low + (high - low + 1) / 2;
        match look(middle)? {
            Some((found, _)) if found > boot => high = middle - 1,
            _ => low = middle,
        }
    }
    let last: Option<(i64, i64)> = look(low)?;
    Ok(last.filter(|(found, _)| *found == boot).map(|(_, ms)| ms))
}

#[allow(clippy::ref_option, reason = "serde hands the field over by reference")]
fn told<S: Serializer>(time: &Option<UtcMs>, to: S) -> Result<S::Ok, S::Error> {
    time.map(UtcMs::rfc3339).serialize(to)
}
