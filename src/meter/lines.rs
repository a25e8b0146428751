//! Bytes to bounded lines that begin with `$`: whatever comes in, at most one line's
//! length is kept, and every byte outside a whole line belongs to something counted.
//! Knows no checksum and no fields.
//!
//! ```text
//!   noise\r\n $FLOW,7,1 $FLOW,7,2,31,…*5C \r\n
//!   └ Stray ┘ └  Cut  ┘ └─── Whole ─────┘
//! ```

/// What ends here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// A line from `$` to its end; [`Lines::line`] has it until the next byte is pushed.
    Whole,
    /// A line that another `$` cut short.
    Cut,
    /// A line that doesn't begin with `$`.
    Stray,
    /// A line that passed the length allowed; what follows of it is skipped.
    TooLong,
}

/// The framer's memory: at most one line.
#[derive(Debug, Clone)]
pub(super) struct Lines {
    max_bytes: usize,
    line: Vec<u8>,
    place: Place,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Between,
    Inside,
    Stray { bytes: usize },
    Skipping,
}

impl Lines {
    /// `max_bytes` counts the `$` but not the line's end.
    pub(super) fn new(max_bytes: usize) -> Self {
        Self { max_bytes, line: Vec::with_capacity(max_bytes), place: Place::Between }
    }

    /// The line that [`Found::Whole`] announced, without its `$` and its end.
    pub(super) fn line(&self) -> &[u8] {
        &self.line
    }

    /// Takes one byte; says what it ended, if anything. A line ends with `\r`, `\n` or
    /// both; empty lines are nothing.
    pub(super) fn push(&mut self, byte: u8) -> Option<Found> {
        match byte {
            b'\r' | b'\n' => self.end(),
            b'$' => {
                let found = match self.end() {
                    Some(Found::Whole) => Some(Found::Cut),
                    other => other,
                };
                self.line.clear();
                self.place = Place::Inside;
                found
            }
            _ => self.inside(byte),
        }
    }

    /// Nothing follows any more: what the last bytes are.
    pub(super) fn end(&mut self) -> Option<Found> {
        match std::mem::replace(&mut self.place, Place::Between) {
            Place::Between | Place::Skipping => None,
            Place::Inside => Some(Found::Whole),
            Place::Stray { .. } => Some(Found::Stray),
        }
    }

    fn inside(&mut self, byte: u8) -> Option<Found> {
        let bytes = match self.place {
            Place::Skipping => return None,
            Place::Between => 1,
            Place::Stray { bytes } => bytes + 1,
            Place::Inside => self.line.len() + 2,
        };
        if bytes > self.max_bytes {
            self.place = Place::Skipping;
            return Some(Found::TooLong);
        }
        match self.place {
            Place::Inside => self.line.push(byte),
            _ => self.place = Place::Stray { bytes },
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(bytes: &[u8]) -> Vec<(Found, String)> {
        let mut lines = Lines::new(10);
        bytes
            .iter()
            .filter_map(|b| {
                let what = lines.push(*b)?;
                let text = if what == Found::Whole { lines.line() } else { &[] };
                Some((what, String::from_utf8_lossy(text).into_owned()))
            })
            .collect()
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
        let mut lines = Lines::new(10);
        for byte in (0..100_000_u32).map(|i| (i % 251) as u8).filter(|b| *b != b'\n') {
            lines.push(byte);
            assert!(lines.line.len() < 10);
        }
    }
}
