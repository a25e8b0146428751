//! A meter on Modbus RTU, through the agent to the server: one that fails in every way, and
//! one by pymodbus, which nobody here has written.

mod slave;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use hil_sim::bench::Bench;
use serde_json::Value;

use crate::bench::{SOON, options_with};
use crate::look::{delivered, live, number, said, until, until_live};
use slave::{Mood, Slave};

const TIMEOUT: Duration = Duration::from_millis(200);

/// Counts in 4xxxx numbers, low register first; a temperature whose decimal point is in
/// another table; a battery that the meter never tells.
const PROFILE: &str = r#"
kind = "modbus-rtu"
[modbus]
addressing = "4xxxx"
timeout = "200ms"
pause = "5ms"
[fields]
raw_count = { register = 40017, type = "u32", order = "CDAB" }
rate = { register = 40019, type = "f32", order = "CDAB", unit = "L/min" }
fluid_temperature = { register = 30049, type = "i16", unit = "C", decimals = { register = 40065, type = "u16" } }
serial_number = { register = 40081, type = "string", length = 6 }
battery_percent = { register = 40513, type = "u16" }
[counter]
restart_from = "unknown"
"#;

/// An agent whose meter is at that port and speaks as that profile says.
async fn bench(dir: &Path, port: &Path, profile: &str) -> Bench {
    let file = dir.join("slave.toml");
    std::fs::write(&file, profile).unwrap();
    let (file, port) = (file.display(), port.display());
    Bench::start(options_with(&format!(
        "[meter]\nprofile = '{file}'\nport = '{port}'\nunit = 7\npoll_every = '250ms'\n\
         [meter.calibration]\nfactor = 100.0"
    )))
    .await
    .unwrap()
}

fn meter(link: &Path) -> Slave {
    let slave = Slave::plugged(link);
    count(&slave, 1000);
    // 7.5708 L/min, low register first.
    let rate = 7.570_823_6_f32.to_bits();
    slave.set(3, 18, &[rate as u16, (rate >> 16) as u16]);
    slave.set(4, 48, &[-125_i16 as u16]);
    slave.set(3, 64, &[1]);
    slave.set(3, 80, &[0x4D2D, 0x3432, 0x2020]);
    slave
}

fn count(slave: &Slave, count: u32) {
    slave.set(3, 16, &[count as u16, (count >> 16) as u16]);
}

async fn until_count(bench: &Bench, count: u64) {
    let shows = |s: &Value| s["meter"]["recorder"]["raw"] == count;
    until_live(bench, &format!("count {count}"), shows).await;
}

