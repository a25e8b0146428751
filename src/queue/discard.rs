//! Taking readings out of delivery on an operator's word: *discarded*, water that isn't
//! chemical (RULES.md, 12), or *rejected*, never to be sent. They stay in the queue, counted
//! and shown with the reason. One transaction: a power cut leaves all of it or none.

use rusqlite::{Connection, params};
use serde::Serialize;

use super::assign::within;
use super::{Doing, QueueError, Selector, Store};
use crate::clock::{BootInstant, UtcMs};
use crate::reading::{Flag, Flags, Seq, State};
use crate::units::Microlitres;

/// Characters of a reason.
const REASON_AT_MOST: usize = 200;

/// What taking readings out came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct TakenOut {
    /// Readings that are out now.
    pub readings: u64,
    /// Their volume.
    pub gallons: f64,
    /// Readings that were named and stay as they are: in another state, or (for a discard)
    /// part of an attempt.
    pub left: u64,
}

/// A reading that was named.
struct Named {
    seq: Seq,
    boot: i64,
    at: BootInstant,
    share: Microlitres,
    state: State,
    frozen: Option<i64>,
    flags: Flags,
}

impl Store {
    /// Marks readings as water that isn't chemical. Only what is open and was never part of
    /// an attempt, nor may have been (in a damaged queue): JobCloser may have the others.
    ///
    /// # Errors
    /// Where none are named, the reason is no line of text, or it can't be written; nothing
    /// has changed then.
    pub fn discard(&mut self, which: &Selector, reason: &str) -> Result<TakenOut, QueueError> {
        let sent = |r: &Named| r.frozen.is_some() || r.flags.has(Flag::Carried);
        let fits = |r: &Named| r.state == State::Open && !sent(r);
        self.take_out(which, reason, State::Discarded, fits)
    }

    /// Rejects readings for good: open, conflicting, or in doubt where no answer will come,
    /// since the job is gone. One in doubt that a list shows later counts as sent all the
    /// same; made ready again by [`Store::retry`], it is in doubt again.
    ///
    /// # Errors
    /// As [`Store::discard`].
    pub fn reject(&mut self, which: &Selector, reason: &str) -> Result<TakenOut, QueueError> {
        let fits =
            |r: &Named| matches!(r.state, State::Open | State::InDoubt | State::TimeConflict);
        self.take_out(which, reason, State::Rejected, fits)
    }

    fn take_out(
        &mut self,
        which: &Selector,
        reason: &str,
        to: State,
        fits: impl Fn(&Named) -> bool,
    ) -> Result<TakenOut, QueueError> {
        let doing = "take readings out of delivery";
        let reason = checked(which, reason)?;
        let named: Vec<Named> = named(&self.db, which)
            .doing(doing)?
            .into_iter()
            .filter(|reading| within(which.from, which.to, || self.shown_time(reading)))
            .collect();
        let tx = Self::begin(&mut self.db, doing)?;
        let mut taken = TakenOut::default();
        let mut volume = Microlitres::ZERO;
        for reading in &named {
            if !fits(reading) {
                taken.left += 1;
                continue;
            }
            tx.prepare_cached("INSERT INTO ruling (seq, was, reason) VALUES (?1, ?2, ?3)")
                .and_then(|mut s| s.execute(params![reading.seq, reading.state, reason]))
                .doing(doing)?;
            tx.prepare_cached("UPDATE reading SET state = ?2 WHERE seq = ?1")
                .and_then(|mut s| s.execute(params![reading.seq, to]))
                .doing(doing)?;
            taken.readings += 1;
            volume += reading.share;
        }
        tx.commit().doing(doing)?;
        taken.gallons = volume.gallons();
        Ok(taken)
    }

    /// Its time, by the second that lists show.
    fn shown_time(&self, reading: &Named) -> Option<UtcMs> {
        let frozen = reading.frozen.map(|second| UtcMs(second * 1000));
        frozen.or_else(|| self.time_of(reading.boot, reading.at))
    }
}

