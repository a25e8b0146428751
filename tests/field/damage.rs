//! The disk damages the queue: it is set aside whole, the rig records on at once, the
//! counting goes on where it was, and what can be read is carried over and delivered once.
//! And two agents on one data directory.

use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use hil_sim::bench::Bench;
use hil_sim::dice::Dice;
use hil_sim::jobcloser::{Fault, Times};
use rstest::rstest;

use crate::bench::{SOON, nightly, options};
use crate::look::{
    command, delivered, flagged, readings, said, said_json, seconds, until, until_baseline,
    until_live,
};

const PAGE: u64 = 4096;

/// Overwrites pages of a file; of the first as much as makes it no database.
fn scribble(file: &Path, pages: impl IntoIterator<Item = u64>) {
    let file = std::fs::OpenOptions::new().write(true).open(file).unwrap();
    for page in pages {
        file.write_all_at(&[0x5a; PAGE as usize], page * PAGE).unwrap();
    }
}

/// Where the numbers of a fresh queue begin, after one that held few readings.
const FRESH: i64 = 1_000_001;

/// No reading is at the server twice.
fn assert_delivered_once(bench: &Bench) {
    let numbers: Vec<_> = delivered(bench).iter().map(|record| record.note.seq()).collect();
    assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
}

/// Damages an index that every start reads, and no reading.
fn damage_an_index(queue: &Path) {
    let db = rusqlite::Connection::open(queue).unwrap();
    let root = "SELECT rootpage FROM sqlite_schema WHERE name = 'reading_doubt'";
    let root: u32 = db.query_row(root, [], |r| r.get(0)).unwrap();
    drop(db);
    scribble(queue, [u64::from(root) - 1]);
}

/// Starts the agent; before that once so that it dies at this place, if it is one.
async fn start_after_a_death_at(bench: &mut Bench, place: &str) {
    if place != "nowhere" {
        bench.agent_mut().set_env("SPRAYLOG_FAILPOINT", place);
        bench.start_agent().unwrap();
        let ended = bench.wait_for_agents_end(SOON).await.unwrap();
        assert!(!ended.success(), "{place} was never passed");
        bench.agent_mut().unset_env("SPRAYLOG_FAILPOINT");
    }
    bench.start_agent().unwrap();
}

#[rstest]
#[case::nowhere("nowhere")]
#[case::readings_are_not_yet_committed("carry_before_commit:1")]
#[case::they_are("carry_after_commit:1")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backlog_in_a_damaged_queue_is_delivered_once_also_what_it_no_longer_knows_to_be_sent(
    #[case] place: &str,
) {
    if place != "nowhere" && cfg!(not(feature = "testhooks")) {
        eprintln!("skipped: a_backlog_in_a_damaged_queue (needs --features testhooks)");
        return;
    }
    let mut bench = Bench::start(options()).await.unwrap();
    until_baseline(&bench).await;
    bench.spray(4.0);
    bench.wait_for_records(3, SOON).await.unwrap();
    // One batch is stored, and its answer lost; what comes after waits in the queue.
    bench.server().fault(Fault::StoreAndDrop, Times::Next(1));
    bench
        .wait_until("one in doubt", SOON, |look| look.status().balance.in_doubt > 0)
        .await
        .unwrap();
    bench.server().go_away().await;
    bench.wait_until("a backlog", SOON, |look| look.status().balance.ready > 3).await.unwrap();
    bench.stop_agent().await.unwrap();
    let queue = bench.dir().join("data/queue.db");
    let saved = std::fs::read(&queue).unwrap();
    let kept: Vec<i64> = readings(&bench).iter().map(|r| r["seq"].as_i64().unwrap()).collect();
    // All of it is delivered, and the disk loses every word of that.
    bench.server().come_back().await.unwrap();
    bench.start_agent().unwrap();
    let last = *kept.last().unwrap() as u64;
    let is_there = |bench: &Bench| delivered(bench).iter().any(|r| r.note.seq() == Some(last));
    until("the backlog is delivered", || is_there(&bench)).await;
    bench.kill_agent().unwrap();
    for end in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(bench.dir().join(format!("data/queue.db{end}")));
    }
    std::fs::write(&queue, saved).unwrap();
    damage_an_index(&queue);

    start_after_a_death_at(&mut bench, place).await;
    let before = bench.records().len();
    bench.wait_for_records(before + 2, SOON).await.unwrap();
    bench.stop_spraying();
    bench.wait_until_drained(SOON).await.unwrap();
    assert_delivered_once(&bench);
    let states = readings(&bench);
    for seq in kept {
        let one = states.iter().find(|r| r["seq"] == seq).unwrap();
        assert_eq!(one["state"], "sent", "{one}");
        assert!(delivered(&bench).iter().any(|r| r.note.seq() == Some(seq as u64)), "{seq}");
    }
    let status = said_json(&bench, &["status", "--json"]);
    let carried = &status["carried_over"][0];
    assert_eq!((&carried["done"], &carried["lost"]), (&true.into(), &0.into()), "{carried}");
    assert_eq!(status["other_databases"], serde_json::json!([]));
    assert!(!said(&bench, &["status"]).contains("DOES NOT ADD UP"));
    assert!(!bench.dir().join("data/damaged-2").exists());
}

