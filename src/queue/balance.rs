//! The balance (RULES.md, 4): everything recorded is in exactly one state, in number and
//! in gallons. What was recorded is counted apart from what the states add up to, so
//! that the two can differ if something is wrong. The states are added up as rows change
//! (`standing`); [`audit`] adds up the rows themselves.

use rusqlite::{Connection, OptionalExtension};
use serde::Serialize;

use super::{Doing, QueueError, carry, meta};
use crate::reading::State;
use crate::units::Microlitres;

const DOING: &str = "draw the balance";

/// A volume that is none (it can't be decoded, or is more than a thousand rivers) counts as
/// nothing: then the sums differ, and say so, where one bad row would else hide them all.
const VOLUME: &str = "iif(share_ul BETWEEN -(1 << 55) AND 1 << 55, CAST(share_ul AS INTEGER), 0)";

/// Readings and their volume.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Share {
    /// How many.
    pub readings: i64,
    /// Their volume.
    pub volume: Microlitres,
}

impl Share {
    fn add(&mut self, other: Self) {
        self.readings += other.readings;
        self.volume += other.volume;
    }
}

/// Both sums, and why what is held is held. A reading with two reasons counts in both.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Balance {
    /// Everything that was ever recorded.
    pub recorded: Share,
    /// Can be sent now.
    pub ready: Share,
    /// Can't be sent yet.
    pub held: Share,
    /// Sent, the answer not known.
    pub in_doubt: Share,
    /// At JobCloser.
    pub sent: Share,
    /// Refused by the server, alone.
    pub rejected: Share,
    /// Water that isn't chemical.
    pub discarded: Share,
    /// Deleted at JobCloser.
    pub deleted: Share,
    /// Held without a job.
    pub no_job: i64,
    /// Held without a place.
    pub no_place: i64,
    /// Held in a boot without an anchor.
    pub no_time: i64,
    /// Held since the meter's serial number isn't known.
    pub no_serial: i64,
    /// Held since its second is taken.
    pub time_conflict: i64,
    /// Held since its row can't be decoded.
    pub unreadable: i64,
    /// Held since the server refuses the job.
    pub refused: i64,
}

/// A balance as `status --json` shows it: one object of numbers, one of gallons.
#[derive(Debug, Clone, Serialize)]
pub struct Columns<T> {
    /// Everything that was ever recorded.
    pub recorded: T,
    /// Can be sent now.
    pub ready: T,
    /// Can't be sent yet.
    pub held: T,
    /// Sent, the answer not known.
    pub in_doubt: T,
    /// At JobCloser.
    pub sent: T,
    /// Refused by the server, alone.
    pub rejected: T,
    /// Water that isn't chemical.
    pub discarded: T,
    /// Deleted at JobCloser.
    pub deleted: T,
    /// Whether the states add up to what was recorded.
    pub balanced: bool,
}

impl Balance {
    /// Every state added up.
    pub fn states(&self) -> Share {
        let mut sum = Share::default();
        for share in [
            self.ready,
            self.held,
            self.in_doubt,
            self.sent,
            self.rejected,
            self.discarded,
            self.deleted,
        ] {
            sum.add(share);
        }
        sum
    }

    /// Whether the states add up to what was recorded.
    pub fn balanced(&self) -> bool {
        self.states() == self.recorded
    }

    /// One column of it.
    pub fn columns<T>(
        &self,
        of: impl Fn(Share) -> T,
        same: impl Fn(Share, Share) -> bool,
    ) -> Columns<T> {
        Columns {
            recorded: of(self.recorded),
            ready: of(self.ready),
            held: of(self.held),
            in_doubt: of(self.in_doubt),
            sent: of(self.sent),
            rejected: of(self.rejected),
            discarded: of(self.discarded),
            deleted: of(self.deleted),
            balanced: same(self.states(), self.recorded),
        }
    }
}

/// Draws the balance of a database from what was kept along with its rows: as quick with
/// a million of them as with a hundred.
pub(super) fn draw(db: &Connection) -> Result<Balance, QueueError> {
    balance_of(db, "standing")
}

/// The same by reading every row. It takes a second for a million of them, and ten times
/// that on a board, so that `status` doesn't ask for it.
pub(super) fn audit(db: &Connection) -> Result<Balance, QueueError> {
    let rows = "(SELECT coalesce(span, 0) AS span, state, boot, lat_e7 IS NOT NULL AS placed,
        meter <> 0 AS named, 1 AS readings, share_ul FROM reading)";
    balance_of(db, rows)
}

