//! The snapshot in a technician's words: what works, what doesn't, what to do. Made from
//! the same JSON that `--json` prints, so that the two can't disagree.

mod gps;
mod remarks;

use std::fmt::Write;

use serde_json::Value;

use gps::gps;
pub use remarks::undated_boot;
use remarks::{
    battery, carried_over, checked, disagreeing, disagreement, disk, learnt, set_aside,
    undated_boots,
};

/// States of the balance, in the order of a reading's life.
const STATES: [(&str, &str); 8] = [
    ("recorded", "recorded"),
    ("ready", "ready to send"),
    ("held", "held"),
    ("in_doubt", "in doubt"),
    ("sent", "at JobCloser"),
    ("rejected", "rejected"),
    ("discarded", "discarded"),
    ("deleted", "deleted"),
];

/// Reasons for a hold, with what to do about each.
const HOLDS: [(&str, &str); 7] = [
    ("no_job", "no job: `spraylog job use`, or `spraylog records assign` afterwards"),
    (
        "no_place",
        "no position when they were recorded: it stays unknown; if they grow, check the GPS antenna",
    ),
    ("no_time", "no time yet: the GPS tells that of the boot that is running"),
    (
        "no_serial",
        "no meter serial: set meter.serial_number; what was recorded without one stays held",
    ),
    ("time_conflict", "two in one second: `spraylog records list --state time-conflict`"),
    (
        "unreadable",
        "that can't be decoded, set aside: `spraylog records list --state unreadable`; call for support",
    ),
    ("refused", "refused by JobCloser: mend the job there, then `spraylog records retry`"),
];

/// The snapshot as lines for people.
pub fn text(snapshot: &Value) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write_all(&mut out, snapshot);
    out
}

fn write_all(out: &mut String, s: &Value) -> std::fmt::Result {
    daemon(out, s)?;
    if s["daemon"]["running"] == true && s["daemon"]["answering"] != false {
        meter(out, &s["meter"])?;
        not_durable(out, &s["meter"]["recorder"]["not_durable"])?;
        gps(out, &s["gps"])?;
        clock(out, &s["clock"])?;
        job(out, &s["job"])?;
        server(out, &s["server"])?;
        learnt(out, &s["learnt"], &s["server"]["url"])?;
        disk(out, s)?;
    }
    writeln!(out)?;
    match s["queue_problem"].as_str() {
        Some(problem) => writeln!(out, "NO QUEUE  {problem}"),
        None => balance(out, s),
    }
}

fn daemon(out: &mut String, s: &Value) -> std::fmt::Result {
    let d = &s["daemon"];
    if d["running"] != true {
        return writeln!(
            out,
            "spraylog  NOT RUNNING: `systemctl start spraylog`; this is what the queue holds"
        );
    }
    if d["answering"] == false {
        let problem = word(&d["problem"]);
        return writeln!(out, "spraylog  NOT ANSWERING: {problem}; this is what the queue holds");
    }
    writeln!(
        out,
        "spraylog  {} running as {}, pid {}",
        word(&d["version"]),
        word(&d["device"]),
        d["pid"]
    )?;
    for problem in lines(&d["degraded"]) {
        writeln!(out, "          DEGRADED, the last good configuration runs: {problem}")?;
    }
    for problem in lines(&d["reload_refused"]) {
        writeln!(out, "          RELOAD REFUSED, the old configuration runs: {problem}")?;
    }
    Ok(())
}

fn meter(out: &mut String, m: &Value) -> std::fmt::Result {
    let r = &m["recorder"];
    if m["port_open"] != true {
        let problem = m["problem"].as_str().unwrap_or("not open yet");
        return writeln!(out, "meter     NOT CONNECTED: {problem}");
    }
    if m["stale"] == true {
        if let Some(problem) = m["polled"]["problem"].as_str() {
            return writeln!(
                out,
                "meter     ASKED IN VAIN: {} is open, and {problem}; check its power, wiring, unit and framing",
                word(&m["port"])
            );
        }
        return writeln!(
            out,
            "meter     SILENT: {} is open and says nothing; check its power",
            word(&m["port"])
        );
    }
    write!(out, "meter     {}", word(&m["state"]))?;
    if let Some(rate) = r["rate_gpm"].as_f64() {
        write!(out, ", {rate:.2} gal/min")?;
    }
    write!(out, ", count {} of meter {}", r["raw"], word(&r["serial"]))?;
    battery(out, r)?;
    writeln!(out)?;
    disagreement(out, r)
}

