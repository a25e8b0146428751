//! The simulator's own door, on the same port: faults and switches in, records, requests
//! and violations out. For the command line and for shells:
//!
//! ```sh
//! curl -d '{"fault":"status","code":503,"times":3}' http://127.0.0.1:8080/_sim/fault
//! curl -d '{"drop_offsets":true}' http://127.0.0.1:8080/_sim/behaviour
//! curl http://127.0.0.1:8080/_sim/violations
//! ```
//!
//! Needs no session and isn't noted among the requests.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Map, Value, json};

use super::behaviour::Behaviour;
use super::fault::FaultOrder;
use super::ledger::StoredRecord;
use super::requests::RequestLog;
use super::state::{Shared, StoredPicture};

type Refused = (StatusCode, Json<Value>);

/// The control calls, all under `/_sim/`.
pub fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/_sim/fault", post(fault))
        .route("/_sim/clear", post(clear))
        .route("/_sim/behaviour", get(behaviour).post(set_behaviour))
        .route("/_sim/records", get(records))
        .route("/_sim/pictures", get(pictures))
        .route("/_sim/requests", get(requests))
        .route("/_sim/violations", get(violations))
}

/// Arms a [`FaultOrder`].
async fn fault(State(shared): State<Arc<Shared>>, body: Bytes) -> Result<Json<Value>, Refused> {
    let order: FaultOrder = serde_json::from_slice(&body).map_err(|err| refused(&err))?;
    let armed = json!({"armed": order});
    shared.inner().armed.arm(order);
    Ok(Json(armed))
}

/// Disarms every fault; the switches stay.
async fn clear(State(shared): State<Arc<Shared>>) -> Json<Value> {
    shared.inner().armed.clear();
    Json(json!({"armed": null}))
}

async fn behaviour(State(shared): State<Arc<Shared>>) -> Json<Behaviour> {
    Json(shared.inner().behaviour.clone())
}

/// Turns the given switches over and leaves the others.
async fn set_behaviour(
    State(shared): State<Arc<Shared>>,
    body: Bytes,
) -> Result<Json<Behaviour>, Refused> {
    let changes: Map<String, Value> = serde_json::from_slice(&body).map_err(|err| refused(&err))?;
    let mut inner = shared.inner();
    inner.behaviour = inner.behaviour.with(&changes).map_err(|err| refused(&err))?;
    Ok(Json(inner.behaviour.clone()))
}

async fn records(State(shared): State<Arc<Shared>>) -> Json<Vec<StoredRecord>> {
    Json(shared.inner().ledger.all().cloned().collect())
}

async fn pictures(State(shared): State<Arc<Shared>>) -> Json<Vec<StoredPicture>> {
    Json(shared.inner().pictures.clone())
}

async fn requests(State(shared): State<Arc<Shared>>) -> Json<Vec<RequestLog>> {
    Json(shared.inner().requests.all())
}

async fn violations(State(shared): State<Arc<Shared>>) -> Json<Vec<String>> {
    Json(shared.inner().violations.all())
}

fn refused(err: &serde_json::Error) -> Refused {
    (StatusCode::BAD_REQUEST, Json(json!({"error": err.to_string()})))
}
