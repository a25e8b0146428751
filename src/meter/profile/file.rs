//! A profile's TOML, key by key, and what is refused in it. Knows no file system.

mod ascii;
mod fields;
mod modbus;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};
use toml::Spanned;

use super::{CounterTraits, Field, Profile, ProfileError, RestartFrom, Role, Speaks};
use ascii::{FileRequest, LineKeys};
use fields::{FileField, Ground};
use modbus::FileModbus;

/// The longest pause that may be configured, and the longest wait for an answer.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    kind: Spanned<Kind>,
    checksum: Option<Spanned<ascii::FileChecksum>>,
    checksum_start: Option<Spanned<String>>,
    checksum_marker: Option<Spanned<String>>,
    checksum_digits: Option<Spanned<super::lines::Digits>>,
    max_line_bytes: Option<Spanned<usize>>,
    line_end: Option<Spanned<String>>,
    csv: Option<Spanned<ascii::Csv>>,
    key_value: Option<Spanned<ascii::KeyValue>>,
    regex: Option<Spanned<ascii::FileRegex>>,
    request: Option<Vec<Spanned<FileRequest>>>,
    modbus: Option<Spanned<FileModbus>>,
    fields: Spanned<BTreeMap<Role, Spanned<FileField>>>,
    counter: Option<Spanned<FileCounter>>,
    battery: Option<Spanned<FileBattery>>,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    AsciiStream,
    AsciiPoll,
    ModbusRtu,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileCounter {
    modulus: Option<Spanned<u64>>,
    seq_modulus: Option<Spanned<u32>>,
    restart_from: RestartFrom,
    rollover_register: Option<bool>,
    power_up: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileBattery {
    curve: Vec<(f64, f64)>,
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

/// Something that is wrong, and the byte where it stands.
struct Wrong {
    at: usize,
    problem: String,
}

impl Wrong {
    fn at(at: usize, problem: impl Into<String>) -> Self {
        Self { at, problem: problem.into() }
    }
}

/// Reads and checks a profile's text.
pub(super) fn read(name: &str, text: &str) -> Result<Profile, ProfileError> {
    let file: File = toml::from_str(text).map_err(|toml| ProfileError::Syntax {
        name: name.to_owned(),
        line: line_of(text, toml.span().map_or(0, |span| span.start)),
        toml,
    })?;
    checked(name, file).map_err(|Wrong { at, problem }| ProfileError::Value {
        name: name.to_owned(),
        line: line_of(text, at),
        problem,
    })
}

fn checked(name: &str, file: File) -> Result<Profile, Wrong> {
    let (kind_at, kind) = (file.kind.span().start, file.kind.into_inner());
    let keys = LineKeys {
        checksum: file.checksum,
        start: file.checksum_start,
        marker: file.checksum_marker,
        digits: file.checksum_digits,
        max_line_bytes: file.max_line_bytes,
        line_end: file.line_end,
        csv: file.csv,
        key_value: file.key_value,
        regex: file.regex,
    };
    if let (Some(modbus), true) = (&file.modbus, kind != Kind::ModbusRtu) {
        return Err(Wrong::at(modbus.span().start, "[modbus] is for kind = \"modbus-rtu\""));
    }
    if let (Some(first), true) = (file.request.iter().flatten().next(), kind != Kind::AsciiPoll) {
        return Err(Wrong::at(first.span().start, "[[request]] is for kind = \"ascii-poll\""));
    }
    let (speaks, fields) = match kind {
        Kind::AsciiStream => {
            let lines = ascii::lines(keys, kind_at)?;
            let fields = fields::read(file.fields, &Ground::Lines(&lines.layout, &[]))?;
            (Speaks::AsciiStream(lines), fields)
        }
        Kind::AsciiPoll => {
            let poll = ascii::poll(keys, file.request.unwrap_or_default(), kind_at)?;
            let ground = Ground::Lines(&poll.lines.layout, &poll.requests);
            let fields = fields::read(file.fields, &ground)?;
            (Speaks::AsciiPoll(poll), fields)
        }
        Kind::ModbusRtu => {
            keys.none_set()?;
            let (modbus, numbering) = modbus::read(file.modbus)?;
            let fields = fields::read(file.fields, &Ground::Registers(numbering))?;
            (Speaks::ModbusRtu(modbus), fields)
        }
    };
    let counter = counter(file.counter, &fields, kind_at)?;
    let battery_curve = file.battery.map(curve).transpose()?.unwrap_or_default();
    Ok(Profile { name: name.to_owned(), speaks, fields, counter, battery_curve })
}

fn counter(
    read: Option<Spanned<FileCounter>>,
    fields: &BTreeMap<Role, Field>,
    kind_at: usize,
) -> Result<CounterTraits, Wrong> {
    let has = |role| fields.contains_key(&role);
    let counts = has(Role::RawCount) || has(Role::Total);
    let (at, read) = match read {
        Some(read) if counts => (read.span().start, read.into_inner()),
        Some(read) => {
            let problem = "[counter] is for meters that count; this one gives only a rate";
            return Err(Wrong::at(read.span().start, problem));
        }
        None if counts => {
            return Err(Wrong::at(kind_at, "[counter] with restart_from is needed"));
        }
        None => {
            return Ok(CounterTraits {
                modulus: None,
                seq_modulus: None,
                restart_from: RestartFrom::Zero,
                rollover_register: false,
                power_up: false,
            });
        }
    };
    if let Some(modulus) = read.modulus.as_ref().filter(|m| *m.get_ref() < 2) {
        return Err(Wrong::at(modulus.span().start, "modulus must be 2 or more"));
    }
    if let Some(modulus) = &read.seq_modulus {
        let at = modulus.span().start;
        if !(2..=65_536).contains(modulus.get_ref()) {
            return Err(Wrong::at(at, "seq_modulus must be 2 to 65536"));
        }
        if !has(Role::Sequence) {
            return Err(Wrong::at(at, "seq_modulus needs sequence in [fields]"));
        }
    }
    let told = |said: Option<bool>, key: &str, role: Role| match said {
        Some(true) if !has(role) => {
            Err(Wrong::at(at, format!("{key} needs {} in [fields]", role.word())))
        }
        said => Ok(said.unwrap_or(has(role))),
    };
    Ok(CounterTraits {
        modulus: read.modulus.map(Spanned::into_inner),
        seq_modulus: read.seq_modulus.map(Spanned::into_inner),
        restart_from: read.restart_from,
        rollover_register: told(read.rollover_register, "rollover_register", Role::Rollover)?,
        power_up: told(read.power_up, "power_up", Role::PowerUp)?,
    })
}

fn curve(battery: Spanned<FileBattery>) -> Result<Vec<(f64, f64)>, Wrong> {
    let (at, points) = (battery.span().start, battery.into_inner().curve);
    let sane = points.iter().all(|(v, p)| *v >= 0.0 && v.is_finite() && (0.0..=100.0).contains(p));
    let ascending = points.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1);
    if sane && ascending && points.len() != 1 {
        return Ok(points);
    }
    Err(Wrong::at(at, "curve must be two or more [volts, percent], both ascending"))
}

/// A time such as "50ms" or "2s".
fn duration(text: &Spanned<String>, least: Duration) -> Result<Duration, Wrong> {
    match humantime::parse_duration(text.get_ref()) {
        Ok(time) if (least..=LONGEST_WAIT).contains(&time) => Ok(time),
        _ => {
            let least = humantime::format_duration(least);
            let problem = format!("must be a time such as \"50ms\", {least} to 1m");
            Err(Wrong::at(text.span().start, problem))
        }
    }
}

fn line_of(text: &str, at: usize) -> usize {
    1 + text.bytes().take(at).filter(|b| *b == b'\n').count()
}

#[cfg(test)]
mod tests {
    use super::super::Source;
    use super::super::lines::{Algorithm, Checksum, Digits, Layout, LineEnd};
    use super::super::registers::{Bits, Decimals, Function, Holds, Order, Register};
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
            power_up: false,
        };
        assert_eq!(profile.counter, counter);
        let lines = profile.lines().unwrap();
        let layout = Layout::Csv { prefix: "FLOW".to_owned(), columns: 8, separator: b',' };
        let checksum = Checksum {
            algorithm: Algorithm::Xor8,
            start: Some(b'$'),
            marker: "*".to_owned(),
            digits: Digits::Hex,
        };
        assert_eq!((&lines.layout, &lines.checksum), (&layout, &Some(checksum)));
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
        let text = text.replace("rate                = { position = 4 }", "");
        assert!(line_and_problem(&text).1.contains("raw_count, total or rate"));
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
        assert_eq!(profile.fields[&Role::FluidTemperature].value(100.0, 0), 212.0);
    }

    const MODBUS: &str = r#"kind = "modbus-rtu"
