//! The lines of `status` that are only there when there is something to say: a disk that
//! fills, what a test record has shown. Doesn't know where they stand.

use std::fmt::Write;

use serde_json::Value;

use super::lines;

/// What a test record has shown of this server; of another it is worth nothing.
pub(super) fn learnt(out: &mut String, l: &Value, url: &Value) -> std::fmt::Result {
    let Some(base_url) = l["base_url"].as_str() else { return Ok(()) };
    if url.as_str().is_some_and(|url| url != base_url) {
        return writeln!(out, "          what was learnt of {base_url} is void: another server");
    }
    for remark in lines(&l["remarks"]) {
        writeln!(out, "          {remark}")?;
    }
    Ok(())
}

/// Only what is wrong with it.
pub(super) fn disk(out: &mut String, d: &Value) -> std::fmt::Result {
    let mib = |bytes: &Value| bytes.as_u64().unwrap_or(0) >> 20;
    if d["low"] == true {
        let ballast = if d["ballast"] == true { "there" } else { "given up" };
        writeln!(
            out,
            "disk      LOW: {} MiB free, ballast {ballast}; make room (queue.min_free)",
            mib(&d["free_bytes"])
        )?;
    }
    if d["over_max"] == true {
        writeln!(
            out,
            "disk      LARGE: the queue has {} MiB (queue.max_bytes); nothing is deleted for it",
            mib(&d["queue_bytes"])
        )?;
    }
    Ok(())
}
