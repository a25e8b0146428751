//! Releasing by hand as timelines: what a person may tell, and what nobody may.

use serde_json::Value;
use tempfile::TempDir;

use super::super::append::tests::{reading, segment, to_job};
use super::super::{BatchLimits, FILE, Filter, View, WireSettings};
use super::*;
use crate::clock::BootId;
use crate::config::StandIn;
use crate::delivery::Pick;
use crate::reading::{Reading, SegmentReason};

/// 2027-05-02T10:16:42Z.
const NOON_MS: i64 = 1_809_253_002_000;
const MINUTE: i64 = 60_000;

/// A queue that outlives its boots, each of which records three readings, 5 s apart.
struct Rig {
    dir: TempDir,
    store: Store,
    counts: u64,
}

impl Rig {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = open(&dir, 1);
        let mut rig = Self { dir, store, counts: 0 };
        let opens = segment(0, 0, SegmentReason::First);
        let first = Reading { segment: opens, span: to_job("a", true), ..reading(5, 0, 0) };
        rig.store.append(&first).unwrap();
        rig.record(&[10, 15]);
        rig
    }

    fn boot(&mut self, n: i64) {
        self.store = open(&self.dir, n);
        self.record(&[5, 10, 15]);
    }

    fn record(&mut self, seconds: &[i64]) {
        for second in seconds {
            self.counts += 100;
            self.store.append(&reading(*second, self.counts, 100)).unwrap();
        }
    }

    /// The running boot began then.
    fn anchor(&mut self, utc: i64, source: AnchorSource) {
        let anchor = Anchor { at: BootInstant(0), utc: UtcMs(utc), err_ms: 10, source };
        self.store.add_anchor(anchor).unwrap();
    }

    /// Notes and dates of everything that is ready now, frozen with this.
    fn freeze(&mut self) -> Vec<(String, String)> {
        let wire = WireSettings {
            device_name: "rig-7".to_owned(),
            zone: jiff::tz::TimeZone::get("America/Chicago").unwrap(),
            stand_in: StandIn::default(),
        };
        let limits = BatchLimits { records: 100, bytes: 1 << 20 };
        let pick = Pick::Oldest { skip: Vec::new(), but: Vec::new() };
        let batch = self.store.freeze(&pick, limits, &wire, BootInstant(0)).unwrap();
        let records = batch.map(|batch| batch.records).unwrap_or_default();
        let records = records.iter().map(|record| serde_json::from_slice::<Value>(record).unwrap());
        let word = |record: &Value, key: &str| record[key].as_str().unwrap().to_owned();
        records.map(|r| (word(&r, "ApplicationDate"), word(&r, "Note"))).collect()
    }

    fn view(&self) -> View {
        View::open(&self.dir.path().join(FILE)).unwrap()
    }

    fn refusal(&mut self, boot: i64, start: i64, now: Option<i64>) -> String {
        match self.store.release(boot, UtcMs(start), now.map(UtcMs)) {
            Err(QueueError::Refused(why)) => why,
            other => panic!("{other:?}"),
        }
    }
}

fn open(dir: &TempDir, boot: i64) -> Store {
    Store::open(&dir.path().join(FILE), &BootId(format!("boot-{boot}"))).unwrap()
}

/// Boots of 15 s: the first one's start is noon, the last one's ten minutes later; the two
/// between have no time.
fn four_boots() -> Rig {
    let mut rig = Rig::new();
    rig.anchor(NOON_MS, AnchorSource::Gps);
    rig.boot(2);
    rig.boot(3);
    rig.boot(4);
    rig.anchor(NOON_MS + 10 * MINUTE, AnchorSource::Gps);
    rig
}

#[test]
fn a_boot_without_a_time_is_shown_between_its_neighbours() {
    let rig = four_boots();
    let found = rig.view().undated().unwrap();
    let ms = |t: Option<UtcMs>| t.map(|t| t.0 - NOON_MS);
    let shown: Vec<_> = found
        .iter()
        .map(|u| {
            let (all, start) = (u.bounds, u.start);
            (u.boot, u.readings, ms(all.not_before), ms(start.not_after), ms(all.not_after))
        })
        .collect();
    // The third lies behind all of the second, and the second before all of the third.
    let end = 10 * MINUTE;
    assert_eq!(
        shown,
        [
            (2, 3, Some(15_000), Some(end - 30_000), Some(end - 15_000)),
            (3, 3, Some(30_000), Some(end - 15_000), Some(end))
        ]
    );
    let listed = rig.view().list(&Filter { boot: Some(2), limit: 9, ..Filter::default() }).unwrap();
    assert_eq!(ms(listed[0].bounds.not_before), Some(20_000), "5 s into it");
    let json = serde_json::to_value(&listed[0]).unwrap();
    assert_eq!(json["not_before"], "2027-05-02T10:17:02.000Z");
    let dated = rig.view().list(&Filter { boot: Some(1), limit: 9, ..Filter::default() }).unwrap();
    assert_eq!(serde_json::to_value(&dated[0]).unwrap().get("not_before"), None);
}

