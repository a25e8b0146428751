//! The balance: readings recorded are at the server or still with the agent, and the
//! gallons of both are what the rig metered.
//!
//! Gallons at the server are the last total of each span. A reading that the agent still
//! has (held, rejected) and that lies before that total is part of it; how much it is
//! can't be seen at the server, only that it is at most what the total grew by over it. So
//! the server's gallons are a range, a single number where nothing is missing.

use std::collections::{HashMap, HashSet};

use super::record::Delivered;
use super::themselves::opens_span;
use super::verdict::{BalanceSheet, Kind, Verdict};
use super::{Evidence, Rules};
use crate::truth::{Trouble, Truth};

/// The agent's gallons may be told in thousandths.
const ROUNDING_GAL: f64 = 0.002;

/// A restart of the meter this close to the agent's death may take an unrecorded reading
/// with it.
const DEATH_WITHIN_MS: i64 = 10_000;

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
    let there: HashSet<u64> = records.iter().filter_map(|record| record.note.seq()).collect();
    let mut total_before: HashMap<_, f64> = HashMap::new();
    let (mut sum, mut missing) = (0.0, 0.0);
    for record in records {
        let key = (&record.serial, &record.job);
        let before = total_before.insert(key, record.total_gal).unwrap_or(0.0);
        let falls = record.total_gal < before && opens_span(record);
        let grown = record.total_gal - if falls { 0.0 } else { before };
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
/// time of the agent's death. Always two counts, since whole counts lie within, and what
/// rounding hides. Under the cut-off up to `every_gal` waits for its record.
fn tolerance(truth: &Truth, rules: &Rules) -> f64 {
    let greatest = truth.flow.iter().map(|change| change.gpm).fold(0.0, f64::max);
    let interval = greatest / 60.0 * (rules.every_s + 1.0);
    let first = truth.lines.iter().find(|line| line.heard);
    let flowing_at = |at_ms: i64| truth.flow_at(at_ms) > 0.0;
    let ends = truth.lines.back().is_some_and(|line| flowing_at(line.at_ms));
    let begins = first.is_some_and(|line| flowing_at(line.at_ms));
    let near_death = |at: &&i64| {
        truth.periods.iter().any(|period| {
            let to = period.to_ms.unwrap_or(i64::MAX - DEATH_WITHIN_MS);
            let about = (period.from_ms - DEATH_WITHIN_MS)..=(to + DEATH_WITHIN_MS);
            period.trouble == Trouble::AgentDown && about.contains(at)
        })
    };
    let deaths = truth.restarts.iter().filter(near_death).count();
    let intervals = u32::from(ends) + u32::from(begins);
    let seeps = |gpm: f64| gpm > 0.0 && gpm < rules.low_flow_gpm;
    let seeping = truth.flow.iter().any(|change| seeps(change.gpm));
    let waiting = if seeping { rules.every_gal } else { 0.0 };
    2.0 / truth.k + ROUNDING_GAL + (f64::from(intervals) + deaths as f64) * interval + waiting
}
