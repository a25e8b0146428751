//! Bytes to candidate sentences: finds `$…*hh` in whatever a port delivers, and checks
//! the checksum. Survives binary frames in between (UBX, SiRF, CASIC), torn, glued and
//! over-long sentences, and NULs; holds one sentence's bytes and no more.
//!
//! Knows nothing of what a sentence says, of ports or of clocks.

use crate::clock::BootInstant;

/// Longest sentence in bytes, from `$` to the second checksum digit. NMEA 0183 allows 82
/// with the line end; receivers of many constellations send up to 140. What is longer is
/// given up and counted, and the next `$` begins anew.
pub const MAX_SENTENCE: usize = 140;

/// One sentence whose checksum holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sentence<'a> {
    /// From `$` to the second checksum digit; printable ASCII alone.
    pub text: &'a str,
    /// Offset of the `$`, in bytes since the framer was made.
    pub start: u64,
    /// Offset of the byte after the checksum.
    pub end: u64,
    /// When the chunk that held the `$` was read.
    pub at: BootInstant,
}

/// Why something that began with `$` is no sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The checksum is another one.
    BadChecksum,
    /// The line ended without `*hh`.
    NoChecksum,
    /// It went on past [`MAX_SENTENCE`].
    Overlong,
    /// Another `$`, a byte that no sentence has, or a cut of the stream came before its end.
    Torn,
}

/// The framer: one byte in, at most one event out.
///
/// ```text
///  $GPGGA,030719.000,3747.0873,S,…,0000*7D<CR><LF>
///  │└─────────── exclusive or ────────┘ └┴─ in hexadecimal
///  └ a letter follows; from here bytes 20 to 7E alone, at most 140
/// ```
///
/// A sentence ends with its checksum, not with its line, so that one to which the next is
/// glued counts. (IEC 61162-1, 7.1: `$` and `*` are reserved and occur in no field.)
#[derive(Debug)]
pub struct Framer {
    text: String,
    state: State,
    start: u64,
    at: BootInstant,
    offset: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Outside,
    Body,
    /// After `*`, with so many of its two digits.
    Checksum(u8),
}

impl Default for Framer {
    fn default() -> Self {
        Self::new()
    }
}

impl Framer {
    /// A framer at offset 0.
    pub fn new() -> Self {
        Self {
            text: String::with_capacity(MAX_SENTENCE),
            state: State::Outside,
            start: 0,
            at: BootInstant::default(),
            offset: 0,
        }
    }

