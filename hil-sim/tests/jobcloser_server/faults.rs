//! Each fault, as the client sees it and as the records show it.

use std::time::{Duration, Instant};

use hil_sim::jobcloser::{Behaviour, Fault, Server, Target, Times};
use serde_json::Value;

use crate::client::{Client, Seen, bench, counts, record, records, until};

/// A batch of 1, 2, 3 under a fault that strikes once; a batch of 4 after it must be good.
async fn under(fault: Fault) -> (Server, Client, Seen) {
    let (server, client) = bench(Behaviour::default()).await;
    server.fault(fault, Times::Next(1));
    let seen = client.batch(&records(1..4)).await;
    (server, client, seen)
}

async fn then_good(server: &Server, client: &Client, all: &[i64]) {
    client.batch(&[record(4)]).await.answer().result();
    assert_eq!(counts(server), all);
    assert_eq!(server.violations(), [""; 0]);
}

#[tokio::test]
async fn a_status_before_storing_stores_nothing() {
    let fault = Fault::Status { code: 503, retry_after: Some("120".into()) };
    let (server, client, seen) = under(fault).await;
    let answer = seen.answer();
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("120")));
    assert!(serde_json::from_str::<Value>(&answer.body).is_err(), "a gateway sends no JSON");
    then_good(&server, &client, &[4]).await;
}

#[tokio::test]
async fn a_status_after_storing_hides_that_all_is_stored() {
    let (server, client, seen) = under(Fault::StatusAfterStoring { code: 502 }).await;
    assert_eq!(seen.answer().status, 502);
    then_good(&server, &client, &[1, 2, 3, 4]).await;
}

#[tokio::test]
async fn success_false_is_a_200_that_stored_nothing() {
    let (server, client, seen) = under(Fault::SuccessFalse { message: "try later".into() }).await;
    assert_eq!(seen.answer().refusal(), (200, "try later".to_owned()));
    then_good(&server, &client, &[4]).await;
}

#[tokio::test]
async fn a_portal_answers_200_with_a_page() {
    let (server, client, seen) = under(Fault::Html).await;
    let answer = seen.answer();
    assert_eq!(answer.status, 200);
    assert!(answer.header("content-type").unwrap().starts_with("text/html"));
    then_good(&server, &client, &[4]).await;
}

#[tokio::test]
async fn a_redirect_leads_elsewhere() {
    let to = "http://portal.example/login";
    let (server, client, seen) = under(Fault::Redirect { to: to.into() }).await;
    let answer = seen.answer();
    assert_eq!((answer.status, answer.header("location")), (302, Some(to)));
    then_good(&server, &client, &[4]).await;
}

#[tokio::test]
async fn a_dropped_answer_leaves_the_batch_stored() {
    let (server, client, seen) = under(Fault::StoreAndDrop).await;
    assert_eq!(seen, Seen::NoAnswer);
    assert_eq!(counts(&server), [1, 2, 3]);
    then_good(&server, &client, &[1, 2, 3, 4]).await;
}

#[tokio::test]
async fn a_dropped_request_leaves_nothing() {
    let (server, client, seen) = under(Fault::DropBeforeStoring).await;
    assert_eq!(seen, Seen::NoAnswer);
    then_good(&server, &client, &[4]).await;
}

#[tokio::test]
async fn a_late_answer_comes_after_the_batch_is_stored() {
    let (server, client) = bench(Behaviour::default()).await;
    server.fault(Fault::StoreAndHang { ms: 60_000 }, Times::Next(1));
    let sent = records(1..4);
    tokio::select! {
        seen = client.batch(&sent) => panic!("answered at once: {seen:?}"),
        () = until(|| counts(&server) == [1, 2, 3]) => {}
    }
    server.fault(Fault::StoreAndHang { ms: 150 }, Times::Next(1));
    let then = Instant::now();
    client.batch(&[record(4)]).await.answer().result();
    assert!(then.elapsed() >= Duration::from_millis(150));
    assert_eq!(counts(&server), [1, 2, 3, 4]);
}

#[tokio::test]
async fn a_server_that_hangs_stores_nothing_for_a_client_that_gave_up() {
    let (server, client) = bench(Behaviour::default()).await;
    server.fault(Fault::Hang { ms: 60_000 }, Times::Next(1));
    server.fault(Fault::Hang { ms: 150 }, Times::Next(1));
    let sent = records(1..4);
    tokio::select! {
        seen = client.batch(&sent) => panic!("answered at once: {seen:?}"),
        () = until(|| server.requests().len() == 2) => {}
    }
    until(|| server.requests()[1].outcome == "client gone").await;
    assert_eq!(counts(&server), [0; 0]);
    let then = Instant::now();
    client.batch(&[record(4)]).await.answer().result();
    assert!(then.elapsed() >= Duration::from_millis(150));
    assert_eq!(counts(&server), [4]);
}

