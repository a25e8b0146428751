//! The switches for what the page leaves open.

use std::time::{Duration, Instant};

use hil_sim::jobcloser::{Behaviour, NoteShape, PoisonMode, PoisonRule, ResultShape};
use serde_json::{Value, json};

use crate::client::{bench, counts, record, records};

fn poison(mode: PoisonMode, status: u16) -> Behaviour {
    let rule = PoisonRule {
        field: "MeterRawCount".into(),
        equals: Some(json!(3)),
        contains: None,
        message: None,
    };
    Behaviour {
        poison: vec![rule],
        poison_mode: mode,
        poison_status: status,
        ..Behaviour::default()
    }
}

#[tokio::test]
async fn nulls_are_refused_but_are_no_violation() {
    let (server, client) = bench(Behaviour { refuse_nulls: true, ..Behaviour::default() }).await;
    let mut sent = records(1..3);
    sent[1]["AmbientTemperature"] = Value::Null;
    let (status, message) = client.batch(&sent).await.answer().refusal();
    assert_eq!((status, message.contains("AmbientTemperature")), (400, true));
    assert_eq!(counts(&server), [0; 0]);
    assert_eq!(server.violations(), [""; 0]);
    client.batch(&records(1..3)).await.answer().result();
}

#[tokio::test]
async fn a_stored_batch_is_answered_in_the_configured_shape() {
    for (shape, many, one) in [
        (ResultShape::Null, None, None),
        (ResultShape::Ids, Some(3), Some("text")),
        (ResultShape::Objects, Some(3), Some("object")),
        (ResultShape::TooFew, Some(2), None),
    ] {
        let (server, client) = bench(Behaviour { answer: shape, ..Behaviour::default() }).await;
        let result = client.batch(&records(1..4)).await.answer().result();
        assert_eq!(result.as_array().map(Vec::len), many, "{shape:?}");
        for (row, stored) in result.as_array().into_iter().flatten().zip(server.records()) {
            let id = row.as_str().or_else(|| row["Id"].as_str());
            assert_eq!(id, Some(stored.id.as_str()));
        }
        let result = client.post("/create", &record(9)).await.answer().result();
        assert_eq!(result.is_string(), one == Some("text"));
        assert_eq!(result.is_object(), one == Some("object"));
        assert_eq!(counts(&server), [1, 2, 3, 9]);
    }
}

#[tokio::test]
async fn a_list_may_be_a_page_of_all_there_is_with_notes_and_seconds_of_another_shape() {
    let behaviour = Behaviour {
        list_limit: Some(1),
        ignore_list_filters: true,
        return_notes: true,
        note_as: NoteShape::Escaped,
        fractional_seconds: true,
        ..Behaviour::default()
    };
    let (server, client) = bench(behaviour).await;
    client.batch(&[record(5), record(6)]).await.answer().result();
    let shown = client.all().await.result();
    assert_eq!(shown.as_array().unwrap().len(), 1);
    let date = shown[0]["ApplicationDate"].as_str().unwrap();
    assert!(date.starts_with("2026-11-02T10:16:05.0000000"), "{date}");
    assert_eq!(shown[0]["Note"], "&#35;AAAAA-5");
    let first = server.records()[0].id.clone();
    assert!(server.lose(&first) && !server.lose(&first));
    assert_eq!(client.all().await.result()[0]["Note"], "&#35;AAAAA-6");
}

#[tokio::test]
async fn answers_lose_offsets_and_decimals_but_the_records_do_not() {
    let behaviour = Behaviour {
        drop_offsets: true,
        cut_decimals: true,
        return_notes: true,
        ..Behaviour::default()
    };
    let (server, client) = bench(behaviour).await;
    client.batch(&[record(5)]).await.answer().result();
    let shown = client.all().await.result();
    assert_eq!(shown[0]["ApplicationDate"], "2026-11-02T10:16:05");
    assert_eq!(shown[0]["MeterCurrentRate"].as_i64(), Some(4));
    assert_eq!(shown[0]["Note"], "#AAAAA-5");
    assert_eq!(Value::Object(server.records()[0].fields.clone()), record(5));
}

#[tokio::test]
async fn a_batch_over_a_limit_is_413_and_no_violation() {
    let by_count = Behaviour { max_batch_records: Some(2), ..Behaviour::default() };
    let by_bytes = Behaviour { max_batch_bytes: Some(1200), ..Behaviour::default() };
    for behaviour in [by_count, by_bytes] {
        let (server, client) = bench(behaviour).await;
        assert_eq!(client.batch(&records(1..4)).await.answer().refusal().0, 413);
        client.batch(&records(1..3)).await.answer().result();
        assert_eq!(counts(&server), [1, 2]);
        assert_eq!(server.violations(), [""; 0]);
    }
}

#[tokio::test]
async fn a_wrapper_is_asked_for_where_one_is_configured() {
    let behaviour = Behaviour { body_wrapper: "locations".into(), ..Behaviour::default() };
    let (server, client) = bench(behaviour).await;
    assert_eq!(client.batch(&[record(1)]).await.answer().refusal().0, 400);
    let wrapped = json!({"locations": [record(1), record(2)]});
    client.post("/createbatch", &wrapped).await.answer().result();
    assert_eq!(counts(&server), [1, 2]);
    assert_eq!(server.requests().last().unwrap().record_count, Some(2));
}

#[tokio::test]
async fn a_poisoned_record_refuses_the_whole_batch() {
    for status in [400, 422, 200] {
        let (server, client) = bench(poison(PoisonMode::RejectWhole, status)).await;
        let refusal = client.batch(&records(1..6)).await.answer().refusal();
        assert_eq!(refusal, (status, "The value of MeterRawCount is not valid".to_owned()));
        assert_eq!(counts(&server), [0; 0]);
        assert_eq!(client.post("/create", &record(3)).await.answer().refusal().0, status);
        client.batch(&records(4..6)).await.answer().result();
        assert_eq!(counts(&server), [4, 5]);
        assert_eq!(server.violations(), [""; 0]);
    }
}

#[tokio::test]
async fn the_rows_before_a_poisoned_one_are_stored_and_then_it_is_refused() {
    let (server, client) = bench(poison(PoisonMode::StoreBefore, 400)).await;
    assert_eq!(client.batch(&records(1..6)).await.answer().refusal().0, 400);
    assert_eq!(counts(&server), [1, 2]);
    let noted = server.requests();
    assert!(noted.last().unwrap().outcome.starts_with("stored 2, then refused"), "{noted:?}");
    assert_eq!(client.batch(&records(3..6)).await.answer().refusal().0, 400);
    assert_eq!(counts(&server), [1, 2]);
}

#[tokio::test]
async fn every_call_waits_the_latency() {
    let (server, client) = bench(Behaviour::default()).await;
    server.set_behaviour(Behaviour { latency_ms: 120, ..Behaviour::default() });
    let then = Instant::now();
    client.all().await.result();
    assert!(then.elapsed() >= Duration::from_millis(120));
}
