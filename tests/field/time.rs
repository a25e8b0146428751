//! What time it is: boots that woke in 1970, that never learnt the time, or that only the
//! network told; certificates by that time alone; places found afterwards. Every date at the
//! server is the truth to a second, or the reading is held.

use std::path::PathBuf;

use hil_sim::bench::Bench;
use hil_sim::gps::Sky;
use hil_sim::jobcloser::TlsFiles;
use rstest::rstest;
use rustix::time::{ClockId, clock_gettime};
use serde_json::Value;

use crate::bench::{SOON, options, options_with};
use crate::look::{
    command, delivered, live, readings, said, said_json, seconds, until, until_baseline, until_live,
};

/// How far into a boot the agent starts.
const STARTED_MS: i64 = 2_000;

fn has_testhooks(name: &str) -> bool {
    if cfg!(not(feature = "testhooks")) {
        eprintln!("skipped: {name} (needs --features testhooks)");
    }
    cfg!(feature = "testhooks")
}

/// The board's clocks, for the agent alone.
struct Board {
    file: PathBuf,
    _dir: tempfile::TempDir,
}

impl Board {
    fn new(bench: &mut Bench) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("clock.toml");
        bench.agent_mut().set_env("SPRAYLOG_TEST_CLOCK", &file);
        Self { file, _dir: dir }
    }

    /// Another boot, after whatever was before, with a system clock that is off by so much.
    /// When it began, in unix milliseconds.
    async fn boots(&self, bench: &Bench, boot: u32, wall_off_ms: i64, synchronised: bool) -> i64 {
        seconds(STARTED_MS as f64 / 1000.0 + 0.5).await;
        let uptime = clock_gettime(ClockId::Boottime);
        let uptime_ms = uptime.tv_sec * 1000 + uptime.tv_nsec / 1_000_000;
        let offset_ms = STARTED_MS - uptime_ms;
        let text = format!(
            "boot_id = 'boot-{boot}'\nboottime_offset_ms = {offset_ms}\n\
             wall_offset_ms = {wall_off_ms}\nsynchronised = {synchronised}\n"
        );
        std::fs::write(&self.file, text).unwrap();
        bench.rig().clock().now_ms() - STARTED_MS
    }

    /// The system clock is set, in the boot that is running.
    fn sets(&self, wall_off_ms: i64) {
        let said = std::fs::read_to_string(&self.file).unwrap();
        let mut clock: toml::Table = said.parse().unwrap();
        clock.insert("wall_offset_ms".to_owned(), wall_off_ms.into());
        let beside = self.file.with_extension("new");
        std::fs::write(&beside, clock.to_string()).unwrap();
        std::fs::rename(&beside, &self.file).unwrap();
    }
}

/// So far off is a clock that has no battery.
fn in_1970(bench: &Bench) -> i64 {
    -bench.rig().clock().now_ms()
}

fn rfc3339(unix_ms: i64) -> String {
    jiff::Timestamp::from_millisecond(unix_ms).unwrap().to_string()
}

fn of_boot(bench: &Bench, boot: i64) -> Vec<Value> {
    let mut all = readings(bench);
    all.retain(|reading| reading["boot"] == boot);
    all
}

fn is_held_for(reading: &Value, reason: &str) -> bool {
    reading["held_for"].as_array().unwrap().iter().any(|why| why == reason)
}

/// Sprays until there are so many readings more, and lets the meter come to rest.
async fn spray(bench: &mut Bench, many: usize) {
    until_baseline(bench).await;
    let before = bench.status().await.unwrap().balance.recorded;
    bench.spray(3.0);
    let enough = before + many as u64;
    bench
        .wait_until("readings", SOON, |look| look.status().balance.recorded >= enough)
        .await
        .unwrap();
    comes_to_rest(bench).await;
}

