//! A judge that can't fail is a defect: each planted fault must be found, and nothing but
//! it.

mod meters;

use serde_json::{Value, json};

use super::*;
use crate::agent::{Balance, Gallons};
use crate::gps::{Path, Spot};
use crate::meter::{Meter, MeterSetup};
use crate::truth::{FlowChange, Trouble};

/// 2026-11-23T12:00:00Z, and the meter says its lines at .4 of each second.
const T0: i64 = 1_795_435_200_000;
const PHASE_MS: i64 = 400;
const START: Spot = Spot { lat: 33.511_633_1, lon: -86.896_534_4 };

/// A minute: 2 gpm from 10.5 s to 50.5 s while driving east at 1.5 m/s.
fn truth_with(setup: MeterSetup, mut at_second: impl FnMut(i64, &mut Meter, &mut Truth)) -> Truth {
    let mut truth = Truth { kind: setup.kind, ..Truth::new(&setup.serial, setup.k) };
    let mut meter = Meter::new(setup, T0);
    let mut path = Path::new(START, T0);
    path.drive(1.5, 90.0, T0);
    for second in 0..60 {
        for (when, gpm) in [(10, 2.0), (50, 0.0)] {
            if second == when + 1 {
                let at_ms = T0 + when * 1000 + 500;
                meter.flow(gpm, at_ms);
                truth.flow.push(FlowChange { at_ms, gpm });
            }
        }
        at_second(second, &mut meter, &mut truth);
        let now = T0 + second * 1000;
        truth.epoch(now, Some(path.at(now)), true);
        let line = meter.line(now + PHASE_MS);
        truth.line(now + PHASE_MS, &line, true, true);
    }
    truth
}

fn truth() -> Truth {
    truth_with(MeterSetup::default(), |_, _, _| {})
}

/// What a faultless agent would have stored of some lines.
fn records_of(truth: &Truth, seconds: &[i64]) -> Vec<StoredRecord> {
    let zero = truth.lines[0].unwrapped;
    let records = seconds.iter().enumerate().map(|(nth, second)| {
        let line = &truth.lines[*second as usize];
        let place = truth.epochs[*second as usize].place.unwrap();
        let date = jiff::Timestamp::from_second(line.at_ms.div_euclid(1000)).unwrap();
        let fields = json!({
            "EventId": "5739034294cb31984da90d447dae11",
            "JobId": "49992697792b29c083a546475c8478",
            "ApplicationDate": date.to_string(),
            "Latitude": format!("{:.7}", place.lat),
            "Longitude": format!("{:.7}", place.lon),
            "MeterSerialNumber": truth.serial,
            "MeterRawCount": line.unwrapped,
            "MeterCurrentRate": line.rate_gpm,
            "MeterCalculatedFlowTotal": (line.unwrapped as f64 - zero as f64) / truth.k,
            "MeterRawCountsToZero": zero,
            "TemperatureOfFluid": line.sensors.fluid_f,
            "AmbientTemperature": line.sensors.ambient_f,
            "BatteryStatusInPercent": line.sensors.battery_percent,
            "BatteryStatusInEstimatedRunTime": line.sensors.runtime_min,
            "Note": format!("#ab3k9-{}", char::from(b"0123456789abcdefgh"[nth + 1])),
            "CalibrationFactor": truth.k,
        });
        StoredRecord {
            id: format!("r{nth}"),
            received_ms: line.at_ms + 500,
            fields: fields.as_object().unwrap().clone(),
        }
    });
    records.collect()
}

const EVERY_5_S: [i64; 10] = [11, 15, 20, 25, 30, 35, 40, 45, 50, 53];

fn evidence(truth: Truth, records: Vec<StoredRecord>) -> Evidence {
    let count = records.len() as u64;
    let status = Status {
        last_seq: Some(count as i64),
        balance: Balance { recorded: count, sent: count, ..Balance::default() },
        ..Status::default()
    };
    Evidence {
        records,
        violations: Vec::new(),
        truth,
        status: Some(status),
        shown_seq: Some(count as i64),
        rules: Rules::default(),
        mishaps: Vec::new(),
    }
}

