//! Checks a request against the page, field by field, and says everything in which it
//! departs. Pure.
//!
//! Doesn't know what is right for the rig, only what the page allows. Never repeats a
//! value of the sign-in call.

use std::collections::BTreeMap;

use axum::extract::Query;
use axum::http::Uri;
use serde_json::{Map, Value};

use super::call::Call;
use super::page::{self, Field, Kind, Need};
use super::value::{self, degrees, is_id};

/// The parameters of a query that was found good, by name; empty ones are left out.
pub type Params = BTreeMap<String, String>;

/// Which of the page's lists a record is held against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `create` and `createbatch`.
    Create,
    /// PUT to `create`.
    Edit,
}

/// Checks the query of a call.
///
/// # Errors
/// Everything in which it departs from the page.
pub fn query(call: Call, uri: &Uri) -> Result<Params, Vec<String>> {
    let Ok(Query(pairs)) = Query::<Vec<(String, String)>>::try_from_uri(uri) else {
        return Err(vec!["the query can't be decoded".into()]);
    };
    let known = page::params(call);
    let mut found = Vec::new();
    let mut params = Params::new();
    for (name, value) in pairs {
        let Some(param) = known.iter().find(|param| param.name == name) else {
            // What follows an unescaped & in a password would be a name.
            let shown = if call == Call::SignIn { "(not shown)" } else { &name };
            found.push(format!("the query has an unknown parameter {shown}"));
            continue;
        };
        if value.is_empty() && !param.required {
            continue;
        }
        if param.id && !is_id(&value) {
            found.push(format!("{name} isn't 30 hexadecimal digits: {value}"));
        }
        if params.insert(name, value).is_some() {
            found.push(format!("{} is in the query twice", param.name));
        }
    }
    for param in known.iter().filter(|param| param.required) {
        if params.get(param.name).is_none_or(String::is_empty) {
            found.push(format!("the query has no {}", param.name));
        }
    }
    if found.is_empty() { Ok(params) } else { Err(found) }
}

/// The record that is the body of `create` or edit.
///
/// # Errors
/// Everything in which it departs from the page.
pub fn single(form: Form, json: bool, body: &[u8]) -> Result<Map<String, Value>, Vec<String>> {
    match parsed(json, body)? {
        Value::Object(fields) => {
            let found = record(form, &fields);
            if found.is_empty() { Ok(fields) } else { Err(found) }
        }
        other => Err(vec![format!("the body is {} instead of an object", kind_of(&other))]),
    }
}

/// The records of a batch: a bare array, or the one under `wrapper` if that isn't empty.
///
/// # Errors
/// Everything in which it departs from the page, each with the record's place from 0.
pub fn batch(
    wrapper: &str,
    json: bool,
    body: &[u8],
) -> Result<Vec<Map<String, Value>>, Vec<String>> {
    let rows = match (unwrapped(wrapper, parsed(json, body)?)?, wrapper) {
        (Value::Array(rows), _) => rows,
        (other, _) => {
            return Err(vec![format!("the batch is {} instead of an array", kind_of(&other))]);
        }
    };
    if rows.is_empty() {
        return Err(vec!["the batch is empty".into()]);
    }
    let mut found = Vec::new();
    let mut records = Vec::with_capacity(rows.len());
    for (row, value) in rows.into_iter().enumerate() {
        match value {
            Value::Object(fields) => {
                let said = record(Form::Create, &fields);
                found.extend(said.into_iter().map(|text| format!("record {row}: {text}")));
                records.push(fields);
            }
            other => {
                found.push(format!("record {row} is {} instead of an object", kind_of(&other)));
            }
        }
    }
    if found.is_empty() { Ok(records) } else { Err(found) }
}

/// Everything in which one record departs from the page.
pub fn record(form: Form, fields: &Map<String, Value>) -> Vec<String> {
    let need = |field: &Field| match form {
        Form::Create => field.create,
        Form::Edit => field.edit,
    };
    let mut found = Vec::new();
    for name in fields.keys() {
        let listed = page::FIELDS.iter().any(|f| f.name == name && need(f) != Need::Absent);
        if !listed {
            found.push(format!("{name} isn't on the page"));
        }
    }
    for field in page::FIELDS.iter().filter(|field| need(field) != Need::Absent) {
        match fields.get(field.name) {
            Some(value) => {
                if let Err(wrong) = value::holds(field.kind, value) {
                    found.push(format!("{} {wrong}: {value}", field.name));
                }
            }
            None if need(field) == Need::Required => {
                found.push(format!("{} is missing", field.name))
            }
            None => {}
        }
    }
    if nowhere(fields) {
        found.push("Latitude and Longitude are 0,0, which is no place".into());
    }
    found
}

