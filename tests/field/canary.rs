//! `doctor --canary`: a test record at servers of every kind, with a daemon and without
//! one. What each does is found and told, the record is deleted again, and it is never
//! counted as a reading.

use std::process::Output;

use hil_sim::agent::{EVENT_ID, JOB_ID};
use hil_sim::bench::{Bench, BenchOptions};
use hil_sim::jobcloser::{Behaviour, Fault, ResultShape, Target, Times};
use rstest::rstest;
use serde_json::{Value, json};

use crate::bench::{SOON, options, options_with};
use crate::delivery::{asked, stop_and_wait};
use crate::look::{command, said, said_json, until_live};

const TEST: [&str; 8] =
    ["doctor", "--canary", "--event", EVENT_ID, "--job", JOB_ID, "--yes", "--json"];
const AT: [&str; 2] = ["--at", "33.5116331,-86.8965344"];
/// Nobody vouches for the clock of a machine that only builds.
const TRUSTED: &str = "[clock]\ntrust_system = 'always'";

/// A rig whose daemon is down, and a server like this.
async fn alone(config: &str, behaviour: Behaviour) -> Bench {
    let bench = Bench::start(BenchOptions { start_agent: false, ..options_with(config) });
    let bench = bench.await.unwrap();
    std::fs::create_dir_all(bench.dir().join("data")).unwrap();
    bench.server().set_behaviour(behaviour);
    bench
}

fn tried(bench: &Bench, more: &[&str]) -> Output {
    command(bench, &[&TEST[..], more].concat())
}

fn told(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)))
}

fn nothing_secret(bench: &Bench, output: &Output) {
    let all = [&output.stdout[..], &output.stderr[..], bench.agent().log().as_bytes()].concat();
    let all = String::from_utf8_lossy(&all).into_owned();
    assert!(!all.contains("demo@jobcloser.com") && !all.contains("signin?"), "{all}");
}

