//! What only a person can still tell of a held reading: when its boot began, and where it
//! was. Measured times and places are never overruled, and nothing that was frozen changes;
//! what is told is flagged in the note. One transaction each: a power cut leaves all of it
//! or none.

use rusqlite::{Connection, OptionalExtension, params};
use serde::Serialize;

use super::assign::within;
use super::undated::{Bounds, starts};
use super::{Doing, QueueError, Selector, Store};
use crate::clock::{Anchor, AnchorSource, BootInstant, UtcMs, weeks};
use crate::reading::{Flag, Flags, Place, Seq, State};

/// What a person remembers is good to the minute.
const BY_HAND_ERR_MS: i64 = 60_000;

/// What releasing a boot came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Released {
    /// Readings that have a time now.
    pub readings: i64,
    /// The first one's.
    pub first: Option<String>,
    /// The last one's.
    pub last: Option<String>,
}

/// What giving a place came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Placed {
    /// Readings that have the place now.
    pub readings: u64,
    /// Readings that were named and stay as they are: they have a place, or aren't open.
    pub left: u64,
}

/// The readings of a boot.
struct Extent {
    readings: i64,
    first: BootInstant,
    last: BootInstant,
}

impl Store {
    /// Dates a boot that never learnt the time by its start. What an operator told of it
    /// before is replaced as long as nothing has been frozen by it.
    ///
    /// # Errors
    /// Where there is no such boot, it has a time of its own, the boots around it, the present
    /// (`now`, where it is known) or what was sent contradict, or it can't be written; nothing
    /// has changed then.
    pub fn release(
        &mut self,
        boot: i64,
        start: UtcMs,
        now: Option<UtcMs>,
    ) -> Result<Released, QueueError> {
        let doing = "release a boot";
        let extent = self.undated_extent(boot)?;
        self.plausible(boot, start, extent.as_ref(), now)?;
        let at = BootInstant(0);
        let anchor =
            Anchor { at, utc: start, err_ms: BY_HAND_ERR_MS, source: AnchorSource::Operator };
        let tx = Self::begin(&mut self.db, doing)?;
        tx.execute(
            "INSERT INTO anchor VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT DO UPDATE SET utc_ms = excluded.utc_ms",
            params![boot, anchor.at, anchor.utc, anchor.err_ms, anchor.source],
        )
        .doing(doing)?;
        tx.commit().doing(doing)?;
        self.anchors.insert(boot, vec![anchor]);
        let told = |at: BootInstant| UtcMs(start.0.saturating_add(at.0)).rfc3339();
        Ok(Released {
            readings: extent.as_ref().map_or(0, |e| e.readings),
            first: extent.as_ref().map(|e| told(e.first)),
            last: extent.as_ref().map(|e| told(e.last)),
        })
    }

    /// Gives readings that were recorded without a place one.
    ///
    /// # Errors
    /// Where none are named, the place is none, or it can't be written; nothing has changed
    /// then.
    pub fn place(&mut self, which: &Selector, place: Place) -> Result<Placed, QueueError> {
        let doing = "place readings";
        let refused = |why: &str| Err(QueueError::Refused(why.to_owned()));
        if *which == Selector::default() {
            return refused("say which readings: by time, boot or number");
        }
        if place.lat_e7 == 0 && place.lon_e7 == 0 {
            return refused("0,0 is no place");
        }
        if place.lat().abs() > 90.0 || place.lon().abs() > 180.0 {
            return refused("no such place on Earth: latitude first, in degrees");
        }
        let named = named(&self.db, which).doing(doing)?;
        let meant = |r: &&Named| within(which.from, which.to, || self.time_of(r.boot, r.at));
        let named: Vec<&Named> = named.iter().filter(meant).collect();
        let tx = Self::begin(&mut self.db, doing)?;
        let mut placed = Placed::default();
        for reading in named {
            if reading.placed || !matches!(reading.state, State::Open | State::TimeConflict) {
                placed.left += 1;
                continue;
            }
            tx.prepare_cached(
                "UPDATE reading SET lat_e7 = ?2, lon_e7 = ?3, flags = ?4 WHERE seq = ?1",
            )
            .and_then(|mut s| {
                let flags = reading.flags.with(Flag::OperatorPlace);
                s.execute(params![reading.seq, place.lat_e7, place.lon_e7, flags])
            })
            .doing(doing)?;
            placed.readings += 1;
        }
        tx.commit().doing(doing)?;
        Ok(placed)
    }

