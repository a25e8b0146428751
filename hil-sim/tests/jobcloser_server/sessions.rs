//! Signing in, and calls without a session.

use hil_sim::jobcloser::{Behaviour, ExpiredAs, Fault, Server, Target, Times};
use serde_json::json;

use crate::client::{Client, bench, counts, record, records};

fn expiring_as(expired_as: ExpiredAs) -> Behaviour {
    Behaviour { expired_as, ..Behaviour::default() }
}

#[tokio::test]
async fn a_sign_in_answers_as_the_page_with_the_password_in_clear() {
    let (server, _) = bench(Behaviour::default()).await;
    let mut client = Client::new(&server);
    let result = client.sign_in("demo@jobcloser.com", "password").await.result();
    assert_eq!(result["Password"], "password");
    assert_eq!(result["CompanyId"], "5940991380dda460c1b3b6492bb759");
    assert_eq!(client.cookies.len(), 2);
    let path = format!("/api/account/get?id={}", result["Id"].as_str().unwrap());
    assert_eq!(client.get(&path).await.answer().result(), result);
}

#[tokio::test]
async fn a_wrong_password_gets_the_pages_error_and_no_cookie() {
    let (server, _) = bench(Behaviour::default()).await;
    let mut client = Client::new(&server);
    let refusal = client.sign_in("demo@jobcloser.com", "hunter2").await.refusal();
    let message = "The specified email and password do not exist in our system";
    assert_eq!(refusal, (200, message.to_owned()));
    assert!(client.cookies.is_empty());
    assert_eq!(client.batch(&records(1..2)).await.answer().status, 401);
    assert_eq!(server.violations(), [""; 0]);
}

#[tokio::test]
async fn a_sign_in_that_departs_is_a_violation_that_repeats_no_value() {
    let (server, client) = bench(Behaviour::default()).await;
    let answer = client.get("/api/account/signin?email=a@b.c&passwd=hunter2&x=hunter2").await;
    assert_eq!(answer.answer().refusal().0, 400);
    let posted = client.send("POST", "/api/account/signin?password=hunter2", None).await;
    assert_eq!(posted.answer().status, 405);
    let noted = format!("{:?}{:?}", server.violations(), server.requests());
    assert!(server.violations().len() >= 2);
    assert!(!noted.contains("hunter2"), "{noted}");
}

#[tokio::test]
async fn sign_ins_can_all_be_refused() {
    let behaviour = Behaviour { reject_sign_in: true, ..Behaviour::default() };
    let (server, _) = bench(Behaviour::default()).await;
    server.set_behaviour(behaviour);
    let mut client = Client::new(&server);
    client.sign_in("demo@jobcloser.com", "password").await.refusal();
    assert!(client.cookies.is_empty());
}

#[tokio::test]
async fn without_a_session_reads_and_writes_are_answered_as_configured() {
    let cases = [
        (ExpiredAs::Status401, 401, 401),
        (ExpiredAs::Status403, 403, 403),
        (ExpiredAs::RedirectToLogin, 302, 302),
        (ExpiredAs::EmptyList, 200, 401),
    ];
    for (expired_as, read, write) in cases {
        let (server, client) = bench(expiring_as(expired_as)).await;
        client.batch(&records(1..3)).await.answer().result();
        server.end_sessions();
        let shown = client.all().await;
        assert_eq!(shown.status, read, "{expired_as:?}");
        if expired_as == ExpiredAs::EmptyList {
            assert_eq!(shown.result(), json!([]));
        }
        if expired_as == ExpiredAs::RedirectToLogin {
            assert!(shown.header("location").unwrap().contains("login"));
        }
        assert_eq!(client.batch(&[record(3)]).await.answer().status, write);
        assert_eq!(counts(&server), [1, 2]);
        assert_eq!(server.violations(), [""; 0]);
    }
}

#[tokio::test]
async fn following_the_redirect_to_the_sign_in_page_is_a_violation() {
    let (server, client) = bench(expiring_as(ExpiredAs::RedirectToLogin)).await;
    server.end_sessions();
    let to = client.all().await.header("location").unwrap().to_owned();
    let page = client.get(&to).await.answer();
    assert!(page.status == 200 && page.body.contains("<html>"), "{page:?}");
    assert_eq!(server.violations().len(), 1);
}

#[tokio::test]
async fn a_session_ends_with_its_lifetime() {
    let behaviour = Behaviour { session_lifetime_s: Some(0), ..Behaviour::default() };
    let (server, client) = bench(behaviour).await;
    assert_eq!(client.all().await.status, 401);
    server.set_behaviour(Behaviour { session_lifetime_s: Some(3600), ..Behaviour::default() });
    assert_eq!(client.all().await.status, 200);
}

#[tokio::test]
async fn no_session_is_needed_where_none_is_required() {
    let behaviour = Behaviour { require_sign_in: false, ..Behaviour::default() };
    let (server, _) = bench(behaviour).await;
    Client::new(&server).batch(&records(1..2)).await.answer().result();
    assert_eq!(counts(&server), [1]);
}

#[tokio::test]
async fn an_expired_session_stores_nothing_until_signed_in_again() {
    let (server, mut client) = bench(Behaviour::default()).await;
    server.fault(Fault::ExpireSession, Times::Next(1));
    assert_eq!(client.batch(&records(1..2)).await.answer().status, 401);
    assert_eq!(client.batch(&records(1..2)).await.answer().status, 401);
    client.sign_in("demo@jobcloser.com", "password").await.result();
    client.batch(&records(1..2)).await.answer().result();
    assert_eq!(counts(&server), [1]);
}

#[tokio::test]
async fn a_session_expires_before_a_read_and_looks_like_no_records() {
    let (server, client) = bench(expiring_as(ExpiredAs::EmptyList)).await;
    client.batch(&records(1..2)).await.answer().result();
    server.fault_at(Target::GetAll, Fault::ExpireSession, Times::Next(1));
    assert_eq!(client.all().await.result(), json!([]));
    assert_eq!(client.batch(&records(2..3)).await.answer().status, 401);
}

#[tokio::test]
async fn sessions_do_not_outlive_the_server() {
    let first = Server::start(hil_sim::jobcloser::Options::default()).await.unwrap();
    let cookies = Client::signed_in(&first).await.cookies;
    let (then, _) = bench(Behaviour::default()).await;
    let mut client = Client::new(&then);
    client.cookies = cookies;
    assert_eq!(client.all().await.status, 401);
}
