//! Meters that can't tell everything: what they leave open is no finding, what they don't is.

use super::*;
use crate::meter::Kind as MeterKind;

fn of_kind(kind: MeterKind) -> Evidence {
    let k = kind.steps_a_gallon().unwrap_or(126.7);
    let setup = MeterSetup { kind, k, modulus: kind.modulus(), ..MeterSetup::default() };
    let truth = truth_with(setup, |_, _, _| {});
    let records = records_of(&truth, &EVERY_5_S);
    let mut evidence = evidence(truth, records);
    evidence.rules.k = k;
    evidence
}

fn finds_in(mut evidence: Evidence, kinds: &[Kind], plant: impl FnOnce(&mut Evidence)) {
    plant(&mut evidence);
    let verdict = judge(&evidence);
    for kind in kinds {
        assert!(verdict.has(*kind), "{kind:?} not found\n{verdict}");
    }
    verdict.assert_clean_but_for(kinds);
}

/// An agent that integrates: counts of its own, and notes that say so.
fn integrated() -> Evidence {
    let mut evidence = of_kind(MeterKind::AwLakeEdge);
    for record in &mut evidence.records {
        let note = record.fields["Note"].as_str().unwrap();
        let note = format!("{note} integrated");
        record.fields.insert("Note".into(), json!(note));
        for field in ["MeterRawCount", "MeterRawCountsToZero"] {
            let count = record.fields[field].as_i64().unwrap() - 990;
            record.fields.insert(field.into(), json!(count));
        }
    }
    evidence
}

#[test]
fn every_kind_that_counts_is_judged_by_its_own_steps() {
    // In litres, one more than was shown may be what was shown a moment later.
    let litres = [MeterKind::Tuf2000m, MeterKind::Tuf2000f];
    let fine = |kind: &MeterKind| kind.tells_count() && !litres.contains(kind);
    for kind in MeterKind::ALL.into_iter().filter(fine) {
        finds_in(of_kind(kind), &[], |_| {});
        finds_in(of_kind(kind), &[Kind::InventedCount, Kind::Gap], |e| {
            let count = e.records[5].fields["MeterRawCount"].as_i64().unwrap();
            let (zero, k) = (e.truth.lines[0].unwrapped as i64, e.truth.k);
            set(e, 5, "MeterRawCount", json!(count + 1));
            set(e, 5, "MeterCalculatedFlowTotal", json!((count + 1 - zero) as f64 / k));
        });
    }
}

#[test]
fn a_total_in_litres_is_recorded_by_its_steps_and_a_step_that_is_missing_is_short() {
    let by_steps = || {
        let mut e = of_kind(MeterKind::Tuf2000m);
        let steps: Vec<i64> = (1_usize..60)
            .filter(|at| e.truth.lines[*at].unwrapped > e.truth.lines[at - 1].unwrapped)
            .map(|at| at as i64)
            .collect();
        // 80/60 gallons are 5.05 L.
        assert_eq!(steps.len(), 5, "{steps:?}");
        e = evidence(e.truth.clone(), records_of(&e.truth, &steps));
        e.rules.k = e.truth.k;
        e
    };
    finds_in(by_steps(), &[], |_| {});
    finds_in(by_steps(), &[Kind::Lost, Kind::Gap, Kind::Gallons], |e| e.records.truncate(2));
}

#[test]
fn a_rate_alone_is_integrated_in_every_note_and_about_right() {
    finds_in(integrated(), &[], |_| {});
    finds_in(integrated(), &[Kind::InventedCount], |e| set(e, 3, "Note", json!("#ab3k9-4")));
    finds_in(integrated(), &[Kind::InventedSensor], |e| {
        set(e, 3, "MeterCurrentRate", json!(3.0));
    });
    finds_in(integrated(), &[Kind::Gallons], |e| {
        for (nth, record) in e.records.iter_mut().enumerate() {
            let counts = nth as i64 * 30;
            record.fields.insert("MeterRawCount".into(), json!(counts + 10));
            record.fields.insert("MeterRawCountsToZero".into(), json!(10));
            let total = counts as f64 / 126.7;
            record.fields.insert("MeterCalculatedFlowTotal".into(), json!(total));
        }
    });
}