#[rstest]
#[case::as_the_page_shows(Behaviour::default(), &[
    ("dates", json!("as_sent")), ("decimals", json!("kept")), ("nulls", json!("kept")),
    ("notes", json!(false)), ("device_name", json!(false)), ("ids", json!(false)),
    ("event_filter", json!(true)), ("by_job_alone", json!(true)), ("deletes", json!(true)),
])]
#[case::with_notes_and_ids(
    Behaviour { return_notes: true, answer: ResultShape::Ids, ..Behaviour::default() },
    &[("notes", json!(true)), ("ids", json!(true)), ("calibration_factor", json!(true))],
)]
#[case::cutting_decimals(
    Behaviour { cut_decimals: true, ..Behaviour::default() }, &[("decimals", json!("cut"))],
)]
#[case::without_offsets(
    Behaviour { drop_offsets: true, ..Behaviour::default() },
    &[("dates", json!("local_without_offset"))],
)]
#[case::in_utc_without_offsets(
    Behaviour { drop_offsets: true, other_zone_offset_min: Some(0), ..Behaviour::default() },
    &[("dates", json!("utc_without_offset"))],
)]
#[case::in_another_zone(
    Behaviour { other_zone_offset_min: Some(330), ..Behaviour::default() },
    &[("dates", json!("other_offset"))],
)]
#[case::an_hour_later(
    Behaviour { shift_dates_min: 60, ..Behaviour::default() },
    &[("dates", json!({ "shifted": 60 }))],
)]
#[case::with_zero_for_null(
    Behaviour { nulls_as_zero: true, ..Behaviour::default() }, &[("nulls", json!("zero"))],
)]
#[case::with_numbers_as_text(
    Behaviour { numbers_as_text: true, ..Behaviour::default() },
    &[("numbers_as_text", json!(true)), ("decimals", json!("kept"))],
)]
#[case::with_a_filter_that_is_none(
    Behaviour { ignore_event_filter: true, ..Behaviour::default() },
    &[("event_filter", json!(false))],
)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_server_makes_of_a_record_is_found_kept_and_shown(
    #[case] behaviour: Behaviour,
    #[case] expected: &[(&str, Value)],
) {
    let bench = alone(TRUSTED, behaviour).await;
    let output = tried(&bench, &AT);
    let told = told(&output);
    assert_eq!(output.status.code(), Some(0), "{told:#}");
    for (fact, value) in expected {
        assert_eq!(told["learnt"][fact], *value, "{fact}: {told:#}");
    }
    assert!(bench.records().is_empty(), "deleted again");
    assert_eq!((asked(&bench, "createbatch").len(), asked(&bench, "delete").len()), (1, 1));
    assert_eq!(bench.server().violations(), [""; 0]);

    // It is kept, and is no reading.
    let status = said_json(&bench, &["status", "--json"]);
    for (fact, value) in expected {
        assert_eq!(status["learnt"][fact], *value, "{fact}");
    }
    assert_eq!(status["balance"]["recorded"], 0);
    nothing_secret(&bench, &output);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_daemon_sends_it_between_two_batches_and_counts_it_nowhere() {
    let mut bench = Bench::start(options()).await.unwrap();
    bench.server().set_behaviour(Behaviour { cut_decimals: true, ..Behaviour::default() });
    bench.wait_until_ready(SOON).await.unwrap();
    bench.spray(4.0);
    bench.wait_for_records(3, SOON).await.unwrap();
    // Where it is, the receiver says; when, the agent's own clock.
    let output = tried(&bench, &[]);
    assert_eq!(output.status.code(), Some(0), "{:#}", told(&output));
    assert_eq!(told(&output)["learnt"]["decimals"], "cut");
    let text = said(&bench, &["status"]);
    assert!(text.contains("counts and K are what survives"), "{text}");
    bench.server().set_behaviour(Behaviour::default());
    bench.stop_spraying();
    bench.settle_and_judge(SOON).await.assert_clean();
    nothing_secret(&bench, &output);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_refuses_nulls_is_told_from_one_that_refuses_the_job() {
    let refuses = Behaviour { refuse_nulls: true, ..Behaviour::default() };
    let bench = alone(TRUSTED, refuses.clone()).await;
    let output = tried(&bench, &AT);
    let said = told(&output);
    assert_eq!(said["learnt"]["nulls"], "refused", "{said:#}");
    assert_eq!(asked(&bench, "createbatch").len(), 2);
    assert!(bench.records().is_empty());
    let shown = said_json(&bench, &["status", "--json"])["learnt"]["remarks"].to_string();
    assert!(shown.contains("[record.stand_in]"), "{shown}");

    // With the stand-ins that this asks for nothing is refused.
    let stand_in = "[record.stand_in]\nfluid_f = 60\nambient_f = 60\nbattery_percent = 50\n\
                    runtime_min = 60";
    let bench = alone(&format!("{TRUSTED}\n{stand_in}"), refuses).await;
    let output = tried(&bench, &AT);
    assert_eq!(told(&output)["learnt"]["nulls"], "not_tried", "{:#}", told(&output));
    assert_eq!(asked(&bench, "createbatch").len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_cannot_be_deleted_is_told_with_its_id_and_disturbs_no_settling() {
    let mut bench = Bench::start(options()).await.unwrap();
    bench.server().set_behaviour(Behaviour { refuse_delete: true, ..Behaviour::default() });
    bench.wait_until_ready(SOON).await.unwrap();
    until_live(&bench, "a fresh fix and the time", |s| {
        s["gps"]["fix"] == "fresh" && s["clock"]["time"].is_string()
    })
    .await;
    let output = tried(&bench, &[]);
    let said = told(&output);
    assert_eq!(output.status.code(), Some(69), "{said:#}");
    let mut left = bench.records();
    left.retain(|record| record.fields["MeterSerialNumber"] == "SPRAYLOG-CANARY");
    assert_eq!((left.len(), &said["id"]), (1, &json!(left[0].id)));
    assert!(said["said"].as_str().unwrap().contains("NOT DELETED"), "{said:#}");
    // The next one says so too.
    let again = told(&tried(&bench, &[]));
    assert!(again["remarks"].to_string().contains(&left[0].id), "{again:#}");

    bench.server().fault(Fault::StoreAndDrop, Times::Next(1));
    bench.spray(4.0);
    bench.wait_for_records(4, SOON).await.unwrap();
    stop_and_wait(&mut bench).await;
    let seen = bench.wait_until_drained(SOON).await.unwrap();
    let sent = seen.status().balance.sent as usize;
    assert_eq!(bench.records().len(), sent + 2, "every reading once, and the two left");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_is_lost_is_asked_about_and_never_sent_again() {
    let bench = alone(TRUSTED, Behaviour::default()).await;
    bench.server().fault(Fault::StoreAndDrop, Times::Next(1));
    let output = tried(&bench, &AT);
    assert_eq!(output.status.code(), Some(0), "{:#}", told(&output));
    assert!(bench.records().is_empty(), "found and deleted");

    for fault in [Fault::DropBeforeStoring, Fault::DropRow { index: 0 }] {
        bench.server().fault(fault, Times::Next(1));
        let output = tried(&bench, &AT);
        let said = told(&output);
        assert_eq!((output.status.code(), &said["ended"]), (Some(69), &json!("unclear")));
        let words = said["said"].as_str().unwrap();
        assert!(words.contains(said["note"].as_str().unwrap()), "how to find it: {words}");
        assert_eq!(said["left"], true);
    }
    assert_eq!(asked(&bench, "createbatch").len(), 3, "one for each order");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_asked_too_often_is_left_alone_by_the_delivery_too() {
    let mut bench = Bench::start(options()).await.unwrap();
    bench.wait_until_ready(SOON).await.unwrap();
    until_live(&bench, "the time", |s| s["clock"]["time"].is_string()).await;
    let too_often = Fault::Status { code: 429, retry_after: Some("15".to_owned()) };
    bench.server().fault_at(Target::GetAll, too_often, Times::Next(1));
    let output = tried(&bench, &AT);
    assert_eq!((output.status.code(), &told(&output)["ended"]), (Some(69), &json!("not_sent")));
    let asked_at = asked(&bench, "getall")[0].at_ms;
    let again = told(&tried(&bench, &AT))["said"].as_str().unwrap().to_owned();
    assert!(again.contains("asks to wait"), "{again}");
    bench.spray(4.0);
    let before = bench.records().len();
    bench.wait_for_records(before + 1, SOON).await.unwrap();
    // One may have been on its way.
    let batches = asked(&bench, "createbatch").into_iter().map(|r| r.at_ms - asked_at);
    let after: Vec<i64> = batches.filter(|waited| *waited > 500).collect();
    assert!(after.iter().all(|waited| *waited >= 15_000), "sent after {after:?} ms");
    bench.stop_spraying();
    bench.settle_and_judge(SOON).await.assert_clean();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_time_a_place_or_a_yes_nothing_is_sent() {
    let bench = alone("[clock]\ntrust_system = 'never'", Behaviour::default()).await;
    let said = |output: &Output| told(output)["said"].as_str().unwrap().to_owned();
    assert!(said(&tried(&bench, &AT)).contains("no time"));
    assert!(said(&tried(&bench, &[])).contains("--at"));
    let no_yes = command(&bench, &[&TEST[..6], &AT].concat());
    assert_eq!(no_yes.status.code(), Some(64));
    assert_eq!(command(&bench, &[&TEST[..], &["--at", "0,0"]].concat()).status.code(), Some(64));
    assert_eq!(command(&bench, &["doctor", "--canary", "--yes"]).status.code(), Some(64));
    assert!(asked(&bench, "createbatch").is_empty());
}

/// More tries may lock the account: a test record makes none that delivery wouldn't.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_that_was_refused_is_not_tried_again_for_a_test_record() {
    let mut bench = Bench::start(BenchOptions { start_agent: false, ..options() }).await.unwrap();
    bench.server().set_behaviour(Behaviour { reject_sign_in: true, ..Behaviour::default() });
    bench.start_agent().unwrap();
    until_live(&bench, "a refused password", |s| {
        s["server"]["delivery"]["trouble"].as_str().is_some_and(|t| t.contains("password"))
    })
    .await;
    let before = asked(&bench, "signin").len();
    let output = tried(&bench, &AT);
    let said = told(&output);
    assert_eq!((output.status.code(), &said["ended"]), (Some(69), &json!("not_sent")));
    assert!(said["said"].as_str().unwrap().contains("password"), "{said:#}");
    assert_eq!(asked(&bench, "signin").len(), before);
    assert!(asked(&bench, "createbatch").is_empty());
    nothing_secret(&bench, &output);
}

/// Such a server's dates say five hours more, as if in the rig's zone: until that is known,
/// what is in doubt can't be recognised.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dates_in_utc_without_offset_are_settled_by_once_they_are_learnt() {
    let mut bench = Bench::start(options()).await.unwrap();
    bench.server().set_behaviour(Behaviour {
        drop_offsets: true,
        other_zone_offset_min: Some(0),
        ..Behaviour::default()
    });
    bench.wait_until_ready(SOON).await.unwrap();
    bench.server().fault(Fault::StoreAndDrop, Times::Next(1));
    bench.spray(4.0);
    bench.wait_for_records(1, SOON).await.unwrap();
    bench.stop_spraying();
    bench
        .wait_until("a doubt that stays", SOON, |l| l.status().balance.in_doubt > 0)
        .await
        .unwrap();
    let output = tried(&bench, &AT);
    assert_eq!(told(&output)["learnt"]["dates"], "utc_without_offset", "{:#}", told(&output));
    bench.settle_and_judge(SOON).await.assert_clean();
}
