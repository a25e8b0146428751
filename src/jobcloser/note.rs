//! The note of a record: the reading's id, its flags, the operator's text (RULES.md, 29).
//! The id is how a record is recognised where the server gives notes back.
//!
//! ```text
//! #ab3k9-1f start gap Back fence, wind 4 mph
//! │└─┬─┘ └┤ └───┬───┘ └─────────┬──────────┘
//! │  │    │   flags     the operator's text
//! │  │    sequence number, base32
//! │  the database's tag, 5 base32 characters
//! always '#'
//! ```
//!
//! Base32 is Crockford's alphabet in lower case: no i, l, o or u to misread aloud. Knows
//! neither what the flags mean nor which database it is.

use crate::reading::Seq;

/// Characters of a note at most; counted as UTF-16 units, as .NET and SQL Server count
/// them, so that it never holds more characters than this by any count.
pub const NOTE_MAX: usize = 250;

/// Characters of a [`Tag`].
pub const TAG_LEN: usize = 5;

/// Crockford's base32, lower case.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// What tells one database's readings from another's: 5 base32 characters, chosen at
/// random when the database is made.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Tag(String);

impl Tag {
    /// From 25 random bits; higher bits are ignored.
    pub fn from_random(bits: u32) -> Self {
        let digits = (0..TAG_LEN).rev().map(|place| digit(u64::from(bits) >> (5 * place)));
        Self(digits.collect())
    }

    /// From its text, in either case; `None` for what is not 5 base32 characters.
    pub fn parse(text: &str) -> Option<Self> {
        let lower = text.to_ascii_lowercase();
        let fits = lower.len() == TAG_LEN && lower.chars().all(|c| value(c).is_some());
        fits.then_some(Self(lower))
    }

    /// Its 5 characters, lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The note of reading `seq` of the database tagged `db`: its id, then `words` (flags),
/// then the operator's `text`, cut at [`NOTE_MAX`]. Control characters become spaces.
pub fn compose(db: &str, seq: Seq, words: &[String], text: &str) -> String {
    let id = format!("#{db}-{}", base32(seq.0.unsigned_abs()));
    let parts = std::iter::once(id.as_str())
        .chain(words.iter().map(String::as_str))
        .chain(std::iter::once(text.trim()))
        .filter(|part| !part.is_empty());
    let mut note = String::new();
    let mut units = 0;
    for (nth, part) in parts.enumerate() {
        let gap = (nth > 0).then_some(' ');
        for c in gap.into_iter().chain(part.chars()) {
            units += c.len_utf16();
            if units > NOTE_MAX {
                return note;
            }
            note.push(if c.is_control() { ' ' } else { c });
        }
    }
    note
}

/// The sequence number in a note of the database tagged `db`; `None` where the note
/// carries no id, another database's, or one that was cut. Case doesn't matter, nor what
/// stands before the id. The first id counts: the operator's text, which may quote
/// another, comes after it.
pub fn id_in(note: &str, db: &str) -> Option<Seq> {
    note.split_whitespace().find_map(|word| {
        let (tag, seq) = word.strip_prefix('#')?.split_once('-')?;
        tag.eq_ignore_ascii_case(db).then(|| from_base32(seq)).flatten()
    })
}

fn base32(mut number: u64) -> String {
    let mut digits = vec![digit(number)];
    while number >= 32 {
        number /= 32;
        digits.push(digit(number));
    }
    digits.iter().rev().collect()
}

fn from_base32(text: &str) -> Option<Seq> {
    if text.is_empty() {
        return None;
    }
    let number = text.chars().try_fold(0_i64, |sum, c| {
        sum.checked_mul(32)?.checked_add(i64::try_from(value(c.to_ascii_lowercase())?).ok()?)
    })?;
    Some(Seq(number))
}

/// The digit of the lowest five bits.
fn digit(number: u64) -> char {
    ALPHABET.get((number % 32) as usize).map_or('0', |b| char::from(*b))
}

fn value(c: char) -> Option<usize> {
    ALPHABET.iter().position(|b| char::from(*b) == c)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn words(list: &[&str]) -> Vec<String> {
        list.iter().map(|w| (*w).to_owned()).collect()
    }

    #[test]
    fn a_note_is_the_id_then_the_flags_then_the_text() {
        let note = compose("ab3k9", Seq(47), &words(&["start", "gap"]), " Back fence ");
        assert_eq!(note, "#ab3k9-1f start gap Back fence");
        assert_eq!(compose("ab3k9", Seq(0), &[], ""), "#ab3k9-0");
    }

    #[test]
    fn a_long_text_is_cut_at_its_end_and_never_inside_a_character() {
        let note = compose("ab3k9", Seq(1), &words(&["stop"]), &"é".repeat(400));
        assert_eq!(note.chars().count(), NOTE_MAX);
        assert!(note.starts_with("#ab3k9-1 stop éé"));
        let note = compose("ab3k9", Seq(1), &[], &"🐜".repeat(400));
        assert!(note.encode_utf16().count() <= NOTE_MAX);
        assert!(note.ends_with('🐜'));
    }

    #[test]
    fn a_line_break_in_the_text_does_not_break_the_note() {
        assert_eq!(compose("ab3k9", Seq(1), &[], "one\r\ntwo"), "#ab3k9-1 one  two");
    }

    #[test]
    fn an_id_is_found_whatever_the_server_did_to_its_case_or_its_surroundings() {
        assert_eq!(id_in("#ab3k9-1f start", "ab3k9"), Some(Seq(47)));
        assert_eq!(id_in("  #AB3K9-1F", "ab3k9"), Some(Seq(47)));
        assert_eq!(id_in("checked by Ann: #ab3k9-1f", "ab3k9"), Some(Seq(47)));
        assert_eq!(id_in("#ab3k9-1f see #ab3k9-2", "ab3k9"), Some(Seq(47)));
    }

    #[test]
    fn nothing_else_is_taken_for_an_id() {
        for other in [
            "",
            "#",
            "#ab3k9",
            "#ab3k9-",
            "#zzzzz-1f",
            "ab3k9-1f",
            "x#ab3k9-1f",
            "#ab3k9-1u",
            "#ab3k9-zzzzzzzzzzzzzzzzzz",
            "#ab3k9-1f,",
            "# ab3k9-1f",
        ] {
            assert_eq!(id_in(other, "ab3k9"), None, "{other}");
        }
    }

    #[test]
    fn a_tag_is_five_characters_that_nobody_misreads() {
        assert_eq!(Tag::from_random(0).as_str(), "00000");
        assert_eq!(Tag::from_random(u32::MAX).as_str(), "zzzzz");
        assert_eq!(Tag::from_random(32 * 32 * 10 + 31).as_str(), "00a0z");
        assert_eq!(Tag::parse("AB3K9"), Tag::parse("ab3k9"));
        for bad in ["", "ab3k", "ab3k9x", "abcil", "ab-k9", "ab3é"] {
            assert_eq!(Tag::parse(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn every_id_survives_its_note(bits: u32, seq in 0..i64::MAX, text in "\\PC*") {
            let db = Tag::from_random(bits);
            let note = compose(db.as_str(), Seq(seq), &words(&["gap"]), &text);
            prop_assert_eq!(id_in(&note, db.as_str()), Some(Seq(seq)));
            prop_assert!(note.chars().count() <= NOTE_MAX);
        }

        #[test]
        fn no_note_panics(note in "\\PC*", db in "\\PC{0,6}") {
            let _ = id_in(&note, &db);
            let _ = compose(&db, Seq(i64::MIN), std::slice::from_ref(&note), &note);
        }
    }
}
