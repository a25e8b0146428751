//! A damaged queue and the fresh one beside it: what is taken over, what is carried, what is
//! lost, whatever is damaged and whenever the power goes.

use std::collections::BTreeMap;
use std::os::unix::fs::FileExt;

use proptest::prelude::*;

use super::super::append::tests::{assignment, reading, segment, to_job};
use super::super::balance::{audit, draw};
use super::super::{Batch, BatchLimits, FILE, Selector, Store, WireSettings, set_aside};
use super::told::carried_over;
use super::*;
use crate::clock::{Anchor, AnchorSource, BootId, BootInstant, UtcMs};
use crate::config::StandIn;
use crate::delivery::{Outcome, Pick};
use crate::reading::{Flag, Flags, Reading, Seq, State};

const MANY: u64 = 600;
const PAGE: u64 = 4096;

fn open(dir: &Path) -> Result<Store, QueueError> {
    Store::open(&dir.join(FILE), &BootId("boot-1".to_owned()))
}

/// A queue of readings of one job, 100 counts each, at a known time.
fn sprayed(dir: &Path, many: u64) -> Store {
    let mut store = open(dir).unwrap();
    store.db.execute_batch("PRAGMA synchronous = OFF").unwrap();
    let (utc, source) = (UtcMs(1_809_253_002_000), AnchorSource::Gps);
    store.add_anchor(Anchor { at: BootInstant(0), utc, err_ms: 0, source }).unwrap();
    let opens = segment(0, 0, SegmentReason::First);
    let first = Reading { segment: opens, span: to_job("a", true), ..reading(1, 0, 0) };
    store.append(&first).unwrap();
    let rest: Vec<_> = (1..many).map(|n| reading(1 + n as i64, 100 * n, 100)).collect();
    store.append_all(&rest).unwrap();
    store.set_pick(Some(&assignment("a"))).unwrap();
    store
}

fn freeze(store: &mut Store, records: usize) -> Option<Batch> {
    let wire = WireSettings {
        device_name: "rig-7".to_owned(),
        zone: jiff::tz::TimeZone::UTC,
        stand_in: StandIn::default(),
    };
    let limits = BatchLimits { records, bytes: 1 << 20 };
    let oldest = Pick::Oldest { skip: Vec::new(), but: Vec::new() };
    store.freeze(&oldest, limits, &wire, BootInstant(0)).unwrap()
}

fn settle(store: &mut Store, records: usize, outcome: &Outcome) {
    let batch = freeze(store, records).unwrap();
    let all: Vec<_> = batch.seqs.iter().map(|seq| (*seq, outcome.clone())).collect();
    store.settle(&all, &[(batch.attempt, "over")], None).unwrap();
}

fn damage(dir: &Path) {
    set_aside(&dir.join(FILE), "a test").unwrap();
}

/// Carries at most so many parts; whether all is over.
fn carry(store: &mut Store, parts: usize) -> bool {
    for _ in 0..parts {
        let Some(next) = store.to_carry().unwrap() else { return true };
        let damaged = Damaged::open(&next.dir, next.last).unwrap();
        let part = damaged.read(next.from, true).unwrap();
        store.carry(&next.file, &part).unwrap();
        let kept = draw(&store.db).unwrap();
        assert!(kept.balanced(), "{kept:?}");
        assert_eq!(kept, audit(&store.db).unwrap());
    }
    store.to_carry().unwrap().is_none()
}

/// State and flags by number.
fn rows(store: &Store) -> BTreeMap<i64, (State, Flags)> {
    let mut statement =
        store.db.prepare("SELECT seq, state, flags FROM reading ORDER BY seq").unwrap();
    statement
        .query_map([], |r| Ok((r.get(0)?, (r.get(1)?, r.get(2)?))))
        .unwrap()
        .map(Result::unwrap)
        .collect()
}

fn told(store: &Store) -> Vec<CarriedOver> {
    carried_over(&store.db, &store.path).unwrap()
}

