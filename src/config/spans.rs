//! One TOML text as a list of keys with their lines. Says which names are unknown, which
//! values the parser can't hold, and where the syntax is wrong. Knows the table of keys,
//! and nothing of layers or files.

use config::{Value, ValueKind};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::key::{Key, Refusal};
use super::keys;
use super::suggest::nearest;

/// A known key that a text sets.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: &'static Key,
    /// From 1.
    pub(super) line: usize,
    pub(super) value: ValueKind,
}

/// Something wrong with the text.
#[derive(Debug)]
pub(super) struct Fault {
    /// From 1.
    pub(super) line: usize,
    /// In characters from 1, for a syntax error.
    pub(super) column: Option<usize>,
    /// Empty for a syntax error.
    pub(super) key: String,
    pub(super) refusal: Refusal,
}

/// What a text says.
#[derive(Debug, Default)]
pub(super) struct Spans {
    pub(super) entries: Vec<Entry>,
    pub(super) faults: Vec<Fault>,
    /// The text isn't TOML: the entries are those that could be made out.
    pub(super) broken: bool,
}

/// Reads a text. A broken one is read as far as it can be.
pub(super) fn read(text: &str) -> Spans {
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut spans = Spans { broken: !errors.is_empty(), ..Spans::default() };
    for error in &errors {
        let (line, column) = position(text, error.span().map_or(0, |span| span.start));
        if spans.faults.iter().all(|fault| fault.line != line) {
            spans.faults.push(Fault {
                line,
                column: Some(column),
                key: String::new(),
                refusal: format!("not valid TOML: {}", error.message()).into(),
            });
        }
    }
    let broken_lines: Vec<usize> = spans.faults.iter().map(|fault| fault.line).collect();
    walk(text, "", table.get_ref(), &mut spans);
    // What was made out of a broken line is a guess.
    spans.entries.retain(|entry| !broken_lines.contains(&entry.line));
    spans.faults.retain(|fault| fault.column.is_some() || !broken_lines.contains(&fault.line));
    spans
}

/// One TOML value, as after the `=` of a key.
pub(super) fn value(text: &str) -> Result<ValueKind, Refusal> {
    let value = DeValue::parse(text).map_err(|_| Refusal::from("can't be read as a TOML value"))?;
    kind(value.get_ref())
}

fn walk(text: &str, section: &str, table: &DeTable<'_>, spans: &mut Spans) {
    for (name, value) in table {
        let line = position(text, name.span().start).0;
        let path = joined(section, name.get_ref());
        let mut fault = |refusal: Refusal| {
            spans.faults.push(Fault { line, column: None, key: path.clone(), refusal })
        };
        if let Some(key) = keys::find(&path) {
            match kind(value.get_ref()) {
                Ok(value) => spans.entries.push(Entry { key, line, value }),
                Err(refusal) => fault(refusal),
            }
        } else if spans.broken && section.is_empty() && !value.get_ref().is_table() {
            // Its section's heading may be what is broken.
        } else if !is_section(&path) {
            fault(unknown(section, name));
        } else if let DeValue::Table(table) = value.get_ref() {
            walk(text, &path, table, spans);
        } else {
            fault(format!("is a section: write [{path}] on a line of its own").into());
        }
    }
}

fn is_section(path: &str) -> bool {
    keys::SECTIONS.iter().any(|section| section.name == path)
}

/// `section.name`; a name with anything but letters, digits, `_` and `-` in it is quoted,
/// so that `"meter.baud" = 1` at the top is not the baud of the meter.
fn joined(section: &str, name: &str) -> String {
    let plain =
        !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    let name = match plain {
        true => name.to_string(),
        false => format!("{:?}", name.chars().take(40).collect::<String>()),
    };
    match section {
        "" => name,
        section => format!("{section}.{name}"),
    }
}

/// The refusal of a name nobody knows. What it is set to is never repeated: it may be a
/// password that somebody thought belonged there.
fn unknown(section: &str, name: &Spanned<std::borrow::Cow<'_, str>>) -> Refusal {
    let message = match section {
        "" => "unknown section",
        _ => "unknown key",
    };
    Refusal { message: message.into(), suggestion: meant(section, name.get_ref()) }
}

/// In order: the same name elsewhere, one like it in the same section, one like it anywhere.
pub(super) fn meant(section: &str, name: &str) -> Option<String> {
    if let Some(key) = keys::all().find(|key| key.name() == name) {
        return Some(key.path.to_string());
    }
    let children = keys::all()
        .map(|key| key.path)
        .chain(keys::SECTIONS.iter().map(|section| section.name))
        .filter_map(|path| match section {
            "" => Some(path),
            section => path.strip_prefix(section)?.strip_prefix('.'),
        })
        .filter(|rest| !rest.contains('.'));
    if let Some(child) = nearest(name, children) {
        return Some(child.to_string());
    }
    let leaf = nearest(name, keys::all().map(Key::name))?;
    keys::all().find(|key| key.name() == leaf).map(|key| key.path.to_string())
}

/// Line and column from 1, the column in characters.
fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |last| last.chars().count()) + 1;
    (line, column)
}

