//! Freezing as timelines: what is taken, in which order, at which second, in which bytes.

use serde_json::Value;

use super::super::append::tests::{assignment, reading, segment, store, to_job};
use super::*;
use crate::clock::{AnchorSource, UtcMs};
use crate::config::StandIn;
use crate::delivery::Outcome;
use crate::queue::Selector;
use crate::reading::{Flag, Flags, NewSpan, Origin, Reading, SegmentReason};
use crate::units::Microlitres;

/// 2027-05-02T10:16:42Z.
const NOON_S: i64 = 1_809_253_002;

fn wire() -> WireSettings {
    WireSettings {
        device_name: "rig-7".to_owned(),
        zone: jiff::tz::TimeZone::get("America/Chicago").unwrap(),
        stand_in: StandIn::default(),
    }
}

fn limits(records: usize) -> BatchLimits {
    BatchLimits { records, bytes: 1 << 20 }
}

fn oldest() -> Pick {
    Pick::Oldest { skip: Vec::new(), but: Vec::new() }
}

/// Boot time zero is noon.
fn anchor(store: &mut Store) {
    let anchor = Anchor {
        at: BootInstant(0),
        utc: UtcMs(NOON_S * 1000),
        err_ms: 10,
        source: AnchorSource::Gps,
    };
    store.add_anchor(anchor).unwrap();
}

fn freeze(store: &mut Store, pick: &Pick, records: usize) -> Option<Batch> {
    store.freeze(pick, limits(records), &wire(), BootInstant(0)).unwrap()
}

fn seqs(batch: &Option<Batch>) -> Vec<i64> {
    batch.as_ref().map(|b| b.seqs.iter().map(|s| s.0).collect()).unwrap_or_default()
}

/// Five readings of job a (1..=5), the first its tare.
fn five() -> Store {
    let mut store = store();
    let opens = segment(0, 0, SegmentReason::First);
    store.append(&Reading { segment: opens, span: to_job("a", true), ..reading(1, 0, 0) }).unwrap();
    for n in 1..=4 {
        store.append(&reading(1 + 5 * n, 100 * n as u64, 100)).unwrap();
    }
    store
}

#[test]
fn nothing_is_taken_before_the_boot_has_a_time_and_everything_after_one_anchor() {
    let mut store = five();
    assert_eq!(freeze(&mut store, &oldest(), 10), None);
    anchor(&mut store);
    assert_eq!(seqs(&freeze(&mut store, &oldest(), 10)), [1, 2, 3, 4, 5]);
}

#[test]
fn the_oldest_come_first_and_a_batch_is_of_one_span() {
    let mut store = five();
    anchor(&mut store);
    store.append(&Reading { span: to_job("b", false), ..reading(26, 500, 100) }).unwrap();
    store.append(&reading(31, 600, 100)).unwrap();
    assert_eq!(seqs(&freeze(&mut store, &oldest(), 4)), [1, 2, 3, 4]);
    let rest = freeze(&mut store, &oldest(), 4);
    assert_eq!(seqs(&rest), [5, 6]);
    assert_eq!(rest.unwrap().key.job, "a");
    let next = freeze(&mut store, &oldest(), 4);
    assert_eq!((seqs(&next), next.unwrap().key.job), (vec![7], "b".to_owned()));
    assert_eq!(freeze(&mut store, &oldest(), 4), None);
}

#[test]
fn a_record_says_what_the_row_says() {
    let mut store = five();
    anchor(&mut store);
    let batch = freeze(&mut store, &oldest(), 10).unwrap();
    let record: Value = serde_json::from_slice(&batch.records[2]).unwrap();
    let expected = serde_json::json!({
        "EventId": "e-a",
        "JobId": "a",
        "ApplicationDate": "2027-05-02T05:16:53-05:00",
        "Latitude": "33.5116331",
        "Longitude": "-86.8965344",
        "MeterSerialNumber": "AF23265",
        "MeterRawCount": 200,
        "MeterCurrentRate": 2.0,
        "MeterCalculatedFlowTotal": 2.0,
        "MeterRawCountsToZero": 0,
        "TemperatureOfFluid": null,
        "AmbientTemperature": 71.55,
        "BatteryStatusInPercent": 86,
        "BatteryStatusInEstimatedRunTime": null,
        "Note": format!("#{}-3", store.tag()),
        "DeviceName": "rig-7",
        "CalibrationFactor": 100.0,
    });
    for (name, value) in expected.as_object().unwrap() {
        let sent = &record[name];
        assert!(
            sent == value || sent.as_f64().zip(value.as_f64()).is_some_and(|(a, b)| a == b),
            "{name}: {sent}"
        );
    }
}

