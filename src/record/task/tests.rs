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
    Sample { serial: Some("AF23265".to_owned()), raw, rate_gpm: Some(2.0), ..Sample::default() }
}

/// A rig that drives north: at second `n` it is at latitude 33 + n/10000.
fn fix(second: i64) -> Fix {
    Fix {
        at: BootInstant(BASE + second * 1_000),
        utc: Some(UtcMs(1_809_253_002_000 + second * 1_000)),
        place: Place { lat_e7: 330_000_000 + second as i32 * 1_000, lon_e7: -868_965_344 },
        hdop: 0.9,
        quality: 1,
        speed_mps: Some(10.0),
    }
}

/// A record task over the queue in `path`, and the ends that feed and watch it.
struct Bench {
    record: Option<Record>,
    thread: std::thread::JoinHandle<()>,
    queue: Queue,
    meter: mpsc::Sender<MeterEvent>,
    fixes: mpsc::Sender<Fix>,
    recorded: watch::Receiver<Seq>,
    view: watch::Receiver<RecordView>,
    pulse: Pulse,
}

impl Bench {
    async fn over(path: &std::path::Path) -> Self {
        let clock = Clock::system().unwrap();
        let (queue, thread) = Queue::start(Store::open(path, clock.boot()).unwrap()).unwrap();
        let profile = Arc::new(Profile::builtin("rig-line").unwrap().unwrap());
        let mut config = Config::default();
        config.record.every = Duration::from_secs(1);
        let (meter_tx, meter) = mpsc::channel(64);
        let (fixes_tx, fixes) = mpsc::channel(64);
        let (recorded_tx, recorded) = watch::channel(Seq(0));
        let (view_tx, view) = watch::channel(RecordView::default());
        let pulse = Pulse::new("record", clock.now());
        let parts = RecordParts {
            queue: queue.clone(),
            rig: watch::channel(Rig { config: Arc::new(config), profile }).1,
            wanted: watch::channel(None).1,
            meter,
            fixes,
            recorded: recorded_tx,
            anchors: watch::channel(Vec::new()).0,
            view: view_tx,
            pulse: pulse.clone(),
            clock,
        };
        let record = Some(Record::new(parts).await.unwrap());
        Self { record, thread, queue, meter: meter_tx, fixes: fixes_tx, recorded, view, pulse }
    }

    fn run(&mut self) -> tokio::task::JoinHandle<Result<(), RecordError>> {
        tokio::spawn(self.record.take().unwrap().run())
    }

    /// A fix and a sample of each of these seconds.
    async fn drive(&self, seconds: std::ops::RangeInclusive<i64>) {
        for second in seconds {
            self.fixes.send(fix(second)).await.unwrap();
            let at = BootInstant(BASE + second * 1_000 + 100);
            let sample = sample(1_000 + 4 * second as u64);
            self.meter.send(MeterEvent::Sample(sample, at)).await.unwrap();
        }
    }

    /// The disk is full, or has room again: the database may not grow, or may.
    async fn disk_is_full(&self, full: bool) {
        let limit = move |store: &mut Store| {
            store.limit_growth(full);
            Ok(())
        };
        self.queue.call(limit).await.unwrap();
    }
}

/// Every reading is where the rig was at its time.
fn each_has_its_place(readings: &[crate::queue::Listed]) {
    for reading in readings {
        let second = (reading.boottime_ms - BASE) / 1_000;
        let lat = reading.lat.unwrap_or_else(|| panic!("no place at second {second}"));
        assert!((lat - (33.0 + second as f64 / 10_000.0)).abs() < 1e-6, "{lat} at second {second}");
    }
}

fn listed(path: &std::path::Path) -> Vec<crate::queue::Listed> {
    let filter = Filter { limit: 9_999, ..Filter::default() };
    View::open(path).unwrap().list(&filter).unwrap()
}

/// The readings' volumes add up to what the meter counted from the first to `second`.
fn no_gallon_is_missing(path: &std::path::Path, second: u64) {
    assert!(View::open(path).unwrap().audit().unwrap().balanced());
    let readings = listed(path);
    let (first, last) = (readings.first().unwrap(), readings.last().unwrap());
    assert_eq!(last.raw as u64, 1_000 + 4 * second);
    let per_count = readings[2].gallons / (readings[2].raw - readings[1].raw) as f64;
    let (sum, counted) = (readings.iter().map(|r| r.gallons).sum::<f64>(), last.raw - first.raw);
    assert!((sum - per_count * counted as f64).abs() < 0.01, "{sum}");
}

