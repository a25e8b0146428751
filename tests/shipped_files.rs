//! What the shipped texts say of the program, held against the program. Knows only what
//! must not go out of step; whether the texts are any good is for a reader.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may")]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

fn shipped(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|err| panic!("{}: {err}", path.display()))
}

/// What stands between backticks, or in an indented block: what a reader would type.
fn typed(text: &str) -> Vec<&str> {
    let blocks = text.lines().filter_map(|line| line.strip_prefix("    "));
    let quoted = text.lines().flat_map(|line| line.split('`').skip(1).step_by(2));
    blocks.chain(quoted).collect()
}

/// The word after `program` wherever one of `lines` calls it.
fn asked_of<'a>(program: &str, lines: &[&'a str]) -> BTreeSet<&'a str> {
    let called = lines.iter().filter_map(|line| {
        let mut words = line.split_whitespace().skip_while(|word| *word == "sudo");
        words.next().filter(|first| *first == program)?;
        words.next()
    });
    called.filter(|word| word.chars().all(|c| c.is_ascii_lowercase())).collect()
}

/// The subcommands that the program's own help lists.
fn subcommands() -> BTreeSet<String> {
    let help = Command::new(env!("CARGO_BIN_EXE_spraylog")).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let (_, commands) = help.split_once("Commands:\n").unwrap();
    let commands = commands.lines().take_while(|line| !line.is_empty());
    commands.filter_map(|line| line.split_whitespace().next().map(str::to_owned)).collect()
}

#[test]
fn the_readme_and_the_makefile_know_the_same_targets() {
    let (readme, makefile) = (shipped("README.md"), shipped("Makefile"));
    let named = asked_of("make", &typed(&readme));
    let there: BTreeSet<&str> = makefile
        .lines()
        .filter_map(|line| line.split_once(": ## ").map(|(target, _)| target))
        .filter(|target| *target != "help")
        .collect();
    assert_eq!(named, there);
}

#[test]
fn the_readme_and_the_program_know_the_same_commands() {
    let readme = shipped("README.md");
    let named: BTreeSet<String> =
        asked_of("spraylog", &typed(&readme)).into_iter().map(str::to_owned).collect();
    let mut there = subcommands();
    there.remove("help");
    assert_eq!(named, there);
}

#[test]
fn every_file_that_the_readme_links_is_there() {
    let readme = shipped("README.md");
    let links = readme.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let mut seen = 0;
    for link in links.filter(|link| !link.contains("://")) {
        assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join(link).exists(), "{link}");
        seen += 1;
    }
    assert!(seen > 0);
}

#[test]
fn the_unit_never_gives_up() {
    let unit = shipped("systemd/spraylog.service");
    let lines: BTreeSet<&str> = unit.lines().map(str::trim).collect();
    for line in [
        "Type=notify",
        "Restart=always",
        "StartLimitIntervalSec=0",
        "LoadCredential=jobcloser:/etc/spraylog/credentials",
        "LimitCORE=0",
    ] {
        assert!(lines.contains(line), "{line}");
    }
    // Each of these can keep it from starting, for good or until something else happens.
    for prefix in
        ["ExecStartPre", "ExecCondition", "Condition", "Assert", "Requires=", "RestartPrevent"]
    {
        assert!(!lines.iter().any(|line| line.starts_with(prefix)), "{prefix}");
    }
    assert!(!lines.iter().any(|line| !line.starts_with('#') && line.contains("network-online")));
    // Forbids adjtimex, and with it the kernel's word that the clock is synchronised.
    assert!(!lines.contains("ProtectClock=yes"));
}

#[test]
fn the_changelog_has_this_version() {
    let heading = format!("## [{}]", env!("CARGO_PKG_VERSION"));
    assert!(shipped("CHANGELOG.md").lines().any(|line| line.starts_with(&heading)), "{heading}");
}