/// The first field that is null where a sensor may be missing.
pub fn first_null(fields: &Map<String, Value>) -> Option<&'static str> {
    page::FIELDS
        .iter()
        .filter(|field| field.kind == Kind::Sensor)
        .find(|field| fields.get(field.name).is_some_and(Value::is_null))
        .map(|field| field.name)
}

/// The body of an upload by byte array: `eventId`, `content` in base64 (as ASP.NET reads a
/// `byte[]` from JSON), `fileName`; the picture's size in bytes.
///
/// # Errors
/// Everything in which it departs from the page.
pub fn picture(json: bool, body: &[u8]) -> Result<(Map<String, Value>, usize), Vec<String>> {
    let fields = match parsed(json, body)? {
        Value::Object(fields) => fields,
        other => {
            return Err(vec![format!("the body is {} instead of an object", kind_of(&other))]);
        }
    };
    let mut found = Vec::new();
    for (name, value) in &fields {
        let good = match name.as_str() {
            "eventId" => value::holds(Kind::Id, value),
            "fileName" => value::holds(Kind::Text, value),
            "content" | "caption" | "latitude" | "longitude" => Ok(()),
            _ => Err("isn't on the page"),
        };
        if let Err(wrong) = good {
            found.push(format!("{name} {wrong}"));
        }
    }
    for name in ["eventId", "content", "fileName"] {
        if !fields.contains_key(name) {
            found.push(format!("{name} is missing"));
        }
    }
    let bytes = fields.get("content").and_then(Value::as_str).and_then(value::base64_bytes);
    if fields.contains_key("content") && bytes.is_none() {
        found.push("content isn't base64 of at least one byte".into());
    }
    match bytes {
        Some(bytes) if found.is_empty() => Ok((fields, bytes)),
        _ => Err(found),
    }
}

fn parsed(json: bool, body: &[u8]) -> Result<Value, Vec<String>> {
    if !json {
        return Err(vec!["the body isn't declared as application/json".into()]);
    }
    serde_json::from_slice(body).map_err(|err| vec![format!("the body isn't JSON: {err}")])
}

fn unwrapped(wrapper: &str, value: Value) -> Result<Value, Vec<String>> {
    if wrapper.is_empty() {
        return Ok(value);
    }
    match value {
        Value::Object(mut keys) if keys.len() == 1 => keys.remove(wrapper),
        _ => None,
    }
    .ok_or_else(|| vec![format!("the batch isn't an object with the one key {wrapper}")])
}