fn balance_of(db: &Connection, standing: &str) -> Result<Balance, QueueError> {
    // One read transaction, so that nothing is recorded between the two sums.
    let tx = db.unchecked_transaction().doing(DOING)?;
    let mut balance = Balance { recorded: recorded(&tx)?, ..Balance::default() };
    let sql = format!(
        "SELECT state, span = 0, NOT placed, coalesce(boot NOT IN (SELECT boot FROM anchor), 1),
             NOT named,
             span IN (SELECT p.id FROM span p JOIN refusal f
                 ON (f.event = p.event AND f.job = p.job) OR (f.event = '' AND f.job = '')),
             sum(readings), sum({VOLUME})
         FROM {standing} GROUP BY 1, 2, 3, 4, 5, 6"
    );
    let mut statement = tx.prepare(&sql).doing(DOING)?;
    let groups = statement
        .query_map([], |r| {
            let share = Share { readings: r.get(6)?, volume: r.get(7)? };
            let reasons = [r.get(1)?, r.get(2)?, r.get(3)?, r.get(4)?, r.get(5)?];
            // A code that no state has is a row that can't be decoded.
            Ok((r.get(0).unwrap_or(State::Unreadable), reasons, share))
        })
        .doing(DOING)?;
    for group in groups {
        let (state, reasons, share) = group.doing(DOING)?;
        balance.count(state, reasons, share);
    }
    drop(statement);
    add_pruned(&tx, &mut balance)?;
    Ok(balance)
}

impl Balance {
    fn count(
        &mut self,
        state: State,
        [no_job, no_place, no_time, no_serial, refused]: [bool; 5],
        share: Share,
    ) {
        match state {
            State::Open if no_job || no_place || no_time || no_serial || refused => {
                self.held.add(share);
                self.no_job += if no_job { share.readings } else { 0 };
                self.no_place += if no_place { share.readings } else { 0 };
                self.no_time += if no_time { share.readings } else { 0 };
                self.no_serial += if no_serial { share.readings } else { 0 };
                self.refused += if refused { share.readings } else { 0 };
            }
            State::Open => self.ready.add(share),
            State::TimeConflict => {
                self.held.add(share);
                self.time_conflict += share.readings;
            }
            State::Unreadable => {
                self.held.add(share);
                self.unreadable += share.readings;
            }
            State::InDoubt => self.in_doubt.add(share),
            State::Sent => self.sent.add(share),
            State::Rejected => self.rejected.add(share),
            State::Discarded => self.discarded.add(share),
            State::Deleted => self.deleted.add(share),
        }
    }
}

/// Numbers are handed out without a hole, and the odometer runs along: the last row tells
/// what was recorded, independently of the states. What was carried over from a damaged
/// database has lower numbers, and is counted apart.
fn recorded(db: &Connection) -> Result<Share, QueueError> {
    let from = meta::number(db, meta::key::FROM)?;
    let last = db
        .query_row(
            "SELECT seq, odometer_ul FROM reading WHERE seq > ?1 ORDER BY seq DESC LIMIT 1",
            [from],
            |r| Ok(Share { readings: r.get(0)?, volume: r.get(1).unwrap_or_default() }),
        )
        .optional()
        .doing(DOING)?;
    let mut share = match last {
        Some(share) => share,
        None => {
            let readings = meta::number(db, meta::key::LAST_SEQ)?.max(from);
            Share { readings, volume: Microlitres::ZERO }
        }
    };
    share.readings -= from;
    share.add(carry::taken_share(db)?);
    Ok(share)
}

fn add_pruned(db: &Connection, balance: &mut Balance) -> Result<(), QueueError> {
    let mut statement = db
        .prepare("SELECT state, sum(readings), sum(total_ul) FROM tally GROUP BY state")
        .doing(DOING)?;
    let rows = statement
        .query_map([], |r| {
            Ok((r.get::<_, State>(0)?, Share { readings: r.get(1)?, volume: r.get(2)? }))
        })
        .doing(DOING)?;
    for row in rows {
        let (state, share) = row.doing(DOING)?;
        balance.count(state, [false; 5], share);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
