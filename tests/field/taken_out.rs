//! What an operator takes out of delivery: water that isn't chemical, and readings whose
//! answer will never come.

use std::time::Duration;

use hil_sim::jobcloser::{Fault, Target, Times};
use serde_json::json;

use crate::bench::{SOON, options};
use crate::delivery::{
    all_delivered, asked, command, json, seqs_at_server, sprayed_offline, trouble,
};

#[tokio::test]
async fn readings_in_doubt_for_a_job_that_is_gone_are_rejected_and_asked_about_no_more() {
    let mut bench = sprayed_offline(options(), 5).await;
    bench.server().fault(Fault::StoreAndDrop, Times::Next(1));
    let gone = Fault::Status { code: 404, retry_after: None };
    bench.server().fault_at(Target::GetAll, gone, Times::UntilCleared);
    bench.server().come_back().await.unwrap();
    let stuck = |look: &hil_sim::bench::Look| {
        let balance = look.status().balance;
        balance.in_doubt == balance.recorded && trouble(look).contains("404")
    };
    let seen = bench.wait_until("all in doubt, and said why", SOON, stuck).await.unwrap();
    let recorded = seen.status().balance.recorded;

    let all = format!("1..{recorded}");
    let reject =
        ["records", "reject", "--seq", &all, "--reason", "the job is gone", "--yes", "--json"];
    let said = json(&bench, &reject).await;
    assert_eq!((&said["readings"], &said["left"]), (&json!(recorded), &json!(0)));
    let shown = json(&bench, &["records", "show", "1"]).await;
    assert_eq!(
        (&shown["state"], &shown["reason"]),
        (&json!("rejected"), &json!("the job is gone"))
    );
    let calm = |look: &hil_sim::bench::Look| trouble(look).is_empty();
    bench.wait_until("nothing in the way any more", SOON, calm).await.unwrap();
    let questions = asked(&bench, "getall").len();
    // Three times as long as it would wait between two questions.
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(asked(&bench, "getall").len(), questions, "asked for ever");
    let balance = bench.status().await.unwrap().balance;
    assert_eq!((balance.rejected, balance.in_doubt), (recorded, 0), "undone");

    // The job is back, and the server has had them all along.
    bench.server().clear_faults();
    let said = json(&bench, &["records", "retry", "--json"]).await;
    assert_eq!(said["readings"], recorded);
    let sent = |look: &hil_sim::bench::Look| look.status().balance.sent == recorded;
    bench.wait_until("found at the server", SOON, sent).await.unwrap();
    assert_eq!(seqs_at_server(&bench).len() as u64, recorded, "sent again: doubled");
    all_delivered(bench).await;
}

#[tokio::test]
async fn water_that_is_not_chemical_is_counted_and_never_sent() {
    let mut bench = sprayed_offline(options(), 5).await;
    let discard = ["records", "discard", "--seq", "2..3", "--reason", "flush"];
    let unasked = command(&bench, &discard).await;
    let question = String::from_utf8_lossy(&unasked.stderr).into_owned();
    assert_eq!(unasked.status.code(), Some(64), "{question}");
    assert!(question.contains("2 readings") && question.contains("--yes"), "{question}");
    assert_eq!(bench.status().await.unwrap().balance.discarded, 0);

    let done = command(&bench, &[&discard[..], &["--yes"]].concat()).await;
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(said.starts_with("2 readings, ") && said.contains("discarded"), "{said}");
    let shown = json(&bench, &["records", "show", "3"]).await;
    assert_eq!((&shown["state"], &shown["reason"]), (&json!("discarded"), &json!("flush")));

    bench.server().come_back().await.unwrap();
    bench.wait_until_drained(SOON).await.unwrap();
    let balance = bench.status().await.unwrap().balance;
    assert_eq!((balance.discarded, balance.sent), (2, balance.recorded - 2), "{balance:?}");
    let mut seqs = seqs_at_server(&bench);
    seqs.sort_unstable();
    let others: Vec<u64> = (1..=balance.recorded).filter(|seq| ![2, 3].contains(seq)).collect();
    assert_eq!(seqs, others);
    let sent =
        json(&bench, &["records", "discard", "--seq", "4", "--reason", "x", "--yes", "--json"]);
    assert_eq!(sent.await, json!({ "readings": 0, "gallons": 0.0, "left": 1 }));
}
