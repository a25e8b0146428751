//! The command line as a technician types it, against the real files and a real daemon:
//! what is said, with which exit code, and that no secret is in any of it.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use hil_sim::bench::Bench;
use hil_sim::jobcloser::{Fault, Target, Times};
use hil_sim::nmea::sentence;
use rstest::rstest;
use serde_json::Value;

use crate::bench::{SOON, agent, options, options_with};
use crate::look::{command, flagged, said, said_json, seconds, until_baseline, until_flagged};

fn spraylog(args: &[&str]) -> Output {
    Command::new(agent()).args(args).output().unwrap()
}

/// The same with something on its standard input.
fn piped(args: &[&str], input: &[u8]) -> Output {
    let mut command = Command::new(agent());
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    output
}

fn json_lines(output: &Output) -> Vec<Value> {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output
        .stdout
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect()
}

fn complaint(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn status_tells_a_rig_at_work_a_rig_that_rests_and_one_that_never_worked() {
    let mut setup = options();
    setup.start_agent = false;
    let mut bench = Bench::start(setup).await.unwrap();
    let never = said(&bench, &["status"]);
    assert!(never.starts_with("spraylog  NOT RUNNING"), "{never}");
    assert_eq!(said_json(&bench, &["status", "--json"])["balance"]["recorded"], 0);

    bench.start_agent().unwrap();
    until_baseline(&bench).await;
    bench.spray(3.0);
    bench.wait_for_records(3, SOON).await.unwrap();
    let working = said(&bench, &["status"]);
    for word in ["running as bench", "flowing, 3.0", "fix fresh", "by gps", "at JobCloser"] {
        assert!(working.contains(word), "no {word:?} in\n{working}");
    }
    let json = said_json(&bench, &["status", "--json"]);
    assert_eq!(json["daemon"]["running"], true);
    assert!(json["last_seq"].as_i64() >= Some(3), "{json}");

    bench.stop_spraying();
    until_flagged(&bench, "stop").await;
    bench.settle_and_judge(SOON).await.assert_clean();
    bench.stop_agent().await.unwrap();
    let resting = said(&bench, &["status"]);
    assert!(resting.starts_with("spraylog  NOT RUNNING"), "{resting}");
    let sent = said_json(&bench, &["status", "--json"])["balance"]["sent"].as_u64().unwrap();
    assert_eq!(sent as usize, bench.records().len(), "what the queue holds is shown all the same");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn status_that_is_watched_goes_on_and_shows_what_is_new() {
    let mut bench = Bench::start(options()).await.unwrap();
    until_baseline(&bench).await;
    bench.spray(4.0);
    let mut watch = bench.agent().command(&["status", "--watch"]);
    let mut watch = watch.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    let mut recorded = Vec::new();
    while recorded.len() < 4 {
        let line = lines.next().unwrap().unwrap();
        if let Some(numbers) = line.strip_prefix("recorded") {
            recorded.push(numbers.split_whitespace().next().unwrap().parse::<u64>().unwrap());
        }
    }
    watch.kill().unwrap();
    watch.wait().unwrap();
    assert!(recorded.is_sorted() && recorded.last() > recorded.first(), "{recorded:?}");
    bench.stop_spraying();
    bench.settle_and_judge(SOON).await.assert_clean();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_are_listed_by_state_and_shown_as_they_were_sent() {
    let mut bench = Bench::start(options()).await.unwrap();
    until_baseline(&bench).await;
    bench.spray(4.0);
    bench.wait_for_records(3, SOON).await.unwrap();
    bench.server().go_away().await;
    seconds(2.5).await;
    bench.stop_spraying();
    until_flagged(&bench, "stop").await;

    let count = |args: &[&str]| {
        let all = [&["records", "list", "--json"], args].concat();
        said_json(&bench, &all).as_array().unwrap().len()
    };
    let sent = count(&["--state", "sent"]);
    assert_eq!(sent, bench.records().len());
    let stop = flagged(&bench, "stop")[0]["seq"].as_u64().unwrap();
    assert!(count(&["--state", "ready"]) + sent <= stop as usize);
    assert_eq!(count(&["--seq", "1..2"]), 2);
    assert_eq!(count(&["--job", "00000000000000000000000000000f"]), 0);
    let text = said(&bench, &["records", "list", "--limit", "3"]);
    assert_eq!(text.lines().count(), 4, "a head and three: {text}");
    let shown = said_json(&bench, &["records", "show", "1"]);
    let stored = &bench.records()[0];
    for field in ["Latitude", "MeterRawCount", "ApplicationDate", "Note"] {
        assert_eq!(Some(&shown["record"][field]), stored.fields.get(field), "{field}");
    }
    let none = command(&bench, &["records", "show", "4711"]);
    assert_eq!(none.status.code(), Some(65), "{}", complaint(&none));
    assert!(complaint(&none).contains("4711"));

    bench.server().come_back().await.unwrap();
    bench.settle_and_judge(SOON).await.assert_clean();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_config_prints_is_a_good_configuration_and_the_same_one() {
    let mut bench = Bench::start(options_with("record.every_m = 3.5")).await.unwrap();
    let printed = said(&bench, &["config"]);
    let copy = bench.dir().join("copy.toml");
    std::fs::write(&copy, &printed).unwrap();
    let checked = spraylog(&["check", "--config", copy.to_str().unwrap()]);
    assert_eq!(checked.status.code(), Some(0), "{}", String::from_utf8_lossy(&checked.stdout));
    let values = |text: &str| text.parse::<toml::Table>().unwrap();
    let again = spraylog(&["config", "--config", copy.to_str().unwrap()]);
    assert_eq!(values(&printed), values(&String::from_utf8(again.stdout).unwrap()));
    assert_eq!(values(&printed)["record"]["every_m"].as_float(), Some(3.5));
    bench.stop_agent().await.unwrap();
}

#[test]
fn check_tells_every_problem_at_once_with_file_line_key_and_the_likely_word() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("spraylog.toml");
    let text = "[device]\ndata_dir = '/var/lib/spraylog'\n[meter]\nprot = '/dev/x'\nbaud = 'fast'\n\
        [meter.calibration]\nfactor = 0\n[gsp]\nsource = 'serial'\n";
    std::fs::write(&file, text).unwrap();
    let checked = spraylog(&["check", "--config", file.to_str().unwrap()]);
    assert_eq!(checked.status.code(), Some(78));
    let told = String::from_utf8_lossy(&checked.stdout).into_owned() + &complaint(&checked);
    for (line, words) in [
        (4, ["meter.prot", "did you mean \"port\""]),
        (5, ["meter.baud", "a whole number without quotes"]),
        (7, ["meter.calibration.factor", "0 is out of range"]),
        (8, ["gsp", "did you mean \"gps\""]),
    ] {
        let at = format!("{}:{line}:", file.display());
        let found = told.lines().find(|told| told.starts_with(&at));
        let found = found.unwrap_or_else(|| panic!("nothing at line {line}:\n{told}"));
        assert!(words.iter().all(|word| found.contains(word)), "{found}");
    }
}

#[test]
fn check_tells_programs_the_same_as_people() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("spraylog.toml");
    let check = |text: &str| {
        std::fs::write(&file, text).unwrap();
        let checked = spraylog(&["check", "--json", "--config", file.to_str().unwrap()]);
        let told: Value = serde_json::from_slice(&checked.stdout).unwrap();
        (checked.status.code(), told)
    };
    let (code, told) = check("[meter]\nbauds = 1\n");
    assert_eq!((code, &told["good"], &told["summary"]), (Some(78), &false.into(), &Value::Null));
    let problem = told["problems"].as_array().unwrap().iter().find(|p| p["severity"] == "error");
    let problem = problem.unwrap();
    assert_eq!((&problem["line"], &problem["key"]), (&2.into(), &"meter.bauds".into()));
    assert_eq!((&problem["suggestion"], problem["file"].as_str()), (&"baud".into(), file.to_str()));
    let (code, told) = check("[meter]\nbaud = 4800\n");
    assert_eq!((code, &told["good"]), (Some(0), &true.into()));
    assert!(told["summary"]["meter"].as_str().unwrap().contains("4800"), "{told}");
    assert!(told["problems"].as_array().unwrap().iter().all(|p| p["severity"] == "warning"));
}

#[test]
fn status_that_is_watched_by_a_program_is_one_object_a_line() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("spraylog.toml");
    let data = dir.path().display();
    std::fs::write(&file, format!("device.data_dir = '{data}'\nstatus.socket = '{data}/s'\n"))
        .unwrap();
    let mut command = Command::new(agent());
    command.args(["status", "--watch", "--json", "--config"]).arg(&file);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let looks: Vec<String> = lines.take(2).map(Result::unwrap).collect();
    child.kill().unwrap();
    child.wait().unwrap();
    for look in looks {
        let look: Value = serde_json::from_str(&look).unwrap();
        assert_eq!(look["daemon"]["running"], false);
    }
}

#[rstest]
#[case::no_command(&[], 64, "Usage")]
#[case::an_unknown_command(&["spary"], 64, "spary")]
#[case::no_such_configuration(&["check", "--config", "/nowhere/spraylog.toml"], 78, "/nowhere/spraylog.toml")]
#[case::no_such_recording(&["gps", "decode", "/nowhere/gps.log"], 66, "/nowhere/gps.log")]
#[case::no_such_capture(&["meter", "decode", "--profile", "rig-line", "/nowhere/m"], 66, "/nowhere/m")]
#[case::a_directory_for_a_recording(&["gps", "decode", "/usr"], 66, "cannot read /usr: ")]
#[case::a_directory_for_a_capture(&["meter", "decode", "--profile", "rig-line", "/usr"], 66, "cannot read /usr: ")]
#[case::no_such_profile(&["meter", "decode", "--profile", "rig-lime", "-"], 78, "rig-lime")]
#[case::a_bound_that_is_none(&["gps", "decode", "--max-hdop", "nan", "-"], 64, "50 at most")]
#[case::a_number_that_is_none(&["records", "show", "first"], 64, "first")]
#[case::readings_that_are_not_said(&["records", "assign", "--event", "e", "--job", "j"], 64, "--seq")]
#[case::some_and_all(&["records", "assign", "--event", "e", "--job", "j", "--all", "--boot", "1"], 64, "--all")]
#[case::a_time_without_its_offset(&["records", "list", "--from", "2026-11-23T16:00"], 64, "offset")]
fn what_cannot_be_done_is_said_with_its_exit_code(
    #[case] args: &[&str],
    #[case] code: i32,
    #[case] words: &str,
) {
    let output = spraylog(args);
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    let told = complaint(&output) + &String::from_utf8_lossy(&output.stdout);
    assert!(told.contains(words), "{told}");
    assert!(!told.contains("panicked") && !told.contains("backtrace"), "{told}");
}

#[rstest]
#[case::a_list_of_problems(&["check"])]
#[case::a_configuration(&["config"])]
#[case::a_decoded_recording(&["gps", "decode", "-"])]
#[case::a_status(&["status", "--json"])]
fn output_that_cannot_be_written_is_said_to_be_that(#[case] args: &[&str]) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("spraylog.toml");
    let data = dir.path().display();
    std::fs::write(&file, format!("device.data_dir = '{data}'\nstatus.socket = '{data}/s'\n"))
        .unwrap();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut command = Command::new(agent());
    command.args(args).stdin(Stdio::null()).stdout(full);
    if args[0] != "gps" {
        command.arg("--config").arg(&file);
    }
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(74), "{output:?}");
    let told = complaint(&output);
    let last = told.lines().last().unwrap();
    assert!(last.starts_with("spraylog: cannot write the output: "), "{told}");
}

