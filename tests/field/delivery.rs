//! Delivery from the field: backlogs, lost answers, batches half stored. Here is also what
//! the other delivery scenarios share: how a backlog comes about, and what was asked.

use std::process::Output;
use std::time::{Duration, Instant};

use hil_sim::bench::{Bench, BenchOptions};
use hil_sim::jobcloser::{Fault, RequestLog, Times};
use hil_sim::judge::Delivered;
use serde_json::Value;

use crate::bench::{SOON, options, options_with};

/// A rig that has sprayed out of coverage: at least `readings` wait, the liquid has
/// stopped and its last reading is recorded. The server is still away.
pub async fn sprayed_offline(options: BenchOptions, readings: u64) -> Bench {
    let mut bench = Bench::start(BenchOptions { start_agent: false, ..options }).await.unwrap();
    bench.server().go_away().await;
    bench.start_agent().unwrap();
    spray_a_backlog(&mut bench, readings).await;
    bench
}

/// The same after some readings were delivered.
pub async fn sprayed_and_went_offline(options: BenchOptions, readings: u64) -> Bench {
    let mut bench = Bench::start(options).await.unwrap();
    bench.wait_until_ready(SOON).await.unwrap();
    bench.spray(4.0);
    bench.wait_for_records(2, SOON).await.unwrap();
    stop_and_wait(&mut bench).await;
    bench.wait_until_drained(SOON).await.unwrap();
    bench.server().go_away().await;
    spray_a_backlog(&mut bench, readings).await;
    bench
}

async fn spray_a_backlog(bench: &mut Bench, readings: u64) {
    bench.wait_until_ready(SOON).await.unwrap();
    bench.spray(4.0);
    let what = format!("a backlog of {readings}");
    bench.wait_until(&what, SOON, |look| look.status().balance.ready >= readings).await.unwrap();
    stop_and_wait(bench).await;
}

/// Stops the liquid and waits until that is recorded: nothing more is, after that.
pub async fn stop_and_wait(bench: &mut Bench) {
    bench.stop_spraying();
    bench
        .wait_until("stopped", SOON, |look| look.status().meter_state() == "stopped")
        .await
        .unwrap();
    let begun = Instant::now();
    while begun.elapsed() < SOON {
        let newest = json(bench, &["records", "list", "--json", "--limit", "1"]).await;
        let flags = newest[0]["flags"].as_array().cloned().unwrap_or_default();
        if flags.contains(&"stop".into()) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the stop was not recorded");
}

/// Liquid stops, all is delivered, the judge finds nothing; and the agent says itself that
/// every reading is at the server.
pub async fn all_delivered(mut bench: Bench) {
    bench.stop_spraying();
    let verdict = bench.settle_and_judge(SOON).await;
    verdict.assert_clean();
    let balance = bench.status().await.unwrap().balance;
    assert_eq!((balance.sent, balance.held, balance.rejected), (balance.recorded, 0, 0));
    assert_eq!(bench.records().len() as u64, balance.recorded, "{balance:?}");
}

/// What the server was asked of one kind, oldest first.
pub fn asked(bench: &Bench, call: &str) -> Vec<RequestLog> {
    bench.server().requests().into_iter().filter(|r| r.path.ends_with(call)).collect()
}

/// Records that ever went over the line.
pub fn records_sent(bench: &Bench) -> usize {
    asked(bench, "createbatch").iter().filter_map(|r| r.record_count).sum()
}

/// The sequence numbers at the server, in the order in which they came there.
pub fn seqs_at_server(bench: &Bench) -> Vec<u64> {
    let seq = |r| Delivered::read(r).unwrap().note.seq().unwrap();
    bench.records().iter().map(seq).collect()
}

/// A command of the agent's binary.
pub async fn command(bench: &Bench, args: &[&str]) -> Output {
    let mut command = bench.agent().command(args);
    tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap()
}

/// A command of the agent's binary that answers in JSON.
pub async fn json(bench: &Bench, args: &[&str]) -> Value {
    let output = command(bench, args).await;
    let text = String::from_utf8(output.stdout).unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    serde_json::from_str(&text).unwrap_or_else(|err| panic!("{args:?}: {err}: {text}{complaint}"))
}

/// What the agent says stands in the way of delivery.
pub fn trouble(look: &hil_sim::bench::Look) -> String {
    look.status().server["delivery"]["trouble"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a_backlog_drains_oldest_first_after_an_outage() {
    let mut bench = Bench::start(options()).await.unwrap();
    bench.wait_until_ready(SOON).await.unwrap();
    bench.drive(1.5, 75.0);
    bench.spray(4.0);
    bench.wait_for_records(2, SOON).await.unwrap();
    stop_and_wait(&mut bench).await;
    bench.wait_until_drained(SOON).await.unwrap();

    bench.server().go_away().await;
    let before = bench.records().len();
    bench.spray(3.0);
    bench.wait_until("a backlog", SOON, |look| look.status().balance.ready >= 7).await.unwrap();
    assert_eq!(bench.records().len(), before, "delivered while the server was away");

    let batches = asked(&bench, "createbatch").len();
    bench.server().come_back().await.unwrap();
    bench.wait_for_records(before + 9, SOON).await.unwrap();
    let first = asked(&bench, "createbatch").remove(batches);
    assert!(first.record_count >= Some(7), "the backlog went in dribs: {first:?}");

    let seqs = seqs_at_server(&bench);
    assert!(seqs.is_sorted_by(|a, b| a < b), "not oldest first: {seqs:?}");
    let seconds =
        bench.records().iter().map(|r| Delivered::read(r).unwrap().second).collect::<Vec<_>>();
    assert!(seconds.is_sorted_by(|a, b| a < b), "not oldest first: {seconds:?}");
    assert_eq!(records_sent(&bench), bench.records().len());
    all_delivered(bench).await;
}

#[tokio::test]
async fn a_lost_answer_is_asked_about_no_sooner_than_settle_after_and_nothing_is_resent() {
    let options = options_with("jobcloser.settle_after = \"3s\"");
    let mut bench = Bench::start(options).await.unwrap();
    bench.wait_until_ready(SOON).await.unwrap();
    bench.spray(4.0);
    bench.wait_for_records(2, SOON).await.unwrap();
    bench.server().fault(Fault::StoreAndDrop, Times::Next(1));
    // Readings recorded meanwhile are not held up by the one in doubt.
    let seen = bench
        .wait_until("one in doubt, later ones sent", SOON, |look| {
            let balance = look.status().balance;
            balance.in_doubt > 0 && look.records.len() as u64 > balance.sent
        })
        .await
        .unwrap();
    assert_eq!(trouble(&seen), "JobCloser does not answer clearly; asking what it stored");
    bench.wait_until("an answer", SOON, |look| look.status().balance.in_doubt == 0).await.unwrap();

    let lost = asked(&bench, "createbatch").into_iter().find(|r| r.status.is_none()).unwrap();
    let question = asked(&bench, "getall").remove(0);
    let waited = Duration::from_millis((question.at_ms - lost.ended_ms.unwrap()) as u64);
    assert!(waited >= Duration::from_secs(3), "asked after {waited:?}");
    bench.stop_spraying();
    bench.wait_until_drained(SOON).await.unwrap();
    assert_eq!(records_sent(&bench), bench.records().len(), "something was sent again");
    all_delivered(bench).await;
}