#[tokio::test]
async fn a_late_commit_comes_after_the_connection_was_dropped() {
    let (server, client, seen) = under(Fault::StoreLate { ms: 1500 }).await;
    assert_eq!(seen, Seen::NoAnswer);
    assert_eq!(counts(&server), [0; 0]);
    client.batch(&[record(4)]).await.answer().result();
    until(|| counts(&server).len() == 4).await;
    assert_eq!(counts(&server), [4, 1, 2, 3]);
    let stored = server.records();
    assert!(stored[3].received_ms >= stored[0].received_ms);
}

#[tokio::test]
async fn a_stopped_server_gives_up_its_late_commits() {
    let (server, _, seen) = under(Fault::StoreLate { ms: 100 }).await;
    assert_eq!(seen, Seen::NoAnswer);
    server.stop().await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(counts(&server), [0; 0]);
}

#[tokio::test]
async fn half_a_request_stores_nothing() {
    let (server, client) = bench(Behaviour::default()).await;
    let body = serde_json::to_string(&records(1..4)).unwrap();
    client.send_half(&body).await;
    until(|| server.requests().last().unwrap().ended_ms.is_some()).await;
    assert_eq!(counts(&server), [0; 0]);
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn garbage_is_called_json_and_is_none() {
    let (server, client, seen) = under(Fault::Garbage).await;
    let answer = seen.answer();
    assert_eq!(answer.status, 200);
    assert!(answer.header("content-type").unwrap().starts_with("application/json"));
    assert!(serde_json::from_str::<Value>(&answer.body).is_err());
    then_good(&server, &client, &[1, 2, 3, 4]).await;
}

/// The client's own look at an answer finds half of what its head announced.
#[tokio::test]
#[should_panic(expected = "a torn answer")]
async fn a_body_that_is_cut_was_announced_whole() {
    under(Fault::CutBody).await;
}

#[tokio::test]
async fn a_dropped_row_is_missing_from_what_was_called_a_success() {
    let (server, client, seen) = under(Fault::DropRow { index: 1 }).await;
    seen.answer().result();
    then_good(&server, &client, &[1, 3, 4]).await;
}

#[tokio::test]
async fn a_fault_strikes_so_often_and_a_cleared_one_no_more() {
    let (server, client) = bench(Behaviour::default()).await;
    server.fault(Fault::Html, Times::Next(2));
    for _ in 0..2 {
        assert!(client.batch(&[record(1)]).await.answer().body.contains("<html>"));
    }
    client.batch(&[record(1)]).await.answer().result();
    server.fault(Fault::Status { code: 503, retry_after: None }, Times::UntilCleared);
    for _ in 0..5 {
        assert_eq!(client.batch(&[record(2)]).await.answer().status, 503);
    }
    server.clear_faults();
    then_good(&server, &client, &[1, 4]).await;
}

#[tokio::test]
async fn faults_strike_other_calls_where_they_are_named() {
    let (server, client) = bench(Behaviour::default()).await;
    let away = Fault::Status { code: 504, retry_after: None };
    server.fault_at(Target::GetAll, away.clone(), Times::Next(1));
    client.batch(&[record(1)]).await.answer().result();
    assert_eq!(client.all().await.status, 504);
    server.fault_at(Target::SignIn, away.clone(), Times::Next(1));
    assert_eq!(Client::new(&server).sign_in("a", "b").await.status, 504);
    server.fault_at(Target::Any, away, Times::UntilCleared);
    assert_eq!(client.all().await.status, 504);
    assert_eq!(client.batch(&[record(2)]).await.answer().status, 504);
    server.clear_faults();
    server.fault_at(Target::GetAll, Fault::Garbage, Times::Next(1));
    let answer = client.all().await;
    assert!(serde_json::from_str::<Value>(&answer.body).is_err());
}

#[tokio::test]
async fn a_lost_answer_waits_for_a_batch_that_is_really_stored() {
    let (server, mut client) = bench(Behaviour::default()).await;
    server.fault(Fault::StoreAndDrop, Times::Next(1));
    server.end_sessions();
    assert_eq!(client.batch(&[record(1)]).await.answer().status, 401);
    client.sign_in("demo@jobcloser.com", "password").await.result();
    let mut bad = record(1);
    bad["MeterRawCount"] = Value::Null;
    assert_eq!(client.batch(&[bad]).await.answer().status, 400);
    assert_eq!(client.batch(&[record(1)]).await, Seen::NoAnswer);
    assert_eq!(counts(&server), [1]);
}