fn scribble(dir: &Path, page: u64) {
    let file = fs::OpenOptions::new().write(true).open(dir.join(FILE)).unwrap();
    file.write_all_at(&[0x5a; PAGE as usize], page * PAGE).unwrap();
}

#[test]
fn counting_pick_and_tag_go_on_from_a_queue_that_was_set_aside_and_numbers_begin_well_above() {
    let dir = tempfile::tempdir().unwrap();
    let old = sprayed(dir.path(), MANY);
    let (tag, position) = (old.tag().to_owned(), old.position().unwrap());
    drop(old);
    damage(dir.path());
    for start in 1..=2 {
        let fresh = open(dir.path()).unwrap();
        let there = fresh.position().unwrap();
        assert_eq!((there.raw, there.unwrapped), (position.raw, position.unwrapped));
        assert_eq!((there.k, &there.serial), (position.k, &position.serial), "start {start}");
        assert_eq!(there.at, None, "as after a boot");
        assert_eq!((fresh.last_seq().0, fresh.tag()), (1_000_000, &*tag));
        assert_eq!(fresh.pick().unwrap(), Some(assignment("a")));
    }
    // What flowed meanwhile is recorded in the old segment, and in no job.
    let mut fresh = open(dir.path()).unwrap();
    let appended = fresh.append(&reading(9000, 100 * MANY, 100)).unwrap();
    assert_eq!((appended.seq, appended.span), (Seq(1_000_001), None));
    let balance = draw(&fresh.db).unwrap();
    assert!(balance.balanced());
    assert_eq!((balance.recorded.readings, balance.no_job), (1, 1));
    assert!(carry(&mut fresh, 100));
    drop(fresh);
    let mut fresh = open(dir.path()).unwrap();
    assert_eq!(fresh.position().unwrap().unwrapped, 100 * MANY, "not that of what was carried");
    assert_eq!(draw(&fresh.db).unwrap().recorded.readings, MANY as i64 + 1);
    // And nothing that is numbered from now on can be taken for what was lost.
    let opens = segment(0, 0, SegmentReason::Restart);
    fresh
        .append(&Reading { segment: opens, span: to_job("b", false), ..reading(9005, 0, 0) })
        .unwrap();
    fresh.append(&reading(9010, 100, 100)).unwrap();
    let ids: (i64, i64) = fresh
        .db
        .query_row("SELECT segment, span FROM reading WHERE seq = 1000003", [], |r| {
            Ok((r.get(0)?, r.get(1)?))
        })
        .unwrap();
    assert_eq!(ids, (1_000_001, 1_000_001));
}

#[test]
fn every_reading_comes_with_what_became_of_it_and_what_is_not_proved_is_asked_about() {
    let dir = tempfile::tempdir().unwrap();
    let mut old = sprayed(dir.path(), 60);
    settle(&mut old, 10, &Outcome::Sent(Some("x".to_owned())));
    settle(&mut old, 10, &Outcome::Rejected("no".to_owned()));
    let doubted = freeze(&mut old, 10).unwrap();
    let named =
        |first, last| Selector { seq: Some((Seq(first), Seq(last))), ..Selector::default() };
    old.discard(&named(31, 40), "flushed").unwrap();
    old.db.execute("UPDATE reading SET state = 6 WHERE seq BETWEEN 41 AND 45", []).unwrap();
    old.db.execute("UPDATE reading SET state = 5 WHERE seq = 10", []).unwrap();
    old.append(&Reading { place: None, ..reading(100, 6000, 100) }).unwrap();
    let (before, was) = (rows(&old), draw(&old.db).unwrap());
    drop(old);
    damage(dir.path());

    let mut fresh = open(dir.path()).unwrap();
    assert!(!carry(&mut fresh, 0));
    assert!(carry(&mut fresh, 9));
    let now = rows(&fresh);
    for (seq, (state, flags)) in before {
        let proven = matches!(state, State::Sent | State::Deleted | State::InDoubt);
        let flags = if proven { flags } else { flags.with(Flag::Carried) };
        assert_eq!(now[&seq], (state, flags), "{seq}");
    }
    assert_eq!(draw(&fresh.db).unwrap(), was);
    let left = fresh.open_attempts().unwrap();
    assert_eq!(left.len(), 1);
    assert_eq!((left[0].id, &left[0].seqs), (doubted.attempt, &doubted.seqs));
    let wire: Vec<u8> = fresh
        .db
        .query_row("SELECT wire FROM delivery WHERE seq = ?1", [doubted.seqs[0]], |r| r.get(0))
        .unwrap();
    assert_eq!(wire, doubted.records[0]);
    let proof = fresh.newest_sent(&doubted.key, 20).unwrap();
    assert_eq!((proof.len(), proof[0].server_id.as_deref()), (9, Some("x")));
    let next = freeze(&mut fresh, 1).unwrap();
    assert_eq!((next.asks, next.seqs.len(), next.seqs[0]), (true, 15, Seq(46)));
    let left: Vec<bool> = fresh.open_attempts().unwrap().iter().map(|a| a.carried).collect();
    assert_eq!(left, [false, true], "the one was sent, the other perhaps");
    assert!(next.attempt > 1_000_000);
    assert!(told(&fresh)[0].done && told(&fresh)[0].lost == 0);
    assert!(fresh.others().is_empty(), "it is no other queue");
}

