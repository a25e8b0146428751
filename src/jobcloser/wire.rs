//! A record in JobCloser's words, as bytes, and its time in the rig's zone. What comes
//! back is read by [`parse_answer`] and [`read_list`]. Pure: the bytes made here are
//! frozen with the attempt (RULES.md, 21), and a retry sends the same ones. Doesn't know
//! where they go.
//!
//! Source: the vendor's page, "Chemical Application Create Batch", and its example under
//! "Chemical Application Details" for the types. `createbatch` takes an array of
//!
//! ```text
//! {"EventId":"5739034294cb31984da90d447dae11",   30 hex digits, opaque
//!  "JobId":"49992697792b29c083a546475c8478",
//!  "JobItemId":"…","ProductId":"…",              left out where there is none
//!  "ApplicationDate":"2019-05-02T10:16:42-05:00", local, whole seconds, offset
//!  "Latitude":"33.5116331",                      strings, up to 7 decimals
//!  "Longitude":"-86.8965344",
//!  "MeterSerialNumber":"AF23265",
//!  "MeterRawCount":1502,                         counts
//!  "MeterCurrentRate":4.2,                       gallons a minute
//!  "MeterCalculatedFlowTotal":5.130229,          gallons
//!  "MeterRawCountsToZero":852,                   counts: (raw − to zero) / K = total
//!  "TemperatureOfFluid":76.8,                    °F
//!  "AmbientTemperature":71.55,
//!  "BatteryStatusInPercent":86,                  whole
//!  "BatteryStatusInEstimatedRunTime":1350,       whole minutes
//!  "Note":"#ab3k9-1f start","DeviceName":"rig-7",
//!  "CalibrationFactor":126.7}                    counts a gallon
//! ```
//!
//! What isn't known is null, never a made-up number.

mod answer;
mod list;

pub use answer::{Said, SignedIn, parse_answer, parse_sign_in};
#[cfg(test)]
pub use list::parse_list;
pub use list::{ListError, Stored, When, read_list};

use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone, TimeZoneDatabase};
use serde_json::{Number, Value};

use crate::reading::Place;

/// Decimals of a volume: a millionth of a gallon is 4 µl, finer than any meter's count.
const TOTAL_DECIMALS: i32 = 6;
/// Decimals of a rate in gallons a minute.
const RATE_DECIMALS: i32 = 4;
/// Decimals of a temperature in °F.
const TEMPERATURE_DECIMALS: i32 = 2;
/// Greatest offset of a zone from UTC that .NET's `DateTimeOffset` reads, in minutes.
const OFFSET_MAX_MIN: i32 = 14 * 60;

/// A reading that is about to be frozen: everything that its record says.
#[derive(Debug, Clone, PartialEq)]
pub struct Outgoing {
    /// `EventId`.
    pub event: String,
    /// `JobId`.
    pub job: String,
    /// `JobItemId`; left out where there is none.
    pub item: Option<String>,
    /// `ProductId`; left out where there is none.
    pub product: Option<String>,
    /// As [`application_date`] writes it.
    pub application_date: String,
    /// `Latitude` and `Longitude`.
    pub place: Place,
    /// `MeterSerialNumber`.
    pub serial: String,
    /// `MeterRawCount`: unwrapped.
    pub raw: u64,
    /// `MeterCurrentRate` in gallons a minute.
    pub rate_gpm: Option<f64>,
    /// `MeterCalculatedFlowTotal` in gallons of the span so far.
    pub total_gal: f64,
    /// `MeterRawCountsToZero`.
    pub zero: u64,
    /// `TemperatureOfFluid`.
    pub fluid_f: Option<f64>,
    /// `AmbientTemperature`.
    pub ambient_f: Option<f64>,
    /// `BatteryStatusInPercent`.
    pub battery_percent: Option<f64>,
    /// `BatteryStatusInEstimatedRunTime` in minutes.
    pub runtime_min: Option<f64>,
    /// As [`note::compose`](super::note::compose) writes it.
    pub note: String,
    /// `DeviceName`.
    pub device_name: String,
    /// `CalibrationFactor` in counts a gallon.
    pub k: f64,
}

