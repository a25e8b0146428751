//! Every simulated call of the page, and what departs from it.

use hil_sim::jobcloser::{Behaviour, Fault, Server, Times};
use serde_json::{Value, json};

use crate::client::{Answer, Client, EVENT, JOB, LOCATIONS, bench, counts, record, records};

async fn get(client: &Client, call: &str) -> Answer {
    client.get(&format!("{LOCATIONS}{call}")).await.answer()
}

fn only_violation(server: &Server) -> String {
    let violations = server.violations();
    assert_eq!(violations.len(), 1, "{violations:?}");
    violations[0].clone()
}

#[tokio::test]
async fn a_batch_is_stored_as_sent_and_read_back() {
    let (server, client) = bench(Behaviour::default()).await;
    let mut sent = records(1..4);
    sent[1]["TemperatureOfFluid"] = Value::Null;
    sent[2]["JobItemId"] = json!("90021035746fe7ccedad1e4355ae11");
    assert_eq!(client.batch(&sent).await.answer().result(), Value::Null);

    let stored = server.records();
    let fields: Vec<_> = stored.iter().map(|one| Value::Object(one.fields.clone())).collect();
    assert_eq!(fields, sent);
    assert!(stored.iter().all(|one| one.id.len() == 30 && one.received_ms > 0));

    let shown = client.all().await.result();
    assert_eq!(shown.as_array().unwrap().len(), 3);
    assert_eq!(shown[1]["TemperatureOfFluid"], Value::Null);
    assert_eq!(shown[2]["Id"], json!(stored[2].id));
    assert_eq!(shown[2]["Latitude"], "33.5116331");
    assert_eq!(get(&client, &format!("/get?id={}", stored[2].id)).await.result(), shown[2]);
    assert_eq!(server.violations(), [""; 0]);
}

#[tokio::test]
async fn a_record_sent_twice_is_stored_twice() {
    let (server, client) = bench(Behaviour::default()).await;
    client.batch(&records(1..3)).await.answer().result();
    client.batch(&records(1..3)).await.answer().result();
    assert_eq!(counts(&server), [1, 2, 1, 2]);
    assert_eq!(server.violations(), [""; 0]);
}

#[tokio::test]
async fn getall_shows_what_its_filters_name() {
    let (_server, client) = bench(Behaviour::default()).await;
    let product = "90021035746fe7ccedad1e4355ae11";
    let mut sent = records(1..5);
    sent[1]["EventId"] = json!(JOB);
    sent[2]["JobId"] = json!(EVENT);
    sent[3]["ProductId"] = json!(product);
    client.batch(&sent).await.answer().result();
    let shown = async |query: &str| -> Vec<i64> {
        let answer = get(&client, &format!("/getall?{query}")).await;
        let result = answer.result();
        let rows = result.as_array().unwrap().iter();
        rows.map(|row| row["MeterRawCount"].as_i64().unwrap()).collect()
    };
    assert_eq!(shown(&format!("jobId={JOB}")).await, [1, 2, 4]);
    assert_eq!(shown(&format!("jobId={JOB}&eventId={EVENT}")).await, [1, 4]);
    assert_eq!(shown(&format!("jobId={JOB}&productId={product}")).await, [4]);
    assert_eq!(shown(&format!("jobId={EVENT}")).await, [3]);
    assert_eq!(shown(&format!("jobId={product}")).await, [0; 0]);
}

#[tokio::test]
async fn one_departure_refuses_the_whole_batch_and_is_noted() {
    let (server, client) = bench(Behaviour::default()).await;
    let mut sent = records(1..4);
    sent[2]["Latitude"] = json!(33.5);
    let (status, message) = client.batch(&sent).await.answer().refusal();
    assert_eq!(status, 400);
    assert!(message.starts_with("record 2: Latitude"), "{message}");
    assert_eq!(only_violation(&server), format!("createbatch: {message}"));
    assert_eq!(counts(&server), [0; 0]);
}

#[tokio::test]
async fn each_departure_of_a_record_is_noted() {
    let departures = [
        ("EventId", json!("573903")),
        ("ApplicationDate", json!("2026-11-02T15:16:42Z")),
        ("Longitude", json!("-86.89653441")),
        ("MeterRawCount", json!(2_147_483_648_i64)),
        ("MeterCalculatedFlowTotal", Value::Null),
        ("Note", json!("n".repeat(251))),
        ("Gallons", json!(1)),
    ];
    for (name, value) in departures {
        for call in ["/create", "/createbatch"] {
            let (server, client) = bench(Behaviour::default()).await;
            let mut bad = record(1);
            bad[name] = value.clone();
            let body = if call == "/create" { bad } else { json!([bad]) };
            assert_eq!(client.post(call, &body).await.answer().refusal().0, 400);
            assert!(only_violation(&server).contains(name), "{:?}", server.violations());
            assert_eq!(server.records(), []);
        }
    }
}

#[tokio::test]
async fn a_body_that_is_not_declared_or_not_json_is_a_violation() {
    let (server, client) = bench(Behaviour::default()).await;
    let path = format!("{LOCATIONS}/createbatch");
    let good = json!([record(1)]).to_string();
    let plain = client.send_as("text/plain", "POST", &path, Some(&good)).await.answer();
    let torn = client.send("POST", &path, Some(&good[..100])).await.answer();
    let single = client.send("POST", &path, Some(&record(1).to_string())).await.answer();
    let empty = client.send("POST", &path, Some("[]")).await.answer();
    for answer in [plain, torn, single, empty] {
        assert_eq!(answer.refusal().0, 400);
    }
    assert_eq!(server.violations().len(), 4);
    assert_eq!(counts(&server), [0; 0]);
    let charset = "application/json; charset=utf-8";
    client.send_as(charset, "POST", &path, Some(&good)).await.answer().result();
}

