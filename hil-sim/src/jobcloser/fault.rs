//! Faults that are armed for the calls to come, and the queue they wait in. Pure: what a
//! fault does to a connection is in [`super::door`].
//!
//! ```json
//! {"fault": "status", "code": 503, "retry_after": "2", "path": "createbatch", "times": 3}
//! ```
//!
//! A fault *at the door* strikes before the call is looked at, signed in or not. A fault
//! *after the work* strikes once a call has succeeded; one that is refused (no session, a
//! violation, poison) leaves it armed, so that "stored, and the answer lost" always means
//! that something was stored.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::call::Call;

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fault", rename_all = "snake_case")]
pub enum Fault {
    /// At the door: this HTTP status, as a gateway sends it. Nothing is stored.
    Status {
        /// HTTP status.
        code: u16,
        /// `Retry-After`, as sent: seconds or an HTTP date.
        #[serde(default)]
        retry_after: Option<String>,
    },
    /// After the work: this HTTP status instead of the answer.
    StatusAfterStoring {
        /// HTTP status.
        code: u16,
    },
    /// At the door: 200, JSON, `Success` false. Nothing is stored.
    SuccessFalse {
        /// `Message` of the answer.
        message: String,
    },
    /// At the door: 200 and a captive portal's page. Nothing is stored.
    Html,
    /// At the door: 302. Nothing is stored.
    Redirect {
        /// `Location`.
        to: String,
    },
    /// At the door: every session ends, and the call is answered as
    /// [`ExpiredAs`](super::ExpiredAs) says.
    ExpireSession,
    /// After the work: the connection is closed with no answer.
    StoreAndDrop,
    /// At the door: the body is read, the connection closed with no answer. Nothing is
    /// stored.
    DropBeforeStoring,
    /// After the work: the answer comes so much later.
    StoreAndHang {
        /// Milliseconds.
        ms: u64,
    },
    /// At the door: nothing happens for so long; then the call is handled as usual, unless
    /// the client has hung up, in which case nothing is ever stored.
    Hang {
        /// Milliseconds.
        ms: u64,
    },
    /// After the work: the connection is closed with no answer, and the records are stored
    /// so much later.
    StoreLate {
        /// Milliseconds.
        ms: u64,
    },
    /// After the work: 200 and `application/json`, but only the first half of it. What was
    /// sent is stored.
    Garbage,
    /// After the work: 200, `application/json` and the whole length, but the connection is
    /// closed in the middle of it. What was sent is stored.
    CutBody,
    /// After the work: `Success` true as if all were well, but one record of the batch
    /// isn't stored.
    DropRow {
        /// Place in the batch, from 0; a batch that is shorter leaves the fault armed.
        index: usize,
    },
}

/// How often a fault strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "TimesText", into = "TimesText")]
pub enum Times {
    /// The next so many matching calls; written as a number.
    Next(u32),
    /// Every matching call until faults are cleared; written `"until_cleared"`.
    UntilCleared,
}

/// Which calls a fault strikes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Target {
    /// `createbatch` and POST `create`.
    #[default]
    Store,
    /// Every call of the API.
    Any,
    /// `signin`
    SignIn,
    /// `createbatch`
    CreateBatch,
    /// POST `create`
    Create,
    /// PUT `create`
    Edit,
    /// `getall`
    GetAll,
    /// `get`
    Get,
    /// `delete`
    Delete,
}

/// A fault with the calls it strikes and how often: what a scenario or the control
/// endpoint says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Map<String, Value>")]
pub struct FaultOrder {
    /// What goes wrong.
    #[serde(flatten)]
    pub fault: Fault,
    /// To which calls; to those that store by default.
    pub path: Target,
    /// How often; the next call alone by default.
    pub times: Times,
}

/// The faults that are armed, in the order they were ordered.
#[derive(Debug, Default)]
pub struct Armed {
    orders: VecDeque<FaultOrder>,
}

