//! What a record's note says: the reading's id, its flags, segment and base, the age of a
//! reused fix. Knows no record.
//!
//! ```text
//! #ab3k9-1f start gap fix-age=74s seg=2 base=4.200000 the operator's text
//! ```
//!
//! Id, `seg=N base=G` and the flags: RULES.md, 9, 14 and 29. Base32 as Crockford writes
//! it, 0 to 9 and a to z without i, l, o and u.

/// A note, read.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Note {
    /// The database's tag and the reading's number in it.
    pub id: Option<(String, u64)>,
    /// Number of the segment within the span; 1 where nothing is said.
    pub segment: u64,
    /// Gallons of the segments before it.
    pub base_gal: f64,
    /// Age of a reused fix in seconds.
    pub fix_age_s: Option<f64>,
    words: Vec<String>,
}

impl Note {
    /// Reads a note; what it doesn't know is the operator's text.
    pub fn read(text: &str) -> Self {
        let mut note = Self { segment: 1, ..Self::default() };
        for word in text.split_whitespace() {
            if let Some(id) = word.strip_prefix('#') {
                note.id = note.id.or_else(|| read_id(id));
            } else if let Some((key, value)) = word.split_once('=') {
                match key {
                    "seg" => note.segment = value.parse().unwrap_or(1),
                    "base" => note.base_gal = value.parse().unwrap_or(0.0),
                    "fix-age" => note.fix_age_s = seconds(value),
                    _ => {}
                }
            } else {
                note.words.push(word.to_owned());
            }
        }
        note
    }

    /// Whether a flag is set.
    pub fn says(&self, flag: &str) -> bool {
        self.words.iter().any(|word| word == flag)
    }

    /// The reading's number.
    pub fn seq(&self) -> Option<u64> {
        self.id.as_ref().map(|(_, seq)| *seq)
    }
}

fn read_id(id: &str) -> Option<(String, u64)> {
    const DIGITS: &str = "0123456789abcdefghjkmnpqrstvwxyz";
    let (tag, digits) = id.split_once('-')?;
    let mut seq: u64 = 0;
    for c in digits.chars() {
        let value = DIGITS.find(c.to_ascii_lowercase())?;
        seq = seq.checked_mul(32)?.checked_add(value as u64)?;
    }
    (!digits.is_empty()).then(|| (tag.to_owned(), seq))
}

fn seconds(text: &str) -> Option<f64> {
    let (number, factor) = match text.strip_suffix("ms") {
        Some(number) => (number, 0.001),
        None => match text.strip_suffix('m') {
            Some(number) => (number, 60.0),
            None => (text.strip_suffix('s').unwrap_or(text), 1.0),
        },
    };
    number.parse::<f64>().ok().map(|value| value * factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_tells_its_number_its_segment_and_its_flags() {
        let note = Note::read("#ab3k9-1f start fix-age=74s seg=2 base=4.200000 by the fence");
        assert_eq!(note.id, Some(("ab3k9".into(), 47)));
        assert_eq!((note.segment, note.base_gal), (2, 4.2));
        assert_eq!(note.fix_age_s, Some(74.0));
        assert!(note.says("start") && !note.says("stop"));
    }

    #[test]
    fn a_note_without_an_id_is_a_first_segment() {
        let note = Note::read("spot spray # 4");
        assert_eq!((note.id, note.segment), (None, 1));
        assert_eq!(Note::read("#x-ul").id, None);
    }
}
