//! The shapes of the server's answers: the envelope, a record as `get` answers it, the
//! account, a portal's page. Pure.
//!
//! Source: the example answers in `jobcloser-api.txt`. What they leave open is in
//! [`Behaviour`].

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header::{CONTENT_TYPE, LOCATION, RETRY_AFTER, SET_COOKIE};
use axum::http::{HeaderName, HeaderValue, Response, StatusCode};
use hyper::body::{Frame, SizeHint};
use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};
use tokio::time::{Sleep, sleep};

use super::behaviour::{Behaviour, ExpiredAs, ResultShape};
use super::call::Call;
use super::ledger::StoredRecord;
use super::page::{FIELDS, Kind, Need};
use super::value;

/// An answer before it is sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Beyond `Content-Type`.
    pub headers: Vec<(HeaderName, String)>,
    /// `Content-Type`.
    pub media: &'static str,
    /// The whole body.
    pub body: String,
    /// The connection is closed in the middle of it.
    pub breaks_off: bool,
}

/// The first half of a body that was announced whole.
struct Half {
    half: Option<Bytes>,
    whole: u64,
    /// So that it is on its way before the connection is closed.
    rest: Pin<Box<Sleep>>,
}

/// `Result` of a successful sign-in; the page's own example, with `Password` in clear.
const USER_ID: &str = "206437027606fc87c2b3fa4162ac43";
const COMPANY_ID: &str = "5940991380dda460c1b3b6492bb759";
const DOMAIN_ID: &str = "9870231330c395a608cfea48ee8b5f";

const JSON: &str = "application/json; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";

/// Where a call without a session is sent under [`ExpiredAs::RedirectToLogin`].
pub const LOGIN_PAGE: &str = "/account/login";

impl Answer {
    /// 200 with `Success` true.
    pub fn success(result: Value) -> Self {
        Self::json(200, json!({"Success": true, "Message": "Success", "Result": result}))
    }

    /// The page's error, under any status.
    pub fn refusal(status: u16, message: &str) -> Self {
        Self::json(status, json!({"Success": false, "Message": message, "Result": null}))
    }

    /// A bare status, as a gateway sends it.
    pub fn gateway(status: u16, retry_after: Option<String>) -> Self {
        let reason = StatusCode::from_u16(status).ok().and_then(|s| s.canonical_reason());
        let body = format!("<html><body><h1>{status} {}</h1></body></html>", reason.unwrap_or(""));
        let headers = retry_after.map(|text| (RETRY_AFTER, text)).into_iter().collect();
        Self { status, headers, media: HTML, body, breaks_off: false }
    }

    /// A captive portal's page.
    pub fn portal() -> Self {
        let body = "<!DOCTYPE html><html><head><title>Welcome</title></head><body><form \
                    action=\"/accept\"><button>Accept the terms and connect</button></form>\
                    </body></html>";
        Self { status: 200, headers: Vec::new(), media: HTML, body: body.into(), breaks_off: false }
    }

    /// The page that asks for e-mail and password.
    pub fn login_page() -> Self {
        let body = "<!DOCTYPE html><html><head><title>JobCloser - Sign In</title></head><body>\
                    <form method=\"post\"><input name=\"Email\"><input name=\"Password\" \
                    type=\"password\"></form></body></html>";
        Self { status: 200, headers: Vec::new(), media: HTML, body: body.into(), breaks_off: false }
    }

    /// 302 to somewhere else.
    pub fn redirect(to: &str) -> Self {
        let headers = vec![(LOCATION, to.to_owned())];
        let body = format!("<html><body>Object moved to <a href=\"{to}\">here</a></body></html>");
        Self { status: 302, headers, media: HTML, body, breaks_off: false }
    }

    /// What a call without a valid session gets.
    pub fn not_signed_in(call: Call, as_what: ExpiredAs) -> Self {
        let message = "Your session has expired, please sign in";
        match as_what {
            ExpiredAs::Status401 => Self::refusal(401, message),
            ExpiredAs::Status403 => Self::refusal(403, message),
            ExpiredAs::RedirectToLogin => Self::redirect(LOGIN_PAGE),
            ExpiredAs::EmptyList if call.reads() => Self::success(json!([])),
            ExpiredAs::EmptyList => Self::refusal(401, message),
        }
    }

