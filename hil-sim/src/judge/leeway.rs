//! How exactly each kind of meter can be judged: one that shows a total in coarse steps, one
//! that tells no rate, one that tells nothing but a rate. Knows no verdict.
//!
//! | the meter | so the judge |
//! | --- | --- |
//! | shows a total in steps | goes by steps as by counts, and waits for one between records |
//! | keeps its total when it starts again | lets what it counted about then be known or not |
//! | tells no rate | lets the agent's be what the counts of some seconds allow |
//! | tells a rate alone | goes by time, and bounds the gallons by what sampling can miss |
//! | is asked number by number | takes a number that wasn't answered for one that isn't there |

use super::record::Delivered;
use crate::truth::{Emitted, Trouble, Truth};

/// Rates as the agent and the meter write them differ by no more.
const RATE_TOLERANCE_GPM: f64 = 0.01;

/// A rate made of counts may catch two more of them in a second than flowed in it.
const COUNTS_A_MINUTE: f64 = 120.0;

/// After a silence the counts of some seconds may come at once.
const COUNTS_AT_ONCE: f64 = 5.0;

/// And it lags behind the flow by no more than this.
const RATE_LAGS_MS: i64 = 10_000;

/// Between two samples a flow may begin or end unseen: a second, and some tenths of delay.
const SAMPLED_WITHIN_MS: i64 = 2000;

/// How exactly a rate times the time between samples makes a volume.
const INTEGRATED_TO: f64 = 0.01;

/// After a fault the agent has waited a timeout and asked everything again.
const ANSWERED_AGAIN_MS: i64 = 4000;

/// Whether a record's rate can be that of this line; under the cut-off it is 0.
pub(super) fn tells_rate(line: &Emitted, record: &Delivered) -> bool {
    let rate = record.rate_gpm.unwrap_or(0.0);
    rate == 0.0 || (rate - line.rate_gpm).abs() <= RATE_TOLERANCE_GPM
}

/// Whether a record's rate is one that the meter told or allows. One that is asked tells
/// count and rate in two answers, between which the flow may change.
pub(super) fn allows_rate(
    truth: &Truth,
    record: &Delivered,
    line: &Emitted,
    window: &[(usize, &Emitted)],
) -> bool {
    // One that is made of counts alone remembers a silence for as long as it lags.
    let lags_ms = if truth.kind.tells_rate() { 0 } else { RATE_LAGS_MS };
    let before = [0, lags_ms / 2, lags_ms];
    let unanswered = before.iter().any(|ms| may_be_unanswered(truth, line.at_ms - ms));
    if !truth.kind.tells_rate() || unanswered {
        let most = greatest_flow(truth, line.at_ms - RATE_LAGS_MS, line.at_ms);
        let most = if unanswered { most * COUNTS_AT_ONCE } else { most * 1.2 };
        let rate = record.rate_gpm.unwrap_or(0.0);
        return (0.0..=most + COUNTS_A_MINUTE / truth.k).contains(&rate);
    }
    let any = || window.iter().any(|(_, line)| tells_rate(line, record));
    tells_rate(line, record) || truth.kind.is_asked() && any()
}

/// The line that a record of an integrated rate comes from: one that tells its rate, and of
/// those the nearest. Its count is the agent's own.
pub(super) fn line_by_time(record: &Delivered, window: &[(usize, &Emitted)]) -> Option<usize> {
    let middle_ms = record.second * 1000 + 500;
    let order = |(_, line): &&(usize, &Emitted)| {
        (!tells_rate(line, record), (line.at_ms - middle_ms).abs())
    };
    window.iter().min_by_key(order).map(|(index, _)| *index)
}

/// Whether what a meter was asked about an instant may have gone unanswered.
pub(super) fn may_be_unanswered(truth: &Truth, at_ms: i64) -> bool {
    truth.kind.is_asked()
        && truth.periods.iter().any(|period| {
            period.trouble == Trouble::MeterNoise
                && period.from_ms <= at_ms + SAMPLED_WITHIN_MS
                && period.to_ms.is_none_or(|to| at_ms <= to + ANSWERED_AGAIN_MS)
        })
}

/// How long the slowest flow takes from one step of a total to the second after it. A flow
/// shows by steps, and the first may be due at once.
pub(super) fn two_steps_ms(truth: &Truth, low_flow_gpm: f64) -> i64 {
    if truth.kind.steps_a_gallon().is_none() {
        return 0;
    }
    let flows = truth.flow.iter().map(|change| change.gpm).filter(|gpm| *gpm >= low_flow_gpm);
    let slowest = flows.fold(f64::INFINITY, f64::min);
    (2.0 * 60_000.0 / (truth.k * slowest)) as i64
}

/// By how many gallons an integrated rate may miss: what began, ended or changed between two
/// samples, what flowed while no sample was to be had, and a share of the whole.
pub(super) fn integration_gal(truth: &Truth) -> f64 {
    if truth.kind.tells_count() {
        return 0.0;
    }
    let mut before = 0.0;
    let mut changes = 0.0;
    for change in &truth.flow {
        changes += (change.gpm - before).abs() * SAMPLED_WITHIN_MS as f64 / 60_000.0;
        before = change.gpm;
    }
    let mut unseen = 0;
    let mut last: Option<&Emitted> = None;
    for line in truth.lines.iter().filter(|line| line.heard && line.honest) {
        let apart = last.filter(|last| line.at_ms - last.at_ms > SAMPLED_WITHIN_MS);
        unseen += apart.map_or(0, |last| line.counted.saturating_sub(last.counted));
        last = Some(line);
    }
    let whole = truth.metered_counts() as f64 * INTEGRATED_TO;
    changes + (unseen as f64 + whole) / truth.k
}

/// What a meter that keeps its total has counted between the last line before it started again
/// and the first after it: who trusts the total knows it, who doesn't doesn't.
pub(super) fn kept_gal(truth: &Truth) -> f64 {
    if !truth.kind.keeps_total() {
        return 0.0;
    }
    let heard: Vec<&Emitted> =
        truth.lines.iter().filter(|line| line.heard && line.honest).collect();
    let pairs = heard.windows(2).filter_map(|pair| pair.first().zip(pair.last()));
    let restarts = pairs.filter(|(before, after)| before.segment != after.segment);
    let between = restarts.map(|(before, after)| after.counted.saturating_sub(before.counted));
    between.sum::<u64>() as f64 / truth.k
}

fn greatest_flow(truth: &Truth, from_ms: i64, to_ms: i64) -> f64 {
    let within = truth.flow.iter().filter(|change| (from_ms..=to_ms).contains(&change.at_ms));
    within.map(|change| change.gpm).fold(truth.flow_at(from_ms), f64::max)
}
