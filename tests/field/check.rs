//! The full check of the queue: damage that nothing stumbles over is found weekly or after a
//! first sign of it, while the rig records on. And it never keeps the agent from stopping.

use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use hil_sim::bench::Bench;
use rstest::rstest;
use rusqlite::Connection;
use rustix::process::Signal;

use crate::bench::{SOON, options};
use crate::look::{readings, said, said_json, until, until_baseline};

const PAGE: u64 = 4096;
const WEEK_MS: i64 = 7 * 24 * 3600 * 1000;

/// A rig that has delivered a few readings.
async fn spraying() -> Bench {
    let bench = Bench::start(options()).await.unwrap();
    until_baseline(&bench).await;
    bench.spray(4.0);
    bench
}

fn checkpoint(queue: &Path) {
    let db = Connection::open(queue).unwrap();
    db.query_row("PRAGMA wal_checkpoint(RESTART)", [], |_| Ok(())).unwrap();
}

/// Overwrites a page, counted from 1, once it is nowhere in the log.
fn scribble(queue: &Path, page: i64) {
    checkpoint(queue);
    let file = std::fs::OpenOptions::new().write(true).open(queue).unwrap();
    file.write_all_at(&[0x5a; PAGE as usize], (page as u64 - 1) * PAGE).unwrap();
}

fn root(queue: &Path, table: &str) -> i64 {
    let db = Connection::open(queue).unwrap();
    db.query_row("SELECT rootpage FROM sqlite_schema WHERE name = ?1", [table], |r| r.get(0))
        .unwrap()
}

/// Readings of no volume and without a place after the last one, open.
fn add_readings(queue: &Path, many: i64) {
    let db = Connection::open(queue).unwrap();
    db.execute_batch("PRAGMA synchronous = OFF").unwrap();
    let sql = "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < ?1),
            last AS (SELECT * FROM reading ORDER BY seq DESC LIMIT 1)
        INSERT INTO reading (seq, boot, boottime_ms, meter, segment, span, raw, meter_seq, unwrapped,
            share_ul, total_ul, odometer_ul, flags, state)
        SELECT seq + n, boot, boottime_ms + n, meter, segment, span, raw, meter_seq, unwrapped,
            0, total_ul, odometer_ul, 0, 0 FROM last, n";
    db.execute(sql, [many]).unwrap();
}