[modbus]
function = 3
addressing = "4xxxx"
pause = "20ms"
[fields]
total = { register = 40212, type = "f32", order = "CDAB", unit = "m3", resolution = 0.001 }
rate = { register = 30242, type = "f32", unit = "m3/h" }
rollover = { register = 40232, type = "u16" }
power_up = { register = 40246, type = "u16" }
status = { register = 40300, type = "u16", bits = [4, 7] }
battery_volts = { register = 40301, type = "i16", decimals = { register = 40302, type = "u16" } }
[counter]
restart_from = "unknown"
"#;

    #[test]
    fn a_modbus_profile_names_registers_as_its_manual_does() {
        let profile = read("m", MODBUS).unwrap();
        let Speaks::ModbusRtu(modbus) = &profile.speaks else { panic!("{profile:?}") };
        assert_eq!(modbus.pause, Duration::from_millis(20));
        let word = |function, address, holds| Register {
            function,
            address,
            holds,
            order: Order::Abcd,
            bits: None,
        };
        let source = |role| profile.fields[&role].source.clone();
        let total = Register { order: Order::Cdab, ..word(Function::Holding, 211, Holds::F32) };
        assert_eq!(source(Role::Total), Source::Register(total));
        let rate = word(Function::Input, 241, Holds::F32);
        assert_eq!(source(Role::Rate), Source::Register(rate));
        let bits = Some(Bits { first: 4, last: 7 });
        let status = Register { bits, ..word(Function::Holding, 299, Holds::U16) };
        assert_eq!(source(Role::Status), Source::Register(status));
        let places = Decimals::Register(word(Function::Holding, 301, Holds::U16));
        assert_eq!(profile.fields[&Role::BatteryVolts].decimals, places);
        assert!(profile.counter.rollover_register && profile.counter.power_up);
        // A thousandth of a cubic metre is a litre.
        assert!((profile.counts_per_gallon().unwrap() - 3.785_411_784).abs() < 1e-9);
    }

    #[test]
    fn a_mistake_in_a_register_is_reported_with_its_line() {
        for (old, new, says) in [
            ("\"f32\", unit = \"m3/h\"", "\"f16\"", "f16"),
            ("unit = \"m3/h\"", "unit = \"m3\"", "rate: unit must be a volume by a time"),
            ("unit = \"m3/h\"", "unit = \"m3/h\", position = 1", "are for lines"),
            ("order = \"CDAB\"", "order = \"CABD\"", "CABD"),
            (", resolution = 0.001", "", "total: needs a resolution"),
            ("register = 40212", "register = 212", "40001 to 49999"),
            ("register = 40212", "register = 40212, function = 4", "is read with 03"),
            ("register = 40212, type", "type", "register is needed"),
            ("register = 40232", "register = 40246", "is rollover already"),
            ("40232, type = \"u16\"", "40232, type = \"f32\"", "a count has an integer type"),
            ("bits = [4, 7]", "bits = [7, 16]", "bits"),
            ("decimals = { register = 40302, type = \"u16\" }", "decimals = 16", "0 to 15"),
            ("decimals = { register = 40302, type = \"u16\" }", "decimals = \"x\"", "decimals"),
            ("type = \"i16\"", "type = \"string\", length = 4", "no number"),
            ("function = 3", "function = 6", "3 or 4"),
            ("pause = \"20ms\"", "pause = \"20\"", "must be a time"),
            ("addressing = \"4xxxx\"", "addressing = \"two\"", "two"),
            ("kind = \"modbus-rtu\"", "kind = \"ascii-stream\"", "[modbus] is for"),
        ] {
            assert_eq!(MODBUS.matches(old).count(), 1, "{old}");
            let at = line_of(MODBUS, MODBUS.find(old).unwrap());
            let (line, problem) = line_and_problem(&MODBUS.replace(old, new));
            assert!(problem.contains(says), "{new}: {problem}");
            let elsewhere = says.contains("already") || says.contains("[modbus]");
            assert!(line == at || elsewhere, "{new}: line {line}, not {at}");
        }
        let (line, problem) = line_and_problem(&format!("checksum = \"none\"\n{MODBUS}"));
        assert_eq!((line, problem.as_str()), (1, "checksum is for meters that send lines"));
    }

    const POLL: &str = r#"kind = "ascii-poll"
