//! The queue as a plain list of readings: what RULES.md says of it, and nothing of how it
//! is kept.

use std::collections::{BTreeMap, BTreeSet};

use super::super::{Balance, Share};
use crate::clock::resolve::resolve;
use crate::clock::{Anchor, AnchorSource, BootInstant, UtcMs};
use crate::delivery::{Outcome, Pick};
use crate::reading::{Flag, Hold, Place, Reading, Seq, State};
use crate::units::Microlitres;

/// Readings of a span and boot that are looked at for one batch: behind so many conflicts
/// the next batch goes on.
const LOOKED_AT: usize = 100;

/// Delivered rows that are looked at in one go of pruning.
const PRUNED_TOGETHER: usize = 100;
/// Readings sent last that prove a list of the server whole.
const PROOF: usize = 20;

/// A reading as the rules see it.
#[derive(Debug, Clone)]
pub struct Row {
    pub seq: Seq,
    pub boot: usize,
    pub reading: Reading,
    /// Index of its span.
    pub span: Option<usize>,
    pub total: Microlitres,
    pub assigned_later: bool,
    pub state: State,
    /// Its record, from the first time it was frozen.
    pub frozen: Option<Frozen>,
    /// What was last said against it.
    pub message: Option<String>,
    pub server_id: Option<String>,
    /// How its place was found, where no receiver told it in time.
    pub found: Option<Flag>,
    /// What it was when an operator took it out, and why.
    pub ruling: Option<(State, String)>,
    /// It was delivered long ago: no more than its share is left.
    pub pruned: bool,
}

/// What never changes again, but for the attempt.
#[derive(Debug, Clone)]
pub struct Frozen {
    pub second: i64,
    pub attempt: i64,
    pub wire: Vec<u8>,
}

/// Everything that a queue remembers.
#[derive(Debug, Clone, Default)]
pub struct Model {
    pub rows: Vec<Row>,
    /// The job of each span, in the order of their opening.
    pub spans: Vec<String>,
    /// The open span and its total.
    pub open: Option<(usize, Microlitres)>,
    /// The reading at which it opened.
    pub opened_at: Option<Seq>,
    /// Anchors by boot; the last boot is the running one.
    pub boots: Vec<Vec<Anchor>>,
    /// Jobs on hold; `None` is everything.
    pub refused: BTreeSet<Option<String>>,
    pub attempts: i64,
}

/// Which readings an operator names.
#[derive(Debug, Clone, Default)]
pub struct Named {
    pub seq: Option<(Seq, Seq)>,
    pub boot: Option<usize>,
    pub from: Option<UtcMs>,
    pub to: Option<UtcMs>,
}

impl Model {
    pub fn boot(&self) -> usize {
        self.boots.len() - 1
    }

    pub fn time(&self, row: &Row) -> Option<UtcMs> {
        resolve(&self.boots[row.boot], row.reading.at)
    }

    /// The readings that are still there.
    pub fn kept(&self) -> impl DoubleEndedIterator<Item = &Row> {
        self.rows.iter().filter(|row| !row.pruned)
    }

    pub fn row(&self, seq: Seq) -> &Row {
        &self.rows[seq.0 as usize - 1]
    }

    pub fn job(&self, row: &Row) -> Option<&String> {
        row.span.map(|span| &self.spans[span])
    }

    /// Why an open reading can't be sent; nothing of a settled one.
    pub fn holds(&self, row: &Row) -> Vec<Hold> {
        let refused = |job| self.refused.contains(&None) || self.refused.contains(&Some(job));
        let reasons = [
            (row.span.is_none(), Hold::NoJob),
            (row.reading.place.is_none(), Hold::NoPlace),
            (self.boots[row.boot].is_empty(), Hold::NoTime),
            (row.reading.serial.trim().is_empty(), Hold::NoSerial),
            (self.job(row).cloned().is_some_and(refused), Hold::Refused),
        ];
        match row.state {
            State::Open => reasons.into_iter().filter(|(is, _)| *is).map(|(_, why)| why).collect(),
            State::TimeConflict => vec![Hold::TimeConflict],
            _ => Vec::new(),
        }
    }

    fn is_ready(&self, row: &Row) -> bool {
        row.state == State::Open && self.holds(row).is_empty()
    }

