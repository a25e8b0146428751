//! What is kept along with the rows against the rows themselves, whatever happens to them.

use proptest::prelude::*;

use super::super::append::tests::{assignment, reading, segment, store, to_job};
use super::super::{BatchLimits, Selector, Store, WireSettings};
use super::*;
use crate::clock::{Anchor, AnchorSource, BootInstant, UtcMs};
use crate::config::StandIn;
use crate::delivery::{JobKey, Outcome, Pick};
use crate::reading::{NewSpan, Origin, Reading, SegmentReason, Seq};

/// What may happen to a queue.
#[derive(Debug, Clone)]
enum Happening {
    Append { placed: bool, named: bool, counts: u64, job: Option<Option<&'static str>> },
    Freeze(usize),
    Settle(Outcome),
    Assign(i64, i64),
    Refuse(Option<&'static str>),
    Retry,
    Anchor(i64),
    Boot,
    Discard(i64),
    Lose(i64),
    Prune(i64),
}

fn happening() -> impl Strategy<Value = Happening> {
    use Happening::*;
    let job = || prop::sample::select(vec!["a", "b", "c"]);
    let outcome = prop_oneof![
        Just(Outcome::Sent(None)),
        Just(Outcome::Open),
        Just(Outcome::Rejected("no".into()))
    ];
    let append = (
        prop::bool::weighted(0.8),
        prop::bool::weighted(0.9),
        0..500_u64,
        prop::option::weighted(0.2, prop::option::weighted(0.7, job())),
    );
    prop_oneof![
        12 => append.prop_map(|(placed, named, counts, job)| Append { placed, named, counts, job }),
        4 => (1..6_usize).prop_map(Freeze),
        4 => outcome.prop_map(Settle),
        1 => (0..40_i64, 0..40_i64).prop_map(|(low, many)| Assign(low, low + many)),
        1 => prop::option::of(job()).prop_map(Refuse),
        1 => Just(Retry),
        2 => (0..100_i64).prop_map(Anchor),
        1 => Just(Boot),
        1 => (1..40_i64).prop_map(Discard),
        1 => (1..40_i64).prop_map(Lose),
        2 => (0..90_i64).prop_map(Prune),
    ]
}

fn append(store: &mut Store, second: i64, happening: &Happening) {
    let Happening::Append { placed, named, counts, job } = happening else { return };
    let mut next = reading(second, second as u64 * 1000, *counts);
    next.place = next.place.filter(|_| *placed);
    if !named {
        next.serial = String::new();
    }
    next.segment = segment(0, 0, SegmentReason::Restart);
    next.span = match job {
        None => None,
        Some(None) => Some(NewSpan { assignment: None, origin: Origin::Pick, owns_reading: false }),
        Some(Some(job)) => to_job(job, *counts == 0),
    };
    store.append(&next).unwrap();
}

fn wire() -> WireSettings {
    let (device_name, zone) = ("rig-7".to_owned(), jiff::tz::TimeZone::UTC);
    WireSettings { device_name, zone, stand_in: StandIn::default() }
}

fn happens(store: &mut Store, second: i64, happening: &Happening) {
    match happening {
        Happening::Append { .. } => append(store, second, happening),
        Happening::Freeze(records) => {
            let limits = BatchLimits { records: *records, bytes: 1 << 20 };
            let oldest = Pick::Oldest { skip: Vec::new(), but: Vec::new() };
            store.freeze(&oldest, limits, &wire(), BootInstant(0)).unwrap();
        }
        Happening::Settle(outcome) => {
            let open = store.open_attempts().unwrap();
            let all: Vec<_> =
                open.iter().flat_map(|a| &a.seqs).map(|s| (*s, outcome.clone())).collect();
            store.settle(&all, &[], None).unwrap();
        }
        Happening::Assign(low, high) => {
            let which = Selector { seq: Some((Seq(*low), Seq(*high))), ..Selector::default() };
            store.assign(&which, &assignment("late")).unwrap();
        }
        Happening::Refuse(job) => {
            let key = job.map(|j| JobKey { event: format!("e-{j}"), job: j.to_owned() });
            store.settle(&[], &[], Some((key.as_ref(), "closed"))).unwrap();
        }
        Happening::Retry => {
            store.retry(&Selector::default()).unwrap();
        }
        Happening::Anchor(second) => {
            let utc = UtcMs(1_809_253_002_000 + second * 100);
            let at = BootInstant(*second * 1000);
            let source = AnchorSource::Gps;
            store.add_anchor(Anchor { at, utc, err_ms: 0, source }).unwrap();
        }
        Happening::Boot => {
            let next = "INSERT INTO boot (boot_uuid) VALUES (hex(randomblob(8)))";
            store.db.execute(next, []).unwrap();
            store.boot = store.db.last_insert_rowid();
        }
        // No command does these two yet.
        Happening::Discard(seq) => {
            let discard = "UPDATE reading SET state = 4 WHERE seq = ?1 AND state = 0";
            store.db.execute(discard, [seq]).unwrap();
        }
        Happening::Lose(seq) => {
            let lose = "DELETE FROM reading WHERE seq = ?1 AND seq < (SELECT max(seq) FROM reading)
                AND seq NOT IN (SELECT seq FROM delivery)";
            store.db.execute(lose, [seq]).unwrap();
        }
        Happening::Prune(second) => {
            let now = BootInstant(second * 1000);
            store.prune(Seq(0), now, std::time::Duration::ZERO).unwrap();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_kept_along_is_what_the_rows_add_up_to(
        happenings in prop::collection::vec(happening(), 1..80),
    ) {
        let mut store = store();
        for (second, happening) in happenings.iter().enumerate() {
            happens(&mut store, second as i64 + 1, happening);
            let drawn = draw(&store.db).unwrap();
            prop_assert_eq!(drawn, audit(&store.db).unwrap(), "after {:?}", happening);
            let there: i64 =
                store.db.query_row("SELECT count(*) FROM reading", [], |r| r.get(0)).unwrap();
            let pruned = "SELECT coalesce(sum(readings), 0) FROM tally";
            let pruned: i64 = store.db.query_row(pruned, [], |r| r.get(0)).unwrap();
            prop_assert_eq!(drawn.balanced(), drawn.recorded.readings == there + pruned);
        }
        let empty = "SELECT count(*) FROM standing WHERE readings <= 0";
        let empty: i64 = store.db.query_row(empty, [], |r| r.get(0)).unwrap();
        prop_assert_eq!(empty, 0);
    }
}

#[test]
fn a_balance_is_drawn_without_reading_a_row_but_the_last() {
    let mut store = store();
    let opens = segment(0, 0, SegmentReason::First);
    store.append(&Reading { segment: opens, ..reading(1, 0, 0) }).unwrap();
    // What no trigger saw: a page that the disk lost, say.
    store.db.execute_batch("DROP TRIGGER reading_gone; DELETE FROM reading").unwrap();
    store.append(&reading(2, 0, 0)).unwrap();
    let (drawn, audited) = (draw(&store.db).unwrap(), audit(&store.db).unwrap());
    assert_eq!((drawn.states().readings, audited.states().readings), (2, 1));
    assert!(drawn.balanced() && !audited.balanced(), "only an audit reads them");
}
