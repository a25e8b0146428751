//! One look through a list: each record is set beside the readings that it may be, and at
//! the end each record proves one reading at most.
//!
//! Ids claim first, then notes, then keys. A record whose key fits several readings (a local
//! time that occurs twice) goes where most of them find one, the acknowledged first.

mod claim;
mod row;
mod told;

use std::collections::{BTreeSet, HashMap, HashSet};

use jiff::tz::{Offset, TimeZone};

use super::keyed::{Fits, Keyed};
use super::sought::{Ours, Reading, shown};
use super::{Findings, Flaw, PROOF, Recogniser};
use crate::delivery::{Frozen, JobKey, Placed};
use crate::jobcloser::wire::{Stored, When};
use crate::verified::Extra;
use row::Row;
use told::Told;

static UTC: TimeZone = TimeZone::UTC;

/// Our readings, and what a list has shown of them so far.
#[derive(Debug)]
pub struct Look {
    how: Recogniser,
    /// The acknowledged first, then those in doubt.
    ours: Ours,
    /// How many of them are acknowledged.
    sent: usize,
    /// The record with its server id, of those readings for which that must be kept in full.
    claimed: HashMap<usize, Row>,
    /// Of a reading: records with its note, but for the first.
    noted_again: HashMap<usize, usize>,
    /// Of a reading in doubt: the least id of a record with its note.
    noted_ids: HashMap<usize, Option<String>>,
    /// Records that fit by key, by which readings they fit; but for those that are
    /// [`shown::KEYED`].
    keyed: Keyed,
    /// Readings that were given one of these, with its id.
    matched: HashMap<usize, Option<String>>,
    /// How many records the list has.
    rows: usize,
    loose: Loose,
    /// The job whose list it is, where records that are nobody's are counted.
    of: Option<JobKey>,
    /// The ids of those that are somebody's aren't asked for: of a record that can be told
    /// again from its reading, no more is kept than that.
    brief: bool,
    extras: u64,
    /// The first of them, by number and id.
    named: BTreeSet<Extra>,
}

/// What is known of records that are nobody's.
#[derive(Debug, Default)]
struct Loose {
    /// Count and meter are one of ours, and the time isn't.
    moved: HashSet<(i64, usize)>,
    /// No readable meter, time or count, and of no other meter than these, if any is named.
    unreadable: BTreeSet<Option<usize>>,
}

impl Look {
    pub(super) fn new(how: Recogniser, doubted: &[Frozen], sent: &[Frozen]) -> Self {
        let mut look = Self::empty(how, None);
        sent.iter().for_each(|frozen| look.ours.add(frozen, true));
        doubted.iter().for_each(|frozen| look.ours.add(frozen, false));
        look.sent = sent.len();
        look.ours.index();
        look
    }

    /// For the whole of a job: what else there is of ours in its list is counted.
    pub(super) fn of_job(how: Recogniser, key: JobKey) -> Self {
        Self::empty(how, Some(key))
    }

    /// More of the job: before the first record of its list.
    pub(super) fn add(&mut self, placed: &Placed) {
        self.ours.add(&placed.frozen, placed.sent);
    }

    /// That was all of the job.
    pub(super) fn added(&mut self) {
        self.sent = self.ours.len();
        self.ours.index();
    }

    fn empty(how: Recogniser, of: Option<JobKey>) -> Self {
        Self {
            how,
            ours: Ours::default(),
            sent: 0,
            claimed: HashMap::new(),
            noted_again: HashMap::new(),
            noted_ids: HashMap::new(),
            keyed: Keyed::default(),
            matched: HashMap::new(),
            rows: 0,
            loose: Loose::default(),
            brief: of.is_some(),
            of,
            extras: 0,
            named: BTreeSet::new(),
        }
    }

    /// A record that is nobody's, though our meter or our tag is on it.
    fn extra(&mut self, row: &Row) {
        if self.of.is_some() && row.here {
            self.name_extra(None, row.id.clone(), 1);
        }
    }

    /// The next record of the list.
    pub fn take(&mut self, stored: Stored) {
        self.rows += 1;
        let row = Row::of(stored, &self.how.tag, self.of.as_ref());
        let claims = row.id.as_deref().and_then(|id| self.ours.by_id(id));
        let claims = claims.and_then(|at| Some((at, self.ours.get(at)?)));
        let other = match claims {
            None => Some(row),
            Some((at, reading)) => self.claim(at, &reading, row),
        };
        if let Some(other) = other {
            self.take_other(&other);
        }
    }

