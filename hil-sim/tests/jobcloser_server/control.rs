//! The control endpoint, as a shell uses it.

use hil_sim::jobcloser::Behaviour;
use serde_json::{Value, json};

use crate::client::{Answer, Client, Seen, bench, record, records};

async fn post(client: &Client, path: &str, body: &str) -> Answer {
    let media = "application/x-www-form-urlencoded";
    client.send_as(media, "POST", path, Some(body)).await.answer()
}

#[tokio::test]
async fn a_shell_arms_and_clears_faults() {
    let (_server, client) = bench(Behaviour::default()).await;
    let shell = r#"{"fault":"status","code":503,"times":"until_cleared"}"#;
    assert_eq!(post(&client, "/_sim/fault", shell).await.status, 200);
    assert_eq!(client.batch(&[record(1)]).await.answer().status, 503);
    assert_eq!(post(&client, "/_sim/clear", "").await.status, 200);
    assert_eq!(post(&client, "/_sim/fault", r#"{"fault":"store_and_drop"}"#).await.status, 200);
    assert_eq!(client.batch(&[record(1)]).await, Seen::NoAnswer);
    client.batch(&[record(2)]).await.answer().result();
    let wrong = post(&client, "/_sim/fault", r#"{"fault":"earthquake"}"#).await;
    assert!(wrong.status == 400 && wrong.json()["error"].is_string());
}

#[tokio::test]
async fn a_shell_turns_switches_and_the_others_stay() {
    let behaviour = Behaviour { refuse_nulls: true, ..Behaviour::default() };
    let (server, client) = bench(behaviour).await;
    let changed = post(&client, "/_sim/behaviour", r#"{"drop_offsets":true}"#).await.json();
    assert_eq!((&changed["drop_offsets"], &changed["refuse_nulls"]), (&json!(true), &json!(true)));
    assert!(server.behaviour().drop_offsets && server.behaviour().refuse_nulls);
    assert_eq!(post(&client, "/_sim/behaviour", r#"{"drop":1}"#).await.status, 400);
    assert!(server.behaviour().drop_offsets);
}

#[tokio::test]
async fn a_shell_reads_back_what_came_in_and_is_not_noted_itself() {
    let (server, _) = bench(Behaviour::default()).await;
    let signed_in = Client::signed_in(&server).await;
    signed_in.batch(&records(1..3)).await.answer().result();
    signed_in.batch(&[json!({})]).await.answer();
    let shell = Client::new(&server);
    let read = async |path: &str| -> Vec<Value> {
        shell.get(path).await.answer().json().as_array().unwrap().clone()
    };
    let stored = read("/_sim/records").await;
    assert_eq!(stored[1]["fields"], record(2));
    assert_eq!(read("/_sim/requests").await.len(), 4);
    assert_eq!(read("/_sim/violations").await.len(), 17);
    assert_eq!(read("/_sim/pictures").await.len(), 0);
    assert_eq!(server.requests().len(), 4);
}