#[derive(Deserialize)]
struct OrderText {
    #[serde(flatten)]
    fault: Fault,
    #[serde(default)]
    path: Target,
    #[serde(default)]
    times: Times,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum TimesText {
    Number(u32),
    Word(TimesWord),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum TimesWord {
    UntilCleared,
}

impl Default for Times {
    fn default() -> Self {
        Self::Next(1)
    }
}

impl From<TimesText> for Times {
    fn from(text: TimesText) -> Self {
        match text {
            TimesText::Number(count) => Self::Next(count),
            TimesText::Word(TimesWord::UntilCleared) => Self::UntilCleared,
        }
    }
}

impl From<Times> for TimesText {
    fn from(times: Times) -> Self {
        match times {
            Times::Next(count) => Self::Number(count),
            Times::UntilCleared => Self::Word(TimesWord::UntilCleared),
        }
    }
}

impl TryFrom<Map<String, Value>> for FaultOrder {
    type Error = serde_json::Error;

    /// A key that this fault doesn't have is an error, which serde can't find by itself
    /// in a flattened enum.
    fn try_from(keys: Map<String, Value>) -> Result<Self, Self::Error> {
        let names: Vec<String> = keys.keys().cloned().collect();
        let OrderText { fault, path, times } = serde_json::from_value(Value::Object(keys))?;
        let order = Self { fault, path, times };
        let known = serde_json::to_value(&order)?;
        match names.iter().find(|name| known.get(name.as_str()).is_none()) {
            Some(name) => Err(serde::de::Error::custom(format!("unknown key `{name}`"))),
            None => Ok(order),
        }
    }
}

impl Fault {
    /// Whether it strikes before the call is looked at.
    pub fn at_the_door(&self) -> bool {
        match self {
            Self::Status { .. }
            | Self::SuccessFalse { .. }
            | Self::Html
            | Self::Redirect { .. }
            | Self::ExpireSession
            | Self::DropBeforeStoring
            | Self::Hang { .. } => true,
            Self::StatusAfterStoring { .. }
            | Self::StoreAndDrop
            | Self::StoreAndHang { .. }
            | Self::StoreLate { .. }
            | Self::Garbage
            | Self::CutBody
            | Self::DropRow { .. } => false,
        }
    }
}

impl Target {
    fn takes(self, call: Call) -> bool {
        match self {
            Self::Any => true,
            Self::Store => matches!(call, Call::Create | Call::CreateBatch),
            Self::SignIn => call == Call::SignIn,
            Self::CreateBatch => call == Call::CreateBatch,
            Self::Create => call == Call::Create,
            Self::Edit => call == Call::Edit,
            Self::GetAll => call == Call::GetAll,
            Self::Get => call == Call::Get,
            Self::Delete => call == Call::Delete,
        }
    }
}

impl Armed {
    /// Arms one more, behind those that already match the same calls.
    pub fn arm(&mut self, order: FaultOrder) {
        if order.times != Times::Next(0) {
            self.orders.push_back(order);
        }
    }

    /// Disarms all.
    pub fn clear(&mut self) {
        self.orders.clear();
    }

    /// The fault that strikes `call` before it is looked at, if the oldest that matches is
    /// such a one.
    pub fn take_at_the_door(&mut self, call: Call) -> Option<Fault> {
        let at = self.oldest(call)?;
        if !self.orders.get(at)?.fault.at_the_door() {
            return None;
        }
        self.take(at)
    }

    /// The fault that strikes `call` now that it has succeeded with so many records to
    /// store.
    pub fn take_after_the_work(&mut self, call: Call, rows: usize) -> Option<Fault> {
        let at = self.oldest(call)?;
        match self.orders.get(at)?.fault {
            Fault::DropRow { index } if index >= rows => None,
            ref fault if fault.at_the_door() => None,
            _ => self.take(at),
        }
    }

    fn oldest(&self, call: Call) -> Option<usize> {
        self.orders.iter().position(|order| order.path.takes(call))
    }

    fn take(&mut self, at: usize) -> Option<Fault> {
        let order = self.orders.get_mut(at)?;
        match &mut order.times {
            Times::UntilCleared => Some(order.fault.clone()),
            Times::Next(left) if *left > 1 => {
                *left -= 1;
                Some(order.fault.clone())
            }
            Times::Next(_) => self.orders.remove(at).map(|order| order.fault),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(json: &str) -> FaultOrder {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn an_order_reads_from_json_and_toml() {
        assert_eq!(
            order(r#"{"fault": "status", "code": 503, "times": "until_cleared", "path": "any"}"#),
            FaultOrder {
                fault: Fault::Status { code: 503, retry_after: None },
                path: Target::Any,
                times: Times::UntilCleared,
            }
        );
        let dropped: FaultOrder = toml::from_str("fault = \"store_and_drop\"\ntimes = 2").unwrap();
        assert_eq!(dropped.fault, Fault::StoreAndDrop);
        assert_eq!((dropped.path, dropped.times), (Target::Store, Times::Next(2)));
        let text = serde_json::to_string(&dropped).unwrap();
        assert_eq!(order(&text), dropped);
    }

    #[test]
    fn a_key_that_the_fault_does_not_have_is_refused() {
        for wrong in [
            r#"{"fault": "html", "time": 2}"#,
            r#"{"fault": "html", "code": 503}"#,
            r#"{"fault": "status"}"#,
            r#"{"fault": "html", "path": "putall"}"#,
            r#"{"fault": "html", "times": "often"}"#,
        ] {
            assert!(serde_json::from_str::<FaultOrder>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_fault_strikes_as_often_as_ordered_and_only_what_it_names() {
        let mut armed = Armed::default();
        armed.arm(order(r#"{"fault": "html", "times": 2, "path": "getall"}"#));
        assert_eq!(armed.take_at_the_door(Call::CreateBatch), None);
        assert_eq!(armed.take_at_the_door(Call::GetAll), Some(Fault::Html));
        assert_eq!(armed.take_at_the_door(Call::GetAll), Some(Fault::Html));
        assert_eq!(armed.take_at_the_door(Call::GetAll), None);
    }

    #[test]
    fn faults_strike_in_the_order_they_were_armed() {
        let mut armed = Armed::default();
        armed.arm(order(r#"{"fault": "store_and_drop"}"#));
        armed.arm(order(r#"{"fault": "html", "times": "until_cleared"}"#));
        assert_eq!(armed.take_at_the_door(Call::CreateBatch), None);
        assert_eq!(armed.take_after_the_work(Call::CreateBatch, 1), Some(Fault::StoreAndDrop));
        assert_eq!(armed.take_after_the_work(Call::CreateBatch, 1), None);
        for _ in 0..3 {
            assert_eq!(armed.take_at_the_door(Call::Create), Some(Fault::Html));
        }
        armed.clear();
        assert_eq!(armed.take_at_the_door(Call::Create), None);
    }

    #[test]
    fn a_row_to_drop_waits_for_a_batch_that_has_it() {
        let mut armed = Armed::default();
        armed.arm(order(r#"{"fault": "drop_row", "index": 3}"#));
        assert_eq!(armed.take_after_the_work(Call::CreateBatch, 3), None);
        assert_eq!(
            armed.take_after_the_work(Call::CreateBatch, 4),
            Some(Fault::DropRow { index: 3 })
        );
    }

    #[test]
    fn no_times_is_no_fault() {
        let mut armed = Armed::default();
        armed.arm(order(r#"{"fault": "html", "times": 0}"#));
        assert_eq!(armed.take_at_the_door(Call::CreateBatch), None);
    }
}
