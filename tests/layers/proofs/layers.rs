//! Each layer against the others, and the table against the modules.

use rstest::rstest;

use super::{breaches, tree};
use crate::judge;

#[rstest]
#[case::words_to_pure("src/reading.rs", "use crate::record::FlowState;", "record::flow::FlowState")]
#[case::words_to_edge("src/reading.rs", "use crate::port::Port;", "port::Port")]
#[case::words_to_a_room_below(
    "src/clock.rs",
    "pub mod source; use source::Clock;",
    "clock::source::Clock"
)]
#[case::pure_to_edge("src/record/flow.rs", "use crate::queue::Store;", "queue::store::Store")]
#[case::pure_to_edge_room("src/meter/counter.rs", "use super::load::load;", "meter::load::load")]
#[case::pure_to_flow("src/drain/machine.rs", "use super::Drain;", "drain::task::Drain")]
#[case::pure_to_agent("src/record/flow.rs", "use crate::agent;", "agent")]
#[case::edge_to_edge("src/port.rs", "mod reopen; use crate::queue::View;", "queue::view::View")]
#[case::edge_to_edge_of_one_parent("src/meter/load.rs", "use crate::link::Links;", "link::Links")]
#[case::edge_to_flow("src/queue/store.rs", "use crate::drain::Drain;", "drain::task::Drain")]
#[case::flow_to_edge_not_joined(
    "src/record/task.rs",
    "use crate::jobcloser::client::Client;",
    "jobcloser::client::Client"
)]
#[case::flow_to_writing_edge(
    "src/status/live.rs",
    "use crate::queue::Store;",
    "queue::store::Store"
)]
#[case::flow_to_flow(
    "src/drain/task.rs",
    "use crate::record::task::Record;",
    "record::task::Record"
)]
#[case::flow_to_agent("src/record/task.rs", "use crate::agent::start;", "agent::start")]
#[case::agent_to_cli("src/agent.rs", "use crate::cli;", "cli")]
#[case::cli_to_agent("src/cli/status.rs", "use crate::agent::start;", "agent::start")]
#[case::cli_to_writing_queue(
    "src/cli/status.rs",
    "use crate::queue::Store;",
    "queue::store::Store"
)]
#[case::cli_to_task("src/cli/status.rs", "use crate::drain::Drain;", "drain::task::Drain")]
#[case::main_to_queue(
    "src/main.rs",
    "use spraylog::queue::View; fn main() {}",
    "queue::view::View"
)]
#[case::door_to_another(
    "src/record.rs",
    "mod flow; mod ledger; pub mod task; pub use flow::FlowState; pub use crate::queue::View;",
    "queue::view::View"
)]
fn a_forbidden_import_is_found(#[case] file: &str, #[case] text: &str, #[case] imported: &str) {
    let importer = file.trim_start_matches("src/").trim_end_matches(".rs").replace('/', "::");
    assert_eq!(breaches(file, text), [format!("{importer} -> {imported}")]);
}

#[rstest]
#[case::words_to_words("src/reading.rs", "use crate::clock::UtcMs;")]
#[case::pure_to_words("src/record/flow.rs", "use crate::{clock::UtcMs, reading::{self, Seq}};")]
#[case::pure_to_pure(
    "src/record/flow.rs",
    "use super::ledger::Ledger; use crate::meter::counter::*;"
)]
#[case::pure_to_pure_through_a_door_with_edges(
    "src/record/flow.rs",
    "use crate::{drain::Machine, meter};"
)]
#[case::edge_to_pure("src/queue/store.rs", "use crate::jobcloser::wire::Stored;")]
#[case::edge_to_itself("src/queue/store.rs", "use super::{QueueError, view::View};")]
#[case::flow_to_joined_edges(
    "src/record/task.rs",
    "use crate::{port::Port, queue::Store, clock::source::Clock};"
)]
#[case::flow_to_itself(
    "src/drain/task.rs",
    "use super::machine::Machine; use crate::jobcloser::client::Client;"
)]
#[case::status_to_the_view("src/status/live.rs", "use crate::queue::View;")]
#[case::agent_to_all_below(
    "src/agent.rs",
    "use crate::{drain::Drain, link::Links, queue::Store, status::Live};"
)]
#[case::cli_to_its_list(
    "src/cli/status.rs",
    "use crate::{control::client::ask, queue::{QueueError, View}, status::snapshot};"
)]
#[case::run_to_agent("src/cli/run.rs", "use crate::agent::start;")]
#[case::the_name_of_another_crate(
    "src/record/flow.rs",
    "use config::Config; use jiff::Timestamp; type T = serde_json::Value;"
)]
#[case::words_in_a_comment(
    "src/record/flow.rs",
    "//! As [`crate::queue::Store`].\n/// [`super::task`]\npub struct S;"
)]
#[case::a_visibility("src/queue/store.rs", "pub(in crate::queue) struct S; pub(super) struct T;")]
fn an_import_that_the_table_allows_passes(#[case] file: &str, #[case] text: &str) {
    assert_eq!(breaches(file, text), [""; 0]);
}

#[test]
fn a_breach_is_told_with_file_line_and_rule() {
    let tree =
        tree(&[("src/port/reopen.rs", "pub struct Reopen;\n\nuse crate::{\n    queue::View,\n};")]);
    let told: Vec<String> = judge::breaches(&tree).iter().map(ToString::to_string).collect();
    let expected = "src/port/reopen.rs:4: port::reopen imports queue::view::View: \
                    the edge port may not: edges never know each other";
    assert_eq!(told, [expected]);
}

#[test]
fn a_new_file_without_a_layer_is_told_where_to_get_one() {
    let tree = tree(&[
        (
            "src/record.rs",
            "mod flow; mod ledger; mod nozzle; pub mod task; pub use flow::FlowState;",
        ),
        ("src/record/nozzle.rs", ""),
    ]);
    let gaps = judge::gaps_in_the_table(&tree);
    let expected = "src/record/nozzle.rs: record::nozzle has no layer; \
                    give it one in TABLE of tests/layers/table.rs";
    assert_eq!(gaps.iter().filter(|gap| gap.starts_with("src")).collect::<Vec<_>>(), [expected]);
}

#[test]
fn a_new_file_below_a_starred_entry_has_its_layer() {
    let changed = "mod store; mod view; mod nozzle; pub use store::Store; pub use view::View;";
    let tree =
        tree(&[("src/queue.rs", changed), ("src/queue/nozzle.rs", "use crate::link::Links;")]);
    assert!(!judge::gaps_in_the_table(&tree).iter().any(|gap| gap.contains("nozzle")));
    assert_eq!(judge::breaches(&tree).len(), 1);
}

#[test]
fn an_entry_for_a_module_that_is_gone_is_found() {
    let gaps = judge::gaps_in_the_table(&tree(&[]));
    assert!(gaps.contains(&"TABLE has units, and src/ has not".to_owned()), "{gaps:?}");
    assert!(!gaps.iter().any(|gap| gap.contains("port")), "{gaps:?}");
}

#[test]
fn an_exception_that_nobody_needs_is_found() {
    let idle = judge::idle_exceptions(&judge::breaches(&tree(&[])));
    assert!(idle.contains(&"stop no longer imports tokio::sync::watch".to_owned()), "{idle:?}");
}

#[test]
fn a_door_with_code_of_its_own_is_found() {
    let tree = tree(&[("src/jobcloser.rs", "pub mod client; pub mod wire; pub struct Extra;")]);
    let expected = "src/jobcloser.rs: jobcloser is a door, and holds code of its own";
    assert_eq!(judge::doors_with_rooms_of_their_own(&tree), [expected]);
}