#[test]
fn a_first_boot_and_a_last_one_are_bounded_on_one_side_and_a_lone_one_on_none() {
    let mut rig = Rig::new();
    assert_eq!(rig.view().undated().unwrap()[0].bounds, Bounds::default());
    rig.boot(2);
    rig.anchor(NOON_MS, AnchorSource::Gps);
    rig.boot(3);
    let found = rig.view().undated().unwrap();
    assert_eq!(found[0].bounds, Bounds { not_before: None, not_after: Some(UtcMs(NOON_MS)) });
    let ended = Some(UtcMs(NOON_MS + 15_000));
    assert_eq!(found[1].bounds, Bounds { not_before: ended, not_after: None });
    assert_eq!((found[0].newest, found[1].newest), (false, true));
}

#[test]
fn a_boot_that_is_released_is_sent_with_the_time_it_was_given_and_says_so() {
    let mut rig = four_boots();
    let own = rig.freeze();
    assert_eq!(own.len(), 6, "of the boots that have a time");
    assert!(own.iter().all(|(_, note)| !note.contains("operator-time")));
    let said = rig.store.release(2, UtcMs(NOON_MS + 2 * MINUTE), None).unwrap();
    assert_eq!(said.readings, 3);
    assert_eq!(said.first.as_deref(), Some("2027-05-02T10:18:47.000Z"));
    let listed = rig.view().list(&Filter { boot: Some(2), limit: 9, ..Filter::default() }).unwrap();
    assert!(listed.iter().all(|r| r.flags.has(Flag::OperatorTime)), "before it is sent");
    let released = rig.freeze();
    let dates: Vec<&str> = released.iter().map(|(date, _)| date.as_str()).collect();
    let expected = ["05:18:47-05:00", "05:18:52-05:00", "05:18:57-05:00"];
    assert_eq!(dates, expected.map(|time| format!("2027-05-02T{time}")));
    assert!(released.iter().all(|(_, note)| note.contains(" operator-time")), "{released:?}");
    assert_eq!(rig.view().undated().unwrap().len(), 1, "the other one waits");
}

#[test]
fn what_the_boots_around_it_contradict_is_refused_with_their_bounds() {
    let mut rig = four_boots();
    for start in [NOON_MS + 14_999, NOON_MS + 10 * MINUTE - 29_999] {
        let why = rig.refusal(2, start, None);
        let bounds = "between 2027-05-02T10:16:57.000Z and 2027-05-02T10:26:12.000Z";
        assert!(why.contains(bounds), "{why}");
    }
    rig.store.release(2, UtcMs(NOON_MS + MINUTE), None).unwrap();
    let why = rig.refusal(3, NOON_MS + MINUTE + 14_000, None);
    assert!(why.contains("between 2027-05-02T10:17:57.000Z"), "one told by hand bounds too: {why}");
    rig.store.release(3, UtcMs(NOON_MS + MINUTE + 15_000), None).unwrap();
}

#[test]
fn a_boot_with_a_time_of_its_own_none_at_all_and_the_future_are_refused() {
    let mut rig = four_boots();
    assert!(rig.refusal(1, NOON_MS, None).contains("a time of its own"));
    assert!(rig.refusal(9, NOON_MS, None).contains("no boot 9"));
    rig.boot(5);
    let (start, now) = (NOON_MS + 20 * MINUTE, NOON_MS + 20 * MINUTE + 14_000);
    assert!(rig.refusal(5, start, Some(now)).contains("still to come"));
    assert!(rig.refusal(5, 0, None).contains("none before 2026-11-01"));
    assert!(rig.refusal(5, NOON_MS * 2, None).contains("no boot of this program"));
    rig.store.release(5, UtcMs(start), Some(UtcMs(now + 1_000))).unwrap();
    assert!(rig.store.release(5, UtcMs(start + MINUTE), None).is_ok(), "nothing is frozen yet");
    assert_eq!(rig.freeze().len(), 9);
    let why = rig.refusal(5, start, None);
    assert!(why.contains("have been sent"), "{why}");
}

