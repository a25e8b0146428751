//! What servers, gateways and portals answer to a batch, and what may follow from it: is
//! it asked about, when, and is anything sent again. One table, the same timeline: a
//! backlog, the first batch is answered strangely, then all is well.

use std::time::Duration;

use hil_sim::bench::{Bench, BenchOptions, Look};
use hil_sim::jobcloser::{Behaviour, ExpiredAs, Fault, RequestLog, ResultShape, Target, Times};
use rstest::rstest;

use crate::bench::{SOON, options, options_with};
use crate::delivery::{
    all_delivered, asked, json, records_sent, seqs_at_server, sprayed_and_went_offline,
    sprayed_offline,
};

/// When the server is asked what it stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Question {
    /// It isn't: nothing was processed, or all is known.
    Never,
    /// At once, since the server itself answered.
    AtOnce,
    /// Once it has had `settle_after`.
    AfterSettling,
}

/// What the bench is set to; settling takes long enough to be told from at once.
const SETTLE_AFTER: Duration = Duration::from_secs(3);

fn slowly_settling() -> BenchOptions {
    options_with("jobcloser.settle_after = \"3s\"")
}

fn status(code: u16) -> Fault {
    Fault::Status { code, retry_after: None }
}

/// Milliseconds from the end of one request to the beginning of another.
fn between(first: &RequestLog, then: &RequestLog) -> Duration {
    Duration::from_millis((then.at_ms - first.ended_ms.unwrap()).max(0) as u64)
}

fn question_came(bench: &Bench, struck: &RequestLog, question: Question) {
    let questions = asked(bench, "getall");
    let Some(first) = questions.first() else {
        assert_eq!(question, Question::Never, "never asked after {struck:?}");
        return;
    };
    let waited = between(struck, first);
    match question {
        Question::Never => panic!("asked, and nothing was in doubt: {first:?}"),
        Question::AtOnce => assert!(waited < SETTLE_AFTER, "asked only after {waited:?}"),
        Question::AfterSettling => assert!(waited >= SETTLE_AFTER, "asked after {waited:?}"),
    }
}

#[rstest]
#[case::a_gateway_is_down(status(503), Question::AfterSettling, false)]
#[case::a_gateway_gives_up_on_what_was_stored(
    Fault::StatusAfterStoring { code: 503 }, Question::AfterSettling, true
)]
#[case::a_gateway_times_out_on_what_was_stored(
    Fault::StatusAfterStoring { code: 504 }, Question::AfterSettling, true
)]
#[case::the_server_fails(status(500), Question::AtOnce, false)]
#[case::the_server_fails_after_storing(
    Fault::StatusAfterStoring { code: 500 }, Question::AtOnce, true
)]
#[case::success_is_false(
    Fault::SuccessFalse { message: "Object reference not set".to_owned() }, Question::AtOnce, false
)]
#[case::a_portal_answers_with_its_page(Fault::Html, Question::AtOnce, false)]
#[case::a_redirect_to_somewhere(
    Fault::Redirect { to: "/account/login".to_owned() }, Question::Never, false
)]
#[case::the_session_has_expired(Fault::ExpireSession, Question::Never, false)]
#[case::the_answer_breaks_off_in_mid_json(Fault::Garbage, Question::AtOnce, true)]
#[case::the_connection_breaks_before_anything_is_stored(
    Fault::DropBeforeStoring,
    Question::AfterSettling,
    false
)]
#[tokio::test]
async fn a_strange_answer_loses_nothing_and_doubles_nothing(
    #[case] fault: Fault,
    #[case] question: Question,
    #[case] stored: bool,
) {
    let mut bench = sprayed_offline(slowly_settling(), 4).await;
    bench.server().fault(fault, Times::Next(1));
    bench.server().come_back().await.unwrap();
    bench.wait_until_drained(SOON).await.unwrap();

    let batches = asked(&bench, "createbatch");
    question_came(&bench, &batches[0], question);
    let records = bench.records().len();
    let again = if stored { 0 } else { batches[0].record_count.unwrap() };
    assert_eq!(records_sent(&bench), records + again, "{batches:#?}");
    if question == Question::Never {
        assert_eq!(asked(&bench, "signin").len(), 2, "one sign-in at first, one more after it");
    }
    all_delivered(bench).await;
}