#[test]
fn the_power_may_go_between_any_two_parts_and_nothing_is_carried_twice() {
    let dir = tempfile::tempdir().unwrap();
    drop(sprayed(dir.path(), MANY));
    damage(dir.path());
    let mut starts = 0;
    loop {
        let mut fresh = open(dir.path()).unwrap();
        starts += 1;
        // What waits for its turn when the power goes is no harm when it comes again.
        let next = fresh.to_carry().unwrap();
        let again = next.clone().map(|next| {
            let part = Damaged::open(&next.dir, next.last).unwrap().read(next.from, true).unwrap();
            (next.file, part)
        });
        let over = carry(&mut fresh, 1);
        if let Some((file, part)) = again {
            fresh.carry(&file, &part).unwrap();
        }
        if over {
            assert_eq!(draw(&fresh.db).unwrap().recorded.readings, MANY as i64);
            assert_eq!(told(&fresh)[0].readings, MANY as i64);
            break;
        }
    }
    assert!(starts > 3, "{starts}");
}

#[test]
fn a_queue_that_is_damaged_while_it_carries_over_hands_on_what_it_has_and_what_is_left() {
    for lost in ["", "DROP TABLE carried", "DROP TABLE meta; DROP TABLE carried"] {
        let dir = tempfile::tempdir().unwrap();
        let mut first = sprayed(dir.path(), MANY);
        settle(&mut first, 10, &Outcome::Sent(None));
        let (tag, total) = (first.tag().to_owned(), draw(&first.db).unwrap().recorded);
        drop(first);
        damage(dir.path());
        let mut second = open(dir.path()).unwrap();
        assert!(!carry(&mut second, 2));
        for n in 0..5 {
            second.append(&reading(9000 + n, 100 * (MANY + n as u64), 100)).unwrap();
        }
        second.db.execute_batch(lost).unwrap();
        drop(second);
        damage(dir.path());
        let mut third = open(dir.path()).unwrap();
        assert_eq!((third.tag(), third.last_seq().0), (&*tag, 2_000_000), "{lost}");
        assert_eq!(third.position().unwrap().unwrapped, 100 * (MANY + 4));
        assert!(carry(&mut third, 100));
        let balance = draw(&third.db).unwrap();
        assert_eq!(balance.recorded.readings, total.readings + 5, "{lost}");
        assert_eq!(balance.sent.readings, 10);
        let numbers: Vec<i64> = rows(&third).into_keys().collect();
        let expected: Vec<i64> = (1..=MANY as i64).chain(1_000_001..=1_000_005).collect();
        assert_eq!(numbers, expected);
        assert!(told(&third).iter().all(|one| one.done && one.lost == 0), "{:?}", told(&third));
    }
}