/// What a power cut would take the places of.
fn not_durable(out: &mut String, n: &Value) -> std::fmt::Result {
    let Some(readings) = n["readings"].as_u64() else { return Ok(()) };
    writeln!(
        out,
        "          NOT DURABLE: {readings} readings only in memory, for {} s: {}; {} ({})",
        n["for_s"],
        word(&n["why"]),
        word(&n["remedy"]),
        word(&n["directory"])
    )?;
    if n["full"] == true {
        writeln!(
            out,
            "          NO ROOM FOR MORE: gallons are still counted, places and times are not kept"
        )?;
    }
    Ok(())
}

fn clock(out: &mut String, c: &Value) -> std::fmt::Result {
    match c["time"].as_str() {
        Some(time) => writeln!(out, "clock     {time} by {}", word(&c["source"]))?,
        None => writeln!(out, "clock     NO TIME yet: readings are kept and wait for it")?,
    }
    disagreeing(out, c)
}

fn job(out: &mut String, j: &Value) -> std::fmt::Result {
    let a = &j["assignment"];
    match a["job"].as_str() {
        Some(job) => writeln!(
            out,
            "job       {job}, event {} ({})",
            word(&a["event"]),
            word(&j["chosen_by"])
        ),
        None => writeln!(
            out,
            "job       NONE: readings are held; `spraylog job use --event ID --job ID`"
        ),
    }
}

fn server(out: &mut String, s: &Value) -> std::fmt::Result {
    let d = &s["delivery"];
    write!(out, "server    {}: {}", word(&s["url"]), word(&d["doing"]))?;
    if let Some(seconds) = d["next_try_s"].as_u64() {
        write!(out, ", next try in {seconds} s")?;
    }
    writeln!(out)?;
    if let Some(trouble) = d["trouble"].as_str() {
        writeln!(out, "          {trouble}")?;
    }
    for doubt in d["doubts"].as_array().into_iter().flatten() {
        let (readings, job) = (&doubt["readings"], word(&doubt["job"]));
        write!(
            out,
            "          {readings} in doubt of job {job}, event {}: ",
            word(&doubt["event"])
        )?;
        match doubt["why"].as_str() {
            Some(why) => write!(out, "{why}; asked again")?,
            None if doubt["carried"] == doubt["readings"] => {
                write!(out, "from a damaged queue, perhaps sent before; asked about")?;
            }
            None => {
                write!(out, "sent, and not answered")?;
                if let Some(carried @ 1..) = doubt["carried"].as_u64() {
                    write!(out, ", or ({carried}) from a damaged queue, perhaps sent before")?;
                }
                write!(out, "; asked about")?;
            }
        }
        writeln!(out, " in {} s", doubt["next_question_s"])?;
    }
    Ok(())
}

fn balance(out: &mut String, s: &Value) -> std::fmt::Result {
    writeln!(out, "{:<16}{:>10}{:>14}", "", "readings", "gallons")?;
    for (key, name) in STATES {
        let (readings, gallons) = (&s["balance"][key], s["gallons"][key].as_f64().unwrap_or(0.0));
        if *readings != 0 || matches!(key, "recorded" | "ready" | "held" | "in_doubt" | "sent") {
            let readings = readings.to_string();
            writeln!(out, "{name:<16}{readings:>10}{gallons:>14.3}")?;
        }
        if key == "held" {
            for (reason, what) in HOLDS {
                let many = s["held_for"][reason].as_i64().unwrap_or(0);
                if many > 0 {
                    writeln!(out, "  {many} {what}")?;
                }
            }
            undated_boots(out, s)?;
            refused_jobs(out, &s["refused_jobs"])?;
        }
    }
    closed_jobs(out, &s["closed_jobs"])?;
    let sums = [&s["balance"]["balanced"], &s["gallons"]["balanced"]];
    if sums.iter().any(|sum| **sum == false) || s["daemon"]["rows_missing"] == true {
        writeln!(
            out,
            "THE BALANCE DOES NOT ADD UP: keep the data directory as it is and call for support"
        )?;
    }
    checked(out, &s["checked"])?;
    carried_over(out, &s["carried_over"])?;
    for other in lines(&s["other_databases"]) {
        writeln!(
            out,
            "ANOTHER QUEUE: {other} holds readings of another version; they are not counted above and never sent: keep it and call for support"
        )?;
    }
    set_aside(out, &s["set_aside"])
}