    /// A successful sign-in: the account and the session's cookies.
    pub fn signed_in(account: Value, cookies: [String; 2]) -> Self {
        // "Sucess" is the page's own spelling.
        let body = json!({"Success": true, "Message": "Sucess", "Result": account});
        let mut answer = Self::json(200, body);
        answer.headers = cookies.into_iter().map(|cookie| (SET_COOKIE, cookie)).collect();
        answer
    }

    /// The first half of the same answer, still called JSON.
    pub fn cut_off(mut self) -> Self {
        let mut half = self.body.len() / 2;
        while !self.body.is_char_boundary(half) {
            half -= 1;
        }
        self.body.truncate(half);
        self
    }

    /// As it is sent.
    pub fn into_response(self) -> Response<Body> {
        let body = match self.breaks_off {
            false => Body::from(self.body),
            true => Body::new(Half::of(self.body)),
        };
        let mut response = Response::new(body);
        let status = StatusCode::from_u16(self.status);
        *response.status_mut() = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(self.media));
        for (name, text) in self.headers {
            if let Ok(value) = HeaderValue::from_str(&text) {
                response.headers_mut().append(name, value);
            }
        }
        response
    }

    fn json(status: u16, body: Value) -> Self {
        Self { status, headers: Vec::new(), media: JSON, body: body.to_string(), breaks_off: false }
    }
}

impl Half {
    fn of(body: String) -> Self {
        let whole = body.len() as u64;
        let half = Bytes::from(body).slice(..(whole / 2) as usize);
        Self { half: Some(half), whole, rest: Box::pin(sleep(Duration::from_millis(50))) }
    }
}

impl hyper::body::Body for Half {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if let Some(half) = self.half.take() {
            return Poll::Ready(Some(Ok(Frame::data(half))));
        }
        self.rest.as_mut().poll(context).map(|()| Some(Err(io::ErrorKind::ConnectionReset.into())))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.whole)
    }
}

/// `Result` of sign-in and of the account.
pub fn account(email: &str, password: &str) -> Value {
    json!({
        "Id": USER_ID,
        "CompanyId": COMPANY_ID,
        "DomainId": DOMAIN_ID,
        "DateCreated": "2018-05-29T16:13:26-05:00",
        "CreatedBy": "26049911289f1cbb5f88454893b464",
        "DateModified": "2018-05-29T16:13:26-05:00",
        "ModifiedBy": "26049911289f1cbb5f88454893b464",
        "FirstName": "Demo",
        "LastName": "User",
        "Email": email,
        "Password": password,
        "Phone": "(334) 203-2400",
        "BillingAddress": "12 N 8th St, Opelika AL 36801",
        "PhysicalAddress": "12 N 8th St, Opelika AL 36801",
    })
}

/// Whether an id is the account's own.
pub fn is_the_account(id: &str) -> bool {
    id == USER_ID
}

/// A record as `get` and `getall` answer it.
pub fn record(stored: &StoredRecord, behaviour: &Behaviour) -> Value {
    let mut shown = Map::new();
    shown.insert("Id".into(), json!(stored.id));
    shown.insert("EventCompletionId".into(), Value::Null);
    shown.insert("DateCreated".into(), json!(received(stored)));
    shown.insert("CreatedBy".into(), json!(USER_ID));
    // Of what can be created, the example lacks Note, DeviceName and CalibrationFactor.
    let hidden = ["Note", "DeviceName", "CalibrationFactor"];
    for field in FIELDS.iter().filter(|field| field.create != Need::Absent) {
        let sent = stored.fields.get(field.name);
        if hidden.contains(&field.name) && !behaviour.return_notes {
            continue;
        }
        let note = sent.and_then(Value::as_str).filter(|_| field.name == "Note");
        if let Some(note) = note {
            shown.insert("Note".into(), json!(behaviour.note_as.shows(note)));
            continue;
        }
        match sent {
            Some(value) => shown.insert(field.name.into(), value.clone()),
            None if shown.contains_key(field.name) => continue,
            None => shown.insert(field.name.into(), Value::Null),
        };
    }
    for name in ["ApplicationDate", "DateCreated"] {
        if let Some(Value::String(text)) = shown.get_mut(name) {
            *text = date(text, behaviour);
        }
    }
    if behaviour.cut_decimals {
        shown.values_mut().for_each(cut);
    }
    for field in FIELDS.iter().filter(|field| field.kind == Kind::Sensor) {
        if let Some(value @ Value::Null) = shown.get_mut(field.name)
            && behaviour.nulls_as_zero
        {
            *value = json!(0);
        }
    }
    if behaviour.numbers_as_text {
        for value in shown.values_mut().filter(|value| value.is_number()) {
            *value = json!(value.to_string());
        }
    }
    Value::Object(shown)
}

