//! One look through a list: each record is set beside the readings that it may be, and at
//! the end each record proves one reading at most.
//!
//! Ids claim first, then notes, then keys. A record whose key fits several readings (a local
//! time that occurs twice) goes where most of them find one, the acknowledged first.

mod told;

use std::collections::{BTreeSet, HashSet};

use jiff::tz::{Offset, TimeZone};

use super::keyed::{Fits, Keyed};
use super::sought::{Index, Sought, meter_of};
use super::{Findings, Flaw, PROOF, Recogniser};
use crate::delivery::{Frozen, JobKey};
use crate::jobcloser::note;
use crate::jobcloser::wire::{Stored, When};
use crate::reading::Seq;
use crate::verified::Extra;
use told::Told;

/// Our readings, and what a list has shown of them so far.
#[derive(Debug)]
pub struct Look {
    how: Recogniser,
    /// The acknowledged first, then those in doubt.
    ours: Vec<Sought>,
    /// How many of them are acknowledged.
    sent: usize,
    index: Index,
    /// Records that fit by key, by which readings they fit.
    keyed: Keyed,
    /// How many records the list has.
    rows: usize,
    loose: Loose,
    /// The job whose list it is, where records that are nobody's are counted.
    of: Option<JobKey>,
    extras: u64,
    /// The first of them, by number and id.
    named: BTreeSet<Extra>,
}

/// What is known of records that are nobody's.
#[derive(Debug, Default)]
struct Loose {
    /// Count and meter are one of ours, and the time isn't.
    moved: HashSet<(i64, String)>,
    /// No readable meter, time or count, and of no other meter than these, if any is named.
    unreadable: BTreeSet<Option<String>>,
}

impl Look {
    pub(super) fn new(how: Recogniser, doubted: Vec<Frozen>, sent: Vec<Frozen>) -> Self {
        let many = sent.len();
        let ours: Vec<Sought> = sent.into_iter().chain(doubted).map(Sought::new).collect();
        let index = Index::new(&ours);
        Self {
            how,
            ours,
            sent: many,
            index,
            keyed: Keyed::default(),
            rows: 0,
            loose: Loose::default(),
            of: None,
            extras: 0,
            named: BTreeSet::new(),
        }
    }

    /// The list is that of a job: what else there is of ours is counted.
    pub(super) fn of_job(mut self, key: JobKey) -> Self {
        self.of = Some(key);
        self
    }

    /// A record that is nobody's, though our meter or our tag is on it.
    fn extra(&mut self, row: &Stored) {
        let names = |named: &Option<String>, ours: &str| named.as_ref().is_none_or(|n| n == ours);
        if self
            .of
            .as_ref()
            .is_some_and(|of| names(&row.job, &of.job) && names(&row.event, &of.event))
        {
            self.name_extra(None, row.id.clone(), 1);
        }
    }

    /// The next record of the list.
    pub fn take(&mut self, row: Stored) {
        self.rows += 1;
        let claims = row.id.as_ref().and_then(|id| self.index.by_id.get(id)).copied();
        let Some((at, sought)) = claims.and_then(|at| Some((at, self.ours.get_mut(at)?))) else {
            return self.take_other(&row);
        };
        // A list that shows an id twice: which of them claims doesn't depend on their order.
        let other = match sought.claimed.take() {
            None => {
                let kept = Stored { event: None, job: None, ..row };
                sought.claimed = Some(Box::new(kept));
                return;
            }
            Some(before) => {
                let (first, second) = (self.rank(&before, at), self.rank(&row, at));
                let (winner, other) = if first <= second { (*before, row) } else { (row, *before) };
                if let Some(sought) = self.ours.get_mut(at) {
                    sought.claimed = Some(Box::new(winner));
                }
                other
            }
        };
        self.take_other(&other);
    }

    /// Of two records with the id of a reading the one that is more like it comes first.
    fn rank(&self, row: &Stored, at: usize) -> impl Ord + use<> {
        let is = self.ours.get(at).is_some_and(|sought| self.is(row, sought));
        (!is, row.note.clone(), row.serial.clone(), row.raw, row.when)
    }

    /// A record that no id claims.
    fn take_other(&mut self, row: &Stored) {
        if let Some(seq) = our_note(row, &self.how.tag) {
            let sought = self.index.by_seq.get(&seq).and_then(|at| self.ours.get_mut(*at));
            let Some(sought) = sought else { return self.extra(row) };
            sought.noted = Some(match sought.noted.take() {
                None => (1, row.id.clone()),
                Some((many, id)) => (many + 1, id.min(row.id.clone())),
            });
            return;
        }
        let (Some(serial), Some(raw), Some(when)) = (&row.serial, row.raw, row.when) else {
            let meter = row.serial.as_deref().map(meter_of);
            if meter.as_ref().is_some_and(|meter| self.index.meters.contains(meter)) {
                self.extra(row);
            }
            if meter.as_ref().is_none_or(|meter| self.index.meters.contains(meter)) {
                self.loose.unreadable.insert(meter);
            }
            return;
        };
        let meter = meter_of(serial);
        let ours = self.index.meters.contains(&meter);
        if !self.index.raws.contains(&raw) {
            if ours {
                self.extra(row);
            }
            return;
        }
        let fits = self.fits(&meter, raw, when);
        if fits.by_key.is_empty() {
            if ours {
                self.extra(row);
            }
            return self.let_loose(&meter, raw, &fits);
        }
        self.keyed.add(fits, row.id.clone());
    }

