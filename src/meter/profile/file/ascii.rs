//! The keys that say how a meter's lines are made and what it is asked. Knows no field.

use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;

use super::super::lines::{
    Algorithm, AsciiLines, AsciiPoll, Checksum, Digits, Layout, LineEnd, Pattern, Request,
};
use super::{Wrong, duration};

/// The shortest and the longest line that may be configured, in bytes. Twice the longest
/// is all that a decoder ever holds.
const LINE_BYTES: std::ops::RangeInclusive<usize> = 16..=4096;
/// Longer than any line known.
const USUAL_LINE_BYTES: usize = 512;
/// More columns than any meter sends.
const MOST_COLUMNS: usize = 256;
/// More questions than a meter could answer in a round.
const MOST_REQUESTS: usize = 32;
/// Longer than any question, in bytes.
const MOST_SENT: usize = 256;
/// Longer than what stands before any checksum, in bytes.
const MOST_MARKER: usize = 8;
const USUAL_TIMEOUT: Duration = Duration::from_secs(1);
const LEAST_TIMEOUT: Duration = Duration::from_millis(10);

/// What a profile says of its lines.
pub(super) struct LineKeys {
    pub checksum: Option<Spanned<FileChecksum>>,
    pub start: Option<Spanned<String>>,
    pub marker: Option<Spanned<String>>,
    pub digits: Option<Spanned<Digits>>,
    pub max_line_bytes: Option<Spanned<usize>>,
    pub line_end: Option<Spanned<String>>,
    pub csv: Option<Spanned<Csv>>,
    pub key_value: Option<Spanned<KeyValue>>,
    pub regex: Option<Spanned<FileRegex>>,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "snake_case")]
