//! A row as a reading in a list: what it says, what time it has, and why it is held. Knows
//! neither which rows are asked for nor what becomes of one that can't be decoded.

use super::Listed;
use super::anchor::Anchors;
use super::undated::Bounds;
use crate::clock::resolve::{best_source, resolve};
use crate::clock::{AnchorSource, BootInstant, UtcMs};
use crate::reading::{Flag, Flags, Hold, Place, State};
use crate::units::Microlitres;

pub(super) fn read(r: &rusqlite::Row<'_>, anchors: &Anchors) -> rusqlite::Result<Listed> {
    let (boot, at): (i64, BootInstant) = (r.get(1)?, r.get(2)?);
    let of_boot = anchors.get(&boot).map_or(&[][..], Vec::as_slice);
    let resolved = resolve(of_boot, at);
    let frozen: Option<i64> = r.get(14)?;
    let utc = frozen.map(|s| UtcMs(s * 1000)).or(resolved);
    let mut flags: Flags = r.get(12)?;
    // What was frozen has it in its row, whatever became known since.
    if frozen.is_none() && best_source(of_boot) == Some(AnchorSource::Operator) {
        flags.set(Flag::OperatorTime);
    }
    let place = match (r.get(10)?, r.get(11)?) {
        (Some(lat_e7), Some(lon_e7)) => Some(Place { lat_e7, lon_e7 }),
        _ => None,
    };
    let job: Option<String> = r.get(8)?;
    let state: State = r.get(13)?;
    let reasons = [
        (job.is_none(), Hold::NoJob),
        (place.is_none(), Hold::NoPlace),
        (resolved.is_none(), Hold::NoTime),
        (r.get(15)?, Hold::NoSerial),
        (r.get(16)?, Hold::Refused),
    ];
    let held_for = match state {
        State::Open => reasons.into_iter().filter_map(|(is, why)| is.then_some(why)).collect(),
        State::TimeConflict => vec![Hold::TimeConflict],
        State::Unreadable => vec![Hold::Unreadable],
        _ => Vec::new(),
    };
    Ok(Listed {
        seq: r.get(0)?,
        boot,
        boottime_ms: at.0,
        time: utc.map(UtcMs::rfc3339),
        utc,
        bounds: Bounds::default(),
        meter: r.get(3)?,
        raw: r.get(4)?,
        unwrapped: r.get(5)?,
        gallons: r.get::<_, Microlitres>(6)?.gallons(),
        total_gallons: r.get::<_, Microlitres>(7)?.gallons(),
        job,
        event: r.get(9)?,
        lat: place.map(Place::lat),
        lon: place.map(Place::lon),
        flags,
        state,
        held_for,
    })
}
