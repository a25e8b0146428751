//! Where every call of the API comes in: the body is read, the request noted, faults
//! strike, the session is looked at, the call is done and its change committed.
//!
//! ```text
//! request ─► wait ─► fault at the door ─► session ─► work ─┬─► refused ─────────► answer
//!                                                          └─► fault after it ─► commit ─► answer
//! ```
//!
//! Knows nothing of what a call means ([`super::routes`]) and of how a connection is cut
//! ([`super::accept`]).

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Extension;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Response};
use serde_json::Value;

use super::accept::Cut;
use super::answer::{Answer, LOGIN_PAGE};
use super::call::{Call, NoCall};
use super::fault::Fault;
use super::page;
use super::requests::now_ms;
use super::routes::{self, Asked, Work};
use super::state::{Change, Inner, Shared};

/// Bytes of a body that are read at most; one that is longer is refused (400).
const BODY_BYTES: usize = 64 << 20;

/// What a request gets, and what became of it in words.
struct Reply {
    /// `None`: the connection is closed without one.
    answer: Option<Answer>,
    outcome: String,
}

/// The request's line in the log; whatever ends the request closes it.
struct Entry {
    shared: Arc<Shared>,
    number: u64,
    status: Option<u16>,
    outcome: String,
}

/// Answers one request, or cuts its connection.
pub async fn door(
    State(shared): State<Arc<Shared>>,
    Extension(cut): Extension<Cut>,
    request: Request,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let call = Call::of(&parts.method, parts.uri.path());
    let mut entry = Entry::new(&shared, call.ok(), &parts);
    let reply = match (call, read(body).await) {
        (Err(no_call), _) => misdirected(no_call, &parts, &shared),
        (Ok(_), Err(reply)) => reply,
        (Ok(call), Ok(body)) => {
            let json = is_json(&parts.headers);
            entry.records(count(call, &body));
            answer(&shared, &parts.headers, Asked { call, uri: parts.uri, json, body }).await
        }
    };
    entry.outcome = reply.outcome;
    match reply.answer {
        Some(answer) => {
            entry.status = Some(answer.status);
            answer.into_response()
        }
        None => {
            drop(entry);
            cut.now();
            std::future::pending().await
        }
    }
}

async fn answer(shared: &Arc<Shared>, headers: &HeaderMap, asked: Asked) -> Reply {
    let latency_ms = shared.inner().behaviour.latency_ms;
    if latency_ms > 0 {
        tokio::time::sleep(Duration::from_millis(latency_ms)).await;
    }
    let fault = shared.inner().armed.take_at_the_door(asked.call);
    if let Some(fault) = fault
        && let Some(reply) = strike_at_the_door(fault, shared, asked.call).await
    {
        return reply;
    }
    match done(shared, headers, &asked) {
        Ok((work, fault)) => strike_after_the_work(fault, shared, work).await,
        Err(reply) => reply,
    }
}

/// The call done under one lock, its change committed unless that is to come late.
fn done(
    shared: &Shared,
    headers: &HeaderMap,
    asked: &Asked,
) -> Result<(Work, Option<Fault>), Reply> {
    let mut inner = shared.inner();
    if let Some(reply) = without_session(asked.call, headers, &inner) {
        return Err(reply);
    }
    let mut work = routes::work(asked, &shared.account, &mut inner);
    let fault = match work.refused {
        None => inner.armed.take_after_the_work(asked.call, work.rows()),
        Some(_) => None,
    };
    match (&fault, &mut work.change) {
        (Some(Fault::StoreLate { .. }), _) => return Ok((work, fault)),
        (Some(Fault::DropRow { index }), Change::Create(records)) if *index < records.len() => {
            records.remove(*index);
        }
        _ => {}
    }
    match inner.commit(work.change.clone()) {
        Ok(()) => Ok((work, fault)),
        Err(err) => {
            tracing::error!(%err, "records not stored");
            let answer = Answer::refusal(500, "the records can't be written");
            Err(Reply::answer(answer, format!("not stored: {err}")))
        }
    }
}

/// `None` where the call goes on as usual after the fault.
async fn strike_at_the_door(fault: Fault, shared: &Shared, call: Call) -> Option<Reply> {
    let outcome = format!("fault: {fault:?}");
    let answer = match fault {
        Fault::Status { code, retry_after } => Answer::gateway(code, retry_after),
        Fault::SuccessFalse { message } => Answer::refusal(200, &message),
        Fault::Html => Answer::portal(),
        Fault::Redirect { to } => Answer::redirect(&to),
        Fault::ExpireSession => {
            let mut inner = shared.inner();
            inner.sessions.end_all();
            if call == Call::SignIn {
                return None;
            }
            Answer::not_signed_in(call, inner.behaviour.expired_as)
        }
        Fault::DropBeforeStoring => return Some(Reply::hang_up(outcome)),
        Fault::Hang { ms } => {
            tokio::time::sleep(Duration::from_millis(ms)).await;
            return None;
        }
        Fault::StatusAfterStoring { .. }
        | Fault::StoreAndDrop
        | Fault::StoreAndHang { .. }
        | Fault::StoreLate { .. }
        | Fault::Garbage
        | Fault::CutBody
        | Fault::DropRow { .. } => return None,
    };
    Some(Reply::answer(answer, outcome))
}

