//! What a misspelt word was probably meant to be. Knows only the words it is given.

/// Under this likeness (Jaro-Winkler, 0 to 1) two words are strangers: `baud` and `bauds`
/// are at 0.96, `fast` and `baud` at 0.5.
const ALIKE: f64 = 0.84;

/// How alike two words are that differ by one letter, or by two that changed places: a
/// short word's letters are too few to be alike otherwise (`gsp` and `gps` are at 0.56).
const ONE_SLIP: f64 = 0.9;

/// The candidate most like `word`, if any is like it.
pub(super) fn nearest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let word = word.to_lowercase();
    candidates
        .into_iter()
        .map(|c| (likeness(&word, &c.to_lowercase()), c))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, c)| c)
}

fn likeness(word: &str, candidate: &str) -> f64 {
    let alike = strsim::jaro_winkler(word, candidate);
    match strsim::osa_distance(word, candidate) {
        1 if word.len() > 2 => alike.max(ONE_SLIP),
        _ => alike,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_its_word_and_a_stranger_finds_none() {
        assert_eq!(nearest("bauds", ["port", "baud", "unit"]), Some("baud"));
        assert_eq!(nearest("Serial", ["port", "serial_number"]), Some("serial_number"));
        assert_eq!(nearest("gsp", ["meter", "gps", "job"]), Some("gps"));
        assert_eq!(nearest("colour", ["port", "baud", "unit"]), None);
    }
}