fn kind(value: &DeValue<'_>) -> Result<ValueKind, Refusal> {
    Ok(match value {
        DeValue::String(text) => ValueKind::String(text.to_string()),
        DeValue::Integer(n) => {
            let n = i64::from_str_radix(n.as_str(), n.radix());
            ValueKind::I64(n.map_err(|_| Refusal::from("is a larger number than can be held"))?)
        }
        DeValue::Float(x) => match x.as_str().parse::<f64>() {
            Ok(x) if x.is_finite() => ValueKind::Float(x),
            _ => return Err("must be a finite number: not inf, not nan".into()),
        },
        DeValue::Boolean(flag) => ValueKind::Boolean(*flag),
        DeValue::Array(items) => {
            let items = items.iter().map(|item| Ok(Value::new(None, kind(item.get_ref())?)));
            ValueKind::Array(items.collect::<Result<_, Refusal>>()?)
        }
        DeValue::Datetime(_) => return Err("is a date: no key takes one".into()),
        DeValue::Table(_) => return Err("is a key with one value, not a section".into()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn only_fault(text: &str) -> Fault {
        let mut faults = read(text).faults;
        assert_eq!(faults.len(), 1, "{faults:?}");
        faults.remove(0)
    }

    #[test]
    fn keys_have_their_lines_in_every_form_of_table() {
        let text = "\n[meter]\r\nbaud = 4800 # x\r\ncounter.modulus = 65536\n[meter.calibration]\nfactor = 1\n";
        let lines: Vec<_> = read(text).entries.iter().map(|e| (e.key.path, e.line)).collect();
        assert!(lines.contains(&("meter.baud", 3)), "{lines:?}");
        assert!(lines.contains(&("meter.counter.modulus", 4)), "{lines:?}");
        assert!(lines.contains(&("meter.calibration.factor", 6)), "{lines:?}");
        assert_eq!(read("gps = { baud = 1 }").entries[0].key.path, "gps.baud");
    }

    #[test]
    fn a_quoted_dotted_name_is_not_the_key_it_looks_like() {
        let fault = only_fault("\"meter.baud\" = 9600");
        assert_eq!(fault.refusal.message, "unknown section");
    }

    #[test]
    fn what_was_meant_is_found_near_and_far() {
        assert_eq!(meant("meter", "bauds").as_deref(), Some("baud"));
        assert_eq!(meant("meter", "max_rate_gpm").as_deref(), Some("meter.counter.max_rate_gpm"));
        assert_eq!(meant("", "metre").as_deref(), Some("meter"));
        assert_eq!(meant("meter", "calibraton").as_deref(), Some("calibration"));
        assert_eq!(meant("jobcloser", "password").as_deref(), Some("password_file"));
        assert_eq!(meant("device", "colour"), None);
    }

    #[test]
    fn a_syntax_error_has_line_and_column_and_the_rest_is_still_read() {
        let spans = read("[meter]\nbaud = 4800\nframing = \"8N1\nbauds = 1\n[gps]\nbaud = 9600\n");
        assert!(spans.broken);
        assert_eq!(spans.faults[0].line, 3);
        assert!(spans.faults[0].column.is_some());
        assert!(spans.entries.iter().any(|e| e.key.path == "gps.baud"), "{spans:?}");
        assert!(spans.faults.iter().any(|f| f.key == "meter.bauds"), "{spans:?}");
    }

    #[test]
    fn what_follows_a_broken_heading_is_not_called_unknown() {
        let spans = read("[gps\nbaud = 4800\ncolour = 5\n[meter]\nbauds = 1\n");
        let keys: Vec<_> = spans.faults.iter().map(|fault| fault.key.as_str()).collect();
        assert_eq!(keys, ["", "meter.bauds"]);
    }

    #[test]
    fn nesting_without_end_is_refused_and_does_not_overflow_the_stack() {
        let deep = 100_000;
        for text in [
            format!("x = {}", "[".repeat(deep)),
            format!("x = {}", "{a=".repeat(deep)),
            format!("meter.baud{} = 1", ".a".repeat(deep)),
            format!("[meter{}]", ".a".repeat(deep)),
        ] {
            assert!(!read(&text).faults.is_empty());
        }
    }

    #[test]
    fn numbers_that_do_not_fit_are_told_with_their_key() {
        for text in
            ["[meter]\nbaud = 99999999999999999999", "[meter]\nbaud = inf", "[meter]\nbaud = 1e999"]
        {
            let fault = only_fault(text);
            assert_eq!((fault.line, fault.key.as_str()), (2, "meter.baud"));
        }
    }

    #[test]
    fn a_section_is_not_a_value_nor_a_value_a_section() {
        assert!(only_fault("meter = 5").refusal.message.contains("[meter]"));
        assert!(only_fault("[[meter]]\nbaud = 5").refusal.message.contains("[meter]"));
        assert_eq!(only_fault("[meter.baud]\nx = 5").key, "meter.baud");
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[\\[\\]a-c=\"'.{}\n\r0-9é_#,-]{0,60}") {
            read(&text);
            let _ = value(&text);
        }
    }
}
