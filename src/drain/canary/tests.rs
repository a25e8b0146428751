//! Test records, and servers that give them back in one way or another.

use rstest::rstest;
use serde_json::json;

use super::*;
use crate::jobcloser::note::{Tag, id_in};
use crate::jobcloser::verdict::{Answer, Exchange, Lost};
use crate::learnt::{Came, Dates, Decimals, Field, Learnt, Nulls};

/// 2027-05-02T10:16:42Z, five hours later than in Chicago.
const AT_S: i64 = 1_809_253_002;

fn canary_with(stand_in: StandIn) -> Canary {
    let order = Order { event: "e".to_owned(), job: "j".to_owned(), at: None };
    let setting = Setting {
        device_name: "rig-7".to_owned(),
        zone: wire::zone("America/Chicago").unwrap(),
        stand_in,
        place: Place { lat_e7: 335_116_331, lon_e7: -868_965_344 },
        utc_s: AT_S,
    };
    Canary::new(&order, &setting, 0x3f9a_02c7).unwrap()
}

fn canary() -> Canary {
    canary_with(StandIn::default())
}

/// What a server would show that changes nothing.
fn faithful(canary: &Canary) -> Row {
    let mut row: Row = serde_json::from_slice(&canary.bytes()).unwrap();
    row.insert("Id".to_owned(), json!("x1"));
    row
}

fn with(name: &str, value: Value) -> Row {
    let mut row = faithful(&canary());
    row.insert(name.to_owned(), value);
    row
}

fn without(name: &str) -> Row {
    let mut row = faithful(&canary());
    row.remove(name);
    row
}

fn came(row: &Row, name: &str) -> Came {
    compare(&canary(), row).iter().find(|field| field.name == name).unwrap().came
}

fn learnt(row: &Row) -> Learnt {
    let facts = Facts {
        at: "2027-05-02T10:16:42Z".to_owned(),
        base_url: "https://jobcloser.com".to_owned(),
        ids: true,
        event_filter: Some(true),
        by_job_alone: Some(true),
        deletes: true,
    };
    learn(&canary(), &compare(&canary(), row), facts)
}

#[test]
fn a_test_record_is_no_gallons_and_nobodys_reading() {
    let row = faithful(&canary());
    assert_eq!(row["MeterCalculatedFlowTotal"], 0);
    assert_eq!(row["MeterRawCount"], row["MeterRawCountsToZero"]);
    assert_eq!(row["MeterSerialNumber"], SERIAL);
    for bits in [0, 1, u32::MAX] {
        assert_eq!(id_in(canary().note(), Tag::from_random(bits).as_str()), None);
    }
    assert!(!canary().note().contains('#'));
}

#[test]
fn a_server_that_changes_nothing_has_every_field_the_same() {
    let fields = compare(&canary(), &faithful(&canary()));
    assert_eq!(fields.len(), 17);
    assert!(fields.iter().all(|field: &Field| field.came == Came::Same), "{fields:?}");
    let learnt = learnt(&faithful(&canary()));
    assert_eq!((learnt.dates, learnt.decimals), (Dates::AsSent, Decimals::Kept));
    assert_eq!(learnt.nulls, Nulls::Kept);
    assert!(learnt.notes && learnt.device_name && learnt.calibration_factor);
    assert!(!learnt.numbers_as_text);
    assert_eq!(learnt.remarks(), [""; 0]);
}

#[rstest]
#[case("2027-05-02T05:16:42-05:00", Dates::AsSent)]
#[case("2027-05-02T05:16:42.000-05:00", Dates::AsSent)]
#[case("2027-05-02T10:16:42Z", Dates::OtherOffset)]
#[case("2027-05-02T12:16:42+02:00", Dates::OtherOffset)]
#[case("2027-05-02T05:16:42", Dates::LocalWithoutOffset)]
#[case("2027-05-02T10:16:42", Dates::UtcWithoutOffset)]
#[case("2027-05-02T06:16:42-05:00", Dates::Shifted(60))]
#[case("2027-05-02T04:16:42", Dates::Shifted(-60))]
#[case("2027-05-02T05:17:00-05:00", Dates::Shifted(1))]
#[case("2027-05-02T05:16:41-05:00", Dates::Shifted(-1))]
#[case("2 May 2027", Dates::Unreadable)]
fn a_date_is_told_as_it_comes_back(#[case] text: &str, #[case] dates: Dates) {
    let row = with("ApplicationDate", json!(text));
    assert_eq!(learnt(&row).dates, dates);
    assert_eq!(learnt(&row).plain_dates_are_utc(), dates == Dates::UtcWithoutOffset);
    let changed = matches!(dates, Dates::Shifted(_) | Dates::Unreadable);
    assert_eq!(came(&row, "ApplicationDate") == Came::Changed, changed);
}

#[test]
fn a_date_that_does_not_come_back_is_missing() {
    assert_eq!(came(&without("ApplicationDate"), "ApplicationDate"), Came::Missing);
    assert_eq!(learnt(&without("ApplicationDate")).dates, Dates::Unreadable);
}

