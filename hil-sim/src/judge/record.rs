//! A stored record, read by the names of the page. Knows no truth.

use serde_json::{Map, Value};

use super::note::Note;
use crate::gps::Spot;
use crate::jobcloser::StoredRecord;

/// A record as the judge sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct Delivered {
    /// The server's id.
    pub id: String,
    /// Event, job, job item and product.
    pub job: [String; 4],
    /// `ApplicationDate`, unix seconds.
    pub second: i64,
    /// `Latitude`, `Longitude`.
    pub place: Spot,
    /// `MeterSerialNumber`.
    pub serial: String,
    /// `MeterRawCount`.
    pub raw: i64,
    /// `MeterRawCountsToZero`.
    pub zero: i64,
    /// `MeterCalculatedFlowTotal`.
    pub total_gal: f64,
    /// `CalibrationFactor`.
    pub k: f64,
    /// `MeterCurrentRate`.
    pub rate_gpm: Option<f64>,
    /// Fluid, ambient, battery, run time.
    pub sensors: [Option<f64>; 4],
    /// `Note`.
    pub note: Note,
}

impl Delivered {
    /// Reads a stored record.
    ///
    /// # Errors
    /// What is missing or can't be read, in words.
    pub fn read(record: &StoredRecord) -> Result<Self, String> {
        let fields = &record.fields;
        let words = ["EventId", "JobId", "JobItemId", "ProductId"];
        let date = text(fields, "ApplicationDate")?;
        let at: jiff::Timestamp =
            date.parse().map_err(|err| format!("ApplicationDate {date:?}: {err}"))?;
        Ok(Self {
            id: record.id.clone(),
            job: words.map(|name| text(fields, name).unwrap_or_default()),
            second: at.as_second(),
            place: Spot { lat: degrees(fields, "Latitude")?, lon: degrees(fields, "Longitude")? },
            serial: text(fields, "MeterSerialNumber")?,
            raw: integer(fields, "MeterRawCount")?,
            zero: integer(fields, "MeterRawCountsToZero")?,
            total_gal: needed(fields, "MeterCalculatedFlowTotal")?,
            k: needed(fields, "CalibrationFactor")?,
            rate_gpm: number(fields, "MeterCurrentRate"),
            sensors: [
                "TemperatureOfFluid",
                "AmbientTemperature",
                "BatteryStatusInPercent",
                "BatteryStatusInEstimatedRunTime",
            ]
            .map(|name| number(fields, name)),
            note: Note::read(&text(fields, "Note").unwrap_or_default()),
        })
    }
}

fn text(fields: &Map<String, Value>, name: &str) -> Result<String, String> {
    let value = fields.get(name).and_then(Value::as_str);
    value.map(str::to_owned).ok_or(format!("{name} is no text"))
}

fn degrees(fields: &Map<String, Value>, name: &str) -> Result<f64, String> {
    let value = text(fields, name)?;
    let degrees = value.parse::<f64>();
    degrees.map_err(|_| format!("{name} {value:?} is no number"))
}

fn integer(fields: &Map<String, Value>, name: &str) -> Result<i64, String> {
    let value = fields.get(name).and_then(Value::as_i64);
    value.ok_or(format!("{name} is no integer"))
}

fn number(fields: &Map<String, Value>, name: &str) -> Option<f64> {
    fields.get(name).and_then(Value::as_f64)
}

fn needed(fields: &Map<String, Value>, name: &str) -> Result<f64, String> {
    number(fields, name).ok_or(format!("{name} is no number"))
}
