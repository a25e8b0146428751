//! The test record (canary) and what its coming back shows. Pure: what is sent, which
//! record of a list it is, and field by field what became of it.
//!
//! ```text
//! canary-3f9a02c7 test record of spraylog, to be deleted
//! ```
//!
//! Its note has no `#`, so it is never taken for a reading's ([`crate::jobcloser::note`]);
//! its meter is none that anybody has, so its key is nobody's either; it is zero gallons.
//! It is no reading: no row, no number, no share in the balance.

mod compare;

pub use compare::{Facts, compare, learn};

use jiff::tz::TimeZone;
use serde_json::{Map, Value};

use crate::config::StandIn;
use crate::jobcloser::verdict::Exchange;
use crate::jobcloser::wire::{self, Outgoing};
use crate::learnt::Order;
use crate::reading::Place;

/// `MeterSerialNumber` of every test record.
pub const SERIAL: &str = "SPRAYLOG-CANARY";
/// `MeterRawCount` and `MeterRawCountsToZero`: nothing flowed.
const COUNT: u64 = 1_234_567;
/// Gallons a minute, for its decimals.
const RATE_GPM: f64 = 0.25;
/// Counts a gallon, for its decimals.
const K: f64 = 123.456;
/// In place of null, where that is refused: °F, °F, percent, minutes.
const SENSORS: [f64; 4] = [70.5, 71.5, 50.0, 60.0];

/// A record of a list, as it came.
pub type Row = Map<String, Value>;

/// What a test record is written with.
#[derive(Debug, Clone)]
pub struct Setting {
    /// `DeviceName`.
    pub device_name: String,
    /// The rig's zone.
    pub zone: TimeZone,
    /// The operator's values instead of null.
    pub stand_in: StandIn,
    /// Where.
    pub place: Place,
    /// When, in UTC seconds.
    pub utc_s: i64,
}

/// A test record.
#[derive(Debug, Clone, PartialEq)]
pub struct Canary {
    record: Outgoing,
    utc_s: i64,
    offset_min: i32,
}

impl Canary {
    /// One for that job; `bits`, at random, tell it from every other. `None` for a time
    /// that has no date.
    pub fn new(order: &Order, setting: &Setting, bits: u32) -> Option<Self> {
        let utc_s = setting.utc_s;
        let offset_min = wire::offset_minutes(&setting.zone, utc_s)?;
        let stand_in = &setting.stand_in;
        let record = Outgoing {
            event: order.event.clone(),
            job: order.job.clone(),
            item: None,
            product: None,
            application_date: wire::application_date(utc_s, offset_min)?,
            place: setting.place,
            serial: SERIAL.to_owned(),
            raw: COUNT,
            rate_gpm: Some(RATE_GPM),
            total_gal: 0.0,
            zero: COUNT,
            fluid_f: stand_in.fluid_f,
            ambient_f: stand_in.ambient_f,
            battery_percent: stand_in.battery_percent,
            runtime_min: stand_in.runtime_min,
            note: note(bits),
            device_name: setting.device_name.clone(),
            k: K,
        };
        Some(Self { record, utc_s, offset_min })
    }

    /// The same without a null, under a name of its own.
    pub fn without_nulls(&self, bits: u32) -> Self {
        let [fluid, ambient, battery, runtime] = SENSORS;
        let old = &self.record;
        let record = Outgoing {
            fluid_f: old.fluid_f.or(Some(fluid)),
            ambient_f: old.ambient_f.or(Some(ambient)),
            battery_percent: old.battery_percent.or(Some(battery)),
            runtime_min: old.runtime_min.or(Some(runtime)),
            note: note(bits),
            ..old.clone()
        };
        Self { record, ..*self }
    }

    /// Whether a sensor is null in it.
    pub fn has_nulls(&self) -> bool {
        let r = &self.record;
        [r.fluid_f, r.ambient_f, r.battery_percent, r.runtime_min].iter().any(Option::is_none)
    }

    /// Its note.
    pub fn note(&self) -> &str {
        &self.record.note
    }

    /// Its bytes, as any record's.
    pub fn bytes(&self) -> Vec<u8> {
        wire::encode(&self.record)
    }

    /// The record that is this one: by its name, or as a test record that wasn't there
    /// `before`. What another rig sent meanwhile has another name, where names come back.
    pub fn find<'a>(&self, rows: &'a [Row], before: &[Row]) -> Option<&'a Row> {
        let name = self.note().split(' ').next().unwrap_or_default();
        let named = |row: &Row| text(row, "Note").map(|note| note.contains(name));
        rows.iter().find(|row| named(row) == Some(true)).or_else(|| {
            let new = |row: &Row| {
                id(row).is_some_and(|id| !before.iter().any(|old| self::id(old) == Some(id)))
            };
            rows.iter().find(|row| is_canary(row) && named(row).is_none() && new(row))
        })
    }
}

/// Whether a record is a test record, anybody's.
pub fn is_canary(row: &Row) -> bool {
    text(row, "MeterSerialNumber").is_some_and(|s| s.trim().eq_ignore_ascii_case(SERIAL))
}

/// `Id` of a record.
pub fn id(row: &Row) -> Option<&str> {
    text(row, "Id").filter(|id| !id.is_empty())
}

/// The records in an answer to `getall`, whole, if it can be believed: 2xx, JSON,
/// `Success` true and an array of objects.
///
/// # Errors
/// Says why it can't, in words for an operator.
pub fn rows(exchange: &Exchange) -> Result<Vec<Row>, String> {
    let no_list = || "the answer is no list of records".to_owned();
    match result(exchange)? {
        Value::Array(rows) => rows
            .into_iter()
            .map(|row| match row {
                Value::Object(row) => Ok(row),
                _ => Err(no_list()),
            })
            .collect(),
        _ => Err(no_list()),
    }
}

/// `Result` of an answer that says success.
///
/// # Errors
/// Says what it says instead, in words for an operator.
pub fn result(exchange: &Exchange) -> Result<Value, String> {
    let answer = match exchange {
        Exchange::NotSent(why, _) => return Err(why.to_string()),
        Exchange::Lost(how) => return Err(how.to_string()),
        Exchange::Answered(answer) => answer,
    };
    let said = answer.json.then(|| wire::parse_answer(&answer.body)).flatten();
    let message = said.as_ref().and_then(|said| said.message.clone()).unwrap_or_default();
    match (answer.status, said.and_then(|said| said.success)) {
        (200..=299, Some(true)) => match serde_json::from_slice(&answer.body) {
            Ok(Value::Object(mut whole)) => Ok(whole.remove("Result").unwrap_or_default()),
            Ok(_) | Err(_) => Err("the answer can't be read".to_owned()),
        },
        (200..=299, Some(false)) => Err(format!("JobCloser says \"{message}\"")),
        (200..=299, None) => Err("the answer is none of JobCloser's".to_owned()),
        (status, _) if message.is_empty() => Err(format!("HTTP {status}")),
        (status, _) => Err(format!("HTTP {status}, \"{message}\"")),
    }
}

fn note(bits: u32) -> String {
    format!("canary-{bits:08x} test record of spraylog, to be deleted")
}

fn text<'a>(row: &'a Row, name: &str) -> Option<&'a str> {
    row.get(name).and_then(Value::as_str)
}

#[cfg(test)]
mod tests;
