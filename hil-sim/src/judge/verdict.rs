//! What the judge found, and the balance as a table. Knows no evidence.

use std::fmt;

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A record that can't be read by the names of the page.
    Unreadable,
    /// A meter that the rig hasn't got.
    WrongMeter,
    /// A count that the meter never had.
    InventedCount,
    /// A count that the meter had at another time.
    WrongSecond,
    /// A place where the rig was not then.
    InventedPlace,
    /// A place from before the fix was lost, shown as fresh.
    OldPlace,
    /// Latitude and longitude 0.
    NoPlace,
    /// A temperature, battery or rate that the meter didn't tell.
    InventedSensor,
    /// A reading that the server holds twice.
    Doubled,
    /// Two readings of one meter in one second.
    SecondTaken,
    /// Count, zero, K and total that don't fit together.
    Equation,
    /// A total that fell within a job.
    TotalFell,
    /// Liquid flowed for longer than it may without a record.
    Gap,
    /// A reading that was recorded and is nowhere.
    Lost,
    /// Gallons that are not what was metered.
    Gallons,
    /// The agent's own sums don't add up.
    Sums,
    /// What was sent departs from the page.
    Violation,
    /// Readings that still wait to be sent or settled.
    NotDrained,
    /// The bench itself, or the agent as a process, went wrong.
    Mishap,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// What.
    pub kind: Kind,
    /// Where and how, in words.
    pub what: String,
}

/// Readings and gallons, from what the server holds, what the rig metered, and what the
/// agent still has.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct BalanceSheet {
    /// Whether the agent's own figures were to be had.
    pub agent_answered: bool,
    /// Readings the agent has ever recorded.
    pub recorded: u64,
    /// Different readings that the server holds.
    pub delivered: u64,
    /// Ready, held, in doubt, rejected and discarded, as the agent says.
    pub ready: u64,
    /// Held.
    pub held: u64,
    /// In doubt.
    pub in_doubt: u64,
    /// Rejected.
    pub rejected: u64,
    /// Discarded or deleted.
    pub discarded: u64,
    /// Records at the server beyond the first of the same reading.
    pub duplicated: u64,
    /// What the rig metered since the agent first heard the meter, in gallons.
    pub metered_gal: f64,
    /// The part of it that a restart of the meter made unknowable to anyone.
    pub unknowable_gal: f64,
    /// What the totals at the server say.
    pub delivered_gal: f64,
    /// What the agent still has, all states.
    pub local_gal: f64,
    /// By how much delivered and local may differ from metered.
    pub tolerance_gal: f64,
}

/// All that the judge found.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Verdict {
    /// Everything that is wrong; nothing if all is well.
    pub findings: Vec<Finding>,
    /// The balance.
    pub balance: BalanceSheet,
}

/// A verdict shows so many findings of a kind; the rest is a number.
const SHOWN_OF_A_KIND: usize = 5;

impl Verdict {
    /// Whether nothing is wrong.
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty()
    }

    /// Whether something of this kind is wrong.
    pub fn has(&self, kind: Kind) -> bool {
        self.findings.iter().any(|finding| finding.kind == kind)
    }

    /// For tests.
    ///
    /// # Panics
    /// With the whole verdict, where anything is wrong.
    pub fn assert_clean(&self) {
        assert!(self.is_clean(), "\n{self}");
    }

    /// For tests that provoke something on purpose: nothing else may be wrong.
    ///
    /// # Panics
    /// With the whole verdict, where anything of another kind is wrong.
    pub fn assert_clean_but_for(&self, kinds: &[Kind]) {
        let other = |finding: &Finding| !kinds.contains(&finding.kind);
        assert!(!self.findings.iter().any(other), "\n{self}");
    }

    /// Adds what was found elsewhere.
    pub fn find(&mut self, kind: Kind, what: impl Into<String>) {
        self.findings.push(Finding { kind, what: what.into() });
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.balance)?;
        let mut kinds: Vec<Kind> = self.findings.iter().map(|finding| finding.kind).collect();
        kinds.sort();
        kinds.dedup();
        for kind in kinds {
            let of_kind = || self.findings.iter().filter(move |found| found.kind == kind);
            for finding in of_kind().take(SHOWN_OF_A_KIND) {
                writeln!(f, "{kind:?}: {}", finding.what)?;
            }
            let more = of_kind().count().saturating_sub(SHOWN_OF_A_KIND);
            if more > 0 {
                writeln!(f, "{kind:?}: and {more} more")?;
            }
        }
        let clean = self.is_clean();
        write!(f, "{}", if clean { "it balances" } else { "it does NOT balance" })
    }
}

impl fmt::Display for BalanceSheet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let told = |number: u64| match self.agent_answered {
            true => number.to_string(),
            false => "?".to_owned(),
        };
        for (name, number) in [
            ("recorded", told(self.recorded)),
            ("delivered", self.delivered.to_string()),
            ("ready", told(self.ready)),
            ("held", told(self.held)),
            ("in doubt", told(self.in_doubt)),
            ("rejected", told(self.rejected)),
            ("discarded", told(self.discarded)),
            ("duplicated", self.duplicated.to_string()),
        ] {
            writeln!(f, "{name:<22}{number:>10}")?;
        }
        writeln!(f, "{:<22}{:>10.3} gal", "metered", self.metered_gal)?;
        if self.unknowable_gal > 0.0005 {
            let unknowable = self.unknowable_gal;
            writeln!(f, "{:<22}{unknowable:>10.3} gal", "  lost in restarts")?;
        }
        writeln!(f, "{:<22}{:>10.3} gal", "delivered", self.delivered_gal)?;
        writeln!(f, "{:<22}{:>10.3} gal", "not delivered", self.local_gal)?;
        let rest = self.metered_gal - self.unknowable_gal - self.delivered_gal - self.local_gal;
        // Not "-0.000".
        let rest = if rest.abs() < 0.0005 { 0.0 } else { rest };
        write!(f, "{:<22}{rest:>10.3} gal (tolerance {:.3})", "unaccounted for", self.tolerance_gal)
    }
}