#[test]
fn a_capture_of_the_meter_is_decoded_from_a_file_and_from_a_pipe() {
    let lines = [
        sentence("FLOW,FM-1,17,1000,2.5,71.2,64.0,86,1350"),
        "$FLOW,FM-1,18,1005,2.5,,,,*00\r\n".to_owned(),
        "\u{7}garbage\r\n".to_owned(),
        sentence("FLOW,FM-1,19,1010,,,,,"),
    ];
    let capture = lines.concat().into_bytes();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("meter.log");
    std::fs::write(&file, &capture).unwrap();
    let decode = ["meter", "decode", "--profile", "rig-line"];
    let of_file = json_lines(&spraylog(&[&decode[..], &[file.to_str().unwrap()]].concat()));
    let of_pipe = json_lines(&piped(&[&decode[..], &["-"]].concat(), &capture));
    assert_eq!(of_file, of_pipe);
    assert_eq!((&of_file[0]["raw"], &of_file[0]["fluid_f"]), (&1000.into(), &71.2.into()));
    assert_eq!((&of_file[1]["seq"], &of_file[1]["fluid_f"]), (&19.into(), &Value::Null));
    let summary = &of_file[2]["summary"];
    assert_eq!((&summary["samples"], &summary["rejected"]["bad_checksum"]), (&2.into(), &1.into()));
    assert_eq!(of_file.len(), 3);
}