fn faultless() -> Evidence {
    let truth = truth();
    let records = records_of(&truth, &EVERY_5_S);
    evidence(truth, records)
}

/// Plants one fault and sees that it is found, and that nothing else is.
fn finds(kinds: &[Kind], plant: impl FnOnce(&mut Evidence)) {
    let mut evidence = faultless();
    plant(&mut evidence);
    let verdict = judge(&evidence);
    for kind in kinds {
        assert!(verdict.has(*kind), "{kind:?} not found\n{verdict}");
    }
    verdict.assert_clean_but_for(kinds);
}

fn set(evidence: &mut Evidence, nth: usize, field: &str, value: Value) {
    evidence.records[nth].fields.insert(field.to_owned(), value);
}

#[test]
fn a_faultless_run_is_clean_and_balances() {
    let verdict = judge(&faultless());
    verdict.assert_clean();
    let balance = verdict.balance;
    assert!((balance.metered_gal - 80.0 / 60.0).abs() < 0.02, "{verdict}");
    assert!((balance.delivered_gal - balance.metered_gal).abs() < 0.01);
    assert_eq!((balance.delivered, balance.duplicated), (10, 0));
}

#[test]
fn of_two_lines_with_one_count_the_one_with_the_records_rate_is_meant() {
    // Flow stops right after the line of second 50: that of 51 shows the same count, at
    // rest, and is nearer to a record that was stamped a little late.
    finds(&[], |e| {
        let count = e.truth.lines[50].unwrapped;
        for line in e.truth.lines.iter_mut().skip(51) {
            line.unwrapped = count;
        }
        e.records = records_of(&e.truth, &EVERY_5_S);
        set(e, 8, "ApplicationDate", json!("2026-11-23T12:00:51Z"));
    });
    finds(&[Kind::InventedSensor], |e| set(e, 8, "MeterCurrentRate", json!(1.5)));
}

#[test]
fn a_missing_record_is_lost_and_leaves_a_gap() {
    finds(&[Kind::Lost, Kind::Gap], |e| {
        e.records.remove(4);
    });
}

#[test]
fn the_last_record_missing_is_lost_and_short_of_gallons() {
    finds(&[Kind::Lost, Kind::Gallons, Kind::Gap], |e| {
        e.records.truncate(7);
    });
}

#[test]
fn the_same_record_twice_is_doubled() {
    finds(&[Kind::Doubled], |e| {
        let mut again = e.records[3].clone();
        again.id = "again".into();
        e.records.push(again);
    });
}

#[test]
fn a_reading_sent_again_with_another_second_is_doubled() {
    finds(&[Kind::Doubled], |e| {
        let mut again = e.records[3].clone();
        again.fields.insert("ApplicationDate".into(), json!("2026-11-23T12:00:26Z"));
        e.records.push(again);
    });
}

#[test]
fn two_readings_in_one_second_are_found() {
    finds(&[Kind::SecondTaken], |e| {
        // One that was told 0.4 s later, in the second that is taken.
        let late = e.truth.lines[26].clone();
        let mut other = e.records[3].clone();
        other.id = "other".into();
        other.fields.insert("MeterRawCount".into(), json!(late.unwrapped));
        let total = (late.unwrapped - 1000) as f64 / 126.7;
        other.fields.insert("MeterCalculatedFlowTotal".into(), json!(total));
        other.fields.insert("Note".into(), json!("#ab3k9-b"));
        e.records.push(other);
        let status = e.status.as_mut().unwrap();
        status.balance.recorded += 1;
        status.balance.sent += 1;
        status.last_seq = Some(11);
    });
}

