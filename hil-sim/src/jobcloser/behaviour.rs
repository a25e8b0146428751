//! How the simulated server behaves where the page leaves it open: what it refuses, how
//! it shapes its answers, how it treats a session. Plain data, from TOML or JSON.
//!
//! Knows no socket and no record; faults, which come and go, are in [`super::fault`].

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Everything the page leaves open, as one set of switches. The defaults are the reading
/// in `jobcloser-notes.md`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Behaviour {
    /// Refuse null where a sensor may be missing (400). Not a violation: the page is
    /// silent about nulls.
    pub refuse_nulls: bool,
    /// What `Result` is after records were stored.
    pub answer: ResultShape,
    /// `ApplicationDate` and `DateCreated` are answered without their offset.
    pub drop_offsets: bool,
    /// Numbers are answered cut to integers, as in the page's `MeterCurrentRate`.
    pub cut_decimals: bool,
    /// Answers have `Note`, `DeviceName` and `CalibrationFactor`; the page's have not.
    pub return_notes: bool,
    /// Dates are answered as the same instant at this offset from UTC, in minutes.
    pub other_zone_offset_min: Option<i32>,
    /// Dates are answered so many minutes later than they were sent.
    pub shift_dates_min: i32,
    /// Null is answered as 0.
    pub nulls_as_zero: bool,
    /// Numbers are answered as text.
    pub numbers_as_text: bool,
    /// `getall` goes by the job alone, whatever event is asked for.
    pub ignore_event_filter: bool,
    /// `getall` answers every record there is, whatever is asked for.
    pub ignore_list_filters: bool,
    /// `getall` answers so many records at most, the first: one page of several.
    pub list_limit: Option<usize>,
    /// Where notes come back, how.
    pub note_as: NoteShape,
    /// Dates are answered with seven decimals of a second.
    pub fractional_seconds: bool,
    /// `delete` is answered with `Success` false, and nothing is deleted.
    pub refuse_delete: bool,
    /// A body of `create` or `createbatch` above this many bytes is answered 413.
    pub max_batch_bytes: Option<u64>,
    /// A batch of more records than this is answered 413.
    pub max_batch_records: Option<usize>,
    /// Key around the array in a batch; empty for a bare array.
    pub body_wrapper: String,
    /// Every call waits this long before anything is done with it, in milliseconds.
    pub latency_ms: u64,
    /// Records that are refused though the page allows them.
    pub poison: Vec<PoisonRule>,
    /// What happens to the rows before a poisoned one.
    pub poison_mode: PoisonMode,
    /// HTTP status of the refusal: 400, 422, or 200 with `Success` false.
    pub poison_status: u16,
    /// How a call without a valid session is answered.
    pub expired_as: ExpiredAs,
    /// Seconds from sign-in to the end of the session; never if unset.
    pub session_lifetime_s: Option<u64>,
    /// Whether calls need a session at all.
    pub require_sign_in: bool,
    /// Every sign-in is refused, with the page's error.
    pub reject_sign_in: bool,
}

/// What `Result` is after records were stored; the page doesn't say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResultShape {
    /// `null`.
    #[default]
    Null,
    /// The new ids, in order; one string for `create`.
    Ids,
    /// The new records as `get` answers them, in order; one object for `create`.
    Objects,
    /// The new ids but for the last one; `null` for `create`.
    TooFew,
}

/// How a note comes back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoteShape {
    /// As sent.
    #[default]
    AsSent,
    /// As text for a page: `#`, `&`, `<`, `>` and quotes as entities.
    Escaped,
    /// In capitals, with blanks around it.
    Padded,
    /// Its first four characters: no id is left.
    Cut,
}

/// What happens to the rows before a poisoned one in a batch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PoisonMode {
    /// Nothing of the batch is stored.
    #[default]
    RejectWhole,
    /// They are stored, then the refusal is answered.
    StoreBefore,
}

/// How a call without a valid session is answered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExpiredAs {
    /// 401.
    #[default]
    Status401,
    /// 403.
    Status403,
    /// 302 to a page that asks for e-mail and password.
    RedirectToLogin,
    /// Reads: 200, `Success` true, `Result` an empty list. Writes: 401.
    EmptyList,
}

