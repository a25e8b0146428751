//! The queue against a plain list of readings (`model`): whatever happens to it in
//! whatever order, power cuts included, both say the same of every reading.

mod model;
mod op;

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::time::Duration;

use proptest::prelude::*;
use serde_json::Value;
use tempfile::TempDir;

use super::append::tests::{assignment, reading};
use super::{BatchLimits, Filter, QueueError, Selector, Store, View, WireSettings};
use crate::clock::resolve::resolve;
use crate::clock::{Anchor, AnchorSource, BootId, BootInstant, UtcMs};
use crate::config::StandIn;
use crate::delivery::{JobKey, Outcome, Pick};
use crate::reading::{
    Flag, NewSegment, NewSpan, Origin, Place, Reading, SegmentReason, Seq, State,
};
use crate::units::{KFactor, Microlitres};
use model::{Model, Named};
use op::{Append, Became, Op, Which, op};

/// 2027-05-02T10:16:42Z.
const NOON_MS: i64 = 1_809_253_002_000;
const METERS: [&str; 3] = ["AF23265", "AF23266", ""];
const JOBS: [&str; 3] = ["a", "b", "c"];

/// A queue on a disk, and what it should be.
struct Rig {
    dir: TempDir,
    /// Databases there have been, each copied from the one before by a crash.
    files: usize,
    store: Option<Store>,
    view: View,
    model: Model,
    /// Counts a gallon in force.
    k: f64,
}

fn wire() -> WireSettings {
    WireSettings {
        device_name: "rig-7".to_owned(),
        zone: jiff::tz::TimeZone::get("America/Chicago").unwrap(),
        stand_in: StandIn::default(),
    }
}

fn key(job: &str) -> JobKey {
    JobKey { event: format!("e-{job}"), job: job.to_owned() }
}

fn open(path: &Path, boot: usize) -> Store {
    let store = Store::open(path, &BootId(format!("boot-{boot}"))).unwrap();
    // A crash is a copy of the files, which needs no disk to have been waited for; and
    // the log, emptied of what a crash left torn, grows only, so that its end is always
    // what was written last.
    store.db.execute_batch("PRAGMA synchronous = OFF; PRAGMA wal_autocheckpoint = 0").unwrap();
    checkpoint(&store);
    store
}

fn checkpoint(store: &Store) {
    let sql = "PRAGMA wal_checkpoint(TRUNCATE)";
    let busy: i64 = store.db.query_row(sql, [], |r| r.get(0)).unwrap();
    assert_eq!(busy, 0);
}

fn wal(path: &Path) -> PathBuf {
    path.with_extension("db-wal")
}

fn length(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |file| file.len())
}

