//! A disk that fails, or takes its time: read-only and back, errors, flushes of seconds. What
//! the rig did meanwhile is recorded with its places. The disk is one of `hil_sim::disk`, so
//! this needs FUSE.

use std::time::Duration;

use hil_sim::bench::{Bench, BenchOptions};
use hil_sim::disk::{Refusal, impossible};
use rstest::rstest;

use crate::bench::{SOON, options};
use crate::disk::all_is_there;
use crate::look::{live, number, readings, said, seconds, until_baseline, until_live};

/// A rig that sprays on its way, with its data on such a disk; `None`, said aloud, where
/// there can't be one.
async fn spraying(test: &str) -> Option<Bench> {
    if let Some(why) = impossible() {
        eprintln!("skipped: {test} ({why})");
        return None;
    }
    let mut bench = Bench::start(BenchOptions { disk: true, ..options() }).await.unwrap();
    until_baseline(&bench).await;
    until_live(&bench, "a fresh fix", |s| s["gps"]["fix"] == "fresh").await;
    bench.drive(1.5, 75.0);
    bench.spray(4.0);
    bench.wait_for_records(3, SOON).await.unwrap();
    Some(bench)
}

fn waiting(said: &serde_json::Value) -> u64 {
    number(said, "/meter/recorder/not_durable/readings")
}

#[rstest]
#[case::read_only(Refusal::ReadOnly)]
#[case::broken(Refusal::Broken)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_refuses_for_a_while_costs_no_reading_and_no_place(#[case] refusal: Refusal) {
    let Some(bench) = spraying("a_disk_that_refuses_for_a_while").await else { return };
    bench.disk().unwrap().refuse(Some(refusal));
    until_live(&bench, "readings in memory", |s| waiting(s) >= 6).await;
    let shown = live(&bench)["last_seq"].clone();
    let text = said(&bench, &["status"]);
    // Of a file that is open SQLite tells no more than that it can't be written.
    assert!(text.contains("NOT DURABLE") && text.contains("the disk fails"), "{text}");
    seconds(2.0).await;
    assert_eq!(live(&bench)["last_seq"], shown, "what is only in memory is not recorded");

    bench.disk().unwrap().refuse(None);
    until_live(&bench, "the disk to take them", |s| {
        s["meter"]["recorder"]["not_durable"].is_null()
    })
    .await;
    all_is_there(bench).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readings_that_come_faster_than_the_disk_are_recorded_together() {
    let Some(bench) = spraying("readings_that_come_faster_than_the_disk").await else { return };
    // Without deliveries, so that every flush is one of recording.
    bench.server().go_away().await;
    seconds(2.0).await;
    let disk = bench.disk().unwrap();
    disk.delay_fsync(Duration::from_secs(3));
    let (flushes, before) = (disk.fsyncs(), readings(&bench).len());
    until_live(&bench, "twelve more", |_| readings(&bench).len() >= before + 12).await;
    let (flushes, more) = (disk.fsyncs() - flushes, (readings(&bench).len() - before) as u64);
    assert!(flushes * 2 <= more, "{flushes} flushes for {more} readings");
    disk.delay_fsync(Duration::ZERO);
    bench.server().come_back().await.unwrap();
    all_is_there(bench).await;
}