#[test]
fn a_fresh_queue_that_is_damaged_before_it_begins_keeps_nothing_from_being_carried_over() {
    for what in [vec![0x5a; 8192], Vec::new()] {
        let dir = tempfile::tempdir().unwrap();
        let old = sprayed(dir.path(), 300);
        let (tag, position) = (old.tag().to_owned(), old.position().unwrap());
        drop(old);
        damage(dir.path());
        fs::write(dir.path().join(FILE), &what).unwrap();
        damage(dir.path());
        let mut fresh = open(dir.path()).unwrap();
        assert_eq!(fresh.tag(), tag);
        assert_eq!(fresh.position().unwrap().unwrapped, position.unwrapped);
        assert_eq!(fresh.pick().unwrap(), Some(assignment("a")));
        assert!(carry(&mut fresh, 100));
        assert_eq!(draw(&fresh.db).unwrap().recorded.readings, 300);
        assert!(told(&fresh).iter().all(|one| one.done && one.lost == 0), "{:?}", told(&fresh));
    }
}

#[test]
fn what_a_reading_refers_to_and_cannot_be_read_is_told_by_its_record_or_left_open() {
    for records_too in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let mut old = sprayed(dir.path(), 30);
        let batch = freeze(&mut old, 10).unwrap();
        let tables =
            ["span", "meter", "segment", "stretch", if records_too { "delivery" } else { "meta" }];
        for table in tables {
            let sql = format!("PRAGMA foreign_keys = OFF; DELETE FROM {table}");
            old.db.execute_batch(&sql).unwrap();
        }
        let tag = old.tag().to_owned();
        drop(old);
        damage(dir.path());
        let mut fresh = open(dir.path()).unwrap();
        assert_eq!(fresh.tag(), tag, "as the notes have it");
        assert_eq!(fresh.position(), None);
        assert!(carry(&mut fresh, 9));
        let balance = draw(&fresh.db).unwrap();
        if records_too {
            assert_eq!((balance.held.readings, balance.no_job, balance.no_serial), (30, 30, 30));
            continue;
        }
        // The rest is of the same span and meter; only their segment's K is known no more.
        assert_eq!((balance.in_doubt.readings, balance.ready.readings), (10, 20));
        let left = fresh.open_attempts().unwrap();
        assert_eq!((&left[0].key, &left[0].seqs), (&batch.key, &batch.seqs));
        assert!(!left[0].carried, "it was sent for certain");
        assert_eq!(fresh.frozen(&batch.seqs).unwrap().len(), 10, "all of them can be asked for");
        assert_eq!(freeze(&mut fresh, 100), None);
        assert_eq!(draw(&fresh.db).unwrap().unreadable, 20);
    }
}

#[test]
fn values_that_no_program_writes_make_a_reading_unreadable_and_hinder_none() {
    let dir = tempfile::tempdir().unwrap();
    let old = sprayed(dir.path(), 20);
    for sql in [
        "UPDATE reading SET state = 'moon' WHERE seq = 2",
        "UPDATE reading SET boot = 'moon' WHERE seq = 3",
        "UPDATE reading SET share_ul = 9000000000000000000 WHERE seq = 4",
        "UPDATE reading SET flags = -1 WHERE seq = 5",
        "UPDATE reading SET raw = x'00' WHERE seq = 6",
        "UPDATE reading SET segment = 77 WHERE seq = 7",
        "INSERT INTO anchor VALUES (1, 5, 'x', 'y', 'z')",
        "INSERT INTO tally VALUES (1, 99, 1, 1)",
        "INSERT INTO delivery VALUES (8, 1, 1, 1, 5, 0, x'00', NULL, NULL)",
    ] {
        old.db.execute_batch(&format!("PRAGMA foreign_keys = OFF; {sql}")).unwrap();
    }
    drop(old);
    damage(dir.path());
    let mut fresh = open(dir.path()).unwrap();
    assert!(carry(&mut fresh, 9));
    let unreadable: Vec<i64> = rows(&fresh)
        .into_iter()
        .filter_map(|(seq, (state, _))| (state == State::Unreadable).then_some(seq))
        .collect();
    assert_eq!(unreadable, [2, 4, 5, 6]);
    assert_eq!(freeze(&mut fresh, 1).unwrap().seqs.len(), 14, "3 has no time, 7 no k");
    assert_eq!(rows(&fresh)[&7].0, State::Unreadable);
}

