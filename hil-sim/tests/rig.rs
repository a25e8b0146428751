//! The rig through its ports, as an agent meets it: real ptys, real time, a second or two.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may")]

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use hil_sim::gps::Sky;
use hil_sim::meter::{FaultKind, Kind, MeterFault, MeterSetup};
use hil_sim::rig::{GpsSetup, Rig, RigSetup, WhileOut};

fn setup(dir: &Path) -> RigSetup {
    RigSetup {
        link_dir: dir.to_owned(),
        meter_port: None,
        gps_port: None,
        meter: MeterSetup { lines_per_s: 10.0, ..MeterSetup::default() },
        gps: GpsSetup { hz: 10, ..GpsSetup::default() },
        seed: 3,
    }
}

/// Reads a port until it ends.
async fn read_until_end(link: PathBuf) -> String {
    let read = tokio::task::spawn_blocking(move || {
        let mut bytes = Vec::new();
        let _ = File::open(link).unwrap().read_to_end(&mut bytes);
        String::from_utf8(bytes).unwrap()
    });
    read.await.unwrap()
}

/// A port that is open for both ways, as an agent has it.
fn open(link: &Path) -> File {
    File::options().read(true).write(true).open(link).unwrap()
}

/// Puts a question and reads what comes until a line end.
fn ask(port: &mut File, question: &str) -> String {
    port.write_all(question.as_bytes()).unwrap();
    let (mut line, mut byte) = (Vec::new(), [0]);
    while byte != *b"\r" && port.read(&mut byte).unwrap_or(0) == 1 {
        line.extend(byte);
    }
    String::from_utf8(line).unwrap()
}

fn field(line: &str, nth: usize) -> u64 {
    line.split(',').nth(nth).unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_read_at_the_meters_port_is_what_the_truth_says_was_heard() {
    let dir = tempfile::tempdir().unwrap();
    let rig = Rig::start(setup(dir.path())).unwrap();
    rig.meter().flow(30.0);
    tokio::time::sleep(Duration::from_millis(300)).await;
    let link = rig.meter_path().clone();
    let reading = tokio::spawn(read_until_end(link.clone()));
    tokio::time::sleep(Duration::from_millis(600)).await;
    rig.meter().unplug(WhileOut::Counts).unwrap();
    let first = reading.await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    rig.meter().plug().unwrap();
    let reading = tokio::spawn(read_until_end(link));
    tokio::time::sleep(Duration::from_millis(500)).await;
    let truth = rig.truth();
    rig.stop().await;
    let second = reading.await.unwrap();

    let lines: Vec<&str> = first.lines().chain(second.lines()).collect();
    let raws: Vec<u64> = lines.iter().map(|line| field(line, 3)).collect();
    let heard: Vec<u64> =
        truth.lines.iter().filter(|line| line.heard).map(|line| line.raw).collect();
    // The last line may have gone out between the look at the truth and the stop.
    assert_eq!(raws[..heard.len()], heard[..]);
    assert!(raws.len() <= heard.len() + 1, "{raws:?} {heard:?}");
    assert!(heard.len() < truth.lines.len(), "lines without a reader are not heard");
    assert!(first.lines().count() >= 3 && second.lines().count() >= 2, "{lines:?}");
    let (last, next) = (first.lines().last().unwrap(), second.lines().next().unwrap());
    assert!(field(next, 2) > field(last, 2) + 1, "the meter has gone on while it was out");
    assert!(field(next, 3) > field(last, 3), "and has counted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_receiver_tells_the_path_and_nothing_while_the_sky_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let rig = Rig::start(setup(dir.path())).unwrap();
    rig.gps().drive(10.0, 90.0);
    let reading = tokio::spawn(read_until_end(rig.gps_path().clone()));
    tokio::time::sleep(Duration::from_millis(500)).await;
    rig.gps().lose_fix(Sky::NoFix);
    tokio::time::sleep(Duration::from_millis(500)).await;
    let truth = rig.truth();
    rig.stop().await;
    let text = reading.await.unwrap();
    assert!(text.contains("GNRMC") && text.contains(",A,33"), "{text}");
    assert!(text.contains(",V,,,,,,,"), "{text}");
    let told = truth.epochs.iter().filter(|epoch| epoch.place.is_some()).count();
    assert!(told >= 3 && told < truth.epochs.len(), "{:?}", truth.epochs);
    assert!(truth.epochs.iter().all(|epoch| epoch.at_ms % 100 == 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_meter_that_is_asked_answers_and_the_truth_says_what_and_that_nobody_asked() {
    let dir = tempfile::tempdir().unwrap();
    let mut setup = setup(dir.path());
    setup.meter.kind = Kind::Adam4080;
    setup.meter.unit = 0x12;
    setup.meter.start_count = 766;
    let rig = Rig::start(setup).unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let link = rig.meter_path().clone();
    let asking = tokio::task::spawn_blocking(move || {
        let mut port = open(&link);
        let answer = ask(&mut port, "#120\r");
        (answer, ask(&mut port, "#12Z\r"), port)
    });
    let (answer, refusal, _port) = asking.await.unwrap();
    assert_eq!((answer.as_str(), refusal.as_str()), (">000002FE\r", "?12\r"));
    let truth = rig.truth();
    rig.stop().await;
    let heard: Vec<u64> =
        truth.lines.iter().filter(|line| line.heard).map(|line| line.raw).collect();
    assert_eq!(heard, [766]);
    assert!(truth.lines.iter().filter(|line| !line.heard).count() >= 2, "{:?}", truth.lines);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_meter_that_starts_again_on_opening_does_so_once_for_a_reader_that_keeps_dtr() {
    let dir = tempfile::tempdir().unwrap();
    let rig = Rig::start(setup(dir.path())).unwrap();
    rig.meter().fault(MeterFault { times: 9, ..MeterFault::once(FaultKind::ResetOnOpening) });
    let modes = |keep: bool| {
        let port = open(rig.meter_path());
        let mut modes = rustix::termios::tcgetattr(&port).unwrap();
        modes.control_modes.set(rustix::termios::ControlModes::HUPCL, !keep);
        let at_once = rustix::termios::OptionalActions::Now;
        rustix::termios::tcsetattr(&port, at_once, &modes).unwrap();
        port
    };
    for _ in 0..3 {
        let port = modes(true);
        tokio::time::sleep(Duration::from_millis(250)).await;
        drop(port);
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    let truth = rig.truth();
    rig.stop().await;
    assert_eq!(truth.restarts.len(), 1);
    let first = truth.lines.iter().find(|line| line.heard).unwrap();
    assert_eq!((first.segment, first.raw), (1, 0));
}
