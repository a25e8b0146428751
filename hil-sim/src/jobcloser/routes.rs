//! What each call of the page does: from a request to an answer and the change it makes.
//!
//! Knows nothing of connections, and commits nothing: [`super::door`] does, or lets a
//! fault come between.

use std::time::Instant;

use axum::body::Bytes;
use axum::http::Uri;
use serde_json::{Map, Value};

use super::answer::{self, Answer};
use super::behaviour::PoisonMode;
use super::call::Call;
use super::check::{self, Form, Params};
use super::ledger::StoredRecord;
use super::sessions::hex_30;
use super::state::{Account, Change, Inner, StoredPicture};

/// A request that is a documented call, with its body read.
pub struct Asked {
    /// Which call.
    pub call: Call,
    /// Path and query.
    pub uri: Uri,
    /// Whether the body is declared as JSON.
    pub json: bool,
    /// The whole body.
    pub body: Bytes,
}

/// What a call comes to.
pub struct Work {
    /// What it changes; after a refusal, the rows that are stored all the same.
    pub change: Change,
    /// What is answered once that is done.
    pub answer: Answer,
    /// Why it was refused, if it was.
    pub refused: Option<String>,
}

type Fields = Map<String, Value>;

/// Does a call, short of committing its change.
pub fn work(asked: &Asked, account: &Account, inner: &mut Inner) -> Work {
    let params = match check::query(asked.call, &asked.uri) {
        Ok(params) => params,
        Err(found) => return departs(asked.call, &found, inner),
    };
    match asked.call {
        Call::SignIn => sign_in(&params, account, inner),
        Call::Account => own_account(&params, account),
        Call::GetAll => get_all(&params, inner),
        Call::Get => get(&params, inner),
        Call::Delete => delete(&params, inner),
        Call::Create => create(asked, inner),
        Call::CreateBatch => create_batch(asked, inner),
        Call::Edit => edit(asked, inner),
        Call::ImageByUrl => image_by_url(&params),
        Call::ImageByBytes => image_by_bytes(asked, inner),
    }
}

impl Work {
    fn good(change: Change, answer: Answer) -> Self {
        Self { change, answer, refused: None }
    }

    fn refused(status: u16, message: &str) -> Self {
        let answer = Answer::refusal(status, message);
        Self { change: Change::Nothing, answer, refused: Some(message.to_owned()) }
    }

    /// What became of it, in words.
    pub fn outcome(&self) -> String {
        match (&self.refused, self.rows()) {
            (None, 0) => "done".to_owned(),
            (None, rows) => format!("stored {rows}"),
            (Some(why), 0) => format!("refused: {why}"),
            (Some(why), rows) => format!("stored {rows}, then refused: {why}"),
        }
    }

    /// How many records it stores.
    pub fn rows(&self) -> usize {
        match &self.change {
            Change::Create(records) => records.len(),
            Change::Replace(_) => 1,
            Change::Nothing | Change::Delete(_) | Change::Picture(_) => 0,
        }
    }
}

fn departs(call: Call, found: &[String], inner: &mut Inner) -> Work {
    inner.violations.found(&format!("{call:?}").to_lowercase(), found);
    Work::refused(400, found.first().map_or("bad request", String::as_str))
}

fn sign_in(params: &Params, account: &Account, inner: &mut Inner) -> Work {
    let given = |name| params.get(name).map(String::as_str);
    let known = given("email") == Some(account.email.as_str())
        && given("password") == Some(account.password.as_str());
    if !known || inner.behaviour.reject_sign_in {
        // The page's own words; it names no HTTP status.
        return Work::refused(200, "The specified email and password do not exist in our system");
    }
    let cookies = inner.sessions.begin(Instant::now());
    let shown = answer::account(&account.email, &account.password);
    Work::good(Change::Nothing, Answer::signed_in(shown, cookies))
}

fn own_account(params: &Params, account: &Account) -> Work {
    match params.get("id") {
        Some(id) if answer::is_the_account(id) => {
            let shown = answer::account(&account.email, &account.password);
            Work::good(Change::Nothing, Answer::success(shown))
        }
        _ => not_found(),
    }
}

fn get_all(params: &Params, inner: &Inner) -> Work {
    let filters = [
        ("jobId", "JobId"),
        ("eventId", "EventId"),
        ("jobItemId", "JobItemId"),
        ("productId", "ProductId"),
    ];
    let wanted = |stored: &&StoredRecord| {
        filters.iter().all(|(param, field)| {
            let ignored = inner.behaviour.ignore_list_filters
                || *param == "eventId" && inner.behaviour.ignore_event_filter;
            ignored || params.get(*param).is_none_or(|id| stored.text(field) == Some(id.as_str()))
        })
    };
    let page = inner.behaviour.list_limit.unwrap_or(usize::MAX);
    let found = inner.ledger.all().filter(wanted).take(page);
    let shown = found.map(|stored| answer::record(stored, &inner.behaviour)).collect();
    Work::good(Change::Nothing, Answer::success(shown))
}

