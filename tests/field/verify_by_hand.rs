//! `records verify`: a job set beside JobCloser's list when an operator wants it, by a running
//! daemon and without one; what is missing is named, sent again where that can't double it,
//! and never where it can.

use hil_sim::agent::JOB_ID;
use hil_sim::bench::Bench;
use hil_sim::jobcloser::{Behaviour, Fault, Target, Times};
use rstest::rstest;
use serde_json::Value;

use crate::bench::SOON;
use crate::delivery::{all_delivered, asked, command, records_sent, seqs_at_server, stop_and_wait};
use crate::verify::{next_job, sprayed};

/// What it says, and its exit code.
async fn verified(bench: &Bench, more: &[&str]) -> (Value, i32) {
    let args = [&["records", "verify", "--job", JOB_ID, "--json"][..], more].concat();
    let output = command(bench, &args).await;
    let said = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    (said, output.status.code().unwrap())
}

/// The daemon's end, or not.
async fn with_or_without(daemon: bool, bench: &mut Bench) {
    if !daemon {
        bench.stop_agent().await.unwrap();
    }
}

#[rstest]
#[case::by_the_daemon(true)]
#[case::without_a_daemon(false)]
#[tokio::test]
async fn a_job_is_verified_at_once_and_what_is_being_sprayed_is_said_apart(#[case] daemon: bool) {
    let mut bench = sprayed(None).await;
    let sent = bench.records().len();
    with_or_without(daemon, &mut bench).await;
    let (said, code) = verified(&bench, &[]).await;
    let job = &said["jobs"][0];
    assert_eq!((code, &job["all_there"], &job["closed"]["records"]), (0, &true.into(), &0.into()));
    assert_eq!(job["open"]["records"], sent, "{said:#}");
    assert_eq!(asked(&bench, "getall").len(), 1, "one list is enough where nothing is missing");

    if daemon {
        next_job(&mut bench).await;
        let output = command(&bench, &["records", "verify", "--job", JOB_ID]).await;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(text.contains("records, all at JobCloser, verified 20"), "{text}");
        assert_eq!(output.status.code(), Some(0), "{text}");
    } else {
        bench.start_agent().unwrap();
    }
    all_delivered(bench).await;
}

#[rstest]
#[case::by_the_daemon(true)]
#[case::without_a_daemon(false)]
#[tokio::test]
async fn what_a_server_has_lost_at_the_end_of_a_job_is_named_and_sent_again_where_that_is_said(
    #[case] daemon: bool,
) {
    let mut bench = sprayed(None).await;
    // Two batches at the end: no list can show that it isn't only behind.
    let records = bench.records();
    let lost: Vec<u64> = seqs_at_server(&bench).split_off(records.len() - 2);
    for record in &records[records.len() - 2..] {
        assert!(bench.server().lose(&record.id));
    }
    with_or_without(daemon, &mut bench).await;
    let (said, code) = verified(&bench, &[]).await;
    let missing = &said["jobs"][0]["missing"];
    assert_eq!((code, &missing["readings"]), (65, &2.into()), "{said:#}");
    assert_eq!(missing["seq"][0], serde_json::json!([lost[0], lost[1]]), "{said:#}");
    assert_eq!(records_sent(&bench), records.len(), "nothing is sent again unasked");

    let no_yes = command(&bench, &["records", "verify", "--job", JOB_ID, "--resend"]).await;
    assert_eq!(no_yes.status.code(), Some(64), "nobody was there to say yes");
    let lists = asked(&bench, "getall").len();
    let (said, code) = verified(&bench, &["--resend", "--yes"]).await;
    let again = &said["jobs"][0]["sent_again"]["readings"];
    assert_eq!((code, again), (65, &2.into()), "{said:#}");
    assert!(asked(&bench, "getall").len() >= lists + 2, "asked about first, twice");
    if !daemon {
        bench.start_agent().unwrap();
    }
    bench.wait_for_records(records.len(), SOON).await.unwrap();
    bench.wait_until_drained(SOON).await.unwrap();
    let (said, code) = verified(&bench, &[]).await;
    assert_eq!(code, 0, "{said:#}");
    all_delivered(bench).await;
}

