//! How much memory a season's list takes, and a season's job that is verified by it: one after
//! the other, alone in their process, so that the peak is their own. The server writes its
//! records as they are asked for, and holds none of them either.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test stops at what it didn't expect"
)]

use std::io::{BufRead, BufReader, BufWriter, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use jiff::tz::TimeZone;
use spraylog::clock::UtcMs;
use spraylog::config::JobCloser;
use spraylog::delivery::{Frozen, JobKey, Placed};
use spraylog::drain::reconcile::{Checked, Findings, Recogniser};
use spraylog::jobcloser::client::Client;
use spraylog::reading::Seq;

/// 2027-05-02T10:16:42Z.
const FIRST_S: i64 = 1_809_253_002;
/// Far less than what the records take: 60 000 of them are 25 MB as text alone.
const BOUND_KIB: u64 = 6 << 10;

/// Held by the test whose peak it is.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// What a reading of a job that is verified takes while it is looked for.
const READING_B: u64 = 32;
/// What two verifications may differ by besides.
const LEEWAY_KIB: u64 = 3 << 10;

fn serve(peer: TcpStream, records: i64) {
    let mut lines = BufReader::new(peer.try_clone().unwrap()).lines();
    while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
    let mut out = BufWriter::new(peer);
    write!(out, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n")
        .unwrap();
    write!(out, r#"{{"Success":true,"Message":"Success","Result":["#).unwrap();
    let other = r#""EventCompletionId":null,"EventId":"5739034294cb31984da90d447dae11","JobId":"49992697792b29c083a546475c8478","JobItemId":null,"Latitude":33.5116331,"Longitude":-101.9,"MeterCurrentRate":4.2,"TempFluid":71.2,"Battery":88"#;
    for n in 0..records {
        let comma = if n == 0 { "" } else { "," };
        let time = jiff::Timestamp::from_second(FIRST_S + n).unwrap();
        write!(
            out,
            r#"{comma}{{"Id":"{n:030x}","ApplicationDate":"{time}","MeterSerialNumber":"AF23265","MeterRawCount":{n},{other}}}"#
        )
        .unwrap();
    }
    write!(out, "]}}").unwrap();
    out.flush().unwrap();
}

fn server(records: i64) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || serve(listener.accept().unwrap().0, records));
    address
}

/// The most memory that was in use since the last call, in KiB.
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    peak.trim().trim_end_matches(" kB").parse().unwrap()
}

fn client(records: i64) -> Client {
    let base_url = format!("http://{}", server(records));
    let settings = JobCloser { base_url, ..JobCloser::default() };
    Client::new(&settings, None, Arc::new(|| Some(UtcMs(0)))).unwrap()
}

fn how() -> Recogniser {
    let tag = "ab3k9".to_owned();
    Recogniser { zone: TimeZone::UTC, tag, plain_is_utc: false, longest: 0 }
}

fn ours(n: i64) -> Frozen {
    Frozen {
        seq: Seq(n),
        serial: "AF23265".to_owned(),
        utc_s: FIRST_S + n,
        raw: n,
        offset_min: 0,
        server_id: None,
        attempt: 1,
    }
}

async fn ask(records: i64) -> Findings {
    let look = how().look_for((20..60).map(ours).chain([ours(records)]).collect(), Vec::new());
    let client = client(records);
    client.get_all("j", "e", look, |look, row| look.take(row)).await.unwrap().findings()
}

/// All that was sent of a job, by its pages, and one more that isn't there.
async fn verify(records: i64, ids: bool) -> Checked {
    let mut check = how().check(JobKey { event: "e".to_owned(), job: "j".to_owned() });
    let placed = |n: i64| {
        let server_id = ids.then(|| format!("{n:030x}"));
        Placed { frozen: Frozen { server_id, attempt: n / 500, ..ours(n) }, sent: true }
    };
    for first in (0..=records).step_by(1000) {
        let page: Vec<Placed> = (first..=records.min(first + 999)).map(placed).collect();
        check.add(&page);
    }
    let check = check.added();
    let client = client(records);
    client.get_all("j", "e", check, |check, row| check.take(row)).await.unwrap().checked()
}

#[tokio::test]
async fn a_seasons_list_takes_no_more_memory_than_a_days() {
    let _alone = ALONE.lock().await;
    ask(100).await;
    peak_kib();
    ask(100).await;
    let small = peak_kib();
    let findings = ask(60_000).await;
    let large = peak_kib();
    assert_eq!((findings.present.len(), findings.absent), (40, vec![Seq(60_000)]));
    assert!(large < small + BOUND_KIB, "{large} KiB for the long list, {small} for the short one");
}

#[tokio::test]
async fn a_job_of_300_000_is_verified_in_32_bytes_a_reading_by_id_and_by_key() {
    let _alone = ALONE.lock().await;
    const MANY: i64 = 300_000;
    verify(1000, true).await;
    peak_kib();
    for ids in [true, false] {
        verify(1000, ids).await;
        let small = peak_kib();
        let checked = verify(MANY, ids).await;
        let large = peak_kib();
        assert_eq!(checked.missing, [Seq(MANY)], "all others are there");
        let bound = small + MANY as u64 * READING_B / 1024 + LEEWAY_KIB;
        assert!(large < bound, "{large} KiB for {MANY}, {small} for 1000, bound {bound}");
    }
}
