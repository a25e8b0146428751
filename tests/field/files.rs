//! The configuration's file while the rig is out: broken before a start, broken or changed
//! before a reload. The rig never goes silent, and says what is wrong.

use std::time::Duration;

use hil_sim::bench::Bench;
use hil_sim::jobcloser::{Options, Server};
use hil_sim::judge::Kind;
use serde_json::Value;
use toml::Table;

use crate::bench::{SOON, options};
use crate::delivery::stop_and_wait;
use crate::look::{
    command, delivered, judge_all, live, readings, said, seconds, until, until_baseline,
    until_flagged, until_live,
};

/// What a hurried technician may leave behind, with the line of each mistake.
const BROKEN: &str = "\n[record]\nevry = '2s'\n[gps]\nbaud = 'fast'\n";

fn break_config(bench: &Bench) -> String {
    let path = bench.agent().config_path();
    let good = std::fs::read_to_string(&path).unwrap();
    // Without the sections that come again: a section twice would be the only mistake.
    let kept = good.split("\n\n").filter(|s| !s.contains("[record]") && !s.contains("[gps]"));
    let kept = kept.collect::<Vec<_>>().join("\n\n");
    std::fs::write(&path, format!("{kept}{BROKEN}")).unwrap();
    good
}

/// Whether every mistake of [`BROKEN`] is told, with its file, its line and its key.
fn tells_both(bench: &Bench, told: &str) -> bool {
    let path = bench.agent().config_path();
    let text = std::fs::read_to_string(&path).unwrap();
    let at = |mistake: &str| {
        let line = text.lines().position(|line| line.starts_with(mistake)).unwrap() + 1;
        format!("{}:{line}", path.display())
    };
    let lines: Vec<&str> = told.lines().collect();
    let has = |at: String, key: &str| lines.iter().any(|l| l.contains(&at) && l.contains(key));
    has(at("evry"), "record.evry") && has(at("baud = 'fast'"), "gps.baud")
}

fn joined(problems: &Value) -> String {
    let lines = problems.as_array().into_iter().flatten().filter_map(Value::as_str);
    lines.collect::<Vec<_>>().join("\n")
}

