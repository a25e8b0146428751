//! A test record field by field, as it was sent and as it came back, and what that shows
//! of the server. Pure.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};
use serde_json::Value;

use super::{Canary, Row};
use crate::jobcloser::wire::When;
use crate::learnt::{Came, Dates, Decimals, Field, Learnt, Nulls};

/// The date, which has rules of its own.
const DATE: &str = "ApplicationDate";
/// Those that are sent as text and are numbers.
const DEGREES: [&str; 2] = ["Latitude", "Longitude"];
/// Most decimals that are ever sent.
const DECIMALS_MAX: i32 = 7;

/// What was seen of the server beside the record itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// When, RFC 3339 in UTC.
    pub at: String,
    /// Which server.
    pub base_url: String,
    /// The answer to the batch told an id.
    pub ids: bool,
    /// A question for another event left the record out; `None` without an answer.
    pub event_filter: Option<bool>,
    /// A question without an event had it; `None` without an answer.
    pub by_job_alone: Option<bool>,
    /// It was deleted.
    pub deletes: bool,
}

/// Every field that was sent, and what became of it.
pub fn compare(canary: &Canary, row: &Row) -> Vec<Field> {
    // What we wrote ourselves is an object.
    let sent: Row = serde_json::from_slice(&canary.bytes()).unwrap_or_default();
    let compared = sent.into_iter().map(|(name, sent)| {
        let got = row.get(&name).cloned();
        let came = match name.as_str() {
            DATE => match (dates(canary, got.as_ref()), sent == got.clone().unwrap_or_default()) {
                (_, true) => Came::Same,
                (Dates::Unreadable, _) if got.is_none() => Came::Missing,
                (Dates::Shifted(_) | Dates::Unreadable, _) => Came::Changed,
                _ => Came::OtherForm,
            },
            name => came(&sent, got.as_ref(), DEGREES.contains(&name)),
        };
        Field { name, sent, got, came }
    });
    compared.collect()
}

/// What the fields and the rest show of the server.
pub fn learn(canary: &Canary, fields: &[Field], facts: Facts) -> Learnt {
    let back = |name: &str| {
        let field = fields.iter().find(|field| field.name == name);
        field.is_some_and(|f| matches!(f.came, Came::Same | Came::OtherForm | Came::Cut))
    };
    let date = fields.iter().find(|field| field.name == DATE);
    let Facts { at, base_url, ids, event_filter, by_job_alone, deletes } = facts;
    Learnt {
        at,
        base_url,
        ids,
        notes: back("Note"),
        device_name: back("DeviceName"),
        calibration_factor: back("CalibrationFactor"),
        dates: dates(canary, date.and_then(|field| field.got.as_ref())),
        decimals: decimals(fields),
        nulls: nulls(fields),
        numbers_as_text: fields.iter().any(|f| {
            f.sent.is_number() && f.came != Came::Missing && matches!(f.got, Some(Value::String(_)))
        }),
        event_filter,
        by_job_alone,
        deletes,
    }
}

fn came(sent: &Value, got: Option<&Value>, degrees: bool) -> Came {
    let Some(got) = got else { return Came::Missing };
    if sent == got {
        return Came::Same;
    }
    if got.is_null() {
        return Came::Missing;
    }
    if sent.is_number() || degrees {
        return match (number(sent), number(got)) {
            // A number as text is another form; 5 and 5.0 are not.
            (Some(a), Some(b)) if a == b && sent.is_number() == got.is_number() && !degrees => {
                Came::Same
            }
            (Some(a), Some(b)) if a == b => Came::OtherForm,
            (Some(a), Some(b)) if is_cut(a, b) => Came::Cut,
            _ => Came::Changed,
        };
    }
    match (sent.as_str(), got.as_str()) {
        (Some(a), Some(b)) if a.trim().eq_ignore_ascii_case(b.trim()) => Came::OtherForm,
        _ => Came::Changed,
    }
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::String(text) => text.trim().parse().ok().filter(|n: &f64| n.is_finite()),
        value => value.as_f64(),
    }
}

/// Whether `got` is `sent` with fewer decimals, cut or rounded.
fn is_cut(sent: f64, got: f64) -> bool {
    (0..DECIMALS_MAX).any(|decimals| {
        let scale = 10_f64.powi(decimals);
        let fits = |n: f64| (n / scale - got).abs() < 1e-9;
        fits((sent * scale).trunc()) || fits((sent * scale).round())
    })
}

fn dates(canary: &Canary, got: Option<&Value>) -> Dates {
    let Some(text) = got.and_then(Value::as_str) else { return Dates::Unreadable };
    let offset = Offset::from_seconds(canary.offset_min.saturating_mul(60)).unwrap_or(Offset::UTC);
    let local = TimeZone::fixed(offset);
    match When::parse(text) {
        Some(When::Instant(utc_s)) if utc_s == canary.utc_s => {
            // The local time is the same only where the offset is.
            let as_sent = text.get(..19) == canary.record.application_date.get(..19);
            if as_sent { Dates::AsSent } else { Dates::OtherOffset }
        }
        Some(When::Instant(utc_s)) => Dates::Shifted(minutes(utc_s - canary.utc_s)),
        Some(when @ When::Local(_)) if when.is(canary.utc_s, &local) => Dates::LocalWithoutOffset,
        Some(when @ When::Local(_)) if when.is(canary.utc_s, &TimeZone::UTC) => {
            Dates::UtcWithoutOffset
        }
        Some(When::Local(shown)) => match ours(canary, &local) {
            Some(sent) => Dates::Shifted(minutes(shown.duration_since(sent).as_secs())),
            None => Dates::Unreadable,
        },
        None => Dates::Unreadable,
    }
}

fn ours(canary: &Canary, zone: &TimeZone) -> Option<DateTime> {
    Timestamp::from_second(canary.utc_s).ok().map(|t| zone.to_datetime(t))
}

/// The nearest whole minutes; less than half a minute is one, since it is no other time.
fn minutes(seconds: i64) -> i64 {
    let rounded = (seconds + 30).div_euclid(60);
    if rounded == 0 { seconds.signum() } else { rounded }
}

fn decimals(fields: &[Field]) -> Decimals {
    let with = |f: &&Field| f.sent.as_f64().is_some_and(|n| n.fract() != 0.0);
    let mut found = Decimals::Unknown;
    for field in fields.iter().filter(with) {
        match field.came {
            Came::Cut => return Decimals::Cut,
            Came::Same | Came::OtherForm => found = Decimals::Kept,
            Came::Missing | Came::Changed => {}
        }
    }
    found
}

fn nulls(fields: &[Field]) -> Nulls {
    let mut found = Nulls::NotTried;
    for field in fields.iter().filter(|f| f.sent.is_null()) {
        found = match field.got.as_ref() {
            None | Some(Value::Null) if found == Nulls::NotTried => Nulls::Kept,
            None | Some(Value::Null) => found,
            Some(got) if number(got) == Some(0.0) && found != Nulls::Changed => Nulls::Zero,
            Some(_) => Nulls::Changed,
        };
    }
    found
}