/// One record as a JSON object, in the page's order and names. The same record always
/// gives the same bytes.
pub fn encode(record: &Outgoing) -> Vec<u8> {
    let text = |s: &str| Some(Value::from(s));
    let id = |s: &Option<String>| s.as_deref().filter(|s| !s.is_empty()).map(Value::from);
    let fields = [
        ("EventId", text(&record.event)),
        ("JobId", text(&record.job)),
        ("JobItemId", id(&record.item)),
        ("ProductId", id(&record.product)),
        ("ApplicationDate", text(&record.application_date)),
        ("Latitude", text(&degrees(record.place.lat_e7))),
        ("Longitude", text(&degrees(record.place.lon_e7))),
        ("MeterSerialNumber", text(&record.serial)),
        ("MeterRawCount", Some(Value::from(record.raw))),
        ("MeterCurrentRate", Some(rounded(record.rate_gpm, RATE_DECIMALS))),
        ("MeterCalculatedFlowTotal", Some(rounded(Some(record.total_gal), TOTAL_DECIMALS))),
        ("MeterRawCountsToZero", Some(Value::from(record.zero))),
        ("TemperatureOfFluid", Some(rounded(record.fluid_f, TEMPERATURE_DECIMALS))),
        ("AmbientTemperature", Some(rounded(record.ambient_f, TEMPERATURE_DECIMALS))),
        ("BatteryStatusInPercent", Some(rounded(record.battery_percent, 0))),
        ("BatteryStatusInEstimatedRunTime", Some(rounded(record.runtime_min, 0))),
        ("Note", text(&record.note)),
        ("DeviceName", text(&record.device_name)),
        ("CalibrationFactor", Some(number(record.k))),
    ];
    let known =
        fields.into_iter().filter_map(|(name, value)| Some(format!("\"{name}\":{}", value?)));
    format!("{{{}}}", known.collect::<Vec<_>>().join(",")).into_bytes()
}

/// The body of a `createbatch`: the frozen records as they are, as an array, under the
/// key `wrapper` unless that is empty.
pub fn body(records: &[impl AsRef<[u8]>], wrapper: &str) -> Vec<u8> {
    let (open, close) = match wrapper {
        "" => ("[".to_owned(), "]"),
        key => (format!("{{{}:[", Value::from(key)), "]}"),
    };
    let mut bytes = open.into_bytes();
    for (nth, record) in records.iter().enumerate() {
        if nth > 0 {
            bytes.push(b',');
        }
        bytes.extend_from_slice(record.as_ref());
    }
    bytes.extend_from_slice(close.as_bytes());
    bytes
}

/// `ApplicationDate`: UTC seconds as local time with its offset in minutes, as in
/// `2019-05-02T10:16:42-05:00`. `None` outside years 1 to 9999 or 14 hours of offset.
pub fn application_date(utc_s: i64, offset_min: i32) -> Option<String> {
    if offset_min.abs() > OFFSET_MAX_MIN {
        return None;
    }
    let offset = Offset::from_seconds(offset_min * 60).ok()?;
    let local = offset.to_datetime(Timestamp::from_second(utc_s).ok()?);
    let sign = if offset_min < 0 { '-' } else { '+' };
    let (h, m) = (offset_min.abs() / 60, offset_min.abs() % 60);
    (local.year() >= 1)
        .then(|| format!("{}{sign}{h:02}:{m:02}", local.strftime("%Y-%m-%dT%H:%M:%S")))
}

/// The zone with that IANA name, from the database inside this program: the board's own
/// may be old or absent (RULES.md, 18).
pub fn zone(name: &str) -> Option<TimeZone> {
    TimeZoneDatabase::bundled().get(name).ok()
}

/// How many minutes a zone is ahead of UTC at that second; `None` for a second that has
/// no date, or an offset that isn't whole minutes (before 1972).
pub fn offset_minutes(zone: &TimeZone, utc_s: i64) -> Option<i32> {
    let seconds = zone.to_offset(Timestamp::from_second(utc_s).ok()?).seconds();
    (seconds % 60 == 0).then_some(seconds / 60)
}

