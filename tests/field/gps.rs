//! The receiver: a sky that is lost, a cable that comes off, fixes that are none, and
//! recordings of real receivers. Every reading is kept, no position invented.

use std::path::Path;
use std::time::Duration;

use hil_sim::bench::Bench;
use hil_sim::gps::{Sky, Spot};
use hil_sim::nmea::sentence;
use hil_sim::recording::Recording;
use serde_json::Value;

use crate::bench::{SOON, options, options_with};
use crate::look::{delivered, flagged, live, number, readings, seconds, until, until_live};

fn no_place(readings: &[Value]) -> usize {
    let held = |r: &&Value| r["held_for"].as_array().unwrap().iter().any(|why| why == "no_place");
    readings.iter().filter(held).count()
}

async fn until_fix(bench: &Bench) -> Duration {
    until_live(bench, "a fresh fix", |s| s["gps"]["fix"] == "fresh").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sky_lost_while_driving_keeps_every_reading_and_shows_no_old_position() {
    let mut bench = Bench::start(options()).await.unwrap();
    until_fix(&bench).await;
    bench.drive(1.5, 75.0);
    bench.spray(3.0);
    bench.wait_for_records(3, SOON).await.unwrap();

    bench.rig().gps().lose_fix(Sky::NoFix);
    let held = no_place(&readings(&bench)) as u64;
    let look = bench
        .wait_until("readings without a place", SOON, |l| l.status().held_for.no_place >= held + 4)
        .await
        .unwrap();
    until_live(&bench, "no fix in status", |s| s["gps"]["fix"] == "none").await;
    let at_loss = look.records.len();

    bench.rig().gps().regain_fix();
    bench.wait_for_records(at_loss + 2, SOON).await.unwrap();
    bench.stop_spraying();
    let verdict = bench.settle_and_judge(SOON).await;
    verdict.assert_clean();
    assert!(verdict.balance.held >= held + 4, "kept, and held");
    let kept = readings(&bench);
    let numbers: Vec<i64> = kept.iter().map(|r| r["seq"].as_i64().unwrap()).collect();
    assert!(numbers.windows(2).all(|w| w[0] + 1 == w[1]), "{numbers:?}");
    assert!(kept.iter().filter(|r| r["state"] == "open").all(|r| r["lat"].is_null()));
    assert!(delivered(&bench).iter().all(|record| record.note.fix_age_s.is_none()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_hangs_shows_no_old_position_to_an_agent_that_starts_either() {
    let mut bench = Bench::start(options()).await.unwrap();
    until_fix(&bench).await;
    bench.drive(2.0, 75.0);
    bench.spray(3.0);
    bench.wait_for_records(3, SOON).await.unwrap();

    bench.rig().gps().lose_fix(Sky::Frozen);
    until_live(&bench, "no fix in status", |s| s["gps"]["fix"] == "none").await;
    bench.kill_agent().unwrap();
    seconds(2.0).await;
    let before = no_place(&readings(&bench));
    bench.start_agent().unwrap();
    until("readings without a place", || no_place(&readings(&bench)) >= before + 3).await;
    bench.rig().gps().unplug().unwrap();
    seconds(1.0).await;
    bench.rig().gps().plug().unwrap();
    until("more of them", || no_place(&readings(&bench)) >= before + 7).await;

    bench.rig().gps().regain_fix();
    until_fix(&bench).await;
    let records = bench.records().len();
    bench.wait_for_records(records + 2, SOON).await.unwrap();
    bench.stop_spraying();
    bench.settle_and_judge(SOON).await.assert_clean();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sky_lost_while_standing_serves_on_with_its_age_in_the_note() {
    let mut setup = options();
    // A receiver that moves from fix to fix would be told apart; this one stands.
    setup.gps.hz = 2;
    let mut bench = Bench::start(setup).await.unwrap();
    until_fix(&bench).await;
    bench.spray(2.0);
    // Standing is seen over 10 s (RULES.md, 14).
    seconds(12.0).await;
    bench.rig().gps().lose_fix(Sky::NoFix);
    let held = no_place(&readings(&bench));
    bench
        .wait_until("a reused fix", SOON, |look| {
            look.records.iter().any(|r| r.text("Note").is_some_and(|note| note.contains("fix-age")))
        })
        .await
        .unwrap();
    until_live(&bench, "a reused fix in status", |s| s["gps"]["fix"] == "reused").await;
    seconds(2.0).await;
    bench.stop_spraying();
    bench.settle_and_judge(SOON).await.assert_clean();

    let ages: Vec<f64> = delivered(&bench).iter().filter_map(|r| r.note.fix_age_s).collect();
    assert!(ages.len() >= 2 && ages.windows(2).all(|w| w[0] < w[1]), "{ages:?}");
    assert!(ages[0] >= 3.0, "a fix is fresh for 3 s: {ages:?}");
    assert_eq!(flagged(&bench, "fix").len(), ages.len());
    assert_eq!(no_place(&readings(&bench)), held, "none was held for the lost sky");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_unplugged_and_plugged_back_tells_places_again_within_seconds() {
    let mut bench = Bench::start(options()).await.unwrap();
    until_fix(&bench).await;
    bench.drive(1.2, 200.0);
    bench.spray(3.0);
    bench.wait_for_records(2, SOON).await.unwrap();

    bench.rig().gps().unplug().unwrap();
    until_live(&bench, "the port to be lost", |s| s["gps"]["port_open"] == false).await;
    bench
        .wait_until("readings without a place", SOON, |l| l.status().held_for.no_place >= 2)
        .await
        .unwrap();
    let before = number(&live(&bench), "/gps/decoded/fixes");
    let records = bench.records().len();
    bench.rig().gps().plug().unwrap();
    let back = until_live(&bench, "a fix", |s| number(s, "/gps/decoded/fixes") > before).await;
    println!("receiver back: first fix {back:?} after the plug (it tells one a second)");
    // 2 s for the port; the receiver's own second, and the epoch's last sentence.
    assert!(back < Duration::from_millis(3500), "{back:?}");
    bench.wait_for_records(records + 2, SOON).await.unwrap();
    bench.stop_spraying();
    bench.settle_and_judge(SOON).await.assert_clean();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readings_from_before_the_first_fix_get_its_time_and_not_its_place() {
    let mut setup = options_with("[clock]\ntrust_system = 'never'");
    setup.start_agent = false;
    let mut bench = Bench::start(setup).await.unwrap();
    bench.rig().gps().lose_fix(Sky::Blind);
    bench.start_agent().unwrap();
    bench.wait_until_ready(SOON).await.unwrap();
    bench.spray(3.0);
    let look = bench
        .wait_until("readings without a time", SOON, |l| l.status().held_for.no_time >= 4)
        .await
        .unwrap();
    assert!(look.records.is_empty());
    assert_eq!(live(&bench)["clock"]["time"], Value::Null);
    assert!(readings(&bench).iter().all(|r| r["time"].is_null() && r["lat"].is_null()));

    bench.rig().gps().regain_fix();
    bench.wait_for_records(3, SOON).await.unwrap();
    bench.stop_spraying();
    bench.settle_and_judge(SOON).await.assert_clean();
    let status = bench.status().await.unwrap();
    assert_eq!(status.held_for.no_time, 0, "one anchor tells the time of the whole boot");
    assert!(status.held_for.no_place >= 4, "the place of then nobody knows");
    let late = delivered(&bench);
    let held = readings(&bench).into_iter().filter(|r| r["lat"].is_null());
    let first = late.iter().map(|record| record.second).min().unwrap();
    for reading in held {
        let time: jiff::Timestamp = reading["time"].as_str().unwrap().parse().unwrap();
        assert!(time.as_second() <= first, "{reading}");
    }
}

/// A rig that sprays under a sky of which nothing may be believed: neither place nor time.
async fn nothing_is_believed(mut bench: Bench, cause: &str) {
    bench.wait_until_ready(SOON).await.unwrap();
    bench.spray(3.0);
    until_live(&bench, cause, |s| number(s, &format!("/gps/decoded/rejected/{cause}")) >= 3).await;
    bench.wait_until("readings", SOON, |look| look.status().held_for.no_place >= 3).await.unwrap();
    bench.stop_spraying();
    bench.settle_and_judge(SOON).await.assert_clean();
    let status = bench.status().await.unwrap();
    assert_eq!(status.held_for.no_place, status.balance.recorded);
    assert_eq!(status.held_for.no_time, status.balance.recorded);
    assert_eq!(number(&live(&bench), "/gps/decoded/fixes"), 0);
    assert!(bench.records().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_stands_at_0_0_has_no_fix() {
    let mut setup = options_with("[clock]\ntrust_system = 'never'");
    setup.gps.start = Spot { lat: 0.0, lon: 0.0 };
    let bench = Bench::start(setup).await.unwrap();
    nothing_is_believed(bench, "null_island").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_simulated_or_estimated_fix_is_none() {
    let kinds = [("A", 8, "estimated"), ("A", 6, "estimated"), ("S", 1, "mode"), ("E", 1, "mode")];
    let runs = kinds.map(|(mode, quality, cause)| {
        tokio::spawn(async move {
            let mut setup = options_with("[clock]\ntrust_system = 'never'");
            setup.gps.recording = Some(made_up(mode, quality));
            nothing_is_believed(Bench::start(setup).await.unwrap(), cause).await;
        })
    });
    for (run, kind) in runs.into_iter().zip(kinds) {
        run.await.unwrap_or_else(|err| panic!("{kind:?}: {err}"));
    }
}

/// A minute of sentences as a receiver in its simulator or by dead reckoning prints them.
fn made_up(mode: &str, quality: u8) -> Recording {
    let epoch = |s: u32| {
        let (time, place) = (format!("1200{s:02}.00"), "3330.69799,N,08653.79206,W");
        sentence(&format!("GNRMC,{time},A,{place},0.100,,231126,,,{mode},V"))
            + &sentence(&format!("GNGGA,{time},{place},{quality},12,0.80,182.4,M,-29.1,M,,"))
    };
    Recording::read((0..60).map(epoch).collect::<String>().as_bytes()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_place_that_no_sprayer_can_have_come_to_is_in_no_record() {
    let mut setup = options();
    // Every seventh epoch is 11 km further north.
    let epoch = |s: u32| {
        let (time, north) = (format!("1200{s:02}.00"), if s % 7 == 5 { "3336" } else { "3330" });
        let place = format!("{north}.69799,N,08653.79206,W");
        sentence(&format!("GNRMC,{time},A,{place},0.100,,231126,,,A,V"))
            + &sentence(&format!("GNGGA,{time},{place},1,12,0.80,182.4,M,-29.1,M,,"))
    };
    let text: String = (0..60).map(epoch).collect();
    setup.gps.recording = Some(Recording::read(text.as_bytes()).unwrap());
    let mut bench = Bench::start(setup).await.unwrap();
    until_fix(&bench).await;
    bench.spray(3.0);
    until_live(&bench, "two jumps", |s| number(s, "/gps/jumps") >= 2).await;
    bench.stop_spraying();
    bench.settle_and_judge(SOON).await.assert_clean();
    let places: Vec<f64> = delivered(&bench).iter().map(|record| record.place.lat).collect();
    assert!(places.len() >= 5 && places.iter().all(|lat| *lat < 33.52), "{places:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rig_that_never_moves_needs_no_receiver_and_its_records_say_so() {
    let mut setup = options_with(
        "[gps]\nsource = 'fixed'\nfixed = [32.6, -85.4]\n[clock]\ntrust_system = 'always'",
    );
    setup.start_agent = false;
    let mut bench = Bench::start(setup).await.unwrap();
    bench.rig().gps().unplug().unwrap();
    bench.start_agent().unwrap();
    bench.wait_until_ready(SOON).await.unwrap();
    bench.spray(3.0);
    bench.wait_for_records(4, SOON).await.unwrap();
    let status = live(&bench);
    assert_eq!(
        (&status["gps"]["source"], &status["gps"]["fix"]),
        (&"fixed".into(), &"fresh".into())
    );
    assert_eq!(status["gps"]["fixed"], serde_json::json!([32.6, -85.4]));
    assert_eq!(status["clock"]["source"], "system");
    bench.stop_spraying();
    // That every record is there and says so is the judge's finding.
    bench.settle_and_judge(SOON).await.assert_clean();
    let kept = readings(&bench);
    assert_eq!(no_place(&kept), 0, "{kept:?}");
    assert_eq!(flagged(&bench, "fixed-place").len(), kept.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recordings_of_real_receivers_give_the_records_their_own_places() {
    let shared = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/nmea"));
    if !shared.is_dir() {
        eprintln!(
            "skipped: recordings_of_real_receivers_give_the_records_their_own_places \
             (no {})",
            shared.display()
        );
        return;
    }
    // Moving; 10 Hz; many constellations; NMEA between binary frames.
    let recordings = ["mt3339", "nmea-rtk", "ublox-zed-f9p-nmea", "quectel-l76k-dual"];
    let runs = recordings.map(|name| tokio::spawn(replayed(shared.join(format!("{name}.log")))));
    for (run, name) in runs.into_iter().zip(recordings) {
        let records = run.await.unwrap_or_else(|err| panic!("{name}: {err}"));
        println!("{name}: {records} records at the places of the recording");
    }
}

async fn replayed(log: std::path::PathBuf) -> usize {
    let mut setup = options_with("[clock]\ntrust_system = 'never'");
    let recording = Recording::read(&std::fs::read(&log).unwrap()).unwrap();
    setup.gps.recording = Some(recording);
    let mut bench = Bench::start(setup).await.unwrap();
    bench.spray(3.0);
    bench.wait_for_records(6, SOON).await.unwrap();
    bench.stop_spraying();
    // That every record's place is one the recording told then is the judge's finding.
    bench.settle_and_judge(SOON).await.assert_clean();
    let places = delivered(&bench).into_iter().map(|record| record.place);
    assert!(places.clone().all(|place| place.lat != 0.0));
    places.count()
}
