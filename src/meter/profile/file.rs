//! A profile's TOML, key by key, and what is refused in it. Knows no file system.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};
use toml::Spanned;

use super::{
    AsciiStream, Checksum, CounterTraits, Field, Layout, Profile, ProfileError, RestartFrom, Role,
    Source, Speaks,
};

/// The shortest and the longest line that may be configured, in bytes. Twice the longest
/// is all that a decoder ever holds.
const LINE_BYTES: std::ops::RangeInclusive<usize> = 16..=4096;
/// More columns than any meter sends.
const MOST_COLUMNS: usize = 256;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    kind: Kind,
    checksum: Checksum,
    max_line_bytes: Spanned<usize>,
    csv: Spanned<Csv>,
    fields: Spanned<BTreeMap<Role, Spanned<FileField>>>,
    counter: FileCounter,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    AsciiStream,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Csv {
    prefix: String,
    columns: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileField {
    position: usize,
    scale: Option<f64>,
    offset: Option<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileCounter {
    modulus: Option<Spanned<u64>>,
    seq_modulus: Option<Spanned<u32>>,
    restart_from: RestartFrom,
    #[serde(default)]
    rollover_register: bool,
}

impl<'de> Deserialize<'de> for RestartFrom {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct ZeroOrUnknown;
        impl Visitor<'_> for ZeroOrUnknown {
            type Value = RestartFrom;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("0 or \"unknown\"")
            }
            fn visit_i64<E: de::Error>(self, n: i64) -> Result<RestartFrom, E> {
                match n {
                    0 => Ok(RestartFrom::Zero),
                    _ => Err(E::invalid_value(de::Unexpected::Signed(n), &self)),
                }
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<RestartFrom, E> {
                match text {
                    "unknown" => Ok(RestartFrom::Unknown),
                    _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
                }
            }
        }
        from.deserialize_any(ZeroOrUnknown)
    }
}

/// Reads and checks a profile's text.
pub(super) fn read(name: &str, text: &str) -> Result<Profile, ProfileError> {
    let file: File = toml::from_str(text).map_err(|toml| ProfileError::Syntax {
        name: name.to_owned(),
        line: line_of(text, toml.span().map_or(0, |span| span.start)),
        toml,
    })?;
    let refuse = |at: usize, problem: String| ProfileError::Value {
        name: name.to_owned(),
        line: line_of(text, at),
        problem,
    };
    let (at, max_line_bytes) = (file.max_line_bytes.span().start, file.max_line_bytes.into_inner());
    if !LINE_BYTES.contains(&max_line_bytes) {
        let (least, most) = (LINE_BYTES.start(), LINE_BYTES.end());
        return Err(refuse(at, format!("max_line_bytes must be {least} to {most}")));
    }
    let (at, csv) = (file.csv.span().start, file.csv.into_inner());
    check_csv(&csv).map_err(|problem| refuse(at, problem))?;
    let at = file.fields.span().start;
    let fields = fields(file.fields.into_inner(), csv.columns, &refuse)?;
    if !fields.contains_key(&Role::RawCount) {
        return Err(refuse(at, "[fields] needs raw_count: volume comes from counts".to_owned()));
    }
    let counter = counter(file.counter, fields.contains_key(&Role::Sequence), &refuse)?;
    let Kind::AsciiStream = file.kind;
    Ok(Profile {
        name: name.to_owned(),
        speaks: Speaks::AsciiStream(AsciiStream {
            checksum: file.checksum,
            max_line_bytes,
            layout: Layout::Csv { prefix: csv.prefix, columns: csv.columns },
        }),
        fields,
        counter,
    })
}

fn check_csv(csv: &Csv) -> Result<(), String> {
    let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '$' | '*' | ',');
    if csv.prefix.is_empty() || !csv.prefix.chars().all(plain) {
        return Err("prefix must be printable ASCII without $ * and comma".to_owned());
    }
    if csv.columns == 0 || csv.columns > MOST_COLUMNS {
        return Err(format!("columns must be 1 to {MOST_COLUMNS}"));
    }
    Ok(())
}

fn fields(
    read: BTreeMap<Role, Spanned<FileField>>,
    columns: usize,
    refuse: &impl Fn(usize, String) -> ProfileError,
) -> Result<BTreeMap<Role, Field>, ProfileError> {
    let mut fields = BTreeMap::new();
    let mut taken: BTreeMap<usize, Role> = BTreeMap::new();
    for (role, field) in read {
        let (at, field) = (field.span().start, field.into_inner());
        let role_word = role.word();
        if field.position == 0 || field.position > columns {
            let problem = format!("{role_word}: position must be 1 to {columns} (columns)");
            return Err(refuse(at, problem));
        }
        if let Some(other) = taken.insert(field.position, role) {
            let (position, other) = (field.position, other.word());
            return Err(refuse(at, format!("{role_word}: position {position} is {other} already")));
        }
        if !role.is_quantity() && (field.scale.is_some() || field.offset.is_some()) {
            return Err(refuse(at, format!("{role_word} takes no scale and no offset")));
        }
        let (scale, offset) = (field.scale.unwrap_or(1.0), field.offset.unwrap_or(0.0));
        if !scale.is_finite() || scale == 0.0 || !offset.is_finite() {
            let problem = format!("{role_word}: scale and offset must be numbers, scale not 0");
            return Err(refuse(at, problem));
        }
        fields.insert(role, Field { source: Source::Position(field.position), scale, offset });
    }
    Ok(fields)
}