pub(super) enum FileChecksum {
    None,
    Xor8,
    Sum8,
    Sum16,
    Crc16Modbus,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Csv {
    #[serde(default)]
    prefix: String,
    columns: usize,
    separator: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyValue {
    separator: String,
    equals: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileRegex {
    pattern: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileRequest {
    send: Option<Spanned<String>>,
    send_hex: Option<Spanned<String>>,
    pattern: Option<Spanned<String>>,
    pause: Option<Spanned<String>>,
    timeout: Option<Spanned<String>>,
}

impl LineKeys {
    /// Refuses each of them: the meter doesn't speak in lines.
    pub(super) fn none_set(&self) -> Result<(), Wrong> {
        fn at<T>(key: &Option<Spanned<T>>) -> Option<usize> {
            key.as_ref().map(|key| key.span().start)
        }
        let set = [
            ("checksum", at(&self.checksum)),
            ("checksum_start", at(&self.start)),
            ("checksum_marker", at(&self.marker)),
            ("checksum_digits", at(&self.digits)),
            ("max_line_bytes", at(&self.max_line_bytes)),
            ("line_end", at(&self.line_end)),
            ("[csv]", at(&self.csv)),
            ("[key_value]", at(&self.key_value)),
            ("[regex]", at(&self.regex)),
        ];
        match set.into_iter().find_map(|(key, at)| at.map(|at| (key, at))) {
            Some((key, at)) => Err(Wrong::at(at, format!("{key} is for meters that send lines"))),
            None => Ok(()),
        }
    }
}

/// How the lines of a meter are made.
pub(super) fn lines(keys: LineKeys, kind_at: usize) -> Result<AsciiLines, Wrong> {
    let max_line_bytes = match keys.max_line_bytes {
        Some(max) if !LINE_BYTES.contains(max.get_ref()) => {
            let (least, most) = (LINE_BYTES.start(), LINE_BYTES.end());
            let problem = format!("max_line_bytes must be {least} to {most}");
            return Err(Wrong::at(max.span().start, problem));
        }
        Some(max) => max.into_inner(),
        None => USUAL_LINE_BYTES,
    };
    let line_end = keys.line_end.map(line_end).transpose()?.unwrap_or(LineEnd::Either);
    let Some(checksum) = keys.checksum else {
        let problem = "checksum is needed: none, xor8, sum8, sum16 or crc16_modbus";
        return Err(Wrong::at(kind_at, problem));
    };
    let checksum = protection(checksum.into_inner(), keys.start, keys.marker, keys.digits)?;
    let layout = match (keys.csv, keys.key_value, keys.regex) {
        (Some(csv), None, None) => columns(csv, checksum.as_ref())?,
        (None, Some(pairs), None) => key_value(pairs)?,
        (None, None, Some(regex)) => Layout::Regex(pattern(&regex.into_inner().pattern)?),
        _ => {
            let problem = "one layout is needed: [csv], [key_value] or [regex]";
            return Err(Wrong::at(kind_at, problem));
        }
    };
    Ok(AsciiLines { checksum, max_line_bytes, line_end, layout })
}

/// How a meter is asked and answers.
pub(super) fn poll(
    keys: LineKeys,
    asked: Vec<Spanned<FileRequest>>,
    kind_at: usize,
) -> Result<AsciiPoll, Wrong> {
    let lines = lines(keys, kind_at)?;
    if asked.is_empty() || asked.len() > MOST_REQUESTS {
        let problem = format!("1 to {MOST_REQUESTS} [[request]] with send are needed");
        return Err(Wrong::at(kind_at, problem));
    }
    let requests = asked.into_iter().map(request).collect::<Result<_, _>>()?;
    Ok(AsciiPoll { lines, requests })
}

fn request(read: Spanned<FileRequest>) -> Result<Request, Wrong> {
    let (at, read) = (read.span().start, read.into_inner());
    let (at, send) = match (read.send, read.send_hex) {
        (Some(text), None) => (text.span().start, unescaped(text.get_ref())),
        (None, Some(hex)) => (hex.span().start, from_hex(hex.get_ref())),
        _ => return Err(Wrong::at(at, "a request has one of send and send_hex")),
    };
    let send = send.map_err(|problem| Wrong::at(at, problem))?;
    if send.is_empty() || send.len() > MOST_SENT {
        return Err(Wrong::at(at, format!("a request sends 1 to {MOST_SENT} bytes")));
    }
    let pause = read.pause.map(|time| duration(&time, Duration::ZERO)).transpose()?;
    let timeout = read.timeout.map(|time| duration(&time, LEAST_TIMEOUT)).transpose()?;
    Ok(Request {
        send,
        pattern: read.pattern.as_ref().map(pattern).transpose()?,
        pause: pause.unwrap_or_default(),
        timeout: timeout.unwrap_or(USUAL_TIMEOUT),
    })
}

fn pattern(text: &Spanned<String>) -> Result<Pattern, Wrong> {
    Pattern::new(text.get_ref())
        .map_err(|why| Wrong::at(text.span().start, format!("pattern: {why}")))
}

fn line_end(text: Spanned<String>) -> Result<LineEnd, Wrong> {
    match text.get_ref().as_bytes() {
        // The CR before it is nobody's: an empty line between the two is nothing.
        b"\r\n" => Ok(LineEnd::Either),
        [byte] if byte.is_ascii() => Ok(LineEnd::Byte(*byte)),
        _ => {
            let problem = "line_end must be one ASCII character, \"\\r\\n\", or left out";
            Err(Wrong::at(text.span().start, problem))
        }
    }
}

/// What protects a line. What stands around an xor8 is as in NMEA 0183 unless said.
fn protection(
    checksum: FileChecksum,
    start: Option<Spanned<String>>,
    marker: Option<Spanned<String>>,
    digits: Option<Spanned<Digits>>,
) -> Result<Option<Checksum>, Wrong> {
    let algorithm = match checksum {
        FileChecksum::None => {
            let spans = [start.map(|s| s.span()), marker.map(|s| s.span())];
            let set = spans.into_iter().chain([digits.map(|s| s.span())]).flatten().next();
            return match set {
                Some(span) => Err(Wrong::at(span.start, "there is no checksum that this is for")),
                None => Ok(None),
            };
        }
        FileChecksum::Xor8 => Algorithm::Xor8,
        FileChecksum::Sum8 => Algorithm::Sum8,
        FileChecksum::Sum16 => Algorithm::Sum16,
        FileChecksum::Crc16Modbus => Algorithm::Crc16Modbus,
    };
    let as_nmea = algorithm == Algorithm::Xor8;
    let start = match start {
        None => as_nmea.then_some(b'$'),
        Some(start) => match start.get_ref().as_bytes() {
            [] => None,
            [byte] if byte.is_ascii_graphic() => Some(*byte),
            _ => {
                let problem = "checksum_start must be one ASCII character, or empty";
                return Err(Wrong::at(start.span().start, problem));
            }
        },
    };
    let usual = if as_nmea { "*" } else { "" };
    let marker_at = marker.as_ref().map(|marker| marker.span().start);
    let marker = marker.map_or_else(|| usual.to_owned(), Spanned::into_inner);
    if marker.len() > MOST_MARKER || !marker.bytes().all(|b| b == b' ' || b.is_ascii_graphic()) {
        let problem = format!("checksum_marker must be at most {MOST_MARKER} ASCII characters");
        return Err(Wrong::at(marker_at.unwrap_or_default(), problem));
    }
    let digits_at = digits.as_ref().map(|digits| digits.span().start);
    let digits = digits.map(Spanned::into_inner).unwrap_or_default();
    if digits == Digits::Decimal && marker.is_empty() {
        let problem = "decimal digits need a checksum_marker before them";
        return Err(Wrong::at(digits_at.unwrap_or_default(), problem));
    }
    Ok(Some(Checksum { algorithm, start, marker, digits }))
}

fn columns(csv: Spanned<Csv>, checksum: Option<&Checksum>) -> Result<Layout, Wrong> {
    let (at, csv) = (csv.span().start, csv.into_inner());
    let separator = match &csv.separator {
        None => b',',
        Some(text) => separator(text, "separator", at)?,
    };
    let start = checksum.and_then(|checksum| checksum.start);
    let taken = |b: u8| b == separator || Some(b) == start;
    if !csv.prefix.bytes().all(|b| b.is_ascii_graphic() && !taken(b)) {
        let problem = "prefix must be printable ASCII without the separator and the start";
        return Err(Wrong::at(at, problem));
    }
    if csv.columns == 0 || csv.columns > MOST_COLUMNS {
        return Err(Wrong::at(at, format!("columns must be 1 to {MOST_COLUMNS}")));
    }
    Ok(Layout::Csv { prefix: csv.prefix, columns: csv.columns, separator })
}

fn key_value(pairs: Spanned<KeyValue>) -> Result<Layout, Wrong> {
    let (at, pairs) = (pairs.span().start, pairs.into_inner());
    let separator_byte = separator(&pairs.separator, "separator", at)?;
    let equals = separator(&pairs.equals, "equals", at)?;
    Ok(Layout::KeyValue { separator: separator_byte, equals })
}

fn separator(text: &str, key: &str, at: usize) -> Result<u8, Wrong> {
    match text.as_bytes() {
        [b @ (b' ' | b'\t')] => Ok(*b),
        [b] if b.is_ascii_punctuation() && !matches!(b, b'.' | b'+' | b'-') => Ok(*b),
        _ => {
            let problem = format!("{key} must be a space, a tab or one mark such as , ; : =");
            Err(Wrong::at(at, problem))
        }
    }
}

/// A text with `\r`, `\n`, `\t`, `\\` and `\xHH` for what can't be typed.
fn unescaped(text: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        bytes.push(match rest.next() {
            Some(b'r') => b'\r',
            Some(b'n') => b'\n',
            Some(b't') => b'\t',
            Some(b'\\') => b'\\',
            Some(b'x') => match (rest.next().and_then(hex), rest.next().and_then(hex)) {
                (Some(high), Some(low)) => high * 16 + low,
                _ => return Err("two hex digits follow \\x".to_owned()),
            },
            _ => return Err("after \\ stands r, n, t, \\ or xHH".to_owned()),
        });
    }
    Ok(bytes)
}

fn from_hex(text: &str) -> Result<Vec<u8>, String> {
    let digits: Option<Vec<u8>> = text.bytes().filter(|b| *b != b' ').map(hex).collect();
    match digits {
        Some(digits) if digits.len() % 2 == 0 => {
            Ok(digits.chunks_exact(2).map(|two| two.iter().fold(0, |n, d| n * 16 + d)).collect())
        }
        _ => Err("send_hex must be pairs of hex digits, with spaces where you like".to_owned()),
    }
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|n| u8::try_from(n).ok())
}
