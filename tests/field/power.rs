//! The power goes under the agent's disk: what it had not flushed is gone, or there in
//! part. What any `status` had shown is still there, the queue opens, and nothing is
//! doubled. That the disk would show it otherwise is shown first.

use std::path::Path;
use std::time::Duration;

use hil_sim::bench::Bench;
use hil_sim::dice::Dice;
use hil_sim::disk::{self, Cut, Disk, Refusal};
use rstest::rstest;
use rusqlite::Connection;

use crate::bench::{SOON, nightly, options};
use crate::look::{readings, until_baseline};
use crate::road;

/// How often the power goes in each of the campaigns: 10 times, or by night 50.
fn cuts() -> u64 {
    if nightly() { 50 } else { 10 }
}

fn has_disk(name: &str) -> bool {
    let why = disk::impossible();
    if let Some(why) = &why {
        eprintln!("skipped: {name} ({why})");
    }
    why.is_none()
}

/// What SQLite finds again of 30 rows, each committed alone, after a cut.
fn rows_left(synchronous: &str, cut: Cut) -> i64 {
    let dir = tempfile::tempdir().unwrap();
    let mut disk = Disk::mount(dir.path()).unwrap();
    let file = dir.path().join("rows.db");
    let db = database(&file);
    db.execute_batch("CREATE TABLE row (n INTEGER)").unwrap();
    db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    db.pragma_update(None, "synchronous", synchronous).unwrap();
    for n in 0..30 {
        db.execute("INSERT INTO row VALUES (?1)", [n]).unwrap();
    }
    disk.stop();
    drop(db);
    disk.come_back(cut).unwrap();
    let db = database(&file);
    let whole: String = db.query_row("PRAGMA integrity_check", [], |r| r.get(0)).unwrap();
    assert_eq!(whole, "ok");
    db.query_row("SELECT count(*) FROM row", [], |r| r.get(0)).unwrap()
}

fn database(file: &Path) -> Connection {
    let db = Connection::open(file).unwrap();
    // Exclusive, so that it maps no shared memory: a process that unmaps a file of a disk
    // that it serves itself waits for ever.
    db.execute_batch(
        "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL",
    )
    .unwrap();
    db
}

#[test]
fn a_cut_takes_what_was_committed_without_a_flush_and_leaves_what_was_flushed() {
    if !has_disk("a_cut_takes_what_was_committed_without_a_flush_and_leaves_what_was_flushed") {
        return;
    }
    assert_eq!(rows_left("OFF", Cut::Lost), 0);
    assert_eq!(rows_left("FULL", Cut::Lost), 30);
    let torn = |synchronous: &str| -> Vec<i64> {
        (0..8).map(|seed| rows_left(synchronous, Cut::Torn { seed })).collect()
    };
    assert_eq!(torn("FULL"), [30; 8]);
    assert!(torn("OFF").iter().any(|left| *left < 30));
}

#[test]
fn a_disk_refuses_as_it_is_told_and_takes_writes_again() {
    if !has_disk("a_disk_refuses_as_it_is_told_and_takes_writes_again") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::mount(dir.path()).unwrap();
    let file = dir.path().join("a");
    let code = |written: std::io::Result<()>| written.map_err(|err| err.raw_os_error().unwrap());
    let write = |bytes: usize| code(std::fs::write(&file, vec![1; bytes]));
    for (refusal, errno) in [
        (Refusal::ReadOnly, rustix::io::Errno::ROFS),
        (Refusal::Full, rustix::io::Errno::NOSPC),
        (Refusal::Broken, rustix::io::Errno::IO),
    ] {
        assert_eq!(write(100), Ok(()));
        disk.refuse(Some(refusal));
        assert_eq!(write(100), Err(errno.raw_os_error()), "{refusal:?}");
        disk.refuse(None);
    }
    disk.set_limit(Some(64 << 10));
    assert_eq!(write(100 << 10), Err(rustix::io::Errno::NOSPC.raw_os_error()));
    assert_eq!(write(10 << 10), Ok(()));
    let (writes, fsyncs) = (disk.writes(), disk.fsyncs());
    let open = std::fs::File::options().write(true).open(&file).unwrap();
    disk.delay_fsync(Duration::from_millis(120));
    let begun = std::time::Instant::now();
    open.sync_all().unwrap();
    assert!(begun.elapsed().as_millis() >= 120);
    assert_eq!((disk.writes(), disk.fsyncs()), (writes, fsyncs + 1));
}