#[test]
fn an_invented_place_is_found() {
    finds(&[Kind::InventedPlace], |e| set(e, 4, "Latitude", json!("33.5126331")));
}

/// The rig is configured to stand at one place, and its records are there and say so.
fn stands(e: &mut Evidence) {
    e.rules.fixed = Some(Spot { lat: 32.6, lon: -85.4 });
    for record in &mut e.records {
        let note = format!("{} fixed-place", record.fields["Note"].as_str().unwrap());
        record.fields.insert("Note".into(), json!(note));
        record.fields.insert("Latitude".into(), json!("32.6000000"));
        record.fields.insert("Longitude".into(), json!("-85.4000000"));
    }
}

#[test]
fn a_configured_place_is_right_where_it_is_and_says_so_and_else_invented() {
    finds(&[], stands);
    finds(&[Kind::InventedPlace], |e| {
        stands(e);
        set(e, 4, "Latitude", json!("32.6001000"));
    });
    finds(&[Kind::InventedPlace], |e| {
        stands(e);
        set(e, 4, "Note", json!("#ab3k9-5"));
    });
}

#[test]
fn a_place_from_before_shown_as_fresh_is_found() {
    finds(&[Kind::OldPlace], |e| {
        let old = e.records[1].fields["Longitude"].clone();
        set(e, 4, "Longitude", old);
    });
}

#[test]
fn the_gulf_of_guinea_is_found() {
    finds(&[Kind::NoPlace], |e| {
        set(e, 4, "Latitude", json!("0"));
        set(e, 4, "Longitude", json!("0.0"));
    });
}

#[test]
fn a_wrong_second_is_found() {
    finds(&[Kind::WrongSecond, Kind::Gap], |e| {
        set(e, 4, "ApplicationDate", json!("2026-11-23T12:00:33Z"));
    });
}

#[test]
fn an_hour_of_daylight_saving_is_a_wrong_second() {
    let mut evidence = faultless();
    for (nth, second) in EVERY_5_S.into_iter().enumerate() {
        let date = format!("2026-11-23T07:00:{second:02}-06:00");
        set(&mut evidence, nth, "ApplicationDate", json!(date));
    }
    assert!(judge(&evidence).has(Kind::WrongSecond));
}

#[test]
fn a_second_that_was_moved_on_because_it_was_taken_is_right() {
    let truth = truth();
    let mut records = records_of(&truth, &[11, 15, 20, 25, 26, 30, 35, 40, 45, 50, 53]);
    records[3].fields.insert("ApplicationDate".into(), json!("2026-11-23T12:00:26Z"));
    records[4].fields.insert("ApplicationDate".into(), json!("2026-11-23T12:00:27Z"));
    judge(&evidence(truth, records)).assert_clean();
}

#[test]
fn a_wrong_count_is_invented() {
    finds(&[Kind::InventedCount, Kind::Gap], |e| {
        let raw = e.records[4].fields["MeterRawCount"].as_i64().unwrap() + 1;
        set(e, 4, "MeterRawCount", json!(raw));
        set(e, 4, "MeterCalculatedFlowTotal", json!((raw - 1000) as f64 / 126.7));
    });
}

#[test]
fn a_glitch_that_was_believed_is_an_invented_count() {
    let truth = truth_with(MeterSetup::default(), |second, meter, _| {
        if second == 30 {
            meter.glitch(500);
        }
    });
    let mut records = records_of(&truth, &EVERY_5_S);
    records[4].fields.insert("MeterRawCount".into(), json!(truth.lines[30].raw));
    let verdict = judge(&evidence(truth, records));
    assert!(verdict.has(Kind::InventedCount), "{verdict}");
    assert!(verdict.to_string().contains("only a spoilt line"), "{verdict}");
}