#[test]
fn readings_of_two_boots_never_come_to_lie_among_each_other() {
    let mut rig = Rig::new();
    rig.boot(2);
    rig.anchor(NOON_MS, AnchorSource::Gps);
    rig.freeze();
    // As after rows were lost: nothing bounds the first boot any more.
    rig.store.db.execute_batch("DELETE FROM anchor").unwrap();
    rig.store.load_anchors().unwrap();
    let why = rig.refusal(1, NOON_MS - 5_000, None);
    assert!(why.contains("among those of another boot"), "{why}");
    rig.store.release(1, UtcMs(NOON_MS - MINUTE), None).unwrap();
}

#[test]
fn a_time_that_is_measured_later_goes_before_and_what_was_frozen_stays() {
    let mut rig = Rig::new();
    rig.store.release(1, UtcMs(NOON_MS), None).unwrap();
    let before = rig.freeze();
    assert_eq!(before.len(), 3);
    rig.anchor(NOON_MS + MINUTE, AnchorSource::Gps);
    rig.record(&[20]);
    let listed = rig.view().list(&Filter { limit: 9, ..Filter::default() }).unwrap();
    let told: Vec<bool> = listed.iter().map(|r| r.flags.has(Flag::OperatorTime)).collect();
    assert_eq!(told, [true, true, true, false]);
    let dates: Vec<i64> = listed.iter().map(|r| r.utc.unwrap().0 - NOON_MS).collect();
    assert_eq!(dates, [5_000, 10_000, 15_000, MINUTE + 20_000]);
    assert!(rig.refusal(1, NOON_MS, None).contains("a time of its own"));
}

#[test]
fn a_time_told_by_hand_outlives_a_start_in_the_same_boot() {
    let mut rig = four_boots();
    rig.store.release(3, UtcMs(NOON_MS + MINUTE), None).unwrap();
    let mut rig = Rig { store: open(&rig.dir, 4), ..rig };
    assert_eq!(rig.freeze().len(), 9);
}

const FIELD: Place = Place { lat_e7: 335_116_331, lon_e7: -868_965_344 };

fn in_boot(boot: i64) -> Selector {
    Selector { boot: Some(boot), ..Selector::default() }
}

#[test]
fn a_place_told_by_hand_fills_what_is_empty_and_never_replaces_one() {
    let mut rig = Rig::new();
    rig.anchor(NOON_MS, AnchorSource::Gps);
    let elsewhere = Place { lat_e7: 400_000_000, lon_e7: -900_000_000 };
    for second in [20, 25] {
        rig.counts += 100;
        let nowhere = Reading { place: None, ..reading(second, rig.counts, 100) };
        rig.store.append(&nowhere).unwrap();
    }
    rig.store.discard(&Selector { seq: Some((Seq(5), Seq(5))), ..in_boot(1) }, "rinse").unwrap();
    let said = rig.store.place(&in_boot(1), elsewhere).unwrap();
    assert_eq!(said, Placed { readings: 1, left: 4 });
    let rows = rig.view().list(&Filter { limit: 9, ..Filter::default() }).unwrap();
    assert_eq!((rows[0].lat, rows[3].lat, rows[4].lat), (Some(FIELD.lat()), Some(40.0), None));
    let frozen = rig.freeze();
    let told: Vec<bool> = frozen.iter().map(|(_, n)| n.contains("operator-place")).collect();
    assert_eq!(told, [false, false, false, true]);
    assert_eq!(rig.store.place(&in_boot(1), FIELD).unwrap().readings, 0);
}

#[test]
fn a_place_by_time_is_given_only_to_what_was_recorded_then() {
    let mut rig = Rig::new();
    rig.anchor(NOON_MS, AnchorSource::Gps);
    rig.store.db.execute_batch("UPDATE reading SET lat_e7 = NULL, lon_e7 = NULL").unwrap();
    let from = Some(UtcMs(NOON_MS + 10_000));
    let which = Selector { from, ..Selector::default() };
    assert_eq!(rig.store.place(&which, FIELD).unwrap(), Placed { readings: 2, left: 0 });
}

#[test]
fn no_place_is_given_without_saying_to_which_and_none_that_is_none() {
    let mut rig = Rig::new();
    let beyond = Place { lat_e7: 900_000_001, lon_e7: 0 };
    let nowhere = Place { lat_e7: 0, lon_e7: 0 };
    for (which, place) in
        [(Selector::default(), FIELD), (in_boot(1), nowhere), (in_boot(1), beyond)]
    {
        assert!(matches!(rig.store.place(&which, place), Err(QueueError::Refused(_))));
    }
}
