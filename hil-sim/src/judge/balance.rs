//! The balance: readings recorded are at the server or still with the agent, and the
//! gallons of both are what the rig metered.
//!
//! Gallons at the server are the last total of each span. A reading that the agent still
//! has (held, rejected) and that lies before that total is part of it; how much it is
//! can't be seen at the server, only that it is at most what the total grew by over it. So
//! the server's gallons are a range, a single number where nothing is missing.

use std::collections::HashMap;

use super::record::Delivered;
use super::themselves::{begins_anew, numbers};
use super::verdict::{BalanceSheet, Kind, Verdict};
use super::{Evidence, Rules, leeway};
use crate::truth::{Emitted, Period, Trouble, Truth};

/// The agent's gallons may be told in thousandths.
const ROUNDING_GAL: f64 = 0.002;

/// A restart of the meter this close to the agent's death may take an unrecorded reading
/// with it.
const DEATH_WITHIN_MS: i64 = 10_000;

/// A disk that takes writes again has taken what waited, this soon.
const WRITTEN_WITHIN_MS: i64 = 3_000;

/// A rollover this close to a cable that is out may lie between the lines that tell of it.
const UNPLUGGED_WITHIN_MS: i64 = 3_000;

/// Judges the sums; `doubles` are records beyond the first of a reading.
pub(super) fn judge(
    records: &[&Delivered],
    doubles: usize,
    evidence: &Evidence,
    verdict: &mut Verdict,
) {
    let truth = &evidence.truth;
    let (at_most, missing) = at_server(records);
    let knowable = truth.knowable_counts() as f64 / truth.k;
    let metered = truth.metered_counts() as f64 / truth.k;
    let mut sheet = BalanceSheet {
        agent_answered: evidence.status.is_some(),
        delivered: records.len() as u64,
        duplicated: doubles as u64,
        metered_gal: metered,
        unknowable_gal: (metered - knowable).max(0.0),
        tolerance_gal: tolerance(truth, &evidence.rules),
        ..BalanceSheet::default()
    };
    let (mut local, mut in_doubt) = (0.0, 0.0);
    match &evidence.status {
        None => verdict.find(Kind::Mishap, "the agent's figures were not to be had"),
        Some(status) => {
            let (b, g) = (status.balance, status.gallons);
            sheet.recorded = b.recorded;
            sheet.ready = b.ready;
            sheet.held = b.held;
            sheet.in_doubt = b.in_doubt;
            sheet.rejected = b.rejected;
            sheet.discarded = b.discarded + b.deleted;
            local = g.ready + g.held + g.rejected + g.discarded;
            in_doubt = g.in_doubt;
            readings(records, evidence, verdict);
        }
    }
    // What is in doubt may be at the server too: it counts as far as it makes things fit.
    let (low, high) = (at_most - missing + local, at_most + local + in_doubt);
    let due = metered - sheet.unknowable_gal;
    sheet.delivered_gal = (due - local).clamp(at_most - missing, at_most.max(at_most - missing));
    sheet.local_gal = local + (due - local - sheet.delivered_gal).clamp(0.0, in_doubt);
    if due < low - sheet.tolerance_gal || due > high + sheet.tolerance_gal {
        verdict.find(
            Kind::Gallons,
            format!(
                "the rig metered {due:.3} gal; at the server and with the agent are {low:.3} to {high:.3}"
            ),
        );
    }
    verdict.balance = sheet;
}

/// Gallons by the last totals at the server, and how much of them at most belongs to
/// readings that are not there.
fn at_server(records: &[&Delivered]) -> (f64, f64) {
    let there = numbers(records);
    let mut last: HashMap<_, &Delivered> = HashMap::new();
    let (mut sum, mut missing) = (0.0, 0.0);
    for record in records {
        let key = (&record.serial, &record.job);
        let before = last.insert(key, record).filter(|before| !begins_anew(before, record, &there));
        let grown = record.total_gal - before.map_or(0.0, |before| before.total_gal);
        sum += grown;
        if record.note.seq().is_some_and(|seq| seq > 1 && !there.contains(&(seq - 1))) {
            missing += grown.max(0.0);
        }
    }
    (sum, missing)
}

fn readings(records: &[&Delivered], evidence: &Evidence, verdict: &mut Verdict) {
    let Some(status) = &evidence.status else {
        return;
    };
    let b = status.balance;
    if !b.adds_up() {
        verdict.find(Kind::Sums, format!("the agent's states don't add up: {b:?}"));
    }
    let here = b.ready + b.held + b.in_doubt + b.rejected + b.discarded + b.deleted;
    let least = b.recorded.saturating_sub(here);
    let there = records.len() as u64;
    if there < least {
        let lost = least - there;
        verdict.find(
            Kind::Lost,
            format!(
                "{lost} of {} readings are neither at the server nor with the agent",
                b.recorded
            ),
        );
    }
    if there > least + b.in_doubt {
        let more = there - least - b.in_doubt;
        verdict.find(
            Kind::Sums,
            format!("{more} readings are at the server and not sent, says the agent"),
        );
    }
    if status.last_seq < evidence.shown_seq {
        verdict.find(
            Kind::Lost,
            format!(
                "reading {:?} was shown, the last is {:?}",
                evidence.shown_seq, status.last_seq
            ),
        );
    }
    if b.backlog() > 0 {
        verdict.find(
            Kind::NotDrained,
            format!("{} ready and {} in doubt are left", b.ready, b.in_doubt),
        );
    }
}

