//! Records held against the truth: a count that the meter showed, at the second at which
//! it did, where the rig was then, with the sensors it told. Knows no agent.

use std::collections::VecDeque;

use super::Rules;
use super::balance::rollovers_unheard;
use super::leeway::{self, tells_rate};
use super::record::Delivered;
use super::verdict::{Kind, Verdict};
use crate::gps::Spot;
use crate::meter::Sensors;
use crate::truth::{Emitted, Epoch, Truth};

/// A record's second may be the one before or after that of its line: a line takes time
/// to arrive, and the agent's clock is good to some tenths.
const SECOND_TOLERANCE: i64 = 1;

/// A reading whose second was taken moves on by at most this (RULES.md, 17).
const MOVED_AT_MOST: i64 = 2;

/// How far from an epoch's place a record may be.
const PLACE_TOLERANCE_M: f64 = 3.0;

/// A fresh fix is from the newest epochs: one period at 1 Hz, and the time to tell it.
const FRESH_WITHIN_MS: i64 = 2500;

/// Between two fixes further apart than this nobody can tell where the rig was.
const HOLE_AT_MOST_MS: i64 = 60_000;

/// How exactly the age of a reused fix is told.
const AGE_TOLERANCE_MS: i64 = 2500;

/// The line that each record comes from, by index in the truth; `None` where there is
/// none, and a finding.
pub(super) type Matched = Vec<Option<usize>>;

/// Judges records, in order of time.
pub(super) fn judge(
    records: &[&Delivered],
    truth: &Truth,
    rules: &Rules,
    verdict: &mut Verdict,
) -> Matched {
    let mut offsets = Offsets::new(truth);
    let mut before: Option<i64> = None;
    let mut matched = Vec::with_capacity(records.len());
    for record in records {
        if record.serial != truth.serial {
            let what = format!("{}: {} is not {}", record.id, record.serial, truth.serial);
            verdict.find(Kind::WrongMeter, what);
        }
        let moved = before.is_some_and(|second| second + 1 >= record.second);
        before = Some(record.second);
        let window = window(truth, record.second, moved);
        let line = match truth.kind.tells_count() {
            true => offsets.line_of(record, &window, rules),
            false => leeway::line_by_time(record, &window),
        };
        integrated(record, truth, verdict);
        match line.and_then(|index| Some((index, truth.lines.get(index)?))) {
            Some((index, line)) => {
                matched.push(Some(index));
                sensors(record, line, truth, rules, verdict);
                rate(record, line, &window, truth, verdict);
                place(record, line.at_ms, truth, rules, verdict);
            }
            None => {
                matched.push(None);
                no_line(record, truth, &offsets, verdict);
                place(record, record.second * 1000, truth, rules, verdict);
            }
        }
    }
    matched
}

/// By how much the counts at the server differ from the meter's true ones: 0, until the
/// agent rebases because the API's integers would overflow (RULES.md, 10). Which line a
/// rebase took is not told, so that all that fit are kept until later records decide.
struct Offsets {
    fit: Vec<i128>,
    /// When the count first passed its modulus unheard: from then on it may have been taken
    /// for a restart, though the reading that says so may never have been sent.
    unheard_ms: Option<i64>,
}

impl Offsets {
    fn new(truth: &Truth) -> Self {
        let unheard = rollovers_unheard(truth).into_iter();
        Self { fit: vec![0], unheard_ms: unheard.map(|(at, _)| at).min() }
    }

    fn line_of(
        &mut self,
        record: &Delivered,
        window: &[(usize, &Emitted)],
        rules: &Rules,
    ) -> Option<usize> {
        let fits = |offsets: &[i128]| -> Vec<(i128, usize)> {
            let pairs = offsets.iter().flat_map(|offset| {
                let wanted = i128::from(record.raw) - offset;
                let hits = window.iter().filter(move |(_, l)| i128::from(l.unwrapped) == wanted);
                hits.map(|(index, _)| (*offset, *index))
            });
            pairs.collect()
        };
        let mut found = fits(&self.fit);
        let second_ends_ms = (record.second + SECOND_TOLERANCE + 1) * 1000;
        let unheard = self.unheard_ms.is_some_and(|at| at < second_ends_ms);
        if found.is_empty() && (unheard || record.note.says("restart") || record.zero == 0) {
            // A rollover that nobody heard looks like a restart (RULES.md, 7).
            let shown = |l: &Emitted| i128::from(l.raw) - i128::from(l.unwrapped);
            let rolled = window.iter().map(|(_, l)| shown(l));
            found = fits(&std::iter::once(0).chain(rolled).collect::<Vec<_>>());
        }
        let beyond = |l: &Emitted| i128::from(l.unwrapped) > i128::from(rules.max_count) / 2;
        let may_rebase = record.note.says("rebase") || window.iter().any(|(_, l)| beyond(l));
        if found.is_empty() && may_rebase {
            let any = window.iter().map(|(_, l)| i128::from(record.raw) - i128::from(l.unwrapped));
            found = fits(&any.collect::<Vec<_>>());
        }
        if !found.is_empty() {
            self.fit = found.iter().map(|(offset, _)| *offset).collect();
            self.fit.dedup();
        }
        // A count stays while nothing flows: of the lines that show it, it is rather one
        // that tells the record's rate too.
        let nearest = |(_, index): &&(i128, usize)| {
            let line = window.iter().find(|(at, _)| at == index);
            line.map_or((true, i64::MAX), |(_, l)| {
                (!tells_rate(l, record), (l.at_ms - record.second * 1000 - 500).abs())
            })
        };
        found.iter().min_by_key(nearest).map(|(_, index)| *index)
    }
}