#[test]
fn an_invented_temperature_or_rate_is_found() {
    finds(&[Kind::InventedSensor], |e| set(e, 2, "TemperatureOfFluid", json!(0.0)));
    finds(&[Kind::InventedSensor], |e| set(e, 2, "AmbientTemperature", Value::Null));
    finds(&[Kind::InventedSensor], |e| set(e, 2, "MeterCurrentRate", json!(3.0)));
}

#[test]
fn a_gap_in_time_is_found_even_if_nothing_is_lost() {
    let truth = truth();
    let records = records_of(&truth, &[11, 15, 20, 27, 30, 35, 40, 45, 50, 53]);
    let verdict = judge(&evidence(truth, records));
    assert!(verdict.has(Kind::Gap), "{verdict}");
    verdict.assert_clean_but_for(&[Kind::Gap]);
}

#[test]
fn a_gap_while_the_meter_was_unplugged_is_excused_and_no_longer() {
    let mut truth = truth();
    truth.begin(Trouble::MeterUnplugged, T0 + 20_600);
    truth.end(Trouble::MeterUnplugged, T0 + 29_000);
    for line in truth.lines.range_mut(21..30) {
        line.heard = false;
    }
    let excused = records_of(&truth, &[11, 15, 20, 31, 35, 40, 45, 50, 53]);
    judge(&evidence(truth.clone(), excused)).assert_clean();
    let too_late = records_of(&truth, &[11, 15, 20, 40, 45, 50, 53]);
    assert!(judge(&evidence(truth, too_late)).has(Kind::Gap));
}

#[test]
fn an_agent_that_never_listens_is_found() {
    let mut truth = truth();
    truth.lines.iter_mut().for_each(|line| line.heard = false);
    let mut silent = evidence(truth, Vec::new());
    assert!(judge(&silent).has(Kind::Gap));
    silent.truth.begin(Trouble::AgentDown, T0);
    judge(&silent).assert_clean();
}

#[test]
fn a_total_that_does_not_fit_its_counts_is_found() {
    finds(&[Kind::Equation], |e| {
        let total = e.records[4].fields["MeterCalculatedFlowTotal"].as_f64().unwrap();
        set(e, 4, "MeterCalculatedFlowTotal", json!(total + 0.01));
    });
}

#[test]
fn another_k_is_found() {
    let mut evidence = faultless();
    for nth in 0..10 {
        let raw = evidence.records[nth].fields["MeterRawCount"].as_i64().unwrap();
        set(&mut evidence, nth, "CalibrationFactor", json!(100.0));
        set(&mut evidence, nth, "MeterCalculatedFlowTotal", json!((raw - 1000) as f64 / 100.0));
    }
    let verdict = judge(&evidence);
    assert!(verdict.has(Kind::Equation) && verdict.has(Kind::Gallons), "{verdict}");
}

#[test]
fn a_total_that_begins_again_without_a_new_span_is_found() {
    let mut evidence = faultless();
    for nth in 5..10 {
        let raw = evidence.records[nth].fields["MeterRawCount"].as_i64().unwrap();
        set(&mut evidence, nth, "MeterRawCountsToZero", json!(1100));
        set(&mut evidence, nth, "MeterCalculatedFlowTotal", json!((raw - 1100) as f64 / 126.7));
    }
    assert!(judge(&evidence).has(Kind::TotalFell));
}

#[test]
fn a_restart_continues_the_total_with_segment_and_base() {
    let truth = truth_with(MeterSetup::default(), |second, meter, truth| {
        if second == 31 {
            meter.restart(T0 + 30_500);
            truth.restarts.push(T0 + 30_500);
        }
    });
    let mut records = records_of(&truth, &EVERY_5_S);
    let base = (truth.lines[30].unwrapped - 1000) as f64 / 126.7;
    for (nth, second) in EVERY_5_S.iter().enumerate().filter(|(_, second)| **second > 30) {
        let raw = truth.lines[*second as usize].unwrapped;
        let fields = &mut records[nth].fields;
        let note = format!("{} seg=2 base={base:.6}", fields["Note"].as_str().unwrap());
        fields.insert("Note".into(), json!(note));
        fields.insert("MeterRawCountsToZero".into(), json!(0));
        fields.insert("MeterCalculatedFlowTotal".into(), json!(raw as f64 / 126.7 + base));
    }
    let verdict = judge(&evidence(truth, records));
    verdict.assert_clean();
    assert!(verdict.balance.unknowable_gal < 0.01);
}