async fn strike_after_the_work(fault: Option<Fault>, shared: &Arc<Shared>, work: Work) -> Reply {
    let outcome = match &fault {
        Some(fault) => format!("{}; fault: {fault:?}", work.outcome()),
        None => work.outcome(),
    };
    match fault {
        Some(Fault::StatusAfterStoring { code }) => {
            Reply::answer(Answer::gateway(code, None), outcome)
        }
        Some(Fault::StoreAndDrop) => Reply::hang_up(outcome),
        Some(Fault::StoreLate { ms }) => {
            shared.commit_later(work.change, Duration::from_millis(ms));
            Reply::hang_up(outcome)
        }
        Some(Fault::StoreAndHang { ms }) => {
            tokio::time::sleep(Duration::from_millis(ms)).await;
            Reply::answer(work.answer, outcome)
        }
        Some(Fault::Garbage) => Reply::answer(work.answer.cut_off(), outcome),
        Some(Fault::CutBody) => Reply::answer(Answer { breaks_off: true, ..work.answer }, outcome),
        _ => Reply::answer(work.answer, outcome),
    }
}

fn without_session(call: Call, headers: &HeaderMap, inner: &Inner) -> Option<Reply> {
    let behaviour = &inner.behaviour;
    if call == Call::SignIn
        || !behaviour.require_sign_in
        || inner.sessions.has(headers, behaviour.session_lifetime_s, Instant::now())
    {
        return None;
    }
    let answer = Answer::not_signed_in(call, behaviour.expired_as);
    Some(Reply::answer(answer, "not signed in".to_owned()))
}

/// What isn't a call of the page. Some of it the page documents and nobody simulates.
fn misdirected(no_call: NoCall, parts: &Parts, shared: &Shared) -> Reply {
    let path = parts.uri.path();
    if path == LOGIN_PAGE {
        let found = ["the redirect to the sign-in page was followed".to_owned()];
        shared.inner().violations.found(path, &found);
        return Reply::answer(Answer::login_page(), "a page".to_owned());
    }
    if page::documented_elsewhere(path) {
        let answer = Answer::refusal(404, "not simulated");
        return Reply::answer(answer, "documented, but not simulated".to_owned());
    }
    let (status, what) = match no_call {
        NoCall::UnknownPath => (404, "isn't on the page"),
        NoCall::WrongMethod => (405, "isn't on the page with that method"),
    };
    let found = [format!("{} {path} {what}", parts.method)];
    shared.inner().violations.found("misdirected", &found);
    Reply::answer(Answer::refusal(status, what), what.to_owned())
}

async fn read(body: Body) -> Result<Bytes, Reply> {
    to_bytes(body, BODY_BYTES).await.map_err(|err| {
        let answer = Answer::refusal(400, "the body can't be read");
        Reply::answer(answer, format!("the body can't be read: {err}"))
    })
}

fn is_json(headers: &HeaderMap) -> bool {
    let media = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    media
        .and_then(|media| media.split(';').next())
        .is_some_and(|media| media.trim().eq_ignore_ascii_case("application/json"))
}

/// Records in a body, good or not: for the log alone, so the wrapper's name doesn't matter.
fn count(call: Call, body: &[u8]) -> Option<usize> {
    match call {
        Call::Create | Call::Edit => Some(1),
        Call::CreateBatch => match serde_json::from_slice(body) {
            Ok(Value::Array(rows)) => Some(rows.len()),
            Ok(Value::Object(keys)) => keys.values().find_map(Value::as_array).map(Vec::len),
            _ => None,
        },
        _ => None,
    }
}

impl Reply {
    fn answer(answer: Answer, outcome: String) -> Self {
        Self { answer: Some(answer), outcome }
    }

    fn hang_up(outcome: String) -> Self {
        Self { answer: None, outcome }
    }
}

impl Entry {
    fn new(shared: &Arc<Shared>, call: Option<Call>, parts: &Parts) -> Self {
        let number = shared.inner().requests.arrived(call, parts.method.as_str(), &parts.uri);
        let shared = Arc::clone(shared);
        Self { shared, number, status: None, outcome: "client gone".to_owned() }
    }

    fn records(&self, count: Option<usize>) {
        if let Some(entry) = self.shared.inner().requests.get_mut(self.number) {
            entry.record_count = count;
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        if let Some(entry) = self.shared.inner().requests.get_mut(self.number) {
            entry.ended_ms = Some(now_ms());
            entry.status = self.status;
            entry.outcome = std::mem::take(&mut self.outcome);
        }
    }
}