/// Numbers without a hole from 1 to what any status had shown, or beyond.
fn all_are_there(bench: &Bench, shown: i64) {
    let numbers: Vec<i64> = readings(bench).iter().map(|r| r["seq"].as_i64().unwrap()).collect();
    assert_eq!(numbers, (1..=numbers.len() as i64).collect::<Vec<_>>());
    assert!(numbers.len() as i64 >= shown, "{shown} was shown, {} are there", numbers.len());
}

/// Places right before and after something of a reading's way is on the disk.
fn places() -> Vec<&'static str> {
    let mut ways = spraylog::failpoint::PLACES.split_inclusive(|at| *at == "settle_after_commit");
    let way = ways.next().unwrap().iter().copied();
    way.filter(|place| place.ends_with("_commit")).collect()
}

/// Lives until the power goes, at a random moment or at a place; the greatest number shown.
async fn live_and_lose_power(bench: &mut Bench, dice: &mut Dice, cut: Cut) -> i64 {
    let mut newest = 0;
    let life = 6 + dice.below(18);
    for _ in 0..life {
        // An end at a place is expected, and no mishap.
        let _ = bench.wait_for_agents_end(Duration::from_millis(100)).await;
        if let Ok(status) = bench.status().await {
            newest = newest.max(status.last_seq.unwrap_or(0));
        }
    }
    bench.cut_power(cut).unwrap();
    newest
}

#[rstest]
#[case::what_was_not_flushed_is_gone(false)]
#[case::what_was_not_flushed_is_torn(true)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_any_power_cut_what_was_shown_is_there_and_the_queue_opens(#[case] torn: bool) {
    if !has_disk("after_any_power_cut_what_was_shown_is_there_and_the_queue_opens") {
        return;
    }
    let seed = std::process::id().into();
    println!("seed {seed}");
    let mut dice = Dice::for_purpose(seed, if torn { "torn" } else { "lost" });
    let mut setup = options();
    setup.disk = true;
    let mut bench = Bench::start(setup).await.unwrap();
    let by = Duration::from_millis(5 + dice.below(20));
    bench.disk().unwrap().delay_fsync(by);
    until_baseline(&bench).await;
    bench.drive(1.2, 130.0);
    bench.spray(4.0);
    let mut newest = 0;
    for _ in 0..cuts() {
        road::fail_at_random(&mut bench, &mut dice).await;
        let cut = if torn { Cut::Torn { seed: dice.throw() } } else { Cut::Lost };
        newest = newest.max(live_and_lose_power(&mut bench, &mut dice, cut).await);
        if cfg!(feature = "testhooks") && dice.below(2) == 0 {
            let places = places();
            let place = places[dice.below(places.len() as u64) as usize];
            let nth = 1 + dice.below(3);
            bench.agent_mut().set_env("SPRAYLOG_FAILPOINT", format!("{place}:{nth}"));
        } else {
            bench.agent_mut().unset_env("SPRAYLOG_FAILPOINT");
        }
        bench.start_agent().unwrap();
    }
    bench.agent_mut().unset_env("SPRAYLOG_FAILPOINT");
    bench.cut_power(Cut::Lost).unwrap();
    bench.start_agent().unwrap();
    road::heal(&mut bench).await;
    let records = bench.records().len();
    bench.wait_for_records(records + 3, SOON).await.unwrap();
    bench.stop_spraying();
    bench.settle_and_judge(SOON).await.assert_clean();
    assert!(newest >= cuts() as i64 / 2, "hardly anything was shown: {newest}");
    all_are_there(&bench, newest);
    assert!(!bench.agent().log().contains("the queue is damaged"));
    bench.stop_agent().await.unwrap();
    let whole = database(&bench.dir().join("data/queue.db"))
        .query_row("PRAGMA integrity_check", [], |r| r.get::<_, String>(0))
        .unwrap();
    assert_eq!(whole, "ok");
}