#[test]
fn a_recording_of_the_receiver_is_decoded_from_a_pipe_cut_short_or_not() {
    let epoch = |s: u32| {
        let (time, place) = (format!("1200{s:02}.00"), "3330.69799,N,08653.79206,W");
        sentence(&format!("GNRMC,{time},A,{place},0.100,,231126,,,A,V"))
            + &sentence(&format!("GNGGA,{time},{place},1,12,0.80,182.4,M,-29.1,M,,"))
    };
    let whole: String = (0..5).map(epoch).collect();
    let fixes = json_lines(&piped(&["gps", "decode", "-"], whole.as_bytes()));
    assert_eq!(fixes.len(), 6, "five and a summary");
    assert_eq!(fixes[4]["time"], "2026-11-23T12:00:04.000Z");
    assert_eq!(fixes[4]["offset"], whole.trim_end().len(), "of the byte after the checksum");
    assert!((fixes[0]["lat"].as_f64().unwrap() - 33.5116332).abs() < 1e-6);
    let torn = &whole.as_bytes()[..whole.len() - 20];
    let fixes = json_lines(&piped(&["gps", "decode", "-"], torn));
    assert_eq!(fixes.len(), 5, "half an epoch is no fix");
    let nothing = json_lines(&piped(&["gps", "decode", "-"], b""));
    assert!(nothing[0]["summary"].is_object() && nothing.len() == 1);
}

