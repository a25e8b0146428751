//! A configuration as TOML text: bare, for the copy of the last good one, and annotated,
//! for a person who wants to know what is in force and who said so. Both load again as
//! the same configuration. Writes no file.

use super::key::{Key, Section};
use super::layers::Loaded;
use super::problem::Origin;
use super::{Config, keys};

/// Width of the text of a comment.
const WIDTH: usize = 86;
/// Column at which the origin of a value begins, where there is room.
const ORIGIN_COLUMN: usize = 44;

/// Every key that has a value, without a comment.
pub(super) fn bare(config: &Config) -> String {
    let mut text = String::new();
    for section in keys::SECTIONS {
        push_heading(&mut text, section);
        for key in section.keys {
            if let Some(value) = (key.write)(config) {
                text.push_str(&format!("{} = {value}\n", key.name()));
            }
        }
    }
    text
}

/// Every key with its meaning, its value and where that comes from. `more` may add to a
/// key's line, as whether the file that it names can be read.
pub fn annotated(loaded: &Loaded, more: impl Fn(&Key) -> Option<String>) -> String {
    let mut text = String::from("# The configuration in force. After each value: who set it.\n");
    for section in keys::SECTIONS {
        text.push('\n');
        push_comment(&mut text, section.doc);
        push_heading(&mut text, section);
        for key in section.keys {
            text.push('\n');
            push_comment(&mut text, key.doc);
            let line = match shown(key, &loaded.config) {
                Some(value) => format!("{} = {value}", key.name()),
                None => format!("# {} is unset", key.name()),
            };
            let origin = loaded.origins.get(key.path).unwrap_or(&Origin::Default);
            text.push_str(&format!("{line:<ORIGIN_COLUMN$} # {origin}"));
            if let Some(more) = more(key) {
                text.push_str(&format!("; {more}"));
            }
            text.push('\n');
        }
    }
    text
}

/// A key's value as TOML: in the words of the reference where it is the default.
pub fn shown(key: &Key, config: &Config) -> Option<String> {
    let value = (key.write)(config)?;
    let default = (key.write)(&Config::default());
    Some(if default.as_ref() == Some(&value) { key.example_toml() } else { value })
}

fn push_heading(text: &mut String, section: &Section) {
    text.push_str(&format!("[{}]\n", section.name));
}

/// A comment, broken at spaces.
pub(super) fn push_comment(text: &mut String, words: &str) {
    let mut line = String::from("#");
    for word in words.split(' ') {
        if line.chars().count() + 1 + word.chars().count() > WIDTH {
            text.push_str(&line);
            text.push('\n');
            line = String::from("#");
        }
        line.push(' ');
        line.push_str(word);
    }
    text.push_str(&line);
    text.push('\n');
}