fn get(params: &Params, inner: &Inner) -> Work {
    match params.get("id").and_then(|id| inner.ledger.get(id)) {
        Some(stored) => {
            let shown = answer::record(stored, &inner.behaviour);
            Work::good(Change::Nothing, Answer::success(shown))
        }
        None => not_found(),
    }
}

fn delete(params: &Params, inner: &Inner) -> Work {
    if inner.behaviour.refuse_delete {
        return Work::refused(200, "You do not have permission to delete this record");
    }
    match params.get("id").and_then(|id| inner.ledger.get(id)) {
        Some(stored) => Work::good(Change::Delete(stored.id.clone()), Answer::success(Value::Null)),
        None => not_found(),
    }
}

fn create(asked: &Asked, inner: &mut Inner) -> Work {
    if let Some(refusal) = too_large(asked, inner) {
        return refusal;
    }
    let fields = match check::single(Form::Create, asked.json, &asked.body) {
        Ok(fields) => fields,
        Err(found) => return departs(asked.call, &found, inner),
    };
    if let Some(refusal) = refused_by_switch(std::slice::from_ref(&fields), inner) {
        return refusal;
    }
    let stored = fresh(fields);
    let result = answer::stored_one(&stored, &inner.behaviour);
    Work::good(Change::Create(vec![stored]), Answer::success(result))
}

fn create_batch(asked: &Asked, inner: &mut Inner) -> Work {
    if let Some(refusal) = too_large(asked, inner) {
        return refusal;
    }
    let records = match check::batch(&inner.behaviour.body_wrapper, asked.json, &asked.body) {
        Ok(records) => records,
        Err(found) => return departs(asked.call, &found, inner),
    };
    if inner.behaviour.max_batch_records.is_some_and(|most| records.len() > most) {
        return Work::refused(413, "too many records in the batch");
    }
    if let Some(refusal) = refused_by_switch(&records, inner) {
        return refusal;
    }
    let stored: Vec<_> = records.into_iter().map(fresh).collect();
    let result = answer::stored_batch(&stored, &inner.behaviour);
    Work::good(Change::Create(stored), Answer::success(result))
}

fn edit(asked: &Asked, inner: &mut Inner) -> Work {
    let fields = match check::single(Form::Edit, asked.json, &asked.body) {
        Ok(fields) => fields,
        Err(found) => return departs(asked.call, &found, inner),
    };
    if let Some(refusal) = refused_by_switch(std::slice::from_ref(&fields), inner) {
        return refusal;
    }
    let id = fields.get("Id").and_then(Value::as_str).unwrap_or_default();
    let Some(mut stored) = inner.ledger.get(id).cloned() else {
        return not_found();
    };
    stored.fields.extend(fields.into_iter().filter(|(name, _)| name != "Id"));
    let result = answer::stored_one(&stored, &inner.behaviour);
    Work::good(Change::Replace(stored), Answer::success(result))
}

fn image_by_url(params: &Params) -> Work {
    let param = |name| params.get(name).cloned().unwrap_or_default();
    let picture = StoredPicture { event_id: param("eventId"), name: param("url"), bytes: None };
    Work::good(Change::Picture(picture), Answer::success(Value::Null))
}

fn image_by_bytes(asked: &Asked, inner: &mut Inner) -> Work {
    let (fields, bytes) = match check::picture(asked.json, &asked.body) {
        Ok(picture) => picture,
        Err(found) => return departs(asked.call, &found, inner),
    };
    let text = |name| fields.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let picture =
        StoredPicture { event_id: text("eventId"), name: text("fileName"), bytes: Some(bytes) };
    Work::good(Change::Picture(picture), Answer::success(Value::Null))
}

fn too_large(asked: &Asked, inner: &Inner) -> Option<Work> {
    let most = inner.behaviour.max_batch_bytes?;
    (asked.body.len() as u64 > most).then(|| Work::refused(413, "the request is too large"))
}

/// What the page allows and this server refuses: nulls, and poisoned records.
fn refused_by_switch(records: &[Fields], inner: &Inner) -> Option<Work> {
    let behaviour = &inner.behaviour;
    if behaviour.refuse_nulls
        && let Some(name) = records.iter().find_map(check::first_null)
    {
        return Some(Work::refused(400, &format!("{name} is required")));
    }
    let (row, message) = behaviour.first_poisoned(records)?;
    let mut refusal = Work::refused(behaviour.poison_status, &message);
    let before: Vec<_> = records.iter().take(row).cloned().map(fresh).collect();
    if behaviour.poison_mode == PoisonMode::StoreBefore && !before.is_empty() {
        refusal.change = Change::Create(before);
    }
    Some(refusal)
}

/// Under a new id; when it was received is known when it is committed.
fn fresh(fields: Fields) -> StoredRecord {
    StoredRecord { id: hex_30(), received_ms: 0, fields }
}

fn not_found() -> Work {
    Work::refused(200, "The specified ID does not exist in our system")
}