/// Everything that a file below `dir` says, but the files of the secrets themselves.
fn all_said_below(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut said = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap().filter_map(Result::ok) {
        let path = entry.path();
        let kind = entry.file_type().unwrap();
        if kind.is_dir() && !path.ends_with("credentials") {
            said.extend(all_said_below(&path));
        } else if kind.is_file() {
            said.push((path.clone(), std::fs::read(path).unwrap()));
        }
    }
    said
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_is_in_log_queue_status_or_config_at_any_level_whatever_the_server_does() {
    const SECRET: &str = "Zx9-hush-Q7";
    let mut setup = options_with("[log]\nlevel = 'trace'");
    setup.server.password = SECRET.to_owned();
    let mut bench = Bench::start(setup).await.unwrap();
    until_baseline(&bench).await;
    bench.spray(4.0);
    bench.wait_for_records(2, SOON).await.unwrap();
    let status = |code| Fault::Status { code, retry_after: None };
    let redirect = Fault::Redirect { to: "/elsewhere".to_owned() };
    for fault in [status(500), redirect, Fault::Html, Fault::Garbage, Fault::DropBeforeStoring] {
        bench.server().fault_at(Target::Any, fault, Times::Next(2));
        bench.server().end_sessions();
        let sent = bench.records().len();
        bench.wait_for_records(sent + 1, SOON).await.unwrap();
    }
    let mut told = all_said_below(bench.dir());
    for args in [&["status"][..], &["status", "--json"], &["config"], &["check"]] {
        told.push((args.join(" ").into(), command(&bench, args).stdout));
    }
    assert!(told.iter().any(|(path, text)| path.ends_with("agent.log") && text.len() > 1000));
    assert!(told.iter().any(|(path, _)| path.ends_with("queue.db")));
    for (path, text) in told {
        let found = text.windows(SECRET.len()).any(|window| window == SECRET.as_bytes());
        assert!(!found, "the password is in {}", path.display());
    }
    bench.stop_spraying();
    bench.settle_and_judge(SOON).await.assert_clean();
}
