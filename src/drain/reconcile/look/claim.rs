//! Which record an id claims. Of a record that is the reading's own in all that is looked at
//! only so much is kept as tells it again: a list may have as many of them as the job.

use super::Look;
use super::row::Row;
use crate::drain::reconcile::sought::{Reading, shown};
use crate::jobcloser::wire::When;

/// How a record is told again.
const FORM: u8 = shown::PLAIN | shown::WITH_NOTE | shown::IN_ZONE | shown::AS_WRITTEN;

impl Look {
    /// A record with the id of a reading: which it claims, unless another with that id is more
    /// like it. The one that is left over, if any.
    pub(super) fn claim(&mut self, at: usize, reading: &Reading, row: Row) -> Option<Row> {
        // Whatever job it names: the id is of this one.
        let row = Row { here: true, ..row };
        let before = self.claimed_by(at, reading, &row);
        // A list that shows an id twice: which of them claims doesn't depend on their order.
        let (winner, other) = match before {
            None => (row, None),
            Some(before) if self.rank(&before, reading) <= self.rank(&row, reading) => {
                (before, Some(row))
            }
            Some(before) => (row, Some(before)),
        };
        let form = self.form(&winner, reading).filter(|_| self.brief);
        self.ours.show(at, shown::CLAIMED | form.unwrap_or(0), FORM);
        if form.is_none() {
            self.claimed.insert(at, winner);
        }
        other
    }

    /// Of two records with the id of a reading the one that is more like it comes first.
    fn rank<'a>(&self, row: &'a Row, reading: &Reading) -> impl Ord + use<'a> {
        (!self.is(row, reading), row.note, &row.meter, row.raw, row.when)
    }

    /// The record that has claimed a reading before one with the same id came.
    fn claimed_by(&mut self, at: usize, reading: &Reading, same_id: &Row) -> Option<Row> {
        let shown = self.ours.shown(at);
        if shown & shown::CLAIMED == 0 {
            return None;
        }
        if shown & shown::PLAIN == 0 {
            return self.claimed.remove(&at);
        }
        let [in_zone, as_written] = self.local(reading);
        let when = match (shown & shown::IN_ZONE != 0, shown & shown::AS_WRITTEN != 0) {
            (true, _) => in_zone,
            (_, true) => as_written,
            (false, false) => Some(When::Instant(reading.utc_s)),
        };
        Some(Row {
            id: same_id.id.clone(),
            note: (shown & shown::WITH_NOTE != 0).then_some(reading.seq),
            meter: self.ours.meter_name(reading.meter).map(str::to_owned),
            raw: Some(reading.raw),
            when,
            here: true,
        })
    }

    /// As what a record can be told again; `None` where it differs from the reading in
    /// anything that is looked at.
    fn form(&self, row: &Row, reading: &Reading) -> Option<u8> {
        if !self.has_key(row, reading) {
            return None;
        }
        let note = match row.note {
            None => 0,
            Some(seq) if seq == reading.seq => shown::WITH_NOTE,
            Some(_) => return None,
        };
        let [in_zone, as_written] = self.local(reading);
        let time = match row.when {
            Some(When::Instant(_)) => 0,
            when if when == in_zone => shown::IN_ZONE,
            when if when == as_written => shown::AS_WRITTEN,
            _ => return None,
        };
        Some(shown::PLAIN | note | time)
    }

    /// Its time without an offset: in the rig's zone, and in that it was written in.
    fn local(&self, reading: &Reading) -> [Option<When>; 2] {
        let written = self.written(reading);
        [Some(self.zone()), written.as_ref()].map(|zone| When::local(reading.utc_s, zone?))
    }
}