#[rstest]
#[case("MeterCurrentRate", json!(0), Came::Cut)]
#[case("MeterCurrentRate", json!(0.3), Came::Cut)]
#[case("MeterCurrentRate", json!("0.25"), Came::OtherForm)]
#[case("MeterCurrentRate", json!(1.25), Came::Changed)]
#[case("MeterCurrentRate", json!(null), Came::Missing)]
#[case("CalibrationFactor", json!(123), Came::Cut)]
#[case("CalibrationFactor", json!(123.46), Came::Cut)]
#[case("CalibrationFactor", json!(124), Came::Changed)]
#[case("MeterRawCount", json!(1_234_567.0), Came::Same)]
#[case("MeterRawCount", json!("1234567"), Came::OtherForm)]
#[case("MeterRawCount", json!(1_234_568), Came::Changed)]
#[case("Latitude", json!(33.5116331), Came::OtherForm)]
#[case("Latitude", json!("33.511633"), Came::Cut)]
#[case("Latitude", json!("-33.5116331"), Came::Changed)]
#[case("MeterSerialNumber", json!("spraylog-canary  "), Came::OtherForm)]
#[case("MeterSerialNumber", json!("SPRAYLOG"), Came::Changed)]
#[case("TemperatureOfFluid", json!(0), Came::Changed)]
fn a_value_is_the_same_cut_missing_or_changed(
    #[case] name: &str,
    #[case] got: Value,
    #[case] expected: Came,
) {
    assert_eq!(came(&with(name, got), name), expected);
}

#[test]
fn what_does_not_come_back_is_missing_and_says_so() {
    let learnt = learnt(&without("Note"));
    assert_eq!(came(&without("Note"), "Note"), Came::Missing);
    assert!(!learnt.notes && learnt.remarks()[0].contains("notes don't come back"));
}

#[test]
fn one_number_that_is_cut_shows_what_becomes_of_decimals() {
    assert_eq!(learnt(&with("CalibrationFactor", json!(123))).decimals, Decimals::Cut);
    assert_eq!(learnt(&without("CalibrationFactor")).decimals, Decimals::Kept);
    let mut bare = without("CalibrationFactor");
    bare.remove("MeterCurrentRate");
    assert_eq!(learnt(&bare).decimals, Decimals::Unknown);
    assert!(learnt(&with("MeterCurrentRate", json!("0.25"))).numbers_as_text);
}

#[test]
fn a_null_that_turns_into_a_number_is_found() {
    assert_eq!(learnt(&with("AmbientTemperature", json!(0))).nulls, Nulls::Zero);
    assert_eq!(learnt(&with("AmbientTemperature", json!("0.0"))).nulls, Nulls::Zero);
    assert_eq!(learnt(&with("AmbientTemperature", json!(32))).nulls, Nulls::Changed);
    assert_eq!(learnt(&without("AmbientTemperature")).nulls, Nulls::Kept);
}

#[test]
fn stand_ins_are_sent_in_place_of_null() {
    let all = StandIn {
        fluid_f: Some(60.0),
        ambient_f: Some(61.0),
        battery_percent: Some(80.0),
        runtime_min: Some(90.0),
    };
    assert!(!canary_with(all).has_nulls());
    let some = canary_with(StandIn { fluid_f: Some(60.0), ..StandIn::default() });
    assert!(some.has_nulls());
    let full = some.without_nulls(7);
    assert!(!full.has_nulls());
    assert_eq!(faithful(&full)["TemperatureOfFluid"], 60);
    assert_ne!(full.note(), some.note(), "two records are two names");
}

#[test]
fn it_is_found_by_its_name_and_else_only_as_a_new_test_record() {
    let ours = faithful(&canary());
    let other = faithful(&canary().without_nulls(7));
    let found = |rows: &[Row], before: &[Row]| canary().find(rows, before).is_some();
    assert!(found(std::slice::from_ref(&ours), &[]));
    assert!(!found(std::slice::from_ref(&other), &[]), "another's test record");
    // Without notes: by its meter, if it wasn't there before.
    let mut nameless = without("Note");
    assert!(found(std::slice::from_ref(&nameless), &[]));
    assert!(!found(std::slice::from_ref(&nameless), std::slice::from_ref(&nameless)));
    nameless.insert("MeterSerialNumber".to_owned(), json!("AF23265"));
    assert!(!found(&[nameless], &[]), "a reading is never taken for it, nor deleted");
}

#[test]
fn only_a_whole_list_that_says_success_is_a_list() {
    let said = |status: u16, body: &str| {
        let answer = Answer { status, retry_after: None, json: true, body: body.into() };
        rows(&Exchange::Answered(answer))
    };
    assert_eq!(said(200, r#"{"Success":true,"Result":[{"Id":"a"}]}"#).unwrap().len(), 1);
    for (status, body) in [
        (200, r#"{"Success":false,"Message":"no","Result":[]}"#),
        (200, r#"{"Success":true,"Result":null}"#),
        (200, r#"{"Success":true,"Result":[1]}"#),
        (200, r#"{"Result":[]}"#),
        (500, r#"{"Success":true,"Result":[]}"#),
        (200, "<html>"),
    ] {
        assert!(said(status, body).is_err(), "{status} {body}");
    }
    assert!(rows(&Exchange::Lost(Lost::Timeout)).is_err());
}
