//! Bytes to bounded lines: whatever gpsd sends, at most one line's length is kept. Knows
//! nothing of what a line says.

use crate::clock::BootInstant;

/// Longest line in bytes, without its end. gpsd's own buffer for a report has 10,240
/// (GPS_JSON_RESPONSE_MAX in its gpsd.h, release 3.22), in later releases more.
pub(super) const MAX_LINE: usize = 64 * 1024;

/// The framer's memory: at most one line.
#[derive(Debug)]
pub(super) struct Lines {
    line: Vec<u8>,
    at: BootInstant,
    place: Place,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Between,
    Inside,
    Ended,
    Skipping,
}

/// A line that passed the length allowed; what follows of it is skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Overlong;

impl Lines {
    pub(super) fn new() -> Self {
        Self { line: Vec::new(), at: BootInstant::default(), place: Place::Between }
    }

    /// Takes the next byte, which was read `at`; gives the line that it ends, with the time
    /// of its first byte. A line ends with `\r`, `\n` or both; empty lines are nothing.
    pub(super) fn byte(
        &mut self,
        byte: u8,
        at: BootInstant,
    ) -> Option<Result<(&[u8], BootInstant), Overlong>> {
        let ends = matches!(byte, b'\r' | b'\n');
        match (self.place, ends) {
            (Place::Skipping | Place::Between | Place::Ended, true) => {
                self.place = Place::Between;
                None
            }
            (Place::Skipping, false) => None,
            (Place::Inside, true) => {
                self.place = Place::Ended;
                Some(Ok((&self.line, self.at)))
            }
            (Place::Between | Place::Ended, false) => {
                self.line.clear();
                self.line.push(byte);
                (self.at, self.place) = (at, Place::Inside);
                None
            }
            (Place::Inside, false) if self.line.len() >= MAX_LINE => {
                self.place = Place::Skipping;
                Some(Err(Overlong))
            }
            (Place::Inside, false) => {
                self.line.push(byte);
                None
            }
        }
    }

    /// Nothing that comes from here on belongs to what came before. Whether that broke a
    /// line off.
    pub(super) fn cut(&mut self) -> bool {
        std::mem::replace(&mut self.place, Place::Between) == Place::Inside
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(bytes: &[u8]) -> Vec<Result<(String, i64), Overlong>> {
        let mut lines = Lines::new();
        let text = |line: &[u8]| String::from_utf8_lossy(line).into_owned();
        let numbered = bytes.iter().zip(0..);
        numbered
            .filter_map(|(byte, i)| {
                let found = lines.byte(*byte, BootInstant(i))?;
                Some(found.map(|(line, at)| (text(line), at.0)))
            })
            .collect()
    }

    #[test]
    fn a_line_ends_with_cr_lf_or_both_and_bears_the_time_of_its_first_byte() {
        let three = [("a", 0), ("bc", 2), ("d", 6)].map(|(text, at)| Ok((text.to_owned(), at)));
        assert_eq!(lines(b"a\rbc\r\nd\n\r\n\n"), three);
    }

    #[test]
    fn a_line_that_never_ends_keeps_one_lines_memory_and_the_next_one_is_found() {
        let mut bytes = vec![b'x'; MAX_LINE];
        bytes.push(b'\n');
        assert!(matches!(lines(&bytes).as_slice(), [Ok((line, 0))] if line.len() == MAX_LINE));
        let mut endless = vec![b'x'; 10 * MAX_LINE];
        endless.extend(b"\nnext\n");
        let found = lines(&endless);
        assert!(matches!(found.as_slice(), [Err(Overlong), Ok((next, _))] if next == "next"));
        let mut framer = Lines::new();
        for byte in endless {
            let _ = framer.byte(byte, BootInstant(0));
            assert!(framer.line.len() <= MAX_LINE);
        }
    }

    #[test]
    fn a_cut_breaks_off_a_line_once_and_its_rest_is_none_of_it() {
        let mut lines = Lines::new();
        assert!(!lines.cut());
        assert!(b"half".iter().all(|b| lines.byte(*b, BootInstant(0)).is_none()));
        assert!(lines.cut() && !lines.cut());
        let found = b"new\n".iter().find_map(|b| lines.byte(*b, BootInstant(9)).map(|l| l.is_ok()));
        assert_eq!(found, Some(true));
        assert_eq!(lines.line, b"new");
    }
}