/// A record is poisoned if `field` equals `equals`, or is text that has `contains` in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PoisonRule {
    /// Name on the page, such as `MeterRawCount`.
    pub field: String,
    /// The value that is refused; numbers compare as numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub equals: Option<Value>,
    /// The text whose presence is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contains: Option<String>,
    /// `Message` of the refusal; "The value of FIELD is not valid" by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            refuse_nulls: false,
            answer: ResultShape::default(),
            drop_offsets: false,
            cut_decimals: false,
            return_notes: false,
            other_zone_offset_min: None,
            shift_dates_min: 0,
            nulls_as_zero: false,
            numbers_as_text: false,
            ignore_event_filter: false,
            ignore_list_filters: false,
            list_limit: None,
            note_as: NoteShape::default(),
            fractional_seconds: false,
            refuse_delete: false,
            max_batch_bytes: None,
            max_batch_records: None,
            body_wrapper: String::new(),
            latency_ms: 0,
            poison: Vec::new(),
            poison_mode: PoisonMode::default(),
            poison_status: 400,
            expired_as: ExpiredAs::default(),
            session_lifetime_s: None,
            require_sign_in: true,
            reject_sign_in: false,
        }
    }
}

impl Behaviour {
    /// The first poisoned record and the message that refuses it.
    pub fn first_poisoned(&self, records: &[Map<String, Value>]) -> Option<(usize, String)> {
        records.iter().enumerate().find_map(|(row, record)| {
            let rule = self.poison.iter().find(|rule| rule.hits(record))?;
            Some((row, rule.message()))
        })
    }

    /// These switches with the given ones turned over; the others stay.
    ///
    /// # Errors
    /// If a key is unknown or its value has the wrong type.
    pub fn with(&self, changes: &Map<String, Value>) -> Result<Self, serde_json::Error> {
        let mut all = serde_json::to_value(self)?;
        if let Some(switches) = all.as_object_mut() {
            switches.extend(changes.clone());
        }
        serde_json::from_value(all)
    }
}

impl NoteShape {
    /// What is shown of a note.
    pub fn shows(self, note: &str) -> String {
        match self {
            Self::AsSent => note.to_owned(),
            Self::Escaped => note
                .replace('&', "&amp;")
                .replace('#', "&#35;")
                .replace('<', "&lt;")
                .replace('>', "&gt;")
                .replace('"', "&quot;"),
            Self::Padded => format!("  {} ", note.to_uppercase()),
            Self::Cut => note.chars().take(4).collect(),
        }
    }
}

impl PoisonRule {
    /// Whether the record is one that this rule refuses.
    pub fn hits(&self, record: &Map<String, Value>) -> bool {
        let Some(value) = record.get(&self.field) else {
            return false;
        };
        let equal = self.equals.as_ref().is_some_and(|bad| same(value, bad));
        let contained = match (&self.contains, value) {
            (Some(part), Value::String(text)) => text.contains(part),
            _ => false,
        };
        equal || contained
    }

    fn message(&self) -> String {
        match &self.message {
            Some(message) => message.clone(),
            None => format!("The value of {} is not valid", self.field),
        }
    }
}

/// JSON has one kind of number: 4711 and 4711.0 are the same.
fn same(a: &Value, b: &Value) -> bool {
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => a == b,
        _ => a == b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn record(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn a_scenario_names_only_what_it_changes() {
        let behaviour: Behaviour = toml::from_str(
            r#"
            answer = "too_few"
            expired_as = "empty_list"
            poison = [{ field = "MeterRawCount", equals = 4711 }, { field = "Note", contains = "bad" }]
            poison_mode = "store_before"
            "#,
        )
        .unwrap();
        assert_eq!(behaviour.answer, ResultShape::TooFew);
        assert_eq!(behaviour.expired_as, ExpiredAs::EmptyList);
        assert_eq!(behaviour.poison_status, 400);
        assert!(behaviour.require_sign_in);
        let records = [
            record(json!({"MeterRawCount": 1, "Note": "good"})),
            record(json!({"MeterRawCount": 4711.0, "Note": "good"})),
            record(json!({"MeterRawCount": 2, "Note": "a bad one"})),
        ];
        assert_eq!(behaviour.first_poisoned(&records[..1]), None);
        let (row, message) = behaviour.first_poisoned(&records).unwrap();
        assert_eq!((row, message.contains("MeterRawCount")), (1, true));
        assert_eq!(behaviour.first_poisoned(&records[2..]).unwrap().0, 0);
    }

    #[test]
    fn a_misspelt_switch_is_refused() {
        assert!(toml::from_str::<Behaviour>("refuse_null = true").is_err());
    }

    #[test]
    fn a_change_leaves_the_other_switches() {
        let first = Behaviour { drop_offsets: true, ..Behaviour::default() };
        let then = first.with(&record(json!({"cut_decimals": true}))).unwrap();
        assert!(then.drop_offsets && then.cut_decimals);
        assert!(first.with(&record(json!({"cut_decimal": true}))).is_err());
    }
}
