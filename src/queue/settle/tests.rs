//! What is in doubt and can't be told any more keeps nothing else from being settled; what
//! the server said of a reading stays no longer than it is so.

use super::super::append::tests::{reading, segment, store, to_job};
use super::super::{BatchLimits, Selector, WireSettings};
use super::*;
use crate::clock::{Anchor, AnchorSource, BootInstant, UtcMs};
use crate::config::StandIn;
use crate::delivery::Pick;
use crate::reading::{Reading, SegmentReason};

/// Four readings in doubt, in two attempts.
fn in_doubt() -> Store {
    let mut store = store();
    let (utc, source) = (UtcMs(1_809_253_002_000), AnchorSource::Gps);
    store.add_anchor(Anchor { at: BootInstant(0), utc, err_ms: 10, source }).unwrap();
    let opens = segment(0, 0, SegmentReason::First);
    store.append(&Reading { segment: opens, span: to_job("a", true), ..reading(1, 0, 0) }).unwrap();
    for n in 1..=3 {
        store.append(&reading(1 + 5 * n, 100 * n as u64, 100)).unwrap();
    }
    let wire = WireSettings {
        device_name: "rig-7".to_owned(),
        zone: jiff::tz::TimeZone::UTC,
        stand_in: StandIn::default(),
    };
    for _ in 0..2 {
        let (oldest, limits) = (
            Pick::Oldest { skip: Vec::new(), but: Vec::new() },
            BatchLimits { records: 2, bytes: 1 << 20 },
        );
        store.freeze(&oldest, limits, &wire, BootInstant(0)).unwrap().unwrap();
    }
    store.db.pragma_update(None, "foreign_keys", false).unwrap();
    store
}

fn doubted(store: &Store) -> Vec<i64> {
    store.open_attempts().unwrap().into_iter().flat_map(|a| a.seqs).map(|seq| seq.0).collect()
}

fn all() -> Vec<Seq> {
    (1..=4).map(Seq).collect()
}

fn state(store: &Store, seq: i64) -> State {
    store.db.query_row("SELECT state FROM reading WHERE seq = ?1", [seq], |r| r.get(0)).unwrap()
}

fn one(seq: i64) -> Selector {
    Selector { seq: Some((Seq(seq), Seq(seq))), ..Selector::default() }
}

#[test]
fn one_whose_attempt_or_job_cannot_be_told_is_set_aside_and_the_others_are_asked_about() {
    for damage in [
        "UPDATE delivery SET attempt = 'x' WHERE seq = 2",
        "DELETE FROM delivery WHERE seq = 2",
        "UPDATE reading SET span = 99 WHERE seq = 2",
    ] {
        let store = in_doubt();
        store.db.execute_batch(damage).unwrap();
        for _start in 1..=2 {
            assert_eq!(doubted(&store), [1, 3, 4], "{damage}");
        }
        assert_eq!(state(&store, 2), State::Unreadable, "{damage}");
        let balance = super::super::balance::draw(&store.db).unwrap();
        assert_eq!((balance.unreadable, balance.in_doubt.readings), (1, 3), "{damage}");
        assert!(balance.balanced(), "{damage}");
    }
}

#[test]
fn one_whose_key_cannot_be_told_is_set_aside_and_mended_it_is_in_doubt_again_and_not_sent_anew() {
    for (damage, mended) in [
        (
            "UPDATE delivery SET utc_s = 'x' WHERE seq = 3",
            "UPDATE delivery SET utc_s = 7 WHERE seq = 3",
        ),
        (
            "UPDATE delivery SET meter = 99 WHERE seq = 3",
            "UPDATE delivery SET meter = 1 WHERE seq = 3",
        ),
        (
            "UPDATE reading SET unwrapped = 0.5 WHERE seq = 3",
            "UPDATE reading SET unwrapped = 200 WHERE seq = 3",
        ),
        (
            "UPDATE delivery SET server_id = x'ff' WHERE seq = 3",
            "UPDATE delivery SET server_id = NULL WHERE seq = 3",
        ),
    ] {
        let mut store = in_doubt();
        store.db.execute_batch(damage).unwrap();
        let told: Vec<i64> = store.frozen(&all()).unwrap().iter().map(|f| f.seq.0).collect();
        assert_eq!(told, [1, 2, 4], "{damage}");
        assert_eq!(state(&store, 3), State::Unreadable, "{damage}");
        assert_eq!(doubted(&store), [1, 2, 4], "{damage}");
        let why = super::super::freeze::problem(&store.db, Seq(3)).unwrap().unwrap();
        assert!(!why.contains("calendar"), "{damage}: {why}");

        store.db.execute_batch(mended).unwrap();
        assert_eq!(store.retry(&one(3)).unwrap(), 1);
        assert_eq!(state(&store, 3), State::InDoubt, "JobCloser may have it: {damage}");
        assert_eq!(store.frozen(&all()).unwrap().len(), 4, "{damage}");
    }
}

