//! Where a reading that is frozen late may lie: before what its boot has recorded after it
//! and was frozen already.

use rusqlite::{OptionalExtension, params};

use super::super::{Doing, QueueError};
use super::record::Row;
use super::{DOING, Freezer};

impl Freezer<'_> {
    /// The second of the nearest reading of its meter and boot that was recorded after it and
    /// frozen before it. In another boot time may have been another.
    pub(super) fn second_after(&self, row: &Row) -> Result<Option<i64>, QueueError> {
        // In order, nothing behind it is frozen: one look tells.
        let next: Option<[Option<i64>; 3]> = self
            .db
            .prepare_cached(
                "SELECT d.meter, r.boot, d.utc_s FROM delivery d JOIN reading r ON r.seq = d.seq
                 WHERE d.seq > ?1 ORDER BY d.seq LIMIT 1",
            )
            .and_then(|mut s| {
                s.query_row([row.seq], |r| Ok([0, 1, 2].map(|i| r.get(i).ok()))).optional()
            })
            .doing(DOING)?;
        match next {
            Some([Some(meter), Some(boot), Some(second)])
                if boot == row.boot && meter == row.meter =>
            {
                Ok(Some(second))
            }
            Some([_, Some(boot), _]) if boot != row.boot => Ok(None),
            // A change of meters in between, or one that can't be decoded, once in a while.
            Some(_) => self
                .db
                .prepare_cached(
                    "SELECT d.utc_s, r.boot FROM delivery d JOIN reading r ON r.seq = d.seq
                     WHERE d.seq > ?1 AND d.meter = ?2 AND typeof(d.utc_s) = 'integer'
                         AND typeof(r.boot) = 'integer' ORDER BY d.seq LIMIT 1",
                )
                .and_then(|mut s| {
                    s.query_row(params![row.seq, row.meter], |r| Ok((r.get(0)?, r.get(1)?)))
                        .optional()
                })
                .doing(DOING)
                .map(|found: Option<(i64, i64)>| {
                    found.filter(|(_, boot)| *boot == row.boot).map(|(second, _)| second)
                }),
            None => Ok(None),
        }
    }
}
