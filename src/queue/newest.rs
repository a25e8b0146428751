//! The newest reading, as the place in the counts that it is: where the counting goes on
//! after a start, or in the place of a damaged queue. Only looks.

use rusqlite::{Connection, OptionalExtension, params};

use super::store::{Last, SegmentStart};
use super::{Doing, Position, QueueError};

/// At the end of the table, so many readings at most are looked at for one that can be
/// decoded.
const LOOK_BACK: i64 = 1000;

/// Where the open span opened.
pub(super) fn opened(db: &Connection) -> Result<Option<i64>, QueueError> {
    db.query_row("SELECT opened_seq FROM span WHERE closed = 0 ORDER BY id DESC LIMIT 1", [], |r| {
        r.get(0)
    })
    .optional()
    .doing("find the open span")
}

/// The last reading that can be decoded, above the first number and up to the second, in a
/// span that opened at `opened`: one that can't be must not keep the program from starting.
pub(super) fn last_reading(
    db: &Connection,
    boot: i64,
    (above, upto): (i64, i64),
    opened: Option<i64>,
) -> Result<Option<Last>, QueueError> {
    let doing = "find the meter's last reading";
    let mut statement = db
        .prepare(
            "SELECT m.serial, r.meter, r.segment, r.raw, r.meter_seq, r.unwrapped, r.boot, r.boottime_ms, s.k,
                 coalesce(o.raw, s.raw_start), coalesce(o.unwrapped, s.unwrapped_start), s.points
             FROM reading r LEFT JOIN meter m ON m.id = r.meter LEFT JOIN segment s ON s.id = r.segment
             LEFT JOIN reading o ON o.segment = r.segment AND o.seq = ?3
             WHERE r.seq <= ?1 AND r.seq > ?4 ORDER BY r.seq DESC LIMIT ?2",
        )
        .doing(doing)?;
    let mut rows = statement.query(params![upto, LOOK_BACK, opened, above]).doing(doing)?;
    while let Some(row) = rows.next().doing(doing)? {
        if let Ok(last) = read_last(row, boot) {
            return Ok(Some(last));
        }
    }
    Ok(None)
}

fn read_last(row: &rusqlite::Row<'_>, boot: i64) -> rusqlite::Result<Last> {
    let serial: String = row.get(0)?;
    let this_boot = row.get::<_, i64>(6)? == boot;
    Ok(Last {
        serial: serial.clone(),
        meter: row.get(1)?,
        segment: row.get(2)?,
        position: Position {
            serial,
            raw: row.get::<_, i64>(3)?.cast_unsigned(),
            meter_seq: row.get(4)?,
            unwrapped: row.get::<_, i64>(5)?.cast_unsigned(),
            at: this_boot.then_some(row.get(7)?),
            k: row.get(8)?,
            segment: SegmentStart {
                raw: row.get::<_, i64>(9)?.cast_unsigned(),
                unwrapped: row.get::<_, i64>(10)?.cast_unsigned(),
                points: row.get(11)?,
            },
        },
    })
}