/// The server has everything up to that count, from that one.
async fn until_delivered(bench: &mut Bench, from: i64, to: i64) {
    until("the last count at the server", || {
        delivered(bench).last().is_some_and(|record| record.raw == to)
    })
    .await;
    bench.wait_until_drained(SOON).await.unwrap();
    let records = delivered(bench);
    let total = records.last().unwrap().total_gal;
    assert!((total - (to - from) as f64 / 100.0).abs() < 0.001, "{total} gal");
    assert!(records.windows(2).all(|w| w[0].raw <= w[1].raw && w[0].zero == w[1].zero));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_modbus_meter_that_fails_in_every_way_costs_no_gallon_and_invents_none() {
    let dir = tempfile::tempdir().unwrap();
    let port = dir.path().join("modbus");
    let slave = meter(&port);
    slave.never_tell(512);
    let mut bench = bench(dir.path(), &port, PROFILE).await;
    until_count(&bench, 1000).await;

    let mut counted = 1000;
    for (mood, counter) in [
        (Mood::Mute, "no_answer"),
        (Mood::Short, "short"),
        (Mood::OtherUnit, "wrong_unit"),
        (Mood::OtherFunction, "wrong_function"),
        (Mood::OtherLength, "wrong_length"),
        (Mood::Damaged, "bad_checksum"),
        (Mood::Busy, "refused"),
        (Mood::Late(TIMEOUT * 8 / 5), "unasked_bytes"),
        (Mood::Echo, "wrong_length"),
        (Mood::Twice, "wrong_length"),
    ] {
        let pointer = format!("/meter/polled/{counter}");
        let before = number(&live(&bench), &pointer);
        slave.be(mood);
        counted += 10;
        count(&slave, counted);
        let fails = |s: &Value| number(s, &pointer) >= before + 2;
        until_live(&bench, &format!("{mood:?} to be told"), fails).await;
        assert_ne!(live(&bench)["meter"]["recorder"]["raw"], counted, "{mood:?} was taken");
        slave.be(Mood::Well);
        until_count(&bench, counted.into()).await;
    }

    let dead = "registers 512 to 512 (function 03, from 0): no answer";
    until_live(&bench, "only what it never tells to be missed", |s| {
        s["meter"]["polled"]["problem"] == dead
    })
    .await;
    // Those that had failed too often are asked again, and answer.
    until_live(&bench, "another round of them", |s| {
        number(s, "/meter/polled/rounds") % 10 == 5 && s["meter"]["polled"]["problem"] == dead
    })
    .await;
    counted += 10;
    count(&slave, counted);
    until_count(&bench, counted.into()).await;
    let status = live(&bench);
    assert_eq!(number(&status, "/meter/recorder/suspects_dropped"), 0, "{status}");
    until_delivered(&mut bench, 1000, counted.into()).await;
    let last = delivered(&bench).pop().unwrap();
    assert_eq!(last.serial, "M-42");
    assert!(last.rate_gpm.is_some());
    // −12.5 °C, and no battery that was never told.
    assert!((last.sensors[0].unwrap() - 9.5).abs() < 0.001, "{:?}", last.sensors);
    assert_eq!(last.sensors[2], None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn neighbours_are_asked_for_together_and_one_that_is_dead_seldom() {
    let dir = tempfile::tempdir().unwrap();
    let port = dir.path().join("modbus");
    let slave = meter(&port);
    slave.never_tell(512);
    let bench = bench(dir.path(), &port, PROFILE).await;
    let rounds = |s: &Value| number(s, "/meter/polled/rounds") >= 30;
    until_live(&bench, "thirty rounds", rounds).await;
    let asked = slave.asked();
    assert!(asked.contains(&(3, 16, 4)), "{asked:?}");
    assert!(!asked.iter().any(|(_, first, count)| *first == 18 || *count == 2), "{asked:?}");
    let count = asked.iter().filter(|asked| asked.1 == 16).count();
    let dead = asked.iter().filter(|asked| asked.1 == 512).count();
    assert!(count >= 28 && (3..=9).contains(&dead), "{count} and {dead}");
    assert!(number(&live(&bench), "/meter/polled/samples") >= 28);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_echo_is_passed_over_and_a_silent_meter_is_named_with_what_was_asked() {
    let dir = tempfile::tempdir().unwrap();
    let port = dir.path().join("modbus");
    let slave = meter(&port);
    slave.set(3, 512, &[88]);
    slave.be(Mood::Echo);
    let profile = PROFILE.replace("pause", "echo = true\npause");
    let mut bench = bench(dir.path(), &port, &profile).await;
    until_count(&bench, 1000).await;
    count(&slave, 1030);
    until_count(&bench, 1030).await;
    assert_eq!(number(&live(&bench), "/meter/polled/wrong_length"), 0);
    until_delivered(&mut bench, 1000, 1030).await;
    assert_eq!(delivered(&bench).pop().unwrap().sensors[2], Some(88.0));

    slave.be(Mood::Mute);
    until("the meter to be named", || {
        let text = said(&bench, &["status"]);
        text.contains("ASKED IN VAIN") && text.contains("function 03")
    })
    .await;
    slave.be(Mood::Well);
    until_live(&bench, "it back", |s| s["meter"]["stale"] == false).await;
}

/// Ends what it holds, by its own id.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A Python that has pymodbus: the one that `SPRAYLOG_PYMODBUS` names, or the usual one.
fn pymodbus() -> Option<PathBuf> {
    let named = std::env::var_os("SPRAYLOG_PYMODBUS").map(PathBuf::from);
    let python = named.unwrap_or_else(|| "python3".into());
    let quiet = |command: &mut Command| {
        command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|s| s.success())
    };
    let both = quiet(Command::new(&python).args(["-c", "import pymodbus, serial"]))
        && quiet(Command::new("socat").arg("-V"));
    both.then_some(python)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slave_by_pymodbus_is_read_as_it_is() {
    let Some(python) = pymodbus() else {
        eprintln!(
            "skipped: a_slave_by_pymodbus_is_read_as_it_is (no socat, or no pymodbus and pyserial \
             in python3 or in what SPRAYLOG_PYMODBUS names)"
        );
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let (theirs, ours) = (dir.path().join("theirs"), dir.path().join("ours"));
    let end = |link: &Path| format!("pty,raw,echo=0,link={}", link.display());
    let cable = Command::new("socat").args([end(&theirs), end(&ours)]).spawn().unwrap();
    let _cable = Running(cable);
    until("the cable", || theirs.exists() && ours.exists()).await;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/field/modbus/slave.py");
    let meter = |count: &str| {
        let mut meter = Command::new(&python);
        meter.arg(&script).arg(&theirs).arg(count);
        Running(meter.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    };
    let first = meter("158928");
    let mut bench = bench(dir.path(), &ours, PYMODBUS_PROFILE).await;
    until_count(&bench, 158_928).await;
    // Another process goes on where this one ends.
    drop(first);
    let _second = meter("159048");
    until_count(&bench, 159_048).await;
    until_delivered(&mut bench, 158_928, 159_048).await;
    let record = delivered(&bench).pop().unwrap();
    assert_eq!(record.serial, "M-420");
    let told = delivered(&bench).into_iter().find_map(|record| record.sensors[0]);
    assert!(told.is_some_and(|fluid_f| (fluid_f - 9.5).abs() < 0.001), "{told:?}");
    let polled = live(&bench)["meter"]["polled"].clone();
    // Its battery is in a table that it hasn't.
    assert!(polled["problem"].as_str().unwrap().ends_with("illegal data address"), "{polled}");
    for fault in ["wrong_unit", "wrong_function", "bad_checksum"] {
        assert_eq!(polled[fault], 0, "{polled}");
    }
}

/// What `slave.py` holds.
const PYMODBUS_PROFILE: &str = r#"
kind = "modbus-rtu"
[modbus]
timeout = "500ms"
pause = "5ms"
[fields]
raw_count = { register = 16, type = "u64" }
rate = { register = 32, type = "f32", order = "CDAB", unit = "L/min" }
fluid_temperature = { register = 48, type = "i16", unit = "C", decimals = 1 }
serial_number = { register = 64, type = "string", length = 8 }
battery_percent = { register = 60000, type = "u16" }
[counter]
restart_from = "unknown"
"#;
