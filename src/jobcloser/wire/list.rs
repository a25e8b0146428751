//! What `getall` answers, read as leniently as the page leaves it open: only what a
//! record is recognised by. A list is believed whole or not at all: in a list with an
//! element that can't be read, nothing can be called absent.
//!
//! ```text
//! {"Success":true,"Message":"…","Result":[{"Id":"…","MeterSerialNumber":"…",
//!   "ApplicationDate":"2019-05-02T10:16:42-05:00","MeterRawCount":2,"Note":…, …}, …]}
//! ```
//!
//! Doesn't know who asked, nor whether the session was still good.

use std::cell::Cell;
use std::fmt;
use std::io::{self, Read};

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};
use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::answer::{Object, one_line};

/// A record that JobCloser holds. `None` is a field that didn't come back, or came back
/// as something that it can't be.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Stored {
    /// `Id`.
    #[serde(rename = "Id", deserialize_with = "text")]
    pub id: Option<String>,
    /// `EventId`.
    #[serde(rename = "EventId", deserialize_with = "text")]
    pub event: Option<String>,
    /// `JobId`.
    #[serde(rename = "JobId", deserialize_with = "text")]
    pub job: Option<String>,
    /// `MeterSerialNumber`.
    #[serde(rename = "MeterSerialNumber", deserialize_with = "text")]
    pub serial: Option<String>,
    /// `ApplicationDate`.
    #[serde(rename = "ApplicationDate", deserialize_with = "when")]
    pub when: Option<When>,
    /// `MeterRawCount`.
    #[serde(rename = "MeterRawCount", deserialize_with = "integer")]
    pub raw: Option<i64>,
    /// `MeterCalculatedFlowTotal` in gallons, perhaps with its decimals cut.
    #[serde(rename = "MeterCalculatedFlowTotal", deserialize_with = "decimal")]
    pub total_gal: Option<f64>,
    /// `Note`.
    #[serde(rename = "Note", deserialize_with = "text")]
    pub note: Option<String>,
}

/// A date as the server gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum When {
    /// With an offset: an instant, in UTC seconds.
    Instant(i64),
    /// Without one: local time in the rig's zone.
    Local(DateTime),
}

impl When {
    /// Reads ISO 8601 with an offset, with `Z`, or with neither; fractions of a second are
    /// dropped. `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        if let Ok(instant) = text.parse::<Timestamp>() {
            return Some(Self::Instant(instant.as_millisecond().div_euclid(1000)));
        }
        let local = text.parse::<DateTime>().ok()?;
        local.with().subsec_nanosecond(0).build().ok().map(Self::Local)
    }

    /// The second `utc_s` without an offset, for a rig in `zone`; `None` for one that no
    /// calendar has.
    pub fn local(utc_s: i64, zone: &TimeZone) -> Option<Self> {
        Timestamp::from_second(utc_s).ok().map(|t| Self::Local(zone.to_datetime(t)))
    }

    /// Whether this is the second `utc_s`, for a rig in `zone`. A local time that occurs
    /// twice, when the clocks go back, is either of the two.
    pub fn is(self, utc_s: i64, zone: &TimeZone) -> bool {
        match self {
            Self::Instant(s) => s == utc_s,
            Self::Local(local) => {
                Timestamp::from_second(utc_s).is_ok_and(|t| zone.to_datetime(t) == local)
            }
        }
    }
}

impl When {
    /// The seconds that this can be, for a rig in `zone` whose records were written with
    /// `offsets`: those for which [`When::is`] may say yes, and perhaps others.
    pub fn seconds(self, zone: &TimeZone, offsets: impl Iterator<Item = Offset>) -> Vec<i64> {
        let local = match self {
            Self::Instant(s) => return vec![s],
            Self::Local(local) => local,
        };
        let in_zone = match zone.to_ambiguous_timestamp(local).offset() {
            AmbiguousOffset::Unambiguous { offset } => [offset, offset],
            AmbiguousOffset::Gap { before, after } | AmbiguousOffset::Fold { before, after } => {
                [before, after]
            }
        };
        let all = in_zone.into_iter().chain(offsets);
        let mut seconds: Vec<i64> =
            all.filter_map(|o| o.to_timestamp(local).ok()).map(Timestamp::as_second).collect();
        seconds.sort_unstable();
        seconds.dedup();
        seconds
    }
}

