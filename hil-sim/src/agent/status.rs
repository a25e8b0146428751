//! What `spraylog status --json` says, as far as the bench needs it. Read leniently: what
//! is missing is nought or unknown, what is new is kept as it came. Knows no process.

use serde::Deserialize;
use serde_json::Value;

/// One answer.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Status {
    /// Whether the daemon runs.
    pub daemon: Daemon,
    /// The newest sequence number that is committed.
    pub last_seq: Option<i64>,
    /// Readings by state.
    pub balance: Balance,
    /// Gallons by state.
    pub gallons: Gallons,
    /// Why readings are held.
    pub held_for: HeldFor,
    /// Jobs that are over, as they came.
    pub closed_jobs: Value,
    /// The meter, as it came.
    pub meter: Value,
    /// The receiver, as it came.
    pub gps: Value,
    /// The clock, as it came.
    pub clock: Value,
    /// The server, as it came.
    pub server: Value,
}

/// The process.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Daemon {
    /// Whether it runs.
    pub running: bool,
    /// Its process id.
    pub pid: Option<i64>,
}

/// Readings by state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Balance {
    /// All that were ever recorded.
    pub recorded: u64,
    /// Waiting to be sent.
    pub ready: u64,
    /// Kept, and can't be sent yet.
    pub held: u64,
    /// Sent, the answer not known.
    pub in_doubt: u64,
    /// At JobCloser.
    pub sent: u64,
    /// Refused, alone.
    pub rejected: u64,
    /// Water that isn't chemical.
    pub discarded: u64,
    /// Deleted by an operator.
    pub deleted: u64,
    /// Whether the agent itself finds that the sum is right.
    pub balanced: Option<bool>,
}

/// Gallons by state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Gallons {
    /// All that were ever recorded.
    pub recorded: f64,
    /// Waiting to be sent.
    pub ready: f64,
    /// Kept, and can't be sent yet.
    pub held: f64,
    /// Sent, the answer not known.
    pub in_doubt: f64,
    /// At JobCloser.
    pub sent: f64,
    /// Refused, alone.
    pub rejected: f64,
    /// Water that isn't chemical.
    pub discarded: f64,
    /// Deleted by an operator.
    pub deleted: f64,
}

/// Held readings by reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct HeldFor {
    /// No assignment.
    pub no_job: u64,
    /// No position.
    pub no_place: u64,
    /// No time.
    pub no_time: u64,
    /// Its meter has no serial number.
    pub no_serial: u64,
    /// Its second is taken.
    pub time_conflict: u64,
    /// Its row can't be decoded.
    pub unreadable: u64,
    /// The server refuses.
    pub refused: u64,
}

impl Status {
    /// Reads an answer.
    ///
    /// # Errors
    /// Where it isn't JSON, or a number isn't one.
    pub fn read(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// Whether the meter's port is open.
    pub fn meter_open(&self) -> bool {
        self.meter.get("port_open").and_then(Value::as_bool) == Some(true)
    }

    /// What the meter's liquid does: `flowing`, `stopped`, `seeping` or `unknown`.
    pub fn meter_state(&self) -> &str {
        let state = self.meter.get("state").and_then(Value::as_str);
        state.unwrap_or("unknown")
    }
}

impl Balance {
    /// Readings that are still to be sent or settled.
    pub fn backlog(&self) -> u64 {
        self.ready + self.in_doubt
    }

    /// Whether the states add up to what was recorded.
    pub fn adds_up(&self) -> bool {
        let states = [
            self.ready,
            self.held,
            self.in_doubt,
            self.sent,
            self.rejected,
            self.discarded,
            self.deleted,
        ];
        self.recorded == states.iter().sum::<u64>() && self.balanced != Some(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_or_new_does_not_matter() {
        let status = Status::read(
            r#"{"daemon":{"running":true,"pid":7,"since":"now"},"last_seq":17,
                "balance":{"recorded":17,"ready":2,"sent":15,"balanced":true},
                "meter":{"port_open":true,"state":"flowing"},"page":{}}"#,
        )
        .unwrap();
        assert_eq!((status.last_seq, status.balance.backlog()), (Some(17), 2));
        assert!(status.balance.adds_up() && status.meter_open());
        assert_eq!(status.meter_state(), "flowing");
        assert!(!Status::read("{}").unwrap().daemon.running);
        assert!(Status::read("the agent is down").is_err());
    }

    #[test]
    fn a_reading_that_is_in_no_state_does_not_add_up() {
        let status = Status::read(r#"{"balance":{"recorded":3,"ready":2}}"#).unwrap();
        assert!(!status.balance.adds_up());
    }
}
