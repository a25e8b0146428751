//! Whose liquid it is: no job, a job picked in mid-flow, a pick that outlives a power cut,
//! and readings that are given their job afterwards, with and without a daemon.

use hil_sim::agent::{EVENT_ID, JOB_ID};
use hil_sim::bench::Bench;
use hil_sim::judge::Delivered;
use serde_json::Value;

use crate::bench::{SOON, options, options_with};
use crate::look::{
    command, delivered, flagged, live, readings, said, said_json, seconds, until, until_baseline,
    until_flagged, until_live,
};

const OTHER_EVENT: &str = "8076482548429038c9b4b34fa296a4";
const OTHER_JOB: &str = "0160366349ff2c5b8967a54178a716";
const PRODUCT: &str = "1f00c6a2ad4e0fb33ed0a4a2dd9e4f";

const NO_JOB: &str = "[job]\nevent_id = ''\njob_id = ''";

const USE_OTHER: [&str; 8] =
    ["job", "use", "--event", OTHER_EVENT, "--job", OTHER_JOB, "--product", PRODUCT];

fn of_job<'a>(records: &'a [Delivered], job: &str) -> Vec<&'a Delivered> {
    records.iter().filter(|record| record.job[1] == job).collect()
}

fn held_for_no_job(readings: &[Value]) -> usize {
    let held = |r: &&Value| r["held_for"].as_array().unwrap().iter().any(|why| why == "no_job");
    readings.iter().filter(held).count()
}

