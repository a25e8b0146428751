//! Bytes to bounded lines: whatever comes in, at most one line's length is kept, and every
//! byte outside a whole line belongs to something counted. Lines may begin with a byte of
//! their own, which tells where one was cut short. Knows no checksum and no fields.
//!
//! ```text
//!   noise\r\n $FLOW,7,1 $FLOW,7,2,31,…*5C \r\n
//!   └ Stray ┘ └  Cut  ┘ └─── Whole ─────┘
//! ```

use super::profile::lines::{AsciiLines, LineEnd};

/// What ends here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// A line from its beginning to its end; [`Lines::line`] has it until the next byte is
    /// pushed.
    Whole,
    /// A line that the beginning of another cut short, or whose own beginning is missing.
    Cut,
    /// A line that doesn't begin as lines do.
    Stray,
    /// A line that passed the length allowed; what follows of it is skipped.
    TooLong,
}

/// The framer's memory: at most one line.
#[derive(Debug, Clone)]
pub(super) struct Lines {
    max_bytes: usize,
    start: Option<u8>,
    end: LineEnd,
    line: Vec<u8>,
    place: Place,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Between,
    Inside,
    Stray {
        bytes: usize,
    },
    Skipping,
    /// In the middle of a line, as far as one can know.
    Unknown {
        bytes: usize,
    },
}

impl Lines {
    /// For lines that are made like these; the first byte begins one.
    pub(super) fn new(of: &AsciiLines) -> Self {
        Self {
            max_bytes: of.max_line_bytes,
            start: of.start(),
            end: of.line_end,
            line: Vec::with_capacity(of.max_line_bytes),
            place: Place::Between,
        }
    }

    /// The same, where the first byte may be in the middle of a line. Where lines begin with
    /// a byte of their own that tells; else the first one is given up, since the end of a
    /// number looks like a number.
    pub(super) fn joined_late(of: &AsciiLines) -> Self {
        let lines = Self::new(of);
        match lines.start {
            Some(_) => lines,
            None => Self { place: Place::Unknown { bytes: 0 }, ..lines },
        }
    }

    /// The line that [`Found::Whole`] announced, without its beginning and its end.
    pub(super) fn line(&self) -> &[u8] {
        &self.line
    }

    /// Takes one byte; says what it ended, if anything. Empty lines are nothing.
    pub(super) fn push(&mut self, byte: u8) -> Option<Found> {
        let ends = match self.end {
            LineEnd::Either => matches!(byte, b'\r' | b'\n'),
            LineEnd::Byte(end) => byte == end,
        };
        if ends {
            return self.end();
        }
        if Some(byte) == self.start {
            let found = match self.end() {
                Some(Found::Whole) => Some(Found::Cut),
                other => other,
            };
            self.line.clear();
            self.place = Place::Inside;
            return found;
        }
        if self.start.is_none() && self.place == Place::Between {
            self.line.clear();
            self.place = Place::Inside;
        }
        self.inside(byte)
    }

    /// Nothing follows any more: what the last bytes are.
    pub(super) fn end(&mut self) -> Option<Found> {
        match std::mem::replace(&mut self.place, Place::Between) {
            Place::Between | Place::Skipping | Place::Unknown { bytes: 0 } => None,
            Place::Inside => Some(Found::Whole),
            Place::Stray { .. } => Some(Found::Stray),
            Place::Unknown { .. } => Some(Found::Cut),
        }
    }

