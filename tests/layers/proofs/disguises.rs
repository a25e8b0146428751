//! One forbidden import, a pure module's of the queue's store, in all the ways to write
//! it; and the same where it is allowed, in tests.

use rstest::rstest;

use super::breaches;
use crate::judge;

/// What is said of each.
const FOUND: &str = "record::flow -> queue::store::Store";

#[rstest]
#[case::a_group("use crate::{clock::UtcMs, queue::{QueueError as _, Store}};")]
#[case::a_name_of_its_own("use crate::queue::Store as Shelf; fn f(_: Shelf) {}")]
#[case::no_name("use crate::queue::Store as _;")]
#[case::a_renamed_module("use crate::queue as shelf; fn f(_: shelf::Store) {}")]
#[case::a_renamed_crate("use crate as root; fn f(_: root::queue::Store) {}")]
#[case::the_crate_by_its_own_name("extern crate self as spraylog; use spraylog::queue::Store;")]
#[case::the_package_by_its_name("fn f(_: ::spraylog::queue::Store) {}")]
#[case::a_glob("use crate::queue::*;")]
#[case::a_glob_of_the_crate("use crate::*; fn f(_: queue::Store) {}")]
#[case::a_glob_through_another("mod a { pub use crate::*; } use a::*; fn f(_: queue::Store) {}")]
#[case::super_twice("use super::super::queue::Store;")]
#[case::self_and_super("use self::super::super::queue::{self, Store};")]
#[case::a_path_in_an_expression("fn f() { let _ = crate::queue::Store::open(); }")]
#[case::a_path_in_a_type("struct S { of: Vec<Option<crate::queue::Store>> }")]
#[case::a_path_in_a_bound("fn f<T: Into<crate::queue::Store>>() {}")]
#[case::a_qualified_path("fn f() { <super::super::queue::Store>::open(); }")]
#[case::a_pattern("fn f(a: u8) { match a { crate::queue::Store => {} } }")]
#[case::an_import_in_a_function("fn f() { use crate::queue::Store; }")]
#[case::a_name_of_the_module_above("mod a { use super::Shelf; } use crate::queue::Store as Shelf;")]
#[case::a_macros_arguments("fn f() { vec![crate::queue::Store] }")]
#[case::a_macro_in_a_macro("fn f() { assert!(matches!(x, Some(crate::queue::Store))); }")]
#[case::a_macros_body("macro_rules! m { () => { $crate::queue::Store }; }")]
#[case::an_import_in_a_macros_body(
    "macro_rules! m { () => { use crate::{clock, queue::{Store}}; }; }"
)]
#[case::an_attribute(
    "#[derive(Serialize)] struct S { #[serde(with = \"crate::queue::Store\")] a: u8 }"
)]
#[case::a_reexport("pub use crate::queue::Store;")]
#[case::unless_testing("#[cfg(not(test))] use crate::queue::Store;")]
#[case::with_testhooks("#[cfg(any(test, feature = \"testhooks\"))] use crate::queue::Store;")]
fn it_is_found(#[case] text: &str) {
    let found = breaches("src/record/flow.rs", text);
    assert!(found.contains(&FOUND.to_owned()), "{found:?}");
}

#[test]
fn a_module_within_the_file_is_a_module_too() {
    let text = "pub struct Port; mod reopen; mod deep { mod deeper { use super::super::super::queue::Store; } }";
    assert_eq!(breaches("src/port.rs", text), ["port::deep::deeper -> queue::store::Store"]);
}

#[test]
fn who_reexports_and_who_goes_through_are_both_charged() {
    let found = judge::breaches(&super::tree(&[
        ("src/reading.rs", "pub use crate::queue::Store as Shelf;"),
        ("src/record/flow.rs", "use crate::reading::Shelf;"),
    ]));
    let who: Vec<&str> = found.iter().map(|b| b.importer.as_str()).collect();
    assert_eq!(who, ["reading", "record::flow"]);
}

#[test]
fn a_module_that_uses_what_it_reexports_is_no_door() {
    let passes = "pub mod source; pub mod weeks; pub use source::Clock; pub struct UtcMs(pub i64);";
    assert_eq!(breaches("src/clock.rs", passes), [""; 0]);
    let uses = format!("{passes} fn f(_: Clock) {{}}");
    assert_eq!(breaches("src/clock.rs", &uses), ["clock -> clock::source::Clock"]);
}

#[test]
fn reexports_in_a_circle_come_to_an_end() {
    let found = judge::breaches(&super::tree(&[
        ("src/reading.rs", "pub use crate::clock::*; pub use crate::clock::Lost; use nowhere::*;"),
        (
            "src/clock.rs",
            "pub mod source; pub mod weeks; pub use crate::reading::*; pub use crate::reading::Lost;",
        ),
        ("src/record/flow.rs", "use crate::reading::Lost; fn f() { lost::found(); Lost::g() }"),
    ]));
    assert_eq!(found, []);
}

#[rstest]
#[case::a_module("#[cfg(test)] mod tests { use crate::queue::Store; }")]
#[case::a_module_with_more_attributes(
    "#[cfg(test)] #[allow(x)] mod tests { use crate::queue::Store; }"
)]
#[case::an_import("#[cfg(test)] use crate::queue::Store;")]
#[case::all_of_it("#[cfg(all(test, feature = \"x\"))] use crate::queue::Store;")]
#[case::a_test("#[tokio::test(start_paused = true)] async fn t() { crate::queue::Store; }")]
#[case::a_method("impl S { #[cfg(test)] fn t(_: crate::queue::Store) {} }")]
#[case::the_whole_file("#![cfg(test)] use crate::queue::Store;")]
fn a_test_may_know_everybody(#[case] text: &str) {
    assert_eq!(breaches("src/record/flow.rs", text), [""; 0]);
}

#[test]
fn a_file_for_tests_may_know_everybody_and_so_may_those_below_it() {
    let tree = super::tree(&[
        ("src/link.rs", "#[cfg(test)] mod tests;"),
        ("src/link/tests.rs", "mod more; use crate::queue::Store;"),
        ("src/link/tests/more.rs", "use crate::queue::Store;"),
    ]);
    assert_eq!(judge::breaches(&tree), []);
    assert_eq!(tree.lost, []);
}