#[test]
fn a_queue_that_is_begun_by_hand_later_takes_over_nothing_from_years_ago() {
    let dir = tempfile::tempdir().unwrap();
    drop(sprayed(dir.path(), MANY));
    damage(dir.path());
    drop(open(dir.path()).unwrap());
    // The power went before the mark was on the disk: the next start makes it.
    fs::remove_file(dir.path().join("damaged-1").join(TAKEN)).unwrap();
    drop(open(dir.path()).unwrap());
    fs::remove_file(dir.path().join(FILE)).unwrap();
    let anew = open(dir.path()).unwrap();
    assert_eq!((anew.position(), anew.last_seq(), anew.to_carry().unwrap()), (None, Seq(0), None));
    assert_eq!(anew.others().len(), 1, "and says so");
}

/// Whatever is damaged: a queue, a position that was recorded, and of the readings each as it
/// was or counted as lost.
fn comes_through(whole: &Path, pages: &[u64], before: &BTreeMap<i64, (State, Flags)>) -> i64 {
    let dir = tempfile::tempdir().unwrap();
    fs::copy(whole.join(FILE), dir.path().join(FILE)).unwrap();
    for page in pages {
        scribble(dir.path(), *page);
    }
    let damaged = fs::read(dir.path().join(FILE)).unwrap();
    damage(dir.path());
    let mut fresh = open(dir.path()).unwrap();
    fresh.db.execute_batch("PRAGMA synchronous = OFF").unwrap();
    if let Some(position) = fresh.position() {
        assert!(position.unwrapped <= 100 * (MANY - 1) && position.unwrapped % 100 == 0);
        assert_eq!((position.k, position.raw), (100.0, position.unwrapped));
    }
    assert!(carry(&mut fresh, 1000), "{pages:?}");
    let aside = dir.path().join("damaged-1").join(FILE);
    assert_eq!(fs::read(aside).unwrap(), damaged, "{pages:?}: it is left as it is");
    let now = rows(&fresh);
    for (seq, (state, _)) in &now {
        let was = before[seq].0;
        // Without its record nothing can be asked for as it was.
        let open = was == State::InDoubt && *state == State::Open;
        assert!(*state == was || open, "{pages:?}: {seq} was {was:?} and is {state:?}");
    }
    let [one] = &told(&fresh)[..] else { panic!("{pages:?}") };
    if one.of.is_some() {
        assert_eq!(now.len() as i64 + one.lost, before.len() as i64, "{pages:?}: {one:?}");
    }
    // No record goes out that may be there, unasked.
    while let Some(batch) = freeze(&mut fresh, 1000) {
        assert!(batch.asks, "{pages:?}: {:?}", batch.seqs);
    }
    one.lost
}

/// A queue with readings sent, in doubt and open, closed; its pages, and its readings.
fn whole(dir: &Path) -> (u64, BTreeMap<i64, (State, Flags)>) {
    let mut store = sprayed(dir, 360);
    settle(&mut store, 100, &Outcome::Sent(Some("id".to_owned())));
    freeze(&mut store, 100).unwrap();
    let before = rows(&store);
    drop(store);
    (dir.join(FILE).metadata().unwrap().len() / PAGE, before)
}

#[test]
fn whichever_page_is_damaged_all_that_can_be_read_is_carried_and_the_rest_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let (pages, before) = whole(dir.path());
    let lost: Vec<i64> =
        (0..pages).map(|page| comes_through(dir.path(), &[page], &before)).collect();
    let leaves = lost.iter().filter(|lost| (1..60).contains(*lost)).count();
    assert!(leaves > 8, "a page of readings costs its readings: {lost:?}");
    assert!(lost.iter().filter(|lost| **lost > 60).count() < 4, "{lost:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn whichever_pages_are_damaged_nothing_is_doubled_or_sent_unasked(
        picks in prop::collection::vec(0..1_000_000_u64, 1..6)
    ) {
        let dir = tempfile::tempdir().unwrap();
        let (pages, before) = whole(dir.path());
        let picks: Vec<u64> = picks.iter().map(|pick| pick % pages).collect();
        comes_through(dir.path(), &picks, &before);
    }
}