    /// Takes the next byte, which was read `at`.
    pub fn byte(&mut self, byte: u8, at: BootInstant) -> Option<Result<Sentence<'_>, Refusal>> {
        let offset = self.offset;
        self.offset += 1;
        match byte {
            b'$' => {
                let torn = self.give_up(Refusal::Torn);
                self.text.clear();
                self.text.push('$');
                self.state = State::Body;
                self.start = offset;
                self.at = at;
                torn.map(Err)
            }
            b'\r' | b'\n' => self.give_up(Refusal::NoChecksum).map(Err),
            0x20..=0x7e => self.extend(byte),
            _ => self.give_up(Refusal::Torn).map(Err),
        }
    }

    /// Nothing that comes from here on belongs to what came before.
    pub fn cut(&mut self) -> Option<Refusal> {
        self.give_up(Refusal::Torn)
    }

    /// A `$` alone is data, not a sentence that was lost.
    fn give_up(&mut self, why: Refusal) -> Option<Refusal> {
        let begun = self.state != State::Outside && self.text.len() > 1;
        self.state = State::Outside;
        begun.then_some(why)
    }

    fn extend(&mut self, byte: u8) -> Option<Result<Sentence<'_>, Refusal>> {
        if self.state == State::Outside {
            return None;
        }
        if self.text.len() == 1 && !byte.is_ascii_uppercase() {
            return self.give_up(Refusal::Torn).map(Err);
        }
        if self.text.len() >= MAX_SENTENCE {
            return self.give_up(Refusal::Overlong).map(Err);
        }
        self.text.push(char::from(byte));
        self.state = match self.state {
            _ if byte == b'*' => State::Checksum(0),
            State::Checksum(0) if byte.is_ascii_hexdigit() => State::Checksum(1),
            State::Checksum(1) if byte.is_ascii_hexdigit() => return Some(self.finish()),
            _ => State::Body,
        };
        None
    }

    fn finish(&mut self) -> Result<Sentence<'_>, Refusal> {
        self.state = State::Outside;
        let holds = self.text.rsplit_once('*').is_some_and(|(body, digits)| {
            let sum = body.bytes().skip(1).fold(0, |sum, byte| sum ^ byte);
            u8::from_str_radix(digits, 16) == Ok(sum)
        });
        if !holds {
            return Err(Refusal::BadChecksum);
        }
        Ok(Sentence { text: &self.text, start: self.start, end: self.offset, at: self.at })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ZDA: &str = "$GPZDA,202640.000,13,04,2015,,*54";

    fn frames(bytes: &[u8]) -> Vec<Result<(String, u64, u64), Refusal>> {
        let mut framer = Framer::new();
        bytes
            .iter()
            .filter_map(|&byte| {
                framer
                    .byte(byte, BootInstant(0))
                    .map(|found| found.map(|s| (s.text.to_owned(), s.start, s.end)))
            })
            .collect()
    }

    fn whole(start: u64) -> Result<(String, u64, u64), Refusal> {
        Ok((ZDA.to_owned(), start, start + ZDA.len() as u64))
    }

    #[test]
    fn a_sentence_is_known_at_its_checksum_before_the_line_ends() {
        assert_eq!(frames(ZDA.as_bytes()), [whole(0)]);
        assert_eq!(frames(format!("\n{ZDA}\r\n").as_bytes()), [whole(1)]);
        assert_eq!(frames(ZDA.to_lowercase().replace("gpzda", "GPZDA").as_bytes()), [whole(0)]);
    }

    #[test]
    fn glued_sentences_are_two() {
        assert_eq!(frames(format!("{ZDA}{ZDA}").as_bytes()), [whole(0), whole(ZDA.len() as u64)]);
    }

    #[test]
    fn a_dollar_within_a_sentence_begins_another() {
        let bytes = format!("$GPGSV,3,1,11,23,87,270,,13,68,270,{ZDA}");
        assert_eq!(frames(bytes.as_bytes()), [Err(Refusal::Torn), whole(35)]);
    }

    #[test]
    fn a_binary_byte_tears_a_sentence_and_the_next_one_is_found() {
        let mut bytes = b"$GPZDA,2026\0".to_vec();
        bytes.extend(b"40.000,13,04,2015,,*54\r\n");
        bytes.extend(ZDA.bytes());
        assert_eq!(frames(&bytes), [Err(Refusal::Torn), whole(36)]);
    }

    #[test]
    fn a_dollar_that_no_letter_follows_is_not_counted() {
        assert_eq!(frames(b"$\0$@SBF$$\r\n$ 5.00$1\xff"), []);
    }

    #[test]
    fn after_a_cut_the_other_half_of_a_sentence_is_none() {
        let mut framer = Framer::new();
        let (head, tail) = ZDA.as_bytes().split_at(20);
        assert!(head.iter().all(|&byte| framer.byte(byte, BootInstant(0)).is_none()));
        assert_eq!(framer.cut(), Some(Refusal::Torn));
        assert!(tail.iter().all(|&byte| framer.byte(byte, BootInstant(0)).is_none()));
        assert_eq!(framer.cut(), None, "the tail began nothing");
        let found = ZDA.bytes().find_map(|b| framer.byte(b, BootInstant(0)).map(|s| s.is_ok()));
        assert_eq!(found, Some(true));
    }

    #[test]
    fn a_wrong_checksum_and_none_are_told_apart() {
        assert_eq!(frames(b"$GPZDA,202640.000,13,04,2015,,*55"), [Err(Refusal::BadChecksum)]);
        assert_eq!(frames(b"$GPZDA,202640.000,13,04,2015,,\r\n"), [Err(Refusal::NoChecksum)]);
        assert_eq!(frames(b"$GPZDA,202640.000,13,04,2015,,*5\r\n"), [Err(Refusal::NoChecksum)]);
    }

    fn sealed(body: &str) -> String {
        let sum = body.bytes().fold(0u8, |sum, byte| sum ^ byte);
        format!("${body}*{sum:02X}")
    }

    #[test]
    fn a_sentence_of_140_bytes_passes_and_one_of_141_does_not() {
        let longest = sealed(&format!("GPTXT,{}", "x".repeat(130)));
        assert_eq!(longest.len(), MAX_SENTENCE);
        assert!(matches!(frames(longest.as_bytes()).as_slice(), [Ok(_)]));
        let longer = sealed(&format!("GPTXT,{}", "x".repeat(131)));
        assert_eq!(frames(longer.as_bytes()), [Err(Refusal::Overlong)]);
    }

    #[test]
    fn an_endless_line_and_endless_dollars_keep_one_sentence_of_memory() {
        for byte in *b"$A*0" {
            let mut framer = Framer::new();
            framer.byte(b'$', BootInstant(0));
            for _ in 0..100_000 {
                let _ = framer.byte(byte, BootInstant(0));
                assert!(framer.text.len() <= MAX_SENTENCE);
            }
            assert_eq!(framer.text.capacity(), MAX_SENTENCE);
        }
    }

    #[test]
    fn a_sentence_bears_the_time_of_its_first_byte() {
        let mut framer = Framer::new();
        let (head, tail) = ZDA.as_bytes().split_at(10);
        assert!(head.iter().all(|&byte| framer.byte(byte, BootInstant(100)).is_none()));
        let found = tail
            .iter()
            .find_map(|&byte| framer.byte(byte, BootInstant(900)).map(|found| found.map(|s| s.at)));
        assert_eq!(found, Some(Ok(BootInstant(100))));
    }

    proptest! {
        #[test]
        fn a_sentence_within_any_bytes_is_found(
            before in prop::collection::vec(any::<u8>(), 0..400),
            after in prop::collection::vec(any::<u8>(), 0..400),
        ) {
            let start = before.len() as u64;
            let bytes = [&before, ZDA.as_bytes(), &after].concat();
            prop_assert!(frames(&bytes).contains(&whole(start)));
        }
    }
}