/// A rig that has delivered a few readings, and whose agent is stopped.
async fn sprayed_and_stopped() -> Bench {
    let mut bench = Bench::start(options()).await.unwrap();
    until_baseline(&bench).await;
    bench.spray(4.0);
    bench.wait_for_records(3, SOON).await.unwrap();
    bench.stop_agent().await.unwrap();
    bench
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_that_is_no_database_is_set_aside_whole_and_recording_goes_on_in_a_fresh_one() {
    let mut bench = sprayed_and_stopped().await;
    let queue = bench.dir().join("data/queue.db");
    let damaged = vec![0x5a; 48 * 1024];
    std::fs::write(&queue, &damaged).unwrap();

    bench.start_agent().unwrap();
    let before = bench.records().len();
    bench.wait_for_records(before + 3, SOON).await.unwrap();
    let aside = bench.dir().join("data/damaged-1");
    assert_eq!(std::fs::read(aside.join("queue.db")).unwrap(), damaged);
    assert!(std::fs::read_to_string(aside.join("found.txt")).unwrap().contains("not a database"));
    let text = said(&bench, &["status"]);
    assert!(text.contains("carried over 0 readings from ") && text.contains("damaged-1"), "{text}");
    assert!(!text.contains("ANOTHER QUEUE"), "{text}");
    assert!(bench.agent().log().contains("the queue is damaged"));

    // And a start later the same one goes on.
    let numbers = readings(&bench).len();
    bench.stop_agent().await.unwrap();
    bench.start_agent().unwrap();
    let before = bench.records().len();
    bench.wait_for_records(before + 2, SOON).await.unwrap();
    assert!(readings(&bench).len() > numbers);
    assert!(!bench.dir().join("data/damaged-2").exists());
}

#[rstest]
#[case::nowhere("nowhere")]
#[case::it_is_decided("aside_begun:1")]
#[case::the_log_is_moved("aside_moving:1")]
#[case::the_database_is_moved("aside_moving:2")]
#[case::all_is_moved("aside_moving:4")]
#[case::it_has_its_number("aside_done:1")]
#[case::the_fresh_one_is_not_committed("begun_before_commit:1")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_power_goes_while_a_queue_is_set_aside_and_what_flowed_meanwhile_is_found(
    #[case] place: &str,
) {
    if cfg!(not(feature = "testhooks")) {
        eprintln!(
            "skipped: the_power_goes_while_a_queue_is_set_aside (needs --features testhooks)"
        );
        return;
    }
    let mut bench = sprayed_and_stopped().await;
    let queue = bench.dir().join("data/queue.db");
    let last = readings(&bench).pop().unwrap()["unwrapped"].as_i64().unwrap();
    // The root of a table that every start reads, and none of the readings.
    let db = rusqlite::Connection::open(&queue).unwrap();
    let root: u32 = db
        .query_row("SELECT rootpage FROM sqlite_schema WHERE name = 'span'", [], |r| r.get(0))
        .unwrap();
    drop(db);
    scribble(&queue, [u64::from(root) - 1]);
    seconds(1.0).await;

    start_after_a_death_at(&mut bench, place).await;
    let before = bench.records().len();
    bench.wait_for_records(before + 2, SOON).await.unwrap();
    assert!(bench.dir().join("data/damaged-1/queue.db").exists());
    assert!(!bench.dir().join("data/damaged-2").exists());
    let found = &flagged(&bench, "gap")[0];
    assert_eq!(found["seq"], FRESH, "{:?}", readings(&bench));
    assert!(found["gallons"].as_f64().unwrap() > 0.0, "{found}");
    assert_eq!(found["job"], serde_json::Value::Null, "no job that was chosen after the gap");
    assert!(found["unwrapped"].as_i64().unwrap() > last, "{found}");
    assert!(!said(&bench, &["status"]).contains("DOES NOT ADD UP"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_pages_are_overwritten_and_no_start_fails_and_nothing_is_doubled() {
    let seed = std::process::id().into();
    println!("seed {seed}");
    let mut dice = Dice::new(seed);
    for round in 0..if nightly() { 40 } else { 3 } {
        let mut bench = Bench::start(options()).await.unwrap();
        until_baseline(&bench).await;
        bench.spray(4.0);
        bench.wait_for_records(3, SOON).await.unwrap();
        let shown = bench.status().await.unwrap().last_seq;
        bench.kill_agent().unwrap();
        let queue = bench.dir().join("data/queue.db");
        let (database, log) = [(true, false), (false, true), (true, true)][round % 3];
        if database {
            let pages = (queue.metadata().unwrap().len() / PAGE).max(1);
            scribble(&queue, [dice.below(pages), dice.below(pages)]);
        }
        // Of the log the first half: damage at its end can't be told from a torn transaction.
        if log {
            let log = bench.dir().join("data/queue.db-wal");
            let pages = log.metadata().map_or(0, |m| m.len()) / PAGE;
            scribble(&log, [dice.below((pages / 2).max(1))]);
        }
        bench.start_agent().unwrap();
        until_live(&bench, "recording", |s| s["meter"]["recorder"]["raw"].is_u64()).await;
        seconds(2.0).await;
        assert!(bench.agent_mut().is_running(), "round {round} of seed {seed}");
        let last = bench.status().await.unwrap().last_seq;
        assert!(last >= shown, "round {round} of seed {seed}: {last:?} after {shown:?}");
        println!("round {round} of seed {seed}");
        assert_delivered_once(&bench);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_lost_what_was_committed_is_set_aside_with_its_queue_and_not_cut_in_silence() {
    let mut bench = Bench::start(options()).await.unwrap();
    until_baseline(&bench).await;
    bench.spray(4.0);
    bench.wait_for_records(4, SOON).await.unwrap();
    bench.kill_agent().unwrap();
    let log = bench.dir().join("data/queue.db-wal");
    let pages = log.metadata().unwrap().len() / PAGE;
    scribble(&log, [pages / 2]);
    let damaged = std::fs::read(&log).unwrap();
    seconds(1.0).await;

    bench.start_agent().unwrap();
    let before = bench.records().len();
    bench.wait_for_records(before + 2, SOON).await.unwrap();
    let aside = bench.dir().join("data/damaged-1");
    assert_eq!(std::fs::read(aside.join("queue.db-wal")).unwrap(), damaged);
    assert!(std::fs::read_to_string(aside.join("found.txt")).unwrap().contains("the log of"));
    let numbers: Vec<i64> = readings(&bench).iter().map(|r| r["seq"].as_i64().unwrap()).collect();
    assert!(numbers[0] == 1 && numbers.last() >= Some(&FRESH), "{numbers:?}");
    let tags: std::collections::BTreeSet<String> = bench
        .records()
        .iter()
        .filter_map(|r| Some(r.text("Note")?.split_once('-')?.0.to_owned()))
        .collect();
    assert_eq!(tags.len(), 1, "its numbers alone tell what came after: {tags:?}");
    assert_delivered_once(&bench);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_damages_the_queue_in_use_costs_seconds_and_no_process() {
    let mut bench = Bench::start(options()).await.unwrap();
    until_baseline(&bench).await;
    bench.spray(4.0);
    bench.wait_for_records(3, SOON).await.unwrap();
    let pid = bench.agent().pid();
    // Every page goes bad under the running agent, once its log is in the database; and
    // another's commit makes it read them anew.
    let queue = bench.dir().join("data/queue.db");
    let db = rusqlite::Connection::open(&queue).unwrap();
    db.query_row("PRAGMA wal_checkpoint(RESTART)", [], |_| Ok(())).unwrap();
    let version: i64 = db.query_row("PRAGMA user_version", [], |r| r.get(0)).unwrap();
    let pages = queue.metadata().unwrap().len() / PAGE;
    scribble(&queue, 1..pages);
    db.pragma_update(None, "user_version", version).unwrap();

    let aside = bench.dir().join("data/damaged-1/queue.db");
    until("the queue is set aside", || aside.exists()).await;
    let before = bench.records().len();
    bench.wait_for_records(before + 2, SOON).await.unwrap();
    assert_eq!(bench.agent().pid(), pid);
    assert!(bench.agent_mut().is_running());
    assert!(said(&bench, &["status"]).contains("damaged-1"));
    assert_eq!(readings(&bench)[0]["seq"], FRESH);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_agent_names_the_first_and_touches_nothing() {
    let mut bench = Bench::start(options()).await.unwrap();
    until_baseline(&bench).await;
    bench.spray(4.0);
    bench.wait_for_records(2, SOON).await.unwrap();
    let first = bench.agent().pid().unwrap();

    let second = command(&bench, &["run"]);
    let words = format!(
        "{}{}",
        String::from_utf8_lossy(&second.stdout),
        String::from_utf8_lossy(&second.stderr)
    );
    assert_eq!(second.status.code(), Some(69), "{words}");
    assert!(words.contains(&format!("in use by pid {first}")), "{words}");

    // The first has its meter, its door and its queue as before.
    let before = bench.records().len();
    bench.wait_for_records(before + 2, SOON).await.unwrap();
    assert_eq!(bench.agent().pid(), Some(first));
    bench.stop_spraying();
    bench.settle_and_judge(Duration::from_secs(45)).await.assert_clean();
}