/// The honest lines that were heard about a second.
fn window(truth: &Truth, second: i64, moved: bool) -> Vec<(usize, &Emitted)> {
    let back = SECOND_TOLERANCE + if moved { MOVED_AT_MOST } else { 0 };
    let (from, to) = ((second - back) * 1000, (second + SECOND_TOLERANCE + 1) * 1000);
    let first = truth.lines.partition_point(|line| line.at_ms < from);
    truth
        .lines
        .iter()
        .enumerate()
        .skip(first)
        .take_while(|(_, line)| line.at_ms < to)
        .filter(|(_, line)| line.heard && line.honest)
        .collect()
}

fn no_line(record: &Delivered, truth: &Truth, offsets: &Offsets, verdict: &mut Verdict) {
    let (id, raw, second) = (&record.id, record.raw, record.second);
    let is_count = |count: u64| {
        let count = i128::from(count);
        offsets.fit.iter().any(|offset| i128::from(raw) - offset == count)
    };
    let had = |line: &&Emitted| line.honest && line.heard && is_count(line.unwrapped);
    let nearest =
        truth.lines.iter().filter(had).min_by_key(|line| (line.at_ms - second * 1000).abs());
    if let Some(line) = nearest {
        let late = second as f64 - line.at_ms as f64 / 1000.0;
        verdict.find(
            Kind::WrongSecond,
            format!("{id}: count {raw} was told {late:.1} s before {second}"),
        );
        return;
    }
    let spoilt = truth.lines.iter().any(|line| !line.honest && is_count(line.raw));
    let how = if spoilt { "only a spoilt line showed it" } else { "no line showed it" };
    verdict.find(Kind::InventedCount, format!("{id}: count {raw} at {second}: {how}"));
}

fn sensors(
    record: &Delivered,
    line: &Emitted,
    truth: &Truth,
    rules: &Rules,
    verdict: &mut Verdict,
) {
    let Sensors { fluid_f, ambient_f, battery_percent, runtime_min, battery_volts } = line.sensors;
    let battery_percent =
        battery_percent.or_else(|| battery_volts.and_then(|volts| rules.percent(volts)));
    let told = [fluid_f, ambient_f, battery_percent, runtime_min];
    let names = ["fluid", "ambient", "battery", "run time"];
    let unanswered = leeway::may_be_unanswered(truth, line.at_ms);
    let all = names.into_iter().zip(told).zip(record.sensors).zip(rules.stand_in);
    for (((name, told), stored), stand_in) in all {
        let is = |expected: Option<f64>| match (expected, stored) {
            (Some(a), Some(b)) => (a - b).abs() < 0.01,
            (a, b) => a.is_none() && b.is_none(),
        };
        let fits = is(told.or(stand_in)) || unanswered && is(stand_in);
        if !fits {
            verdict.find(
                Kind::InventedSensor,
                format!("{}: {name} is {stored:?}, the meter told {told:?}", record.id),
            );
        }
    }
}

fn rate(
    record: &Delivered,
    line: &Emitted,
    window: &[(usize, &Emitted)],
    truth: &Truth,
    verdict: &mut Verdict,
) {
    if !leeway::allows_rate(truth, record, line, window) {
        let (id, rate) = (&record.id, record.rate_gpm.unwrap_or(0.0));
        let told = line.rate_gpm;
        verdict.find(Kind::InventedSensor, format!("{id}: rate {rate}, the meter told {told}"));
    }
}