/// Gallons of a span, as its last record tells them.
fn last_total(records: &[&Delivered]) -> f64 {
    records.iter().max_by_key(|record| record.note.seq()).unwrap().total_gal
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rig_without_a_job_holds_its_readings_until_they_are_assigned() {
    let mut bench = Bench::start(options_with(NO_JOB)).await.unwrap();
    until_baseline(&bench).await;
    bench.spray(3.0);
    let seen = bench
        .wait_until("held readings", SOON, |look| look.status().held_for.no_job >= 5)
        .await
        .unwrap();
    assert!(seen.records.is_empty(), "sent without a job");
    assert!(said(&bench, &["status"]).contains("job       NONE"));
    bench.stop_spraying();
    until_flagged(&bench, "stop").await;
    let all = readings(&bench);
    assert_eq!(held_for_no_job(&all), all.len());

    // What isn't one job's is another's: the first three, then the rest.
    let assign = |event: &'static str, job: &'static str, seq: String| {
        let line = ["records", "assign", "--event", event, "--job", job, "--seq", &seq, "--json"];
        said_json(&bench, &line)["readings"].as_u64().unwrap()
    };
    let last = all.last().unwrap()["seq"].as_i64().unwrap();
    assert_eq!(assign(EVENT_ID, JOB_ID, "1..3".to_owned()), 3);
    assert_eq!(assign(OTHER_EVENT, OTHER_JOB, format!("4..{last}")), last as u64 - 3);
    assert_eq!(assign(EVENT_ID, JOB_ID, format!("1..{last}")), 0, "none changes its job again");
    bench.settle_and_judge(SOON).await.assert_clean();

    let records = delivered(&bench);
    let (first, second) = (of_job(&records, JOB_ID), of_job(&records, OTHER_JOB));
    let status = bench.status().await.unwrap();
    assert_eq!((first.len() + second.len()) as u64, status.balance.sent);
    assert_eq!((status.balance.sent, status.balance.held), (last as u64, 0));
    assert!(records.iter().all(|record| record.note.says("assigned-later")));
    let gallons: f64 = all.iter().map(|r| r["gallons"].as_f64().unwrap()).sum();
    let totals = last_total(&first) + last_total(&second);
    assert!((totals - gallons).abs() < 0.001, "{totals} at the server, {gallons} metered");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_picked_in_mid_flow_gets_what_flows_from_then_on_and_not_a_drop_before() {
    let mut bench = Bench::start(options()).await.unwrap();
    until_baseline(&bench).await;
    bench.spray(4.0);
    bench.wait_for_records(3, SOON).await.unwrap();
    let before = readings(&bench).len();
    let answer = said(&bench, &USE_OTHER);
    assert!(answer.contains(JOB_ID) && answer.contains(OTHER_JOB), "{answer}");
    until("the other job", || of_job(&delivered(&bench), OTHER_JOB).len() >= 3).await;
    let shown = said_json(&bench, &["job", "show", "--json"]);
    assert_eq!(shown["in_force"]["assignment"]["job"], OTHER_JOB);
    assert_eq!(shown["takes_effect"], "now");

    // Done there; the rest is for the fixed one again, in a span of its own.
    said(&bench, &["job", "clear"]);
    let spans = |records: &[Delivered]| records.iter().filter(|r| r.note.says("tare")).count();
    until("the first job's second span", || spans(&delivered(&bench)) == 3).await;
    bench.stop_spraying();
    bench.settle_and_judge(SOON).await.assert_clean();

    let (kept, records) = (readings(&bench), delivered(&bench));
    assert_eq!(kept.len(), records.len());
    let jobs: Vec<&str> = kept.iter().map(|r| r["job"].as_str().unwrap()).collect();
    let mut changes = jobs.clone();
    changes.dedup();
    assert_eq!(changes, [JOB_ID, OTHER_JOB, JOB_ID], "{jobs:?}");
    let changed = jobs.iter().position(|job| *job == OTHER_JOB).unwrap();
    assert!(changed >= before && changed <= before + 2, "at the next reading, not later");

    // Each span tells its own gallons, from nought; none is in two.
    let mut totals = Vec::new();
    for (n, record) in records.iter().enumerate() {
        if record.note.says("tare") {
            totals.push(0.0);
        }
        let total = totals.last_mut().unwrap();
        *total += kept[n]["gallons"].as_f64().unwrap();
        assert!((*total - record.total_gal).abs() < 0.001, "{record:?}");
    }
    assert_eq!(records[changed].job[3], PRODUCT);
    assert_eq!(flagged(&bench, "tare").len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pick_outlives_a_power_cut_and_so_does_the_span() {
    let mut bench = Bench::start(options()).await.unwrap();
    until_baseline(&bench).await;
    // At rest, and before anything flowed: from the first drop on it is the other job's.
    said(&bench, &USE_OTHER);
    until("the other job", || {
        said_json(&bench, &["job", "show", "--json"])["takes_effect"] == "now"
    })
    .await;
    bench.spray(4.0);
    bench.wait_for_records(3, SOON).await.unwrap();
    let before = last_total(&of_job(&delivered(&bench), OTHER_JOB));
    bench.kill_agent().unwrap();
    let shown = said_json(&bench, &["job", "show", "--json"]);
    assert_eq!(shown["in_force"]["assignment"]["job"], OTHER_JOB, "also while it is down");
    bench.start_agent().unwrap();
    let records = bench.records().len();
    until("new records", || bench.records().len() >= records + 3).await;
    bench.stop_spraying();
    bench.settle_and_judge(SOON).await.assert_clean();
    let records = delivered(&bench);
    let wet: Vec<_> = records.iter().filter(|record| record.total_gal > 0.0).collect();
    assert!(wet.iter().all(|record| record.job[1] == OTHER_JOB));
    let tares = records.iter().filter(|record| record.note.says("tare"));
    assert_eq!(tares.filter(|record| record.job[1] == OTHER_JOB).count(), 1, "one span");
    assert!(last_total(&of_job(&records, OTHER_JOB)) > before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_are_picked_and_readings_assigned_while_the_daemon_is_down() {
    let mut bench = Bench::start(options_with(NO_JOB)).await.unwrap();
    until_baseline(&bench).await;
    bench.spray(3.0);
    bench.wait_until("held", SOON, |look| look.status().held_for.no_job >= 3).await.unwrap();
    bench.stop_spraying();
    until_flagged(&bench, "stop").await;
    bench.stop_agent().await.unwrap();

    said(&bench, &USE_OTHER);
    let held = readings(&bench).len() as u64;
    let assign = ["records", "assign", "--event", EVENT_ID, "--job", JOB_ID, "--boot", "1"];
    assert!(said(&bench, &assign).starts_with(&format!("{held} readings")));
    assert!(bench.records().is_empty());

    bench.start_agent().unwrap();
    bench.wait_for_records(held as usize, SOON).await.unwrap();
    bench.spray(3.0);
    until("the other job", || of_job(&delivered(&bench), OTHER_JOB).len() >= 2).await;
    bench.stop_spraying();
    bench.settle_and_judge(SOON).await.assert_clean();
    let records = delivered(&bench);
    assert_eq!(of_job(&records, JOB_ID).len() as u64, held);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readings_that_came_before_a_pick_stay_held_and_are_never_given_to_it() {
    let mut bench = Bench::start(options_with(NO_JOB)).await.unwrap();
    until_baseline(&bench).await;
    bench.spray(3.0);
    bench.wait_until("held", SOON, |look| look.status().held_for.no_job >= 3).await.unwrap();
    said(&bench, &USE_OTHER);
    until_live(&bench, "the pick", |s| s["job"]["assignment"]["job"] == OTHER_JOB).await;
    bench.wait_for_records(3, SOON).await.unwrap();
    seconds(1.0).await;
    bench.stop_spraying();
    bench.settle_and_judge(SOON).await.assert_clean();

    let all = readings(&bench);
    let held = held_for_no_job(&all);
    assert!(held >= 3);
    assert!(all[..held].iter().all(|r| r["job"].is_null()), "only the first ones");
    let of_the_job: f64 = all[held..].iter().map(|r| r["gallons"].as_f64().unwrap()).sum();
    let total = last_total(&of_job(&delivered(&bench), OTHER_JOB));
    assert!((total - of_the_job).abs() < 0.001, "{total} at the server, {of_the_job} metered");
    assert_eq!(live(&bench)["job"]["chosen_by"], "pick");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_without_its_event_is_refused_and_nothing_changes() {
    let mut bench = Bench::start(options()).await.unwrap();
    bench.wait_until_ready(SOON).await.unwrap();
    let refused = command(&bench, &["job", "use", "--event", "", "--job", OTHER_JOB]);
    assert_eq!(refused.status.code(), Some(65));
    let told = String::from_utf8(refused.stderr).unwrap();
    assert!(told.contains("needs an event id and a job id"), "{told}");
    // Each is an id as it would be in [job], or none.
    let said = [
        ["--event", "two words", "--job", OTHER_JOB, "--item", "i"],
        ["--event", OTHER_EVENT, "--job", " x", "--item", "i"],
        ["--event", OTHER_EVENT, "--job", OTHER_JOB, "--item", "i j"],
        ["--event", OTHER_EVENT, "--job", OTHER_JOB, "--product", "p\tq"],
    ];
    for ids in said {
        for what in [&["job", "use"][..], &["records", "assign", "--all"]] {
            let refused = command(&bench, &[what, &ids].concat());
            assert_eq!(refused.status.code(), Some(65), "{ids:?}");
            let told = String::from_utf8(refused.stderr).unwrap();
            assert!(told.contains("has a space in it"), "{told}");
        }
    }
    let mistyped = command(&bench, &["job", "use", "--event", "xyz", "--job", OTHER_JOB]);
    assert!(mistyped.status.success());
    let told = String::from_utf8(mistyped.stderr).unwrap();
    assert!(told.contains("--event xyz doesn't look like an id"), "{told}");
    assert!(!told.contains("--job"), "{told}");
    assert!(command(&bench, &["job", "clear"]).status.success());
    let missing = command(&bench, &["job", "use", "--job", OTHER_JOB]);
    assert_eq!(missing.status.code(), Some(64));
    let shown = said_json(&bench, &["job", "show", "--json"]);
    assert_eq!(shown["wanted"]["assignment"]["job"], JOB_ID);
    bench.stop().await.unwrap();
}
