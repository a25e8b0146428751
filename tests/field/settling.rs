//! Asking what was stored, under adversity: the question itself goes wrong, or the list that
//! answers it is cut, of more than was asked for, or maimed. At the end each reading is at the
//! server once, or it is in doubt and `status` says why.

use hil_sim::agent::EVENT_ID;
use hil_sim::bench::{Bench, Look};
use hil_sim::jobcloser::{Behaviour, ExpiredAs, Fault, NoteShape, Target, Times};
use rstest::rstest;

use crate::bench::{SOON, options};
use crate::delivery::{
    all_delivered, asked, command, records_sent, sprayed_and_went_offline, sprayed_offline,
    stop_and_wait,
};

/// What becomes of the batch that is asked about.
#[derive(Debug, Clone, Copy)]
enum Batch {
    Stored,
    Lost,
}

impl Batch {
    fn fault(self) -> Fault {
        match self {
            Self::Stored => Fault::StoreAndDrop,
            Self::Lost => Fault::DropBeforeStoring,
        }
    }
}

/// What `status` says of what is in doubt.
fn why(look: &Look) -> String {
    look.status().server["delivery"]["doubts"][0]["why"].as_str().unwrap_or_default().to_owned()
}

/// Sent again only what wasn't there.
async fn each_is_there_once(mut bench: Bench, batch: Batch) {
    bench.wait_until_drained(SOON).await.unwrap();
    let again = records_sent(&bench) - bench.records().len();
    let first = asked(&bench, "createbatch").into_iter().find(|r| r.status.is_none()).unwrap();
    match batch {
        Batch::Stored => assert_eq!(again, 0, "sent again: doubled"),
        Batch::Lost => assert_eq!(Some(again), first.record_count, "sent again once"),
    }
    all_delivered(bench).await;
}

fn status(code: u16) -> Fault {
    Fault::Status { code, retry_after: None }
}

#[rstest]
#[case::the_session_has_expired(Fault::ExpireSession, ExpiredAs::Status401)]
#[case::the_session_has_expired_and_it_is_forbidden(Fault::ExpireSession, ExpiredAs::Status403)]
#[case::the_session_has_expired_and_it_is_sent_elsewhere(
    Fault::ExpireSession,
    ExpiredAs::RedirectToLogin
)]
#[case::the_sign_in_page_comes_with_200(Fault::Html, ExpiredAs::Status401)]
#[case::the_connection_is_closed_in_mid_list(Fault::CutBody, ExpiredAs::Status401)]
#[case::the_list_ends_in_mid_record(Fault::Garbage, ExpiredAs::Status401)]
#[case::no_answer_comes(Fault::StoreAndDrop, ExpiredAs::Status401)]
#[case::a_gateway_answers(status(503), ExpiredAs::Status401)]
#[case::it_is_asked_too_often(status(429), ExpiredAs::Status401)]
#[case::the_server_says_no(
    Fault::SuccessFalse { message: "Object reference not set".to_owned() }, ExpiredAs::Status401
)]
#[tokio::test]
async fn a_question_that_goes_wrong_is_asked_again_and_says_nothing_until_then(
    #[case] fault: Fault,
    #[case] expired_as: ExpiredAs,
    #[values(Batch::Stored, Batch::Lost)] batch: Batch,
) {
    let bench = sprayed_and_went_offline(options(), 3).await;
    bench.server().set_behaviour(Behaviour { expired_as, ..Behaviour::default() });
    bench.server().fault(batch.fault(), Times::Next(1));
    bench.server().fault_at(Target::GetAll, fault, Times::Next(2));
    bench.server().come_back().await.unwrap();
    each_is_there_once(bench, batch).await;
}

