//! The recording task over a queue on disk: what waited for the disk is taken in order.

use std::sync::Arc;

use super::*;
use crate::clock::UtcMs;
use crate::config::Config;
use crate::meter::profile::Profile;
use crate::queue::{FILE, Filter, View};
use crate::reading::{Place, Sample};

const BASE: i64 = 100_000;

fn sample(raw: u64) -> Sample {
    Sample {
        serial: Some("AF23265".to_owned()),
        seq: None,
        raw,
        rate_gpm: Some(2.0),
        fluid_f: None,
        ambient_f: None,
        battery_percent: None,
        runtime_min: None,
    }
}

/// A rig that drives north: at second `n` it is at latitude 33 + n/1000.
fn fix(second: i64) -> Fix {
    Fix {
        at: BootInstant(BASE + second * 1_000),
        utc: Some(UtcMs(1_809_253_002_000 + second * 1_000)),
        place: Place { lat_e7: 330_000_000 + second as i32 * 10_000, lon_e7: -868_965_344 },
        hdop: 0.9,
        quality: 1,
        speed_mps: Some(10.0),
    }
}

#[tokio::test]
async fn a_stalled_disk_costs_no_reading_its_place_and_gives_none_a_later_one() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::system().unwrap();
    let path = dir.path().join(FILE);
    let (queue, thread) = Queue::start(Store::open(&path, clock.boot()).unwrap()).unwrap();
    let profile = Arc::new(Profile::builtin("rig-line").unwrap().unwrap());
    let mut config = Config::default();
    config.record.every = Duration::from_secs(1);
    let (_rig, rig) = watch::channel(Rig { config: Arc::new(config), profile });
    let (_wanted, wanted) = watch::channel(None);
    let (meter_tx, meter) = mpsc::channel(64);
    let (fixes_tx, fixes) = mpsc::channel(64);
    // Twenty seconds that all waited for the disk.
    for second in 1..=20 {
        fixes_tx.try_send(fix(second)).unwrap();
        let at = BootInstant(BASE + second * 1_000 + 100);
        meter_tx.try_send(MeterEvent::Sample(sample(1_000 + 4 * second as u64), at)).unwrap();
    }
    drop((meter_tx, fixes_tx));
    let parts = RecordParts {
        queue,
        rig,
        wanted,
        meter,
        fixes,
        recorded: watch::channel(Seq(0)).0,
        anchors: watch::channel(Vec::new()).0,
        view: watch::channel(RecordView::default()).0,
        pulse: Pulse::new("record", clock.now()),
        clock,
    };
    Record::new(parts).await.unwrap().run().await.unwrap();
    thread.join().unwrap();

    let readings =
        View::open(&path).unwrap().list(&Filter { limit: 99, ..Filter::default() }).unwrap();
    assert!(readings.len() >= 15, "{}", readings.len());
    for reading in readings {
        let second = (reading.boottime_ms - BASE) / 1_000;
        let lat = reading.lat.unwrap_or_else(|| panic!("no place at second {second}"));
        assert!((lat - (33.0 + second as f64 / 1_000.0)).abs() < 1e-6, "{lat} at second {second}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_never_answers_lets_the_watchdog_starve_and_a_slow_one_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::system().unwrap();
    let store = Store::open(&dir.path().join(FILE), clock.boot()).unwrap();
    let (queue, _thread) = Queue::start(store).unwrap();
    let profile = Arc::new(Profile::builtin("rig-line").unwrap().unwrap());
    let pulse = Pulse::new("record", clock.now());
    let parts = RecordParts {
        queue: queue.clone(),
        rig: watch::channel(Rig { config: Arc::new(Config::default()), profile }).1,
        wanted: watch::channel(None).1,
        meter: mpsc::channel(1).1,
        fixes: mpsc::channel(1).1,
        recorded: watch::channel(Seq(0)).0,
        anchors: watch::channel(Vec::new()).0,
        view: watch::channel(RecordView::default()).0,
        pulse: pulse.clone(),
        clock,
    };
    let record = Record::new(parts).await.unwrap();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let stuck = record.ask(move |_| {
        released.recv().unwrap();
        Ok(())
    });
    let beats_within = async |time| {
        pulse.beat(BootInstant(0));
        sleep(time).await;
        pulse.age_ms(BootInstant(0)) != 0
    };
    let watched = async {
        for _ in 0..5 {
            assert!(beats_within(Duration::from_secs(10)).await, "a disk may be slow");
        }
        sleep(Duration::from_secs(15)).await;
        assert!(!beats_within(Duration::from_secs(60)).await, "it is hung");
        release.send(()).unwrap();
    };
    tokio::join!(stuck, watched).0.unwrap();
}
