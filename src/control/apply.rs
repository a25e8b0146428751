//! What a command does to the store: the same whether the daemon does it or, while that
//! is down, the command line.

use std::path::Path;

use serde_json::{Value, json};

use super::Command;
use crate::assignment::{Wanted, wanted};
use crate::clock::UtcMs;
use crate::config::{self, valid};
use crate::queue::{QueueError, Store, View};
use crate::reading::{Assignment, Origin};

/// Does what `command` asks of the store. `now` is the present, where it is known.
///
/// # Errors
/// Where the store can't, or where only a running daemon could.
pub fn apply(
    command: &Command,
    store: &mut Store,
    fixed: &config::Job,
    now: Option<UtcMs>,
) -> Result<Value, QueueError> {
    match command {
        Command::Status => {
            Err(QueueError::Refused("only a running daemon has a live status".to_owned()))
        }
        Command::Canary { .. } => {
            Err(QueueError::Refused("only delivery sends a test record".to_owned()))
        }
        Command::RecordsVerify { .. } => {
            Err(QueueError::Refused("only delivery verifies a job".to_owned()))
        }
        Command::JobShow => stored(store, fixed),
        Command::JobUse { assignment } => {
            checked(assignment)?;
            store.set_pick(Some(assignment))?;
            stored(store, fixed)
        }
        Command::JobClear => {
            store.set_pick(None)?;
            stored(store, fixed)
        }
        Command::RecordsAssign { which, assignment } => {
            checked(assignment)?;
            Ok(json!(store.assign(which, assignment)?))
        }
        Command::RecordsRetry { which } => Ok(json!({ "readings": store.retry(which)? })),
        Command::RecordsRelease { boot, start } => Ok(json!(store.release(*boot, *start, now)?)),
        Command::RecordsPlace { which, place } => Ok(json!(store.place(which, *place)?)),
        Command::RecordsReject { which, reason } => Ok(json!(store.reject(which, reason)?)),
        Command::RecordsDiscard { which, reason } => Ok(json!(store.discard(which, reason)?)),
    }
}

fn stored(store: &Store, fixed: &config::Job) -> Result<Value, QueueError> {
    Ok(shown(store.pick()?, store.open_assignment(), fixed))
}

/// [`Command::JobShow`] without a writer: from the queue as it is in `file`, or from the
/// configuration alone where there is none yet.
///
/// # Errors
/// Where the queue can't be read.
pub fn look(file: &Path, fixed: &config::Job) -> Result<Value, QueueError> {
    // Where it can't be told, opening it tells why.
    if matches!(file.try_exists(), Ok(false)) {
        return Ok(shown(None, None, fixed));
    }
    let queue = View::open(file)?;
    Ok(shown(queue.pick()?, queue.open_assignment()?, fixed))
}

fn shown(pick: Option<Assignment>, now: Wanted, fixed: &config::Job) -> Value {
    let next = wanted(pick, fixed);
    let changing = next != now;
    json!({
        "in_force": now.map(told),
        "wanted": next.map(told),
        "takes_effect": if changing { "at the next reading" } else { "now" },
    })
}

fn told((assignment, origin): (Assignment, Origin)) -> Value {
    json!({ "assignment": assignment, "chosen_by": origin })
}

/// Both ids are needed to send; without them readings would be held for ever. What an id
/// is, is said as in the configuration.
fn checked(assignment: &Assignment) -> Result<(), QueueError> {
    if assignment.event.trim().is_empty() || assignment.job.trim().is_empty() {
        return Err(QueueError::Refused("an assignment needs an event id and a job id".to_owned()));
    }
    let ids = [
        ("event", Some(&assignment.event)),
        ("job", Some(&assignment.job)),
        ("job item", assignment.item.as_ref()),
        ("product", assignment.product.as_ref()),
    ];
    for (what, id) in ids {
        valid::id(id.map_or("", String::as_str))
            .map_err(|refusal| QueueError::Refused(format!("the {what} id {}", refusal.message)))?;
    }
    Ok(())
}