#[rstest]
#[case::a_list_as_long_as_a_page(Behaviour { list_limit: Some(10), ..Behaviour::default() })]
#[case::times_that_are_moved(Behaviour { shift_dates_min: 60, ..Behaviour::default() })]
#[case::a_list_of_nothing(Behaviour { list_limit: Some(0), ..Behaviour::default() })]
#[tokio::test]
async fn what_may_be_there_all_the_same_is_never_sent_again(#[case] behaviour: Behaviour) {
    let mut bench = sprayed(None).await;
    bench.spray(4.0);
    bench.wait_for_records(12, SOON).await.unwrap();
    stop_and_wait(&mut bench).await;
    bench.wait_until_drained(SOON).await.unwrap();
    let there = bench.records().len();
    bench.server().set_behaviour(behaviour);
    let (said, code) = verified(&bench, &["--resend", "--yes"]).await;
    let job = &said["jobs"][0];
    assert_eq!((code, &job["sent_again"]["readings"]), (65, &0.into()), "{said:#}");
    assert!(job["missing"]["readings"].as_u64().unwrap() >= 2, "{said:#}");
    bench.server().set_behaviour(Behaviour::default());
    let (said, code) = verified(&bench, &[]).await;
    assert_eq!(code, 0, "{said:#}");
    assert_eq!(records_sent(&bench), there);
    all_delivered(bench).await;
}

#[rstest]
#[case::by_the_daemon(true)]
#[case::without_a_daemon(false)]
#[tokio::test]
async fn without_a_connection_or_a_session_it_says_so_and_nothing_is_verified(
    #[case] daemon: bool,
) {
    let mut bench = sprayed(None).await;
    with_or_without(daemon, &mut bench).await;
    let refused = async |bench: &Bench, words: &str| {
        let output = command(bench, &["records", "verify"]).await;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(69), "{said}");
        assert!(said.contains(words), "{said}");
    };
    bench.server().go_away().await;
    refused(&bench, "no connection to JobCloser").await;
    bench.server().come_back().await.unwrap();
    let too_often = Fault::Status { code: 429, retry_after: Some("2".to_owned()) };
    bench.server().fault_at(Target::GetAll, too_often, Times::Next(1));
    let output = command(&bench, &["records", "verify"]).await;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("NOT VERIFIED") && said.contains("429"), "{said}");
    assert_eq!(output.status.code(), Some(69));
    if daemon {
        refused(&bench, "JobCloser asks to wait").await;
        tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    }
    bench.server().set_behaviour(Behaviour { reject_sign_in: true, ..Behaviour::default() });
    refused(&bench, "refuses the e-mail address or password").await;
    let none = command(&bench, &["records", "verify", "--job", "none"]).await;
    assert_eq!(none.status.code(), Some(65));
}

#[rstest]
#[case::it_is_asked_once_more("verify_before_asking:2")]
#[case::what_it_said_is_not_yet_committed("verify_before_commit:1")]
#[case::it_is_committed_and_nobody_is_told("verify_after_commit:1")]
#[tokio::test]
async fn a_power_cut_while_an_operator_waits_sends_nothing_twice(#[case] place: &str) {
    if cfg!(not(feature = "testhooks")) {
        eprintln!("skipped: a power cut while an operator waits (needs --features testhooks)");
        return;
    }
    let mut bench = sprayed(None).await;
    let records = bench.records();
    for record in &records[records.len() - 2..] {
        assert!(bench.server().lose(&record.id));
    }
    bench.stop_agent().await.unwrap();
    bench.agent_mut().set_env("SPRAYLOG_FAILPOINT", place);
    bench.start_agent().unwrap();
    bench.wait_until_ready(SOON).await.unwrap();
    let again = ["records", "verify", "--resend", "--yes"];
    assert_eq!(command(&bench, &again).await.status.code(), Some(69), "the daemon broke off");
    assert!(!bench.wait_for_agents_end(SOON).await.unwrap().success());

    bench.agent_mut().unset_env("SPRAYLOG_FAILPOINT");
    bench.start_agent().unwrap();
    bench.wait_until_ready(SOON).await.unwrap();
    command(&bench, &again).await;
    bench.wait_for_records(records.len(), SOON).await.unwrap();
    all_delivered(bench).await;
}
