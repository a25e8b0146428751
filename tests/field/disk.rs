//! The disk: one that others fill in mid-run. What the rig did meanwhile is recorded with
//! its places once there is room again. Mounts a small tmpfs, so it needs root.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use hil_sim::bench::Bench;
use hil_sim::judge::Kind;

use crate::bench::{SOON, options_with};
use crate::look::{
    flagged, live, number, readings, said, seconds, until, until_baseline, until_live,
};

/// More than the small disk has, so that no ballast is built.
const NO_BALLAST: &str = "64 MiB";

/// A file system of its own, of a few megabytes.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// `None`, said aloud, where it can't be mounted.
    fn mount(test: &str) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=16m", "spraylog-test"]).arg(dir.path());
        if mount.output().is_ok_and(|output| output.status.success()) {
            return Some(Self(dir));
        }
        eprintln!("skipped: {test} (needs root, to mount a tmpfs)");
        None
    }

    fn data_dir(&self) -> PathBuf {
        self.0.path().join("data")
    }

    fn filler(&self) -> PathBuf {
        self.0.path().join("someone-elses-file")
    }

    /// Somebody else fills it to the last byte.
    fn fill(&self) {
        let mut file = std::fs::File::create(self.filler()).unwrap();
        while file.write_all(&[0x5a; 4096]).is_ok() {}
        while file.write_all(&[0x5a]).is_ok() {}
    }

    fn make_room(&self) {
        std::fs::remove_file(self.filler()).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).output();
    }
}

async fn on(disk: &Path, min_free: &str) -> Bench {
    let data_dir = disk.display();
    let config = format!("[device]\ndata_dir = '{data_dir}'\n[queue]\nmin_free = '{min_free}'");
    let setup = options_with(&config);
    let bench = Bench::start(setup).await.unwrap();
    until_baseline(&bench).await;
    until_live(&bench, "a fresh fix", |s| s["gps"]["fix"] == "fresh").await;
    bench.drive(1.5, 75.0);
    bench.spray(4.0);
    bench
}