#[test]
fn a_meter_that_counts_is_not_integrated() {
    finds(&[Kind::InventedCount], |e| set(e, 3, "Note", json!("#ab3k9-4 integrated")));
}

#[test]
fn where_the_meter_tells_no_rate_the_agents_is_that_of_the_counts() {
    finds_in(of_kind(MeterKind::Adam4080), &[], |e| set(e, 3, "MeterCurrentRate", json!(2.4)));
    finds_in(of_kind(MeterKind::Adam4080), &[Kind::InventedSensor], |e| {
        set(e, 3, "MeterCurrentRate", json!(4.0));
    });
}

#[test]
fn volts_become_percent_by_the_curve_and_not_without_one() {
    let with_curve = |percent: Value| {
        let mut e = of_kind(MeterKind::Teledyne4250);
        e.rules.curve = vec![[11.8, 0.0], [12.8, 100.0]];
        for nth in 0..e.records.len() {
            set(&mut e, nth, "BatteryStatusInPercent", percent.clone());
        }
        e
    };
    finds_in(with_curve(json!(50.0)), &[], |_| {});
    finds_in(with_curve(json!(null)), &[Kind::InventedSensor], |_| {});
    finds_in(with_curve(json!(50.0)), &[Kind::InventedSensor], |e| e.rules.curve.clear());
}

#[test]
fn what_was_not_answered_is_null_and_only_then() {
    finds_in(of_kind(MeterKind::DynasonicsTfx), &[Kind::InventedSensor], |e| {
        set(e, 3, "TemperatureOfFluid", json!(null));
    });
    finds_in(of_kind(MeterKind::DynasonicsTfx), &[], |e| {
        e.truth.begin(Trouble::MeterNoise, T0 + 24_000);
        e.truth.end(Trouble::MeterNoise, T0 + 25_000);
        set(e, 3, "TemperatureOfFluid", json!(null));
    });
}

#[test]
fn a_meter_that_nobody_asked_was_never_heard() {
    finds_in(of_kind(MeterKind::BadgerM2000), &[Kind::Gap], |e| {
        e.truth.lines.iter_mut().for_each(|line| line.heard = false);
        *e = evidence(e.truth.clone(), Vec::new());
        e.truth.counted = 200;
    });
}

#[test]
fn a_kept_total_may_be_trusted_over_a_restart_or_not_but_what_came_before_it_is_not_new() {
    let restarted = |first: f64| {
        let setup = MeterSetup { kind: MeterKind::BadgerM2000, k: 100.0, ..MeterSetup::default() };
        let truth = truth_with(setup, |second, meter, truth| {
            if second == 31 {
                meter.restart(T0 + 30_500);
                truth.restarts.push(T0 + 30_500);
            }
        });
        let mut e = evidence(truth.clone(), records_of(&truth, &EVERY_5_S));
        e.rules.k = 100.0;
        let base = (truth.lines[30].unwrapped - truth.lines[0].unwrapped) as f64 / 100.0 + first;
        let zero = truth.lines[31].unwrapped as f64;
        for (nth, second) in EVERY_5_S.iter().enumerate().filter(|(_, second)| **second > 30) {
            let here = truth.lines[*second as usize].unwrapped as f64;
            set(&mut e, nth, "MeterRawCountsToZero", json!(zero as i64));
            set(&mut e, nth, "MeterCalculatedFlowTotal", json!((here - zero) / 100.0 + base));
            let id = char::from(b"0123456789abcdefgh"[nth + 1]);
            set(&mut e, nth, "Note", json!(format!("#ab3k9-{id} restart seg=2 base={base}")));
        }
        e
    };
    finds_in(restarted(0.0), &[], |_| {});
    finds_in(restarted(0.03), &[], |_| {});
    finds_in(restarted(10.0), &[Kind::Gallons], |_| {});
}
