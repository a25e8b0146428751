//! The meter's counts: damaged lines, lies with a right checksum, rollovers, restarts,
//! and a board that boots anew while the meter goes on. No gallon invented, none lost.

use std::collections::BTreeSet;

use hil_sim::bench::Bench;

use crate::bench::{SOON, options, options_with};
use crate::delivery::stop_and_wait;
use crate::look::{delivered, flagged, live, number, readings, seconds, until_flagged, until_live};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn noise_torn_lines_and_lies_with_a_right_checksum_invent_no_gallon() {
    let mut bench = Bench::start(options()).await.unwrap();
    bench.spray(3.0);
    bench.wait_for_records(2, SOON).await.unwrap();

    let meter = bench.rig().meter().clone();
    meter.noise(10);
    seconds(3.0).await;
    for counts in [5_000, 100_000, 4_000_000_000] {
        meter.glitch(counts);
        seconds(1.2).await;
    }
    meter.noise(10);
    meter.glitch(60_000);
    seconds(3.0).await;

    until_live(&bench, "the lies to be dropped", |s| {
        number(s, "/meter/recorder/suspects_dropped") >= 3
    })
    .await;
    let rejected = live(&bench)["meter"]["decoded"]["rejected"].clone();
    let lines: u64 = rejected.as_object().unwrap().values().filter_map(|n| n.as_u64()).sum();
    assert!(lines >= 5, "{rejected}");
    bench.stop_spraying();
    bench.settle_and_judge(SOON).await.assert_clean();
    assert!(flagged(&bench, "jump").is_empty() && flagged(&bench, "restart").is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_count_that_passes_its_modulus_goes_on_at_the_server() {
    let mut setup = options();
    setup.meter.modulus = 1_000_000;
    setup.meter.start_count = 999_960;
    let mut bench = Bench::start(setup).await.unwrap();
    bench.wait_until_ready(SOON).await.unwrap();
    bench.spray(5.0);
    until_flagged(&bench, "rollover").await;
    seconds(1.0).await;
    bench.stop_spraying();
    bench.settle_and_judge(SOON).await.assert_clean();
    let records = delivered(&bench);
    assert!(records.last().unwrap().raw > 1_000_000, "unwrapped");
    assert!(records.windows(2).all(|w| w[0].zero == w[1].zero), "one segment, one zero");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_meter_that_restarts_in_mid_job_keeps_the_jobs_total() {
    let mut bench = Bench::start(options()).await.unwrap();
    bench.spray(3.0);
    bench.wait_for_records(3, SOON).await.unwrap();
    bench.rig().meter().restart();
    until_flagged(&bench, "restart").await;
    seconds(2.0).await;
    bench.stop_spraying();
    bench.settle_and_judge(SOON).await.assert_clean();
    assert_eq!(flagged(&bench, "restart").len(), 1);
    let records = delivered(&bench);
    let at = records.iter().position(|record| record.note.says("restart")).unwrap();
    let (before, after) = (&records[at - 1], &records[at]);
    assert_eq!((before.note.segment, after.note.segment), (1, 2));
    assert!((after.note.base_gal - before.total_gal).abs() < 0.1, "{after:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_meter_that_restarts_while_the_agent_is_down_is_a_restart_and_not_a_rollover() {
    // High enough that the way round the modulus would be short.
    let mut setup = options();
    setup.meter.modulus = 1_000_000;
    setup.meter.start_count = 999_900;
    let mut bench = Bench::start(setup).await.unwrap();
    bench.wait_until_ready(SOON).await.unwrap();
    seconds(1.0).await;
    bench.spray(3.0);
    bench.wait_for_records(2, SOON).await.unwrap();
    stop_and_wait(&mut bench).await;
    bench.stop_agent().await.unwrap();
    bench.rig().meter().restart();
    bench.spray(3.0);
    seconds(2.0).await;
    bench.start_agent().unwrap();
    until_flagged(&bench, "restart").await;
    seconds(1.0).await;
    bench.stop_spraying();
    bench.settle_and_judge(SOON).await.assert_clean();
    assert!(flagged(&bench, "rollover").is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_board_that_boots_anew_while_the_meter_goes_on_continues_the_span() {
    if cfg!(not(feature = "testhooks")) {
        eprintln!(
            "skipped: a_board_that_boots_anew_while_the_meter_goes_on_continues_the_span \
             (needs --features testhooks)"
        );
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let clock = dir.path().join("clock.toml");
    let boot = |id: &str, up_ms: i64| {
        let up = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let offset = up_ms - up.tv_sec * 1000;
        let text = format!("boot_id = '{id}'\nboottime_offset_ms = {offset}\nsynchronised = false");
        std::fs::write(&clock, text).unwrap();
    };
    let mut setup = options_with("[clock]\ntrust_system = 'never'");
    setup.env = vec![("SPRAYLOG_TEST_CLOCK".into(), clock.clone().into())];
    boot("0b5f2b06-6b5c-4f55-8ac6-000000000001", 900_000);
    let mut bench = Bench::start(setup).await.unwrap();
    bench.spray(4.0);
    bench.wait_for_records(4, SOON).await.unwrap();

    // The key is turned; the meter has a battery of its own.
    bench.kill_agent().unwrap();
    boot("0b5f2b06-6b5c-4f55-8ac6-000000000002", 12_000);
    seconds(4.0).await;
    let before = delivered(&bench);
    bench.start_agent().unwrap();
    let gap = until_flagged(&bench, "gap").await;
    seconds(1.5).await;
    bench.stop_spraying();
    bench.settle_and_judge(SOON).await.assert_clean();

    let boots: BTreeSet<_> = readings(&bench).iter().map(|r| r["boot"].as_i64()).collect();
    assert_eq!(boots.len(), 2, "{boots:?}");
    assert!(gap["gallons"].as_f64().unwrap() > 4.0 / 60.0 * 3.0, "{gap}");
    assert_eq!(flagged(&bench, "gap").len(), 1, "found once");
    assert_eq!(flagged(&bench, "tare").len(), 1, "one span");
    let records = delivered(&bench);
    assert!(records.windows(2).all(|w| w[0].zero == w[1].zero), "with one tare");
    assert!(records.last().unwrap().total_gal > before.last().unwrap().total_gal);
}
