//! How fast a backlog goes out: the real program against a bare loop that posts the same
//! bodies on one connection to the same server, in the same run. Once with a server that is
//! 50 ms away; and once with one that isn't, where the loop makes the same two commits a batch,
//! in a copy of the same queue.
//! A ratio above its bound fails the bench.
//!
//! `make bench`; smaller with `SPRAYLOG_BENCH_DRAINED=5000`. What is timed is from the first
//! batch at the server to its answer to the last.

#![allow(clippy::unwrap_used, reason = "a bench may")]

mod bare;
#[path = "../made/mod.rs"]
mod made;
mod server;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use bare::{Batch, Record};
use hil_sim::bench::{Bench, BenchOptions};
use made::{Bounds, median};
use rusqlite::{Connection, OpenFlags};
use server::Server;
use spraylog::queue::{FILE, file_in};

/// What a mobile connection adds to every answer.
const AWAY: Duration = Duration::from_millis(50);
/// Runs without latency; the one in the middle counts.
const RUNS: usize = 3;
/// Nothing takes this long.
const PATIENCE: Duration = Duration::from_secs(600);

#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    let many = made::size("SPRAYLOG_BENCH_DRAINED", 100_000);
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let made = dir.path().join("made");
    std::fs::create_dir(&made).unwrap();
    let (into, file) = (made.clone(), file_in(&made));
    tokio::task::spawn_blocking(move || made::season(&into, many)).await.unwrap();

    let mut bounds = Bounds::default();
    let mut ratios = Vec::new();
    for run in 0..RUNS {
        let ours = agent(dir.path(), &file, many, Duration::ZERO).await;
        let own = dir.path().join(format!("bare-{run}.db"));
        std::fs::copy(&file, &own).unwrap();
        let bare = bare_loop(&ours.batches, Duration::ZERO, Some(&own));
        println!("here: agent {:.2} s, loop with two commits {bare:.2} s", ours.took);
        ratios.push(ours.took / bare);
    }
    bounds.holds("draining to here, in times of a loop with commits", median(ratios), "", 1.5);
    let ours = agent(dir.path(), &file, many, AWAY).await;
    let bare = bare_loop(&ours.batches, AWAY, None);
    println!("50 ms away: agent {:.2} s, loop {bare:.2} s", ours.took);
    bounds.holds("draining to 50 ms away, in times of a loop", ours.took / bare, "", 1.15);
    bounds.end()
}

struct Drained {
    /// Seconds.
    took: f64,
    batches: Vec<Batch>,
}

/// The agent's own binary drains a copy of the queue.
async fn agent(dir: &Path, made: &Path, many: u64, latency: Duration) -> Drained {
    let data = tempfile::tempdir_in(dir).unwrap();
    std::fs::copy(made, data.path().join(FILE)).unwrap();
    let server = Server::start(latency);
    let config = format!(
        "[device]\ndata_dir = \"{}\"\n[jobcloser]\nbase_url = \"http://{}\"\n\
         [meter]\nport = \"{}\"\n",
        data.path().display(),
        server.addr,
        // Nothing is recorded meanwhile.
        data.path().join("unplugged").display()
    );
    let options = BenchOptions::new(env!("CARGO_BIN_EXE_spraylog")).with_config(&config).unwrap();
    let mut bench = Bench::start(options).await.unwrap();
    let begun = Instant::now();
    while (server.records() as u64) < many {
        assert!(begun.elapsed() < PATIENCE, "not drained: {}", bench.agent().log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // What the last answer brought is written down before it ends.
    bench.stop_agent().await.unwrap();
    let batches = frozen(&file_in(data.path()));
    let bodies = server.bodies();
    assert!(batches.iter().map(|batch| &batch.body).eq(&bodies), "other bodies than were frozen");
    Drained { took: server.took(), batches }
}

/// The batches of a drained queue; every reading must have become sent, once.
fn frozen(file: &Path) -> Vec<Batch> {
    let db = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let unsent = "SELECT count(*) FROM reading WHERE state <> 2";
    assert_eq!(db.query_row(unsent, [], |r| r.get::<_, i64>(0)).unwrap(), 0);
    let mut attempts: BTreeMap<[i64; 3], Vec<Record>> = BTreeMap::new();
    let sql =
        "SELECT d.attempt, a.span, a.boot, d.seq, d.span, d.meter, d.utc_s, d.offset_min, d.wire
         FROM delivery d JOIN attempt a ON a.id = d.attempt ORDER BY d.seq";
    let mut statement = db.prepare(sql).unwrap();
    let mut rows = statement.query([]).unwrap();
    while let Some(row) = rows.next().unwrap() {
        let number = |at: usize| row.get::<_, i64>(at).unwrap();
        let columns = [number(3), number(4), number(5), number(6), number(7)];
        let record = Record { columns, wire: row.get(8).unwrap() };
        attempts.entry([number(0), number(1), number(2)]).or_default().push(record);
    }
    let whole = |(attempt, records): ([i64; 3], Vec<Record>)| {
        let wires: Vec<&[u8]> = records.iter().map(|record| record.wire.as_slice()).collect();
        Batch { body: [b"[", wires.join(&b',').as_slice(), b"]"].concat(), attempt, records }
    };
    attempts.into_iter().map(whole).collect()
}

fn bare_loop(batches: &[Batch], latency: Duration, file: Option<&Path>) -> f64 {
    let server = Server::start(latency);
    bare::drain(server.addr, batches, file);
    server.took()
}
