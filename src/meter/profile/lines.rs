//! How a meter's lines are made: what ends one, what protects it, how its values are laid
//! out, and what a meter that must be asked is sent. Checked data; knows no TOML and
//! reads no line.

use std::time::Duration;

use regex::bytes::{Regex, RegexBuilder};
use serde::Deserialize;

use crate::meter::crc::crc16;

/// The most memory that a pattern may take once it is compiled, in bytes.
const PATTERN_BYTES: usize = 256 * 1024;

/// What a meter's lines look like.
#[derive(Debug, Clone, PartialEq)]
pub struct AsciiLines {
    /// What protects a line; `None` where nothing does.
    pub checksum: Option<Checksum>,
    /// The longest line that is read, its beginning counted, its end not.
    pub max_line_bytes: usize,
    /// What ends a line.
    pub line_end: LineEnd,
    /// How its values are laid out.
    pub layout: Layout,
}

impl AsciiLines {
    /// The byte that every line begins with, where there is one. It may stand nowhere else
    /// in a line, so that it also tells where one was cut short.
    pub fn start(&self) -> Option<u8> {
        self.checksum.as_ref().and_then(|checksum| checksum.start)
    }
}

/// A meter that is asked.
#[derive(Debug, Clone, PartialEq)]
pub struct AsciiPoll {
    /// What its answers look like.
    pub lines: AsciiLines,
    /// What it is asked, one after the other; at least one.
    pub requests: Vec<Request>,
}

/// One question.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// The bytes that are sent.
    pub send: Vec<u8>,
    /// How its answer is laid out, where it differs from the profile's own layout.
    pub pattern: Option<Pattern>,
    /// What is waited before it is sent.
    pub pause: Duration,
    /// How long its answer may take.
    pub timeout: Duration,
}

/// What ends a line. Empty lines are nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineEnd {
    /// CR, LF or both.
    Either,
    /// This byte; every other is data.
    Byte(u8),
}

/// What protects a line: digits of a sum at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checksum {
    /// How it is reckoned.
    pub algorithm: Algorithm,
    /// The byte that begins a line, which isn't part of the sum; `None` where a line begins
    /// with its first byte.
    pub start: Option<u8>,
    /// What stands before the digits, not part of the sum either; may be empty.
    pub marker: String,
    /// How the digits are written.
    pub digits: Digits,
}

/// How a checksum is reckoned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Algorithm {
    /// The xor of the bytes, as in NMEA 0183.
    Xor8,
    /// Their sum modulo 256.
    Sum8,
    /// Their sum modulo 65536.
    Sum16,
    /// CRC-16/MODBUS, written as one number (its high byte first).
    Crc16Modbus,
}

impl Algorithm {
    /// How many hex digits write it.
    pub fn hex_digits(self) -> usize {
        match self {
            Self::Xor8 | Self::Sum8 => 2,
            Self::Sum16 | Self::Crc16Modbus => 4,
        }
    }

    /// Of these bytes.
    pub fn of(self, bytes: &[u8]) -> u16 {
        match self {
            Self::Xor8 => bytes.iter().fold(0, |sum, byte| sum ^ u16::from(*byte)),
            Self::Sum8 => bytes.iter().fold(0, |sum, byte| (sum + u16::from(*byte)) & 0xFF),
            Self::Sum16 => bytes.iter().fold(0, |sum, byte| sum.wrapping_add(u16::from(*byte))),
            Self::Crc16Modbus => crc16(bytes),
        }
    }
}

/// How a checksum's digits are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Digits {
    /// Hexadecimal, of either case, as many as the sum has.
    #[default]
    Hex,
    /// Decimal, one to five.
    Decimal,
}

/// How a line's values are laid out.
#[derive(Debug, Clone, PartialEq)]
pub enum Layout {
    /// Columns.
    Csv {
        /// What stands in the first column, before those that are counted; lines with
        /// another are not the meter's. Empty: no such column.
        prefix: String,
        /// How many columns a line has, the prefix not counted.
        columns: usize,
        /// What stands between them; of spaces any number.
        separator: u8,
    },
    /// Names and their values.
    KeyValue {
        /// What stands between one pair and the next.
        separator: u8,
        /// What stands between a name and its value. The same as `separator` where names
        /// and values take turns.
        equals: u8,
    },
    /// A regular expression with a named group for each value.
    Regex(Pattern),
}

/// A regular expression over bytes: `\d` and the like are ASCII.
#[derive(Debug, Clone)]
pub struct Pattern(Regex);

impl Pattern {
    /// Compiles it.
    ///
    /// # Errors
    /// What is wrong with it, in one line.
    pub fn new(text: &str) -> Result<Self, String> {
        RegexBuilder::new(text)
            .unicode(false)
            .size_limit(PATTERN_BYTES)
            .build()
            .map(Self)
            .map_err(|err| err.to_string().lines().last().unwrap_or("no pattern").to_owned())
    }

    /// Whether it has a group of that name.
    pub fn has_group(&self, name: &str) -> bool {
        self.0.capture_names().flatten().any(|known| known == name)
    }

    /// The expression.
    pub fn regex(&self) -> &Regex {
        &self.0
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_sum_is_as_published() {
        assert_eq!(Algorithm::Xor8.of(b"FLOW,,,8,,,,,"), 0x2A);
        assert_eq!(Algorithm::Sum8.of(b"+1234567E+0m3 "), 0xF7);
        assert_eq!(Algorithm::Sum16.of(&[0xFF; 300]), (300_u32 * 255 % 65_536) as u16);
        // The check value of the catalogue of parametrised CRC algorithms.
        assert_eq!(Algorithm::Crc16Modbus.of(b"123456789"), 0x4B37);
    }

    #[test]
    fn a_pattern_is_ascii_and_bounded() {
        assert!(Pattern::new(r"^(?<n>\d+)$").unwrap().has_group("n"));
        assert!(!Pattern::new(r"^(?<n>\d+)$").unwrap().has_group("m"));
        assert!(!Pattern::new(r"^\d$").unwrap().regex().is_match("٣".as_bytes()));
        assert!(Pattern::new("(").is_err());
        assert!(Pattern::new("((a{1000}){1000}){1000}").is_err());
    }
}
