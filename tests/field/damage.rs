//! The disk damages the queue: it is set aside whole, the rig records on at once, and the
//! counting goes on where it was. And two agents on one data directory.

use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use hil_sim::bench::Bench;
use hil_sim::dice::Dice;
use rstest::rstest;

use crate::bench::{SOON, nightly, options};
use crate::look::{command, flagged, readings, said, seconds, until, until_baseline, until_live};

const PAGE: u64 = 4096;

/// Overwrites pages of a file; of the first as much as makes it no database.
fn scribble(file: &Path, pages: impl IntoIterator<Item = u64>) {
    let file = std::fs::OpenOptions::new().write(true).open(file).unwrap();
    for page in pages {
        file.write_all_at(&[0x5a; PAGE as usize], page * PAGE).unwrap();
    }
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
    assert!(text.contains("ANOTHER QUEUE") && text.contains("damaged-1/queue.db"), "{text}");
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

    if place != "nowhere" {
        bench.agent_mut().set_env("SPRAYLOG_FAILPOINT", place);
        bench.start_agent().unwrap();
        let ended = bench.wait_for_agents_end(SOON).await.unwrap();
        assert!(!ended.success(), "{place} was never passed");
        bench.agent_mut().unset_env("SPRAYLOG_FAILPOINT");
    }
    bench.start_agent().unwrap();
    let before = bench.records().len();
    bench.wait_for_records(before + 2, SOON).await.unwrap();
    assert!(bench.dir().join("data/damaged-1/queue.db").exists());
    assert!(!bench.dir().join("data/damaged-2").exists());
    let fresh = readings(&bench);
    let found = &flagged(&bench, "gap")[0];
    assert_eq!(found["seq"], 1, "{fresh:?}");
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
        // What was shown is there, or the queue that has it is told of.
        let text = said(&bench, &["status"]);
        let aside = bench.dir().join("data/damaged-1").exists();
        let last = bench.status().await.unwrap().last_seq;
        assert_eq!(aside, text.contains("damaged-1/queue.db"), "round {round} of seed {seed}");
        assert!(aside || last >= shown, "round {round} of seed {seed}: {last:?} after {shown:?}");
        let id = |note: &str| note.split_whitespace().next().unwrap_or_default().to_owned();
        let ids: Vec<String> =
            bench.records().iter().map(|r| id(r.text("Note").unwrap_or_default())).collect();
        let once: std::collections::BTreeSet<&String> = ids.iter().collect();
        assert_eq!(once.len(), ids.len(), "round {round} of seed {seed}");
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
    assert_eq!(readings(&bench)[0]["seq"], 1);
    let tags: std::collections::BTreeSet<String> = bench
        .records()
        .iter()
        .filter_map(|r| Some(r.text("Note")?.split_once('-')?.0.to_owned()))
        .collect();
    assert_eq!(tags.len(), 2, "what came after isn't taken for what was lost: {tags:?}");
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
    assert!(said(&bench, &["status"]).contains("damaged-1/queue.db"));
    assert_eq!(readings(&bench)[0]["seq"], 1);
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
