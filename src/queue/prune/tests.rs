//! Years of a queue in time passed in.

use super::super::append::tests::{reading, segment, store, to_job};
use super::super::balance::audit;
use super::super::{BatchLimits, WireSettings};
use super::*;
use crate::clock::{Anchor, AnchorSource, UtcMs};
use crate::config::StandIn;
use crate::delivery::{Outcome, Pick};
use crate::reading::{NewSpan, Origin, Reading, SegmentReason};

const YEAR_MS: i64 = 365 * DAY_S * 1000;
const THREE: Duration = Duration::from_secs(3 * 365 * DAY_S as u64);

fn anchor(store: &mut Store) {
    let (utc, source) = (UtcMs(1_809_253_002_000), AnchorSource::Gps);
    store.add_anchor(Anchor { at: BootInstant(0), utc, err_ms: 0, source }).unwrap();
}

/// Freezes what is ready, and all of it becomes this.
fn deliver(store: &mut Store, records: usize, outcome: &Outcome) {
    let (device_name, zone) = ("rig-7".to_owned(), jiff::tz::TimeZone::UTC);
    let wire = WireSettings { device_name, zone, stand_in: StandIn::default() };
    let limits = BatchLimits { records, bytes: 1 << 24 };
    let oldest = Pick::Oldest { skip: Vec::new(), but: Vec::new() };
    while let Some(batch) = store.freeze(&oldest, limits, &wire, BootInstant(0)).unwrap() {
        let all: Vec<_> = batch.seqs.iter().map(|seq| (*seq, outcome.clone())).collect();
        store.settle(&all, &[(batch.attempt, "accepted")], None).unwrap();
    }
}

/// Job a: 1 to `many`, delivered; then job b is open, with two readings.
fn years_ago(many: i64) -> Store {
    let mut store = store();
    anchor(&mut store);
    let opens = segment(0, 0, SegmentReason::First);
    store.append(&Reading { segment: opens, span: to_job("a", true), ..reading(1, 0, 0) }).unwrap();
    for n in 2..many {
        store.append(&reading(5 * n, 100 * n as u64, 100)).unwrap();
    }
    let b = to_job("b", false);
    store.append(&Reading { span: b, ..reading(5 * many, 100 * many as u64, 100) }).unwrap();
    for n in many + 1..=many + 2 {
        store.append(&reading(5 * n, 100 * n as u64, 100)).unwrap();
    }
    deliver(&mut store, 50, &Outcome::Sent(None));
    store
}

fn seqs(store: &Store) -> Vec<i64> {
    let mut all = store.db.prepare("SELECT seq FROM reading ORDER BY seq").unwrap();
    all.query_map([], |r| r.get(0)).unwrap().map(Result::unwrap).collect()
}

fn count(store: &Store, sql: &str) -> i64 {
    store.db.query_row(sql, [], |r| r.get(0)).unwrap()
}

/// A whole pass; how many went.
fn pass(store: &mut Store, now_ms: i64) -> i64 {
    let (mut after, mut rows) = (Seq(0), 0);
    loop {
        let pruned = store.prune(after, BootInstant(now_ms), THREE).unwrap();
        rows += pruned.rows;
        match pruned.next {
            Some(next) => after = next,
            None => return rows,
        }
    }
}

#[test]
fn what_was_delivered_goes_when_its_time_is_over_and_not_a_day_sooner() {
    let mut store = years_ago(250);
    let before = audit(&store.db).unwrap();
    store.reload().unwrap();
    let (position, odometer) = (store.position(), store.odometer);
    assert_eq!(pass(&mut store, 3 * YEAR_MS - 1_000), 0);
    // The first 100 s of it are too old now: readings 1 to 19 (at 1 s, 10 s, … 95 s).
    assert_eq!(pass(&mut store, 3 * YEAR_MS + 96_000), 19);
    // Years later all of job a but the reading at which the open job began.
    assert_eq!(pass(&mut store, 5 * YEAR_MS), 249 - 19);
    assert_eq!(seqs(&store), [250, 251, 252]);
    assert_eq!(count(&store, "SELECT count(*) FROM delivery"), 3);
    assert_eq!(count(&store, "SELECT count(*) FROM attempt WHERE span = 1"), 1);
    let after = audit(&store.db).unwrap();
    assert_eq!(after, before, "the tally has their share");
    assert_eq!(super::super::balance::draw(&store.db).unwrap(), after);
    assert!(after.balanced() && after.recorded.readings == 252);

    // And recording goes on where it was.
    store.reload().unwrap();
    assert_eq!(
        (store.last_seq(), store.position(), store.odometer),
        (Seq(252), position, odometer)
    );
    store.append(&reading(9_000, 30_000, 100)).unwrap();
    assert!(audit(&store.db).unwrap().balanced());
}

