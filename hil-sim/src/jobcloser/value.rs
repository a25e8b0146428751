//! Whether a single value looks as the page wants it. Pure.
//!
//! Knows nothing of the calls and their parameters.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;
use serde_json::Value;

use super::page::{DECIMALS, Kind, NOTE_CHARS};

/// Whether a value is of that kind.
///
/// # Errors
/// What is wrong with it, to follow the field's name.
pub fn holds(kind: Kind, value: &Value) -> Result<(), &'static str> {
    let text = value.as_str();
    let (good, wrong) = match kind {
        Kind::Id => (text.is_some_and(is_id), "isn't 30 hexadecimal digits"),
        Kind::IdOrNull => {
            (value.is_null() || text.is_some_and(is_id), "isn't 30 hexadecimal digits or null")
        }
        Kind::Text => (text.is_some_and(|t| !t.trim().is_empty()), "isn't text, or is empty"),
        Kind::Note => (
            text.is_some_and(|text| text.chars().count() <= NOTE_CHARS),
            "isn't text of at most 250 characters",
        ),
        Kind::Date => (
            text.and_then(instant).is_some(),
            "isn't a date with seconds and offset as on the page",
        ),
        Kind::Latitude => (
            text.and_then(degrees).is_some_and(|d| d.abs() <= 90.0),
            "isn't text with degrees from -90 to 90 and at most 7 decimals",
        ),
        Kind::Longitude => (
            text.and_then(degrees).is_some_and(|d| d.abs() <= 180.0),
            "isn't text with degrees from -180 to 180 and at most 7 decimals",
        ),
        Kind::Count => (
            value.as_i64().is_some_and(|count| i32::try_from(count).is_ok()),
            "isn't an integer of 32 bits",
        ),
        Kind::Number => (value.is_number(), "isn't a number"),
        Kind::Sensor => (value.is_number() || value.is_null(), "isn't a number or null"),
    };
    if good { Ok(()) } else { Err(wrong) }
}

/// `-86.8965344`: an optional minus, one to three digits, and up to seven decimals.
pub fn degrees(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (whole, decimals) = match unsigned.split_once('.') {
        Some((whole, decimals)) => (whole, Some(decimals)),
        None => (unsigned, None),
    };
    let digits = |part: &str, most: usize| {
        (1..=most).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
    };
    let formed = digits(whole, 3) && decimals.is_none_or(|part| digits(part, DECIMALS));
    if formed { text.parse().ok() } else { None }
}

/// Whether a text is 30 hexadecimal digits.
pub fn is_id(text: &str) -> bool {
    text.len() == 30 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The instant of a date in exactly the page's form, `2019-05-02T10:16:42-05:00`.
pub fn instant(text: &str) -> Option<Timestamp> {
    let form = b"0000-00-00T00:00:00+00:00";
    let formed = text.len() == form.len()
        && text.bytes().zip(form).all(|(byte, form)| match form {
            b'0' => byte.is_ascii_digit(),
            b'+' => byte == b'+' || byte == b'-',
            form => byte == *form,
        });
    if !formed {
        return None;
    }
    let part = |range| text.get(range).and_then(|digits: &str| digits.parse::<u8>().ok());
    let (second, hours, minutes) = (part(17..19)?, part(20..22)?, part(23..25)?);
    // UTC-12 to UTC+14 is what zones have; second 60 can't be compared as an instant.
    if second > 59 || minutes > 59 || (hours, minutes) > (14, 0) {
        return None;
    }
    text.parse().ok()
}

/// The offset of such a date.
pub fn offset(text: &str) -> Option<Offset> {
    let local = text.get(..19)?.parse::<DateTime>().ok()?;
    let as_utc = Offset::UTC.to_timestamp(local).ok()?;
    let ahead = as_utc.as_second() - instant(text)?.as_second();
    Offset::from_seconds(ahead.try_into().ok()?).ok()
}

/// How many bytes a text in base64 stands for; at least one.
pub fn base64_bytes(text: &str) -> Option<usize> {
    let digits = text.trim_end_matches('=');
    let padding = text.len() - digits.len();
    let formed = text.len().is_multiple_of(4)
        && padding <= 2
        && !digits.is_empty()
        && digits.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/".contains(&byte));
    formed.then(|| text.len() / 4 * 3 - padding)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_text_makes_a_value_panic(text in "\\PC{0,40}") {
            let _ = instant(&text);
            let _ = degrees(&text);
            let _ = base64_bytes(&text);
        }

        #[test]
        fn a_date_that_is_good_is_the_instant_it_says(
            seconds in 0_i64..4_000_000_000, minutes in -720_i32..=840,
        ) {
            let offset = jiff::tz::Offset::from_seconds(minutes * 60).unwrap();
            let at = Timestamp::from_second(seconds).unwrap();
            let local = offset.to_datetime(at).strftime("%Y-%m-%dT%H:%M:%S");
            let sign = if minutes < 0 { '-' } else { '+' };
            let text =
                format!("{local}{sign}{:02}:{:02}", minutes.abs() / 60, minutes.abs() % 60);
            prop_assert_eq!(instant(&text), Some(at));
        }
    }
}