/// The liquid stops, and its last reading is made.
async fn comes_to_rest(bench: &Bench) {
    bench.stop_spraying();
    until("the last of the liquid", || {
        std::thread::sleep(std::time::Duration::from_millis(200));
        live(bench)["meter"]["state"] == "stopped"
    })
    .await;
    seconds(1.5).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_three_boots_every_date_is_true_and_what_nobody_knows_is_held_until_a_person_tells() {
    const NAME: &str = "of_three_boots_every_date_is_true";
    if !has_testhooks(NAME) {
        return;
    }
    let mut setup = options();
    setup.start_agent = false;
    let mut bench = Bench::start(setup).await.unwrap();
    let board = Board::new(&mut bench);
    let here = bench.rig().gps().here();
    let at = format!("{},{}", here.lat, here.lon);

    // The first boot wakes in 1970, and sees the sky only after the first liquid.
    board.boots(&bench, 1, in_1970(&bench), false).await;
    bench.rig().gps().lose_fix(Sky::Blind);
    bench.start_agent().unwrap();
    spray(&mut bench, 3).await;
    let first = of_boot(&bench, 1);
    assert!(first.iter().all(|r| is_held_for(r, "no_time") && r["time"].is_null()), "{first:?}");
    assert!(said(&bench, &["status"]).contains("NO TIME"));
    bench.rig().gps().regain_fix();
    until_live(&bench, "time", |s| s["clock"]["source"] == "gps").await;
    spray(&mut bench, 3).await;
    assert!(of_boot(&bench, 1).iter().all(|r| !is_held_for(r, "no_time")), "one fix dates all");
    bench.stop_agent().await.unwrap();

    // The second one has neither a receiver nor a network.
    bench.rig().gps().unplug().unwrap();
    let second_began = board.boots(&bench, 2, in_1970(&bench), false).await;
    bench.start_agent().unwrap();
    spray(&mut bench, 4).await;
    bench.stop_agent().await.unwrap();

    // The third one has the time from the network alone.
    board.boots(&bench, 3, 0, true).await;
    bench.start_agent().unwrap();
    until_live(&bench, "time", |s| s["clock"]["source"] == "system").await;
    spray(&mut bench, 4).await;
    for boot in ["1", "3"] {
        said(&bench, &["records", "release", "--boot", boot, "--at", &at]);
    }
    bench.settle_and_judge(SOON).await.assert_clean();
    let second = of_boot(&bench, 2);
    assert!(second.len() >= 4 && second.iter().all(|r| is_held_for(r, "no_time")));
    let status = bench.status().await.unwrap();
    assert_eq!(status.balance.sent, status.balance.recorded - second.len() as u64);

    // It is shown between its neighbours, which refuse what they contradict.
    let shown = said(&bench, &["status"]);
    let line = format!("boot 2: {} readings without a time, between ", second.len());
    assert!(shown.contains(&line) && shown.contains("release with"), "{shown}");
    assert!(said(&bench, &["records", "list"]).contains(&line));
    let undated = &said_json(&bench, &["status", "--json"])["undated_boots"][0];
    let bounds = ["not_before", "not_after"].map(|side| undated["start"][side].as_str().unwrap());
    let began = rfc3339(second_began);
    assert!(*bounds[0] <= *began && *began <= *bounds[1], "{bounds:?} {began}");
    let too_soon = rfc3339(second_began - 3_600_000);
    let refused = command(&bench, &["records", "release", "--boot", "2", "--start", &too_soon]);
    let why = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(65), "{why}");
    assert!(why.contains("boot 2 began between") && why.contains(bounds[0]), "{why}");

    // A person tells when it began, with no daemon there, and where it was.
    bench.stop_agent().await.unwrap();
    said(&bench, &["records", "release", "--boot", "2", "--start", &began]);
    bench.start_agent().unwrap();
    until_live(&bench, "time", |s| s["clock"]["source"] == "system").await;
    said(&bench, &["records", "release", "--boot", "2", "--at", &at]);
    bench.settle_and_judge(SOON).await.assert_clean();
    let records = delivered(&bench);
    let told: Vec<_> = records.iter().filter(|r| r.note.says("operator-time")).collect();
    let numbers: Vec<_> = told.iter().map(|r| r.note.seq()).collect();
    assert_eq!(numbers, second.iter().map(|r| r["seq"].as_u64()).collect::<Vec<_>>());
    assert!(told.iter().all(|record| record.note.says("operator-place")));
    let status = bench.status().await.unwrap();
    assert_eq!((status.balance.sent, status.balance.held), (status.balance.recorded, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_system_clock_that_is_wrong_or_set_in_mid_job_moves_no_reading() {
    const NAME: &str = "a_system_clock_that_is_wrong_or_set_in_mid_job_moves_no_reading";
    if !has_testhooks(NAME) {
        return;
    }
    const HOUR_MS: i64 = 3_600_000;
    let mut setup = options();
    setup.start_agent = false;
    let mut bench = Bench::start(setup).await.unwrap();
    let board = Board::new(&mut bench);

    // An hour ahead, and the kernel calls it synchronised: the receiver knows better.
    board.boots(&bench, 1, HOUR_MS, true).await;
    bench.start_agent().unwrap();
    until_live(&bench, "time", |s| s["clock"]["source"] == "gps").await;
    until_live(&bench, "the other clock", |s| s["clock"]["disagreeing"][0]["source"] == "system")
        .await;
    let shown = said(&bench, &["status"]);
    assert!(shown.contains("DISAGREES: system tells a time 3600.") && shown.contains("ahead"));
    spray(&mut bench, 3).await;
    bench.stop_agent().await.unwrap();

    // Right at first and without a receiver; then set, and set back, in mid-flow.
    bench.rig().gps().unplug().unwrap();
    board.boots(&bench, 2, 0, true).await;
    bench.start_agent().unwrap();
    until_live(&bench, "time", |s| s["clock"]["source"] == "system").await;
    until_baseline(&bench).await;
    bench.spray(3.0);
    for off in [HOUR_MS, 0, -HOUR_MS, 0] {
        board.sets(off);
        seconds(3.0).await;
    }
    comes_to_rest(&bench).await;
    let place = bench.rig().gps().here();
    let place = format!("{},{}", place.lat, place.lon);
    for boot in ["1", "2"] {
        said(&bench, &["records", "release", "--boot", boot, "--at", &place]);
    }
    bench.settle_and_judge(SOON).await.assert_clean();
    let status = bench.status().await.unwrap();
    assert!(status.balance.recorded >= 12, "{:?}", status.balance);
    let mut held = readings(&bench);
    held.retain(|reading| reading["state"] != "sent");
    assert!(held.is_empty(), "{held:?}");
}

/// A private server's certificate, valid from so many days ago to so many days ahead.
fn certificate(dir: &std::path::Path, from_days: i64, to_days: i64) -> TlsFiles {
    let day = |days: i64| {
        let date = jiff::Timestamp::now().as_second() + days * 86_400;
        let date = jiff::Timestamp::from_second(date).unwrap();
        let date = jiff::tz::TimeZone::UTC.to_datetime(date).date();
        rcgen::date_time_ymd(i32::from(date.year()), date.month() as u8, date.day() as u8)
    };
    let names = ["127.0.0.1".to_owned(), "localhost".to_owned()];
    let mut params = rcgen::CertificateParams::new(names).unwrap();
    params.not_before = day(from_days);
    params.not_after = day(to_days);
    let key = rcgen::KeyPair::generate().unwrap();
    let files = TlsFiles { cert: dir.join("cert.pem"), key: dir.join("key.pem") };
    std::fs::write(&files.cert, params.self_signed(&key).unwrap().pem()).unwrap();
    std::fs::write(&files.key, key.serialize_pem()).unwrap();
    files
}

fn trouble(said: &Value) -> String {
    said["server"]["delivery"]["trouble"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_is_trusted_by_the_agents_own_time_and_by_no_other() {
    const NAME: &str = "a_server_is_trusted_by_the_agents_own_time_and_by_no_other";
    if !has_testhooks(NAME) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut setup = options();
    setup.start_agent = false;
    setup.server.tls = Some(certificate(dir.path(), -30, 30));
    let mut bench = Bench::start(setup).await.unwrap();
    let board = Board::new(&mut bench);

    // Recorded out of coverage, so that there is something to send from the start.
    bench.server().go_away().await;
    board.boots(&bench, 1, in_1970(&bench), false).await;
    bench.start_agent().unwrap();
    spray(&mut bench, 3).await;
    bench.stop_agent().await.unwrap();

    // Not before the receiver speaks, and then soon.
    bench.server().come_back().await.unwrap();
    bench.rig().gps().lose_fix(Sky::Blind);
    board.boots(&bench, 2, in_1970(&bench), false).await;
    bench.start_agent().unwrap();
    until_live(&bench, "a reason", |s| trouble(s).contains("no time yet")).await;
    assert!(said(&bench, &["status"]).contains("no trusted connection"));
    seconds(2.0).await;
    assert_eq!(bench.records().len(), 0);
    bench.rig().gps().regain_fix();
    bench.wait_for_records(3, SOON).await.unwrap();
    bench.server().go_away().await;
    spray(&mut bench, 3).await;
    bench.stop_agent().await.unwrap();

    // After a start in the same boot the time is still known.
    let before = bench.records().len();
    bench.server().come_back().await.unwrap();
    bench.rig().gps().lose_fix(Sky::Blind);
    bench.start_agent().unwrap();
    bench.wait_for_records(before + 3, SOON).await.unwrap();
    bench.server().go_away().await;
    bench.rig().gps().regain_fix();
    spray(&mut bench, 3).await;
    bench.stop_agent().await.unwrap();

    // And in a boot of which only a person knows the time.
    let before = bench.records().len();
    bench.server().come_back().await.unwrap();
    bench.rig().gps().lose_fix(Sky::Blind);
    let began = board.boots(&bench, 3, in_1970(&bench), false).await;
    bench.start_agent().unwrap();
    until_live(&bench, "a reason", |s| trouble(s).contains("no time yet")).await;
    said(&bench, &["records", "release", "--boot", "3", "--start", &rfc3339(began)]);
    until_live(&bench, "time", |s| s["clock"]["source"] == "operator").await;
    bench.wait_for_records(before + 3, SOON).await.unwrap();
    bench.settle_and_judge(SOON).await.assert_clean();
}

#[rstest]
#[case::expired(-30, -2, -10, "its certificate expired at")]
#[case::not_yet_valid(2, 30, 10, "its certificate isn't valid before")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_out_of_its_time_never_passes_whatever_the_system_clock_says(
    #[case] from_days: i64,
    #[case] to_days: i64,
    #[case] system_days: i64,
    #[case] reason: &str,
) {
    const NAME: &str = "a_certificate_out_of_its_time_never_passes";
    if !has_testhooks(NAME) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut setup = options_with("[clock]\ntrust_system = 'never'");
    setup.start_agent = false;
    setup.server.tls = Some(certificate(dir.path(), from_days, to_days));
    let mut bench = Bench::start(setup).await.unwrap();
    let board = Board::new(&mut bench);
    board.boots(&bench, 1, system_days * 86_400_000, true).await;
    bench.start_agent().unwrap();
    bench.spray(3.0);
    until_live(&bench, "a reason", |s| trouble(s).contains(reason)).await;
    assert!(said(&bench, &["status"]).contains(reason));
    // Several tries later.
    seconds(4.0).await;
    assert_eq!(bench.records().len(), 0);
    let status = bench.status().await.unwrap();
    assert!(status.balance.ready >= 3, "{:?}", status.balance);
    let log = bench.agent().log();
    assert_eq!(log.lines().filter(|l| l.contains(reason)).count(), 1, "said once: {log}");
    bench.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_short_hole_of_the_fixes_is_filled_where_that_is_wanted_and_marked() {
    let setup = options_with("[gps]\nbackfill = true");
    let mut bench = Bench::start(setup).await.unwrap();
    until_live(&bench, "a fresh fix", |s| s["gps"]["fix"] == "fresh").await;
    bench.drive(2.0, 75.0);
    bench.spray(3.0);
    bench.wait_for_records(3, SOON).await.unwrap();
    bench.rig().gps().lose_fix(Sky::NoFix);
    bench
        .wait_until("readings without a place", SOON, |l| l.status().held_for.no_place >= 4)
        .await
        .unwrap();
    bench.rig().gps().regain_fix();
    bench.wait_until("none", SOON, |l| l.status().held_for.no_place == 0).await.unwrap();
    bench.stop_spraying();
    // That each lies on the way is the judge's finding.
    bench.settle_and_judge(SOON).await.assert_clean();
    let filled = delivered(&bench).iter().filter(|r| r.note.says("backfill")).count();
    assert!(filled >= 4, "{filled}");
}