#[test]
fn what_was_sent_and_cannot_be_told_proves_nothing_and_the_one_before_it_does() {
    let mut store = in_doubt();
    let sent: Vec<_> = all().into_iter().map(|seq| (seq, Outcome::Sent(None))).collect();
    store.settle(&sent, &[], None).unwrap();
    store.db.execute_batch("UPDATE delivery SET utc_s = 'x' WHERE seq = 4").unwrap();
    let key = JobKey { event: "e-a".to_owned(), job: "a".to_owned() };
    let newest = |store: &Store, many| -> Vec<i64> {
        store.newest_sent(&key, many).unwrap().iter().map(|f| f.seq.0).collect()
    };
    assert_eq!(newest(&store, 2), [3, 2]);
    assert_eq!(newest(&store, 9), [3, 2, 1]);
    store.db.execute_batch("UPDATE delivery SET offset_min = 'x'").unwrap();
    assert!(store.newest_sent(&key, 2).is_err(), "without a proof a cut list would be believed");
}

/// Three readings that the server refused, each alone.
fn refused() -> Store {
    let mut store = store();
    let (utc, source) = (UtcMs(1_809_253_002_000), AnchorSource::Gps);
    store.add_anchor(Anchor { at: BootInstant(0), utc, err_ms: 0, source }).unwrap();
    let opens = segment(0, 0, SegmentReason::First);
    store.append(&Reading { segment: opens, span: to_job("a", true), ..reading(1, 0, 0) }).unwrap();
    for n in 1..3 {
        store.append(&reading(1 + 5 * n, 100 * n as u64, 100)).unwrap();
    }
    let wire = WireSettings {
        device_name: "rig-7".to_owned(),
        zone: jiff::tz::TimeZone::UTC,
        stand_in: StandIn::default(),
    };
    let limits = BatchLimits { records: 10, bytes: 1 << 20 };
    let oldest = Pick::Oldest { skip: Vec::new(), but: Vec::new() };
    let batch = store.freeze(&oldest, limits, &wire, BootInstant(0)).unwrap().unwrap();
    let no = |seq: &Seq| (*seq, Outcome::Rejected("The job is closed".to_owned()));
    let results: Vec<_> = batch.seqs.iter().map(no).collect();
    store.settle(&results, &[(batch.attempt, "settled by asking")], None).unwrap();
    store
}

fn messages(store: &Store) -> Vec<Option<String>> {
    let mut statement = store.db.prepare("SELECT message FROM delivery WHERE seq = ?1").unwrap();
    (1..4).map(|seq| statement.query_row([seq], |r| r.get(0)).unwrap()).collect()
}

#[test]
fn what_the_server_said_against_a_reading_goes_with_its_rejection() {
    let mut store = refused();
    let said = || Some("The job is closed".to_owned());
    assert_eq!(messages(&store), [said(), said(), said()]);
    // Held instead, and found at the server after all.
    let results = [(Seq(1), Outcome::Open), (Seq(2), Outcome::Sent(None))];
    store.settle(&results, &[], None).unwrap();
    assert_eq!(messages(&store), [None, None, said()]);
    // An operator has it tried again.
    let which = Selector { seq: Some((Seq(3), Seq(3))), ..Selector::default() };
    assert_eq!(store.retry(&which).unwrap(), 1);
    assert_eq!(messages(&store), [None, None, None]);
}

#[test]
fn what_was_rejected_in_doubt_found_and_lost_again_is_settled_like_any_other() {
    let mut store = in_doubt();
    store.reject(&one(1), "the job is gone").unwrap();
    store.settle(&[(Seq(1), Outcome::Sent(None))], &[], None).unwrap();
    let key = JobKey { event: "e-a".to_owned(), job: "a".to_owned() };
    // The span is over, and the server's list lacks it.
    store.verified(&key, &[Seq(1)], &[], 0, None).unwrap();
    assert_eq!(state(&store, 1), State::Open);
    store.db.execute("UPDATE reading SET state = 1 WHERE seq = 1", []).unwrap();
    store.settle(&[(Seq(1), Outcome::Open)], &[], None).unwrap();
    assert_eq!(state(&store, 1), State::Open, "it isn't there: it is sent again");
    assert_eq!(store.reject(&one(1), "the job is gone").unwrap().readings, 1);
}