#[rstest]
#[case::notes_as_entities(Behaviour {
    return_notes: true, note_as: NoteShape::Escaped, ..Behaviour::default()
})]
#[case::notes_in_capitals_and_padded(Behaviour {
    return_notes: true, note_as: NoteShape::Padded, ..Behaviour::default()
})]
#[case::notes_cut(Behaviour {
    return_notes: true, note_as: NoteShape::Cut, ..Behaviour::default()
})]
#[case::fractions_of_a_second(Behaviour { fractional_seconds: true, ..Behaviour::default() })]
#[case::fractions_without_an_offset(Behaviour {
    fractional_seconds: true, drop_offsets: true, ..Behaviour::default()
})]
#[case::another_offset(Behaviour { other_zone_offset_min: Some(-210), ..Behaviour::default() })]
#[case::numbers_as_text(Behaviour { numbers_as_text: true, ..Behaviour::default() })]
#[case::all_jobs(Behaviour { ignore_list_filters: true, ..Behaviour::default() })]
#[tokio::test]
async fn a_list_that_shows_records_otherwise_still_tells_what_is_there(
    #[case] behaviour: Behaviour,
    #[values(Batch::Stored, Batch::Lost)] batch: Batch,
) {
    let mut bench = sprayed_and_went_offline(options(), 3).await;
    bench.server().come_back().await.unwrap();
    bench.wait_until_drained(SOON).await.unwrap();
    bench.server().set_behaviour(behaviour);
    // Another job's records lie beside those of the one that is asked about.
    let other = ["job", "use", "--event", EVENT_ID, "--job", "0160366349ff2c5b8967a54178a716"];
    assert!(command(&bench, &other).await.status.success());
    bench.spray(4.0);
    let before = bench.records().len();
    bench.wait_for_records(before + 2, SOON).await.unwrap();
    bench.server().fault(batch.fault(), Times::Next(1));
    let doubt = |look: &Look| look.status().balance.in_doubt > 0;
    bench.wait_until("a batch in doubt", SOON, doubt).await.unwrap();
    stop_and_wait(&mut bench).await;
    each_is_there_once(bench, batch).await;
}

#[rstest]
#[case::a_page_that_ends_before_the_newest(
    Behaviour { list_limit: Some(10), ..Behaviour::default() },
    "the list lacks acknowledged records"
)]
#[case::times_of_another_zone_without_an_offset(
    Behaviour { drop_offsets: true, other_zone_offset_min: Some(600), ..Behaviour::default() },
    "no acknowledged record in the list has the note"
)]
#[case::times_that_are_moved(
    Behaviour { shift_dates_min: 60, answer: hil_sim::jobcloser::ResultShape::Ids, ..Behaviour::default() },
    "no acknowledged record in the list"
)]
#[tokio::test]
async fn what_a_list_cannot_tell_stays_in_doubt_and_status_says_why(
    #[case] behaviour: Behaviour,
    #[case] reason: &str,
    #[values(Batch::Stored, Batch::Lost)] batch: Batch,
) {
    let answer = behaviour.answer;
    // More than a page is there before.
    let mut bench = sprayed_and_went_offline(options(), 8).await;
    bench.server().come_back().await.unwrap();
    bench.wait_until_drained(SOON).await.unwrap();
    bench.server().set_behaviour(behaviour);
    bench.server().fault(batch.fault(), Times::Next(1));
    bench.spray(4.0);
    let doubt = |look: &Look| look.status().balance.in_doubt > 0;
    bench.wait_until("a batch in doubt", SOON, doubt).await.unwrap();
    stop_and_wait(&mut bench).await;
    let told = |look: &Look| look.status().balance.in_doubt > 0 && !why(look).is_empty();
    let seen = bench.wait_until("a reason", SOON, told).await.unwrap();
    let lacks = "the list lacks acknowledged records";
    assert!(why(&seen).contains(reason) || why(&seen).contains(lacks), "{}", why(&seen));
    let sent = records_sent(&bench);
    tokio::time::sleep(std::time::Duration::from_secs(4)).await;
    assert_eq!(records_sent(&bench), sent, "sent again, and nobody knows");
    assert!(bench.status().await.unwrap().balance.in_doubt > 0);
    // The server mends its lists, and all is told.
    bench.server().set_behaviour(Behaviour { answer, ..Behaviour::default() });
    each_is_there_once(bench, batch).await;
}

#[rstest]
#[tokio::test]
async fn the_first_batch_of_a_job_is_not_sent_again_for_a_page_that_ends_within_it() {
    let mut bench = sprayed_offline(options(), 12).await;
    bench.server().set_behaviour(Behaviour { list_limit: Some(10), ..Behaviour::default() });
    bench.server().fault(Fault::StoreAndDrop, Times::Next(1));
    bench.server().come_back().await.unwrap();
    let told = |look: &Look| look.status().balance.in_doubt > 0 && !why(look).is_empty();
    let seen = bench.wait_until("a reason", SOON, told).await.unwrap();
    assert!(why(&seen).contains("as long as a page"), "{}", why(&seen));
    bench.server().set_behaviour(Behaviour::default());
    each_is_there_once(bench, Batch::Stored).await;
}

#[tokio::test]
async fn a_server_that_commits_before_it_is_asked_is_never_sent_anything_twice() {
    // It is asked no sooner than a second after the request ended.
    let mut bench = sprayed_and_went_offline(options(), 3).await;
    bench.server().fault(Fault::StoreLate { ms: 600 }, Times::Next(1));
    bench.server().come_back().await.unwrap();
    bench.wait_until_drained(SOON).await.unwrap();
    assert_eq!(records_sent(&bench), bench.records().len(), "sent again: doubled");
    all_delivered(bench).await;
}