/// A portal comes between while there is a session, or answers when the line is back.
#[rstest]
#[case::in_the_middle_of_a_session(true)]
#[case::instead_of_a_sign_in(false)]
#[tokio::test]
async fn a_captive_portal_in_front_of_everything_takes_nothing(#[case] in_session: bool) {
    let mut bench = sprayed_and_went_offline(options(), 4).await;
    if in_session {
        bench.server().come_back().await.unwrap();
        bench.wait_until_drained(SOON).await.unwrap();
    }
    let before = bench.records().len();
    bench.server().fault_at(Target::Any, Fault::Html, Times::UntilCleared);
    if in_session {
        bench.spray(4.0);
        let doubt = |look: &Look| look.status().balance.in_doubt > 0;
        bench.wait_until("questions to the portal", SOON, doubt).await.unwrap();
    } else {
        bench.server().come_back().await.unwrap();
    }
    let asked_before = bench.server().requests().len();
    while bench.server().requests().len() < asked_before + 3 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let balance = bench.status().await.unwrap().balance;
    assert_eq!(balance.sent as usize, before, "a page was taken for an acknowledgement");
    bench.server().clear_faults();
    bench.wait_until_drained(SOON).await.unwrap();
    all_delivered(bench).await;
}

/// The session ends while something is in doubt, and the server then answers questions
/// with an empty list instead of 401: that is no proof that nothing was stored.
#[rstest]
#[case::when_it_is_known_that_there_must_be_more(true)]
#[case::when_nothing_was_ever_acknowledged(false)]
#[tokio::test]
async fn an_empty_list_without_a_session_is_not_believed(#[case] delivered_before: bool) {
    let mut bench = match delivered_before {
        true => sprayed_and_went_offline(slowly_settling(), 4).await,
        false => sprayed_offline(slowly_settling(), 4).await,
    };
    let behaviour = Behaviour { expired_as: ExpiredAs::EmptyList, ..Behaviour::default() };
    bench.server().set_behaviour(behaviour);
    bench.server().fault(Fault::StoreAndDrop, Times::Next(1));
    bench.server().fault_at(Target::GetAll, Fault::ExpireSession, Times::Next(1));
    bench.server().come_back().await.unwrap();
    bench.wait_until_drained(SOON).await.unwrap();
    let questions = asked(&bench, "getall");
    assert!(questions[0].outcome.contains("ExpireSession"), "{questions:#?}");
    assert!(questions.len() >= 2, "the empty list was believed");
    assert_eq!(records_sent(&bench), bench.records().len(), "sent again: doubled");
    all_delivered(bench).await;
}

#[rstest]
#[case::in_seconds(Some("3"), Duration::from_secs(3))]
#[case::as_a_date_in_the_past(Some("Sun, 06 Nov 1994 08:49:37 GMT"), Duration::ZERO)]
#[case::not_at_all(None, Duration::ZERO)]
#[tokio::test]
async fn too_many_requests_wait_as_long_as_the_server_asks(
    #[case] retry_after: Option<&str>,
    #[case] at_least: Duration,
) {
    let mut bench = sprayed_offline(options(), 3).await;
    let fault = Fault::Status { code: 429, retry_after: retry_after.map(str::to_owned) };
    bench.server().fault(fault, Times::Next(1));
    bench.server().come_back().await.unwrap();
    bench.wait_until_drained(SOON).await.unwrap();
    let batches = asked(&bench, "createbatch");
    let waited = between(&batches[0], &batches[1]);
    assert!(waited >= at_least, "again after {waited:?}");
    assert_eq!(batches[0].record_count, batches[1].record_count);
    assert!(asked(&bench, "getall").is_empty(), "nothing was in doubt");
    all_delivered(bench).await;
}

