//! One line to the values in it: checksum, layout, numbers. Knows no scale and no unit
//! ([`crate::meter::values`] does), and not where a line begins.

use super::super::profile::lines::{AsciiLines, Checksum, Digits, Layout};
use super::super::profile::{Field, Profile, Role, Source};
use super::super::values::{Value, Values};

/// Why a line has no values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    NoChecksum,
    BadChecksum,
    NotOurs,
    Malformed,
}

/// The values in a line without its beginning and its end, where it answers that request.
pub(super) fn values(
    profile: &Profile,
    lines: &AsciiLines,
    request: usize,
    line: &[u8],
) -> Result<Values, Cause> {
    let body = match &lines.checksum {
        None => line,
        Some(checksum) => protected(checksum, line)?,
    };
    let wanted = || profile.fields.iter().filter(|(_, field)| field.request == request);
    let own = profile.requests().get(request).and_then(|request| request.pattern.as_ref());
    let mut values = Values::new();
    let mut take = |role: &Role, field: &Field, text: Option<&[u8]>| {
        if let Some(value) = text.and_then(|text| value(*role, field, text)) {
            values.insert(*role, value);
        }
    };
    match (&lines.layout, own) {
        (_, Some(pattern)) | (Layout::Regex(pattern), None) => {
            let groups = pattern.regex().captures(body).ok_or(Cause::NotOurs)?;
            for (role, field) in wanted() {
                let Source::Group(name) = &field.source else { continue };
                take(role, field, groups.name(name).map(|group| group.as_bytes()));
            }
        }
        (Layout::Csv { prefix, columns, separator }, None) => {
            let columns = split(body, prefix, *columns, *separator)?;
            for (role, field) in wanted() {
                let Source::Position(position) = &field.source else { continue };
                let column = position.checked_sub(1).and_then(|index| columns.get(index));
                take(role, field, column.copied());
            }
        }
        (Layout::KeyValue { separator, equals }, None) => {
            let pairs = pairs(body, *separator, *equals)?;
            let mut any = false;
            for (role, field) in wanted() {
                let Source::Key(key) = &field.source else { continue };
                let mut named = pairs.iter().filter(|(name, _)| *name == key.as_bytes());
                let text = named.next().map(|(_, text)| *text);
                if named.next().is_some() {
                    return Err(Cause::Malformed);
                }
                any |= text.is_some();
                take(role, field, text);
            }
            if !any {
                return Err(Cause::NotOurs);
            }
        }
    }
    Ok(values)
}

/// What the digits at a line's end protect, if they are its sum.
fn protected<'a>(checksum: &Checksum, line: &'a [u8]) -> Result<&'a [u8], Cause> {
    let line = line.trim_ascii_end();
    let marker = checksum.marker.as_bytes();
    let hex = checksum.algorithm.hex_digits();
    let split = match checksum.digits {
        Digits::Hex => line.len().checked_sub(hex),
        Digits::Decimal => {
            line.iter().rposition(|b| !b.is_ascii_digit()).map(|last_other| last_other + 1)
        }
    };
    let (before, digits) = line.split_at_checked(split.unwrap_or(0)).ok_or(Cause::NoChecksum)?;
    let body = before.strip_suffix(marker).ok_or(Cause::NoChecksum)?;
    let (radix, any) = match checksum.digits {
        Digits::Hex => (16, digits.len() == hex),
        Digits::Decimal => (10, (1..=5).contains(&digits.len())),
    };
    let given = std::str::from_utf8(digits)
        .ok()
        .filter(|text| any && text.bytes().all(|b| b.is_ascii_hexdigit()));
    let given = given.and_then(|text| u32::from_str_radix(text, radix).ok());
    let given = given.ok_or(Cause::NoChecksum)?;
    let actual = checksum.algorithm.of(body);
    if u32::from(actual) == given { Ok(body) } else { Err(Cause::BadChecksum) }
}

fn split<'a>(
    body: &'a [u8],
    prefix: &str,
    expected: usize,
    separator: u8,
) -> Result<Vec<&'a [u8]>, Cause> {
    let mut parts = parts(body, separator);
    if !prefix.is_empty() && parts.next() != Some(prefix.as_bytes()) {
        return Err(Cause::NotOurs);
    }
    let columns: Vec<_> = parts.collect();
    if columns.len() == expected { Ok(columns) } else { Err(Cause::Malformed) }
}

/// What stands between separators; of spaces any number is one.
fn parts(body: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    body.split(move |b| *b == separator).filter(move |part| separator != b' ' || !part.is_empty())
}

/// A name and its value.
type Pair<'a> = (&'a [u8], &'a [u8]);

