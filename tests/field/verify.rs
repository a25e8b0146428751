//! Verification from the field: what a server has quietly lost is found and sent again, what
//! a list may merely not show is not, and what is there twice is told.

use hil_sim::agent::EVENT_ID;
use hil_sim::bench::{Bench, Look};
use hil_sim::jobcloser::{Fault, Times};
use hil_sim::judge::Kind;
use rstest::rstest;
use serde_json::Value;

use crate::bench::{SOON, options};
use crate::delivery::{all_delivered, asked, command, stop_and_wait};

/// A rig that has sprayed a job, and sent it.
pub async fn sprayed(fault: Option<Fault>) -> Bench {
    let mut bench = Bench::start(options()).await.unwrap();
    bench.wait_until_ready(SOON).await.unwrap();
    if let Some(fault) = fault {
        bench.server().fault(fault, Times::Next(1));
    }
    bench.spray(4.0);
    bench.wait_for_records(6, SOON).await.unwrap();
    stop_and_wait(&mut bench).await;
    bench.wait_until_drained(SOON).await.unwrap();
    bench
}

/// The job is over, since another one begins.
pub async fn next_job(bench: &mut Bench) {
    let done = command(
        bench,
        &["job", "use", "--event", EVENT_ID, "--job", "0160366349ff2c5b8967a54178a716"],
    )
    .await;
    assert!(done.status.success(), "{done:?}");
    bench.spray(4.0);
    let closed = |look: &Look| closed(look).is_some();
    bench.wait_until("the job to be over", SOON, closed).await.unwrap();
}

fn closed(look: &Look) -> Option<Value> {
    look.status().closed_jobs.get(0).cloned()
}

fn verified(look: &Look) -> bool {
    closed(look).is_some_and(|job| job["verified"].is_string())
}

#[tokio::test]
async fn a_job_that_is_over_is_verified_and_its_owner_reads_so() {
    let mut bench = sprayed(None).await;
    assert!(asked(&bench, "getall").is_empty(), "it isn't over yet");
    next_job(&mut bench).await;
    bench.wait_until("verified", SOON, verified).await.unwrap();
    let said = String::from_utf8(command(&bench, &["status"]).await.stdout).unwrap();
    assert!(said.contains("records, all at JobCloser, verified "), "{said}");
    assert_eq!(asked(&bench, "getall").len(), 1, "asked once");
    all_delivered(bench).await;
}

#[rstest]
#[case::it_is_to_be_asked("verify_before_asking:1")]
#[case::what_it_said_is_not_yet_committed("verify_before_commit:1")]
#[case::what_it_said_is_committed("verify_after_commit:1")]
#[tokio::test]
async fn a_power_cut_while_a_job_is_verified_leaves_it_to_the_next_start(#[case] place: &str) {
    if cfg!(not(feature = "testhooks")) {
        eprintln!("skipped: a power cut while a job is verified (needs --features testhooks)");
        return;
    }
    let mut bench = sprayed(None).await;
    bench.stop_agent().await.unwrap();
    bench.agent_mut().set_env("SPRAYLOG_FAILPOINT", place);
    bench.start_agent().unwrap();
    bench.wait_until_ready(SOON).await.unwrap();
    next_job(&mut bench).await;
    assert!(!bench.wait_for_agents_end(SOON).await.unwrap().success());

    bench.agent_mut().unset_env("SPRAYLOG_FAILPOINT");
    bench.start_agent().unwrap();
    bench.wait_until("verified", SOON, verified).await.unwrap();
    all_delivered(bench).await;
}

#[tokio::test]
async fn a_record_that_the_server_has_quietly_dropped_is_found_and_sent_again() {
    // One of the batch after the first, so that there is something before and after it.
    let mut bench = sprayed(None).await;
    bench.server().fault(Fault::DropRow { index: 0 }, Times::Next(1));
    let before = bench.records().len();
    bench.spray(4.0);
    bench.wait_for_records(before + 3, SOON).await.unwrap();
    stop_and_wait(&mut bench).await;
    bench.wait_until_drained(SOON).await.unwrap();
    let sent = bench.status().await.unwrap().balance.sent as usize;
    assert_eq!(bench.records().len(), sent - 1, "one was dropped");
    next_job(&mut bench).await;
    let all_there = |look: &Look| closed(look).is_some_and(|job| job["all_there"] == true);
    bench.wait_until("all there", SOON, all_there).await.unwrap();
    all_delivered(bench).await;
}

#[tokio::test]
async fn a_dropped_record_does_not_keep_later_ones_in_doubt() {
    let mut bench = sprayed(None).await;
    bench.server().fault(Fault::DropRow { index: 0 }, Times::Next(1));
    let before = bench.records().len();
    bench.spray(4.0);
    bench.wait_for_records(before + 3, SOON).await.unwrap();
    bench.server().fault(Fault::DropBeforeStoring, Times::Next(1));
    let doubt = |look: &Look| look.status().balance.in_doubt > 0;
    bench.wait_until("a batch in doubt", SOON, doubt).await.unwrap();
    all_delivered(bench).await;
}

#[tokio::test]
async fn a_record_that_was_stored_too_late_is_found_as_one_too_many() {
    let mut bench = sprayed(Some(Fault::StoreLate { ms: 4000 })).await;
    tokio::time::sleep(std::time::Duration::from_secs(4)).await;
    let twice = bench.records().len() - bench.status().await.unwrap().balance.sent as usize;
    assert!(twice > 0, "it was stored after it was asked about, and once more");
    next_job(&mut bench).await;
    let told = |look: &Look| {
        closed(look).is_some_and(|job| job["all_there"] == true && job["extras"] == twice)
    };
    bench.wait_until("the doubles to be told", SOON, told).await.unwrap();
    stop_and_wait(&mut bench).await;
    let verdict = bench.settle_and_judge(SOON).await;
    verdict.assert_clean_but_for(&[Kind::Doubled, Kind::SecondTaken]);
    assert!(!verdict.is_clean(), "the judge sees it too");
}
