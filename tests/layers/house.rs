//! The rules of the house that the sources keep: length, opening words, names, and what
//! code outside tests never does. Each finding is a line for a person.

use std::collections::BTreeMap;

use super::lexed::{Lexed, Place};
use super::sources::Sources;
use super::tree::{Target, Tree};

/// Lines of a file at most, what is there for tests not counted.
pub const FILE_LINES: usize = 350;
/// Lines of `main.rs` stay under this.
pub const MAIN_LINES: usize = 40;
/// Names that say nothing of what a file is for.
const EMPTY_NAMES: &[&str] = &["manager", "helper", "util", "common", "service"];
/// Macros that end the program where it stands.
const ENDING_MACROS: &[&str] = &["panic", "todo", "unimplemented", "unreachable"];
/// Methods that do.
const ENDING_METHODS: &[&str] = &["unwrap", "expect", "unwrap_err", "expect_err"];
/// The one file that may be unsafe.
pub const UNSAFE_FILE: &str = "src/clock/source/kernel.rs";

/// Files that are too long.
pub fn too_long(sources: &Sources, tree: &Tree) -> Vec<String> {
    let mut tests: BTreeMap<&str, usize> = BTreeMap::new();
    for module in tree.modules.values() {
        let lines: usize = module.tests.iter().map(|(first, last)| last - first + 1).sum();
        *tests.entry(&module.file).or_default() += lines;
    }
    let long = tests.into_iter().filter_map(|(file, tests)| {
        let lines = sources.text(file).lines().count() - tests;
        (lines > FILE_LINES).then(|| format!("{file}: {lines} lines outside its tests"))
    });
    long.collect()
}

/// Files that don't say first what they are for.
pub fn without_opening(sources: &Sources) -> Vec<String> {
    let silent = sources.0.iter().filter(|(_, text)| !text.starts_with("//! "));
    silent.map(|(file, _)| format!("{file}:1: opens without `//!`")).collect()
}

/// Where code outside tests may panic, or ends the process other than from `main`.
pub fn endings(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for (path, module) in &tree.modules {
        let mut tell = |line: usize, what: &str| {
            found.push(format!("{}:{line}: {what}", module.file));
        };
        for (line, name) in &module.methods {
            if ENDING_METHODS.contains(&name.as_str()) {
                tell(*line, &format!(".{name}()"));
            }
        }
        for (line, name) in &module.macros {
            if ENDING_MACROS.contains(&name.as_str()) {
                tell(*line, &format!("{name}!"));
            }
        }
        for said in module.mentions.iter().chain(module.uses.iter().map(|u| &u.said)) {
            for target in tree.meaning(path, said) {
                let Target::Beyond(names) = target else { continue };
                let last = names.last().map_or("", String::as_str);
                if path != "main" && names[0] == "std" && matches!(last, "exit" | "abort") {
                    tell(said.line, &names.join("::"));
                }
                // `.map(Result::unwrap)`.
                if names.len() > 1 && ENDING_METHODS.contains(&last) {
                    tell(said.line, &names.join("::"));
                }
            }
        }
    }
    found.sort();
    found.dedup();
    found
}

/// `include!` and `#[path]` bring code in from where nobody looks; and files that no `mod`
/// names are no code at all.
pub fn hidden(tree: &Tree) -> Vec<String> {
    let lost = tree.lost.iter().map(|((file, line), why)| format!("{file}:{line}: {why}"));
    let included = tree.modules.values().flat_map(|module| {
        let calls = module.macros.iter().filter(|(_, name)| name == "include");
        calls.map(|(line, _)| format!("{}:{line}: include!", module.file))
    });
    lost.chain(included).collect()
}

/// `unsafe` where it isn't allowed.
pub fn unsafes(found: &[Place]) -> Vec<String> {
    let elsewhere = found.iter().filter(|(file, _)| file != UNSAFE_FILE);
    elsewhere.map(|(file, line)| format!("{file}:{line}: unsafe")).collect()
}

/// Lints that are allowed, or expected, without a reason.
pub fn unreasoned(found: &[Place]) -> Vec<String> {
    found.iter().map(|(file, line)| format!("{file}:{line}: no reason given")).collect()
}

/// `main.rs` when it grows.
pub fn long_main(sources: &Sources) -> Vec<String> {
    let main = sources.0.get("src/main.rs").map_or(0, |text| text.lines().count());
    if main < MAIN_LINES { Vec::new() } else { vec![format!("src/main.rs: {main} lines")] }
}

/// Files and directories whose name says nothing.
pub fn empty_names(sources: &Sources) -> Vec<String> {
    let empty = |file: &&String| {
        let words = file.trim_end_matches(".rs").split(['/', '_', '-']);
        words.into_iter().any(|word| {
            let one = word.strip_suffix('s').unwrap_or(word);
            EMPTY_NAMES.contains(&word) || EMPTY_NAMES.contains(&one)
        })
    };
    sources.0.keys().filter(empty).map(|file| format!("{file}: what is it for?")).collect()
}

/// Lines with `unsafe`, and of lints without a reason, of files outside any tree.
pub fn of_loose_files(sources: &Sources) -> (Vec<Place>, Vec<Place>) {
    let (mut unsafes, mut unreasoned) = (Vec::new(), Vec::new());
    for (file, text) in &sources.0 {
        let lexed = Lexed::of(file, text);
        unsafes.extend(lexed.unsafes.iter().map(|line| (file.clone(), *line)));
        unreasoned.extend(lexed.unreasoned.iter().map(|line| (file.clone(), *line)));
    }
    (unsafes, unreasoned)
}
