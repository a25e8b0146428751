//! The rules at work on made-up sources: what they must catch, however it is written, and
//! what they must let pass.

mod disguises;
mod house;
mod layers;
mod outside;

use super::judge;
use super::sources::Sources;
use super::tree::Tree;

/// A small program with a module of every layer, all of whose names are in the real table.
const PROGRAM: &[(&str, &str)] = &[
    (
        "src/lib.rs",
        "pub mod agent; pub mod cli; pub mod clock; pub mod control; pub mod drain;
         pub mod jobcloser; pub mod link; pub mod meter; pub mod port; pub mod queue;
         pub mod reading; pub mod record; pub mod status;",
    ),
    ("src/main.rs", "fn main() { spraylog::cli::main() }"),
    ("src/agent.rs", "pub fn start() {}"),
    ("src/cli.rs", "mod run; mod status; pub fn main() {}"),
    ("src/cli/run.rs", ""),
    ("src/cli/status.rs", ""),
    ("src/clock.rs", "pub mod source; pub mod weeks; pub struct UtcMs(pub i64);"),
    ("src/clock/source.rs", "pub struct Clock;"),
    ("src/clock/weeks.rs", "pub fn snap() {}"),
    ("src/control.rs", "pub mod client; pub const LINE_MAX: usize = 1;"),
    ("src/control/client.rs", "pub fn ask() {}"),
    ("src/drain.rs", "mod machine; mod task; pub use machine::Machine; pub use task::Drain;"),
    ("src/drain/machine.rs", "pub struct Machine;"),
    ("src/drain/task.rs", "pub struct Drain;"),
    ("src/jobcloser.rs", "pub mod client; pub mod wire;"),
    ("src/jobcloser/client.rs", "pub struct Client;"),
    ("src/jobcloser/wire.rs", "pub struct Stored;"),
    ("src/link.rs", "pub struct Links;"),
    ("src/meter.rs", "pub mod counter; pub mod load; pub use load::load;"),
    ("src/meter/counter.rs", "pub struct Counter;"),
    ("src/meter/load.rs", "pub fn load() {}"),
    ("src/port.rs", "mod reopen; pub struct Port;"),
    ("src/port/reopen.rs", "pub struct Reopen;"),
    (
        "src/queue.rs",
        "mod store; mod view; pub use store::Store; pub use view::View; pub enum QueueError { A }",
    ),
    ("src/queue/store.rs", "pub struct Store;"),
    ("src/queue/view.rs", "pub struct View;"),
    ("src/reading.rs", "pub struct Seq(pub i64);"),
    ("src/record.rs", "mod flow; mod ledger; pub mod task; pub use flow::FlowState;"),
    ("src/record/flow.rs", "pub struct FlowState;"),
    ("src/record/ledger.rs", "pub struct Ledger;"),
    ("src/record/task.rs", "pub struct Record;"),
    ("src/status.rs", "mod live; pub use live::Live; pub fn snapshot() {}"),
    ("src/status/live.rs", "pub struct Live;"),
];

/// The program with these files instead of its own, or besides.
fn program(changed: &[(&str, &str)]) -> Sources {
    let mut sources = Sources::of(PROGRAM);
    sources.0.extend(Sources::of(changed).0);
    sources
}

fn tree(changed: &[(&str, &str)]) -> Tree {
    Tree::grow(&program(changed), "spraylog", "")
}

/// The breaches of the program with one file changed, as `importer -> imported`.
fn breaches(file: &str, text: &str) -> Vec<String> {
    let found = judge::breaches(&tree(&[(file, text)]));
    let unexcused = judge::unexcused(&found);
    unexcused.iter().map(|b| format!("{} -> {}", b.importer, b.imported)).collect()
}

#[test]
fn the_program_itself_is_without_fault() {
    let tree = tree(&[]);
    assert_eq!(judge::breaches(&tree), []);
    assert_eq!(tree.lost, []);
    assert_eq!(tree.modules.len(), PROGRAM.len());
}