#[tokio::test]
async fn a_stalled_disk_costs_no_reading_its_place_and_gives_none_a_later_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(FILE);
    let mut bench = Bench::over(&path).await;
    let (release, released) = std::sync::mpsc::channel::<()>();
    let stall = bench.queue.clone();
    let stalled = tokio::spawn(async move {
        stall.call(move |_| Ok(released.recv())).await.unwrap().unwrap();
    });
    let running = bench.run();
    bench.drive(1..=200).await;
    assert_eq!(*bench.recorded.borrow(), Seq(0), "nothing is told before it is on the disk");
    release.send(()).unwrap();
    stalled.await.unwrap();
    let Bench { thread, queue, meter, fixes, .. } = bench;
    drop((queue, meter, fixes));
    running.await.unwrap().unwrap();
    thread.join().unwrap();

    let readings = listed(&path);
    assert!(readings.len() >= 190, "{}", readings.len());
    each_has_its_place(&readings);
}

#[tokio::test]
async fn a_disk_that_fills_and_empties_again_loses_no_reading_and_doubles_none() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(FILE);
    let mut bench = Bench::over(&path).await;
    let running = bench.run();
    bench.drive(1..=20).await;
    bench.recorded.wait_for(|seq| seq.0 >= 15).await.unwrap();
    bench.disk_is_full(true).await;
    bench.drive(21..=400).await;
    let told =
        bench.view.wait_for(|view| view.not_durable.as_ref().is_some_and(|n| n.readings > 250));
    let not_durable = told.await.unwrap().not_durable.clone().unwrap();
    assert!(not_durable.remedy.contains("full"), "{not_durable:?}");
    assert_eq!(not_durable.directory, dir.path());
    let shown = bench.recorded.borrow().0;
    assert_eq!(listed(&path).len() as i64, shown, "in memory is not recorded");
    bench.disk_is_full(false).await;
    bench.view.wait_for(|view| view.not_durable.is_none()).await.unwrap();
    let Bench { thread, queue, meter, fixes, .. } = bench;
    drop((queue, meter, fixes));
    running.await.unwrap().unwrap();
    thread.join().unwrap();

    let readings = listed(&path);
    assert!(readings.len() >= 390, "{}", readings.len());
    each_has_its_place(&readings);
    no_gallon_is_missing(&path, 400);
}

#[tokio::test]
async fn when_no_more_readings_have_room_places_are_lost_and_said_and_no_gallon_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(FILE);
    let mut bench = Bench::over(&path).await;
    let running = bench.run();
    bench.drive(1..=20).await;
    bench.recorded.wait_for(|seq| seq.0 >= 15).await.unwrap();
    bench.disk_is_full(true).await;
    bench.drive(21..=4_000).await;
    let told = bench.view.wait_for(|view| {
        view.recorder.as_ref().is_some_and(|r| r.tally.withheld > 300 && r.unrecorded_gal > 0.0)
    });
    assert!(told.await.unwrap().not_durable.as_ref().unwrap().full);
    bench.disk_is_full(false).await;
    bench.view.wait_for(|view| view.not_durable.is_none()).await.unwrap();
    bench.drive(4_001..=4_003).await;
    let Bench { thread, queue, meter, fixes, .. } = bench;
    drop((queue, meter, fixes));
    running.await.unwrap().unwrap();
    thread.join().unwrap();

    let readings = listed(&path);
    let many = readings.len();
    assert!((3_600..3_650).contains(&many), "{many}");
    each_has_its_place(&readings);
    let gaps: Vec<_> = readings.iter().filter(|r| r.flags.has(crate::reading::Flag::Gap)).collect();
    assert_eq!(gaps.len(), 1);
    assert!(gaps[0].raw >= 1_000 + 4 * 4_000, "what flowed meanwhile is in the next one");
    no_gallon_is_missing(&path, 4_003);
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_never_answers_lets_the_watchdog_starve_and_a_slow_one_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let mut bench = Bench::over(&dir.path().join(FILE)).await;
    let (release, released) = std::sync::mpsc::channel::<()>();
    let stall = bench.queue.clone();
    let stalled = tokio::spawn(async move { stall.call(move |_| Ok(released.recv())).await });
    let running = bench.run();
    bench.drive(1..=20).await;
    let pulse = bench.pulse.clone();
    let beats_within = async |time| {
        pulse.beat(BootInstant(0));
        tokio::time::sleep(time).await;
        pulse.age_ms(BootInstant(0)) != 0
    };
    for _ in 0..5 {
        assert!(beats_within(Duration::from_secs(10)).await, "a disk may be slow");
    }
    tokio::time::sleep(Duration::from_secs(15)).await;
    assert!(!beats_within(Duration::from_secs(60)).await, "it is hung");
    release.send(()).unwrap();
    stalled.await.unwrap().unwrap().unwrap();
    drop((bench.meter, bench.fixes));
    running.await.unwrap().unwrap();
}