impl Rig {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("0.db");
        let store = open(&path, 0);
        let view = View::open(&path).unwrap();
        let model = Model { boots: vec![Vec::new()], ..Model::default() };
        Self { dir, files: 1, store: Some(store), view, model, k: 100.0 }
    }

    fn store(&mut self) -> &mut Store {
        self.store.as_mut().unwrap()
    }

    fn happens(&mut self, op: &Op) {
        match op {
            Op::Append(append) => self.append(append),
            Op::Run(readings) => (0..*readings).for_each(|_| self.append(&Append::follows())),
            Op::Deliver { over, long_ago } => self.deliver(*over, *long_ago),
            Op::Unrecordable { job } => self.unrecordable(*job),
            Op::Anchor { ago, skew, overlaps, system } => {
                self.anchor(*ago, *skew, *overlaps, *system);
            }
            Op::Freeze { records, alone, skip, but, these } => {
                let pick = match these {
                    Some(these) => {
                        let mut seqs = self.seqs(these);
                        seqs.sort_unstable();
                        Pick::These(seqs)
                    }
                    None => Pick::Oldest {
                        skip: self.seqs(skip),
                        but: but.iter().map(|job| key(JOBS[usize::from(*job)])).collect(),
                    },
                };
                self.freeze(&pick, *records, *alone);
            }
            Op::Settle { results, refuse } => {
                let frozen: Vec<Seq> =
                    self.model.kept().filter(|r| r.frozen.is_some()).map(|r| r.seq).collect();
                let results = if frozen.is_empty() { &[] } else { results.as_slice() };
                let of = |n: &u8| frozen[usize::from(*n) % frozen.len()];
                let results: Vec<_> = results.iter().map(|(n, became)| (of(n), *became)).collect();
                self.settle(&results, *refuse);
            }
            Op::SettleAll(became) => {
                let doubtful = self.model.rows.iter().filter(|r| r.state == State::InDoubt);
                let results: Vec<_> = doubtful.map(|r| (r.seq, *became)).collect();
                self.settle(&results, None);
            }
            Op::AllowAll => {
                let lifted = self.store().allow_all().unwrap();
                assert_eq!(lifted, self.model.refused.len());
                self.model.refused.clear();
            }
            Op::Assign { which, times, job } => self.assign(which, *times, *job),
            Op::Retry(which) => {
                let (named, selector) = self.named(which, None);
                let freed = self.store().retry(&selector).unwrap();
                assert_eq!(freed, self.model.retry(&named));
            }
            Op::Release { boot, off } => self.release(*boot, *off),
            Op::Place(which) => self.place(which),
            Op::TakeOut { which, discard } => self.take_out(which, *discard),
            Op::Prune { before, more_s, after } => self.prune(*before, *more_s, *after),
            Op::Checkpoint => checkpoint(self.store()),
            Op::Reopen { reboot } => {
                let path = self.store().path().to_owned();
                self.store = None;
                self.start(&path, *reboot);
            }
            Op::Crash { inside, reboot } => self.crash(inside.as_ref(), *reboot),
        }
    }

    fn seqs(&self, of: &[u8]) -> Vec<Seq> {
        let recorded = self.model.rows.len();
        let of = if recorded == 0 { &[] } else { of };
        of.iter().map(|n| Seq((usize::from(*n) % recorded) as i64 + 1)).collect()
    }

    fn append(&mut self, append: &Append) {
        let reading = self.next(append);
        let appended = self.store().append_and_fill(std::slice::from_ref(&reading), true).unwrap();
        let appended = appended[0];
        assert_eq!(appended.seq, self.model.append(&reading));
        let row = self.model.row(appended.seq);
        let expected = [row.span, self.model.open.map(|(span, _)| span)];
        let spans = [appended.span, appended.open];
        assert_eq!(spans.map(|id| id.map(|id| id.0 as usize - 1)), expected);
    }

    /// The next reading, as the recorder would make it.
    fn next(&mut self, append: &Append) -> Reading {
        let last = self.model.rows.last();
        let serial = METERS[usize::from(append.meter)];
        let other = last.is_none_or(|last| last.reading.serial != serial);
        let before = last.map_or(0, |last| last.reading.unwrapped);
        let of_boot = last.filter(|last| last.boot == self.model.boot());
        let at = of_boot.map_or(BootInstant(2_000), |last| last.reading.at.plus_ms(append.gap));
        let old = KFactor::new(self.k).unwrap();
        let reason = match (last, &append.segment) {
            (None, _) => Some(SegmentReason::First),
            (Some(_), _) if other => Some(SegmentReason::Meter),
            (Some(_), segment) => segment.as_ref().map(|segment| segment.reason),
        };
        if reason == Some(SegmentReason::Calibration) {
            self.k = 227.0 - self.k;
        }
        let k = KFactor::new(self.k).unwrap();
        // A reading that owns a span brought no volume.
        let owns = append.span.is_some_and(|(_, owns)| owns);
        let counts = if owns { 0 } else { append.counts };
        let segment = reason.map(|reason| {
            let of = append.segment.as_ref().filter(|_| !other && !owns);
            let carried = of.map_or(0, |of| of.carried);
            let start = if of.is_some_and(|of| of.from_zero) { 0 } else { before + carried };
            NewSegment {
                raw_start: start,
                unwrapped_start: start,
                k,
                points: String::new(),
                carried: old.volume(carried),
                reason,
            }
        });
        let carried = segment.as_ref().map_or(Microlitres::ZERO, |s| s.carried);
        let unwrapped = segment.as_ref().map_or(before, |s| s.unwrapped_start) + counts;
        let shape = reading(0, unwrapped, 0);
        Reading {
            at,
            serial: serial.to_owned(),
            share: carried + k.volume(counts),
            place: shape.place.filter(|_| append.placed),
            segment,
            span: append.span.map(|(job, owns_reading)| NewSpan {
                assignment: JOBS.get(usize::from(job)).map(|job| assignment(job)),
                origin: Origin::Pick,
                owns_reading,
            }),
            ..shape
        }
    }

    fn deliver(&mut self, over: bool, long_ago: Option<u8>) {
        self.anchor(0, 0, false, false);
        if over {
            self.append(&Append { span: Some((3, false)), ..Append::follows() });
        }
        for _ in 0..4 {
            self.freeze(&Pick::Oldest { skip: Vec::new(), but: Vec::new() }, 100, false);
        }
        self.happens(&Op::SettleAll(Became::Sent { id: true }));
        if let Some(before) = long_ago {
            self.append(&Append::follows());
            self.prune(before, 20, None);
        }
    }

    fn unrecordable(&mut self, job: u8) {
        let k = self.k;
        let append = Append { span: Some((job, false)), meter: 1, ..Append::follows() };
        let reading = Reading { raw: u64::MAX, ..self.next(&append) };
        self.k = k;
        assert!(matches!(self.store().append(&reading), Err(QueueError::Range { .. })));
    }

    fn anchor(&mut self, ago: i64, skew: i64, overlaps: bool, system: bool) {
        let boot = self.model.boot();
        let last = self.model.rows.last().filter(|last| last.boot == boot);
        let at = BootInstant((last.map_or(2_000, |last| last.reading.at.0) - ago).max(0));
        let hours = if overlaps { 0 } else { boot as i64 };
        let utc = UtcMs(NOON_MS + at.0 + hours * 3_600_000 + skew);
        let source = if system { AnchorSource::System } else { AnchorSource::Gps };
        let anchor = Anchor { at, utc, err_ms: 0, source };
        self.store().add_anchor(anchor).unwrap();
        self.model.anchor(anchor);
    }

    fn freeze(&mut self, pick: &Pick, records: usize, alone: bool) {
        let limits = BatchLimits { records, bytes: if alone { 1 } else { 1 << 20 } };
        let batch = self.store().freeze(pick, limits, &wire(), BootInstant(0)).unwrap();
        let expected = self.model.freeze(pick, records, alone);
        let seqs: Vec<Seq> = batch.iter().flat_map(|b| b.seqs.clone()).collect();
        assert_eq!(seqs, expected.iter().map(|(seq, _)| *seq).collect::<Vec<_>>());
        let Some(batch) = batch else { return };
        assert_eq!(batch.attempt, self.model.attempts);
        for ((seq, second), bytes) in expected.iter().zip(batch.records) {
            let row = self.model.row(*seq);
            assert_eq!(batch.key, key(self.model.job(row).unwrap()));
            agrees(&bytes, *second, row.total);
            let frozen = self.model.rows[seq.0 as usize - 1].frozen.as_mut().unwrap();
            if frozen.wire.is_empty() {
                frozen.wire = bytes;
            } else {
                assert_eq!(frozen.wire, bytes, "a retry sends the same bytes");
            }
        }
    }

    fn settle(&mut self, results: &[(Seq, Became)], refuse: Option<u8>) {
        let told = |(seq, became): &(Seq, Became)| {
            let outcome = match became {
                Became::Sent { id } => Outcome::Sent(id.then(|| format!("id-{}", seq.0))),
                Became::Open => Outcome::Open,
                Became::Rejected => Outcome::Rejected(format!("no {}", seq.0)),
            };
            (*seq, outcome)
        };
        let results: Vec<(Seq, Outcome)> = results.iter().map(told).collect();
        let refuse = refuse.map(|job| JOBS.get(usize::from(job)).map(|job| key(job)));
        let refusal = refuse.as_ref().map(|job| (job.as_ref(), "closed"));
        self.store().settle(&results, &[(1, "settled")], refusal).unwrap();
        results.iter().for_each(|(seq, outcome)| self.model.settle(*seq, outcome));
        self.model.refused.extend(refuse.map(|job| job.map(|job| job.job)));
    }

    fn assign(&mut self, which: &Which, times: Option<(u8, u8)>, job: u8) {
        let (named, selector) = self.named(which, times);
        let job = JOBS[usize::from(job)];
        let assigned = self.store().assign(&selector, &assignment(job)).unwrap();
        assert_eq!(assigned.readings, self.model.assign(&named, job));
    }

    fn take_out(&mut self, which: &Which, discard: bool) {
        let (named, selector) = self.named(which, None);
        if selector == Selector::default() {
            return;
        }
        let (to, reason) = if discard {
            (State::Discarded, "flush")
        } else {
            (State::Rejected, "the job is gone")
        };
        let store = self.store.as_mut().unwrap();
        let taken = match to {
            State::Discarded => store.discard(&selector, reason),
            _ => store.reject(&selector, reason),
        };
        let taken = taken.unwrap();
        assert_eq!((taken.readings, taken.left), self.model.take_out(&named, to, reason));
    }

    fn prune(&mut self, before: u8, more_s: i64, after: Option<u8>) {
        let boot = self.model.boot();
        let of_boot = self.model.rows.last().filter(|last| last.boot == boot);
        let now = of_boot.map_or(BootInstant(2_000), |last| last.reading.at);
        let after = after.and_then(|n| self.seqs(&[n]).first().copied()).unwrap_or(Seq(0));
        let old = self.seqs(&[before]).first().copied();
        let second = old.and_then(|seq| Some(self.model.row(seq).frozen.as_ref()?.second));
        // By a time that a person told nothing is old enough.
        let anchors = &self.model.boots[boot];
        let measured = anchors.iter().any(|a| a.source != AnchorSource::Operator);
        let utc = resolve(anchors, now).filter(|_| measured).map(UtcMs::floor_s);
        let ago = utc.zip(second).map_or(0, |(utc, second)| (utc - second - more_s).max(0));
        let retention = Duration::from_secs(ago as u64);
        let pruned = self.store().prune(after, now, retention).unwrap();
        let expected = match utc {
            Some(utc) => self.model.prune(after, utc - ago),
            None => (0, None),
        };
        assert_eq!((pruned.rows, pruned.next), expected);
    }

    fn release(&mut self, boot: u8, off: i64) {
        let boot = usize::from(boot) % self.model.boots.len();
        let start = UtcMs(NOON_MS + boot as i64 * 3_600_000 + off);
        // Which starts are refused is told by tests of its own; nothing has changed then.
        match self.store().release(boot as i64 + 1, start, None) {
            Ok(released) => assert_eq!(released.readings, self.model.release(boot, start)),
            Err(QueueError::Refused(_)) => {}
            Err(err) => panic!("{err}"),
        }
    }

    fn place(&mut self, which: &Which) {
        let (named, selector) = self.named(which, None);
        if selector == Selector::default() {
            return;
        }
        let place = Place { lat_e7: 335_116_331, lon_e7: -868_965_344 };
        let placed = self.store().place(&selector, place).unwrap();
        assert_eq!((placed.readings, placed.left), self.model.place(&named, place));
    }

    /// The same selection in the words of both.
    fn named(&self, which: &Which, times: Option<(u8, u8)>) -> (Named, Selector) {
        let seq = which.seq.and_then(|(one, other)| {
            let mut ends = self.seqs(&[one, other]);
            ends.sort_unstable();
            Some((*ends.first()?, *ends.last()?))
        });
        let boot = which.boot.map(|boot| usize::from(boot) % self.model.boots.len());
        let time = |n: u8| {
            let seq = self.seqs(&[n]).first().copied()?;
            self.model.time(self.model.row(seq))
        };
        let (from, to) = times.map_or((None, None), |(from, to)| (time(from), time(to)));
        let selector = Selector { from, to, boot: boot.map(|boot| boot as i64 + 1), seq };
        (Named { seq, boot, from, to }, selector)
    }

    /// Starts on what is in `path`.
    fn start(&mut self, path: &Path, reboot: bool) {
        if reboot {
            self.model.boots.push(Vec::new());
        }
        self.store = Some(open(path, self.model.boot()));
        self.view = View::open(path).unwrap();
        self.agrees();
    }

    /// The disk as it is while the process dies, perhaps inside the commit of an
    /// operation, which then has not happened.
    fn crash(&mut self, inside: Option<&(Box<Op>, u8)>, reboot: bool) {
        let path = self.store().path().to_owned();
        let (before, model, k) = (length(&wal(&path)), self.model.clone(), self.k);
        let mut kept = before;
        if let Some((op, cut)) = inside {
            self.happens(op);
            let wrote = length(&wal(&path)) - before;
            kept += wrote * u64::from(*cut) / 256;
            (self.model, self.k) = (model, k);
        }
        let copy = self.dir.path().join(format!("{}.db", self.files));
        self.files += 1;
        fs::copy(&path, &copy).unwrap();
        if fs::copy(wal(&path), wal(&copy)).is_ok() {
            OpenOptions::new().write(true).open(wal(&copy)).unwrap().set_len(kept).unwrap();
        }
        self.store = None;
        self.start(&copy, reboot);
    }

    /// Every reading, and what else is remembered, is as the model has it.
    fn agrees(&mut self) {
        let balance = self.view.audit().unwrap();
        assert_eq!(balance, self.model.balance());
        assert!(balance.balanced());
        let every = Filter { limit: usize::MAX, ..Filter::default() };
        let listed = self.view.list(&every).unwrap();
        assert_eq!(listed.len(), self.model.kept().count());
        let first = |row: &model::Row| {
            row.span.is_some()
                && !self.model.rows.iter().any(|r| r.seq < row.seq && r.span == row.span)
        };
        for (row, listed) in self.model.kept().zip(&listed) {
            let seen = (listed.seq, listed.state, listed.held_for.clone());
            assert_eq!(seen, (row.seq, row.state, self.model.holds(row)));
            assert_eq!(listed.boot, row.boot as i64 + 1);
            assert_eq!(listed.job.as_ref(), self.model.job(row));
            assert_eq!(listed.total_gallons, row.total.gallons(), "reading {}", row.seq.0);
            if let Some((_, reason)) = row.ruling.as_ref().filter(|_| row.state != State::Sent) {
                assert_eq!(self.view.show(row.seq).unwrap().reason.as_ref(), Some(reason));
            }
            let frozen = row.frozen.as_ref().map(|frozen| UtcMs(frozen.second * 1000));
            assert_eq!(listed.utc, frozen.or(self.model.time(row)));
            assert_eq!(listed.flags.has(Flag::Tare), first(row), "the first of its span");
            assert_eq!(listed.flags.has(Flag::AssignedLater), row.assigned_later);
            assert_eq!(listed.lat, row.reading.place.map(|(place, ..)| place.lat()));
            for flag in [Flag::Backfill, Flag::OperatorPlace] {
                assert_eq!(listed.flags.has(flag), row.found == Some(flag), "{}", row.seq.0);
            }
        }
        let model = &self.model;
        let store = self.store.as_ref().unwrap();
        assert_eq!(store.last_seq(), Seq(model.rows.len() as i64));
        let at = |position: super::Position| (position.serial, position.raw, position.unwrapped);
        let last = model.rows.last().map(|last| &last.reading);
        assert_eq!(
            store.position().map(at),
            last.map(|last| (last.serial.clone(), last.raw, last.unwrapped))
        );
        let open = model.open.map(|(span, _)| model.spans[span].clone());
        assert_eq!(store.open_assignment().map(|(assignment, _)| assignment.job), open);
        self.frozen_agrees(store);
        self.deliveries_agree(store);
    }

    /// What was frozen is as it was, to the byte.
    fn frozen_agrees(&self, store: &Store) {
        let sql = "SELECT seq, attempt, utc_s, wire, server_id, message FROM delivery ORDER BY seq";
        let mut statement = store.db.prepare_cached(sql).unwrap();
        let mut rows = statement.query([]).unwrap();
        for row in self.model.kept().filter(|row| row.frozen.is_some()) {
            let frozen = row.frozen.as_ref().unwrap();
            let found = rows.next().unwrap().unwrap();
            let numbers: [i64; 3] = [0, 1, 2].map(|column| found.get(column).unwrap());
            assert_eq!(numbers, [row.seq.0, frozen.attempt, frozen.second]);
            let (wire, id): (Vec<u8>, Option<String>) =
                (found.get(3).unwrap(), found.get(4).unwrap());
            assert_eq!((&wire, &id), (&frozen.wire, &row.server_id));
            if row.state == State::Rejected && row.ruling.is_none() {
                assert_eq!(found.get::<_, Option<String>>(5).unwrap(), row.message);
            }
        }
        assert!(rows.next().unwrap().is_none(), "nothing else was ever frozen");
    }

    /// What is in doubt, and what was sent last, of every job.
    fn deliveries_agree(&self, store: &Store) {
        let of = |state, job: &str| {
            let of = |row: &&model::Row| {
                row.state == state && self.model.job(row).is_some_and(|of| of == job)
            };
            let mut found: Vec<(i64, Seq)> = self
                .model
                .kept()
                .filter(of)
                .map(|row| (row.frozen.as_ref().unwrap().attempt, row.seq))
                .collect();
            found.sort_unstable();
            found
        };
        let attempts = store.open_attempts().unwrap();
        assert!(attempts.is_sorted_by(|one, next| one.id < next.id));
        for job in JOBS {
            let of_job = attempts.iter().filter(|attempt| attempt.key == key(job));
            let doubtful: Vec<(i64, Seq)> =
                of_job.flat_map(|a| a.seqs.iter().map(|seq| (a.id, *seq))).collect();
            assert_eq!(doubtful, of(State::InDoubt, job));
            let newest = store.newest_sent(&key(job), 5).unwrap();
            let newest: Vec<Seq> = newest.iter().map(|frozen| frozen.seq).collect();
            let sent = of(State::Sent, job);
            let sent: Vec<Seq> = sent.iter().rev().take(5).map(|(_, seq)| *seq).collect();
            assert_eq!(newest, sent);
        }
    }
}

