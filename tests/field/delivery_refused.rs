//! What the server refuses: one reading, a whole job, and when it is freed again.

use hil_sim::agent::{EVENT_ID, JOB_ID};
use hil_sim::bench::Bench;
use hil_sim::jobcloser::{Behaviour, PoisonMode, PoisonRule};
use rstest::rstest;
use serde_json::{Value, json};

use crate::bench::{SOON, options};
use crate::delivery::{
    all_delivered, asked, command, json, seqs_at_server, sprayed_offline, stop_and_wait, trouble,
};

/// Another job, for what comes after one that is refused.
const OTHER_EVENT: &str = "8076482548429038c9b4b34fa296a4";
const OTHER_JOB: &str = "0160366349ff2c5b8967a54178a716";

fn refusing(field: &str, equals: Option<Value>, contains: Option<&str>, words: &str) -> PoisonRule {
    PoisonRule {
        field: field.to_owned(),
        equals,
        contains: contains.map(str::to_owned),
        message: Some(words.to_owned()),
    }
}

#[rstest]
#[case::half_the_batch_is_stored_before_a_400(PoisonMode::StoreBefore, 400)]
#[case::nothing_is_stored_and_422(PoisonMode::RejectWhole, 422)]
#[case::half_the_batch_is_stored_before_success_false(PoisonMode::StoreBefore, 200)]
#[tokio::test]
async fn a_poisoned_reading_is_rejected_alone_with_the_servers_words(
    #[case] poison_mode: PoisonMode,
    #[case] poison_status: u16,
) {
    let mut bench = sprayed_offline(options(), 7).await;
    let words = "MeterRawCount is not plausible";
    // The note begins with the reading's id: the fifth of this queue.
    let poison = vec![refusing("Note", None, Some("-5"), words)];
    bench.server().set_behaviour(Behaviour {
        poison,
        poison_mode,
        poison_status,
        ..Behaviour::default()
    });
    bench.server().come_back().await.unwrap();
    bench.wait_until_drained(SOON).await.unwrap();

    let first = &asked(&bench, "createbatch")[0];
    assert!(first.record_count >= Some(7), "{first:?}");
    let stored_half = first.outcome.starts_with("stored 4, then refused");
    assert_eq!(stored_half, poison_mode == PoisonMode::StoreBefore, "{first:?}");
    let shown = json(&bench, &["records", "show", "5"]).await;
    assert_eq!((&shown["state"], &shown["message"]), (&json!("rejected"), &json!(words)));
    let recorded = bench.status().await.unwrap().balance.recorded;
    let mut seqs = seqs_at_server(&bench);
    seqs.sort_unstable();
    let others: Vec<u64> = (1..=recorded).filter(|seq| *seq != 5).collect();
    assert_eq!(seqs, others, "the rest, each once");
    bench.settle_and_judge(SOON).await.assert_clean();

    // Mended at JobCloser, the reading goes too.
    bench.server().set_behaviour(Behaviour::default());
    let said = json(&bench, &["records", "retry", "--seq", "5", "--json"]).await;
    assert_eq!(said["readings"], 1);
    bench.wait_until("the fifth", SOON, |look| look.status().balance.rejected == 0).await.unwrap();
    bench.wait_until_drained(SOON).await.unwrap();
    all_delivered(bench).await;
}

#[tokio::test]
async fn a_refused_job_is_held_whole_while_a_later_one_goes_on() {
    let mut bench = sprayed_offline(options(), 5).await;
    let words = "The job is closed";
    let poison = vec![refusing("JobId", Some(json!(JOB_ID)), None, words)];
    bench.server().set_behaviour(Behaviour { poison, ..Behaviour::default() });
    bench.server().come_back().await.unwrap();
    let seen = bench
        .wait_until("the job on hold", SOON, |look| look.status().held_for.refused > 0)
        .await
        .unwrap();
    let balance = seen.status().balance;
    assert_eq!((balance.rejected, balance.sent), (0, 0), "{balance:?}");
    assert_eq!(balance.held, balance.recorded, "{balance:?}");
    assert!(trouble(&seen).contains(words) && trouble(&seen).contains("records retry"));
    let status = json(&bench, &["status", "--json"]).await;
    assert_eq!(
        status["refused_jobs"],
        json!([{"event": EVENT_ID, "job": JOB_ID, "message": words}])
    );
    let held = balance.held;

    job_use(&bench, OTHER_EVENT, OTHER_JOB).await;
    bench.spray(3.0);
    bench.wait_for_records(3, SOON).await.unwrap();
    assert!(bench.records().iter().all(|r| r.text("JobId") == Some(OTHER_JOB)));
    stop_and_wait(&mut bench).await;
    bench.wait_until_drained(SOON).await.unwrap();
    let balance = bench.status().await.unwrap().balance;
    assert!(balance.held >= held && balance.rejected == 0, "{balance:?}");

    bench.server().set_behaviour(Behaviour::default());
    let said = command(&bench, &["records", "retry"]).await;
    assert!(said.status.success(), "{said:?}");
    bench.wait_until("nothing held", SOON, |look| look.status().balance.held == 0).await.unwrap();
    bench.wait_until_drained(SOON).await.unwrap();
    let of_the_first =
        bench.records().iter().filter(|r| r.text("JobId") == Some(JOB_ID)).count() as u64;
    assert!(of_the_first >= held, "{of_the_first} of {held}");
    all_delivered(bench).await;
}

async fn job_use(bench: &Bench, event: &str, job: &str) {
    let said = command(bench, &["job", "use", "--event", event, "--job", job]).await;
    assert!(said.status.success(), "{said:?}");
}