/// Why an answer is no list of records.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// Not JSON, or not of the shape.
    #[error("the answer is not a list of records")]
    Unreadable(#[from] serde_json::Error),
    /// `Success` isn't true.
    #[error("the server said no: {0}")]
    Refused(String),
    /// `Result` is null, missing or no array.
    #[error("the answer says success and has no list")]
    NoList,
}

/// Bytes from one record to the next. A longer one is none of ours, and the board's memory
/// is short.
const RECORD_MAX: usize = 1 << 20;

/// Reads the body of a `getall` answer and hands on each record as it comes: a season's list
/// is long, and is never held as a whole. What was handed on counts only once this has
/// returned `Ok`.
///
/// # Errors
///
/// Where it isn't JSON, `Success` isn't true, `Result` isn't an array, or one of its
/// elements isn't an object; where it can't be read to its end.
pub fn read_list(from: impl Read, take: &mut dyn FnMut(Stored)) -> Result<(), ListError> {
    let left = Cell::new(RECORD_MAX);
    let mut json = serde_json::Deserializer::from_reader(Measured { from, left: &left });
    let envelope = Envelope { take, left: &left }.deserialize(&mut json)?;
    json.end()?;
    if !envelope.success {
        let message = envelope.message.map(|m| one_line(&m)).filter(|m| !m.is_empty());
        return Err(ListError::Refused(message.unwrap_or_else(|| "without a message".to_owned())));
    }
    if envelope.array { Ok(()) } else { Err(ListError::NoList) }
}

/// A body with no more than so many bytes between two records.
struct Measured<'a, R> {
    from: R,
    left: &'a Cell<usize>,
}

impl<R: Read> Read for Measured<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(into)?;
        match self.left.get().checked_sub(read) {
            Some(left) => self.left.set(left),
            None => return Err(io::Error::other("a record is too long")),
        }
        Ok(read)
    }
}

#[derive(Default)]
struct Around {
    success: bool,
    message: Option<String>,
    /// Whether `Result` is an array.
    array: bool,
}

/// Reads what is around the records, and hands these on.
struct Envelope<'a> {
    take: &'a mut dyn FnMut(Stored),
    left: &'a Cell<usize>,
}

impl<'de> DeserializeSeed<'de> for Envelope<'_> {
    type Value = Around;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Around, D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Envelope<'_> {
    type Value = Around;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Around, A::Error> {
        let mut around = Around::default();
        let mut seen = [false; 3];
        while let Some(name) = map.next_key::<String>()? {
            let nth = match name.as_str() {
                "Success" => 0,
                "Message" => 1,
                "Result" => 2,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            // Of two lists one would be passed over.
            if seen.get_mut(nth).is_some_and(|seen| std::mem::replace(seen, true)) {
                return Err(A::Error::custom("a name stands twice"));
            }
            match nth {
                0 => around.success = map.next_value::<Value>()? == Value::Bool(true),
                1 => around.message = map.next_value::<Value>()?.as_str().map(str::to_owned),
                _ => {
                    let rows = Rows { take: &mut *self.take, left: self.left };
                    around.array = map.next_value_seed(rows)?;
                }
            }
        }
        Ok(around)
    }
}

/// Hands on the records of a `Result`, and says whether it is an array.
struct Rows<'a> {
    take: &'a mut dyn FnMut(Stored),
    left: &'a Cell<usize>,
}

impl<'de> DeserializeSeed<'de> for Rows<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<bool, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Rows<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of records")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<bool, A::Error> {
        while let Some(Object(row)) = seq.next_element()? {
            (self.take)(row);
            self.left.set(RECORD_MAX);
        }
        Ok(true)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<bool, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(false)
    }

    fn visit_unit<E>(self) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_bool<E>(self, _: bool) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_f64<E>(self, _: f64) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_i64<E>(self, _: i64) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_u64<E>(self, _: u64) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_str<E>(self, _: &str) -> Result<bool, E> {
        Ok(false)
    }
}