fn nowhere(fields: &Map<String, Value>) -> bool {
    ["Latitude", "Longitude"].into_iter().all(|name| {
        fields.get(name).and_then(Value::as_str).and_then(degrees).is_some_and(|d| d == 0.0)
    })
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn good() -> Value {
        json!({
            "EventId": "5739034294cb31984da90d447dae11",
            "JobId": "49992697792b29c083a546475c8478",
            "ApplicationDate": "2026-11-02T10:16:42-05:00",
            "Latitude": "33.5116331",
            "Longitude": "-86.8965344",
            "MeterSerialNumber": "AF23265",
            "MeterRawCount": 2,
            "MeterCurrentRate": 4.2,
            "MeterCalculatedFlowTotal": 5,
            "MeterRawCountsToZero": 0,
            "TemperatureOfFluid": 76.8,
            "AmbientTemperature": null,
            "BatteryStatusInPercent": 86,
            "BatteryStatusInEstimatedRunTime": 1350,
            "Note": "",
            "DeviceName": "rig-7",
            "CalibrationFactor": 126.7,
        })
    }

    fn said(form: Form, value: &Value) -> Vec<String> {
        record(form, value.as_object().unwrap())
    }

    fn edit() -> Value {
        let mut fields = good();
        let map = fields.as_object_mut().unwrap();
        for name in ["ApplicationDate", "Note", "DeviceName", "CalibrationFactor"] {
            map.remove(name);
        }
        map.insert("Id".into(), json!("85542697792b29c083a546475c3250"));
        fields
    }

    #[test]
    fn a_record_as_on_the_page_is_good() {
        assert_eq!(said(Form::Create, &good()), [""; 0]);
        assert_eq!(said(Form::Edit, &edit()), [""; 0]);
    }

    #[test]
    fn every_required_field_is_missed_by_name() {
        for (form, fields) in [(Form::Create, good()), (Form::Edit, edit())] {
            for name in fields.as_object().unwrap().keys() {
                let mut without = fields.clone();
                without.as_object_mut().unwrap().remove(name);
                assert_eq!(said(form, &without), [format!("{name} is missing")]);
            }
        }
    }

    #[test]
    fn a_name_that_is_not_on_the_page_is_found() {
        let mut fields = good();
        fields["Gallons"] = json!(1);
        assert_eq!(said(Form::Create, &fields), ["Gallons isn't on the page"]);
        let mut fields = edit();
        fields["Note"] = json!("x");
        assert_eq!(said(Form::Edit, &fields), ["Note isn't on the page"]);
    }

    #[test]
    fn every_field_is_held_to_its_kind() {
        let long = "é".repeat(251);
        let bad = [
            ("EventId", vec![json!("abc"), json!(5), Value::Null, json!("g".repeat(30))]),
            ("JobId", vec![json!(""), json!("49992697792b29c083a546475c84780")]),
            ("JobItemId", vec![json!(""), json!(1)]),
            ("ProductId", vec![json!("none")]),
            ("CreatedBy", vec![Value::Null, json!("me")]),
            (
                "ApplicationDate",
                vec![
                    json!("2026-11-02T10:16:42Z"),
                    json!("2026-11-02T10:16:42"),
                    json!("2026-11-02T10:16:42.0-05:00"),
                    json!("2026-11-02 10:16:42-05:00"),
                    json!("2026-11-02T10:16:42-0500"),
                    json!("2026-11-31T10:16:42-05:00"),
                    json!("2026-11-02T10:16:60-05:00"),
                    json!("2026-11-02T24:00:00-05:00"),
                    json!("2026-11-02T10:16:42-15:00"),
                    json!(1_793_500_000),
                    Value::Null,
                ],
            ),
            ("DateCreated", vec![json!("2026-11-02"), Value::Null]),
            (
                "Latitude",
                vec![
                    json!(33.5),
                    json!("90.0000001"),
                    json!("33.51163312"),
                    json!("33.5N"),
                    json!("+33.5"),
                    json!("3.3e1"),
                    json!("33."),
                    json!(".5"),
                    json!(""),
                    json!("NaN"),
                    Value::Null,
                ],
            ),
            ("Longitude", vec![json!("-180.1"), json!(" 1"), json!("0001")]),
            ("MeterSerialNumber", vec![json!(""), json!(" "), json!(7), Value::Null]),
            (
                "MeterRawCount",
                vec![json!("2"), json!(2.0), json!(2_147_483_648_i64), Value::Null, json!(true)],
            ),
            ("MeterRawCountsToZero", vec![json!(-2_147_483_649_i64), Value::Null]),
            ("MeterCurrentRate", vec![json!("4"), json!([4])]),
            ("MeterCalculatedFlowTotal", vec![json!("5"), Value::Null]),
            ("TemperatureOfFluid", vec![json!("76.8")]),
            ("AmbientTemperature", vec![json!("")]),
            ("BatteryStatusInPercent", vec![json!("86%")]),
            ("BatteryStatusInEstimatedRunTime", vec![json!("22:30")]),
            ("Note", vec![json!(long), Value::Null, json!(1)]),
            ("DeviceName", vec![json!(""), Value::Null]),
            ("CalibrationFactor", vec![json!("126.7"), Value::Null]),
        ];
        for (name, values) in bad {
            for value in values {
                let mut fields = good();
                fields[name] = value.clone();
                let found = said(Form::Create, &fields);
                assert_eq!(found.len(), 1, "{name} = {value}: {found:?}");
                assert!(found[0].starts_with(name), "{found:?}");
            }
        }
    }

    #[test]
    fn what_is_just_inside_is_good() {
        let inside = [
            ("Latitude", json!("-90.0000000")),
            ("Longitude", json!("180")),
            ("MeterRawCount", json!(2_147_483_647)),
            ("MeterRawCountsToZero", json!(-2_147_483_648_i64)),
            ("Note", json!("é".repeat(250))),
            ("JobItemId", Value::Null),
            ("ProductId", json!("90021035746fe7ccedad1e4355ae11")),
            ("DateCreated", json!("2028-02-29T00:00:00+14:00")),
            ("Latitude", json!("0.0000000")),
        ];
        for (name, value) in inside {
            let mut fields = good();
            fields[name] = value;
            assert_eq!(said(Form::Create, &fields), [""; 0]);
        }
    }

    #[test]
    fn null_island_is_no_place() {
        let mut fields = good();
        fields["Latitude"] = json!("-0.0");
        fields["Longitude"] = json!("0");
        assert_eq!(said(Form::Create, &fields).len(), 1);
    }

    #[test]
    fn the_first_null_sensor_is_named() {
        let mut fields = good();
        assert_eq!(first_null(fields.as_object().unwrap()), Some("AmbientTemperature"));
        fields["AmbientTemperature"] = json!(70);
        assert_eq!(first_null(fields.as_object().unwrap()), None);
    }

    #[test]
    fn a_batch_is_an_array_bare_or_under_its_key() {
        let bare = json!([good(), good()]).to_string();
        let wrapped = json!({"items": [good()]}).to_string();
        assert_eq!(batch("", true, bare.as_bytes()).unwrap().len(), 2);
        assert_eq!(batch("items", true, wrapped.as_bytes()).unwrap().len(), 1);
        assert!(batch("items", true, bare.as_bytes()).is_err());
        assert!(batch("", true, wrapped.as_bytes()).is_err());
        assert!(batch("rows", true, wrapped.as_bytes()).is_err());
        assert!(batch("", true, b"[]").is_err());
        assert!(batch("", true, b"[1]").is_err());
        assert!(batch("", true, b"[{}").is_err());
        assert!(batch("", false, bare.as_bytes()).is_err());
    }

    #[test]
    fn a_batch_names_the_record_that_departs() {
        let mut bad = good();
        bad["MeterRawCount"] = json!(1.5);
        let body = json!([good(), bad]).to_string();
        let found = batch("", true, body.as_bytes()).unwrap_err();
        assert_eq!(found, ["record 1: MeterRawCount isn't an integer of 32 bits: 1.5"]);
    }

    #[test]
    fn a_query_has_what_the_page_requires_and_nothing_else() {
        let of = |call, text: &str| query(call, &text.parse().unwrap());
        let job = "49992697792b29c083a546475c8478";
        let found = of(Call::GetAll, &format!("/x?jobId={job}&eventId={job}&productId="));
        assert_eq!(found.unwrap().len(), 2);
        assert!(of(Call::GetAll, "/x").is_err());
        assert!(of(Call::GetAll, "/x?jobId=").is_err());
        assert!(of(Call::GetAll, "/x?jobId=12").is_err());
        assert!(of(Call::GetAll, &format!("/x?jobId={job}&jobId={job}")).is_err());
        assert!(of(Call::GetAll, &format!("/x?JobId={job}")).is_err());
        assert!(of(Call::GetAll, &format!("/x?jobId={job}&event={job}")).is_err());
        assert!(of(Call::CreateBatch, "/x?a=1").is_err());
        let url = "/x?eventId=8076482548429038c9b4b34fa296a4&url=https%3A%2F%2Fa%2Fb.png&latitude=";
        assert_eq!(of(Call::ImageByUrl, url).unwrap()["url"], "https://a/b.png");
    }

    #[test]
    fn nothing_of_a_password_is_repeated() {
        let uri = "/x?email=a@b.c&password=hun&ter2=x".parse().unwrap();
        let found = query(Call::SignIn, &uri).unwrap_err();
        assert!(!found.concat().contains("ter2"), "{found:?}");
    }

    #[test]
    fn a_picture_is_base64_in_json() {
        let body = |content: &str| {
            json!({"eventId": "8076482548429038c9b4b34fa296a4", "content": content,
                   "fileName": "a.jpg", "caption": "x"})
            .to_string()
        };
        for (content, bytes) in [("QUJD", 3), ("QUI=", 2), ("QQ==", 1)] {
            assert_eq!(picture(true, body(content).as_bytes()).unwrap().1, bytes);
        }
        for content in ["", "QUJ", "QQ=", "Q===", "====", "Q U=", "QU-D"] {
            assert!(picture(true, body(content).as_bytes()).is_err(), "{content}");
        }
        assert!(picture(true, b"{\"content\":\"QUJD\"}").is_err());
    }

    proptest! {
        #[test]
        fn no_text_makes_a_check_panic(text in "\\PC{0,40}") {
            let _ = batch("", true, text.as_bytes());
        }
    }
}