fn checked<'a>(which: &Selector, reason: &'a str) -> Result<&'a str, QueueError> {
    let reason = reason.trim();
    let refused = |why: &str| Err(QueueError::Refused(why.to_owned()));
    if *which == Selector::default() {
        return refused("say which readings: by time, boot or number");
    }
    if reason.is_empty() || reason.chars().any(char::is_control) {
        return refused("say why, in one line");
    }
    if reason.chars().count() > REASON_AT_MOST {
        return refused("the reason is too long: 200 characters at most");
    }
    Ok(reason)
}

fn named(db: &Connection, which: &Selector) -> rusqlite::Result<Vec<Named>> {
    let (low, high) = which.seq.unwrap_or((Seq(0), Seq(i64::MAX)));
    db.prepare(
        "SELECT r.seq, r.boot, r.boottime_ms, r.share_ul, r.state, d.utc_s, r.flags
         FROM reading r LEFT JOIN delivery d ON d.seq = r.seq
         WHERE r.seq BETWEEN ?1 AND ?2 AND r.boot = coalesce(?3, r.boot) ORDER BY r.seq",
    )?
    .query_map(params![low, high, which.boot], |r| {
        Ok(Named {
            seq: r.get(0)?,
            boot: r.get(1)?,
            at: r.get(2)?,
            share: r.get(3)?,
            state: r.get(4)?,
            frozen: r.get(5)?,
            flags: r.get(6)?,
        })
    })?
    .collect()
}

/// Takes back the rejections among these, and what was set aside as unreadable: those that were in doubt are so again, since
/// JobCloser may have them, and are asked about before they are sent. Returns how many.
pub(super) fn take_back(
    db: &Connection,
    (low, high): (Seq, Seq),
    boot: Option<i64>,
) -> rusqlite::Result<usize> {
    let ruled: Vec<(Seq, State)> = db
        .prepare(
            "SELECT u.seq, u.was FROM ruling u JOIN reading r ON r.seq = u.seq
             WHERE r.state IN (3, 7) AND u.seq BETWEEN ?1 AND ?2 AND r.boot = coalesce(?3, r.boot)",
        )?
        .query_map(params![low, high, boot], |r| Ok((r.get(0)?, r.get(1)?)))?
        .collect::<Result<_, _>>()?;
    let mut doubtful = 0;
    for (seq, was) in ruled {
        db.execute("DELETE FROM ruling WHERE seq = ?1", [seq])?;
        if was == State::InDoubt {
            doubtful += db.execute("UPDATE reading SET state = 1 WHERE seq = ?1", [seq])?;
        }
    }
    Ok(doubtful)
}

#[cfg(test)]
mod tests {
    use super::super::append::tests::{reading, segment, store};
    use super::*;
    use crate::reading::{Reading, SegmentReason};

    fn one(seq: i64) -> Selector {
        Selector { seq: Some((Seq(seq), Seq(seq))), ..Selector::default() }
    }

    #[test]
    fn nothing_is_taken_out_without_saying_which_and_why() {
        let mut store = store();
        let opens = segment(0, 0, SegmentReason::First);
        store.append(&Reading { segment: opens, ..reading(1, 0, 0) }).unwrap();
        let long = "x".repeat(201);
        for (which, reason) in [
            (Selector::default(), "flush"),
            (one(1), " "),
            (one(1), "two\nlines"),
            (one(1), long.as_str()),
        ] {
            assert!(matches!(store.discard(&which, reason), Err(QueueError::Refused(_))));
            assert!(matches!(store.reject(&which, reason), Err(QueueError::Refused(_))));
        }
        assert_eq!(store.discard(&one(1), "flush").unwrap().readings, 1);
    }

    #[test]
    fn what_is_out_is_not_taken_out_again() {
        let mut store = store();
        let opens = segment(0, 0, SegmentReason::First);
        store.append(&Reading { segment: opens, ..reading(1, 0, 0) }).unwrap();
        assert_eq!(store.reject(&one(1), "job is gone").unwrap().readings, 1);
        let again = store.discard(&one(1), "flush").unwrap();
        assert_eq!((again.readings, again.left), (0, 1));
    }
}
