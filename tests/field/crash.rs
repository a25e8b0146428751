//! The power goes: at every place between a meter's line and an acknowledgement, and at
//! random moments. What any `status` had shown is still there, and nothing is doubled.

use std::time::Duration;

use hil_sim::bench::{Bench, Look};
use hil_sim::dice::Dice;
use hil_sim::jobcloser::{Fault, Times};
use rstest::rstest;

use crate::bench::{SOON, nightly, options};
use crate::look::{command, delivered, readings, said, seconds, until, until_baseline};
use crate::road;

/// How often the power goes in each of the three campaigns of random moments: 20 times, or
/// by night 100.
fn cuts() -> u32 {
    if nightly() { 100 } else { 20 }
}

fn has_testhooks(name: &str) -> bool {
    if cfg!(not(feature = "testhooks")) {
        eprintln!("skipped: {name} (needs --features testhooks)");
    }
    cfg!(feature = "testhooks")
}

/// The newest number that `status` shows now; the judge holds the greatest against the
/// agent, too.
async fn shown(bench: &mut Bench) -> i64 {
    bench.status().await.ok().and_then(|status| status.last_seq).unwrap_or(0)
}

/// Numbers without a hole from 1 to what any status had shown, or beyond.
fn all_are_there(bench: &Bench, shown: i64) {
    let numbers: Vec<i64> = readings(bench).iter().map(|r| r["seq"].as_i64().unwrap()).collect();
    let expected: Vec<i64> = (1..=numbers.len() as i64).collect();
    assert_eq!(numbers, expected);
    assert!(numbers.len() as i64 >= shown, "{shown} was shown, {} are there", numbers.len());
}

#[rstest]
#[case::bytes_are_read("bytes_read:12", None)]
#[case::a_line_is_whole("line_framed:12", None)]
#[case::a_sample_is_decoded("sample_decoded:12", None)]
#[case::a_sample_is_heard("sample_before_judged:12", None)]
#[case::a_fix_is_taken("fix_taken:12", None)]
#[case::a_time_is_not_yet_committed("anchor_before_commit:1", None)]
#[case::a_time_is_committed("anchor_after_commit:1", None)]
#[case::a_reading_is_made("reading_made:3", None)]
#[case::a_reading_is_not_yet_committed("append_before_commit:3", None)]
#[case::a_reading_is_committed("append_after_commit:3", None)]
#[case::a_reading_is_told("reading_told:3", None)]
#[case::nobody_is_signed_in("sign_in_before:1", None)]
#[case::somebody_is_signed_in("sign_in_after:1", None)]
#[case::a_batch_is_not_yet_frozen("freeze_before_commit:2", None)]
#[case::a_batch_is_frozen_and_not_sent("freeze_after_commit:2", None)]
#[case::half_of_a_batch_is_written("request_half_written:2", None)]
#[case::a_batch_is_stored_and_its_answer_unread("answered_before_settle:2", None)]
#[case::an_acknowledgement_is_not_yet_committed("settle_before_commit:2", None)]
#[case::an_acknowledgement_is_committed("settle_after_commit:2", None)]
#[case::the_server_is_to_be_asked("ask_before:1", Some(Fault::StoreAndDrop))]
#[case::half_of_the_servers_list_is_read("list_half_read:1", Some(Fault::StoreAndDrop))]
#[case::the_server_is_answering("ask_in_the_list:1", Some(Fault::StoreAndDrop))]
#[case::the_server_has_answered("ask_answered:1", Some(Fault::StoreAndDrop))]
#[case::the_server_has_been_asked("asked_before_settle:1", Some(Fault::StoreAndDrop))]
#[case::what_it_said_is_not_yet_committed("settle_before_commit:2", Some(Fault::StoreAndDrop))]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_power_cut_at_any_place_loses_nothing_and_doubles_nothing(
    #[case] place: &str,
    #[case] fault: Option<Fault>,
) {
    if !has_testhooks("a_power_cut_at_any_place_loses_nothing_and_doubles_nothing") {
        return;
    }
    let mut setup = options();
    setup.env = vec![("SPRAYLOG_FAILPOINT".into(), place.into())];
    let mut bench = Bench::start(setup).await.unwrap();
    if let Some(fault) = fault {
        bench.server().fault(fault, Times::Next(1));
    }
    bench.spray(4.0);
    let mut newest = 0;
    let ended = loop {
        newest = newest.max(shown(&mut bench).await);
        if let Ok(ended) = bench.wait_for_agents_end(Duration::from_millis(50)).await {
            break ended;
        }
    };
    assert!(!ended.success(), "{place} was never passed");

    bench.agent_mut().unset_env("SPRAYLOG_FAILPOINT");
    bench.start_agent().unwrap();
    let records = bench.records().len();
    bench.wait_for_records(records + 3, SOON).await.unwrap();
    bench.stop_spraying();
    bench.settle_and_judge(SOON).await.assert_clean();
    all_are_there(&bench, newest);
}