#[test]
fn a_rebase_is_followed_and_a_wrong_count_after_it_found() {
    let setup =
        MeterSetup { start_count: 4_294_967_000, modulus: 1 << 33, ..MeterSetup::default() };
    let truth = truth_with(setup, |_, _, _| {});
    let mut records = records_of(&truth, &EVERY_5_S);
    for record in &mut records {
        for field in ["MeterRawCount", "MeterRawCountsToZero"] {
            let count = record.fields[field].as_i64().unwrap() - 4_294_967_000;
            record.fields.insert(field.into(), json!(count));
        }
    }
    let mut evidence = evidence(truth, records);
    judge(&evidence).assert_clean();
    set(&mut evidence, 6, "MeterRawCount", json!(140));
    assert!(!judge(&evidence).is_clean());
}

#[test]
fn a_held_reading_accounts_for_its_gallons_and_its_gap() {
    let mut evidence = faultless();
    evidence.records.remove(4);
    let status = evidence.status.as_mut().unwrap();
    status.balance = Balance { held: 1, sent: 9, ..status.balance };
    let share = 5.0 * 2.0 / 60.0;
    status.gallons = Gallons { held: share, ..Gallons::default() };
    let verdict = judge(&evidence);
    verdict.assert_clean();
    assert!((verdict.balance.delivered_gal - (80.0 / 60.0 - share)).abs() < 0.02, "{verdict}");
    evidence.status.as_mut().unwrap().gallons.held = 1.0;
    assert!(judge(&evidence).has(Kind::Gallons));
}

#[test]
fn a_span_shows_itself_where_the_reading_that_opened_it_is_still_held() {
    let mut evidence = faultless();
    let raw = |e: &Evidence, nth: usize| e.records[nth].fields["MeterRawCount"].as_i64().unwrap();
    let zero = raw(&evidence, 4);
    for nth in 5..10 {
        let total = (raw(&evidence, nth) - zero) as f64 / evidence.truth.k;
        set(&mut evidence, nth, "MeterRawCountsToZero", json!(zero));
        set(&mut evidence, nth, "MeterCalculatedFlowTotal", json!(total));
    }
    assert!(judge(&evidence).has(Kind::TotalFell), "nothing is held that could explain it");
    let held = evidence.records.remove(5).fields["MeterCalculatedFlowTotal"].as_f64().unwrap();
    let status = evidence.status.as_mut().unwrap();
    status.balance = Balance { held: 1, sent: 9, ..status.balance };
    status.gallons = Gallons { held, ..Gallons::default() };
    judge(&evidence).assert_clean();
}