fn table(toml: &str) -> Table {
    let mut table = options().config;
    hil_sim::agent::merge(&mut table, &toml.parse().unwrap());
    table
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_config_at_start_runs_the_last_good_one_degraded_and_loud() {
    let mut bench = Bench::start(options()).await.unwrap();
    bench.spray(3.0);
    bench.wait_for_records(2, SOON).await.unwrap();
    bench.stop_agent().await.unwrap();
    let good = break_config(&bench);

    bench.start_agent().unwrap();
    until_live(&bench, "the agent", |s| s["meter"]["port_open"] == true).await;
    let degraded = joined(&live(&bench)["daemon"]["degraded"]);
    assert!(tells_both(&bench, &degraded), "{degraded}");
    let records = bench.records().len();
    until("new records", || bench.records().len() >= records + 2).await;

    // A technician who looks sees it running, and why it isn't as it should be.
    let text = said(&bench, &["status"]);
    assert!(text.contains("DEGRADED"), "{text}");
    assert!(tells_both(&bench, &text), "{text}");
    assert!(bench.agent().log().contains("configuration refused"));
    assert!(said(&bench, &["job", "show"]).contains("in force"));
    assert_eq!(command(&bench, &["check"]).status.code(), Some(78));

    // Mended, and taken up without another start.
    std::fs::write(bench.agent().config_path(), good).unwrap();
    bench.reload_agent().unwrap();
    until_live(&bench, "a mended agent", |s| s["daemon"]["degraded"] == serde_json::json!([]))
        .await;
    bench.stop_spraying();
    bench.settle_and_judge(SOON).await.assert_clean();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_config_and_no_last_good_one_ends_with_78_and_every_problem() {
    let mut setup = options();
    setup.start_agent = false;
    let mut bench = Bench::start(setup).await.unwrap();
    let good = break_config(&bench);
    let run = command(&bench, &["run"]);
    let told = String::from_utf8(run.stderr).unwrap();
    assert_eq!(run.status.code(), Some(78), "{told}");
    assert!(tells_both(&bench, &told), "{told}");
    assert!(told.contains("did you mean \"every\""), "{told}");
    assert!(!bench.dir().join("data/queue.db").exists(), "nothing was begun");

    std::fs::write(bench.agent().config_path(), good).unwrap();
    bench.start_agent().unwrap();
    bench.wait_until_ready(SOON).await.unwrap();
    bench.spray(3.0);
    bench.wait_for_records(2, SOON).await.unwrap();
    bench.stop_spraying();
    bench.settle_and_judge(SOON).await.assert_clean();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_of_a_broken_config_is_reported_and_the_old_one_stays_in_force() {
    let mut bench = Bench::start(options()).await.unwrap();
    bench.spray(3.0);
    bench.wait_for_records(2, SOON).await.unwrap();
    let good = break_config(&bench);
    bench.reload_agent().unwrap();
    until_live(&bench, "a refusal", |s| s["daemon"]["reload_refused"] != serde_json::json!([]))
        .await;
    let refused = joined(&live(&bench)["daemon"]["reload_refused"]);
    assert!(tells_both(&bench, &refused), "{refused}");
    assert!(said(&bench, &["status"]).contains("RELOAD REFUSED"));
    let records = bench.records().len();
    // Still one a second.
    until("new records", || bench.records().len() >= records + 3).await;

    std::fs::write(bench.agent().config_path(), good).unwrap();
    bench.reload_agent().unwrap();
    until_live(&bench, "no refusal", |s| s["daemon"]["reload_refused"] == serde_json::json!([]))
        .await;
    bench.stop_spraying();
    bench.settle_and_judge(SOON).await.assert_clean();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_k_opens_a_segment_and_loses_no_count() {
    const K: f64 = 150.0;
    let mut bench = Bench::start(options()).await.unwrap();
    until_baseline(&bench).await;
    bench.spray(3.0);
    bench.wait_for_records(3, SOON).await.unwrap();
    bench.write_config(&table(&format!("[meter.calibration]\nfactor = {K}"))).unwrap();
    bench.reload_agent().unwrap();
    until_flagged(&bench, "k").await;
    seconds(2.0).await;
    bench.stop_spraying();
    // The judge knows one K, the meter's true one: what K makes of counts is looked at here.
    bench.settle_and_judge(SOON).await.assert_clean_but_for(&[Kind::Equation, Kind::Gallons]);

    let kept = readings(&bench);
    let numbers: Vec<i64> = kept.iter().map(|r| r["seq"].as_i64().unwrap()).collect();
    assert_eq!(numbers, (1..=kept.len() as i64).collect::<Vec<_>>());
    let counts = kept.last().unwrap()["unwrapped"].as_i64().unwrap()
        - kept.first().unwrap()["unwrapped"].as_i64().unwrap();
    assert_eq!(counts as u64, bench.rig().truth().knowable_counts(), "no count lost");

    let records = delivered(&bench);
    let change = records.iter().position(|record| record.note.says("k")).unwrap();
    let (old, new) = records.split_at(change);
    assert!(old.iter().all(|r| r.k == 126.7 && r.note.segment == 1), "past ones stay as they were");
    assert!(new.iter().all(|r| r.k == K && r.note.segment == 2));
    assert_eq!(new[0].raw, new[0].zero, "up to here the old K counts");
    assert!(new[0].note.base_gal >= old.last().unwrap().total_gal);
    for record in &records {
        let total = (record.raw - record.zero) as f64 / record.k + record.note.base_gal;
        assert!((total - record.total_gal).abs() < 0.001, "{record:?}");
    }
    let gallons = |of: &[Value]| of.iter().map(|r| r["gallons"].as_f64().unwrap()).sum::<f64>();
    assert!((gallons(&kept) - records.last().unwrap().total_gal).abs() < 0.001);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_server_gets_what_the_old_one_never_got() {
    let mut bench = Bench::start(options()).await.unwrap();
    bench.spray(3.0);
    bench.wait_for_records(2, SOON).await.unwrap();
    stop_and_wait(&mut bench).await;
    bench.wait_until_drained(SOON).await.unwrap();
    bench.server().go_away().await;
    bench.spray(3.0);
    bench.wait_until("a backlog", SOON, |look| look.status().balance.ready >= 3).await.unwrap();

    let second = Server::start(Options::default()).await.unwrap();
    let url = second.base_url();
    bench.write_config(&table(&format!("[jobcloser]\nbase_url = '{url}'"))).unwrap();
    bench.reload_agent().unwrap();
    until("records at the second server", || second.records().len() >= 4).await;
    assert_eq!(live(&bench)["server"]["url"], url);
    bench.stop_spraying();
    seconds(4.5).await;
    bench.wait_until_drained(SOON).await.unwrap();
    let all: Vec<_> = bench.records().into_iter().chain(second.records()).collect();
    let verdict = judge_all(&mut bench, all).await;
    verdict.assert_clean();
    assert_eq!(second.violations(), Vec::<String>::new());
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_name_for_the_meters_port_is_taken_up_without_losing_a_count() {
    let mut bench = Bench::start(options()).await.unwrap();
    bench.spray(3.0);
    bench.wait_for_records(2, SOON).await.unwrap();
    let other = bench.dir().join("ports/by-path-meter");
    std::os::unix::fs::symlink("meter", &other).unwrap();
    bench.write_config(&table(&format!("[meter]\nport = '{}'", other.display()))).unwrap();
    bench.reload_agent().unwrap();
    until_live(&bench, "the other port", |s| {
        s["meter"]["port"] == other.to_str().unwrap() && s["meter"]["port_open"] == true
    })
    .await;
    let records = bench.records().len();
    until("new records", || bench.records().len() >= records + 3).await;
    bench.stop_spraying();
    bench.settle_and_judge(SOON + Duration::from_secs(5)).await.assert_clean();
    assert_eq!(live(&bench)["meter"]["health"]["opened"], 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_profile_that_was_broken_since_leaves_the_rig_recording_with_the_one_it_had() {
    let mut setup = options();
    setup.start_agent = false;
    let mut bench = Bench::start(setup).await.unwrap();
    let profile = bench.dir().join("own.toml");
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/config/meters/rig-line.toml");
    let good = std::fs::read_to_string(shipped).unwrap();
    std::fs::write(&profile, &good).unwrap();
    bench.write_config(&table(&format!("[meter]\nprofile = '{}'", profile.display()))).unwrap();
    bench.start_agent().unwrap();
    bench.wait_until_ready(SOON).await.unwrap();
    bench.spray(3.0);
    bench.wait_for_records(2, SOON).await.unwrap();

    std::fs::write(&profile, "kind =").unwrap();
    let checked = command(&bench, &["check"]);
    let told = String::from_utf8(checked.stdout).unwrap();
    assert_eq!(checked.status.code(), Some(78), "{told}");
    let said: Vec<_> = told.lines().filter(|line| line.contains("meter.profile")).collect();
    assert!(said.len() == 1 && said[0].contains("line 1: "), "{told}");
    assert!(!told.contains("|"), "a problem is one line: {told}");
    bench.reload_agent().unwrap();
    until_live(&bench, "a refusal", |s| s["daemon"]["reload_refused"] != serde_json::json!([]))
        .await;
    assert!(joined(&live(&bench)["daemon"]["reload_refused"]).contains("meter.profile"));

    bench.stop_agent().await.unwrap();
    bench.start_agent().unwrap();
    until_live(&bench, "the agent", |s| s["meter"]["port_open"] == true).await;
    assert!(joined(&live(&bench)["daemon"]["degraded"]).contains("meter.profile"));
    let records = bench.records().len();
    until("new records", || bench.records().len() >= records + 2).await;

    std::fs::write(&profile, good).unwrap();
    bench.stop_spraying();
    bench.settle_and_judge(SOON).await.assert_clean();
}