/// Nothing is missing and nothing doubled, and each reading was made where the rig was.
pub async fn all_is_there(mut bench: Bench) {
    bench.stop_spraying();
    bench.settle_and_judge(SOON).await.assert_clean();
    assert!(flagged(&bench, "gap").is_empty());
    let kept = readings(&bench);
    let numbers: Vec<i64> = kept.iter().map(|r| r["seq"].as_i64().unwrap()).collect();
    assert!(numbers.windows(2).all(|w| w[0] + 1 == w[1]), "{numbers:?}");
    assert!(kept.iter().all(|r| r["lat"].is_number()), "each has its place");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_others_fill_costs_no_reading_and_no_place_once_there_is_room_again() {
    let name = "a_disk_that_others_fill_costs_no_reading_and_no_place_once_there_is_room_again";
    let Some(disk) = SmallDisk::mount(name) else { return };
    let mut bench = on(&disk.data_dir(), NO_BALLAST).await;
    bench.wait_for_records(3, SOON).await.unwrap();

    disk.fill();
    until_live(&bench, "readings in memory", |s| {
        number(s, "/meter/recorder/not_durable/readings") >= 8
    })
    .await;
    let shown = readings(&bench).len();
    let text = said(&bench, &["status"]);
    let directory = disk.data_dir().display().to_string();
    assert!(text.contains("NOT DURABLE") && text.contains("the disk is full"), "{text}");
    assert!(text.contains(&directory), "{text}");
    seconds(2.0).await;
    assert_eq!(readings(&bench).len(), shown, "what is only in memory is not recorded");

    disk.make_room();
    until_live(&bench, "the disk to take them", |s| {
        s["meter"]["recorder"]["not_durable"].is_null()
    })
    .await;
    assert!(readings(&bench).len() >= shown + 8);
    all_is_there(bench).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_with_readings_in_memory_it_finds_their_volume_at_the_next_start() {
    let name = "killed_with_readings_in_memory_it_finds_their_volume_at_the_next_start";
    let Some(disk) = SmallDisk::mount(name) else { return };
    let mut bench = on(&disk.data_dir(), NO_BALLAST).await;
    bench.wait_for_records(3, SOON).await.unwrap();
    disk.fill();
    until_live(&bench, "readings in memory", |s| {
        number(s, "/meter/recorder/not_durable/readings") >= 5
    })
    .await;
    bench.kill_agent().unwrap();
    disk.make_room();
    bench.start_agent().unwrap();
    until("the gap", || !flagged(&bench, "gap").is_empty()).await;
    assert!(live(&bench)["meter"]["recorder"]["not_durable"].is_null());
    seconds(1.5).await;
    bench.stop_spraying();
    // Their places and times are lost with the memory, no gallon is.
    bench.settle_and_judge(SOON).await.assert_clean_but_for(&[Kind::Gap]);
    assert_eq!(flagged(&bench, "gap").len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_full_disk_the_ballast_is_given_up_so_that_readings_go_on_and_built_again() {
    let name = "on_a_full_disk_the_ballast_is_given_up_so_that_readings_go_on_and_built_again";
    let Some(disk) = SmallDisk::mount(name) else { return };
    let mut bench = on(&disk.data_dir(), "2 MiB").await;
    until_live(&bench, "the ballast", |s| s["disk"]["ballast"] == true).await;
    bench.wait_for_records(3, SOON).await.unwrap();

    disk.fill();
    until_live(&bench, "the ballast to be given up", |s| s["disk"]["ballast"] == false).await;
    until_live(&bench, "readings on the disk", |s| s["meter"]["recorder"]["not_durable"].is_null())
        .await;
    let records = bench.records().len();
    bench.wait_for_records(records + 4, SOON).await.unwrap();
    assert!(disk.filler().exists(), "still full but for the ballast's room");
    let text = said(&bench, &["status"]);
    assert!(!text.contains("NOT DURABLE"), "{text}");
    assert!(bench.agent().log().contains("the ballast is given up"));

    disk.make_room();
    until_live(&bench, "the ballast again", |s| s["disk"]["ballast"] == true).await;
    bench.stop_spraying();
    bench.settle_and_judge(SOON).await.assert_clean();
    assert!(readings(&bench).iter().all(|r| r["lat"].is_number()), "each has its place");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn below_min_free_only_warnings_are_logged_and_readings_go_on() {
    let mut bench = Bench::start(options_with("[queue]\nmin_free = \"512 TiB\"")).await.unwrap();
    until_live(&bench, "the disk to be low", |said| said["disk"]["low"] == true).await;
    until("the warning", || bench.agent().log().contains("queue.min_free")).await;
    seconds(1.0).await;
    let before = bench.agent().log().len();
    // Any of these is worth a line: a reload, a device that goes and comes, a stop.
    bench.reload_agent().unwrap();
    until_baseline(&bench).await;
    bench.spray(4.0);
    bench.wait_for_records(3, SOON).await.unwrap();
    bench.stop_agent().await.unwrap();
    let log = bench.agent().log();
    assert!(!log[before..].contains("INFO"), "{}", &log[before..]);
    assert!(log[..before].contains("INFO"), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_queue_on_a_full_disk_costs_no_process_and_is_set_aside_and_room_is_all_it_takes()
{
    let name = "a_damaged_queue_on_a_full_disk_costs_no_process";
    let Some(disk) = SmallDisk::mount(name) else { return };
    let mut bench = on(&disk.data_dir(), NO_BALLAST).await;
    bench.wait_for_records(3, SOON).await.unwrap();
    bench.stop_agent().await.unwrap();
    // No header any more, in the room that it had.
    let queue = disk.data_dir().join("queue.db");
    let mut file = std::fs::OpenOptions::new().write(true).open(&queue).unwrap();
    file.write_all(&[0x5a; 100]).unwrap();
    drop(file);
    let damaged = std::fs::read(&queue).unwrap();
    disk.fill();

    bench.start_agent().unwrap();
    let pid = bench.agent().pid();
    until("it to say so", || bench.agent().log().contains("NOT RECORDING")).await;
    assert!(bench.agent().log().contains("the disk is full: make room on it"));
    seconds(7.0).await;
    assert!(bench.agent_mut().is_running(), "it tries again");
    assert_eq!(bench.agent().log().matches("NOT RECORDING").count(), 1, "and says so once");

    disk.make_room();
    let before = bench.records().len();
    bench.wait_for_records(before + 2, SOON).await.unwrap();
    assert_eq!(bench.agent().pid(), pid, "in one process");
    let aside = disk.data_dir().join("damaged-1");
    assert_eq!(std::fs::read(aside.join("queue.db")).unwrap(), damaged);
    assert!(!disk.data_dir().join("damaged-2").exists());
    let text = said(&bench, &["status"]);
    assert!(text.contains("1 damaged set aside in damaged-*"), "{text}");
}
