//! Stopping: in the order of the flow, within 5 s, with a last reading of what flowed.

use std::time::Duration;

use hil_sim::bench::Bench;
use hil_sim::jobcloser::{Fault, Times};
use hil_sim::rig::WhileOut;
use rstest::rstest;
use rustix::process::Signal;
use tokio::net::UnixDatagram;

use crate::bench::{SOON, options, options_with};
use crate::look::{live, readings, seconds, until_baseline, until_live};

/// What the interface allows.
const STOPS_WITHIN: Duration = Duration::from_secs(5);

#[rstest]
#[case::sigterm(Signal::TERM)]
#[case::sigint(Signal::INT)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_in_mid_flow_records_what_flowed_up_to_it(#[case] signal: Signal) {
    // Long between readings: without a last one much would be missing.
    let mut bench = Bench::start(options_with("record.every = '20s'")).await.unwrap();
    until_baseline(&bench).await;
    bench.spray(4.0);
    bench.wait_for_records(1, SOON).await.unwrap();
    seconds(4.0).await;
    let counted = live(&bench)["meter"]["recorder"]["raw"].as_u64().unwrap();
    let before = readings(&bench).last().unwrap()["raw"].as_u64().unwrap();
    assert!(counted > before + 20, "{counted} counted, {before} recorded");

    bench.agent().signal(signal).unwrap();
    let ended = bench.wait_for_agents_end(STOPS_WITHIN).await.unwrap();
    assert!(ended.success(), "{ended}");
    let last = readings(&bench).last().unwrap().clone();
    assert!(last["raw"].as_u64().unwrap() >= counted, "{last}");

    // And what flows while it is down is found once it is back.
    bench.start_agent().unwrap();
    until_baseline(&bench).await;
    bench.stop_spraying();
    bench.settle_and_judge(SOON).await.assert_clean();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_at_rest_records_nothing_more() {
    let mut bench = Bench::start(options()).await.unwrap();
    until_baseline(&bench).await;
    bench.spray(3.0);
    bench.wait_for_records(2, SOON).await.unwrap();
    bench.stop_spraying();
    until_live(&bench, "stopped", |s| s["meter"]["state"] == "stopped").await;
    bench.wait_until_drained(SOON).await.unwrap();
    let before = readings(&bench).len();
    let (ended, took) = bench.stop_agent().await.unwrap().unwrap();
    assert!(ended.success() && took < STOPS_WITHIN, "{ended} after {took:?}");
    assert_eq!(readings(&bench).len(), before);
    assert!(bench.agent().log().lines().last().unwrap().contains("stopped"));
    bench.judge_now().await.assert_clean();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_without_meter_receiver_and_server_is_as_quick() {
    let mut bench = Bench::start(options()).await.unwrap();
    until_baseline(&bench).await;
    bench.rig().meter().unplug(WhileOut::Counts).unwrap();
    bench.rig().gps().unplug().unwrap();
    bench.server().fault(Fault::Hang { ms: 60_000 }, Times::UntilCleared);
    until_live(&bench, "lost ports", |s| {
        s["meter"]["port_open"] == false && s["gps"]["port_open"] == false
    })
    .await;
    let (ended, took) = bench.stop_agent().await.unwrap().unwrap();
    assert!(ended.success(), "{ended}");
    assert!(took < STOPS_WITHIN, "{took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_is_heard_while_a_reload_waits_for_a_file() {
    let mut bench = Bench::start(options()).await.unwrap();
    until_baseline(&bench).await;
    let more = bench.agent().config_path().with_file_name("conf.d");
    std::fs::create_dir(&more).unwrap();
    // Nobody ever writes into it, as a disk that hangs.
    let (kind, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU);
    rustix::fs::mknodat(rustix::fs::CWD, more.join("a.toml"), kind, mode, 0).unwrap();
    bench.reload_agent().unwrap();
    seconds(1.0).await;
    let (ended, took) = bench.stop_agent().await.unwrap().unwrap();
    assert!(ended.success() && took < STOPS_WITHIN, "{ended} after {took:?}");
}

/// What the agent tells systemd, word by word.
struct Manager(UnixDatagram);

impl Manager {
    async fn hears(&self) -> String {
        let mut buffer = [0; 512];
        let heard = tokio::time::timeout(SOON, self.0.recv(&mut buffer)).await;
        let length = heard.expect("systemd waited in vain").unwrap();
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    }

    /// Skips signs of life.
    async fn news(&self) -> String {
        loop {
            let heard = self.hears().await;
            if heard.trim() != "WATCHDOG=1" {
                return heard;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn systemd_hears_of_readiness_life_reloads_and_the_stop() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notify");
    let manager = Manager(UnixDatagram::bind(&path).unwrap());
    let mut setup = options();
    setup.start_agent = false;
    setup.env =
        vec![("NOTIFY_SOCKET".into(), path.into()), ("WATCHDOG_USEC".into(), "1000000".into())];
    let mut bench = Bench::start(setup).await.unwrap();
    bench.start_agent().unwrap();
    assert_eq!(manager.news().await.trim(), "READY=1");
    for _ in 0..3 {
        assert_eq!(manager.hears().await.trim(), "WATCHDOG=1");
    }
    bench.reload_agent().unwrap();
    let reloading = manager.news().await;
    assert!(reloading.contains("RELOADING=1") && reloading.contains("MONOTONIC_USEC="));
    assert_eq!(manager.news().await.trim(), "READY=1");
    bench.stop_agent().await.unwrap();
    assert_eq!(manager.news().await.trim(), "STOPPING=1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_task_shows_life_while_nothing_happens_and_while_much_does() {
    let mut bench = Bench::start(options()).await.unwrap();
    until_baseline(&bench).await;
    bench.server().fault(Fault::Hang { ms: 60_000 }, Times::UntilCleared);
    bench.rig().gps().unplug().unwrap();
    bench.spray(3.0);
    // The oldest sign of life is what the watchdog goes by: it fires at 45 s.
    for _ in 0..20 {
        seconds(1.0).await;
        let oldest = live(&bench)["daemon"]["oldest_pulse_ms"].as_u64().unwrap();
        assert!(oldest < 16_000, "{oldest} ms without a sign of life");
    }
    bench.server().clear_faults();
    bench.stop_spraying();
    bench.settle_and_judge(SOON).await.assert_clean();
}