    pub fn balance(&self) -> Balance {
        let mut balance = Balance::default();
        for row in &self.rows {
            let holds = self.holds(row);
            let state = match row.state {
                State::Open if holds.is_empty() => &mut balance.ready,
                State::Open | State::TimeConflict | State::Unreadable => &mut balance.held,
                State::InDoubt => &mut balance.in_doubt,
                State::Sent => &mut balance.sent,
                State::Rejected => &mut balance.rejected,
                State::Discarded => &mut balance.discarded,
                State::Deleted => &mut balance.deleted,
            };
            for share in [state, &mut balance.recorded] {
                let Share { readings, volume } = *share;
                *share = Share { readings: readings + 1, volume: volume + row.reading.share };
            }
            for hold in holds {
                *match hold {
                    Hold::NoJob => &mut balance.no_job,
                    Hold::NoPlace => &mut balance.no_place,
                    Hold::NoTime => &mut balance.no_time,
                    Hold::NoSerial => &mut balance.no_serial,
                    Hold::TimeConflict => &mut balance.time_conflict,
                    Hold::Unreadable => &mut balance.unreadable,
                    Hold::Refused => &mut balance.refused,
                } += 1;
            }
        }
        balance
    }

    /// Rule 1 and 9: everything is recorded; the volume up to a change of job stays with
    /// the job before.
    pub fn append(&mut self, reading: &Reading) -> Seq {
        let change = reading.span.as_ref();
        if change.is_some_and(|new| new.owns_reading) {
            self.change(reading);
        }
        let span = self.open.map(|(span, _)| span);
        let total = self.open.map_or(Microlitres::ZERO, |(_, total)| total + reading.share);
        self.open = span.map(|span| (span, total));
        if change.is_some_and(|new| !new.owns_reading) {
            self.change(reading);
        }
        let seq = Seq(self.rows.len() as i64 + 1);
        self.rows.push(Row {
            seq,
            boot: self.boot(),
            reading: reading.clone(),
            span,
            total,
            assigned_later: false,
            state: State::Open,
            frozen: None,
            message: None,
            server_id: None,
            found: None,
            ruling: None,
            pruned: false,
        });
        self.fill();
        seq
    }

    /// The last reading ends a hole of the fixes, if the one before had no place: what lies
    /// between two fixes at most a minute apart gets one, and here the rig never moves.
    fn fill(&mut self) {
        let fix = |row: &Row| {
            let (place, age_ms, _) = row.reading.place.filter(|_| row.found.is_none())?;
            Some((row.reading.at.0 - age_ms, place))
        };
        let (boot, last) = (self.boot(), self.rows.len() - 1);
        let Some((after, place)) = fix(&self.rows[last]) else { return };
        let of_boot = |n: &usize| self.rows[*n].boot == boot;
        let placed = |n: &usize| self.rows[*n].reading.place.is_some();
        let Some(first) = (0..last).rev().take_while(of_boot).find(placed) else { return };
        let Some((before, _)) = fix(&self.rows[first]) else { return };
        if !(1..=60_000).contains(&(after - before)) {
            return;
        }
        for row in &mut self.rows[first + 1..last] {
            if matches!(row.state, State::Open | State::TimeConflict) {
                row.reading.place = Some((place, 0, 0.0));
                row.found = Some(Flag::Backfill);
            }
        }
    }

    /// A boot that is dated by hand had no time, and nothing of it was ever frozen.
    pub fn release(&mut self, boot: usize, start: UtcMs) -> i64 {
        let known = &self.boots[boot];
        assert!(known.iter().all(|a| a.source == AnchorSource::Operator), "{known:?}");
        let rows = || self.rows.iter().filter(|row| row.boot == boot);
        assert!(rows().all(|row| row.frozen.is_none()));
        let readings = rows().count() as i64;
        let (at, source) = (BootInstant(0), AnchorSource::Operator);
        self.boots[boot] = vec![Anchor { at, utc: start, err_ms: 60_000, source }];
        readings
    }

    /// Only what has no place gets one; says how many, and how many stay as they are.
    pub fn place(&mut self, which: &Named, place: Place) -> (u64, u64) {
        let (mut placed, mut left) = (0, 0);
        for n in self.named(which) {
            let row = &mut self.rows[n];
            let open = matches!(row.state, State::Open | State::TimeConflict);
            if open && row.reading.place.is_none() {
                row.reading.place = Some((place, 0, 0.0));
                row.found = Some(Flag::OperatorPlace);
                placed += 1;
            } else {
                left += 1;
            }
        }
        (placed, left)
    }

    fn change(&mut self, reading: &Reading) {
        let next = reading.span.as_ref().and_then(|new| new.assignment.as_ref());
        self.opened_at = next.map(|_| Seq(self.rows.len() as i64 + 1));
        self.open = next.map(|assignment| {
            self.spans.push(assignment.job.clone());
            (self.spans.len() - 1, Microlitres::ZERO)
        });
    }

    /// One anchor for a moment and source; a second one changes nothing.
    pub fn anchor(&mut self, anchor: Anchor) {
        let boot = self.boot();
        let of_boot = &mut self.boots[boot];
        if !of_boot.iter().any(|a| (a.at, a.source) == (anchor.at, anchor.source)) {
            of_boot.push(anchor);
        }
    }