/// Names and values, without the spaces around them.
fn pairs(body: &[u8], separator: u8, equals: u8) -> Result<Vec<Pair<'_>>, Cause> {
    if separator != equals {
        return Ok(parts(body, separator)
            .filter_map(|part| {
                let at = part.iter().position(|b| *b == equals)?;
                let (name, value) = part.split_at(at);
                Some((name.trim_ascii(), value.get(1..)?.trim_ascii()))
            })
            .collect());
    }
    let mut turns: Vec<_> = parts(body, separator).map(<[u8]>::trim_ascii).collect();
    if turns.len() % 2 == 1 && turns.last().is_some_and(|last| last.is_empty()) {
        turns.pop();
    }
    if turns.len() % 2 == 1 {
        return Err(Cause::Malformed);
    }
    Ok(turns.chunks_exact(2).filter_map(|pair| Some((*pair.first()?, *pair.last()?))).collect())
}

/// What a text stands for; `None` where there is nothing.
fn value(role: Role, field: &Field, text: &[u8]) -> Option<Value> {
    let text = text.trim_ascii();
    if text.is_empty() {
        return None;
    }
    let Ok(text) = std::str::from_utf8(text) else {
        return Some(Value::Unreadable);
    };
    Some(match role {
        Role::SerialNumber | Role::Status => Value::Text(text.to_owned()),
        _ if field.radix == 16 => hexadecimal(text),
        _ => decimal(text),
    })
}

fn decimal(text: &str) -> Value {
    let digits = text.strip_prefix('+').unwrap_or(text);
    if digits.bytes().all(|b| b.is_ascii_digit())
        && let Ok(number) = digits.parse()
    {
        return Value::Integer(number);
    }
    let plain = |b: u8| b.is_ascii_digit() || matches!(b, b'.' | b'+' | b'-' | b'e' | b'E');
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() && text.bytes().all(plain) => Value::Number(number, 0),
        _ => Value::Unreadable,
    }
}

fn hexadecimal(text: &str) -> Value {
    let (sign, digits) = match text.as_bytes() {
        [b'-', ..] => (-1.0, text.get(1..)),
        [b'+', ..] => (1.0, text.get(1..)),
        _ => (1.0, Some(text)),
    };
    // A second sign is none that the parser may take.
    let digits = digits.filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
    match digits.and_then(|digits| u64::from_str_radix(digits, 16).ok()) {
        Some(number) if sign > 0.0 => Value::Integer(number),
        Some(number) => Value::Number(sign * number as f64, 0),
        None if digits.is_some_and(|digits| digits.len() > 16) => Value::Number(f64::MAX * sign, 0),
        None => Value::Unreadable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_what_it_says_and_nothing_is_guessed() {
        for (text, value) in [
            ("0", Value::Integer(0)),
            ("+007", Value::Integer(7)),
            ("18446744073709551615", Value::Integer(u64::MAX)),
            ("-5", Value::Number(-5.0, 0)),
            ("+1234567E+0", Value::Number(1_234_567.0, 0)),
            ("1.5e-3", Value::Number(0.0015, 0)),
            ("1e999", Value::Unreadable),
            ("nan", Value::Unreadable),
            ("infinity", Value::Unreadable),
            ("1.2.3", Value::Unreadable),
            ("+", Value::Unreadable),
            ("12 3", Value::Unreadable),
            ("0x10", Value::Unreadable),
        ] {
            assert_eq!(decimal(text), value, "{text}");
        }
        for (text, value) in [
            ("000002FE", Value::Integer(766)),
            ("-ff", Value::Number(-255.0, 0)),
            ("FFFFFFFFFFFFFFFF", Value::Integer(u64::MAX)),
            ("10000000000000000", Value::Number(f64::MAX, 0)),
            ("+-1", Value::Unreadable),
            ("0x10", Value::Unreadable),
            ("", Value::Unreadable),
        ] {
            assert_eq!(hexadecimal(text), value, "{text}");
        }
    }

    #[test]
    fn pairs_are_told_apart_by_two_marks_or_take_turns() {
        let two: [(&[u8], &[u8]); 2] = [(b"FL", b"1.5"), (b"BV", b"12.3")];
        assert_eq!(pairs(b"FL=1.5, BV = 12.3,", b',', b'=').unwrap(), two);
        assert_eq!(pairs(b"FL,1.5,BV, 12.3", b',', b',').unwrap(), two);
        assert_eq!(pairs(b"FL,1.5,BV,12.3,", b',', b',').unwrap(), two);
        assert_eq!(pairs(b"FL 1.5  BV 12.3", b' ', b' ').unwrap(), two);
        assert_eq!(pairs(b"FL,1.5,BV", b',', b','), Err(Cause::Malformed));
    }

    #[test]
    fn decimal_digits_of_a_sum_are_found_behind_their_marker() {
        let marker = ",CS,".to_owned();
        let algorithm = super::super::super::profile::lines::Algorithm::Sum16;
        let sum = Checksum { algorithm, start: None, marker, digits: Digits::Decimal };
        assert_eq!(protected(&sum, b"AB,CS,131"), Ok(b"AB".as_slice()));
        assert_eq!(protected(&sum, b"AC,CS,131"), Err(Cause::BadChecksum));
        for line in [&b"AB,CS,"[..], b"AB,131", b"131", b"AB,CS,000131", b""] {
            assert_eq!(protected(&sum, line), Err(Cause::NoChecksum), "{line:?}");
        }
    }
}
