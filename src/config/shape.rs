//! The forms that values take in TOML, and their conversion to Rust types and back. A
//! value of another type is refused, never bent into shape: `baud = "9600"` is an error.
//! Knows nothing of keys.

mod measure;

use std::fmt;
use std::marker::PhantomData;
use std::path::PathBuf;

use config::ValueKind;

use super::key::Refusal;
use super::suggest::nearest;
use super::{GpsSource, TrustSystem};

pub use measure::{Line, Listen, Size, Time, size_text, time_text};

/// A form of value.
pub trait Shape {
    /// The Rust type.
    type Of;
    /// What it is, after "expected".
    const KIND: &'static str;
    /// It is written as a TOML string.
    const TEXTUAL: bool = true;
    /// Converts; the message says what was expected.
    fn read(value: &ValueKind) -> Result<Self::Of, Refusal>;
    /// As TOML, such that [`Shape::read`] gives the same back; `None` for unset.
    fn write(value: &Self::Of) -> Option<String>;
}

/// Free text on one line.
#[derive(Debug)]
pub struct Text;
/// A path. Its text is never repeated in a message: a password may sit there by mistake.
#[derive(Debug)]
pub struct File;
/// A whole number.
#[derive(Debug)]
pub struct Whole<T>(PhantomData<T>);
/// A finite number.
#[derive(Debug)]
pub struct Number;
/// A finite number or nothing.
#[derive(Debug)]
pub struct OptionalNumber;
/// `true` or `false`.
#[derive(Debug)]
pub struct Flag;
/// Pairs of numbers.
#[derive(Debug)]
pub struct Pairs;
/// A latitude and a longitude, or an empty list.
#[derive(Debug)]
pub struct Place;
/// One of a few words.
#[derive(Debug)]
pub struct OneOf<T>(PhantomData<T>);

/// A type whose values are a few words.
pub trait Words: Copy + PartialEq + 'static {
    /// What it is, after "expected".
    const KIND: &'static str;
    /// Each value by its word.
    const WORDS: &'static [(&'static str, Self)];
}

impl Words for GpsSource {
    const KIND: &'static str = "\"serial\", \"gpsd\", \"fixed\" or \"none\"";
    const WORDS: &'static [(&'static str, Self)] = &[
        ("serial", Self::Serial),
        ("gpsd", Self::Gpsd),
        ("fixed", Self::Fixed),
        ("none", Self::None),
    ];
}

impl Words for TrustSystem {
    const KIND: &'static str = "\"auto\", \"always\" or \"never\"";
    const WORDS: &'static [(&'static str, Self)] =
        &[("auto", Self::Auto), ("always", Self::Always), ("never", Self::Never)];
}

/// Text, quoted as TOML.
pub fn quoted(text: &str) -> String {
    toml::Value::String(text.to_string()).to_string()
}

/// At most 40 characters of what somebody wrote, without control characters.
fn excerpt(text: &str) -> String {
    let mut short: String = text.chars().filter(|c| !c.is_control()).take(40).collect();
    if text.chars().count() > 40 {
        short.push('…');
    }
    short
}

/// "expected …, found …". Says the type that was found and not the value.
fn mismatch(expected: &str, found: &ValueKind) -> Refusal {
    let found = match found {
        ValueKind::Nil => "nothing",
        ValueKind::Boolean(_) => "true or false",
        ValueKind::I64(_) | ValueKind::I128(_) | ValueKind::U64(_) | ValueKind::U128(_) => {
            "a whole number"
        }
        ValueKind::Float(_) => "a number with a decimal point",
        ValueKind::String(_) => "text in quotes",
        ValueKind::Table(_) => "a table",
        ValueKind::Array(_) => "a list",
    };
    format!("expected {expected}, found {found}").into()
}

fn text<'v>(expected: &str, value: &'v ValueKind) -> Result<&'v str, Refusal> {
    match value {
        ValueKind::String(text) if text.chars().any(char::is_control) => {
            Err("has a line break, tab or other control character: take it out".into())
        }
        ValueKind::String(text) => Ok(text),
        other => Err(mismatch(expected, other)),
    }
}

fn number(expected: &str, value: &ValueKind) -> Result<f64, Refusal> {
    match value {
        ValueKind::Float(x) if x.is_finite() => Ok(*x),
        ValueKind::Float(_) => Err(format!("expected {expected}, found inf or nan").into()),
        ValueKind::I64(n) => Ok(*n as f64),
        other => Err(mismatch(expected, other)),
    }
}

fn pair(expected: &str, value: &ValueKind) -> Result<(f64, f64), Refusal> {
    match value {
        ValueKind::Array(items) => match items.as_slice() {
            [a, b] => Ok((number(expected, &a.kind)?, number(expected, &b.kind)?)),
            _ => Err(format!("expected {expected}, found a list of {}", items.len()).into()),
        },
        other => Err(mismatch(expected, other)),
    }
}

fn float_text(x: f64) -> String {
    toml::Value::Float(x).to_string()
}

impl Shape for Text {
    type Of = String;
    const KIND: &'static str = "text";
    fn read(value: &ValueKind) -> Result<String, Refusal> {
        text("text in quotes", value).map(str::to_string)
    }
    fn write(value: &String) -> Option<String> {
        Some(quoted(value))
    }
}