    /// Rules 17, 20 and 21: what the next batch is, each with its second. `alone` is a
    /// limit of bytes that holds one record.
    pub fn freeze(&mut self, pick: &Pick, records: usize, alone: bool) -> Vec<(Seq, i64)> {
        let batch = match pick {
            Pick::These(seqs) => self.take(seqs, records, alone),
            Pick::Oldest { skip, but } => loop {
                let ready: Vec<&Row> = self
                    .rows
                    .iter()
                    .filter(|row| self.is_ready(row))
                    .filter(|row| !but.iter().any(|key| Some(&key.job) == self.job(row)))
                    .collect();
                let oldest = ready.iter().find(|row| !skip.contains(&row.seq));
                let Some(oldest) = oldest.map(|row| row.span) else { break Vec::new() };
                let seqs: Vec<Seq> = (0..self.boots.len())
                    .flat_map(|boot| {
                        let of_it =
                            ready.iter().filter(move |r| r.span == oldest && r.boot == boot);
                        of_it.take(LOOKED_AT + skip.len())
                    })
                    .map(|row| row.seq)
                    .filter(|seq| !skip.contains(seq))
                    .collect();
                let batch = self.take(&seqs, records, alone);
                if !batch.is_empty() {
                    break batch;
                }
            },
        };
        if !batch.is_empty() {
            self.attempts += 1;
        }
        batch
    }

    fn take(&mut self, seqs: &[Seq], records: usize, alone: bool) -> Vec<(Seq, i64)> {
        let mut batch: Vec<(Seq, i64)> = Vec::new();
        let mut span = None;
        for seq in seqs {
            let row = self.row(*seq);
            if !self.is_ready(row) || span.is_some_and(|span| row.span != span) {
                continue;
            }
            let own = row.span;
            let Some(second) = self.second(row) else {
                self.rows[seq.0 as usize - 1].state = State::TimeConflict;
                continue;
            };
            if alone && !batch.is_empty() {
                break;
            }
            span = Some(own);
            batch.push((*seq, second));
            let attempt = self.attempts + 1;
            let row = &mut self.rows[seq.0 as usize - 1];
            row.state = State::InDoubt;
            row.message = None;
            let wire = row.frozen.take().map(|f| f.wire).unwrap_or_default();
            row.frozen = Some(Frozen { second, attempt, wire });
            if batch.len() == records {
                break;
            }
        }
        batch
    }

    /// Its own second, or one of the next two, or of the two before, after its predecessor's,
    /// before its successor's in the same boot, and free.
    fn second(&self, row: &Row) -> Option<i64> {
        if let Some(frozen) = &row.frozen {
            return Some(frozen.second);
        }
        let of_meter: BTreeMap<Seq, i64> = self
            .rows
            .iter()
            .filter(|r| r.reading.serial == row.reading.serial && !r.pruned)
            .filter_map(|r| Some((r.seq, r.frozen.as_ref()?.second)))
            .collect();
        let resolved = self.time(row)?.floor_s();
        let before = of_meter.range(..row.seq).next_back().map(|(_, second)| *second);
        let after = of_meter.range(Seq(row.seq.0 + 1)..).next();
        let after = after.filter(|(seq, _)| self.row(**seq).boot == row.boot).map(|(_, s)| *s);
        let fits = |second: &i64| {
            before.is_none_or(|before| *second > before)
                && after.is_none_or(|after| *second < after)
                && !of_meter.values().any(|taken| taken == second)
        };
        let back = [resolved - 1, resolved - 2];
        (resolved..=resolved + 2).chain(back).find(fits)
    }

    /// Rule 22 and 23, as the store is told of them.
    pub fn settle(&mut self, seq: Seq, outcome: &Outcome) {
        let row = &mut self.rows[seq.0 as usize - 1];
        match (outcome, row.state) {
            (
                Outcome::Sent(id),
                State::Open | State::InDoubt | State::Rejected | State::TimeConflict,
            ) => {
                row.state = State::Sent;
                row.server_id = id.clone().or(row.server_id.take());
            }
            (Outcome::Open, State::Rejected) if row.ruling.is_some() => (),
            (Outcome::Open, State::InDoubt | State::Rejected) => row.state = State::Open,
            (Outcome::Rejected(message), State::Open | State::InDoubt) => {
                row.state = State::Rejected;
                row.message = Some(message.clone());
            }
            _ => (),
        }
    }

