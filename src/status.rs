//! One look at everything, for `status` and the page: what the tasks say of themselves
//! ([`Live`]) and what the queue holds. Only shows; changes nothing.

mod live;
mod text;

pub use live::{AgentView, Live};
pub use text::{grouped, text, undated_boot};

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::clock::UtcMs;
use crate::learnt::Learnt;
use crate::queue::{Checked, QueueError, Share, View};
use crate::units::Microlitres;

/// The whole of `status --json`: the queue's balance, and `live` where there is a daemon.
///
/// # Errors
/// Where the queue can't be read.
pub fn snapshot(live: Option<Value>, queue: &View) -> Result<Value, QueueError> {
    let balance = queue.balance()?;
    let numbers = balance.columns(|s: Share| s.readings, |a, b| a.readings == b.readings);
    let gallons = balance.columns(
        |s: Share| (s.volume.gallons() * 1e6).round() / 1e6,
        |a: Share, b: Share| a.volume == b.volume,
    );
    let refused: Vec<Value> = queue
        .refusals()?
        .into_iter()
        .map(|(event, job, message)| json!({ "event": event, "job": job, "message": message }))
        .collect();
    let mut all = live.unwrap_or_else(|| json!({ "daemon": { "running": false } }));
    let held_for = json!({
        "no_job": balance.no_job,
        "no_place": balance.no_place,
        "no_time": balance.no_time,
        "no_serial": balance.no_serial,
        "time_conflict": balance.time_conflict,
        "unreadable": balance.unreadable,
        "refused": balance.refused,
    });
    let queue = [
        ("last_seq", json!(queue.last_seq()?)),
        ("balance", json!(numbers)),
        ("gallons", json!(gallons)),
        ("held_for", held_for),
        ("undated_boots", json!(queue.undated()?)),
        ("refused_jobs", json!(refused)),
        ("closed_jobs", json!(queue.closed_spans()?)),
        ("other_databases", json!(queue.others())),
        ("set_aside", set_aside(queue.set_aside())),
        ("carried_over", json!(queue.carried_over()?)),
        ("learnt", learnt(queue.learnt()?)),
        ("checked", checked(queue.checked()?)),
    ];
    if let Some(object) = all.as_object_mut() {
        object.extend(queue.map(|(name, value)| (name.to_owned(), value)));
    }
    Ok(all)
}

/// What a test record has shown, with what to know of it.
fn learnt(learnt: Option<Learnt>) -> Value {
    let mut facts = json!(learnt);
    if let (Some(learnt), Some(object)) = (learnt, facts.as_object_mut()) {
        object.insert("remarks".to_owned(), json!(learnt.remarks()));
    }
    facts
}

/// How many damaged databases were set aside, and what they take.
fn set_aside((databases, bytes): (usize, u64)) -> Value {
    json!({ "databases": databases, "bytes": bytes })
}

/// When the last full check was, how long it took and what it found.
fn checked(last: Option<Checked>) -> Value {
    last.map_or(Value::Null, |last| {
        json!({
            "time": last.utc_ms.map(|ms| UtcMs(ms).rfc3339()),
            "took_s": last.took_ms as f64 / 1000.0,
            "whole": last.rows.is_empty(),
            "rows": last.rows,
            "mended": last.mended,
        })
    })
}

/// What the daemon says, and why the queue can't be shown with it.
pub fn without_queue(mut live: Value, why: &str) -> Value {
    if let Some(object) = live.as_object_mut() {
        object.insert("queue_problem".to_owned(), why.into());
    }
    live
}

/// In place of what a daemon would say that is there and says nothing.
pub fn not_answering(pid: Option<u32>, why: &str) -> Value {
    json!({ "daemon": { "running": true, "answering": false, "pid": pid, "problem": why } })
}

/// A rig that has never recorded in this version, and what lies beside: the balance of
/// nothing.
pub fn nothing_yet(others: &[PathBuf], aside: (usize, u64)) -> Value {
    let numbers = |zero: Value| {
        json!({ "recorded": zero, "ready": zero, "held": zero, "in_doubt": zero, "sent": zero,
                "rejected": zero, "discarded": zero, "deleted": zero, "balanced": true })
    };
    json!({
        "daemon": { "running": false },
        "last_seq": null,
        "balance": numbers(json!(0)),
        "gallons": numbers(json!(Microlitres::ZERO.gallons())),
        "held_for": { "no_job": 0, "no_place": 0, "no_time": 0, "no_serial": 0, "time_conflict": 0,
                      "unreadable": 0, "refused": 0 },
        "undated_boots": [],
        "refused_jobs": [],
        "closed_jobs": [],
        "other_databases": others,
        "set_aside": set_aside(aside),
        "carried_over": [],
        "learnt": null,
        "checked": null,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::BootId;
    use crate::queue::{FILE, Store};

    #[test]
    fn a_queue_beside_this_one_is_named_in_both_forms() {
        let dir = tempfile::tempdir().unwrap();
        let boot = BootId("boot-1".to_owned());
        for name in [FILE, "queue-v1.db"] {
            drop(Store::open(&dir.path().join(name), &boot).unwrap());
        }
        let all = snapshot(None, &View::open(&dir.path().join(FILE)).unwrap()).unwrap();
        let other = dir.path().join("queue-v1.db");
        assert_eq!(all["other_databases"], json!([other]));
        let said = text(&all);
        let line = said.lines().find(|l| l.contains("queue-v1.db")).unwrap();
        assert!(line.contains("readings") && line.contains("call for support"), "{line}");
    }

    #[test]
    fn a_rig_that_never_recorded_has_the_fields_of_one_that_did() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        drop(Store::open(&path, &BootId("boot-1".to_owned())).unwrap());
        assert_eq!(
            snapshot(None, &View::open(&path).unwrap()).unwrap()["held_for"],
            nothing_yet(&[], (0, 0))["held_for"]
        );
        let keys = |v: &Value| v.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(
            keys(&snapshot(None, &View::open(&path).unwrap()).unwrap()),
            keys(&nothing_yet(&[], (0, 0)))
        );
    }
}