impl Shape for File {
    type Of = PathBuf;
    const KIND: &'static str = "a path";
    fn read(value: &ValueKind) -> Result<PathBuf, Refusal> {
        text("a path in quotes", value).map(PathBuf::from)
    }
    fn write(value: &PathBuf) -> Option<String> {
        Some(quoted(&value.to_string_lossy()))
    }
}

impl<T: TryFrom<i64> + fmt::Display> Shape for Whole<T> {
    type Of = T;
    const KIND: &'static str = "a whole number";
    const TEXTUAL: bool = false;
    fn read(value: &ValueKind) -> Result<T, Refusal> {
        match value {
            ValueKind::I64(n) => T::try_from(*n).map_err(|_| format!("{n} is out of range").into()),
            other => Err(mismatch("a whole number without quotes", other)),
        }
    }
    fn write(value: &T) -> Option<String> {
        Some(value.to_string())
    }
}

impl Shape for Number {
    type Of = f64;
    const KIND: &'static str = "a number";
    const TEXTUAL: bool = false;
    fn read(value: &ValueKind) -> Result<f64, Refusal> {
        number("a number without quotes", value)
    }
    fn write(value: &f64) -> Option<String> {
        Some(float_text(*value))
    }
}

impl Shape for OptionalNumber {
    type Of = Option<f64>;
    const KIND: &'static str = "a number";
    const TEXTUAL: bool = false;
    fn read(value: &ValueKind) -> Result<Option<f64>, Refusal> {
        Number::read(value).map(Some)
    }
    fn write(value: &Option<f64>) -> Option<String> {
        value.map(float_text)
    }
}

impl Shape for Flag {
    type Of = bool;
    const KIND: &'static str = "true or false";
    const TEXTUAL: bool = false;
    fn read(value: &ValueKind) -> Result<bool, Refusal> {
        match value {
            ValueKind::Boolean(flag) => Ok(*flag),
            other => Err(mismatch("true or false without quotes", other)),
        }
    }
    fn write(value: &bool) -> Option<String> {
        Some(value.to_string())
    }
}

impl Shape for Pairs {
    type Of = Vec<(f64, f64)>;
    const KIND: &'static str = "a list of pairs of numbers";
    const TEXTUAL: bool = false;
    fn read(value: &ValueKind) -> Result<Self::Of, Refusal> {
        let expected = "pairs of numbers, as in [[11.8, 0], [12.7, 100]]";
        match value {
            ValueKind::Array(items) => {
                items.iter().map(|item| pair(expected, &item.kind)).collect()
            }
            other => Err(mismatch(expected, other)),
        }
    }
    fn write(value: &Self::Of) -> Option<String> {
        let pairs: Vec<String> = value
            .iter()
            .map(|(a, b)| format!("[{}, {}]", float_text(*a), float_text(*b)))
            .collect();
        Some(format!("[{}]", pairs.join(", ")))
    }
}

impl Shape for Place {
    type Of = Option<(f64, f64)>;
    const KIND: &'static str = "[latitude, longitude] in degrees";
    const TEXTUAL: bool = false;
    fn read(value: &ValueKind) -> Result<Self::Of, Refusal> {
        match value {
            ValueKind::Array(items) if items.is_empty() => Ok(None),
            other => pair("[latitude, longitude] in degrees", other).map(Some),
        }
    }
    fn write(value: &Self::Of) -> Option<String> {
        Some(match value {
            Some((lat, lon)) => format!("[{}, {}]", float_text(*lat), float_text(*lon)),
            None => "[]".to_string(),
        })
    }
}

impl<T: Words> Shape for OneOf<T> {
    type Of = T;
    const KIND: &'static str = T::KIND;
    fn read(value: &ValueKind) -> Result<T, Refusal> {
        let text = text(T::KIND, value)?;
        T::WORDS.iter().find(|(word, _)| *word == text).map(|(_, value)| *value).ok_or_else(|| {
            Refusal {
                message: format!("expected {}, found \"{}\"", T::KIND, excerpt(text)),
                suggestion: nearest(text, T::WORDS.iter().map(|(word, _)| *word))
                    .map(str::to_string),
            }
        })
    }
    fn write(value: &T) -> Option<String> {
        T::WORDS.iter().find(|(_, v)| v == value).map(|(word, _)| quoted(word))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(text: &str) -> ValueKind {
        ValueKind::String(text.into())
    }

    #[test]
    fn a_value_of_another_type_is_not_bent_into_shape() {
        assert!(Whole::<u32>::read(&given("9600")).is_err());
        assert!(Whole::<u32>::read(&ValueKind::Float(9600.0)).is_err());
        assert!(Whole::<u32>::read(&ValueKind::I64(-1)).is_err());
        assert!(Text::read(&ValueKind::I64(1)).is_err());
        assert!(Flag::read(&given("true")).is_err());
        assert!(Number::read(&ValueKind::Float(f64::NAN)).is_err());
        assert!(Pairs::read(&ValueKind::Array(vec![ValueKind::I64(1).into()])).is_err());
    }

    #[test]
    fn a_misspelt_word_is_refused_with_the_right_one() {
        let refusal = OneOf::<GpsSource>::read(&given("seriall")).unwrap_err();
        assert_eq!(refusal.suggestion.as_deref(), Some("serial"));
        assert!(refusal.message.contains("\"gpsd\""), "{refusal:?}");
    }
}