    /// The readings that an operator names, in order.
    pub fn named(&self, which: &Named) -> Vec<usize> {
        let covers = |row: &Row| {
            let timed = which.from.is_none() && which.to.is_none()
                || self.time(row).is_some_and(|time| {
                    which.from.is_none_or(|from| time >= from)
                        && which.to.is_none_or(|to| time <= to)
                });
            timed
                && which.boot.is_none_or(|boot| row.boot == boot)
                && which.seq.is_none_or(|(low, high)| (low..=high).contains(&row.seq))
        };
        let there = |n: &usize| !self.rows[*n].pruned && covers(&self.rows[*n]);
        (0..self.rows.len()).filter(there).collect()
    }

    /// Every unbroken run of readings becomes a span of its own.
    pub fn assign(&mut self, which: &Named, job: &str) -> u64 {
        let mut before: Option<(usize, Microlitres)> = None;
        let mut assigned = 0;
        for n in self.named(which) {
            if self.rows[n].state != State::Open || self.rows[n].span.is_some() {
                continue;
            }
            let total = match before.filter(|(last, _)| last + 1 == n) {
                Some((_, total)) => total,
                None => {
                    self.spans.push(job.to_owned());
                    Microlitres::ZERO
                }
            };
            let row = &mut self.rows[n];
            row.span = Some(self.spans.len() - 1);
            row.total = total + row.reading.share;
            row.assigned_later = true;
            before = Some((n, row.total));
            assigned += 1;
        }
        assigned
    }

    pub fn retry(&mut self, which: &Named) -> u64 {
        let mut freed = 0;
        for n in self.named(which) {
            let row = &mut self.rows[n];
            if matches!(row.state, State::Rejected | State::TimeConflict) {
                // What may be at the server is asked about, not sent again.
                let was = row.ruling.take().map(|(was, _)| was);
                let doubtful = was == Some(State::InDoubt);
                row.state = if doubtful { State::InDoubt } else { State::Open };
                freed += 1;
            }
        }
        self.refused.clear();
        freed
    }

    /// Rule 12, and an operator's last word; says how many of the named are out, and how
    /// many stay.
    pub fn take_out(&mut self, which: &Named, to: State, reason: &str) -> (u64, u64) {
        let (mut out, mut left) = (0, 0);
        for n in self.named(which) {
            let row = &mut self.rows[n];
            let fits = match to {
                State::Discarded => row.state == State::Open && row.frozen.is_none(),
                _ => matches!(row.state, State::Open | State::InDoubt | State::TimeConflict),
            };
            if fits {
                row.ruling = Some((row.state, reason.to_owned()));
                row.state = to;
                out += 1;
            } else {
                left += 1;
            }
        }
        (out, left)
    }

    /// Rule 5: of the next hundred that were ever frozen, up to the first that isn't long
    /// ago, those that are settled for good and that nothing needs. How many, and how far
    /// it came.
    pub fn prune(&mut self, after: Seq, before_s: i64) -> (i64, Option<Seq>) {
        let last = self.rows.len() as i64;
        let (mut seen, mut going) = (None, Vec::new());
        for row in self.kept().filter(|row| row.seq > after && row.seq.0 < last) {
            let Some(frozen) = &row.frozen else { continue };
            if frozen.second >= before_s || going.len() == PRUNED_TOGETHER {
                break;
            }
            seen = Some(row.seq);
            going.push((row.seq, self.may_go(row)));
        }
        going.retain(|(_, goes)| *goes);
        for (seq, _) in &going {
            self.rows[seq.0 as usize - 1].pruned = true;
        }
        (going.len() as i64, seen)
    }

    fn may_go(&self, row: &Row) -> bool {
        let Some(span) = row.span.filter(|_| matches!(row.state, State::Sent | State::Deleted))
        else {
            return false;
        };
        let open = self.open.map(|(open, _)| open);
        let job = &self.spans[span];
        let done = |row: &Row| matches!(row.state, State::Sent | State::Discarded | State::Deleted);
        let unsettled = open.is_some_and(|open| &self.spans[open] == job)
            || self.kept().any(|row| self.job(row) == Some(job) && !done(row));
        let mut sent: Vec<(i64, Seq)> = self
            .kept()
            .filter(|row| row.span == Some(span) && row.state == State::Sent)
            .map(|row| (row.frozen.as_ref().unwrap().attempt, row.seq))
            .collect();
        sent.sort_unstable();
        let proves = sent.iter().rev().take(PROOF).any(|(_, seq)| *seq == row.seq);
        let opens = open.is_some() && self.opened_at == Some(row.seq);
        let next_counts_from_it =
            self.rows.get(row.seq.0 as usize).is_some_and(|next| next.span.is_none());
        let needed = open == Some(span) || opens || next_counts_from_it;
        !(needed || unsettled && proves)
    }
}
