//! One batch, picked, frozen and settled by the queue's own thread, in a deep queue and in a
//! shallow one by turns: what disturbs the machine disturbs both.

use std::path::Path;
use std::time::Instant;

use jiff::tz::TimeZone;
use spraylog::clock::{BootId, BootInstant};
use spraylog::config::StandIn;
use spraylog::delivery::{Outcome, Pick};
use spraylog::queue::{BatchLimits, Queue, QueueError, Store, WireSettings, file_in};

use crate::made::{Bounds, median};

/// Batches in a run; five runs take half of what the shallow queue has.
const BATCHES: usize = 10;
const RUNS: usize = 5;
/// Before anything is measured: what SQLite keeps in memory is read.
const WARM: usize = 5;

/// Prints what a batch takes in both, and the ratio.
pub async fn compare(deep: &Path, shallow: &Path, bounds: &mut Bounds) {
    let queues = [deep, shallow].map(|dir| {
        let store = Store::open(&file_in(dir), &BootId("bench".to_owned())).unwrap();
        Queue::start(store).unwrap()
    });
    let (mut times, mut ratios) = ([Vec::new(), Vec::new()], Vec::new());
    for ((queue, _), _) in queues.iter().flat_map(|queue| (0..WARM).map(move |n| (queue, n))) {
        batch(queue).await;
    }
    for _ in 0..RUNS {
        // By turns, batch by batch.
        let mut run = [0.0; 2];
        for _ in 0..BATCHES {
            for (of, (queue, _)) in run.iter_mut().zip(&queues) {
                let begun = Instant::now();
                batch(queue).await;
                *of += begun.elapsed().as_secs_f64() * 1e3 / BATCHES as f64;
            }
        }
        ratios.push(run[0] / run[1]);
        times.iter_mut().zip(run).for_each(|(times, took)| times.push(took));
    }
    let [at_depth, at_ten] = times.map(median);
    println!("a batch of 100: {at_depth:.2} ms, at {} {at_ten:.2} ms", crate::made::A_DAY);
    bounds.holds("a batch there, in times of one at 10,000", median(ratios), "", 1.25);
    for (queue, thread) in queues {
        drop(queue);
        thread.join().unwrap();
    }
}

async fn batch(queue: &Queue) {
    let frozen = queue.call(freeze).await.unwrap();
    queue
        .call(move |store| store.settle(&frozen.1, &[(frozen.0, "accepted")], None))
        .await
        .unwrap();
}

fn freeze(store: &mut Store) -> Result<(i64, Vec<(spraylog::reading::Seq, Outcome)>), QueueError> {
    let pick = Pick::Oldest { skip: Vec::new(), but: Vec::new() };
    let limits = BatchLimits { records: 100, bytes: 256 << 10 };
    let wire = WireSettings {
        device_name: "bench".to_owned(),
        zone: TimeZone::UTC,
        stand_in: StandIn::default(),
    };
    let batch = store.freeze(&pick, limits, &wire, BootInstant(0))?.unwrap();
    assert_eq!(batch.seqs.len(), limits.records);
    let id = |n: usize| Some(format!("{:030x}", batch.attempt as usize * 1000 + n));
    let sent = batch.seqs.iter().enumerate().map(|(n, seq)| (*seq, Outcome::Sent(id(n))));
    Ok((batch.attempt, sent.collect()))
}