/// What JobCloser says of each job that it refuses: only that tells what to mend there.
fn refused_jobs(out: &mut String, jobs: &Value) -> std::fmt::Result {
    for refused in jobs.as_array().into_iter().flatten() {
        let (event, job) = (word(&refused["event"]), word(&refused["job"]));
        let whose = match job.as_str() {
            "" => "every job".to_owned(),
            job => format!("job {job}, event {event}"),
        };
        writeln!(out, "  {whose}: JobCloser says \"{}\"", word(&refused["message"]))?;
    }
    Ok(())
}

/// The last jobs that are over, and every one of those shown that something is wrong with.
fn closed_jobs(out: &mut String, jobs: &Value) -> std::fmt::Result {
    const LAST: usize = 5;
    let jobs: Vec<&Value> = jobs.as_array().into_iter().flatten().collect();
    let older = jobs.len().saturating_sub(LAST);
    for (nth, job) in jobs.into_iter().enumerate() {
        let (waiting, missing, extras) = (
            job["waiting"].as_u64().unwrap_or(0),
            job["missing"].as_u64().unwrap_or(0),
            job["extras"].as_u64().unwrap_or(0),
        );
        if nth < older && missing + extras == 0 {
            continue;
        }
        let gallons = job["gallons"].as_f64().unwrap_or(0.0);
        let records = grouped(job["records"].as_u64().unwrap_or(0));
        write!(out, "job {}, event {}: ", word(&job["job"]), word(&job["event"]))?;
        write!(out, "{gallons:.1} gal, {records} records")?;
        match job["verified"].as_str() {
            Some(when) if job["all_there"] == true => {
                write!(out, ", all at JobCloser, verified {when}")?;
            }
            Some(when) if missing > 0 => {
                let missing = grouped(missing);
                write!(out, ", {missing} MISSING at JobCloser, verified {when}: ")?;
                write!(
                    out,
                    "its list may be cut, so they are not sent again; look at the job there"
                )?;
            }
            Some(_) | None => write!(out, " sent, not yet verified")?,
        }
        if waiting > 0 {
            write!(out, "; {} more to be sent", grouped(waiting))?;
        }
        if extras > 0 {
            let extras = grouped(extras);
            write!(
                out,
                "; {extras} records there are not this rig's or are there twice: delete them there"
            )?;
        }
        writeln!(out)?;
    }
    Ok(())
}

