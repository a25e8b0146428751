//! The rules of the house on files that break them, and on files that only look so.

use rstest::rstest;

use super::{program, tree};
use crate::house;
use crate::sources::Sources;

fn lines(count: usize) -> String {
    "//\n".repeat(count)
}

fn long(text: &str) -> Vec<String> {
    let changed = [("src/link.rs", text), ("src/link/tests.rs", &lines(400))];
    house::too_long(&program(&changed), &tree(&changed))
}

#[test]
fn a_file_is_measured_without_its_tests() {
    assert_eq!(long(&lines(350)), [""; 0]);
    assert_eq!(long(&lines(351)), ["src/link.rs: 351 lines outside its tests"]);
    let tested = lines(349) + "#[cfg(test)]\nmod tests {\n" + &lines(100) + "}\n";
    assert_eq!(long(&tested), [""; 0]);
    assert_eq!(long(&(tested + "//\n//\n")), ["src/link.rs: 351 lines outside its tests"]);
}

#[test]
fn a_gated_line_at_the_top_hides_no_length() {
    let text = "#[cfg(test)]\nuse a::b;\n".to_owned() + &lines(351);
    assert_eq!(long(&text), ["src/link.rs: 351 lines outside its tests"]);
    let text = "#[cfg(test)]\nmod tests;\n".to_owned() + &lines(350);
    assert_eq!(long(&text), [""; 0], "and tests.rs is as long as it likes");
}

#[test]
fn a_main_that_grows_is_found() {
    let grown = |count| Sources::of(&[("src/main.rs", &lines(count))]);
    assert_eq!(house::long_main(&grown(39)), [""; 0]);
    assert_eq!(house::long_main(&grown(40)), ["src/main.rs: 40 lines"]);
}

#[test]
fn a_file_that_opens_without_a_word_is_found() {
    let sources = Sources::of(&[
        ("src/a.rs", "//! What it does.\n"),
        ("src/b.rs", "// Not a doc.\n"),
        ("src/c.rs", "use x;\n//! Late.\n"),
        ("src/d.rs", ""),
    ]);
    let silent =
        ["src/b.rs", "src/c.rs", "src/d.rs"].map(|f| format!("{f}:1: opens without `//!`"));
    assert_eq!(house::without_opening(&sources), silent);
}

#[test]
fn a_name_that_says_nothing_is_found() {
    let names =
        ["src/port_manager.rs", "src/utils/time.rs", "tests/common/mod.rs", "src/recommon.rs"];
    let sources = Sources::of(&names.map(|name| (name, "")));
    let found = house::empty_names(&sources);
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(!found.iter().any(|line| line.contains("recommon")));
}

#[rstest]
#[case::unwrap("fn f() { a.unwrap(); }", ".unwrap()")]
#[case::expect("fn f() { a\n.b().expect(\"c\"); }", ".expect()")]
#[case::unwrap_as_a_value("fn f() { a.map(Result::unwrap); }", "Result::unwrap")]
#[case::unwrap_in_a_macro("fn f() { info!(a = b.unwrap()); }", ".unwrap()")]
#[case::panic("fn f() { panic!(); }", "panic!")]
#[case::panic_in_a_macro("fn f() { select! { _ = a => { std::panic!() } } }", "panic!")]
#[case::todo("fn f() { todo!() }", "todo!")]
#[case::exit("fn f() { std::process::exit(1); }", "std::process::exit")]
#[case::exit_by_import("use std::process; fn f() { process::exit(1); }", "std::process::exit")]
#[case::exit_by_name("use std::process::exit as bye;", "std::process::exit")]
#[case::abort("fn f() { std::process::abort(); }", "std::process::abort")]
fn an_end_outside_main_is_found(#[case] text: &str, #[case] told: &str) {
    let found = house::endings(&tree(&[("src/link.rs", text)]));
    assert!(!found.is_empty());
    let found: Vec<&str> = found.iter().filter_map(|line| line.splitn(3, ':').nth(2)).collect();
    assert!(found.contains(&format!(" {told}").as_str()), "{found:?}");
}

#[rstest]
#[case::in_a_test("#[cfg(test)] mod t { fn f() { a.unwrap(); panic!(); } }")]
#[case::in_a_test_function("#[test] fn t() { a.unwrap(); }")]
#[case::of_another_name("fn f() { a.unwrap_or_default(); a.unwrap_or(b); debug_assert!(c); }")]
#[case::in_words("//! No unwrap(), no panic!().\nfn f() -> &str { \"panic!()\" }")]
fn what_does_not_end_the_agent_passes(#[case] text: &str) {
    assert_eq!(house::endings(&tree(&[("src/link.rs", text)])), [""; 0]);
}

#[test]
fn main_itself_may_exit() {
    let main = [("src/main.rs", "fn main() { std::process::exit(spraylog::cli::main()) }")];
    assert_eq!(house::endings(&tree(&main)), [""; 0]);
}

#[test]
fn unsafe_in_any_form_is_found_and_only_in_code() {
    let text = "//! unsafe\nfn f() { unsafe { g() } }\n#[cfg(test)] mod t { unsafe fn h() {} }\n\
                macro_rules! m { () => { unsafe { g() } }; }\nconst U: &str = \"unsafe\";\n\
                #[allow(unsafe_code, reason = \"none\")] fn i() {}";
    let sources = Sources::of(&[("src/a.rs", text), (house::UNSAFE_FILE, "unsafe fn f() {}")]);
    let (found, _) = house::of_loose_files(&sources);
    let expected = [2, 3, 4].map(|line| format!("src/a.rs:{line}: unsafe"));
    assert_eq!(house::unsafes(&found), expected);
    let told = tree(&[("src/link.rs", "#[cfg(test)] mod t { unsafe fn h() {} }")]).unsafes;
    assert_eq!(told, [("src/link.rs".to_owned(), 1)]);
}

#[rstest]
#[case::without("#[allow(dead_code)] fn f() {}", 1)]
#[case::of_the_file("#![allow(dead_code, unused)]", 1)]
#[case::expected("#[expect(dead_code)] fn f() {}", 1)]
#[case::under_a_condition("#[cfg_attr(test, allow(dead_code))] fn f() {}", 1)]
#[case::in_a_macro("macro_rules! m { () => { #[allow(dead_code)] fn f() {} }; }", 1)]
#[case::with_an_empty_one("#[allow(dead_code, reason = \" \")] fn f() {}", 1)]
#[case::with_one("#![allow(dead_code, reason = \"a test may\")]", 0)]
#[case::a_method_of_that_name("fn f() { a.allow(b); c.expect(\"d\"); }", 0)]
fn an_allow_needs_its_reason(#[case] text: &str, #[case] count: usize) {
    let (_, found) = house::of_loose_files(&Sources::of(&[("src/a.rs", text)]));
    assert_eq!(house::unreasoned(&found).len(), count);
}

#[test]
fn code_from_elsewhere_is_found() {
    let found = house::hidden(&tree(&[
        ("src/link.rs", "#[path = \"../elsewhere.rs\"] mod x {} mod gone; include!(\"y.rs\");"),
        ("src/orphan.rs", ""),
    ]));
    let expected = [
        "src/link.rs:1: `#[path]` hides where code is",
        "src/link.rs:1: there is no src/link/gone.rs",
        "src/orphan.rs:1: no `mod` declaration leads here",
        "src/link.rs:1: include!",
    ];
    assert_eq!(found, expected);
}
