//! The receiver's lines of `status`: where fixes come from, and what keeps them from coming.
//! Knows nothing of how one is accepted.

use std::fmt::Write;

use serde_json::Value;

use super::word;

/// Why what a receiver says is no fix, in the words of its `rejected`.
const CAUSES: [(&str, &str); 12] = [
    ("void", "void (it sees too few satellites)"),
    ("no_quality", "without a fix (it sees too few satellites)"),
    ("estimated", "estimated or simulated"),
    ("mode", "estimated or simulated by their mode"),
    ("unconfirmed", "of too few satellites, and not confirmed"),
    ("no_hdop", "without an HDOP"),
    ("hdop", "with an HDOP over gps.max_hdop"),
    ("range", "off the globe"),
    ("null_island", "at 0,0"),
    ("disagreement", "in two places at once"),
    ("unpaired", "without RMC or GGA of the same time: the receiver must send both"),
    ("repeated", "said again (it may be frozen)"),
];

pub(super) fn gps(out: &mut String, g: &Value) -> std::fmt::Result {
    match g["source"].as_str() {
        Some("gpsd") => return gpsd(out, g),
        Some("none") => {
            return writeln!(
                out,
                "gps       NONE (gps.source): readings are held until they are given a place"
            );
        }
        Some("fixed") => {
            let (lat, lon) = (&g["fixed"][0], &g["fixed"][1]);
            return writeln!(
                out,
                "gps       FIXED at {lat}, {lon} (gps.fixed): every record gets it"
            );
        }
        _ => {}
    }
    if g["port_open"] == false {
        let problem = g["problem"].as_str().unwrap_or("not open yet");
        return writeln!(out, "gps       NOT CONNECTED: {problem}");
    }
    fix(out, g)
}

/// gpsd reports each second where its receiver speaks, fix or not.
const SILENT_MS: i64 = 5_000;

/// gpsd may be there without a receiver, and a receiver without a fix.
fn gpsd(out: &mut String, g: &Value) -> std::fmt::Result {
    let d = &g["gpsd"];
    let address = word(&d["connection"]["path"]);
    if d["connection"]["open"] != true {
        let problem = g["problem"].as_str().unwrap_or("not connected yet");
        return writeln!(out, "gps       NOT CONNECTED: {problem}");
    }
    if d["release"].is_null() {
        return writeln!(
            out,
            "gps       NOT GPSD: what answers at {address} doesn't speak its protocol; see gps.gpsd"
        );
    }
    let devices = || d["devices"].as_array().into_iter().flatten();
    let Some(device) = devices().find(|device| device["active"] == true) else {
        let known: Vec<_> = devices().map(|device| word(&device["path"])).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        return writeln!(
            out,
            "gps       NO RECEIVER: gpsd at {address} reads none (knows {known}); check its cable, and DEVICES in /etc/default/gpsd"
        );
    };
    if let Some(silent_ms) = d["silent_ms"].as_i64().filter(|ms| *ms > SILENT_MS) {
        return writeln!(
            out,
            "gps       SILENT: gpsd at {address} has reported nothing of {} for {} s; check its cable and power, then restart gpsd",
            word(&device["path"]),
            silent_ms / 1000
        );
    }
    fix(out, g)?;
    writeln!(
        out,
        "          by gpsd {} at {address}, {} {}",
        word(&d["release"]),
        word(&device["path"]),
        word(&device["driver"])
    )
}

fn fix(out: &mut String, g: &Value) -> std::fmt::Result {
    match g["fix_age_ms"].as_i64() {
        Some(age) => {
            writeln!(out, "gps       fix {}, {:.1} s old", word(&g["fix"]), age as f64 / 1000.0)?;
        }
        None => writeln!(out, "gps       NO FIX yet; it needs a clear sky")?,
    }
    refused_fixes(out, g)
}