    fn inside(&mut self, byte: u8) -> Option<Found> {
        let bytes = match self.place {
            Place::Skipping => return None,
            Place::Between => 1,
            Place::Stray { bytes } | Place::Unknown { bytes } => bytes + 1,
            Place::Inside => self.line.len() + 1 + usize::from(self.start.is_some()),
        };
        if bytes > self.max_bytes {
            self.place = Place::Skipping;
            return Some(Found::TooLong);
        }
        match self.place {
            Place::Inside => self.line.push(byte),
            Place::Unknown { .. } => self.place = Place::Unknown { bytes },
            _ => self.place = Place::Stray { bytes },
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::super::profile::lines::{Algorithm, Checksum, Digits, Layout};
    use super::*;

    /// Lines of ten bytes at most, begun with `$` or with nothing.
    fn made(start: Option<u8>, line_end: LineEnd) -> AsciiLines {
        let (algorithm, marker) = (Algorithm::Xor8, "*".to_owned());
        AsciiLines {
            checksum: Some(Checksum { algorithm, start, marker, digits: Digits::Hex }),
            max_line_bytes: 10,
            line_end,
            layout: Layout::Csv { prefix: String::new(), columns: 1, separator: b',' },
        }
    }

    fn dollar() -> Lines {
        Lines::new(&made(Some(b'$'), LineEnd::Either))
    }

    fn found_by(lines: &mut Lines, bytes: &[u8]) -> Vec<(Found, String)> {
        bytes
            .iter()
            .filter_map(|b| {
                let what = lines.push(*b)?;
                let text = if what == Found::Whole { lines.line() } else { &[] };
                Some((what, String::from_utf8_lossy(text).into_owned()))
            })
            .collect()
    }

    fn found(bytes: &[u8]) -> Vec<(Found, String)> {
        found_by(&mut dollar(), bytes)
    }

    fn kinds(bytes: &[u8]) -> Vec<Found> {
        found(bytes).into_iter().map(|(what, _)| what).collect()
    }

    #[test]
    fn a_line_ends_with_cr_lf_or_both() {
        let three: Vec<_> = ["a", "b", "c"].map(|t| (Found::Whole, t.to_owned())).into();
        assert_eq!(found(b"$a\r$b\n$c\r\n\r\n"), three);
    }

    #[test]
    fn a_dollar_inside_a_line_begins_a_new_one() {
        assert_eq!(kinds(b"$ab$cd\n"), [Found::Cut, Found::Whole]);
        assert_eq!(kinds(b"xx$cd\n"), [Found::Stray, Found::Whole]);
    }

    #[test]
    fn a_line_of_the_greatest_length_passes_and_one_byte_more_is_counted_once() {
        assert_eq!(found(b"$123456789\n"), [(Found::Whole, "123456789".to_owned())]);
        assert_eq!(kinds(b"$1234567890123456789\n$a\n"), [Found::TooLong, Found::Whole]);
        assert_eq!(kinds(b"12345678901234567890$a\n"), [Found::TooLong, Found::Whole]);
    }

    #[test]
    fn bytes_that_are_no_text_are_data() {
        assert_eq!(kinds(b"\xff\x00\xfe\n$\xc3\n"), [Found::Stray, Found::Whole]);
    }

    #[test]
    fn memory_never_grows() {
        let mut lines = dollar();
        for byte in (0..100_000_u32).map(|i| (i % 251) as u8).filter(|b| *b != b'\n') {
            lines.push(byte);
            assert!(lines.line.len() < 10);
        }
    }

    #[test]
    fn a_line_without_a_beginning_of_its_own_begins_with_its_first_byte() {
        let whole = |text: &str| (Found::Whole, text.to_owned());
        let plain = made(None, LineEnd::Either);
        let mut lines = Lines::new(&plain);
        assert_eq!(found_by(&mut lines, b"\r\na$b\r\n\r\nc\r"), [whole("a$b"), whole("c")]);
        assert_eq!(
            found_by(&mut lines, b"12345678901\n1234567890\n"),
            [(Found::TooLong, String::new()), whole("1234567890")]
        );
    }

    #[test]
    fn half_a_line_at_the_beginning_is_given_up_where_nothing_tells_that_it_is_half() {
        let mut lines = Lines::joined_late(&made(None, LineEnd::Either));
        let whole = (Found::Whole, "123".to_owned());
        let half = (Found::Cut, String::new());
        assert_eq!(found_by(&mut lines, b"45\n123\n"), [half, whole.clone()]);
        let mut lines = Lines::joined_late(&made(None, LineEnd::Either));
        assert_eq!(found_by(&mut lines, b"\r\n123\n"), [whole]);
        let mut lines = Lines::joined_late(&made(Some(b'$'), LineEnd::Either));
        let whole = (Found::Whole, "1".to_owned());
        assert_eq!(found_by(&mut lines, b"$1\n"), [whole]);
    }

    #[test]
    fn a_line_may_end_with_a_byte_of_the_meters_own() {
        let mut lines = Lines::new(&made(None, LineEnd::Byte(b';')));
        let whole = |text: &str| (Found::Whole, text.to_owned());
        assert_eq!(found_by(&mut lines, b"a\nb;c;"), [whole("a\nb"), whole("c")]);
    }
}
