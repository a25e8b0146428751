//! gpsd as the source: the real one over recordings of real receivers, and one that fails
//! in every way. Every reading is kept, no position invented, and it comes back by itself.

mod fake;

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use hil_sim::bench::{Bench, BenchOptions};
use hil_sim::gps::Sky;
use hil_sim::nmea::sentence;
use hil_sim::recording::Recording;
use serde_json::Value;

use crate::bench::{SOON, options_with};
use crate::look::{command, delivered, live, number, said, until, until_live};
use fake::{Fake, Mood};

/// An agent that reads gpsd there, and takes neither place nor time from elsewhere.
fn reading(address: &str) -> BenchOptions {
    let mut setup = options_with(&format!(
        "[clock]\ntrust_system = 'never'\n[gps]\nsource = 'gpsd'\ngpsd = '{address}'"
    ));
    setup.start_agent = false;
    setup
}

async fn no_place_grows(bench: &mut Bench) {
    let held = live_holds(bench).await;
    bench
        .wait_until("readings without a place", SOON, |l| l.status().held_for.no_place >= held + 2)
        .await
        .unwrap();
}

async fn live_holds(bench: &mut Bench) -> u64 {
    bench.status().await.unwrap().held_for.no_place
}

async fn until_fresh(bench: &Bench) {
    until_live(bench, "a fresh fix", |s| s["gps"]["fix"] == "fresh").await;
}

/// A moving, spraying rig whose receiver a [`Fake`] reads.
async fn by_fake() -> (Bench, Fake) {
    let fake = Fake::new().await;
    let mut bench = Bench::start(reading(&fake.address)).await.unwrap();
    fake.read(bench.rig().gps_path());
    bench.start_agent().unwrap();
    bench.drive(1.2, 75.0);
    bench.spray(3.0);
    until_fresh(&bench).await;
    bench.wait_for_records(2, SOON).await.unwrap();
    (bench, fake)
}