fn counter(
    read: FileCounter,
    has_sequence: bool,
    refuse: &impl Fn(usize, String) -> ProfileError,
) -> Result<CounterTraits, ProfileError> {
    if let Some(modulus) = read.modulus.as_ref().filter(|m| *m.get_ref() < 2) {
        return Err(refuse(modulus.span().start, "modulus must be 2 or more".to_owned()));
    }
    if let Some(modulus) = &read.seq_modulus {
        let at = modulus.span().start;
        if !(2..=65_536).contains(modulus.get_ref()) {
            return Err(refuse(at, "seq_modulus must be 2 to 65536".to_owned()));
        }
        if !has_sequence {
            return Err(refuse(at, "seq_modulus needs sequence in [fields]".to_owned()));
        }
    }
    Ok(CounterTraits {
        modulus: read.modulus.map(Spanned::into_inner),
        seq_modulus: read.seq_modulus.map(Spanned::into_inner),
        restart_from: read.restart_from,
        rollover_register: read.rollover_register,
    })
}

fn line_of(text: &str, at: usize) -> usize {
    1 + text.bytes().take(at).filter(|b| *b == b'\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RIG_LINE: &str = include_str!("../../../config/meters/rig-line.toml");

    fn line_and_problem(text: &str) -> (usize, String) {
        match read("test", text).unwrap_err() {
            ProfileError::Value { line, problem, .. } => (line, problem),
            ProfileError::Syntax { line, toml, .. } => (line, toml.message().to_owned()),
            other => panic!("{other:?}"),
        }
    }

    /// The shipped profile with one line replaced; the number of that line.
    fn with(old: &str, new: &str) -> (usize, String) {
        let at = RIG_LINE.find(old).unwrap();
        assert_eq!(RIG_LINE.matches(old).count(), 1, "{old}");
        (line_of(RIG_LINE, at), RIG_LINE.replace(old, new))
    }

    #[test]
    fn the_shipped_profile_says_what_the_rig_line_is() {
        let profile = read("rig-line", RIG_LINE).unwrap();
        assert!(profile.tells_serial());
        assert_eq!(profile.fields.len(), 8);
        assert_eq!(profile.fields[&Role::RawCount].source, Source::Position(3));
        assert_eq!(profile.fields[&Role::RunTime].source, Source::Position(8));
        let counter = CounterTraits {
            modulus: Some(1 << 32),
            seq_modulus: Some(65_536),
            restart_from: RestartFrom::Zero,
            rollover_register: false,
        };
        assert_eq!(profile.counter, counter);
        let Speaks::AsciiStream(stream) = profile.speaks;
        let layout = Layout::Csv { prefix: "FLOW".to_owned(), columns: 8 };
        assert_eq!((stream.layout, stream.checksum), (layout, Checksum::Xor8));
    }

    #[test]
    fn every_built_in_profile_is_valid_and_found_by_its_name() {
        for name in Profile::builtin_names() {
            assert_eq!(Profile::builtin(name).unwrap().unwrap().name, name);
        }
        assert!(Profile::builtin("no-such-meter").is_none());
    }

    #[test]
    fn a_mistake_is_reported_with_its_line() {
        for (old, new, says) in [
            ("rollover_register = false", "rollover_registr = false", "rollover_registr"),
            ("checksum = \"xor8\"", "checksum = \"crc\"", "crc"),
            ("kind = \"ascii-stream\"", "kind = \"smoke\"", "smoke"),
            ("restart_from = 0 ", "restart_from = 5 ", "0 or \"unknown\""),
            ("max_line_bytes = 160", "max_line_bytes = 5", "16 to 4096"),
            ("modulus = 4294967296", "modulus = 1", "2 or more"),
            ("seq_modulus = 65536", "seq_modulus = 65537", "2 to 65536"),
            (
                "battery_percent     = { position = 7 }",
                "battery_percent = { position = 9 }",
                "1 to 8",
            ),
            (
                "battery_percent     = { position = 7 }",
                "battery_percent = { position = 8 }",
                "8 is",
            ),
            ("battery_percent     = { position = 7 }", "battery = { position = 7 }", "battery"),
            (
                "battery_percent     = { position = 7 }",
                "battery_percent = { position = 7, scale = 0 }",
                "scale",
            ),
            (
                "raw_count           = { position = 3 }",
                "raw_count = { position = 3, scale = 2 }",
                "scale",
            ),
            ("rate                = { position = 4 }", "raw_count = { position = 4 }", "duplicate"),
        ] {
            let (line, text) = with(old, new);
            let (at, problem) = line_and_problem(&text);
            assert!(problem.contains(says), "{new}: {problem}");
            // Two fields at one place are reported at the later role.
            assert!(at == line || says == "8 is", "{new}: line {at}, not {line}");
        }
    }

    #[test]
    fn a_profile_without_a_count_or_with_half_a_sequence_is_refused() {
        let (_, text) = with("raw_count           = { position = 3 }", "");
        assert!(line_and_problem(&text).1.contains("raw_count"));
        let (_, text) = with("sequence            = { position = 2 }", "");
        assert!(line_and_problem(&text).1.contains("needs sequence"));
    }

    #[test]
    fn a_meter_that_keeps_its_count_says_unknown() {
        let (_, text) = with("restart_from = 0 ", "restart_from = \"unknown\" ");
        assert_eq!(read("x", &text).unwrap().counter.restart_from, RestartFrom::Unknown);
    }

    #[test]
    fn scale_and_offset_make_fahrenheit_of_celsius() {
        let (_, text) = with(
            "fluid_temperature   = { position = 5 }",
            "fluid_temperature = { position = 5, scale = 1.8, offset = 32 }",
        );
        let profile = read("x", &text).unwrap();
        assert_eq!(profile.fields[&Role::FluidTemperature].value(100.0), 212.0);
    }
}