#[test]
#[ignore = "takes long: says how long carrying 100,000 readings over takes"]
fn a_hundred_thousand_readings() {
    let dir = tempfile::tempdir().unwrap();
    let mut old = sprayed(dir.path(), 100_000);
    for _ in 0..50 {
        settle(&mut old, 1000, &Outcome::Sent(Some("id".to_owned())));
    }
    drop(old);
    damage(dir.path());
    let begun = std::time::Instant::now();
    let mut fresh = open(dir.path()).unwrap();
    println!("taken over in {:?}", begun.elapsed());
    let mut longest = std::time::Duration::ZERO;
    while let Some(next) = fresh.to_carry().unwrap() {
        let damaged = Damaged::open(&next.dir, next.last).unwrap();
        let mut at = Some(next.from);
        while let Some(from) = at {
            let part = damaged.read(from, true).unwrap();
            let before = std::time::Instant::now();
            at = fresh.carry(&next.file, &part).unwrap().next;
            longest = longest.max(before.elapsed());
        }
    }
    println!("carried over in {:?}, the longest part in {longest:?}", begun.elapsed());
}

#[test]
fn a_number_whose_directory_was_taken_away_is_given_again_and_its_queue_is_carried_all_the_same() {
    for parts in [100, 1] {
        let dir = tempfile::tempdir().unwrap();
        drop(sprayed(dir.path(), MANY));
        damage(dir.path());
        let mut second = open(dir.path()).unwrap();
        assert_eq!(carry(&mut second, parts), parts > 1);
        let carried = told(&second)[0].readings;
        for n in 0..5 {
            second.append(&reading(9000 + n, 100 * (MANY + n as u64), 100)).unwrap();
        }
        drop(second);
        // Copied to another disk and deleted here, as `status` says where room is short.
        fs::remove_dir_all(dir.path().join("damaged-1")).unwrap();
        damage(dir.path());
        let mut third = open(dir.path()).unwrap();
        assert!(carry(&mut third, 100));
        assert_eq!(draw(&third.db).unwrap().recorded.readings, carried + 5, "{parts}");
        let [one] = &told(&third)[..] else { panic!("{:?}", told(&third)) };
        let (readings, lost) = (carried + 5, MANY as i64 - carried);
        assert_eq!((one.readings, one.lost, one.done), (readings, lost, true), "{parts}");
    }
}

#[test]
fn a_text_that_is_none_keeps_no_reading_from_being_carried_with_its_record() {
    let dir = tempfile::tempdir().unwrap();
    let mut old = sprayed(dir.path(), 60);
    settle(&mut old, 10, &Outcome::Sent(Some("x".to_owned())));
    let doubted = freeze(&mut old, 10).unwrap();
    old.reject(&Selector { seq: Some((Seq(40), Seq(40))), ..Selector::default() }, "no").unwrap();
    old.db
        .execute_batch(
            "UPDATE delivery SET server_id = CAST(x'ff' AS TEXT) WHERE seq = 3;
             UPDATE delivery SET message = CAST(x'ff' AS TEXT) WHERE seq = 12;
             UPDATE attempt SET outcome = CAST(x'ff' AS TEXT) WHERE id = 1;
             UPDATE ruling SET reason = CAST(x'ff' AS TEXT);
             UPDATE reading SET rate = CAST(x'ff' AS TEXT) WHERE seq = 50;",
        )
        .unwrap();
    let was = draw(&old.db).unwrap();
    drop(old);
    damage(dir.path());
    let mut fresh = open(dir.path()).unwrap();
    assert!(carry(&mut fresh, 9));
    assert_eq!(draw(&fresh.db).unwrap(), was);
    assert_eq!(fresh.open_attempts().unwrap()[0].seqs, doubted.seqs);
    let asked = freeze(&mut fresh, 100).unwrap().seqs;
    assert!(!asked.contains(&Seq(50)) && asked.contains(&Seq(51)), "{asked:?}");
}