async fn finish(mut bench: Bench) {
    let records = bench.records().len();
    bench.wait_for_records(records + 2, SOON).await.unwrap();
    bench.stop_spraying();
    bench.settle_and_judge(SOON).await.assert_clean();
    assert!(delivered(&bench).iter().all(|record| record.note.fix_age_s.is_none()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gpsd_that_goes_breaks_off_or_loses_its_receiver_costs_places_and_comes_back() {
    let (mut bench, mut fake) = by_fake().await;

    fake.leave().await;
    until_live(&bench, "gpsd to be away", |s| {
        s["gps"]["problem"].as_str().is_some_and(|p| p.contains("cannot reach gpsd at 127.0.0.1"))
    })
    .await;
    assert!(said(&bench, &["status"]).contains("gps       NOT CONNECTED: cannot reach gpsd"));
    no_place_grows(&mut bench).await;
    fake.come_back().await;
    until_fresh(&bench).await;

    let lost = number(&live(&bench), "/gps/gpsd/connection/lost");
    fake.be(Mood::Torn);
    let torn = |s: &Value| number(s, "/gps/gpsd/connection/lost") >= lost + 2;
    until_live(&bench, "connections that break off", torn).await;
    assert!(number(&live(&bench), "/gps/gpsd/decoded/torn") >= 1);
    fake.be(Mood::Well);
    until_fresh(&bench).await;

    fake.be(Mood::NoDevice);
    until_live(&bench, "no receiver", |s| {
        let devices = s["gps"]["gpsd"]["devices"].as_array();
        s["gps"]["fix"] == "none"
            && devices.is_some_and(|all| all.iter().all(|device| device["active"] == false))
    })
    .await;
    let text = said(&bench, &["status"]);
    assert!(text.contains("gps       NO RECEIVER: gpsd at 127.0.0.1"), "{text}");
    no_place_grows(&mut bench).await;
    fake.be(Mood::Well);
    until_fresh(&bench).await;
    assert!(said(&bench, &["status"]).contains("by gpsd fake at 127.0.0.1"));
    finish(bench).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gpsd_that_hangs_is_given_up_and_another_connection_serves() {
    let (mut bench, fake) = by_fake().await;
    let opened = number(&live(&bench), "/gps/gpsd/connection/opened");
    fake.be(Mood::Hung);
    no_place_grows(&mut bench).await;
    until_live(&bench, "gpsd to be given up", |s| {
        number(s, "/gps/gpsd/connection/opened") > opened
    })
    .await;
    fake.be(Mood::Well);
    until_fresh(&bench).await;
    finish(bench).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fix_that_is_repeated_or_void_is_stale_and_garbage_hides_none() {
    let (mut bench, fake) = by_fake().await;

    fake.be(Mood::Frozen);
    until_live(&bench, "a stale fix", |s| s["gps"]["fix"] == "none").await;
    assert!(number(&live(&bench), "/gps/gpsd/decoded/rejected/repeated") >= 3);
    no_place_grows(&mut bench).await;
    fake.be(Mood::Well);
    until_fresh(&bench).await;

    bench.rig().gps().lose_fix(Sky::NoFix);
    until_live(&bench, "a lost fix", |s| s["gps"]["fix"] == "none").await;
    assert!(number(&live(&bench), "/gps/gpsd/decoded/rejected/no_fix") >= 3);
    no_place_grows(&mut bench).await;
    bench.rig().gps().regain_fix();
    until_fresh(&bench).await;

    fake.be(Mood::Noisy);
    let fixes = number(&live(&bench), "/gps/gpsd/decoded/fixes");
    until_live(&bench, "fixes among garbage", |s| {
        number(s, "/gps/gpsd/decoded/fixes") >= fixes + 5
            && number(s, "/gps/gpsd/decoded/overlong") >= 5
            && number(s, "/gps/gpsd/decoded/unreadable") >= 5
    })
    .await;
    finish(bench).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_port_belongs_to_gpsd_while_that_is_the_source_and_a_reload_changes_over() {
    let (mut bench, fake) = by_fake().await;
    let port = std::fs::canonicalize(bench.rig().gps_path()).unwrap();
    assert!(!opened(&bench).contains(&port));

    let serial = "[gps]\nsource = 'serial'".parse().unwrap();
    bench.write_config(&serial).unwrap();
    bench.reload_agent().unwrap();
    until("the port to be open", || opened(&bench).contains(&port)).await;
    until_live(&bench, "gpsd to be left", |s| s["gps"]["gpsd"].is_null()).await;

    let gpsd = format!("[gps]\nsource = 'gpsd'\ngpsd = '{}'", fake.address);
    bench.write_config(&gpsd.parse().unwrap()).unwrap();
    bench.reload_agent().unwrap();
    until("the port to be closed", || !opened(&bench).contains(&port)).await;
    until_live(&bench, "gpsd again", |s| s["gps"]["gpsd"]["connection"]["open"] == true).await;
    bench.stop_spraying();
    bench.settle_and_judge(SOON).await.assert_clean();
}

/// The files that the agent has open.
fn opened(bench: &Bench) -> Vec<PathBuf> {
    let pid = live(bench)["daemon"]["pid"].as_u64().unwrap();
    let files = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    files.filter_map(|file| std::fs::read_link(file.ok()?.path()).ok()).collect()
}

/// The real gpsd on a port of its own; ends with the test.
struct Gpsd(Child);

impl Gpsd {
    /// Reads `device` without waiting for a client.
    fn start(address: &str, device: &Path) -> Self {
        let port = address.rsplit_once(':').unwrap().1;
        let child = Command::new(program().unwrap())
            .args(["-N", "-n", "-S", port])
            .arg(device)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self(child)
    }
}

impl Drop for Gpsd {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places: Vec<PathBuf> = std::env::split_paths(&path).collect();
    places.push("/usr/sbin".into());
    places.into_iter().map(|dir| dir.join("gpsd")).find(|file| file.is_file())
}

/// Whether a test of the real gpsd can't run here; says so.
fn skipped(test: &str) -> bool {
    let missing = program().is_none();
    if missing {
        eprintln!("skipped: {test} (no gpsd: apt-get install gpsd)");
    }
    missing
}

/// A port that is free: nobody has it yet.
fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recordings_of_real_receivers_give_the_records_their_places_by_the_real_gpsd() {
    let name = "recordings_of_real_receivers_give_the_records_their_places_by_the_real_gpsd";
    let shared = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/nmea"));
    if skipped(name) {
        return;
    }
    if !shared.is_dir() {
        eprintln!("skipped: {name} (no {})", shared.display());
        return;
    }
    // Moving; many constellations; NMEA between binary frames.
    let recordings = ["mt3339", "ublox-zed-f9p-nmea", "quectel-l76k-dual"];
    let runs = recordings.map(|name| {
        let log = std::fs::read(shared.join(format!("{name}.log"))).unwrap();
        tokio::spawn(sprayed_by(Recording::read(&log).unwrap()))
    });
    for (run, name) in runs.into_iter().zip(recordings) {
        run.await.unwrap_or_else(|err| panic!("{name}: {err}"));
    }
}

async fn sprayed_by(recording: Recording) {
    let address = free_address();
    let mut setup = reading(&address);
    setup.gps.recording = Some(recording);
    let mut bench = Bench::start(setup).await.unwrap();
    let gpsd = Gpsd::start(&address, bench.rig().gps_path());
    bench.start_agent().unwrap();
    bench.spray(3.0);
    bench.wait_for_records(6, SOON).await.unwrap();
    bench.stop_spraying();
    // That every record's place and time is one that the receiver told is the judge's finding.
    bench.settle_and_judge(SOON).await.assert_clean();
    assert_eq!(number(&live(&bench), "/gps/gpsd/decoded/unreadable"), 0);
    drop(gpsd);
}

/// A minute of a receiver that stands, and tells of its satellites: gpsd has an HDOP only from
/// GSA and GSV. The quality is that of GGA.
fn standing(quality: u8) -> Recording {
    let epoch = |s: u32| {
        let (time, place) = (format!("1200{s:02}.00"), "3330.69799,N,08653.79206,W");
        sentence(&format!("GNRMC,{time},A,{place},0.100,,231126,,"))
            + &sentence(&format!("GNGGA,{time},{place},{quality},08,0.80,182.4,M,-29.1,M,,"))
            + &sentence("GNGSA,A,3,02,05,06,09,12,17,19,25,,,,,1.40,0.80,1.15")
            + &sentence("GPGSV,1,1,04,02,66,061,41,05,52,283,40,06,18,102,35,09,11,143,33")
    };
    Recording::read((0..60).map(epoch).collect::<String>().as_bytes()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_real_gpsd_may_end_start_late_and_lose_its_receiver() {
    if skipped("the_real_gpsd_may_end_start_late_and_lose_its_receiver") {
        return;
    }
    let address = free_address();
    let mut setup = reading(&address);
    setup.gps.recording = Some(standing(1));
    let mut bench = Bench::start(setup).await.unwrap();
    bench.start_agent().unwrap();
    until_live(&bench, "no gpsd yet", |s| s["gps"]["problem"].is_string()).await;
    let looked = command(&bench, &["doctor"]);
    assert_eq!(looked.status.code(), Some(69));
    assert!(String::from_utf8_lossy(&looked.stdout).starts_with("FAIL  gps: cannot reach gpsd"));
    bench.spray(3.0);
    no_place_grows(&mut bench).await;

    let gpsd = Gpsd::start(&address, bench.rig().gps_path());
    until_fresh(&bench).await;
    let told = live(&bench)["gps"]["gpsd"].clone();
    assert!(told["release"].as_str().is_some_and(|release| release.starts_with('3')), "{told}");
    let records = bench.records().len();
    bench.wait_for_records(records + 2, SOON).await.unwrap();

    let looked = said(&bench, &["doctor"]);
    assert!(looked.starts_with("pass  gps: fix at 33.5116"), "{looked}");

    drop(gpsd);
    until_live(&bench, "gpsd to be gone", |s| s["gps"]["gpsd"]["connection"]["open"] == false)
        .await;
    let gpsd = Gpsd::start(&address, bench.rig().gps_path());
    until_live(&bench, "gpsd again", |s| s["gps"]["gpsd"]["connection"]["open"] == true).await;
    until_fresh(&bench).await;

    bench.rig().gps().unplug().unwrap();
    // 3.22 tells of it, or takes it for one that has nothing to say.
    until_live(&bench, "a receiver that is gone", |s| {
        s["gps"]["fix"] == "none" && number(s, "/gps/gpsd/silent_ms") > 5_000
    })
    .await;
    let text = said(&bench, &["status"]);
    assert!(text.contains("gps       SILENT") || text.contains("gps       NO RECEIVER"), "{text}");
    bench.rig().gps().plug().unwrap();
    // It may not open the device again without the rights it began with.
    drop(gpsd);
    let _gpsd = Gpsd::start(&address, bench.rig().gps_path());
    until_live(&bench, "a fix", |s| {
        s["gps"]["gpsd"]["connection"]["open"] == true && s["gps"]["fix"] == "fresh"
    })
    .await;
    let records = bench.records().len();
    bench.wait_for_records(records + 2, SOON).await.unwrap();
    bench.stop_spraying();
    bench.settle_and_judge(SOON).await.assert_clean();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_real_gpsd_calls_estimated_entered_or_simulated_is_neither_place_nor_time() {
    if skipped("what_the_real_gpsd_calls_estimated_entered_or_simulated_is_neither_place_nor_time")
    {
        return;
    }
    for run in [6, 7, 8].map(|quality| tokio::spawn(not_believed(quality))) {
        run.await.unwrap();
    }
}

async fn not_believed(quality: u8) {
    let address = free_address();
    let mut setup = reading(&address);
    setup.gps.recording = Some(standing(quality));
    let mut bench = Bench::start(setup).await.unwrap();
    let _gpsd = Gpsd::start(&address, bench.rig().gps_path());
    bench.start_agent().unwrap();
    bench.spray(3.0);
    until_live(&bench, "reports that are no fixes", |s| {
        number(s, "/gps/gpsd/decoded/rejected/estimated") >= 5
    })
    .await;
    no_place_grows(&mut bench).await;
    bench.stop_spraying();
    bench.settle_and_judge(SOON).await.assert_clean();
    assert_eq!(number(&live(&bench), "/gps/gpsd/decoded/fixes"), 0, "quality {quality}");
    let status = bench.status().await.unwrap();
    assert_eq!(status.held_for.no_time, status.balance.recorded);
    assert!(bench.records().is_empty());
}
