//! A million readings wait: the real program starts, answers, drains, and takes a batch no
//! slower than with ten thousand. Each figure stands beside its bound; one that is broken
//! fails the bench.
//!
//! `make bench`; smaller with `SPRAYLOG_BENCH_BACKLOG=20000`. The rig and the server are
//! `hil_sim`'s.

#![allow(clippy::unwrap_used, reason = "a bench may")]

mod batches;
#[path = "../made/mod.rs"]
mod made;

use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::time::{Duration, Instant};

use hil_sim::bench::{Bench, BenchOptions};
use made::{Bounds, median};
use spraylog::queue::{Filter, View, file_in};
use tokio::time::sleep;

/// How often what is awaited is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(2);
/// What comes at all comes in this time.
const PATIENCE: Duration = Duration::from_secs(60);
/// Runs of which the one in the middle counts.
const RUNS: usize = 5;
/// How long memory is watched while the backlog goes out.
const WATCHED: Duration = Duration::from_secs(20);

#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    let many = made::size("SPRAYLOG_BENCH_BACKLOG", 1_000_000);
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let [deep, shallow] = ["deep", "shallow"].map(|name| dir.path().join(name));
    let begun = Instant::now();
    for (dir, readings) in [(&deep, many), (&shallow, made::A_DAY)] {
        std::fs::create_dir(dir).unwrap();
        let dir = dir.clone();
        tokio::task::spawn_blocking(move || made::season(&dir, readings)).await.unwrap();
    }
    println!("{many} readings made in {:.0} s", begun.elapsed().as_secs_f64());

    let mut bounds = Bounds::default();
    batches::compare(&deep, &shallow, &mut bounds).await;
    program(&deep, many, &mut bounds).await;
    bounds.end()
}

/// The agent's own binary, with its data directory already full.
async fn program(data: &Path, many: u64, bounds: &mut Bounds) {
    let config = format!(
        "[device]\ndata_dir = \"{}\"\n[retry]\nconnect_max = \"1s\"\n[jobcloser]\nsettle_after = \"1s\"\n",
        data.display()
    );
    let agent = PathBuf::from(env!("CARGO_BIN_EXE_spraylog"));
    let mut options = BenchOptions::new(agent).with_config(&config).unwrap();
    // As fast as they get: it takes the meter's second line and a fix to believe what flows.
    (options.meter.lines_per_s, options.gps.hz) = (10.0, 10);
    options.meter.start_count = newest_count(data) + 1;
    options.start_agent = false;
    let mut bench = Bench::start(options).await.unwrap();
    bench.server().go_away().await;
    bench.spray(2.0);
    bench.drive(2.0, 45.0);

    look(&bench, "daemon down", bounds);
    let mut starts = Vec::new();
    for run in 0..RUNS {
        starts.push(start(&mut bench, data).await);
        if run + 1 < RUNS {
            bench.stop_agent().await.unwrap();
        }
    }
    println!("starts: {starts:.3?} s");
    bounds.holds("start of the process to the first reading recorded", median(starts), "s", 1.0);
    look(&bench, "daemon up", bounds);

    bench.server().come_back().await.unwrap();
    let kib = drained(&bench, many).await;
    bounds.holds("private memory while draining", kib as f64 / 1024.0, "MiB", 20.0);
    bench.stop_agent().await.unwrap();
}

/// The raw count that the meter of the queue showed last.
fn newest_count(data: &Path) -> u64 {
    let newest = Filter { limit: 1, ..Filter::default() };
    let newest = View::open(&file_in(data)).unwrap().list(&newest).unwrap();
    newest[0].raw.cast_unsigned()
}

/// Seconds from the start of the process to its first reading, committed.
async fn start(bench: &mut Bench, data: &Path) -> f64 {
    let view = View::open(&file_in(data)).unwrap();
    let before = view.last_seq().unwrap();
    let begun = Instant::now();
    bench.start_agent().unwrap();
    while view.last_seq().unwrap() == before {
        assert!(begun.elapsed() < PATIENCE, "no reading: {}", bench.agent().log());
        sleep(LOOK_EVERY).await;
    }
    begun.elapsed().as_secs_f64()
}

/// `spraylog status`, for people and for programs, as a process of its own.
fn look(bench: &Bench, when: &str, bounds: &mut Bounds) {
    for args in [&["status"][..], &["status", "--json"]] {
        let time = |_| {
            let mut command = bench.agent().command(args);
            let begun = Instant::now();
            let said = command.stdin(Stdio::null()).output().unwrap();
            let took = begun.elapsed();
            assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
            took.as_secs_f64() * 1e3
        };
        let took = median((0..RUNS).map(time).collect());
        bounds.holds(&format!("{}, {when}", args.join(" ")), took, "ms", 200.0);
    }
}

/// The most memory of its own that the agent had while readings went out, in KiB.
async fn drained(bench: &Bench, many: u64) -> u64 {
    let pid = bench.agent().pid().unwrap();
    let begun = Instant::now();
    while bench.server().records().is_empty() {
        assert!(begun.elapsed() < PATIENCE, "nothing sent: {}", bench.agent().log());
        sleep(Duration::from_millis(20)).await;
    }
    let (begun, mut most) = (Instant::now(), 0);
    // Not until nothing is left: verifying what was sent is something else.
    while begun.elapsed() < WATCHED && bench.server().requests().len() as u64 * 100 < many / 2 {
        most = most.max(private_kib(pid));
        sleep(Duration::from_millis(20)).await;
    }
    println!("{} records sent meanwhile", bench.server().records().len());
    most
}

/// `Private_Dirty` and `Private_Clean`: what is in nobody else's memory.
fn private_kib(pid: u32) -> u64 {
    let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    rollup
        .lines()
        .filter(|line| line.starts_with("Private_"))
        .map(|line| line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap())
        .sum()
}