/// `Result` after a batch was stored.
pub fn stored_batch(records: &[StoredRecord], behaviour: &Behaviour) -> Value {
    let ids = |count| -> Vec<&str> {
        records.iter().take(count).map(|record| record.id.as_str()).collect()
    };
    match behaviour.answer {
        ResultShape::Null => Value::Null,
        ResultShape::Ids => json!(ids(records.len())),
        ResultShape::TooFew => json!(ids(records.len().saturating_sub(1))),
        ResultShape::Objects => records.iter().map(|one| record(one, behaviour)).collect(),
    }
}

/// `Result` after one record was stored.
pub fn stored_one(stored: &StoredRecord, behaviour: &Behaviour) -> Value {
    match behaviour.answer {
        ResultShape::Null | ResultShape::TooFew => Value::Null,
        ResultShape::Ids => json!(stored.id),
        ResultShape::Objects => record(stored, behaviour),
    }
}

fn received(stored: &StoredRecord) -> String {
    let instant = Timestamp::from_millisecond(stored.received_ms).unwrap_or_default();
    in_offset(instant, Offset::UTC)
}

fn date(text: &str, behaviour: &Behaviour) -> String {
    let zone = behaviour
        .other_zone_offset_min
        .and_then(|minutes| Offset::from_seconds(minutes.checked_mul(60)?).ok());
    let shift = SignedDuration::from_mins(behaviour.shift_dates_min.into());
    let shifted = value::instant(text).and_then(|instant| instant.checked_add(shift).ok());
    let own = || value::offset(text).filter(|_| behaviour.shift_dates_min != 0);
    let moved = match (zone.or_else(own), shifted) {
        (Some(offset), Some(instant)) => in_offset(instant, offset),
        _ => text.to_owned(),
    };
    let Some((local, offset)) = moved.split_at_checked(19) else { return moved };
    let fraction = if behaviour.fractional_seconds { ".0000000" } else { "" };
    let offset = if behaviour.drop_offsets { "" } else { offset };
    format!("{local}{fraction}{offset}")
}

fn in_offset(instant: Timestamp, offset: Offset) -> String {
    let local = offset.to_datetime(instant);
    let minutes = offset.seconds() / 60;
    let sign = if minutes < 0 { '-' } else { '+' };
    let (hours, minutes) = (minutes.abs() / 60, minutes.abs() % 60);
    format!("{}{sign}{hours:02}:{minutes:02}", local.strftime("%Y-%m-%dT%H:%M:%S"))
}