/// Degrees × 10⁷ as decimal text, exactly, without trailing zeros.
fn degrees(e7: i32) -> String {
    const E7: u32 = 10_000_000;
    let sign = if e7 < 0 { "-" } else { "" };
    let (whole, fraction) = (e7.unsigned_abs() / E7, e7.unsigned_abs() % E7);
    let text = format!("{sign}{whole}.{fraction:07}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn rounded(value: Option<f64>, decimals: i32) -> Value {
    let scale = 10_f64.powi(decimals);
    value.map_or(Value::Null, |v| number((v * scale).round() / scale))
}

/// A JSON number, without a point where it is whole; null for what is no number.
fn number(value: f64) -> Value {
    /// 2⁵³: below it every whole `f64` is exact.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if value.fract() == 0.0 && value.abs() < EXACT {
        return Value::from(value as i64);
    }
    Number::from_f64(value).map_or(Value::Null, Value::Number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    fn record() -> Outgoing {
        Outgoing {
            event: "5739034294cb31984da90d447dae11".into(),
            job: "49992697792b29c083a546475c8478".into(),
            item: None,
            product: Some("90021035746fe7ccedad1e4355ae11".into()),
            application_date: "2019-05-02T10:16:42-05:00".into(),
            place: Place { lat_e7: 335_116_331, lon_e7: -868_965_344 },
            serial: "AF23265".into(),
            raw: 1502,
            rate_gpm: Some(4.0),
            total_gal: 650.0 / 126.7,
            zero: 852,
            fluid_f: Some(76.8),
            ambient_f: None,
            battery_percent: Some(86.4),
            runtime_min: Some(1349.5),
            note: "#ab3k9-1f \"start\"".into(),
            device_name: "rig-7".into(),
            k: 126.7,
        }
    }

    #[test]
    fn a_record_is_written_in_the_names_types_and_order_of_the_page() {
        let expected = concat!(
            r#"{"EventId":"5739034294cb31984da90d447dae11","JobId":"49992697792b29c083a546475c8478","#,
            r#""ProductId":"90021035746fe7ccedad1e4355ae11","ApplicationDate":"2019-05-02T10:16:42-05:00","#,
            r#""Latitude":"33.5116331","Longitude":"-86.8965344","MeterSerialNumber":"AF23265","#,
            r#""MeterRawCount":1502,"MeterCurrentRate":4,"MeterCalculatedFlowTotal":5.130229,"#,
            r#""MeterRawCountsToZero":852,"TemperatureOfFluid":76.8,"AmbientTemperature":null,"#,
            r#""BatteryStatusInPercent":86,"BatteryStatusInEstimatedRunTime":1350,"#,
            r##""Note":"#ab3k9-1f \"start\"","DeviceName":"rig-7","CalibrationFactor":126.7}"##,
        );
        assert_eq!(String::from_utf8(encode(&record())).unwrap(), expected);
    }

    #[test]
    fn what_is_no_number_is_null_not_a_number_made_up() {
        let broken =
            Outgoing { rate_gpm: Some(f64::NAN), fluid_f: Some(f64::INFINITY), ..record() };
        let value: Value = serde_json::from_slice(&encode(&broken)).unwrap();
        assert!(value["MeterCurrentRate"].is_null());
        assert!(value["TemperatureOfFluid"].is_null());
    }

    #[rstest]
    #[case(0, "0")]
    #[case(-1, "-0.0000001")]
    #[case(335_116_331, "33.5116331")]
    #[case(-868_965_340, "-86.896534")]
    #[case(900_000_000, "90")]
    #[case(-1_800_000_000, "-180")]
    #[case(i32::MIN, "-214.7483648")]
    fn coordinates_are_exact_strings(#[case] e7: i32, #[case] text: &str) {
        assert_eq!(degrees(e7), text);
    }

    #[test]
    fn the_body_is_the_frozen_bytes_and_nothing_else() {
        let records = [br#"{"a": 1.50}"#.to_vec(), b"{ }".to_vec()];
        assert_eq!(body(&records, ""), br#"[{"a": 1.50},{ }]"#);
        assert_eq!(body(&records, "Items"), br#"{"Items":[{"a": 1.50},{ }]}"#);
        assert_eq!(body(&records[..1], "a\"b"), br#"{"a\"b":[{"a": 1.50}]}"#);
        assert_eq!(body(&[] as &[Vec<u8>], ""), b"[]");
    }

    #[rstest]
    #[case(1_556_810_202, -300, Some("2019-05-02T10:16:42-05:00"))]
    #[case(1_556_810_202, 0, Some("2019-05-02T15:16:42+00:00"))]
    #[case(1_556_810_202, 345, Some("2019-05-02T21:01:42+05:45"))]
    #[case(1_556_810_202, -30, Some("2019-05-02T14:46:42-00:30"))]
    #[case(-1, 0, Some("1969-12-31T23:59:59+00:00"))]
    #[case(i64::MAX, 0, None)]
    #[case(-62_200_000_000, 0, None)]
    #[case(0, 900, None)]
    fn an_application_date_is_local_time_with_its_offset(
        #[case] utc_s: i64,
        #[case] offset_min: i32,
        #[case] text: Option<&str>,
    ) {
        assert_eq!(application_date(utc_s, offset_min).as_deref(), text);
    }

    #[test]
    fn the_offset_follows_the_zone_through_a_change_of_the_clocks() {
        let chicago = zone("America/Chicago").unwrap();
        // 2026-11-01 06:59:59 UTC is the last second of daylight time.
        assert_eq!(offset_minutes(&chicago, 1_793_516_399), Some(-300));
        assert_eq!(offset_minutes(&chicago, 1_793_516_400), Some(-360));
        assert_eq!(offset_minutes(&zone("Asia/Kathmandu").unwrap(), 1_793_516_400), Some(345));
        assert_eq!(offset_minutes(&chicago, i64::MAX), None);
        assert!(zone("America/Chigaco").is_none());
    }

    proptest! {
        #[test]
        fn coordinates_read_back_to_the_same_ten_millionth(e7: i32) {
            let text = degrees(e7);
            prop_assert_eq!((text.parse::<f64>().unwrap() * 1e7).round() as i64, i64::from(e7));
            prop_assert!(text != "-0");
        }

        #[test]
        fn any_text_stays_inside_its_field(note in "\\PC*", serial: String, total in -1e12..1e12) {
            let record = Outgoing { note: note.clone(), serial: serial.clone(), total_gal: total, ..record() };
            let value: Value = serde_json::from_slice(&encode(&record)).unwrap();
            prop_assert_eq!(&value["Note"], &Value::from(note));
            prop_assert_eq!(&value["MeterSerialNumber"], &Value::from(serial));
            let read = value["MeterCalculatedFlowTotal"].as_f64().unwrap();
            prop_assert!((read - total).abs() <= 1e-6 + total.abs() * 1e-12);
        }
    }
}
