//! Who may know whom, and the rules of the house that a compiler doesn't know, read from
//! the sources with `syn`. Each rule is shown to fail on a made-up source that breaks it,
//! in the modules below `proofs`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

mod collect;
mod gated;
mod house;
mod judge;
mod lexed;
mod macros;
mod manifests;
mod proofs;
mod sources;
mod table;
mod tree;

use std::path::Path;
use std::sync::OnceLock;

use judge::Breach;
use sources::Sources;
use tree::Tree;

/// A package's sources, and the tree that they make.
struct Package {
    sources: Sources,
    tree: Tree,
}

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn agent() -> &'static Package {
    static AGENT: OnceLock<Package> = OnceLock::new();
    AGENT.get_or_init(|| {
        let sources = Sources::read(workspace(), &["src"]);
        let tree = Tree::grow(&sources, "spraylog", "");
        Package { sources, tree }
    })
}

fn bench() -> &'static Package {
    static BENCH: OnceLock<Package> = OnceLock::new();
    BENCH.get_or_init(|| {
        let sources = Sources::read(workspace(), &["hil-sim/src"]);
        let tree = Tree::grow(&sources, "hil_sim", "hil-sim/");
        Package { sources, tree }
    })
}

/// Tests and benchmarks, which belong to no tree.
fn loose() -> Sources {
    let dirs = ["tests", "benches", "examples", "hil-sim/tests", "hil-sim/benches"];
    Sources::read(workspace(), &dirs)
}

fn breaches() -> &'static [Breach] {
    static FOUND: OnceLock<Vec<Breach>> = OnceLock::new();
    FOUND.get_or_init(|| judge::breaches(&agent().tree))
}

fn none(what: &str, found: &[impl ToString]) {
    let lines: Vec<String> = found.iter().map(|one| format!("  {}", one.to_string())).collect();
    assert!(found.is_empty(), "{what}:\n{}", lines.join("\n"));
}

fn manifest(path: &str) -> String {
    std::fs::read_to_string(workspace().join(path)).unwrap()
}

#[test]
fn nobody_knows_whom_the_table_forbids() {
    none("imports against tests/layers/table.rs", &judge::unexcused(breaches()));
}

#[test]
fn every_module_is_in_the_table_and_every_entry_is_a_module() {
    none("the table and src/ differ", &judge::gaps_in_the_table(&agent().tree));
}

#[test]
fn a_door_holds_nothing_but_doors() {
    none("doors with code", &judge::doors_with_rooms_of_their_own(&agent().tree));
}

#[test]
fn every_exception_is_still_needed() {
    none("exceptions to take out", &judge::idle_exceptions(breaches()));
}

#[test]
fn the_agent_and_the_bench_share_no_code() {
    let agents = manifest("Cargo.toml");
    let may = ["dev-dependencies"];
    none("Cargo.toml", &manifests::dependencies_on("hil-sim", &agents, &may));
    let benchs = manifest("hil-sim/Cargo.toml");
    none("hil-sim/Cargo.toml", &manifests::dependencies_on("spraylog", &benchs, &[]));
    none("hil-sim's code", &manifests::code_that_names("spraylog", &bench().tree));
    none("spraylog's code", &manifests::code_that_names("hil_sim", &agent().tree));
}

#[test]
fn no_code_hides_from_this_test() {
    none("src", &house::hidden(&agent().tree));
    none("hil-sim/src", &house::hidden(&bench().tree));
}

#[test]
fn no_file_is_too_long_to_read() {
    let mut long = house::too_long(&agent().sources, &agent().tree);
    long.extend(house::too_long(&bench().sources, &bench().tree));
    none("longer than a file should be", &long);
    none("the command line is in src/cli", &house::long_main(&agent().sources));
}

#[test]
fn every_file_says_first_what_it_is_for() {
    let mut silent = house::without_opening(&agent().sources);
    silent.extend(house::without_opening(&bench().sources));
    silent.extend(house::without_opening(&loose()));
    none("files without `//!`", &silent);
}

#[test]
fn every_file_has_a_name_that_says_what_it_is_for() {
    let mut empty = house::empty_names(&agent().sources);
    empty.extend(house::empty_names(&bench().sources));
    empty.extend(house::empty_names(&loose()));
    none("names that say nothing", &empty);
}

#[test]
fn the_agent_ends_only_by_returning_from_main() {
    none("may end the agent", &house::endings(&agent().tree));
}

#[test]
fn unsafe_is_in_one_file_and_every_allowed_lint_has_its_reason() {
    let (mut unsafes, mut unreasoned) = house::of_loose_files(&loose());
    for package in [agent(), bench()] {
        unsafes.extend(package.tree.unsafes.iter().cloned());
        unreasoned.extend(package.tree.unreasoned.iter().cloned());
    }
    none("unsafe", &house::unsafes(&unsafes));
    none("lints", &house::unreasoned(&unreasoned));
    let kernel = unsafes.iter().any(|(file, _)| file == house::UNSAFE_FILE);
    assert!(kernel, "{} is unsafe no more: take it out", house::UNSAFE_FILE);
}
