//! While liquid flows there is a record every `record.every` + 1 s, or as often as the meter
//! shows it. Excused: the meter's
//! cable out, spoilt lines, a meter that starts again, the agent down, and readings that
//! the agent still has.

use super::Evidence;
use super::by_truth::Matched;
use super::leeway;
use super::record::Delivered;
use super::verdict::{Kind, Verdict};
use crate::truth::{Trouble, Truth};

/// A line may be due just before `every` has passed and be told some tenths late.
const SLACK_MS: i64 = 500;

/// After its cable is back a meter is heard within 2 s, and believed with its second
/// line; an agent that starts takes as long.
const BACK_WITHIN_MS: i64 = 4000;

/// After a spoilt line, a second good one confirms the first.
const QUIET_WITHIN_MS: i64 = 2000;

/// From one instant to another, in unix milliseconds.
type Stretch = (i64, i64);

/// Judges the time between records, in order of time.
pub(super) fn judge(
    records: &[&Delivered],
    matched: &Matched,
    evidence: &Evidence,
    verdict: &mut Verdict,
) {
    let truth = &evidence.truth;
    let (Some(first), Some(last)) = (truth.lines.front(), truth.lines.back()) else {
        return;
    };
    never_heard(truth, last.at_ms, verdict);
    let rules = &evidence.rules;
    let coarse_ms = leeway::two_steps_ms(truth, rules.low_flow_gpm);
    let limit_ms = (rules.every_s * 1000.0) as i64 + 1000 + SLACK_MS + coarse_ms;
    let flowing = flowing(truth, rules.low_flow_gpm, last.at_ms);
    let excused = excused(truth, last.at_ms);
    let seqs = records.iter().map(|record| record.note.seq());
    let at = matched.iter().map(|line| truth.lines.get((*line)?));
    let mut points: Vec<(i64, Option<u64>)> =
        at.zip(seqs).filter_map(|(line, seq)| Some((line?.at_ms, seq))).collect();
    let status = evidence.status.as_ref();
    let newest = status.and_then(|status| u64::try_from(status.last_seq?).ok());
    points.push((last.at_ms.max(first.at_ms), newest.map(|seq| seq + 1)));
    points.sort();
    let kept = status.is_some_and(|status| {
        let b = status.balance;
        b.ready + b.held + b.in_doubt + b.rejected + b.discarded + b.deleted > 0
    });
    let (mut from, mut seq_before) = (first.at_ms, Some(0));
    for (to, seq) in points {
        let follows = matches!((seq_before, seq), (Some(a), Some(b)) if b <= a + 1);
        if follows || !kept {
            let wet = overlap_without(&flowing, &excused, (from, to));
            if wet > limit_ms {
                let seconds = wet as f64 / 1000.0;
                verdict.find(
                    Kind::Gap,
                    format!("no record for {seconds:.1} s of flow before {}", to / 1000),
                );
            }
        }
        (from, seq_before) = (to, seq);
    }
}

/// An agent that never opens the meter's port leaves nothing to hold against the rig.
fn never_heard(truth: &Truth, end_ms: i64, verdict: &mut Verdict) {
    let all_along = |trouble| {
        truth.periods.iter().any(|period| {
            period.trouble == trouble
                && truth.lines.front().is_some_and(|line| period.from_ms <= line.at_ms)
                && period.to_ms.is_none_or(|to| to >= end_ms)
        })
    };
    let excused = all_along(Trouble::AgentDown) || all_along(Trouble::MeterUnplugged);
    let heard = truth.lines.iter().any(|line| line.heard && line.honest);
    if !heard && !excused && truth.counted > 0 {
        verdict.find(Kind::Gap, "the agent never heard the meter");
    }
}

fn flowing(truth: &Truth, low_flow_gpm: f64, end_ms: i64) -> Vec<Stretch> {
    let mut stretches = Vec::new();
    let mut since = None;
    for change in &truth.flow {
        match (since, change.gpm >= low_flow_gpm) {
            (None, true) => since = Some(change.at_ms),
            (Some(from), false) => {
                stretches.push((from, change.at_ms));
                since = None;
            }
            _ => {}
        }
    }
    stretches.extend(since.map(|from| (from, end_ms)));
    stretches
}

/// Stretches in which no record can be asked for, in order and without overlap.
fn excused(truth: &Truth, end_ms: i64) -> Vec<Stretch> {
    let mut all: Vec<Stretch> =
        truth.restarts.iter().map(|at| (*at, at + QUIET_WITHIN_MS)).collect();
    for period in &truth.periods {
        let after = match period.trouble {
            // What waits in memory is lost with the agent: its volume is found later.
            Trouble::MeterUnplugged | Trouble::AgentDown | Trouble::DiskStalls => BACK_WITHIN_MS,
            Trouble::MeterNoise => QUIET_WITHIN_MS,
            Trouble::GpsUnplugged | Trouble::GpsLost => continue,
        };
        all.push((period.from_ms, period.to_ms.unwrap_or(end_ms) + after));
    }
    all.sort_unstable();
    let mut merged: Vec<Stretch> = Vec::new();
    for (from, to) in all {
        match merged.last_mut() {
            Some((_, end)) if from <= *end => *end = to.max(*end),
            _ => merged.push((from, to)),
        }
    }
    merged
}

/// How much of a span of time lies in `of` and in none of `but`.
fn overlap_without(of: &[Stretch], but: &[Stretch], (from, to): Stretch) -> i64 {
    let common = |a: Stretch, b: Stretch| (a.0.max(b.0), a.1.min(b.1));
    let length = |(from, to): Stretch| (to - from).max(0);
    of.iter()
        .map(|stretch| {
            let part = common(*stretch, (from, to));
            let out: i64 = but.iter().map(|b| length(common(part, *b))).sum();
            length(part) - out
        })
        .filter(|left| *left > 0)
        .sum()
}
