//! What a test record (a canary) has shown of the server: the words in which it is asked
//! for, told and kept. Plain data; knows neither the server nor the queue.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::reading::Place;

/// A test record that an operator asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// `EventId`.
    pub event: String,
    /// `JobId`.
    pub job: String,
    /// Where, if the operator says so; else where the receiver has a fix now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Place>,
}

/// Where the rig is, asked when it is needed: an order may wait for a batch, and a place of
/// before that wait is an old one.
pub type Here = Box<dyn Fn() -> Option<Place> + Send + Sync>;

/// How a test record ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// Stored, and read back.
    ReadBack,
    /// Nothing left this board, or nothing was to.
    NotSent,
    /// The server refused it, and doesn't have it.
    Refused,
    /// It may be stored.
    Unclear,
}

/// What became of a test record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Told {
    /// How it ended.
    pub ended: Ended,
    /// The same in words, with what to do.
    pub said: String,
    /// Its note, once it was sent.
    pub note: Option<String>,
    /// `Id` at JobCloser, where known.
    pub id: Option<String>,
    /// Whether it is, or may be, at JobCloser yet.
    pub left: bool,
    /// Field by field, what came back.
    pub fields: Vec<Field>,
    /// What it has shown.
    pub learnt: Option<Learnt>,
    /// What else there is to say.
    pub remarks: Vec<String>,
}

/// A field as it was sent and as it came back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Field {
    /// Its name on the page.
    pub name: String,
    /// As sent.
    pub sent: Value,
    /// As it came back; `None` where it didn't.
    pub got: Option<Value>,
    /// The two compared.
    pub came: Came,
}

/// How a field came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Came {
    /// As sent.
    Same,
    /// The same value, written otherwise: a number as text, another offset, another case.
    OtherForm,
    /// Not at all, or null for a value.
    Missing,
    /// With fewer decimals.
    Cut,
    /// As another value.
    Changed,
}

/// What the server does with what it is sent, as of one test record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Learnt {
    /// When, RFC 3339 in UTC.
    pub at: String,
    /// Of which server: another `jobcloser.base_url` makes it void.
    pub base_url: String,
    /// Whether the answer to a batch tells the new ids.
    pub ids: bool,
    /// Whether `Note` comes back.
    pub notes: bool,
    /// Whether `DeviceName` comes back.
    pub device_name: bool,
    /// Whether `CalibrationFactor` comes back.
    pub calibration_factor: bool,
    /// How `ApplicationDate` comes back.
    pub dates: Dates,
    /// What becomes of decimals.
    pub decimals: Decimals,
    /// What becomes of null where there is no sensor.
    pub nulls: Nulls,
    /// Whether numbers come back as text.
    pub numbers_as_text: bool,
    /// Whether `getall` with another event leaves the record out; `None` where that wasn't
    /// answered.
    pub event_filter: Option<bool>,
    /// Whether `getall` without an event has it too; `None` where that wasn't answered.
    pub by_job_alone: Option<bool>,
    /// Whether it could be deleted.
    pub deletes: bool,
}

/// How `ApplicationDate` comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dates {
    /// Letter by letter, or the same offset in another spelling.
    AsSent,
    /// The same instant at another offset.
    OtherOffset,
    /// Local time, without an offset.
    LocalWithoutOffset,
    /// UTC, without an offset.
    UtcWithoutOffset,
    /// Another time, so many minutes later.
    Shifted(i64),
    /// Not at all, or as no date.
    Unreadable,
}

/// What becomes of decimals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decimals {
    /// They come back.
    Kept,
    /// They are cut, of one field at least.
    Cut,
    /// No number with decimals came back.
    Unknown,
}

/// What becomes of null.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Nulls {
    /// It comes back as null, or is left out.
    Kept,
    /// It comes back as 0.
    Zero,
    /// It comes back as something else.
    Changed,
    /// A record with nulls is refused, and the same without them is taken.
    Refused,
    /// Every sensor has a stand-in, so that none was sent.
    NotTried,
}

impl Learnt {
    /// Whether a date without offset means UTC.
    pub fn plain_dates_are_utc(&self) -> bool {
        self.dates == Dates::UtcWithoutOffset
    }

    /// What an operator should know of it, with the setting that it concerns.
    pub fn remarks(&self) -> Vec<String> {
        let mut said = Vec::new();
        let mut say = |is: bool, text: &str| {
            if is {
                said.push(text.to_owned());
            }
        };
        say(
            self.nulls == Nulls::Refused,
            "null is refused: set [record.stand_in] for every sensor that the meter lacks, then test again",
        );
        say(
            self.nulls == Nulls::Zero,
            "null comes back as 0: JobCloser shows a sensor that isn't there as 0",
        );
        say(self.nulls == Nulls::Changed, "null comes back as something else");
        say(self.decimals == Decimals::Cut, "decimals are cut: counts and K are what survives");
        say(!self.notes, "notes don't come back: records are recognised by meter, time and count");
        say(
            self.dates == Dates::UtcWithoutOffset,
            "dates come back in UTC without offset, and are read so",
        );
        say(
            self.dates == Dates::LocalWithoutOffset,
            "dates come back in local time without offset: device.timezone must stay as it is",
        );
        say(
            self.dates == Dates::Unreadable && !self.notes,
            "dates can't be read back: what is in doubt can't be settled",
        );
        say(
            self.event_filter == Some(false),
            "the list of one event has other events' records too",
        );
        say(!self.deletes, "records can't be deleted");
        if let Dates::Shifted(minutes) = self.dates {
            said.push(format!(
                "dates come back {minutes} min off: check device.timezone, and JobCloser's settings"
            ));
        }
        said
    }
}