#[tokio::test]
async fn create_stores_one() {
    let (server, client) = bench(Behaviour::default()).await;
    client.post("/create", &record(7)).await.answer().result();
    assert_eq!(counts(&server), [7]);
}

#[tokio::test]
async fn an_edit_replaces_what_it_names_and_keeps_the_rest() {
    let (server, client) = bench(Behaviour::default()).await;
    client.batch(&records(1..3)).await.answer().result();
    let id = server.records()[0].id.clone();
    let mut edit = record(9);
    for name in ["ApplicationDate", "Note", "DeviceName", "CalibrationFactor"] {
        edit.as_object_mut().unwrap().remove(name);
    }
    edit["Id"] = json!(id);
    let path = format!("{LOCATIONS}/create");
    client.send("PUT", &path, Some(&edit.to_string())).await.answer().result();

    let stored = server.records();
    assert_eq!(counts(&server), [9, 2]);
    assert_eq!(stored[0].id, id);
    assert_eq!(stored[0].text("Note"), Some("#AAAAA-1"));
    assert_eq!(stored[0].text("ApplicationDate"), Some("2026-11-02T10:16:01-05:00"));
    assert!(!stored[0].fields.contains_key("Id"));
    assert_eq!(server.violations(), [""; 0]);

    edit["Id"] = json!("0".repeat(30));
    let unknown = client.send("PUT", &path, Some(&edit.to_string())).await.answer();
    assert_eq!(unknown.refusal().0, 200);
    edit["Note"] = json!("not editable");
    let departing = client.send("PUT", &path, Some(&edit.to_string())).await.answer();
    assert_eq!(departing.refusal().0, 400);
    assert!(only_violation(&server).contains("Note"));
}

#[tokio::test]
async fn a_deleted_record_is_gone() {
    let (server, client) = bench(Behaviour::default()).await;
    client.batch(&records(1..3)).await.answer().result();
    let id = server.records()[0].id.clone();
    get(&client, &format!("/delete?id={id}")).await.result();
    assert_eq!(counts(&server), [2]);
    assert_eq!(get(&client, &format!("/delete?id={id}")).await.refusal().0, 200);
    assert_eq!(get(&client, &format!("/get?id={id}")).await.refusal().0, 200);
}

#[tokio::test]
async fn pictures_are_taken_by_url_and_by_bytes() {
    let (server, client) = bench(Behaviour::default()).await;
    let url = "https%3A%2F%2Fjobcloser.com%2Flogo.png&caption=Your+Caption&latitude=&longitude=";
    get(&client, &format!("/uploadimageviaurl?eventId={EVENT}&url={url}")).await.result();
    let body = json!({"eventId": EVENT, "content": "QUJD", "fileName": "a.jpg"});
    client.post("/uploadimageviabytearray", &body).await.answer().result();
    let pictures = server.pictures();
    assert_eq!(pictures[0].name, "https://jobcloser.com/logo.png");
    assert_eq!((pictures[1].name.as_str(), pictures[1].bytes), ("a.jpg", Some(3)));
    assert_eq!(server.violations(), [""; 0]);
}

#[tokio::test]
async fn a_query_that_departs_is_refused_and_noted() {
    let (server, client) = bench(Behaviour::default()).await;
    for query in ["", "?jobId=12", &format!("?JobId={JOB}"), &format!("?jobId={JOB}&x=1")] {
        assert_eq!(get(&client, &format!("/getall{query}")).await.refusal().0, 400);
    }
    assert!(server.violations().len() >= 4);
}

#[tokio::test]
async fn what_is_not_on_the_page_is_404_and_a_wrong_method_405() {
    let (server, client) = bench(Behaviour::default()).await;
    assert_eq!(get(&client, "/getAll").await.status, 404);
    assert_eq!(get(&client, "/createbatch").await.status, 405);
    assert_eq!(server.violations().len(), 2);
    let elsewhere = client.get(&format!("/api/jobs/get?id={JOB}")).await.answer();
    assert_eq!(elsewhere.status, 404);
    assert_eq!(server.violations().len(), 2, "documented, only not simulated");
}

#[tokio::test]
async fn requests_are_noted_with_what_became_of_them() {
    let (server, client) = bench(Behaviour::default()).await;
    client.batch(&records(1..4)).await.answer().result();
    client.all().await.result();
    server.fault(Fault::StoreAndDrop, Times::Next(1));
    client.batch(&records(4..6)).await;
    client.batch(&[json!({})]).await.answer();

    let noted = server.requests();
    let short: Vec<_> =
        noted.iter().map(|one| (one.method.as_str(), one.status, one.record_count)).collect();
    assert_eq!(
        short,
        [
            ("GET", Some(200), None),
            ("POST", Some(200), Some(3)),
            ("GET", Some(200), None),
            ("POST", None, Some(2)),
            ("POST", Some(400), Some(1)),
        ]
    );
    assert_eq!(noted[1].outcome, "stored 3");
    assert_eq!(noted[2].query, format!("jobId={JOB}&eventId={EVENT}"));
    assert!(noted[3].outcome.starts_with("stored 2; fault: StoreAndDrop"), "{noted:?}");
    assert!(noted[4].outcome.starts_with("refused: record 0"), "{noted:?}");
    assert!(noted.iter().all(|one| one.ended_ms.unwrap() >= one.at_ms));
    assert!(!format!("{noted:?}{:?}", server.violations()).contains("password="));
}