fn checked(bench: &Bench) -> serde_json::Value {
    said_json(bench, &["status", "--json"])["checked"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_weekly_check_finds_a_bad_page_that_nothing_reads_and_the_rig_records_on() {
    let mut bench = spraying().await;
    bench.wait_for_records(3, SOON).await.unwrap();
    let (pid, queue) = (bench.agent().pid(), bench.dir().join("data/queue.db"));
    until("the first check", || !checked(&bench).is_null()).await;
    let first = checked(&bench);
    assert_eq!(first["whole"], true, "{first}");
    assert!(first["time"].is_string() && first["took_s"].is_f64(), "{first}");
    assert!(said(&bench, &["status"]).contains("the queue is whole"));

    // Nobody was ever ruled out, so that nobody looks there. And a week goes by.
    scribble(&queue, root(&queue, "ruling"));
    let before = readings(&bench).len();
    bench.wait_for_records(bench.records().len() + 2, SOON).await.unwrap();
    assert!(readings(&bench).len() > before, "it goes on");
    let db = Connection::open(&queue).unwrap();
    let sql = "UPDATE meta SET value = json_set(value, '$.utc_ms', value ->> 'utc_ms' - ?1)
        WHERE key = 'checked'";
    assert_eq!(db.execute(sql, [WEEK_MS]).unwrap(), 1);
    drop(db);

    let aside = bench.dir().join("data/damaged-1");
    until("the queue is set aside", || aside.join("queue.db").exists()).await;
    let found = std::fs::read_to_string(aside.join("found.txt")).unwrap();
    assert!(found.contains("a full check found: Tree"), "{found}");
    let before = bench.records().len();
    bench.wait_for_records(before + 2, SOON).await.unwrap();
    assert_eq!(bench.agent().pid(), pid, "in one process");
    until("the fresh one is checked", || !checked(&bench).is_null()).await;
    assert_eq!(checked(&bench)["whole"], true);
    assert!(!bench.dir().join("data/damaged-2").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_page_among_old_readings_is_a_sign_and_the_check_comes_at_once() {
    let mut bench = spraying().await;
    bench.wait_for_records(2, SOON).await.unwrap();
    bench.stop_agent().await.unwrap();
    let queue = bench.dir().join("data/queue.db");
    add_readings(&queue, 4000);
    // An old leaf of the table, which only the reading of every row comes by.
    const LEAF: u8 = 13;
    checkpoint(&queue);
    let file = std::fs::read(&queue).unwrap();
    let mut pages = file.chunks_exact(PAGE as usize).enumerate().rev().skip(20);
    let (leaf, _) = pages.find(|(_, page)| page[0] == LEAF).unwrap();
    scribble(&queue, leaf as i64 + 1);
    bench.start_agent().unwrap();
    let aside = bench.dir().join("data/damaged-1");
    let took = until("the queue is set aside", || aside.join("queue.db").exists()).await;
    println!("set aside after {took:?}");
    let found = std::fs::read_to_string(aside.join("found.txt")).unwrap();
    assert!(found.contains("a full check found"), "{found}");
    let before = bench.records().len();
    bench.wait_for_records(before + 2, SOON).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_in_the_middle_of_a_check_is_prompt_and_leaves_no_log() {
    let mut bench = spraying().await;
    bench.wait_for_records(2, SOON).await.unwrap();
    bench.stop_spraying();
    bench.stop_agent().await.unwrap();
    let queue = bench.dir().join("data/queue.db");
    add_readings(&queue, 300_000);
    // A row that was set aside since the last check is a sign that needs no time.
    let db = Connection::open(&queue).unwrap();
    db.execute("UPDATE reading SET state = 7 WHERE seq = (SELECT max(seq) FROM reading)", [])
        .unwrap();
    drop(db);
    bench.start_agent().unwrap();
    until("a check", || bench.agent().log().contains("checking the whole queue")).await;
    bench.agent().signal(Signal::TERM).unwrap();
    let begun = std::time::Instant::now();
    let ended = bench.wait_for_agents_end(Duration::from_secs(5)).await.unwrap();
    println!("stopped after {:?}", begun.elapsed());
    assert!(ended.success(), "{ended}");
    assert!(!bench.agent().log().contains("did not stop in time"));
    assert!(!queue.with_file_name("queue.db-wal").exists(), "nobody has it open any more");
    assert_eq!(checked(&bench), serde_json::Value::Null, "it came to no end");
}

#[rstest]
#[case::cut_short("", "the file is cut short")]
#[case::a_trigger_is_gone("DROP TRIGGER reading_changed", "the trigger reading_changed is missing")]
#[case::an_index_is_gone("DROP INDEX reading_ready", "the index reading_ready is missing")]
#[case::no_stretch("DELETE FROM stretch", "find the open span")]
#[case::a_span_that_cannot_be_decoded("UPDATE span SET event = x'ff'", "event of row 1 is no TEXT")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_start_finds_is_named_and_set_aside_and_the_rig_records_on(
    #[case] damage: &str,
    #[case] found: &str,
) {
    let mut bench = spraying().await;
    bench.wait_for_records(3, SOON).await.unwrap();
    bench.stop_agent().await.unwrap();
    let queue = bench.dir().join("data/queue.db");
    if damage.is_empty() {
        let len = queue.metadata().unwrap().len();
        let file = std::fs::OpenOptions::new().write(true).open(&queue).unwrap();
        file.set_len(len - 3 * PAGE).unwrap();
    } else {
        let db = Connection::open(&queue).unwrap();
        db.execute_batch(damage).unwrap();
    }
    bench.start_agent().unwrap();
    let before = bench.records().len();
    bench.wait_for_records(before + 2, SOON).await.unwrap();
    let note = bench.dir().join("data/damaged-1/found.txt");
    let said = std::fs::read_to_string(note).unwrap();
    assert!(said.contains(found), "{said}");
    assert!(bench.agent().log().contains(found));
    assert!(!bench.dir().join("data/damaged-2").exists());
}

#[rstest]
#[case::its_attempt("UPDATE delivery SET attempt = 'x' WHERE seq = ?1")]
#[case::its_key("UPDATE delivery SET utc_s = 'x' WHERE seq = ?1")]
#[case::its_bytes_are_gone("DELETE FROM delivery WHERE seq = ?1")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reading_in_doubt_that_cannot_be_told_is_set_aside_and_delivery_goes_on(
    #[case] damage: &str,
) {
    if cfg!(not(feature = "testhooks")) {
        eprintln!("skipped: a_reading_in_doubt_that_cannot_be_told (needs --features testhooks)");
        return;
    }
    let mut setup = options();
    setup.env = vec![("SPRAYLOG_FAILPOINT".into(), "freeze_after_commit:3".into())];
    let mut bench = Bench::start(setup).await.unwrap();
    bench.spray(4.0);
    bench.wait_for_agents_end(SOON).await.unwrap();
    bench.agent_mut().unset_env("SPRAYLOG_FAILPOINT");
    let db = Connection::open(bench.dir().join("data/queue.db")).unwrap();
    let doubted: i64 =
        db.query_row("SELECT max(seq) FROM reading WHERE state = 1", [], |r| r.get(0)).unwrap();
    assert_eq!(db.execute(damage, [doubted]).unwrap(), 1);
    drop(db);

    bench.start_agent().unwrap();
    let before = bench.records().len();
    bench.wait_for_records(before + 3, SOON).await.unwrap();
    let held = || said_json(&bench, &["status", "--json"])["held_for"]["unreadable"].clone();
    until("it to be set aside", || held() == 1).await;
    let listed = said_json(&bench, &["records", "list", "--json", "--state", "unreadable"]);
    assert_eq!(listed[0]["seq"], doubted);
    let shown = said_json(&bench, &["records", "show", "--json", &doubted.to_string()]);
    assert!(shown["problem"].is_string(), "{shown}");
    assert!(said(&bench, &["status"]).contains("can't be decoded, set aside"));
}