#[test]
fn a_boot_without_a_time_prunes_nothing() {
    let mut store = years_ago(50);
    store.db.execute("INSERT INTO boot (boot_uuid) VALUES ('boot-2')", []).unwrap();
    store.boot = store.db.last_insert_rowid();
    assert_eq!(pass(&mut store, 9 * YEAR_MS), 0);
    let slip = crate::clock::UtcMs(crate::clock::weeks::RELEASE_FLOOR.0 + 9 * YEAR_MS);
    store.release(store.boot, slip, None).unwrap();
    assert_eq!(pass(&mut store, 9 * YEAR_MS), 0, "nor by a time that a person told");
}

#[test]
fn nothing_that_is_not_delivered_ever_goes() {
    for outcome in [None, Some(Outcome::Rejected("no".into())), Some(Outcome::Open)] {
        let mut store = store();
        anchor(&mut store);
        let opens = segment(0, 0, SegmentReason::First);
        let first = Reading { segment: opens, span: to_job("a", true), ..reading(1, 0, 0) };
        store.append(&first).unwrap();
        for n in 2..30 {
            store.append(&reading(5 * n, 100 * n as u64, 100)).unwrap();
        }
        let none = Some(NewSpan { assignment: None, origin: Origin::Pick, owns_reading: false });
        store.append(&Reading { span: none, ..reading(200, 3_000, 0) }).unwrap();
        if let Some(outcome) = outcome.filter(|outcome| *outcome != Outcome::Open) {
            deliver(&mut store, 10, &outcome);
        }
        assert_eq!(pass(&mut store, 9 * YEAR_MS), 0);
        assert_eq!(seqs(&store).len(), 30);
    }
}

#[test]
fn the_reading_before_one_without_a_job_stays_so_that_its_volume_is_no_more_than_its_own() {
    let mut store = store();
    anchor(&mut store);
    let opens = segment(0, 0, SegmentReason::First);
    store.append(&Reading { segment: opens, span: to_job("a", true), ..reading(1, 0, 0) }).unwrap();
    store.append(&reading(5, 100, 100)).unwrap();
    let over = NewSpan { assignment: None, origin: Origin::Pick, owns_reading: false };
    store.append(&Reading { span: Some(over), ..reading(10, 200, 100) }).unwrap();
    store.append(&reading(15, 300, 100)).unwrap();
    store.append(&reading(20, 400, 100)).unwrap();
    deliver(&mut store, 50, &Outcome::Sent(None));
    assert_eq!(pass(&mut store, 5 * YEAR_MS), 2);
    assert_eq!(seqs(&store), [3, 4, 5]);

    let late = super::super::append::tests::assignment("late");
    let which = super::super::Selector { seq: Some((Seq(4), Seq(4))), ..Default::default() };
    assert_eq!(store.assign(&which, &late).unwrap().readings, 1);
    let zero = "SELECT zero FROM stretch ORDER BY span DESC LIMIT 1";
    assert_eq!(count(&store, zero), 200);
}

#[test]
fn a_job_that_has_something_to_send_keeps_what_proves_a_list_whole() {
    let mut store = years_ago(60);
    // One of job a was made ready again.
    store.db.execute("UPDATE reading SET state = 0 WHERE seq = 7", []).unwrap();
    let key = crate::delivery::JobKey { event: "e-a".into(), job: "a".into() };
    let proof = store.newest_sent(&key, PROOF).unwrap();
    assert_eq!(pass(&mut store, 9 * YEAR_MS), 60 - 1 - PROOF as i64);
    assert!(seqs(&store).contains(&7));
    assert_eq!(store.newest_sent(&key, PROOF).unwrap(), proof);
}

#[test]
fn a_clock_that_jumps_years_ahead_takes_a_days_share_a_day_through_any_number_of_starts() {
    let mut store = years_ago(250);
    let day = UtcMs(1_809_253_002_000 + 9 * YEAR_MS).0 / 1000 / DAY_S;
    let nearly = format!("{day} {}", A_DAY - 130);
    meta::set(&store.db, meta::key::PRUNED, &nearly).unwrap();
    assert_eq!(pass(&mut store, 9 * YEAR_MS), 130);
    store.reload().unwrap();
    assert_eq!(pass(&mut store, 9 * YEAR_MS), 0);
    assert_eq!(pass(&mut store, 9 * YEAR_MS + DAY_S * 1000), 249 - 130);
}

#[test]
fn nothing_goes_while_readings_are_to_come_from_a_damaged_queue() {
    let mut store = years_ago(60);
    store
        .db
        .execute("INSERT INTO carried VALUES ('damaged-1', 'a', 1, 9, 1, 0, 0, 0, 0)", [])
        .unwrap();
    assert_eq!(pass(&mut store, 9 * YEAR_MS), 0, "what is open there may be of this job");
    store.db.execute("UPDATE carried SET done = 1", []).unwrap();
    assert_eq!(pass(&mut store, 9 * YEAR_MS), 59);
}