fn cut(value: &mut Value) {
    if let Some(number) = value.as_f64().filter(|_| value.is_f64()) {
        *value = json!(number.trunc() as i64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored() -> StoredRecord {
        let fields = json!({
            "EventId": "5739034294cb31984da90d447dae11",
            "ApplicationDate": "2026-11-01T01:30:05-05:00",
            "MeterCurrentRate": 4.75,
            "MeterRawCount": 2,
            "TemperatureOfFluid": null,
            "Note": "#AAAAA-1",
        });
        StoredRecord {
            id: "85542697792b29c083a546475c3250".into(),
            received_ms: 1_793_500_000_000,
            fields: fields.as_object().unwrap().clone(),
        }
    }

    fn shown(behaviour: Behaviour) -> Value {
        record(&stored(), &behaviour)
    }

    #[test]
    fn a_record_is_shown_with_the_names_of_the_page_and_no_others() {
        let page = [
            "Id",
            "EventCompletionId",
            "EventId",
            "JobId",
            "JobItemId",
            "ProductId",
            "DateCreated",
            "CreatedBy",
            "ApplicationDate",
            "Latitude",
            "Longitude",
            "MeterSerialNumber",
            "MeterRawCount",
            "MeterCurrentRate",
            "MeterCalculatedFlowTotal",
            "MeterRawCountsToZero",
            "TemperatureOfFluid",
            "AmbientTemperature",
            "BatteryStatusInPercent",
            "BatteryStatusInEstimatedRunTime",
        ];
        let value = shown(Behaviour::default());
        let mut names: Vec<_> = value.as_object().unwrap().keys().map(String::as_str).collect();
        let mut page = page.to_vec();
        names.sort_unstable();
        page.sort_unstable();
        assert_eq!(names, page);
        assert_eq!(value["JobItemId"], Value::Null);
        assert_eq!(value["MeterCurrentRate"], 4.75);
        assert_eq!(value["ApplicationDate"], "2026-11-01T01:30:05-05:00");
    }

    #[test]
    fn notes_come_back_where_the_server_returns_them() {
        let value = shown(Behaviour { return_notes: true, ..Behaviour::default() });
        assert_eq!(value["Note"], "#AAAAA-1");
    }

    #[test]
    fn an_offset_is_dropped_from_the_local_time() {
        let value = shown(Behaviour { drop_offsets: true, ..Behaviour::default() });
        assert_eq!(value["ApplicationDate"], "2026-11-01T01:30:05");
    }

    #[test]
    fn another_zone_is_the_same_instant() {
        for (minutes, text) in
            [(330, "2026-11-01T12:00:05+05:30"), (-210, "2026-11-01T03:00:05-03:30")]
        {
            let other = Some(minutes);
            let value = shown(Behaviour { other_zone_offset_min: other, ..Behaviour::default() });
            assert_eq!(value["ApplicationDate"], text);
        }
    }

    #[test]
    fn a_shifted_date_keeps_its_offset_and_is_another_instant() {
        let value = shown(Behaviour { shift_dates_min: 60, ..Behaviour::default() });
        assert_eq!(value["ApplicationDate"], "2026-11-01T02:30:05-05:00");
    }

    #[test]
    fn a_null_is_answered_as_zero_and_a_number_as_text() {
        let value = shown(Behaviour { nulls_as_zero: true, ..Behaviour::default() });
        assert_eq!((&value["TemperatureOfFluid"], &value["JobItemId"]), (&json!(0), &Value::Null));
        let value = shown(Behaviour { numbers_as_text: true, ..Behaviour::default() });
        assert_eq!(value["MeterCurrentRate"], "4.75");
        assert_eq!(value["TemperatureOfFluid"], Value::Null);
    }

    #[test]
    fn decimals_are_cut_towards_zero_and_the_rest_stays() {
        let value = shown(Behaviour { cut_decimals: true, ..Behaviour::default() });
        assert_eq!(value["MeterCurrentRate"].as_i64(), Some(4));
        assert_eq!(value["MeterRawCount"].as_i64(), Some(2));
        assert_eq!(value["TemperatureOfFluid"], Value::Null);
    }

    #[test]
    fn half_an_answer_is_no_json() {
        let half = Answer::success(json!([{"Id": "…………"}])).cut_off();
        assert!(!half.body.is_empty());
        assert!(serde_json::from_str::<Value>(&half.body).is_err());
    }

    #[test]
    fn an_expired_session_looks_like_no_records_to_a_read_and_401_to_a_write() {
        let empty = Answer::not_signed_in(Call::GetAll, ExpiredAs::EmptyList);
        assert_eq!(empty, Answer::success(json!([])));
        assert_eq!(Answer::not_signed_in(Call::CreateBatch, ExpiredAs::EmptyList).status, 401);
    }
}