/// A volume that no meter counted says so in every note, and no other does.
fn integrated(record: &Delivered, truth: &Truth, verdict: &mut Verdict) {
    let (says, counts) = (record.note.says("integrated"), truth.kind.tells_count());
    if says == counts {
        let what = if says { "says that it is integrated" } else { "is integrated, unsaid" };
        verdict.find(Kind::InventedCount, format!("{}: count {} {what}", record.id, record.raw));
    }
}

/// A place that the receiver really told: of the newest epochs where any was good, else
/// of those that were not stale yet, else of one as old as the note says. Or the configured
/// one, if the note says so.
fn place(record: &Delivered, at_ms: i64, truth: &Truth, rules: &Rules, verdict: &mut Verdict) {
    let (id, here) = (&record.id, record.place);
    if here.lat == 0.0 && here.lon == 0.0 {
        verdict.find(Kind::NoPlace, format!("{id}: latitude and longitude are 0"));
        return;
    }
    if let Some(fixed) = rules.fixed {
        if fixed.metres_to(here) > 0.1 || !record.note.says("fixed-place") {
            let what = format!("{id}: not at the configured place, or doesn't say that it is that");
            verdict.find(Kind::InventedPlace, what);
        }
        return;
    }
    let near = |spots: &[Spot]| spots.iter().any(|spot| spot.metres_to(here) <= PLACE_TOLERANCE_M);
    let until = at_ms + 1000;
    // One that came after is no reason against an older one that wasn't stale yet.
    let newest = match told(truth, at_ms - FRESH_WITHIN_MS, at_ms).is_empty() {
        true => Vec::new(),
        false => told(truth, at_ms - FRESH_WITHIN_MS, until),
    };
    let stale_ms = (rules.stale_s * 1000.0) as i64 + 1000;
    let fresh = match newest.is_empty() {
        true => told(truth, at_ms - stale_ms, until),
        false => newest,
    };
    if near(&fresh) {
        return;
    }
    if let Some(age_s) = record.note.fix_age_s {
        let then = at_ms - (age_s * 1000.0) as i64;
        if near(&told(truth, then - AGE_TOLERANCE_MS, then + AGE_TOLERANCE_MS)) {
            return;
        }
    }
    let ever = told(truth, i64::MIN, i64::MAX);
    // What a person told is where the rig has been, and what was found between two fixes lies
    // between those around it.
    let by_hand = record.note.says("operator-place") && near(&ever);
    if by_hand || record.note.says("backfill") && on_the_way(truth, at_ms, here) {
        return;
    }
    let (kind, how) = match near(&ever) {
        true => (Kind::OldPlace, "the rig was there, but not then"),
        false => (Kind::InventedPlace, "the rig was never there"),
    };
    let off = fresh.iter().map(|spot| spot.metres_to(here));
    let off = off.min_by(f64::total_cmp);
    let off = off.map_or("no fix then".to_owned(), |metres| format!("{metres:.1} m off"));
    verdict.find(kind, format!("{id} at {}: {how} ({off})", record.second));
}

/// Whether a place lies on the straight way between the last fix before an instant and the
/// first after it, where the rig could be then, and the two are no more than a minute apart.
fn on_the_way(truth: &Truth, at_ms: i64, here: Spot) -> bool {
    let heard = |e: &&Epoch| e.heard && e.place.is_some();
    let split = truth.epochs.partition_point(|epoch| epoch.at_ms <= at_ms);
    let before = truth.epochs.range(..split).rev().find(heard);
    let after = truth.epochs.range(split..).find(heard);
    let (Some(before), Some(after)) = (before, after) else { return false };
    let (Some(from), Some(to)) = (before.place, after.place) else { return false };
    let whole_ms = after.at_ms - before.at_ms;
    if !(1..=HOLE_AT_MOST_MS).contains(&whole_ms) {
        return false;
    }
    let part = (at_ms - before.at_ms) as f64 / whole_ms as f64;
    let there = Spot {
        lat: from.lat + (to.lat - from.lat) * part,
        lon: from.lon + (to.lon - from.lon) * part,
    };
    // Whose time is good to a second is somewhere within the way of one.
    let a_second_m = from.metres_to(to) / (whole_ms as f64 / 1000.0);
    there.metres_to(here) <= PLACE_TOLERANCE_M + a_second_m
}

fn told(truth: &Truth, from_ms: i64, to_ms: i64) -> Vec<Spot> {
    let epochs: &VecDeque<_> = &truth.epochs;
    let first = epochs.partition_point(|epoch| epoch.at_ms < from_ms);
    epochs
        .iter()
        .skip(first)
        .take_while(|epoch| epoch.at_ms <= to_ms)
        .filter(|epoch| epoch.heard)
        .filter_map(|epoch| epoch.place)
        .collect()
}
