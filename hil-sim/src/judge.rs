//! The judge: holds what the server stores against what the rig really did. It believes
//! the server's records and the truth; of the agent's own figures it takes only what it
//! still has, since nobody else knows.
//!
//! ```text
//! StoredRecord ─► Delivered ─┬─ by the truth: count, second, place, sensors
//!                            ├─ among themselves: twice, equation, totals
//!          Truth ────────────┼─ gaps while liquid flowed
//!         Status ────────────┴─ the balance of readings and gallons
//! ```
//!
//! Rules: RULES.md, 2, 4, 6 to 17. Knows no port, no process and no time but the truth's.

mod balance;
mod by_truth;
mod gaps;
mod leeway;
mod note;
mod record;
#[cfg(test)]
mod tests;
mod themselves;
mod verdict;

pub use note::Note;
pub use record::Delivered;
pub use verdict::{BalanceSheet, Finding, Kind, Verdict};

use crate::agent::Status;
use crate::gps::Spot;
use crate::jobcloser::StoredRecord;
use crate::truth::Truth;

/// What the agent was told to do, as far as the judge must know.
#[derive(Debug, Clone, PartialEq)]
pub struct Rules {
    /// `meter.calibration.factor`.
    pub k: f64,
    /// `record.every` in seconds.
    pub every_s: f64,
    /// `record.every_gal`.
    pub every_gal: f64,
    /// `meter.counter.low_flow_gpm`.
    pub low_flow_gpm: f64,
    /// `gps.stale_after` in seconds.
    pub stale_s: f64,
    /// `jobcloser.max_count`.
    pub max_count: i64,
    /// `record.stand_in`: fluid, ambient, battery, run time.
    pub stand_in: [Option<f64>; 4],
    /// `meter.battery.curve`: volts and percent, rising.
    pub curve: Vec<[f64; 2]>,
    /// `gps.fixed`, where that is the source.
    pub fixed: Option<Spot>,
}

impl Default for Rules {
    /// The defaults of the configuration.
    fn default() -> Self {
        Self {
            k: 126.7,
            every_s: 5.0,
            every_gal: 0.5,
            low_flow_gpm: 0.05,
            stale_s: 3.0,
            max_count: i64::from(i32::MAX),
            stand_in: [None; 4],
            curve: Vec::new(),
            fixed: None,
        }
    }
}

impl Rules {
    /// Percent of a battery's volts: straight between two points, flat beyond the ends.
    fn percent(&self, volts: f64) -> Option<f64> {
        let above = self.curve.iter().position(|[at, _]| *at >= volts);
        let last = self.curve.len().checked_sub(1)?;
        let [[v0, p0], [v1, p1]] = match above {
            Some(0) => return self.curve.first().map(|[_, percent]| *percent),
            None => return self.curve.get(last).map(|[_, percent]| *percent),
            Some(next) => [*self.curve.get(next - 1)?, *self.curve.get(next)?],
        };
        Some(p0 + (p1 - p0) * (volts - v0) / (v1 - v0))
    }
}

/// Everything the judge looks at.
#[derive(Debug, Clone)]
pub struct Evidence {
    /// What the server holds.
    pub records: Vec<StoredRecord>,
    /// Where what it was sent departs from the page.
    pub violations: Vec<String>,
    /// What the rig really did.
    pub truth: Truth,
    /// What the agent says; `None` where it could not be asked.
    pub status: Option<Status>,
    /// The greatest sequence number that any status ever showed.
    pub shown_seq: Option<i64>,
    /// What the agent was told.
    pub rules: Rules,
    /// What went wrong with the bench or the agent's process.
    pub mishaps: Vec<String>,
}

/// Judges.
pub fn judge(evidence: &Evidence) -> Verdict {
    let mut verdict = Verdict::default();
    let mut delivered = Vec::new();
    for stored in &evidence.records {
        match Delivered::read(stored) {
            Ok(record) => delivered.push(record),
            Err(what) => verdict.find(Kind::Unreadable, format!("record {}: {what}", stored.id)),
        }
    }
    // The page gives no other order, and equal seconds are a finding of their own.
    delivered.sort_by_key(|record| (record.second, record.note.seq()));
    let distinct = themselves::judge(&delivered, &evidence.rules, &mut verdict);
    let matched = by_truth::judge(&distinct, &evidence.truth, &evidence.rules, &mut verdict);
    gaps::judge(&distinct, &matched, evidence, &mut verdict);
    balance::judge(&distinct, delivered.len() - distinct.len(), evidence, &mut verdict);
    for violation in &evidence.violations {
        verdict.find(Kind::Violation, violation.clone());
    }
    for mishap in &evidence.mishaps {
        verdict.find(Kind::Mishap, mishap.clone());
    }
    if evidence.truth.forgotten > 0 {
        let forgotten = evidence.truth.forgotten;
        verdict.find(
            Kind::Mishap,
            format!("the run was too long to judge whole: {forgotten} lines and epochs forgotten"),
        );
    }
    verdict
}