#[rstest]
#[case::it_is_not_yet_kept("pick_before_commit:1", false)]
#[case::it_is_kept("pick_after_commit:1", true)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_power_cut_while_a_job_is_picked_leaves_the_one_job_or_the_other(
    #[case] place: &str,
    #[case] kept: bool,
) {
    if !has_testhooks("a_power_cut_while_a_job_is_picked_leaves_the_one_job_or_the_other") {
        return;
    }
    let (event, job) = ("8076482548429038c9b4b34fa296a4", "0160366349ff2c5b8967a54178a716");
    let mut setup = options();
    setup.env = vec![("SPRAYLOG_FAILPOINT".into(), place.into())];
    let mut bench = Bench::start(setup).await.unwrap();
    bench.spray(4.0);
    bench.wait_for_records(3, SOON).await.unwrap();
    let newest = shown(&mut bench).await;
    let picked = command(&bench, &["job", "use", "--event", event, "--job", job]);
    assert!(!picked.status.success(), "told as done: {picked:?}");
    let ended = bench.wait_for_agents_end(SOON).await.unwrap();
    assert!(!ended.success(), "{place} was never passed");

    bench.agent_mut().unset_env("SPRAYLOG_FAILPOINT");
    bench.start_agent().unwrap();
    let records = bench.records().len();
    bench.wait_for_records(records + 4, SOON).await.unwrap();
    let last = delivered(&bench).pop().unwrap();
    assert_eq!(last.job[1] == job, kept, "{last:?}");
    bench.stop_spraying();
    bench.settle_and_judge(SOON).await.assert_clean();
    all_are_there(&bench, newest);
}

#[test]
fn the_power_is_cut_at_every_place_that_there_is() {
    let cases =
        concat!(include_str!("crash.rs"), include_str!("damage.rs"), include_str!("verify.rs"));
    for place in spraylog::failpoint::PLACES {
        assert!(cases.contains(&format!("(\"{place}:")), "{place}: no case");
    }
    let mut passed = Vec::new();
    let mut look = vec![std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(path) = look.pop() {
        if path.is_dir() {
            look.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let names = text.split("failpoint::pass(\"").skip(1);
        passed.extend(names.map(|rest| rest.split('"').next().unwrap().to_owned()));
    }
    let mut listed = spraylog::failpoint::PLACES.to_vec();
    listed.sort_unstable();
    passed.sort_unstable();
    assert_eq!(passed, listed, "each place is in the list, and in one place");
}

#[rstest]
#[case::first(1)]
#[case::second(2)]
#[case::third(3)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_random_moments_while_the_network_fails_it_keeps_what_was_shown_and_doubles_nothing(
    #[case] campaign: u64,
) {
    let seed = u64::from(std::process::id()) * 4 + campaign;
    println!("seed {seed}");
    let mut dice = Dice::new(seed);
    let mut bench = Bench::start(options()).await.unwrap();
    until_baseline(&bench).await;
    bench.drive(1.2, 130.0);
    bench.spray(4.0);
    bench.wait_for_records(2, SOON).await.unwrap();
    let mut newest = 0;
    for _ in 0..cuts() {
        road::fail_at_random(&mut bench, &mut dice).await;
        let life = 300 + dice.below(2200);
        for _ in 0..life / 100 {
            seconds(0.1).await;
            newest = newest.max(shown(&mut bench).await);
        }
        bench.kill_agent().unwrap();
        seconds(dice.below(400) as f64 / 1000.0).await;
        bench.start_agent().unwrap();
    }
    road::heal(&mut bench).await;
    let records = bench.records().len();
    bench.wait_for_records(records + 3, SOON).await.unwrap();
    bench.stop_spraying();
    bench.settle_and_judge(SOON).await.assert_clean();
    assert!(newest >= i64::from(cuts()), "hardly anything was shown: {newest}");
    all_are_there(&bench, newest);
    let spans = delivered(&bench).iter().filter(|record| record.note.says("tare")).count();
    assert!(spans <= 1, "one span through all of it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_killed_out_of_coverage_delivers_all_of_it_once_it_is_back() {
    let mut bench = Bench::start(options()).await.unwrap();
    until_baseline(&bench).await;
    bench.server().go_away().await;
    let delivered_before = bench.records().len();
    bench.spray(4.0);
    for _ in 0..3 {
        let before = shown(&mut bench).await;
        let more = |look: &Look| look.status().last_seq >= Some(before + 2);
        bench.wait_until("more readings", SOON, more).await.unwrap();
        bench.kill_agent().unwrap();
        seconds(0.3).await;
        bench.start_agent().unwrap();
    }
    assert_eq!(bench.records().len(), delivered_before);
    let newest = shown(&mut bench).await;
    bench.server().come_back().await.unwrap();
    bench.wait_for_records(delivered_before + 6, SOON).await.unwrap();
    bench.stop_spraying();
    bench.settle_and_judge(SOON).await.assert_clean();
    all_are_there(&bench, newest);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_got_lost_on_the_disk_is_missed_at_the_next_start() {
    let mut bench = Bench::start(options()).await.unwrap();
    until_baseline(&bench).await;
    bench.spray(4.0);
    bench.wait_for_records(3, SOON).await.unwrap();
    bench.stop_agent().await.unwrap();
    assert!(!said(&bench, &["status"]).contains("DOES NOT ADD UP"));
    // No trigger sees what a disk does.
    let db = rusqlite::Connection::open(bench.dir().join("data/queue.db")).unwrap();
    let triggers = "SELECT group_concat('DROP TRIGGER ' || name, ';'), group_concat(sql, ';')
        FROM sqlite_schema WHERE type = 'trigger'";
    let (drop_all, make_all): (String, String) =
        db.query_row(triggers, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    db.execute_batch(&drop_all).unwrap();
    db.execute_batch("PRAGMA foreign_keys = OFF; DELETE FROM reading WHERE seq = 2").unwrap();
    db.execute_batch(&make_all).unwrap();
    drop(db);
    bench.start_agent().unwrap();
    until("the shout", || said(&bench, &["status"]).contains("DOES NOT ADD UP")).await;
    assert!(bench.agent().log().contains("do not add up"));
}