    /// A record that no id claims.
    fn take_other(&mut self, row: &Row) {
        if let Some(seq) = row.note {
            return match self.ours.by_seq(seq) {
                Some(at) => self.note(at, row),
                None => self.extra(row),
            };
        }
        let meter = row.meter.as_deref().map(|serial| self.ours.meter(serial));
        let (Some(meter), Some(raw), Some(when)) = (meter, row.raw, row.when) else {
            if meter.flatten().is_some() {
                self.extra(row);
            }
            if meter.is_none_or(|ours| ours.is_some()) {
                self.loose.unreadable.insert(meter.flatten());
            }
            return;
        };
        let fits =
            if self.ours.has_raw(raw) { self.fits(meter, raw, when) } else { Fits::default() };
        if fits.by_key.is_empty() {
            if meter.is_some() {
                self.extra(row);
            }
            return self.let_loose(meter, raw, &fits);
        }
        // It is enough to know that the reading has one of its own.
        if let ([at], [], true) = (&*fits.by_key, &*fits.but_for_meter, self.brief)
            && self.ours.shown(*at) & shown::KEYED == 0
        {
            return self.ours.show(*at, shown::KEYED, 0);
        }
        self.keyed.add(fits, row.id.clone());
    }

    /// A record with the note of a reading.
    fn note(&mut self, at: usize, row: &Row) {
        let again = self.ours.shown(at) & shown::NOTED != 0;
        self.ours.show(at, shown::NOTED, 0);
        if again {
            *self.noted_again.entry(at).or_default() += 1;
        }
        if !self.brief {
            let id = self.noted_ids.entry(at).or_insert_with(|| row.id.clone());
            if row.id < *id {
                id.clone_from(&row.id);
            }
        }
    }

    fn let_loose(&mut self, meter: Option<usize>, raw: i64, fits: &Fits) {
        if let Some(meter) = meter
            && self.ours.has_raw(raw)
        {
            self.loose.moved.insert((raw, meter));
        }
        for at in &fits.but_for_meter {
            self.ours.show(*at, shown::LIKE, 0);
        }
    }

    fn fits(&self, meter: Option<usize>, raw: i64, when: When) -> Fits {
        let offsets = self.ours.offsets.iter().filter(|_| !self.how.plain_is_utc);
        let mut fits = Fits { by_key: Vec::new(), but_for_meter: Vec::new() };
        for second in when.seconds(self.zone(), offsets.filter_map(|min| offset(*min))) {
            for (at, reading) in self.ours.by_key(raw, second) {
                if !self.is_time(when, &reading) {
                    continue;
                }
                let ours = meter == Some(reading.meter);
                if ours { &mut fits.by_key } else { &mut fits.but_for_meter }.push(at);
            }
        }
        fits.by_key.sort_unstable();
        fits.but_for_meter.sort_unstable();
        fits
    }

    /// A note with one of our ids decides; else the key: serial number, second and count.
    fn is(&self, row: &Row, reading: &Reading) -> bool {
        match row.note {
            Some(seq) => seq == reading.seq,
            None => self.has_key(row, reading),
        }
    }

    fn has_key(&self, row: &Row, reading: &Reading) -> bool {
        row.raw == Some(reading.raw)
            && row.meter.as_deref() == self.ours.meter_name(reading.meter)
            && row.when.is_some_and(|when| self.is_time(when, reading))
    }

    /// Without an offset, the answer means the zone that the record was written in, which
    /// may not be the one that is configured now.
    fn is_time(&self, when: When, reading: &Reading) -> bool {
        when.is(reading.utc_s, self.zone())
            || self.written(reading).is_some_and(|zone| when.is(reading.utc_s, &zone))
    }

    /// That a date without an offset is in.
    fn zone(&self) -> &TimeZone {
        if self.how.plain_is_utc { &UTC } else { &self.how.zone }
    }

    /// That it may be in as well.
    fn written(&self, reading: &Reading) -> Option<TimeZone> {
        let offset = offset(reading.offset_min).filter(|_| !self.how.plain_is_utc);
        offset.map(TimeZone::fixed)
    }