/// One reading interval of the greatest flow, where one may be unrecorded for good reason:
/// once if liquid still flows, once if it flowed when the agent first listened (its first
/// two lines only agree on where to begin), once for each restart of the meter about the
/// time of the agent's death, and all that the disk has kept waiting then. So it is for a
/// rollover that nobody heard, with what flowed unheard before it: it looks like a restart
/// (RULES.md, 7). Always two counts, since whole counts lie within, and what rounding hides.
/// Under the cut-off up to `every_gal` waits for its record. A rate that is integrated misses
/// what its samples miss, and so on by the kind of meter.
fn tolerance(truth: &Truth, rules: &Rules) -> f64 {
    let greatest = truth.flow.iter().map(|change| change.gpm).fold(0.0, f64::max);
    let interval = greatest / 60.0 * (rules.every_s + 1.0);
    let first = truth.lines.iter().find(|line| line.heard);
    let flowing_at = |at_ms: i64| truth.flow_at(at_ms) > 0.0;
    let ends = truth.lines.back().is_some_and(|line| flowing_at(line.at_ms));
    let begins = first.is_some_and(|line| flowing_at(line.at_ms));
    let restarts = truth.restarts.iter().filter(|at| near_death(truth, **at));
    let unsaved = |at: i64| interval + kept_waiting_ms(truth, at) as f64 / 60_000.0 * greatest;
    let deaths: f64 = restarts.map(|at| unsaved(*at)).sum();
    let rollovers = rollovers_unheard(truth).into_iter();
    let deaf: f64 = rollovers.map(|(at, counts)| unsaved(at) + counts as f64 / truth.k).sum();
    let intervals = u32::from(ends) + u32::from(begins);
    let seeps = |gpm: f64| gpm > 0.0 && gpm < rules.low_flow_gpm;
    let seeping = truth.flow.iter().any(|change| seeps(change.gpm));
    let waiting = if seeping { rules.every_gal } else { 0.0 };
    let counted = 2.0 / truth.k + ROUNDING_GAL;
    let kind = leeway::integration_gal(truth) + leeway::kept_gal(truth);
    counted + kind + f64::from(intervals) * interval + deaths + deaf + waiting
}

/// Whether the agent died about an instant, or while the disk still kept waiting what was
/// counted by then.
fn near_death(truth: &Truth, at: i64) -> bool {
    let stalls = |period: &&Period| period.trouble == Trouble::DiskStalls && covers(period, at);
    let written = truth.periods.iter().filter(stalls).filter_map(|period| period.to_ms).max();
    let until = written.unwrap_or(at).max(at) + DEATH_WITHIN_MS;
    truth.periods.iter().any(|period| {
        let to = period.to_ms.unwrap_or(i64::MAX - DEATH_WITHIN_MS);
        period.trouble == Trouble::AgentDown
            && period.from_ms <= until
            && at <= to + DEATH_WITHIN_MS
    })
}

/// How long before an instant the disk has taken nothing, if it didn't, in milliseconds.
fn kept_waiting_ms(truth: &Truth, at: i64) -> i64 {
    let stalls = |period: &&Period| period.trouble == Trouble::DiskStalls && covers(period, at);
    truth.periods.iter().filter(stalls).map(|period| at - period.from_ms).max().unwrap_or(0)
}

/// Whether a trouble lasts at an instant, or has ended just before.
fn covers(period: &Period, at: i64) -> bool {
    period.from_ms <= at && period.to_ms.is_none_or(|to| at <= to + WRITTEN_WITHIN_MS)
}

/// When the count passed its modulus while nobody listened or about then, and the counts
/// from the last line before it that was heard.
pub(super) fn rollovers_unheard(truth: &Truth) -> Vec<(i64, u64)> {
    let mut found = Vec::new();
    let (mut before, mut heard): (Option<&Emitted>, Option<&Emitted>) = (None, None);
    for line in truth.lines.iter().filter(|line| line.honest) {
        let passed = |line: &Emitted| line.unwrapped.saturating_sub(line.raw);
        let rolls = before
            .is_some_and(|before| before.segment == line.segment && passed(before) < passed(line));
        if rolls && (near_death(truth, line.at_ms) || unplugged(truth, line.at_ms)) {
            let unheard = |heard: &Emitted| passed(line).saturating_sub(heard.unwrapped);
            let same = heard.filter(|heard| heard.segment == line.segment);
            found.push((line.at_ms, same.map_or(0, unheard)));
        }
        before = Some(line);
        heard = if line.heard { before } else { heard };
    }
    found
}

/// Whether the meter's cable was out about an instant.
fn unplugged(truth: &Truth, at: i64) -> bool {
    truth.periods.iter().any(|period| {
        period.trouble == Trouble::MeterUnplugged
            && period.from_ms <= at + UNPLUGGED_WITHIN_MS
            && period.to_ms.is_none_or(|to| at <= to + UNPLUGGED_WITHIN_MS)
    })
}