checksum = "sum8"
checksum_marker = "!"
line_end = "\r"
[regex]
pattern = '^(?<number>[-+0-9.E]+)(?<unit>.*)$'
[[request]]
send = 'PDQM\r\x0A\\'
[[request]]
send_hex = "50 44 0d"
pause = "50ms"
timeout = "200ms"
pattern = '^T(?<number>.*)$'
[fields]
rate = { request = 1, group = "number", unit = "L/s" }
fluid_temperature = { request = 2, group = "number", unit = "C" }
"#;

    #[test]
    fn a_meter_that_is_asked_has_its_questions() {
        let profile = read("p", POLL).unwrap();
        let lines = profile.lines().unwrap();
        assert_eq!((lines.line_end, lines.start()), (LineEnd::Byte(b'\r'), None));
        let [first, second] = profile.requests() else { panic!("{profile:?}") };
        assert_eq!(
            (first.send.as_slice(), second.send.as_slice()),
            (&b"PDQM\r\n\\"[..], &b"PD\r"[..])
        );
        assert_eq!((first.pause, second.pause), (Duration::ZERO, Duration::from_millis(50)));
        assert_eq!(profile.fields[&Role::FluidTemperature].request, 1);
        assert_eq!(profile.counter.restart_from, RestartFrom::Zero);
        assert!((profile.counts_per_gallon().unwrap() - 3_785.411_784).abs() < 1e-6);
    }

    #[test]
    fn a_mistake_in_a_question_is_reported_with_its_line() {
        for (old, new, says) in [
            ("'PDQM\\r\\x0A\\\\'", "'\\q'", "after \\ stands"),
            ("'PDQM\\r\\x0A\\\\'", "''", "1 to 256 bytes"),
            ("\"50 44 0d\"", "\"5 0 4\"", "pairs of hex digits"),
            ("pause = \"50ms\"", "send = 'x'", "one of send and send_hex"),
            ("timeout = \"200ms\"", "timeout = \"5ms\"", "10ms to 1m"),
            ("'^T(?<number>.*)$'", "'('", "pattern:"),
            ("request = 1", "request = 3", "request must be 1 to 2"),
            ("request = 1, ", "", "request is needed"),
            ("request = 2, group = \"number\"", "request = 2, group = \"unit\"", "no group unit"),
            ("request = 2, group = \"number\"", "request = 2, key = \"x\"", "needs group"),
            ("unit = \"L/s\"", "unit = \"L/s\", radix = 8", "10 or 16"),
            ("unit = \"L/s\"", "unit = \"L/s\", type = \"u16\"", "for modbus-rtu"),
            ("checksum_marker = \"!\"", "checksum_digits = \"decimal\"", "checksum_marker"),
            ("line_end = \"\\r\"", "line_end = \"ab\"", "line_end"),
        ] {
            assert_eq!(POLL.matches(old).count(), 1, "{old}");
            let at = line_of(POLL, POLL.find(old).unwrap());
            let (line, problem) = line_and_problem(&POLL.replace(old, new));
            assert!(problem.contains(says), "{new}: {problem}");
            assert!(line == at || says.contains("one of"), "{new}: line {line}, not {at}");
        }
    }

    #[test]
    fn a_layout_a_checksum_and_a_source_of_volume_are_needed() {
        let stream = "kind = \"ascii-stream\"\nchecksum = \"none\"\n";
        let fields = "[fields]\nrate = { key = \"FL\" }\n";
        let pairs = "[key_value]\nseparator = \",\"\nequals = \",\"\n";
        assert!(read("x", &format!("{stream}{pairs}{fields}")).is_ok());
        for (text, says) in [
            (format!("{stream}{fields}"), "one layout"),
            (format!("{stream}{pairs}[csv]\ncolumns = 2\n{fields}"), "one layout"),
            (format!("kind = \"ascii-stream\"\n{pairs}{fields}"), "checksum is needed"),
            (format!("{stream}checksum_marker = \"*\"\n{pairs}{fields}"), "no checksum that"),
            (format!("{stream}{pairs}[fields]\nstatus = {{ key = \"S\" }}\n"), "total or rate"),
            (format!("{stream}{pairs}{fields}raw_count = {{ key = \"N\" }}\n"), "[counter] with"),
            (
                format!("{stream}{pairs}{fields}[battery]\ncurve = [[12.7, 100], [11.8, 0]]\n"),
                "curve",
            ),
            (
                format!(
                    "{stream}{pairs}{fields}raw_count = {{ key = \"N\" }}\n\
                     total = {{ key = \"V\", resolution = 1 }}\n[counter]\nrestart_from = 0\n"
                ),
                "not from both",
            ),
        ] {
            let (_, problem) = line_and_problem(&text);
            assert!(problem.contains(says), "{text}: {problem}");
        }
    }
}
