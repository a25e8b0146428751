//! Records held against each other: none twice, none in another's second, numbers that
//! fit together, totals that never fall. Knows no truth.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};

use super::Rules;
use super::record::Delivered;
use super::verdict::{Kind, Verdict};

/// By how much a total may miss (raw − to zero) / K + base: totals are written in
/// thousandths at the coarsest, and both sides are rounded.
const TOTAL_TOLERANCE_GAL: f64 = 0.001;

/// Judges records, in order of time, and returns the first of each reading.
pub(super) fn judge<'a>(
    records: &'a [Delivered],
    rules: &Rules,
    verdict: &mut Verdict,
) -> Vec<&'a Delivered> {
    let distinct = without_doubles(records, verdict);
    for record in &distinct {
        equation(record, rules, verdict);
    }
    let there = numbers(&distinct);
    let mut last: HashMap<_, &Delivered> = HashMap::new();
    for record in &distinct {
        let key = (&record.serial, &record.job);
        if let Some(before) = last.insert(key, record) {
            succession(before, record, &there, verdict);
        }
    }
    distinct
}

/// The numbers of the readings that are there.
pub(super) fn numbers(records: &[&Delivered]) -> HashSet<u64> {
    records.iter().filter_map(|record| record.note.seq()).collect()
}

/// Whether a record's total counts from a later beginning than the one before it of the
/// same job: it opens a span, or the reading that did is still with the agent. That one
/// can't be seen; a zero, a segment or a base that can't be of the span before shows it.
pub(super) fn begins_anew(before: &Delivered, record: &Delivered, there: &HashSet<u64>) -> bool {
    record.note.says("tare") || (hides_one(before, record, there) && another_span(before, record))
}

/// Whether a reading between two is not there.
fn hides_one(before: &Delivered, record: &Delivered, there: &HashSet<u64>) -> bool {
    let numbers = before.note.seq().zip(record.note.seq());
    numbers.is_some_and(|(from, to)| (from + 1..to).any(|seq| !there.contains(&seq)))
}

fn another_span(before: &Delivered, record: &Delivered) -> bool {
    let fell = record.total_gal < before.total_gal - TOTAL_TOLERANCE_GAL;
    fell || match record.note.segment.cmp(&before.note.segment) {
        Ordering::Less => true,
        Ordering::Equal => {
            record.zero != before.zero || record.note.base_gal != before.note.base_gal
        }
        Ordering::Greater => record.note.base_gal < before.total_gal - TOTAL_TOLERANCE_GAL,
    }
}

fn without_doubles<'a>(records: &'a [Delivered], verdict: &mut Verdict) -> Vec<&'a Delivered> {
    let (mut keys, mut ids, mut seconds) = (HashSet::new(), HashSet::new(), HashMap::new());
    let mut distinct = Vec::new();
    for record in records {
        let key = (&record.serial, record.second, record.raw);
        let new_key = keys.insert(key);
        let new_id = record.note.id.as_ref().is_none_or(|id| ids.insert(id));
        if !new_key || !new_id {
            let (serial, second, raw) = key;
            verdict.find(
                Kind::Doubled,
                format!("{}: count {raw} of {serial} at {second} once more", record.id),
            );
            continue;
        }
        if let Some(other) = seconds.insert((&record.serial, record.second), &record.id) {
            verdict.find(
                Kind::SecondTaken,
                format!("{} and {other}: both at {}", record.id, record.second),
            );
        }
        distinct.push(record);
    }
    distinct
}

/// (raw − to zero) / K + base = total.
fn equation(record: &Delivered, rules: &Rules, verdict: &mut Verdict) {
    let id = &record.id;
    let counts = record.raw - record.zero;
    if counts < 0 {
        verdict.find(
            Kind::Equation,
            format!("{id}: count {} is below its zero {}", record.raw, record.zero),
        );
    }
    let total = counts as f64 / record.k + record.note.base_gal;
    let fits = (total - record.total_gal).abs() <= TOTAL_TOLERANCE_GAL;
    // Written so that it also strikes where K is 0 and the quotient no number.
    if !fits {
        verdict.find(
            Kind::Equation,
            format!(
                "{id}: ({} - {}) / {} + {} is {total:.4} gal, not {:.4}",
                record.raw, record.zero, record.k, record.note.base_gal, record.total_gal
            ),
        );
    }
    // Of an integrated rate K is a matter of the agent's own counts.
    let own = record.note.says("integrated");
    if !own && (record.k - rules.k).abs() > 1e-6 * rules.k {
        verdict.find(Kind::Equation, format!("{id}: K {} is not {}", record.k, rules.k));
    }
}

fn succession(before: &Delivered, record: &Delivered, there: &HashSet<u64>, verdict: &mut Verdict) {
    if begins_anew(before, record, there) {
        return;
    }
    if record.total_gal < before.total_gal - TOTAL_TOLERANCE_GAL {
        verdict.find(
            Kind::TotalFell,
            format!(
                "{}: total {:.4} gal after {:.4}",
                record.id, record.total_gal, before.total_gal
            ),
        );
    }
    let same_segment = record.note.segment == before.note.segment;
    if same_segment && record.zero != before.zero {
        verdict.find(
            Kind::Equation,
            format!(
                "{}: zero {} after {} in the same segment",
                record.id, record.zero, before.zero
            ),
        );
    }
}