    /// The readings of a boot that may be dated by hand; `None` where it has none.
    fn undated_extent(&self, boot: i64) -> Result<Option<Extent>, QueueError> {
        let doing = "look for a boot";
        let refused = |why: String| Err(QueueError::Refused(why));
        let known: bool = self
            .db
            .query_row("SELECT EXISTS (SELECT 1 FROM boot WHERE id = ?1)", [boot], |r| r.get(0))
            .doing(doing)?;
        if !known {
            return refused(format!("there is no boot {boot}; `spraylog records list` has them"));
        }
        let anchors = self.anchors.get(&boot).map_or(&[][..], Vec::as_slice);
        if anchors.iter().any(|a| a.source != AnchorSource::Operator) {
            return refused(format!("boot {boot} has a time of its own, which stays"));
        }
        let extent = extent(&self.db, boot).doing(doing)?;
        if extent.is_none() && boot != self.boot {
            return refused(format!("boot {boot} has no readings"));
        }
        let frozen: bool = self
            .db
            .query_row(
                "SELECT EXISTS (SELECT 1 FROM reading r JOIN delivery d ON d.seq = r.seq
                 WHERE r.boot = ?1)",
                [boot],
                |r| r.get(0),
            )
            .doing(doing)?;
        if frozen {
            return refused(format!(
                "readings of boot {boot} have been sent with the time it was given; it stays"
            ));
        }
        Ok(extent)
    }

    fn plausible(
        &self,
        boot: i64,
        start: UtcMs,
        extent: Option<&Extent>,
        now: Option<UtcMs>,
    ) -> Result<(), QueueError> {
        let refused = |why: String| Err(QueueError::Refused(why));
        if weeks::snap(start) != Some(start) {
            let floor = weeks::RELEASE_FLOOR.rfc3339();
            return refused(format!("no boot of this program began then: none before {floor}"));
        }
        // Without what may have been told of this boot before.
        let mut others = self.anchors.clone();
        others.remove(&boot);
        let around = starts(&self.db, &others)?.of.get(&boot).copied().unwrap_or_default().0;
        if !around.hold(start) {
            return refused(format!("boot {boot} began {}", between(around)));
        }
        let Some(extent) = extent else { return Ok(()) };
        let time = |at: BootInstant| UtcMs(start.0.saturating_add(at.0));
        if let Some(now) = now.filter(|now| time(extent.last) > *now) {
            let latest = UtcMs(now.0.saturating_sub(extent.last.0)).rfc3339();
            return refused(format!(
                "its last reading would be of {}, which is still to come; boot {boot} began by {latest}",
                time(extent.last).rfc3339()
            ));
        }
        let among = (time(extent.first).floor_s(), time(extent.last).floor_s());
        match collision(&self.db, boot, among).doing("compare a boot with what was sent")? {
            Some((seq, second)) => refused(format!(
                "its readings would be among those of another boot: reading {seq} is of {}",
                UtcMs(second.saturating_mul(1000)).rfc3339()
            )),
            None => Ok(()),
        }
    }
}

fn between(bounds: Bounds) -> String {
    match (bounds.not_before, bounds.not_after) {
        (Some(from), Some(to)) if from > to => format!(
            "when none could: the boots around it leave no room, from {} to {}; look at their times",
            from.rfc3339(),
            to.rfc3339()
        ),
        (Some(from), Some(to)) => format!("between {} and {}", from.rfc3339(), to.rfc3339()),
        (Some(from), None) => format!("no sooner than {}", from.rfc3339()),
        (None, Some(to)) => format!("no later than {}", to.rfc3339()),
        (None, None) => "at any time".to_owned(),
    }
}

fn extent(db: &Connection, boot: i64) -> rusqlite::Result<Option<Extent>> {
    db.query_row(
        "SELECT count(*), min(boottime_ms), max(boottime_ms) FROM reading WHERE boot = ?1",
        [boot],
        |r| {
            let (first, last): (Option<BootInstant>, Option<BootInstant>) = (r.get(1)?, r.get(2)?);
            let readings = r.get(0)?;
            Ok(first.zip(last).map(|(first, last)| Extent { readings, first, last }))
        },
    )
}

/// A reading of another boot, by one of this boot's meters, that was frozen between two
/// seconds.
fn collision(
    db: &Connection,
    boot: i64,
    (first, last): (i64, i64),
) -> rusqlite::Result<Option<(i64, i64)>> {
    db.query_row(
        "SELECT d.seq, d.utc_s FROM delivery d
         WHERE d.meter IN (SELECT DISTINCT meter FROM reading WHERE boot = ?1)
             AND d.utc_s BETWEEN ?2 AND ?3 LIMIT 1",
        params![boot, first, last],
        |r| Ok((r.get(0)?, r.get(1)?)),
    )
    .optional()
}

/// A reading that was named.
struct Named {
    seq: Seq,
    boot: i64,
    at: BootInstant,
    placed: bool,
    flags: Flags,
    state: State,
}

fn named(db: &Connection, which: &Selector) -> rusqlite::Result<Vec<Named>> {
    let (low, high) = which.seq.unwrap_or((Seq(0), Seq(i64::MAX)));
    db.prepare(
        "SELECT seq, boot, boottime_ms, lat_e7 IS NOT NULL, flags, state FROM reading
         WHERE seq BETWEEN ?1 AND ?2 AND boot = coalesce(?3, boot) ORDER BY seq",
    )?
    .query_map(params![low, high, which.boot], |r| {
        Ok(Named {
            seq: r.get(0)?,
            boot: r.get(1)?,
            at: r.get(2)?,
            placed: r.get(3)?,
            flags: r.get(4)?,
            state: r.get(5)?,
        })
    })?
    .collect()
}

#[cfg(test)]
mod tests;