/// What was not used of a receiver's word, while there is no fresh fix; and places that it
/// jumped to, since they tell of a bad one.
fn refused_fixes(out: &mut String, g: &Value) -> std::fmt::Result {
    let mut refused: Vec<String> = Vec::new();
    if g["fix"] != "fresh" {
        let of = |(cause, what): (&str, &str)| {
            let many = g["decoded"]["rejected"][cause].as_u64().filter(|many| *many > 0)?;
            Some(format!("{many} {what}"))
        };
        refused.extend(CAUSES.into_iter().filter_map(of));
    }
    if let Some(jumps) = g["jumps"].as_u64().filter(|jumps| *jumps > 0) {
        refused.push(format!("{jumps} further off than any sprayer drives"));
    }
    if refused.is_empty() {
        return Ok(());
    }
    writeln!(out, "          fixes not used since the start: {}", refused.join(", "))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_source_that_brings_no_fix_is_named_and_the_sky_is_not() {
        let mut said = String::new();
        gps(&mut said, &serde_json::json!({ "source": "none" })).unwrap();
        assert!(said.contains("NONE (gps.source)") && !said.contains("sky"), "{said}");
        let mut said = String::new();
        gps(&mut said, &serde_json::json!({ "source": "serial", "port_open": true })).unwrap();
        assert!(said.contains("sky"), "{said}");
    }

    #[test]
    fn what_keeps_gpsd_from_telling_a_place_is_said_by_its_cause() {
        let mut g = json!({
            "source": "gpsd", "problem": "cannot reach gpsd at h:1", "fix": "none",
            "fix_age_ms": null,
            "gpsd": { "connection": { "path": "h:1", "open": false }, "release": null,
                      "devices": [] },
        });
        let said = |g: &Value| {
            let mut said = String::new();
            gps(&mut said, g).unwrap();
            said
        };
        assert!(said(&json!({ "source": "gpsd" })).contains("NOT CONNECTED: not connected yet"));
        assert!(said(&g).contains("NOT CONNECTED: cannot reach gpsd at h:1"));
        g["gpsd"]["connection"]["open"] = true.into();
        assert!(said(&g).contains("NOT GPSD: what answers at h:1"));
        g["gpsd"]["release"] = "3.22".into();
        assert!(said(&g).contains("NO RECEIVER: gpsd at h:1 reads none (knows none)"));
        g["gpsd"]["devices"] = json!([{ "path": "/dev/a", "active": false, "driver": null }]);
        assert!(said(&g).contains("(knows /dev/a); check its cable"));
        g["gpsd"]["devices"] = json!([{ "path": "/dev/a", "active": true, "driver": "NMEA0183" }]);
        assert!(
            said(&g).contains("NO FIX yet") && said(&g).contains("by gpsd 3.22 at h:1, /dev/a")
        );
        g["gpsd"]["silent_ms"] = 42_000.into();
        assert!(said(&g).contains("SILENT: gpsd at h:1 has reported nothing of /dev/a for 42 s"));
        g["gpsd"]["silent_ms"] = 900.into();
        g["fix"] = "fresh".into();
        g["fix_age_ms"] = 400.into();
        assert!(said(&g).contains("fix fresh, 0.4 s old"));
    }

    #[test]
    fn a_configured_place_is_shown_as_one() {
        let mut said = String::new();
        gps(&mut said, &json!({ "source": "fixed", "fixed": [32.6, -85.4], "fix": "fresh" }))
            .unwrap();
        assert_eq!(said, "gps       FIXED at 32.6, -85.4 (gps.fixed): every record gets it\n");
    }

    #[test]
    fn why_there_is_no_fix_is_told_by_cause_and_jumps_always() {
        let mut g = json!({ "source": "serial", "port_open": true, "fix": "none", "fix_age_ms": 9000,
            "decoded": { "rejected": { "void": 12, "hdop": 3, "range": 0 } }, "jumps": 0 });
        let mut said = String::new();
        gps(&mut said, &g).unwrap();
        let causes = "not used since the start: 12 void (it sees too few satellites), 3 with an HDOP over gps.max_hdop\n";
        assert!(said.contains(causes), "{said}");
        (g["fix"], g["jumps"]) = ("fresh".into(), 2.into());
        said.clear();
        gps(&mut said, &g).unwrap();
        assert!(!said.contains("void") && said.contains("2 further off than any"), "{said}");
    }
}
