//! What lies outside the crate: the world that words and pure modules don't touch, crates
//! that have one place, and the two packages that share no code.

use rstest::rstest;

use super::breaches;
use crate::manifests::{code_that_names, dependencies_on};
use crate::sources::Sources;
use crate::tree::Tree;

#[rstest]
#[case::a_file("use std::fs;", "std::fs")]
#[case::a_file_by_another_name("use std::fs as files;", "std::fs")]
#[case::a_file_in_a_path("fn f() { ::std::fs::read(p); }", "std::fs::read")]
#[case::a_file_through_std(
    "use std::{self as s, fmt}; fn f() { s::fs::read(p); }",
    "std::fs::read"
)]
#[case::a_socket("use std::{fmt, net::{IpAddr, TcpStream}};", "std::net::TcpStream")]
#[case::sockets("use core::net::*;", "std::net::*")]
#[case::the_environment("fn f() { std::env::var(n); }", "std::env::var")]
#[case::a_process("fn f() { std::process::Command::new(n); }", "std::process::Command::new")]
#[case::the_clock("fn f(_: std::time::SystemTime) {}", "std::time::SystemTime")]
#[case::the_time_in_a_glob("use std::time::*;", "std::time::*")]
#[case::an_instant("use std::time::Instant; fn f() { Instant::now(); }", "std::time::Instant::now")]
#[case::an_instant_through_its_module(
    "use std::time; fn f() { time::Instant::now(); }",
    "std::time::Instant::now"
)]
#[case::an_instant_unseen(
    "use std::time::Instant; fn f() { a.map_or_else(<Instant>::now, g); }",
    "std::time::Instant::now"
)]
#[case::an_instant_in_a_macro(
    "use std::time::Instant; fn f() { vec![Instant::now()]; }",
    "std::time::Instant::now"
)]
#[case::time_that_passes("fn f(t: std::time::Instant) { t.elapsed(); }", ".elapsed()")]
#[case::time_that_passes_in_a_macro(
    "fn f(t: std::time::Instant) { println!(\"{}\", t.elapsed()); }",
    ".elapsed()"
)]
#[case::another_clock("fn f() { jiff::Timestamp::now(); }", "jiff::Timestamp::now")]
#[case::a_path_that_looks("fn f(p: &std::path::Path) { p.exists(); }", ".exists()")]
#[case::tasks("use tokio::sync::watch;", "tokio::sync::watch")]
#[case::system_calls("use rustix::time;", "rustix::time")]
#[case::more_system_calls("extern crate libc as c;", "libc")]
fn a_pure_module_that_touches_the_world_is_found(#[case] text: &str, #[case] imported: &str) {
    assert_eq!(breaches("src/record/flow.rs", text), [format!("record::flow -> {imported}")]);
    assert_eq!(breaches("src/reading.rs", text), [format!("reading -> {imported}")]);
    assert_eq!(breaches("src/port/reopen.rs", text), [""; 0], "an edge may");
}

#[rstest]
#[case::an_instant_that_is_given("use std::time::{Duration, Instant}; fn f(now: Instant) {}")]
#[case::an_address("use std::net::{IpAddr, SocketAddr}; fn f(_: std::net::Ipv6Addr) {}")]
#[case::a_readers_trait("use std::io::Read; fn f(_: &mut dyn std::io::Write) {}")]
#[case::a_name_that_is_alike("mod fs {} use fs::x; fn now() {} fn f() { now(); env::var(n); }")]
#[case::a_test("#[cfg(test)] mod tests { use std::fs; }")]
fn what_is_not_the_world_passes(#[case] text: &str) {
    assert_eq!(breaches("src/record/flow.rs", text), [""; 0]);
}

#[rstest]
#[case("src/link.rs", "use tokio_serial::SerialStream;", "link -> tokio_serial::SerialStream")]
#[case(
    "src/status/live.rs",
    "fn f(_: rusqlite::Connection) {}",
    "status::live -> rusqlite::Connection"
)]
#[case("src/drain/task.rs", "use reqwest as http;", "drain::task -> reqwest")]
#[case("src/jobcloser/wire.rs", "use backoff::*;", "jobcloser::wire -> backoff::*")]
#[case("src/agent.rs", "use anyhow::Context as _;", "agent -> anyhow::Context")]
#[case("src/agent.rs", "use if_watch::IfEvent;", "agent -> if_watch::IfEvent")]
#[case("src/agent.rs", "fn f() { hil_sim::meter(); }", "agent -> hil_sim::meter")]
fn a_crate_out_of_its_place_is_found(#[case] file: &str, #[case] text: &str, #[case] told: &str) {
    assert_eq!(breaches(file, text), [told]);
}

#[rstest]
#[case("src/port/reopen.rs", "use tokio_serial::SerialStream;")]
#[case("src/queue/view.rs", "use rusqlite::Connection;")]
#[case("src/jobcloser/client.rs", "use reqwest::Client;")]
#[case("src/drain/machine.rs", "use backoff::ExponentialBackoff;")]
#[case("src/cli/run.rs", "use anyhow::Context;")]
fn a_crate_in_its_place_passes(#[case] file: &str, #[case] text: &str) {
    assert_eq!(breaches(file, text), [""; 0]);
}

#[rstest]
#[case("[dependencies]\nspraylog = { path = \"..\" }", "[dependencies] has spraylog")]
#[case(
    "[dependencies]\nagent = { path = \"..\", package = \"spraylog\" }",
    "[dependencies] has spraylog"
)]
#[case("[dependencies]\nx.path = \"../\"", "[dependencies] has spraylog")]
#[case("[dev-dependencies]\nspraylog = \"1\"", "[dev-dependencies] has spraylog")]
#[case(
    "[target.'cfg(unix)'.build-dependencies]\nspraylog = \"1\"",
    "[target.cfg(unix).build-dependencies] has spraylog"
)]
fn a_bench_that_depends_on_the_agent_is_found(#[case] manifest: &str, #[case] told: &str) {
    assert_eq!(dependencies_on("spraylog", manifest, &[]), [told]);
}

#[test]
fn an_agent_may_have_the_bench_in_its_tests_alone() {
    let both = "[dependencies]\nhil-sim.path = \"hil-sim\"\n[dev-dependencies]\nhil-sim.path = \"hil-sim\"";
    let told = dependencies_on("hil-sim", both, &["dev-dependencies"]);
    assert_eq!(told, ["[dependencies] has hil-sim"]);
}

#[test]
fn a_bench_that_names_the_agent_is_found() {
    let sources = Sources::of(&[
        ("hil-sim/src/lib.rs", "//! The bench.\nmod meter;"),
        ("hil-sim/src/meter.rs", "use spraylog::units::KFactor;\nuse hil_sim::meter;"),
    ]);
    let tree = Tree::grow(&sources, "hil_sim", "hil-sim/");
    assert_eq!(code_that_names("spraylog", &tree), ["hil-sim/src/meter.rs:1: names spraylog"]);
}