#[test]
fn a_rollover_that_nobody_heard_may_look_like_a_restart_and_one_that_was_heard_may_not() {
    // It rolls over at about 20 s.
    let setup = MeterSetup { start_count: 1000, modulus: 1040, ..MeterSetup::default() };
    let mut truth = truth_with(setup, |_, _, _| {});
    let mut records = records_of(&truth, &EVERY_5_S);
    let base = records[1].fields["MeterCalculatedFlowTotal"].as_f64().unwrap();
    for (nth, second) in EVERY_5_S.into_iter().enumerate().skip(3) {
        let raw = truth.lines[second as usize].raw;
        let note = records[nth].fields["Note"].as_str().unwrap();
        let note = format!("{note} restart gap seg=2 base={base:.6}");
        let fields = &mut records[nth].fields;
        fields.insert("Note".into(), json!(note));
        fields.insert("MeterRawCount".into(), json!(raw));
        fields.insert("MeterRawCountsToZero".into(), json!(0));
        let total = raw as f64 / truth.k + base;
        fields.insert("MeterCalculatedFlowTotal".into(), json!(total));
    }
    // The one of 20 s, which the agent was down for.
    records.remove(2);
    for (nth, record) in records.iter_mut().enumerate().skip(2) {
        let note = record.fields["Note"].as_str().unwrap();
        let (_, words) = note.split_once(' ').unwrap();
        let note = format!("#ab3k9-{} {words}", nth + 1);
        record.fields.insert("Note".into(), json!(note));
    }
    assert!(judge(&evidence(truth.clone(), records.clone())).has(Kind::Gallons));
    truth.begin(Trouble::AgentDown, T0 + 15_900);
    truth.end(Trouble::AgentDown, T0 + 23_000);
    truth.lines.range_mut(16..23).for_each(|line| line.heard = false);
    judge(&evidence(truth, records)).assert_clean();
}

#[test]
fn a_restart_that_a_rollover_looked_like_need_not_have_been_sent_itself() {
    // It rolls over at about 20 s, and another job is picked up after that.
    let setup = MeterSetup { start_count: 1000, modulus: 1040, ..MeterSetup::default() };
    let mut truth = truth_with(setup, |_, _, _| {});
    let mut records = records_of(&truth, &EVERY_5_S);
    let zero = truth.lines[30].raw;
    for (nth, second) in EVERY_5_S.into_iter().enumerate().skip(5) {
        let raw = truth.lines[second as usize].raw;
        let fields = &mut records[nth].fields;
        fields.insert("JobId".into(), json!("another"));
        fields.insert("MeterRawCount".into(), json!(raw));
        fields.insert("MeterRawCountsToZero".into(), json!(zero));
        let total = (raw - zero) as f64 / truth.k;
        fields.insert("MeterCalculatedFlowTotal".into(), json!(total));
    }
    records.drain(2..5);
    let invented = |truth: &Truth| {
        let evidence = evidence(truth.clone(), records.clone());
        judge(&evidence).has(Kind::InventedCount)
    };
    assert!(invented(&truth), "the agent heard the rollover");
    truth.begin(Trouble::AgentDown, T0 + 15_900);
    truth.end(Trouble::AgentDown, T0 + 23_000);
    truth.lines.range_mut(16..23).for_each(|line| line.heard = false);
    assert!(!invented(&truth));
}

#[test]
fn what_a_disk_kept_waiting_may_be_lost_with_meter_and_agent_and_not_without() {
    let mut evidence = faultless();
    let tolerance = |e: &Evidence| judge(e).balance.tolerance_gal;
    let whole = tolerance(&evidence);
    evidence.truth.begin(Trouble::DiskStalls, T0 + 20_000);
    evidence.truth.restarts.push(T0 + 30_000);
    assert_eq!(tolerance(&evidence), whole, "the agent lived to write it");
    evidence.truth.begin(Trouble::AgentDown, T0 + 33_000);
    evidence.truth.end(Trouble::AgentDown, T0 + 34_000);
    // An interval, and ten seconds at 2 gpm.
    let more = tolerance(&evidence) - whole;
    assert!((more - (6.0 + 10.0) * 2.0 / 60.0).abs() < 0.001, "{more}");
}

#[test]
fn a_place_found_afterwards_is_right_on_the_way_between_two_fixes_and_wrong_without_saying_so() {
    let whole = truth();
    let mut truth = whole.clone();
    for epoch in truth.epochs.range_mut(21..30) {
        epoch.place = None;
    }
    let mut records = records_of(&whole, &EVERY_5_S);
    let nth = EVERY_5_S.into_iter().position(|second| second == 25).unwrap();
    let judged = |records: &[StoredRecord]| judge(&evidence(truth.clone(), records.to_vec()));
    assert!(judged(&records).has(Kind::InventedPlace));
    let note = records[nth].fields["Note"].as_str().unwrap().to_owned();
    records[nth].fields.insert("Note".into(), json!(format!("{note} backfill")));
    judged(&records).assert_clean();
    records[nth].fields.insert("Latitude".into(), json!("33.5117331"));
    assert!(judged(&records).has(Kind::InventedPlace), "11 m beside it");
}