/// Ten seconds of a Badger B2800 at 2.00 gallons a minute, then ten at 15.00.
#[test]
fn with_points_the_factor_of_a_record_is_its_counts_over_its_gallons() {
    let mut store = store();
    let opens = segment(0, 0, SegmentReason::First);
    store.append(&Reading { segment: opens, span: to_job("a", true), ..reading(1, 0, 0) }).unwrap();
    let share = |gpm: f64| Microlitres::from_gallons(gpm / 6.0);
    let poured = [(11, 1_036_u32, 2.0), (21, 1_036 + 7_697, 15.0)];
    for (second, counts, gpm) in poured {
        let counted = reading(second, u64::from(counts), 0);
        store.append(&Reading { share: share(gpm), ..counted }).unwrap();
    }
    anchor(&mut store);
    let batch = freeze(&mut store, &oldest(), 10).unwrap();
    let mut gallons = 0.0;
    for (bytes, (_, counts, gpm)) in batch.records[1..].iter().zip(poured) {
        let record: Value = serde_json::from_slice(bytes).unwrap();
        gallons += gpm / 6.0;
        let k = record["CalibrationFactor"].as_f64().unwrap();
        assert!((k - f64::from(counts) / gallons).abs() < 0.01, "{k}");
        let raw = record["MeterRawCount"].as_f64().unwrap();
        let zero = record["MeterRawCountsToZero"].as_f64().unwrap();
        let total = record["MeterCalculatedFlowTotal"].as_f64().unwrap();
        assert!(((raw - zero) / k - total).abs() < 1e-5, "{total}");
    }
}

#[test]
fn a_retry_sends_the_same_bytes_whatever_has_changed_meanwhile() {
    let mut store = five();
    anchor(&mut store);
    let first = freeze(&mut store, &oldest(), 10).unwrap();
    let back: Vec<_> = first.seqs.iter().map(|s| (*s, Outcome::Open)).collect();
    store.settle(&back, &[(first.attempt, "not sent")], None).unwrap();
    let late = Anchor {
        at: BootInstant(9),
        utc: UtcMs(NOON_S * 1000 + 60_000),
        err_ms: 0,
        source: AnchorSource::Operator,
    };
    store.add_anchor(late).unwrap();
    let other = WireSettings { device_name: "other".to_owned(), ..wire() };
    let second = store.freeze(&oldest(), limits(10), &other, BootInstant(5)).unwrap().unwrap();
    assert_eq!(second.records, first.records);
    assert_ne!(second.attempt, first.attempt);
}

#[test]
fn what_is_in_doubt_is_not_taken_again_and_does_not_block_what_is_later() {
    let mut store = five();
    anchor(&mut store);
    assert_eq!(seqs(&freeze(&mut store, &oldest(), 2)), [1, 2]);
    assert_eq!(seqs(&freeze(&mut store, &oldest(), 2)), [3, 4]);
    let open = store.open_attempts().unwrap();
    assert_eq!(open.iter().map(|a| a.seqs.len()).collect::<Vec<_>>(), [2, 2]);
}

#[test]
fn held_readings_never_block_later_ones() {
    let mut store = store();
    anchor(&mut store);
    let opens = segment(0, 0, SegmentReason::First);
    store.append(&Reading { segment: opens, ..reading(1, 0, 0) }).unwrap();
    store.append(&Reading { span: to_job("a", false), ..reading(6, 100, 100) }).unwrap();
    store.append(&Reading { place: None, ..reading(11, 200, 100) }).unwrap();
    store.append(&reading(16, 300, 100)).unwrap();
    assert_eq!(seqs(&freeze(&mut store, &oldest(), 10)), [4]);
}

