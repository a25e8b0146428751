//! The meter's cable: out and back in, under the same stable name.

use std::time::{Duration, Instant};

use hil_sim::bench::Bench;
use hil_sim::rig::WhileOut;

use crate::bench::{SOON, options};
use crate::look::{
    cpu_s, flagged, live, number, seconds, until, until_baseline, until_flagged, until_live,
};

/// What RULES.md, 27, allows from the device's return to the first sample.
const BACK_WITHIN: Duration = Duration::from_secs(2);

/// A meter that isn't there may cost this much of one processor.
const BUSY: f64 = 0.1;

fn samples(bench: &Bench) -> u64 {
    number(&live(bench), "/meter/decoded/samples")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_meter_that_counts_on_while_unplugged_is_back_within_2_s_and_all_of_it_is_found_once() {
    let mut bench = Bench::start(options()).await.unwrap();
    bench.spray(4.0);
    bench.wait_for_records(3, SOON).await.unwrap();

    bench.rig().meter().unplug(WhileOut::Counts).unwrap();
    let out = Instant::now();
    until_live(&bench, "the port to be lost", |s| s["meter"]["port_open"] == false).await;
    let problem = live(&bench)["meter"]["problem"].as_str().unwrap().to_owned();
    assert!(problem.contains("ports/meter"), "{problem}");

    let pid = bench.agent().pid().unwrap();
    let before = cpu_s(pid);
    seconds(3.0).await;
    let used = cpu_s(pid) - before;
    assert!(used < 3.0 * BUSY, "{used} s of processor time in 3 s without a meter");

    let heard = samples(&bench);
    bench.rig().meter().plug().unwrap();
    let plugged_ms = bench.rig().clock().now_ms();
    let gone = out.elapsed();
    let back = until("samples", || samples(&bench) > heard).await;
    println!("meter back: first sample {back:?} after the plug; {used:.2} s CPU in 3 s without");
    assert!(back < BACK_WITHIN, "{back:?}");

    let found = until_flagged(&bench, "gap").await;
    let truth = bench.rig().truth();
    let line = truth.lines.iter().filter(|line| line.heard && line.at_ms > plugged_ms);
    let line = line.into_iter().find(|line| Some(line.raw) == found["raw"].as_u64()).unwrap();
    let after_ms = line.at_ms - plugged_ms;
    println!("meter back: first reading {after_ms} ms after the plug");
    assert!(after_ms < BACK_WITHIN.as_millis() as i64, "the reading comes with the first sample");
    let (gallons, flowed) = (found["gallons"].as_f64().unwrap(), 4.0 / 60.0 * gone.as_secs_f64());
    assert!(gallons > 0.9 * flowed, "{gallons} gal found, {flowed} flowed");

    bench.stop_spraying();
    bench.settle_and_judge(SOON).await.assert_clean();
    assert_eq!(flagged(&bench, "gap").len(), 1, "found once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_meter_that_sleeps_while_unplugged_brings_nothing_that_did_not_flow() {
    let mut bench = Bench::start(options()).await.unwrap();
    bench.spray(4.0);
    bench.wait_for_records(2, SOON).await.unwrap();
    for _ in 0..2 {
        bench.rig().meter().unplug(WhileOut::Sleeps).unwrap();
        until_live(&bench, "the port to be lost", |s| s["meter"]["port_open"] == false).await;
        seconds(1.5).await;
        let (counted, heard) = (bench.rig().meter().counted(), samples(&bench));
        bench.rig().meter().plug().unwrap();
        until("samples", || samples(&bench) > heard).await;
        assert!(bench.rig().meter().counted() < counted + 25);
    }
    seconds(2.0).await;
    bench.stop_spraying();
    bench.settle_and_judge(SOON).await.assert_clean();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_meter_that_is_plugged_in_after_the_agent_has_started_is_found() {
    let mut setup = options();
    setup.start_agent = false;
    let mut bench = Bench::start(setup).await.unwrap();
    bench.rig().meter().unplug(WhileOut::Counts).unwrap();
    bench.start_agent().unwrap();
    until_live(&bench, "a complaint", |s| {
        s["meter"]["problem"].as_str().is_some_and(|p| p.contains("cannot open"))
    })
    .await;

    bench.rig().meter().plug().unwrap();
    let back = until("samples", || samples(&bench) > 0).await;
    assert!(back < BACK_WITHIN, "{back:?}");
    until_baseline(&bench).await;
    bench.spray(3.0);
    bench.wait_for_records(3, SOON).await.unwrap();
    bench.stop_spraying();
    bench.settle_and_judge(SOON).await.assert_clean();
}
