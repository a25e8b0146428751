//! A fast meter and a fast receiver, for a minute: nothing piles up, and memory stays as
//! small as a small board needs it.

use hil_sim::bench::Bench;
use serde_json::json;

use crate::bench::{SOON, nightly, options};
use crate::look::{cpu_s, live, number, private_kib, seconds, until_baseline};

/// What the agent may have for itself.
const PRIVATE_KIB: u64 = 12 * 1024;

/// What it may grow by once it works: allocators breathe.
const GROWTH_KIB: u64 = 1024;

/// What SQLite's page cache comes to in the first hour, and stays at: `cache_size` is -2000.
const CACHE_KIB: u64 = 2000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_samples_and_ten_fixes_a_second_for_a_minute_let_nothing_grow() {
    let mut setup = options();
    setup.meter.lines_per_s = 10.0;
    setup.gps.hz = 10;
    let mut bench = Bench::start(setup).await.unwrap();
    until_baseline(&bench).await;
    let pid = bench.agent().pid().unwrap();
    bench.drive(2.0, 45.0);
    bench.spray(5.0);
    seconds(10.0).await;

    let (begin, cpu, early) = (live(&bench), cpu_s(pid), private_kib(pid));
    let minutes = if nightly() { 20 } else { 1 };
    for _ in 0..60 * minutes {
        seconds(1.0).await;
        let now = live(&bench);
        // Lines wait nowhere: the newest sample is the one that was just sent.
        let age = number(&now, "/meter/recorder/sample_age_ms");
        assert!(age < 2000, "the newest sample is {age} ms old");
        let backlog = bench.status().await.unwrap().balance.backlog();
        assert!(backlog < 10, "{backlog} readings wait for a server that answers");
    }
    let (end, used, late) = (live(&bench), cpu_s(pid) - cpu, private_kib(pid));
    println!("private memory {early} KiB, {minutes} min later {late} KiB; {used:.2} s CPU");

    let grown = |pointer| number(&end, pointer) - number(&begin, pointer);
    let (samples, fixes) = (grown("/meter/decoded/samples"), grown("/gps/decoded/fixes"));
    assert!(samples >= 570 * minutes && fixes >= 570 * minutes, "{samples} samples, {fixes} fixes");
    assert_eq!((&end["meter"]["dropped"], &end["gps"]["dropped"]), (&json!(0), &json!(0)));
    assert_eq!(bench.rig().meter().dropped().undrained, 0, "bytes waited in the port");
    assert_eq!(bench.rig().gps().dropped().undrained, 0, "bytes waited in the port");
    assert!(late < PRIVATE_KIB, "{late} KiB");
    let growth = GROWTH_KIB + if nightly() { CACHE_KIB } else { 0 };
    assert!(late < early + growth, "{early} KiB, then {late} KiB");
    bench.stop_spraying();
    bench.settle_and_judge(SOON).await.assert_clean();
}