#[test]
fn a_meter_without_a_serial_is_never_sent_and_blocks_nothing() {
    let mut store = store();
    anchor(&mut store);
    let by = |serial: &str, second| {
        let opens = segment(second as u64, 0, SegmentReason::Meter);
        Reading { serial: serial.to_owned(), segment: opens, ..reading(second, second as u64, 0) }
    };
    store.append(&Reading { span: to_job("a", true), ..by("", 1) }).unwrap();
    store.append(&by("", 6)).unwrap();
    store.append(&by(" ", 11)).unwrap();
    assert_eq!(freeze(&mut store, &oldest(), 1), None);
    let these = Pick::These(vec![Seq(1), Seq(2), Seq(3)]);
    assert_eq!(freeze(&mut store, &these, 9), None);
    // The technician sets meter.serial_number: whose count it was before, nobody knows.
    store.append(&by("AF23265", 16)).unwrap();
    assert_eq!(seqs(&freeze(&mut store, &oldest(), 1)), [4]);
    assert_eq!(freeze(&mut store, &oldest(), 1), None);
    let balance = super::super::balance::draw(&store.db).unwrap();
    assert_eq!((balance.no_serial, balance.held.readings, balance.in_doubt.readings), (3, 3, 1));
    assert!(balance.balanced());
}

