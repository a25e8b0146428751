//! The words that go through the door. Wire format: one JSON object a line.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::clock::UtcMs;
use crate::learnt::Order;
use crate::queue::Selector;
use crate::reading::{Assignment, Place};
use crate::verified;

/// What is asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "cmd", rename_all = "snake_case", deny_unknown_fields)]
pub enum Command {
    /// What the daemon is doing.
    Status,
    /// The assignment in force and the one that is wanted.
    JobShow,
    /// Spray for this job from now on.
    JobUse {
        /// The job.
        assignment: Assignment,
    },
    /// Forget the pick.
    JobClear,
    /// Give readings without a job this one.
    RecordsAssign {
        /// Which.
        which: Selector,
        /// The job.
        assignment: Assignment,
    },
    /// Send a test record, read it back, delete it.
    Canary {
        /// Whose, and where.
        order: Order,
    },
    /// Set jobs beside JobCloser's lists.
    RecordsVerify {
        /// Which, and what to do with what is missing.
        order: verified::Order,
    },
    /// Make rejected and held readings ready again.
    RecordsRetry {
        /// Which.
        which: Selector,
    },
    /// Date a boot that never learnt the time.
    RecordsRelease {
        /// Its row id, as lists show it.
        boot: i64,
        /// When it began.
        start: UtcMs,
    },
    /// Give readings without a place one.
    RecordsPlace {
        /// Which.
        which: Selector,
        /// Where they were.
        place: Place,
    },
    /// Never send readings.
    RecordsReject {
        /// Which.
        which: Selector,
        /// Why.
        reason: String,
    },
    /// Mark readings as water that isn't chemical.
    RecordsDiscard {
        /// Which.
        which: Selector,
        /// Why.
        reason: String,
    },
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// Done, with what there is to say.
    Ok(Value),
    /// Not done, and why.
    Error(String),
}

impl Command {
    /// Whether the store's pick, and so the wanted assignment, may be another after it.
    pub fn changes_pick(&self) -> bool {
        matches!(self, Self::JobUse { .. } | Self::JobClear)
    }

    /// Whether delivery should look again after it: there is more to send, or less to ask
    /// about.
    pub fn changes_delivery(&self) -> bool {
        matches!(
            self,
            Self::RecordsAssign { .. }
                | Self::RecordsRetry { .. }
                | Self::RecordsRelease { .. }
                | Self::RecordsPlace { .. }
                | Self::RecordsReject { .. }
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_one_object_with_its_name_first() {
        let line = r#"{"cmd":"job_use","assignment":{"event":"e","job":"j"}}"#;
        let command: Command = serde_json::from_str(line).unwrap();
        assert_eq!(serde_json::to_string(&command).unwrap(), line);
        assert!(command.changes_pick());
    }

    #[test]
    fn what_is_not_a_command_is_refused() {
        for line in [r#"{"cmd":"format_disk"}"#, r#"{"cmd":"job_use"}"#, "[]", "3"] {
            assert!(serde_json::from_str::<Command>(line).is_err(), "{line}");
        }
    }
}