#[test]
fn a_place_that_a_person_told_is_one_where_the_rig_has_been() {
    let mut records = records_of(&truth(), &EVERY_5_S);
    records[4].fields["Longitude"] = records[1].fields["Longitude"].clone();
    let note = records[4].fields["Note"].as_str().unwrap().to_owned();
    records[4].fields.insert("Note".into(), json!(format!("{note} operator-place")));
    judge(&evidence(truth(), records.clone())).assert_clean();
    records[4].fields.insert("Latitude".into(), json!("33.5126331"));
    assert!(judge(&evidence(truth(), records)).has(Kind::InventedPlace));
}

#[test]
fn a_reused_fix_is_right_with_its_age_and_wrong_without() {
    let mut truth = truth();
    for epoch in truth.epochs.range_mut(21..) {
        epoch.place = None;
    }
    let place = truth.epochs[20].place.unwrap();
    let (before, after): (Vec<_>, Vec<_>) = EVERY_5_S.into_iter().partition(|s| *s <= 20);
    let mut whole = truth.clone();
    whole.epochs.iter_mut().for_each(|epoch| epoch.place = epoch.place.or(Some(place)));
    let mut records = records_of(&whole, &[before, after].concat());
    assert!(judge(&evidence(truth.clone(), records.clone())).has(Kind::OldPlace));
    for (nth, second) in EVERY_5_S.into_iter().enumerate().filter(|(_, s)| *s > 20) {
        let note = records[nth].fields["Note"].as_str().unwrap().to_owned();
        let note = format!("{note} fix-age={}s", second - 20);
        records[nth].fields.insert("Note".into(), json!(note));
    }
    judge(&evidence(truth, records)).assert_clean();
}

#[test]
fn a_lost_number_a_crooked_sum_and_a_backlog_are_found() {
    finds(&[Kind::Lost], |e| e.shown_seq = Some(11));
    finds(&[Kind::Sums], |e| e.status.as_mut().unwrap().balance.balanced = Some(false));
    finds(&[Kind::NotDrained], |e| {
        e.records.truncate(8);
        let status = e.status.as_mut().unwrap();
        status.balance = Balance { ready: 2, sent: 8, ..status.balance };
        status.gallons.ready = 5.5 * 2.0 / 60.0;
    });
}

#[test]
fn violations_mishaps_and_another_meter_are_passed_on() {
    finds(&[Kind::Violation], |e| e.violations.push("EventId is missing".into()));
    finds(&[Kind::Mishap], |e| e.mishaps.push("the agent ended by itself".into()));
    finds(&[Kind::Mishap], |e| e.truth.forgotten = 1);
    finds(&[Kind::WrongMeter, Kind::Gallons], |e| {
        set(e, 3, "MeterSerialNumber", json!("AF99999"));
    });
    finds(&[Kind::Unreadable, Kind::Lost, Kind::Gap], |e| {
        set(e, 3, "MeterRawCount", json!("1000"));
    });
}

#[test]
fn of_two_lines_with_one_count_the_one_with_the_rate_is_meant() {
    let mut evidence = faultless();
    // It stops between two lines of one second, with no count between them.
    let mut stopped = evidence.truth.lines[50].clone();
    stopped.at_ms += 100;
    stopped.rate_gpm = 0.0;
    evidence.truth.lines.insert(51, stopped);
    judge(&evidence).assert_clean();
    set(&mut evidence, 8, "MeterCurrentRate", json!(1.0));
    assert!(judge(&evidence).has(Kind::InventedSensor));
}