#[test]
fn readings_assigned_in_the_evening_keep_their_own_seconds() {
    let mut store = store();
    anchor(&mut store);
    let opens = segment(0, 0, SegmentReason::First);
    store.append(&Reading { segment: opens, ..reading(1, 0, 0) }).unwrap();
    store.append(&Reading { span: to_job("a", false), ..reading(6, 100, 100) }).unwrap();
    store.append(&reading(1000, 200, 100)).unwrap();
    freeze(&mut store, &oldest(), 10).unwrap();
    store.assign(&Selector::default(), &assignment("late")).unwrap();
    let batch = freeze(&mut store, &oldest(), 10).unwrap();
    let dates: Vec<String> = batch
        .records
        .iter()
        .map(|r| {
            serde_json::from_slice::<Value>(r).unwrap()["ApplicationDate"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    assert_eq!(dates, ["2027-05-02T05:16:43-05:00", "2027-05-02T05:16:48-05:00"]);
}

#[test]
fn a_meter_that_comes_back_is_pushed_by_its_own_readings_alone() {
    let mut store = store();
    let by = |serial: &str, at, n| {
        let reason = SegmentReason::Meter;
        let first = segment(n, 0, reason);
        let serial = serial.to_owned();
        Reading { at: BootInstant(at), serial, segment: first, ..reading(0, n, 0) }
    };
    store.append(&Reading { span: to_job("a", true), ..by("A", 29_000, 0) }).unwrap();
    let none = Some(NewSpan { assignment: None, origin: Origin::Pick, owns_reading: true });
    store.append(&by("B", 30_000, 0)).unwrap();
    // Recorded without a job, in the second of the first one, and assigned last.
    store.append(&Reading { span: none, ..by("A", 29_600, 0) }).unwrap();
    store.append(&Reading { span: to_job("b", true), ..by("A", 31_000, 0) }).unwrap();
    anchor(&mut store);
    assert_eq!(seqs(&freeze(&mut store, &oldest(), 10)), [1, 2]);
    assert_eq!(seqs(&freeze(&mut store, &oldest(), 10)), [4]);
    store.assign(&Selector::default(), &assignment("late")).unwrap();
    assert_eq!(seqs(&freeze(&mut store, &oldest(), 10)), [3]);
    let seconds: Vec<i64> = store
        .db
        .prepare("SELECT utc_s FROM delivery ORDER BY seq")
        .unwrap()
        .query_map([], |r| r.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let after_noon: Vec<i64> = seconds.iter().map(|s| s - NOON_S).collect();
    assert_eq!(after_noon, [29, 30, 30, 31]);
}

#[test]
fn two_readings_in_one_second_are_a_second_apart_or_held() {
    let mut store = store();
    let opens = segment(0, 0, SegmentReason::First);
    store
        .append(&Reading { segment: opens, span: to_job("a", true), ..reading(10, 0, 0) })
        .unwrap();
    for n in 1..=4 {
        let at = BootInstant(10_000 + 100 * n);
        store.append(&Reading { at, ..reading(0, 100 * n as u64, 100) }).unwrap();
    }
    anchor(&mut store);
    let batch = freeze(&mut store, &oldest(), 10);
    assert_eq!(seqs(&batch), [1, 2, 3], "moved by 0, 1 and 2 s");
    let balance = super::super::balance::draw(&store.db).unwrap();
    assert_eq!((balance.time_conflict, balance.held.readings), (2, 2));
    assert!(balance.balanced());
}

#[test]
fn a_run_of_time_conflicts_is_marked_at_once_and_what_is_behind_it_is_taken() {
    const RUN: i64 = 250;
    let mut store = store();
    let opens = segment(0, 0, SegmentReason::First);
    store.append(&Reading { segment: opens, span: to_job("a", true), ..reading(0, 0, 0) }).unwrap();
    // All but the last stand in one second.
    for n in 1..=RUN {
        let at = BootInstant(n);
        store.append(&Reading { at, ..reading(0, 100 * n as u64, 100) }).unwrap();
    }
    store.append(&reading(1000, 100 * (RUN as u64 + 1), 100)).unwrap();
    anchor(&mut store);
    for taken in 1..=3 {
        assert_eq!(seqs(&freeze(&mut store, &oldest(), 1)), [taken], "moved by up to 2 s");
    }
    assert_eq!(seqs(&freeze(&mut store, &oldest(), 1)), [RUN + 2]);
    let balance = super::super::balance::draw(&store.db).unwrap();
    assert_eq!(balance.time_conflict, RUN + 1 - 3);
}

#[test]
fn a_batch_stops_at_its_bytes_but_never_at_nothing() {
    let mut store = five();
    anchor(&mut store);
    let one = freeze(&mut store, &oldest(), 1).unwrap().records[0].len() as u64;
    let tight = BatchLimits { records: 10, bytes: one * 5 / 2 };
    let batch = store.freeze(&oldest(), tight, &wire(), BootInstant(0)).unwrap();
    assert_eq!(seqs(&batch), [2, 3]);
    let nothing = BatchLimits { records: 10, bytes: 1 };
    let batch = store.freeze(&oldest(), nothing, &wire(), BootInstant(0)).unwrap();
    assert_eq!(seqs(&batch), [4]);
}

#[test]
fn a_refused_job_is_held_and_the_next_one_goes_on() {
    let mut store = five();
    anchor(&mut store);
    store.append(&Reading { span: to_job("b", false), ..reading(26, 500, 100) }).unwrap();
    store.append(&reading(31, 600, 100)).unwrap();
    let job = JobKey { event: "e-a".into(), job: "a".into() };
    store.settle(&[], &[], Some((Some(&job), "closed"))).unwrap();
    assert_eq!(seqs(&freeze(&mut store, &oldest(), 10)), [7]);
    store.settle(&[], &[], Some((None, "five in a row"))).unwrap();
    assert_eq!(freeze(&mut store, &oldest(), 10), None);
    assert_eq!(store.allow_all().unwrap(), 2);
    assert_eq!(seqs(&freeze(&mut store, &oldest(), 10)).len(), 6);
}

#[test]
fn what_is_set_aside_is_passed_over() {
    let mut store = five();
    anchor(&mut store);
    let pick = Pick::Oldest { skip: vec![Seq(1), Seq(3)], but: Vec::new() };
    assert_eq!(seqs(&freeze(&mut store, &pick, 2)), [2, 4]);
    let these = Pick::These(vec![Seq(3), Seq(2), Seq(5)]);
    assert_eq!(seqs(&freeze(&mut store, &these, 9)), [3, 5], "2 is in doubt already");
}

#[test]
fn a_reused_fix_and_a_second_segment_are_told_in_the_note() {
    let mut store = five();
    anchor(&mut store);
    let mut still = reading(60, 30, 50);
    still.segment = segment(0, 20, SegmentReason::Restart);
    still.flags = Flags::NONE.with(Flag::Restart).with(Flag::ReusedFix);
    still.place = still.place.map(|(place, _, hdop)| (place, 74_500, hdop));
    store.append(&still).unwrap();
    let batch = freeze(&mut store, &oldest(), 10).unwrap();
    let record: Value = serde_json::from_slice(batch.records.last().unwrap()).unwrap();
    assert_eq!(
        record["Note"],
        format!("#{}-6 restart fix-age=74s seg=2 base=4.200000", store.tag())
    );
    assert_eq!(
        (&record["MeterRawCount"], &record["MeterRawCountsToZero"]),
        (&Value::from(30), &Value::from(0))
    );
    assert!((record["MeterCalculatedFlowTotal"].as_f64().unwrap() - 4.5).abs() < 1e-6);
}

#[test]
fn a_rejected_reading_can_be_tried_again_and_an_acknowledged_one_stays_sent() {
    let mut store = five();
    anchor(&mut store);
    let batch = freeze(&mut store, &oldest(), 2).unwrap();
    let results =
        [(Seq(1), Outcome::Sent(Some("id-1".into()))), (Seq(2), Outcome::Rejected("bad".into()))];
    store.settle(&results, &[(batch.attempt, "accepted")], None).unwrap();
    store.settle(&[(Seq(1), Outcome::Open)], &[], None).unwrap();
    assert_eq!(store.retry(&Selector::default()).unwrap(), 1);
    assert_eq!(seqs(&freeze(&mut store, &oldest(), 9)), [2, 3, 4, 5]);
    assert_eq!(store.newest_sent(&batch.key, 20).unwrap().len(), 1);
}

#[test]
fn what_was_sent_last_of_a_job_is_what_was_attempted_last_in_any_of_its_spans() {
    let mut store = five();
    anchor(&mut store);
    store.append(&Reading { span: to_job("b", false), ..reading(26, 500, 100) }).unwrap();
    let none = Some(NewSpan { assignment: None, origin: Origin::Pick, owns_reading: false });
    store.append(&Reading { span: none, ..reading(31, 600, 100) }).unwrap();
    store.append(&reading(36, 700, 100)).unwrap();
    store.append(&Reading { span: to_job("a", false), ..reading(41, 800, 100) }).unwrap();
    store.append(&reading(46, 900, 100)).unwrap();
    let sent = |store: &mut Store, pick| {
        let batch = freeze(store, &pick, 9).unwrap();
        let all: Vec<_> = batch.seqs.iter().map(|s| (*s, Outcome::Sent(None))).collect();
        store.settle(&all, &[(batch.attempt, "accepted")], None).unwrap();
    };
    sent(&mut store, Pick::These(vec![Seq(10)]));
    sent(&mut store, Pick::These(vec![Seq(1), Seq(2), Seq(3)]));
    sent(&mut store, Pick::These(vec![Seq(7)]));
    store.assign(&Selector::default(), &assignment("a")).unwrap();
    sent(&mut store, Pick::These(vec![Seq(8), Seq(9)]));
    freeze(&mut store, &Pick::These(vec![Seq(4)]), 9).unwrap();
    let key = JobKey { event: "e-a".into(), job: "a".into() };
    let newest = |many| -> Vec<i64> {
        store.newest_sent(&key, many).unwrap().iter().map(|f| f.seq.0).collect()
    };
    assert_eq!(newest(20), [9, 8, 3, 2, 1, 10], "not 7, of another job, nor 4, in doubt");
    assert_eq!(newest(3), [9, 8, 3]);
}

#[test]
fn the_balance_adds_up_in_every_state() {
    let mut store = five();
    store.append(&Reading { place: None, ..reading(40, 500, 100) }).unwrap();
    let before = super::super::balance::draw(&store.db).unwrap();
    assert_eq!((before.no_time, before.no_place, before.held.readings), (6, 1, 6));
    anchor(&mut store);
    let batch = freeze(&mut store, &oldest(), 3).unwrap();
    store
        .settle(
            &[(Seq(1), Outcome::Sent(None)), (Seq(2), Outcome::Rejected("no".into()))],
            &[],
            None,
        )
        .unwrap();
    let balance = super::super::balance::draw(&store.db).unwrap();
    let numbers = [
        balance.recorded,
        balance.ready,
        balance.held,
        balance.in_doubt,
        balance.sent,
        balance.rejected,
    ];
    assert_eq!(numbers.map(|s| s.readings), [6, 2, 1, 1, 1, 1]);
    assert!(balance.balanced());
    assert_eq!(batch.seqs.len(), 3);
    // A row that vanishes is noticed, in number and in gallons.
    store.db.execute("DELETE FROM reading WHERE seq = 5", []).unwrap();
    assert!(!super::super::balance::draw(&store.db).unwrap().balanced());
}

/// How SQLite goes about a query, in its own words.
fn plan(store: &Store, sql: &str) -> String {
    let mut statement = store.db.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let wanted = statement.parameter_count();
    let rows =
        statement.query_map(rusqlite::params_from_iter(vec![1; wanted]), |r| r.get::<_, String>(3));
    rows.unwrap().map(Result::unwrap).collect::<Vec<_>>().join("; ")
}

#[test]
fn what_runs_for_every_record_costs_no_more_with_a_year_of_them() {
    let mut seen = 0;
    let store = five();
    for source in
        [include_str!("../freeze.rs"), include_str!("walk.rs"), include_str!("../settle.rs")]
    {
        let queries = source.split('"').filter(|text| text.trim_start().starts_with("SELECT"));
        for sql in
            queries.filter(|sql| sql.contains("FROM delivery") || sql.contains("FROM reading"))
        {
            let plan = plan(&store, sql);
            // What is in doubt is a handful, whatever the year.
            if plan.contains("reading_doubt") {
                continue;
            }
            assert!(
                !plan.contains("SCAN reading") && !plan.contains("SCAN delivery"),
                "{sql}: {plan}"
            );
            assert!(!plan.contains("SCAN r;") && !plan.contains("SCAN d"), "{sql}: {plan}");
            assert!(!plan.contains("TEMP B-TREE"), "{sql}: {plan}");
            // A range of the table and another condition: rows are walked until one meets it.
            let next_one = sql.ends_with("WHERE seq < ?1 ORDER BY seq DESC LIMIT 1");
            let walks = plan.contains("(rowid<?)") || plan.contains("(rowid>?)");
            assert!(next_one || !walks, "{sql}: {plan}");
            seen += 1;
        }
    }
    assert!(seen >= 6, "{seen} queries seen");
}

#[test]
fn a_reading_that_cannot_be_decoded_is_set_aside_and_the_rest_is_sent() {
    for damage in [
        "UPDATE reading SET flags = 'x' WHERE seq = 2",
        "UPDATE reading SET unwrapped = -1 WHERE seq = 2",
        "UPDATE reading SET total_ul = x'00ff' WHERE seq = 2",
        "UPDATE reading SET lat_e7 = 1900000000 WHERE seq = 2",
        "UPDATE reading SET rate = 9e999 WHERE seq = 2",
        "UPDATE reading SET segment = 99 WHERE seq = 2",
        "UPDATE reading SET fix_age_ms = x'5a' WHERE seq = 2",
    ] {
        let mut store = five();
        anchor(&mut store);
        store.db.pragma_update(None, "foreign_keys", false).unwrap();
        store.db.execute_batch(damage).unwrap();
        assert_eq!(seqs(&freeze(&mut store, &oldest(), 10)), [1, 3, 4, 5], "{damage}");
        assert_eq!(seqs(&freeze(&mut store, &oldest(), 10)), [0; 0]);
        let balance = super::super::balance::draw(&store.db).unwrap();
        assert_eq!((balance.unreadable, balance.held.readings), (1, 1), "{damage}");
        assert!(balance.balanced(), "{damage}");

        let why = problem(&store.db, Seq(2)).unwrap().unwrap();
        assert!(!why.is_empty());
        assert_eq!(problem(&store.db, Seq(1)).unwrap(), None);
        assert_eq!(store.retry(&Selector::default()).unwrap(), 1, "once it was mended");
    }
}

#[test]
fn a_row_of_no_span_and_no_boot_that_there_can_be_hinders_none() {
    for damage in ["span = 'x'", "boot = 'x'"] {
        let mut store = five();
        anchor(&mut store);
        store.db.pragma_update(None, "foreign_keys", false).unwrap();
        let damage = format!("UPDATE reading SET {damage} WHERE seq = 2");
        store.db.execute_batch(&damage).unwrap();
        assert_eq!(seqs(&freeze(&mut store, &oldest(), 10)), [1, 3, 4, 5], "{damage}");
        assert!(super::super::balance::draw(&store.db).unwrap().balanced(), "{damage}");
    }
}

fn carry_over(store: &Store, seqs: std::ops::RangeInclusive<i64>) {
    let sql = "UPDATE reading SET flags = flags | ?1 WHERE seq BETWEEN ?2 AND ?3";
    store.db.execute(sql, params![Flag::Carried as u32, seqs.start(), seqs.end()]).unwrap();
}

#[test]
fn what_a_damaged_queue_may_have_sent_is_asked_about_together_and_never_sent_with_the_rest() {
    let mut store = five();
    anchor(&mut store);
    carry_over(&store, 1..=4);
    // More than a request takes, and none of the rest.
    let asked = freeze(&mut store, &oldest(), 2).unwrap();
    assert_eq!((asked.asks, asked.seqs.len()), (true, 4));
    let note = |batch: &Batch, nth: usize| -> String {
        let record: Value = serde_json::from_slice(&batch.records[nth]).unwrap();
        record["Note"].as_str().unwrap().to_owned()
    };
    assert_eq!(note(&asked, 1), format!("#{}-2", store.tag()), "as it was sent, if it was");
    let rest = freeze(&mut store, &oldest(), 2).unwrap();
    assert_eq!((rest.asks, rest.seqs), (false, vec![Seq(5)]));
    // What the server lacks is ready now, and sent as anything else.
    let absent: Vec<_> = (2..=4).map(|n| (Seq(n), Outcome::Open)).collect();
    store.settle(&absent, &[], None).unwrap();
    let batch = freeze(&mut store, &oldest(), 2).unwrap();
    assert_eq!((batch.asks, batch.seqs), (false, vec![Seq(2), Seq(3)]));
    assert_eq!(batch.records[0], asked.records[1], "in the bytes that were asked about");
    // Nor may what was perhaps sent be called water that isn't chemical.
    carry_over(&store, 4..=4);
    let which = Selector { seq: Some((Seq(4), Seq(4))), ..Selector::default() };
    assert_eq!(store.discard(&which, "flushed").unwrap().readings, 0);
}

#[test]
fn a_job_that_cannot_be_asked_about_does_not_fill_the_memory_nor_block_others() {
    let mut store = store();
    store.db.execute_batch("PRAGMA synchronous = OFF").unwrap();
    let opens = segment(0, 0, SegmentReason::First);
    store.append(&Reading { segment: opens, span: to_job("a", true), ..reading(1, 0, 0) }).unwrap();
    let many: Vec<_> = (1..7000).map(|n| reading(1 + n, 100 * n as u64, 100)).collect();
    store.append_all(&many).unwrap();
    store.append(&Reading { span: to_job("b", false), ..reading(9000, 700_000, 100) }).unwrap();
    store.append(&reading(9005, 700_100, 100)).unwrap();
    anchor(&mut store);
    carry_over(&store, 1..=7001);
    let taken = |store: &mut Store| freeze(store, &oldest(), 100).unwrap();
    let batches: Vec<Batch> = (0..3).map(|_| taken(&mut store)).collect();
    let size = |n: usize| (batches[n].asks, batches[n].seqs.len(), batches[n].key.job.as_str());
    assert_eq!((size(0), size(1)), ((true, 2000, "a"), (true, 2000, "a")));
    assert_eq!(size(2), (false, 1, "b"));
    assert_eq!(freeze(&mut store, &oldest(), 100), None);
    let settled: Vec<_> = batches[0].seqs.iter().map(|s| (*s, Outcome::Sent(None))).collect();
    store.settle(&settled, &[], None).unwrap();
    assert_eq!(taken(&mut store).seqs[0], Seq(4001), "the next are asked about");
}

#[test]
fn what_gets_its_job_late_never_passes_what_was_recorded_after_it() {
    let mut store = store();
    let opens = segment(0, 0, SegmentReason::First);
    store.append(&Reading { segment: opens, span: to_job("a", true), ..reading(1, 0, 0) }).unwrap();
    let nowhere = |second, n| Reading { place: None, ..reading(second, n, 100) };
    store.append(&nowhere(5, 100)).unwrap();
    store.append(&nowhere(9, 200)).unwrap();
    store.append(&reading(10, 300, 100)).unwrap();
    anchor(&mut store);
    assert_eq!(seqs(&freeze(&mut store, &oldest(), 10)), [1, 4]);
    // The clock turns out to have been 6.5 s slow: the fourth stays where it was frozen.
    let (at, utc) = (BootInstant(20_000), UtcMs(NOON_S * 1000 + 26_500));
    store.add_anchor(Anchor { at, utc, err_ms: 0, source: AnchorSource::Gps }).unwrap();
    let all = Selector { seq: Some((Seq(1), Seq(4))), ..Selector::default() };
    store.place(&all, crate::reading::Place { lat_e7: 1, lon_e7: 1 }).unwrap();
    let late = freeze(&mut store, &oldest(), 10);
    assert_eq!(seqs(&late), [2], "back by 2 s, and the third has no room left");
    let date = |n: usize| {
        let record: Value = serde_json::from_slice(&late.as_ref().unwrap().records[n]).unwrap();
        record["ApplicationDate"].as_str().unwrap().to_owned()
    };
    assert_eq!(date(0), "2027-05-02T05:16:51-05:00");
    assert_eq!(super::super::balance::draw(&store.db).unwrap().time_conflict, 1);
}

#[test]
fn an_hour_that_comes_twice_is_told_apart_by_its_offset() {
    let mut store = store();
    let opens = segment(0, 0, SegmentReason::First);
    store.append(&Reading { segment: opens, span: to_job("a", true), ..reading(0, 0, 0) }).unwrap();
    for (n, second) in [(1, 3_598), (2, 3_600), (3, 7_199), (4, 7_200)] {
        store.append(&reading(second, 100 * n, 100)).unwrap();
    }
    // The clocks go back an hour after it: 2026-11-01T06:00:00Z is 01:00 in Chicago.
    let utc = UtcMs("2026-11-01T06:00:00Z".parse::<jiff::Timestamp>().unwrap().as_millisecond());
    let source = AnchorSource::System;
    store.add_anchor(Anchor { at: BootInstant(0), utc, err_ms: 0, source }).unwrap();
    let batch = freeze(&mut store, &oldest(), 10).unwrap();
    let dates: Vec<String> = batch
        .records
        .iter()
        .map(|record| serde_json::from_slice::<Value>(record).unwrap())
        .map(|record| record["ApplicationDate"].as_str().unwrap()["2026-11-01T".len()..].to_owned())
        .collect();
    let expected =
        ["01:00:00-05:00", "01:59:58-05:00", "01:00:00-06:00", "01:59:59-06:00", "02:00:00-06:00"];
    assert_eq!(dates, expected);
}

#[test]
fn a_frozen_record_that_cannot_be_decoded_keeps_none_before_it_from_being_sent() {
    for damage in [
        "UPDATE delivery SET utc_s = 'x' WHERE seq = 3",
        "UPDATE delivery SET meter = 'x' WHERE seq = 3",
        "UPDATE reading SET boot = 'x' WHERE seq = 3",
    ] {
        let mut store = five();
        anchor(&mut store);
        store.db.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
        store.db.execute_batch("UPDATE reading SET lat_e7 = NULL WHERE seq = 2").unwrap();
        assert_eq!(seqs(&freeze(&mut store, &oldest(), 10)), [1, 3, 4, 5]);
        store.db.execute_batch(damage).unwrap();
        store.db.execute_batch("UPDATE reading SET lat_e7 = 335116331 WHERE seq = 2").unwrap();
        let late = store.freeze(&oldest(), limits(10), &wire(), BootInstant(0));
        assert_eq!(
            late.map(|batch| seqs(&batch)).map_err(|err| format!("{err:?}")),
            Ok(vec![2]),
            "{damage}"
        );
    }
}