/// The records of a whole body.
#[cfg(test)]
pub fn parse_list(body: &[u8]) -> Result<Vec<Stored>, ListError> {
    let mut rows = Vec::new();
    read_list(body, &mut |row| rows.push(row))?;
    Ok(rows)
}

fn text<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    Ok(match Value::deserialize(from)? {
        Value::String(s) => Some(s),
        Value::Number(n) => Some(n.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    })
}

fn when<'de, D: Deserializer<'de>>(from: D) -> Result<Option<When>, D::Error> {
    Ok(text(from)?.and_then(|s| When::parse(s.trim())))
}

fn decimal<'de, D: Deserializer<'de>>(from: D) -> Result<Option<f64>, D::Error> {
    Ok(text(from)?.and_then(|s| s.trim().parse().ok()))
}

fn integer<'de, D: Deserializer<'de>>(from: D) -> Result<Option<i64>, D::Error> {
    Ok(text(from)?.and_then(|s| {
        let s = s.trim();
        s.parse().ok().or_else(|| whole(s.parse().ok()?))
    }))
}

/// A count that came as `1502.0`.
fn whole(value: f64) -> Option<i64> {
    /// 2⁵³: above it an `f64` no longer tells one count from the next.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    (value.fract() == 0.0 && value.abs() < EXACT).then_some(value as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobcloser::wire::zone;
    use proptest::prelude::*;
    use rstest::rstest;

    const EXAMPLE: &str = r#"{"Success": true, "Message": "Sucess", "Result": [{
        "Id": "85542697792b29c083a546475c3250", "EventCompletionId": null,
        "EventId": "5739034294cb31984da90d447dae11", "JobId": "49992697792b29c083a546475c8478",
        "JobItemId": null, "ApplicationDate": "2019-05-02T10:16:42-05:00", "Latitude": "33.5116331",
        "MeterSerialNumber": "AF23265", "MeterRawCount": 2, "MeterCalculatedFlowTotal": 5 }]}"#;

    #[test]
    fn the_pages_own_example_is_read() {
        let list = parse_list(EXAMPLE.as_bytes()).unwrap();
        let expected = Stored {
            id: Some("85542697792b29c083a546475c3250".into()),
            event: Some("5739034294cb31984da90d447dae11".into()),
            job: Some("49992697792b29c083a546475c8478".into()),
            serial: Some("AF23265".into()),
            when: Some(When::Instant(1_556_810_202)),
            raw: Some(2),
            total_gal: Some(5.0),
            note: None,
        };
        assert_eq!(list, [expected]);
    }

    #[test]
    fn numbers_may_come_as_floats_or_strings_and_serials_as_numbers() {
        let body = br#"{"Success":true,"Result":[
            {"MeterRawCount":1502.0,"MeterSerialNumber":23265},
            {"MeterRawCount":"1502","MeterCalculatedFlowTotal":"5.13"},
            {"MeterRawCount":1502.5,"ApplicationDate":"soon","Id":[],"Note":{}}]}"#;
        let list = parse_list(body).unwrap();
        assert_eq!(list[0].raw, Some(1502));
        assert_eq!(list[0].serial.as_deref(), Some("23265"));
        assert_eq!((list[1].raw, list[1].total_gal), (Some(1502), Some(5.13)));
        assert_eq!(list[2], Stored::default());
    }

    #[rstest]
    #[case::html("<html>Sign in</html>")]
    #[case::cut(r#"{"Success":true,"Result":[{"Id":"#)]
    #[case::a_row_that_is_none(r#"{"Success":true,"Result":[{"Id":"a"},null]}"#)]
    #[case::a_row_without_names(r#"{"Success":true,"Result":[["a","b"]]}"#)]
    #[case::bare_array(r#"[{"Id":"a"}]"#)]
    #[case::envelope_without_names(r#"[true,"",[]]"#)]
    #[case::empty("")]
    fn a_list_that_cannot_be_read_whole_is_no_list(#[case] body: &str) {
        assert!(matches!(parse_list(body.as_bytes()), Err(ListError::Unreadable(_))), "{body}");
    }

    #[rstest]
    #[case::said_no(r#"{"Success":false,"Message":"Sign in","Result":null}"#, "Sign in")]
    #[case::no_with_rows(r#"{"Success":false,"Result":[]}"#, "without a message")]
    #[case::not_a_yes(r#"{"Success":"true","Result":[]}"#, "without a message")]
    #[case::no_envelope(r#"{"Result":[]}"#, "without a message")]
    fn without_success_a_list_says_nothing(#[case] body: &str, #[case] message: &str) {
        match parse_list(body.as_bytes()) {
            Err(ListError::Refused(m)) => assert_eq!(m, message),
            other => panic!("{other:?}"),
        }
    }

    #[rstest]
    #[case(r#"{"Success":true,"Result":null}"#)]
    #[case(r#"{"Success":true}"#)]
    #[case(r#"{"Success":true,"Result":{"a":[1]}}"#)]
    #[case(r#"{"Success":true,"Result":"none"}"#)]
    #[case(r#"{"Success":true,"Result":-1}"#)]
    fn success_without_a_list_is_not_an_empty_list(#[case] body: &str) {
        assert!(matches!(parse_list(body.as_bytes()), Err(ListError::NoList)), "{body}");
    }

    #[test]
    fn a_list_that_stands_twice_is_no_list() {
        let twice = br#"{"Success":true,"Result":[{"Id":"a"}],"Result":[]}"#;
        assert!(matches!(parse_list(twice), Err(ListError::Unreadable(_))));
    }

    #[test]
    fn a_record_without_end_does_not_fill_the_memory() {
        let long = format!(r#"{{"Success":true,"Result":[{{"Note":"{}"}}]}}"#, "x".repeat(2 << 20));
        assert!(matches!(parse_list(long.as_bytes()), Err(ListError::Unreadable(_))));
        let row = format!(r#"{{"Note":"{}"}}"#, "x".repeat(900_000));
        let many = format!(r#"{{"Result":[{row},{row},{row}],"Success":true}}"#);
        assert_eq!(parse_list(many.as_bytes()).unwrap().len(), 3);
    }

    #[test]
    fn an_empty_list_is_a_list() {
        assert_eq!(parse_list(br#"{"Success":true,"Result":[]}"#).unwrap(), []);
    }

    #[rstest]
    #[case("2019-05-02T15:16:42Z", true)]
    #[case("2019-05-02T10:16:42-05:00", true)]
    #[case("2019-05-02T10:16:42.97-05:00", true)]
    #[case("2019-05-02T17:16:42+02:00", true)]
    #[case("2019-05-02T10:16:42", true)]
    #[case("2019-05-02T10:16:42.0000000", true)]
    #[case("2019-05-02 10:16:42", true)]
    #[case("2019-05-02T15:16:42", false)]
    #[case("2019-05-02T10:16:42Z", false)]
    #[case("2019-05-02T10:16:43", false)]
    fn dates_are_compared_as_instants_and_local_ones_in_the_rigs_zone(
        #[case] text: &str,
        #[case] same: bool,
    ) {
        let chicago = zone("America/Chicago").unwrap();
        assert_eq!(When::parse(text).unwrap().is(1_556_810_202, &chicago), same);
    }

    #[test]
    fn a_local_time_that_occurs_twice_is_either_second() {
        let chicago = zone("America/Chicago").unwrap();
        // 01:30 on 2026-11-01, first in daylight time and an hour later in standard time.
        let half_past_one = When::parse("2026-11-01T01:30:00").unwrap();
        assert!(half_past_one.is(1_793_514_600, &chicago));
        assert!(half_past_one.is(1_793_518_200, &chicago));
        assert!(!half_past_one.is(1_793_511_000, &chicago));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>, text in "\\PC*") {
            let _ = parse_list(&bytes);
            let _ = When::parse(&text);
        }
    }

    #[test]
    fn every_cut_of_a_good_answer_is_refused() {
        for end in 0..EXAMPLE.len() {
            assert!(parse_list(&EXAMPLE.as_bytes()[..end]).is_err(), "{end}");
        }
    }
}