    fn let_loose(&mut self, meter: &str, raw: i64, fits: &Fits) {
        if self.index.meters.contains(meter) {
            self.loose.moved.insert((raw, meter.to_owned()));
        }
        for at in &fits.but_for_meter {
            if let Some(sought) = self.ours.get_mut(*at) {
                sought.like = true;
            }
        }
    }

    fn fits(&self, meter: &str, raw: i64, when: When) -> Fits {
        let utc = self.how.plain_is_utc;
        let zone = if utc { &TimeZone::UTC } else { &self.how.zone };
        let offsets = self.index.offsets.iter().filter(|_| !utc).filter_map(|min| offset(*min));
        let mut fits = Fits { by_key: Vec::new(), but_for_meter: Vec::new() };
        for second in when.seconds(zone, offsets) {
            for at in self.index.by_key.get(&(raw, second)).into_iter().flatten().copied() {
                match self.ours.get(at) {
                    Some(sought) if !self.is_time(when, &sought.reading) => {}
                    Some(sought) if sought.meter == meter => fits.by_key.push(at),
                    Some(_) => fits.but_for_meter.push(at),
                    None => {}
                }
            }
        }
        fits.by_key.sort_unstable();
        fits.but_for_meter.sort_unstable();
        fits
    }

    /// A note with one of our ids decides; else the key: serial number, second and count.
    fn is(&self, row: &Stored, sought: &Sought) -> bool {
        match our_note(row, &self.how.tag) {
            Some(seq) => seq == sought.reading.seq,
            None => {
                row.raw == Some(sought.reading.raw)
                    && row.serial.as_deref().is_some_and(|s| meter_of(s) == sought.meter)
                    && row.when.is_some_and(|when| self.is_time(when, &sought.reading))
            }
        }
    }

    /// Without an offset, the answer means the zone that the record was written in, which
    /// may not be the one that is configured now.
    fn is_time(&self, when: When, reading: &Frozen) -> bool {
        if self.how.plain_is_utc {
            return when.is(reading.utc_s, &TimeZone::UTC);
        }
        let written = offset(reading.offset_min).map(TimeZone::fixed);
        when.is(reading.utc_s, &self.how.zone)
            || written.is_some_and(|zone| when.is(reading.utc_s, &zone))
    }

    /// The list is at its end: what it proves.
    pub fn findings(mut self) -> Findings {
        let told = self.tell();
        let ours = self.ours.iter().zip(&told).enumerate();
        let mut findings =
            Findings { empty: self.rows == 0, rows: self.rows, ..Findings::default() };
        let (mut known, mut recognised, mut absent) = (0, 0, Vec::new());
        let mut there: Option<(i64, i64)> = None;
        for (at, (sought, told)) in ours {
            if told.is_there() {
                let second = sought.reading.utc_s;
                let (from, to) = there.unwrap_or((second, second));
                there = Some((from.min(second), to.max(second)));
            }
            if at < self.sent {
                known += usize::from(told.is_there());
                recognised += usize::from(told.is_recognised());
                continue;
            }
            match told {
                Told::Not => absent.push(sought),
                Told::There { id, .. } => findings.present.push((sought.reading.seq, id.clone())),
            }
        }
        findings.absent = absent.iter().map(|sought| sought.reading.seq).collect();
        findings.flaw = if known < self.sent {
            Some(Flaw::Lacks)
        } else if recognised == 0 && self.sent > 0 {
            Some(Flaw::Altered)
        } else if self.may_be_page() && self.torn(&told, &absent) && !amid(&absent, there) {
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

    /// Whether something is absent of an attempt of which something is there: a page ends
    /// within one, while what got lost on the way is lost as a whole.
    fn torn(&self, told: &[Told], absent: &[&Sought]) -> bool {
        let there = self.ours.iter().zip(told).filter(|(_, told)| told.is_there());
        let there: HashSet<i64> = there.map(|(sought, _)| sought.reading.attempt).collect();
        absent.iter().any(|sought| there.contains(&sought.reading.attempt))
    }

    /// Whether the list may be one page of several.
    fn may_be_page(&self) -> bool {
        is_page(self.rows) && self.rows >= self.how.longest
    }

    /// What is wrong with the records that are nobody's, while `absent` are looked for.
    /// `kept`: the server is seen to keep keys as they are; `proven`: all the newest are there.
    fn suspect(&self, absent: &[&Sought], kept: bool, proven: bool) -> Option<Flaw> {
        // One that names another meter is that meter's. Where ours come back readable, one
        // that isn't is a person's own record.
        if !kept && absent.iter().any(|sought| self.may_be_unreadable(sought)) {
            return Some(Flaw::Unreadable);
        }
        (!proven && absent.iter().any(|sought| self.is_like(sought))).then_some(Flaw::Alike)
    }

    fn may_be_unreadable(&self, sought: &Sought) -> bool {
        let named = |meter: &Option<String>| meter.as_ref().is_none_or(|m| *m == sought.meter);
        self.loose.unreadable.iter().any(named)
    }

    fn is_like(&self, sought: &Sought) -> bool {
        sought.like || self.loose.moved.contains(&(sought.reading.raw, sought.meter.clone()))
    }
}

/// Whether all that is absent was sprayed amid what is there, from first to last.
fn amid(absent: &[&Sought], there: Option<(i64, i64)>) -> bool {
    let amid = |sought: &&Sought, (first, last)| {
        first < sought.reading.utc_s && sought.reading.utc_s < last
    };
    absent.iter().all(|sought| there.is_some_and(|there| amid(sought, there)))
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

fn our_note(row: &Stored, tag: &str) -> Option<Seq> {
    row.note.as_deref().and_then(|n| note::id_in(n, tag))
}
