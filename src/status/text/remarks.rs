//! The lines of `status` that are only there when there is something to say: a disk that
//! fills, what a test record has shown, what the full check found, what has come from a damaged
//! queue. Doesn't know where they stand.

use std::fmt::Write;

use serde_json::Value;

use super::{grouped, lines, word};

/// What is known of the meter's battery, behind what the meter does.
pub(super) fn battery(out: &mut String, r: &Value) -> std::fmt::Result {
    let volts = r["battery_volts"].as_f64();
    match (r["battery_percent"].as_f64(), volts) {
        (Some(percent), _) => write!(out, ", battery {percent:.0} %")?,
        // Without meter.battery.curve nobody knows what they are worth.
        (None, Some(volts)) => write!(out, ", battery {volts:.2} V")?,
        (None, None) => {}
    }
    match r["runtime_min"].as_f64() {
        Some(minutes) if minutes < 60.0 => write!(out, ", {minutes:.0} min left"),
        Some(minutes) => write!(
            out,
            ", {:.0} h {:02.0} min left",
            (minutes / 60.0).floor(),
            (minutes % 60.0).floor()
        ),
        None => Ok(()),
    }
}

/// A count and a rate that contradict each other. The count alone is volume.
pub(super) fn disagreement(out: &mut String, r: &Value) -> std::fmt::Result {
    match r["disagreement"].as_str() {
        Some("count_frozen") => writeln!(
            out,
            "          COUNT FROZEN: its rate says {:.2} gal/min and its count stands still, so NO GALLONS ARE RECORDED; check the meter's pulses, and raw_count in its profile",
            r["rate_gpm"].as_f64().unwrap_or(0.0)
        ),
        Some("counts_without_rate") => writeln!(
            out,
            "          NO RATE: it counts, and its own rate says none; gallons are recorded by the count; check rate in its profile"
        ),
        _ => Ok(()),
    }
}

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

/// Only what is wrong with it. What is being carried over isn't to be deleted.
pub(super) fn disk(out: &mut String, s: &Value) -> std::fmt::Result {
    let (d, aside) = (&s["disk"], &s["set_aside"]);
    let carrying =
        s["carried_over"].as_array().is_some_and(|all| all.iter().any(|one| one["done"] == false));
    let mib = |bytes: &Value| bytes.as_u64().unwrap_or(0) >> 20;
    if d["low"] == true {
        let ballast = if d["ballast"] == true { "there" } else { "given up" };
        writeln!(
            out,
            "disk      LOW: {} MiB free, ballast {ballast}; make room (queue.min_free)",
            mib(&d["free_bytes"])
        )?;
        if !carrying && aside["databases"].as_u64().is_some_and(|databases| databases > 0) {
            writeln!(
                out,
                "          {} MiB are damaged queues: copy damaged-* to another disk, and only then delete it here",
                mib(&aside["bytes"])
            )?;
        }
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

/// Clocks that are far off the one that readings are dated by.
pub(super) fn disagreeing(out: &mut String, c: &Value) -> std::fmt::Result {
    for clock in c["disagreeing"].as_array().into_iter().flatten() {
        let ahead_s = clock["ahead_s"].as_f64().unwrap_or(0.0);
        let (off, way) = if ahead_s < 0.0 { (-ahead_s, "behind") } else { (ahead_s, "ahead") };
        writeln!(
            out,
            "          DISAGREES: {} tells a time {off:.1} s {way}; it is not used",
            word(&clock["source"])
        )?;
    }
    Ok(())
}

/// Boots that never learnt the time, with what their neighbours say and how to date them.
pub(super) fn undated_boots(out: &mut String, s: &Value) -> std::fmt::Result {
    for undated in s["undated_boots"].as_array().into_iter().flatten() {
        // The one that is running may yet learn it.
        if undated["newest"] != true || s["daemon"]["running"] != true {
            writeln!(out, "  {}", undated_boot(undated))?;
        }
    }
    Ok(())
}

/// One of them in a line.
pub fn undated_boot(undated: &Value) -> String {
    let between = |bounds: &Value| match [&bounds["not_before"], &bounds["not_after"]] {
        [Value::String(from), Value::String(to)] => format!("between {from} and {to}"),
        [Value::String(from), _] => format!("after {from}"),
        [_, Value::String(to)] => format!("before {to}"),
        _ => "at any time".to_owned(),
    };
    let (boot, readings) = (&undated["boot"], &undated["readings"]);
    format!(
        "boot {boot}: {readings} readings without a time, {}; release with `spraylog records release --boot {boot} --start T`, T {}",
        between(undated),
        between(&undated["start"])
    )
}

/// What the last full check found.
pub(super) fn checked(out: &mut String, c: &Value) -> std::fmt::Result {
    let Some(took) = c["took_s"].as_f64() else { return Ok(()) };
    let when =
        c["time"].as_str().map_or_else(|| "in a boot without time".to_owned(), str::to_owned);
    let rows: Vec<&str> = lines(&c["rows"]).collect();
    write!(out, "last full check {when}, {took:.1} s: ")?;
    match rows.first() {
        None => writeln!(out, "the queue is whole")?,
        Some(first) => writeln!(
            out,
            "{} ROWS CAN'T BE TAKEN, the rest is whole: {first}; keep the data directory and call for support",
            rows.len()
        )?,
    }
    for index in lines(&c["mended"]) {
        writeln!(out, "          {index} lacked entries and was built anew")?;
    }
    Ok(())
}

/// What damaged queues take.
pub(super) fn set_aside(out: &mut String, a: &Value) -> std::fmt::Result {
    let bytes = a["bytes"].as_u64().unwrap_or(0);
    match a["databases"].as_u64() {
        None | Some(0) => Ok(()),
        Some(databases) => writeln!(
            out,
            "{databases} damaged set aside in damaged-*, {:.1} MiB; never deleted by this program",
            bytes as f64 / f64::from(1 << 20)
        ),
    }
}

/// What to do where a directory was moved away too soon.
const GONE: &str = "; IT IS NOT THERE: put it back, or the rest of its readings is not carried";

/// Damaged queues whose readings are carried over, or were: those until their files are moved
/// away, so that nobody has to acknowledge anything else.
pub(super) fn carried_over(out: &mut String, all: &Value) -> std::fmt::Result {
    for one in all.as_array().into_iter().flatten() {
        let dir = one["dir"].as_str().unwrap_or_default();
        let readings = grouped(one["readings"].as_u64().unwrap_or(0));
        let lost = one["lost"].as_u64().unwrap_or(0);
        if one["done"] == false {
            write!(out, "carrying over from {dir}: {readings}")?;
            if let Some(of) = one["of"].as_u64() {
                write!(out, " of {}", grouped(of))?;
            }
            write!(out, " readings, {} lost", grouped(lost))?;
            writeln!(out, "{}", if one["there"] == false { GONE } else { "" })?;
            continue;
        }
        if one["there"] == false || readings == "0" && one["of"] == 0 && lost == 0 {
            continue;
        }
        write!(out, "carried over {readings} readings from {dir}")?;
        if one["of"].is_null() {
            write!(out, " (how many it held can't be read)")?;
        }
        if lost > 0 {
            write!(out, ", {} LOST", grouped(lost))?;
            let numbers = one["lost_numbers"].as_array().into_iter().flatten();
            let ranges: Vec<String> =
                numbers.map(|pair| format!("{} to {}", pair[0], pair[1])).collect();
            if !ranges.is_empty() {
                write!(out, " (numbers {})", ranges.join(", "))?;
            }
        }
        writeln!(out, "; the damaged files stay there: keep them, then move them away")?;
    }
    Ok(())
}