/// Rule 9, of a record's own numbers: (raw − to zero) / K and what the note says was
/// before are the total, which is the span's.
fn agrees(bytes: &[u8], second: i64, total: Microlitres) {
    let record: Value = serde_json::from_slice(bytes).unwrap();
    let number = |name: &str| record[name].as_f64().unwrap();
    let note = record["Note"].as_str().unwrap();
    let base = note.split_whitespace().find_map(|word| word.strip_prefix("base="));
    let base: f64 = base.map_or(0.0, |base| base.parse().unwrap());
    let counts = number("MeterRawCount") - number("MeterRawCountsToZero");
    let told = counts / number("CalibrationFactor") + base;
    let total_gal = number("MeterCalculatedFlowTotal");
    assert!((told - total_gal).abs() < 1e-4, "{told} in {record}");
    assert!((total.gallons() - total_gal).abs() < 1e-6, "{} in {record}", total.gallons());
    let date: jiff::Timestamp = record["ApplicationDate"].as_str().unwrap().parse().unwrap();
    assert_eq!(date.as_second(), second);
}

impl Append {
    /// One more of the same meter, five seconds later.
    fn follows() -> Self {
        Self { gap: 5_000, counts: 10, placed: true, meter: 0, segment: None, span: None }
    }
}

/// A hundred sequences are seconds; `make nightly` asks for more.
fn cases() -> ProptestConfig {
    let asked = std::env::var_os("PROPTEST_CASES").is_some();
    let config = ProptestConfig::default();
    ProptestConfig { cases: if asked { config.cases } else { 100 }, ..config }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn whatever_happens_the_queue_is_the_list_that_the_rules_make(
        ops in prop::collection::vec(op(), 1..50),
    ) {
        let mut rig = Rig::new();
        for op in &ops {
            rig.happens(op);
            let balance = rig.view.balance().unwrap();
            prop_assert_eq!(balance, rig.model.balance(), "after {:?}", op);
        }
        rig.agrees();
    }
}
