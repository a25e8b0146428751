//! What timelines look at: the agent's own words through its control socket and its
//! commands, its queue, its process as the kernel sees it, what the server holds. Asserts
//! nothing of its own but that what is awaited comes.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::process::Output;
use std::time::{Duration, Instant};

use hil_sim::bench::Bench;
use hil_sim::jobcloser::StoredRecord;
use hil_sim::judge::{Delivered, Evidence, Verdict, judge};
use serde_json::Value;

use crate::bench::SOON;

/// What the running agent says of itself, asked at its own door: cheaper than a command,
/// so that it may be asked often. `Null` while it doesn't answer.
pub fn live(bench: &Bench) -> Value {
    let ask = || -> std::io::Result<Value> {
        let mut door = UnixStream::connect(bench.dir().join("control.sock"))?;
        door.set_read_timeout(Some(Duration::from_secs(10)))?;
        door.write_all(b"{\"cmd\":\"status\"}\n")?;
        let mut line = String::new();
        BufReader::new(door).read_line(&mut line)?;
        let answer: Value = serde_json::from_str(&line)?;
        Ok(answer["ok"].clone())
    };
    ask().unwrap_or(Value::Null)
}

/// A number in what [`live`] says; 0 where there is none.
pub fn number(said: &Value, pointer: &str) -> u64 {
    said.pointer(pointer).and_then(Value::as_u64).unwrap_or(0)
}

/// Waits until the agent's own words fulfil a condition, looking often; how long it took.
pub async fn until_live(bench: &Bench, what: &str, holds: impl Fn(&Value) -> bool) -> Duration {
    until(what, || holds(&live(bench))).await
}

/// Waits until the agent has a count to go on from: a meter's first two lines only agree
/// on that.
pub async fn until_baseline(bench: &Bench) {
    until_live(bench, "a baseline", |s| s["meter"]["recorder"]["raw"].is_u64()).await;
}

/// Waits until something holds, looking often; how long it took.
pub async fn until(what: &str, mut holds: impl FnMut() -> bool) -> Duration {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < SOON, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(40)).await;
    }
    begun.elapsed()
}

/// Every reading in the agent's queue, delivered or not, as `records list` tells it.
pub fn readings(bench: &Bench) -> Vec<Value> {
    let listed = said_json(bench, &["records", "list", "--json", "--limit", "100000"]);
    listed.as_array().unwrap().clone()
}

/// Those of them that carry a flag.
pub fn flagged(bench: &Bench, flag: &str) -> Vec<Value> {
    let mut readings = readings(bench);
    readings.retain(|r| r["flags"].as_array().is_some_and(|all| all.iter().any(|f| f == flag)));
    readings
}

/// Waits until a reading carries a flag, and returns it.
pub async fn until_flagged(bench: &Bench, flag: &str) -> Value {
    let mut found = None;
    until(flag, || {
        std::thread::sleep(Duration::from_millis(150));
        found = flagged(bench, flag).into_iter().next();
        found.is_some()
    })
    .await;
    found.unwrap()
}

pub async fn seconds(s: f64) {
    tokio::time::sleep(Duration::from_secs_f64(s)).await;
}

/// Runs a command of the agent's binary with the bench's configuration.
pub fn command(bench: &Bench, args: &[&str]) -> Output {
    bench.agent().command(args).output().unwrap()
}

/// The same for one that must work: what it printed.
pub fn said(bench: &Bench, args: &[&str]) -> String {
    let output = command(bench, args);
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{args:?}: {}: {complaint}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

/// The same as JSON.
pub fn said_json(bench: &Bench, args: &[&str]) -> Value {
    serde_json::from_str(&said(bench, args)).unwrap()
}

/// What the server holds, by its readings' numbers.
pub fn delivered(bench: &Bench) -> Vec<Delivered> {
    read(&bench.records())
}

pub fn read(records: &[StoredRecord]) -> Vec<Delivered> {
    let mut all: Vec<_> = records.iter().map(|r| Delivered::read(r).unwrap()).collect();
    all.sort_by_key(|record| record.note.seq());
    all
}

/// Judges records of more than one server.
pub async fn judge_all(bench: &mut Bench, records: Vec<StoredRecord>) -> Verdict {
    let status = bench.status().await.ok();
    judge(&Evidence {
        records,
        violations: bench.server().violations(),
        truth: bench.rig().truth(),
        shown_seq: status.as_ref().and_then(|status| status.last_seq),
        status,
        rules: hil_sim::agent::rules(bench.config()),
        mishaps: Vec::new(),
    })
}

/// Seconds of processor time that a process has used (proc_pid_stat(5), fields 14 and 15,
/// in hundredths on every Linux that the agent runs on).
pub fn cpu_s(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let after_name = stat.rsplit_once(')').unwrap().1;
    let ticks: u64 =
        after_name.split_whitespace().skip(11).take(2).map(|t| t.parse::<u64>().unwrap()).sum();
    ticks as f64 / 100.0
}

/// Memory that is the process's own, in KiB. Pages of the program's file aren't: of a debug
/// build they are many, and whose they are depends on what else runs.
pub fn private_kib(pid: u32) -> u64 {
    let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    rollup
        .lines()
        .filter(|line| line.starts_with("Private_Dirty:"))
        .map(|line| line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap())
        .sum()
}