    /// The list is at its end: what it proves.
    pub fn findings(mut self) -> Findings {
        self.give_keyed();
        let mut findings =
            Findings { empty: self.rows == 0, rows: self.rows, ..Findings::default() };
        let (mut known, mut recognised, mut absent) = (0, 0, Vec::new());
        let (mut there, mut attempts): (Option<(i64, i64)>, _) = (None, HashSet::new());
        for (at, reading) in self.ours.iter() {
            let told = self.told_of(at, &reading);
            if told.is_there() {
                let second = reading.utc_s;
                let (from, to) = there.unwrap_or((second, second));
                there = Some((from.min(second), to.max(second)));
                attempts.insert(reading.attempt);
            }
            if at < self.sent {
                known += usize::from(told.is_there());
                recognised += usize::from(told.is_recognised());
                continue;
            }
            match told {
                Told::Not => absent.push((at, reading)),
                Told::There { id, .. } => findings.present.push((reading.seq, id)),
            }
        }
        findings.absent = absent.iter().map(|(_, reading)| reading.seq).collect();
        findings.flaw = if known < self.sent {
            Some(Flaw::Lacks)
        } else if recognised == 0 && self.sent > 0 {
            Some(Flaw::Altered)
        } else if self.may_be_page() && torn(&absent, &attempts) && !amid(&absent, there) {
            Some(Flaw::Page)
        } else {
            // With fewer, all that was ever acknowledged is used up by now. With so many
            // there may be older ones, at rest with the same count; but where all of them
            // are recognised the server leaves keys as they are.
            let kept = recognised > 0 && recognised == self.sent;
            let proven = kept && self.sent >= PROOF;
            self.suspect(&absent, kept, proven)
        };
        findings
    }

    /// Whether the list may be one page of several.
    fn may_be_page(&self) -> bool {
        is_page(self.rows) && self.rows >= self.how.longest
    }

    /// What is wrong with the records that are nobody's, while `absent` are looked for.
    /// `kept`: the server is seen to keep keys as they are; `proven`: all the newest are there.
    fn suspect(&self, absent: &[(usize, Reading)], kept: bool, proven: bool) -> Option<Flaw> {
        // One that names another meter is that meter's. Where ours come back readable, one
        // that isn't is a person's own record.
        if !kept && absent.iter().any(|(_, of)| self.may_be_unreadable(of)) {
            return Some(Flaw::Unreadable);
        }
        (!proven && absent.iter().any(|(at, of)| self.is_like(*at, of))).then_some(Flaw::Alike)
    }

    fn may_be_unreadable(&self, reading: &Reading) -> bool {
        let named = |meter: &Option<usize>| meter.is_none_or(|meter| meter == reading.meter);
        self.loose.unreadable.iter().any(named)
    }

    fn is_like(&self, at: usize, reading: &Reading) -> bool {
        let like = self.ours.shown(at) & shown::LIKE != 0;
        like || self.loose.moved.contains(&(reading.raw, reading.meter))
    }
}

/// Whether something is absent of an attempt of which something is there: a page ends within
/// one, while what got lost on the way is lost as a whole.
fn torn(absent: &[(usize, Reading)], there: &HashSet<i64>) -> bool {
    absent.iter().any(|(_, of)| there.contains(&of.attempt))
}

/// Whether all that is absent was sprayed amid what is there, from first to last.
fn amid(absent: &[(usize, Reading)], there: Option<(i64, i64)>) -> bool {
    let amid = |of: &Reading, (first, last)| first < of.utc_s && of.utc_s < last;
    absent.iter().all(|(_, of)| there.is_some_and(|there| amid(of, there)))
}

/// Whether a list of so many may be one page of several: 10, 20, 25, 50 and on by tens, or a
/// power of two. Fewer lengths than a verification takes for a page: what stays in doubt
/// stays so until the list has another length. Nor is it asked of a batch that is absent as a
/// whole: batches are of round numbers too, and one that was lost on the way would be in doubt
/// for good.
fn is_page(records: usize) -> bool {
    let mut head = records;
    while head >= 100 && head.is_multiple_of(10) {
        head /= 10;
    }
    records >= 16 && records.is_power_of_two() || [10, 20, 25, 50].contains(&head)
}

fn offset(minutes: i32) -> Option<Offset> {
    Offset::from_seconds(minutes.saturating_mul(60)).ok()
}

#[cfg(test)]
mod tests;