#[test]
fn a_product_that_cannot_be_read_does_not_become_none() {
    for column in ["product", "item"] {
        let dir = tempfile::tempdir().unwrap();
        let old = sprayed(dir.path(), 60);
        let damaged = format!("UPDATE span SET {column} = CAST(x'ff' AS TEXT)");
        old.db.execute_batch(&damaged).unwrap();
        drop(old);
        damage(dir.path());
        let mut fresh = open(dir.path()).unwrap();
        assert!(carry(&mut fresh, 9));
        assert_eq!(freeze(&mut fresh, 100), None, "{column}");
        let balance = draw(&fresh.db).unwrap();
        assert_eq!((balance.recorded.readings, balance.no_job), (60, 60), "{column}");
    }
}

#[test]
fn a_word_that_no_program_writes_does_not_damage_the_fresh_queue_as_well() {
    for damaged in ["UPDATE segment SET reason = 'moon'", "UPDATE span SET origin = 'moon'"] {
        let dir = tempfile::tempdir().unwrap();
        let old = sprayed(dir.path(), 60);
        old.db.execute_batch(damaged).unwrap();
        drop(old);
        assert!(open(dir.path()).unwrap_err().is_damage(), "{damaged}");
        damage(dir.path());
        drop(open(dir.path()).unwrap());
        let mut fresh = open(dir.path()).unwrap_or_else(|err| panic!("{damaged}: {err:?}"));
        assert!(carry(&mut fresh, 9));
        assert_eq!(freeze(&mut fresh, 100).unwrap().seqs.len(), 60, "{damaged}");
    }
}

#[test]
fn a_damaged_queue_that_was_moved_away_too_soon_keeps_no_older_one_waiting_and_may_come_back() {
    let dir = tempfile::tempdir().unwrap();
    drop(sprayed(dir.path(), MANY));
    damage(dir.path());
    let mut second = open(dir.path()).unwrap();
    assert!(!carry(&mut second, 1));
    second.append(&reading(9000, 100 * MANY, 100)).unwrap();
    drop(second);
    damage(dir.path());
    let mut third = open(dir.path()).unwrap();
    let (there, elsewhere) = (dir.path().join("damaged-2"), dir.path().join("elsewhere"));
    fs::rename(&there, &elsewhere).unwrap();
    assert_eq!(third.to_carry().unwrap().unwrap().file, "damaged-1");
    while third.to_carry().unwrap().is_some_and(|next| next.file == "damaged-1") {
        carry(&mut third, 1);
    }
    assert!(!told(&third)[1].there && !told(&third)[1].done);
    fs::rename(&elsewhere, &there).unwrap();
    assert!(carry(&mut third, 9));
    assert_eq!(draw(&third.db).unwrap().recorded.readings, MANY as i64 + 1);
}

#[test]
fn what_a_damaged_queue_counted_after_it_took_over_is_not_counted_again() {
    let dir = tempfile::tempdir().unwrap();
    drop(sprayed(dir.path(), MANY));
    damage(dir.path());
    let mut second = open(dir.path()).unwrap();
    assert!(carry(&mut second, 100));
    let opens = segment(100 * MANY, 0, SegmentReason::Calibration);
    second.append(&Reading { segment: opens, ..reading(9000, 100 * MANY, 100) }).unwrap();
    second.append(&reading(9005, 100 * (MANY + 1), 100)).unwrap();
    // The segment of all its own readings can't be told.
    second.db.execute_batch("UPDATE segment SET k = 'x' WHERE id > 1000000").unwrap();
    drop(second);
    damage(dir.path());
    let third = open(dir.path()).unwrap();
    assert_eq!(third.position(), None, "not where it had gone on");
}