#[tokio::test]
async fn a_batch_that_is_too_large_is_halved_until_it_is_taken() {
    let mut bench = sprayed_offline(options(), 6).await;
    let behaviour = Behaviour { max_batch_records: Some(2), ..Behaviour::default() };
    bench.server().set_behaviour(behaviour);
    bench.server().come_back().await.unwrap();
    bench.wait_until_drained(SOON).await.unwrap();
    let sizes: Vec<usize> =
        asked(&bench, "createbatch").iter().filter_map(|r| r.record_count).collect();
    assert!(sizes[0] >= 6, "{sizes:?}");
    assert_eq!(sizes[1], sizes[0].div_ceil(2), "{sizes:?}");
    assert!(asked(&bench, "getall").is_empty(), "nothing was in doubt");
    let seqs = seqs_at_server(&bench);
    assert!(seqs.is_sorted_by(|a, b| a < b), "not oldest first: {seqs:?}");
    all_delivered(bench).await;
}

/// The page doesn't say what `Result` is after a batch was stored.
#[rstest]
#[case::nothing(ResultShape::Null, false)]
#[case::ids(ResultShape::Ids, true)]
#[case::whole_records(ResultShape::Objects, true)]
#[case::one_id_too_few(ResultShape::TooFew, false)]
#[tokio::test]
async fn whatever_success_answers_is_an_acknowledgement(
    #[case] answer: ResultShape,
    #[case] ids_known: bool,
) {
    let mut bench = sprayed_offline(options(), 3).await;
    bench.server().set_behaviour(Behaviour { answer, ..Behaviour::default() });
    bench.server().come_back().await.unwrap();
    bench.wait_until_drained(SOON).await.unwrap();
    assert!(asked(&bench, "getall").is_empty(), "nothing was in doubt");
    ids_are_those_of_the_server(&bench, ids_known).await;
    all_delivered(bench).await;
}

/// Whatever the server makes of a record when it shows it, it is found again.
#[rstest]
#[case::as_it_was_sent(Behaviour { return_notes: true, ..Behaviour::default() })]
#[case::without_notes(Behaviour::default())]
#[case::without_offsets(Behaviour { drop_offsets: true, ..Behaviour::default() })]
#[case::without_decimals(Behaviour { cut_decimals: true, ..Behaviour::default() })]
#[case::in_another_zone(Behaviour { other_zone_offset_min: Some(330), ..Behaviour::default() })]
#[case::maimed(Behaviour {
    drop_offsets: true, cut_decimals: true, return_notes: true, ..Behaviour::default()
})]
#[tokio::test]
async fn what_was_stored_is_recognised_in_the_servers_list(#[case] behaviour: Behaviour) {
    let mut bench = sprayed_and_went_offline(options(), 3).await;
    let before = bench.records().len();
    bench.server().set_behaviour(behaviour);
    bench.server().fault(Fault::StoreAndDrop, Times::Next(1));
    bench.server().come_back().await.unwrap();
    bench.wait_until_drained(SOON).await.unwrap();
    assert_eq!(asked(&bench, "getall").len(), 1, "not found at the first look");
    assert_eq!(records_sent(&bench), bench.records().len(), "something was sent again");
    let found = seqs_at_server(&bench)[before];
    let shown = json(&bench, &["records", "show", &found.to_string()]).await;
    assert_eq!(shown["server_id"].as_str(), Some(bench.records()[before].id.as_str()), "{shown}");
    all_delivered(bench).await;
}

async fn ids_are_those_of_the_server(bench: &Bench, known: bool) {
    for (seq, record) in seqs_at_server(bench).into_iter().zip(bench.records()) {
        let shown = json(bench, &["records", "show", &seq.to_string()]).await;
        let expected = known.then_some(record.id.as_str());
        assert_eq!(shown["server_id"].as_str(), expected, "reading {seq}");
    }
}