/// A count in groups of three digits.
pub fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut out = String::new();
    for (nth, digit) in digits.chars().enumerate() {
        if nth > 0 && (digits.len() - nth).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

fn word(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn lines(value: &Value) -> impl Iterator<Item = &str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::status::nothing_yet;

    #[test]
    fn a_daemon_that_is_down_is_said_first_and_the_queue_still_shown() {
        let said = text(&nothing_yet(&[], (0, 0)));
        assert!(said.starts_with("spraylog  NOT RUNNING"), "{said}");
        assert!(said.contains("recorded"));
    }

    #[test]
    fn a_balance_that_does_not_add_up_is_shouted() {
        let mut snapshot = nothing_yet(&[], (0, 0));
        snapshot["gallons"]["balanced"] = false.into();
        assert!(text(&snapshot).contains("DOES NOT ADD UP"));
        let mut snapshot = nothing_yet(&[], (0, 0));
        snapshot["daemon"]["rows_missing"] = true.into();
        assert!(text(&snapshot).contains("DOES NOT ADD UP"));
    }

    #[test]
    fn the_battery_is_told_as_far_as_it_is_known() {
        let mut snapshot = nothing_yet(&[], (0, 0));
        snapshot["daemon"]["running"] = true.into();
        snapshot["meter"]["port_open"] = true.into();
        for (battery, told) in [
            (
                json!({ "battery_percent": 78.4, "runtime_min": 312.0 }),
                ", battery 78 %, 5 h 12 min left\n",
            ),
            (
                json!({ "battery_percent": 8.0, "runtime_min": 42.0 }),
                ", battery 8 %, 42 min left\n",
            ),
            (json!({ "battery_percent": 78.4, "battery_volts": 12.3 }), ", battery 78 %\n"),
            (json!({ "battery_volts": 12.3 }), ", battery 12.30 V\n"),
            (json!({}), "of meter null\n"),
        ] {
            snapshot["meter"]["recorder"] = battery;
            assert!(text(&snapshot).contains(told), "{told}");
        }
    }

    #[test]
    fn a_count_and_a_rate_that_disagree_are_told_with_what_to_do() {
        let mut snapshot = nothing_yet(&[], (0, 0));
        snapshot["daemon"]["running"] = true.into();
        snapshot["meter"]["port_open"] = true.into();
        let mut said = |what: Value| {
            snapshot["meter"]["recorder"] = json!({ "rate_gpm": 2.1, "disagreement": what });
            text(&snapshot)
        };
        assert!(said("count_frozen".into()).contains("COUNT FROZEN: its rate says 2.10 gal/min"));
        assert!(said("counts_without_rate".into()).contains("NO RATE: "));
        let none = said(Value::Null);
        assert!(!none.contains("FROZEN") && !none.contains("NO RATE"), "{none}");
    }

    #[test]
    fn what_is_only_in_memory_is_said_with_why_and_what_to_do_even_if_the_meter_is_gone() {
        let mut snapshot = nothing_yet(&[], (0, 0));
        snapshot["daemon"]["running"] = true.into();
        snapshot["meter"]["port_open"] = false.into();
        snapshot["meter"]["recorder"]["not_durable"] = json!({
            "readings": 7, "for_s": 42, "why": "disk full", "remedy": "make room on it",
            "directory": "/data", "full": false,
        });
        let said = text(&snapshot);
        let line =
            "NOT DURABLE: 7 readings only in memory, for 42 s: disk full; make room on it (/data)";
        assert!(said.contains(line) && !said.contains("NO ROOM"), "{said}");
        snapshot["meter"]["recorder"]["not_durable"]["full"] = true.into();
        assert!(text(&snapshot).contains("NO ROOM FOR MORE"));
    }

    #[test]
    fn a_disk_with_little_room_is_told_and_one_with_enough_is_not() {
        let mut snapshot = nothing_yet(&[], (0, 0));
        snapshot["daemon"]["running"] = true.into();
        snapshot["disk"] = json!({ "low": false, "over_max": false });
        assert!(!text(&snapshot).contains("disk "));
        snapshot["disk"] = json!({
            "low": true, "free_bytes": 3 << 20, "ballast": false,
            "over_max": true, "queue_bytes": 9 << 20,
        });
        let said = text(&snapshot);
        assert!(said.contains("LOW: 3 MiB free, ballast given up"), "{said}");
        assert!(said.contains("LARGE: the queue has 9 MiB"), "{said}");
    }

    #[test]
    fn a_damaged_queue_is_told_to_be_moved_away_once_it_is_carried_over_and_asked_for_before() {
        let mut snapshot = nothing_yet(&[], (0, 0));
        snapshot["daemon"]["running"] = true.into();
        snapshot["disk"] = json!({ "low": true, "free_bytes": 3 << 20, "ballast": true });
        snapshot["set_aside"] = json!({ "databases": 1, "bytes": 5 << 20 });
        let mut one = json!({ "dir": "/d/damaged-1", "readings": 5, "of": 9, "lost": 0 });
        (one["there"], one["done"]) = (true.into(), false.into());
        snapshot["carried_over"] = json!([one]);
        let said = text(&snapshot);
        assert!(!said.contains("delete it here") && !said.contains("NOT THERE"), "{said}");
        snapshot["carried_over"][0]["there"] = false.into();
        let said = text(&snapshot);
        assert!(said.contains("5 of 9 readings, 0 lost; IT IS NOT THERE: put it back"), "{said}");
        snapshot["carried_over"][0]["done"] = true.into();
        assert!(text(&snapshot).contains("5 MiB are damaged queues: copy damaged-*"));
    }

    #[test]
    fn every_reason_for_a_hold_says_what_to_do() {
        let mut snapshot = nothing_yet(&[], (0, 0));
        snapshot["held_for"]["no_job"] = 7.into();
        assert!(text(&snapshot).contains("7 no job: `spraylog job use`"));
        for (reason, what) in HOLDS {
            let mut snapshot = nothing_yet(&[], (0, 0));
            assert_eq!(snapshot["held_for"][reason], 0, "{reason}");
            snapshot["held_for"][reason] = 7.into();
            assert!(text(&snapshot).contains(what), "{reason}");
        }
    }

    #[test]
    fn what_is_in_doubt_says_whose_it_is_and_why() {
        let mut snapshot = nothing_yet(&[], (0, 0));
        snapshot["daemon"]["running"] = true.into();
        snapshot["server"]["delivery"]["doubts"] = json!([
            { "event": "e", "job": "a", "readings": 3, "why": "HTTP 500", "next_question_s": 42 },
            { "event": "e", "job": "b", "readings": 1, "why": null, "next_question_s": 7 },
            { "event": "e", "job": "c", "readings": 2, "carried": 2, "next_question_s": 8 },
            { "event": "e", "job": "d", "readings": 5, "carried": 2, "next_question_s": 9 },
        ]);
        let said = text(&snapshot);
        assert!(said.contains("3 in doubt of job a, event e: HTTP 500; asked again in 42 s\n"));
        let b = "1 in doubt of job b, event e: sent, and not answered; asked about in 7 s\n";
        assert!(said.contains(b), "{said}");
        let c = "2 in doubt of job c, event e: from a damaged queue, perhaps sent before; asked about in 8 s\n";
        assert!(said.contains(c), "{said}");
        let d = "sent, and not answered, or (2) from a damaged queue, perhaps sent before; asked about in 9 s\n";
        assert!(said.contains(d), "{said}");
    }

    #[test]
    fn what_was_learnt_is_shown_for_the_server_that_it_is_of() {
        let mut snapshot = nothing_yet(&[], (0, 0));
        snapshot["daemon"]["running"] = true.into();
        snapshot["server"]["url"] = "https://a".into();
        snapshot["learnt"] = json!({ "base_url": "https://a", "remarks": ["decimals are cut"] });
        assert!(text(&snapshot).contains("          decimals are cut\n"));
        snapshot["server"]["url"] = "https://b".into();
        let said = text(&snapshot);
        assert!(!said.contains("decimals") && said.contains("https://a is void"), "{said}");
    }

    #[test]
    fn a_refused_job_is_shown_with_the_servers_words() {
        let mut snapshot = nothing_yet(&[], (0, 0));
        snapshot["refused_jobs"] = json!([
            { "event": "e", "job": "a", "message": "The job is closed" },
            { "event": "", "job": "", "message": "Unknown meter" },
        ]);
        let said = text(&snapshot);
        assert!(
            said.contains("  job a, event e: JobCloser says \"The job is closed\"\n"),
            "{said}"
        );
        assert!(said.contains("  every job: JobCloser says \"Unknown meter\"\n"), "{said}");
    }

    #[test]
    fn the_owner_reads_that_all_of_a_job_is_there_or_what_is_not() {
        let mut snapshot = nothing_yet(&[], (0, 0));
        let job = |more: Value| {
            let mut job = json!({ "event": "e", "job": "a", "gallons": 412.34, "records": 2391,
                "waiting": 0, "missing": 0, "extras": 0, "all_there": false, "verified": null });
            job.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            job
        };
        snapshot["closed_jobs"] = json!([
            job(json!({ "all_there": true, "verified": "2027-05-02 17:42" })),
            job(json!({ "missing": 3, "extras": 1, "verified": "2027-05-02 17:42" })),
            job(json!({ "waiting": 1200 })),
        ]);
        let said = text(&snapshot);
        let all = "job a, event e: 412.3 gal, 2,391 records, all at JobCloser, verified 2027-05-02 17:42\n";
        assert!(said.contains(all), "{said}");
        assert!(said.contains("2,391 records, 3 MISSING at JobCloser"), "{said}");
        assert!(said.contains("; 1 records there are not this rig's"), "{said}");
        assert!(said.contains("2,391 records sent, not yet verified; 1,200 more to be sent\n"));
    }
}
