//! Stopping, signing in, and who may use a data directory.

use std::time::Duration;

use hil_sim::bench::{Bench, BenchOptions};
use hil_sim::jobcloser::{Fault, Times};
use rstest::rstest;

use crate::bench::{SOON, options, options_with};
use crate::delivery::{all_delivered, asked, command, records_sent, trouble};

/// A stop takes no longer (interface: TimeoutStopSec is above it).
const STOPS_WITHIN: Duration = Duration::from_secs(5);

#[rstest]
#[case::that_will_never_be_stored(Fault::Hang { ms: 60_000 }, false)]
#[case::that_is_stored_already(Fault::StoreAndHang { ms: 60_000 }, true)]
#[tokio::test]
async fn sigterm_in_the_middle_of_a_batch(#[case] fault: Fault, #[case] stored: bool) {
    let options = options_with("jobcloser.timeout = \"30s\"\njobcloser.settle_after = \"2s\"");
    let mut bench = Bench::start(options).await.unwrap();
    bench.wait_until_ready(SOON).await.unwrap();
    bench.spray(4.0);
    bench.wait_for_records(2, SOON).await.unwrap();
    bench.server().fault(fault, Times::Next(1));
    bench
        .wait_until("a batch under way", SOON, |look| look.status().balance.in_doubt > 0)
        .await
        .unwrap();
    let (status, took) = bench.stop_agent().await.unwrap().unwrap();
    assert!(status.success(), "{status}");
    assert!(took <= STOPS_WITHIN, "it took {took:?}");

    let left = bench.status().await.unwrap();
    assert!(!left.daemon.running);
    assert!(left.balance.in_doubt > 0, "{:?}", left.balance);
    let stuck = asked(&bench, "createbatch").pop().unwrap();
    let in_doubt = stuck.record_count.unwrap();
    assert_eq!(left.balance.in_doubt, in_doubt as u64);

    let restarted_ms = now_ms();
    bench.start_agent().unwrap();
    bench.wait_until_ready(SOON).await.unwrap();
    bench
        .wait_until("nothing in doubt", SOON, |look| look.status().balance.in_doubt == 0)
        .await
        .unwrap();
    let question = asked(&bench, "getall").remove(0);
    assert!(question.at_ms - restarted_ms >= 2000, "asked too soon: {question:?}");
    bench.stop_spraying();
    bench.wait_until_drained(SOON).await.unwrap();
    let again = if stored { 0 } else { in_doubt };
    assert_eq!(records_sent(&bench), bench.records().len() + again);
    bench.settle_and_judge(SOON).await.assert_clean();
    // After a start the meter may be heard before the sky is: that is held, and all else sent.
    let left = bench.status().await.unwrap();
    assert_eq!(left.balance.held, left.held_for.no_place);
    assert_eq!(left.balance.sent + left.balance.held, left.balance.recorded);
}

#[tokio::test]
async fn a_wrong_password_records_and_holds_until_the_file_is_corrected() {
    let mut bench = Bench::start(BenchOptions { start_agent: false, ..options() }).await.unwrap();
    let file = bench.dir().join("credentials/password");
    let right = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, "not the one").unwrap();
    bench.start_agent().unwrap();
    bench.wait_until_ready(SOON).await.unwrap();
    bench.spray(4.0);
    let seen = bench
        .wait_until("readings kept, and why", SOON, |look| {
            look.status().balance.ready >= 6 && !trouble(look).is_empty()
        })
        .await
        .unwrap();
    assert_eq!(
        trouble(&seen),
        "JobCloser refuses the e-mail address or password; correct the credentials files, \
         then `systemctl restart spraylog` where it is a service"
    );
    let text = command(&bench, &["status"]).await;
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(text.contains(&trouble(&seen)), "{text}");
    assert_eq!(asked(&bench, "signin").len(), 1, "an account may be locked by more tries");
    assert!(bench.records().is_empty());

    // Liquid flows on: readings that come in must not keep it from looking at the files.
    std::fs::write(&file, right).unwrap();
    bench.wait_for_records(6, Duration::from_secs(20)).await.unwrap();
    assert_eq!(asked(&bench, "signin").len(), 2);
    all_delivered(bench).await;
}

#[tokio::test]
async fn a_second_agent_on_one_data_directory_is_refused_by_name() {
    let mut bench = Bench::start(options()).await.unwrap();
    bench.wait_until_ready(SOON).await.unwrap();
    bench.spray(4.0);
    bench.wait_for_records(2, SOON).await.unwrap();
    let pid = bench.agent().pid().unwrap();

    let second = command(&bench, &["run"]).await;
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert_eq!(second.status.code(), Some(69), "{said}");
    assert!(said.contains(&format!("pid {pid}")), "{said}");
    assert!(said.contains(&*bench.dir().join("data").to_string_lossy()), "{said}");

    // The first neither noticed nor lost its socket.
    let seen = bench.records().len();
    bench.wait_for_records(seen + 2, SOON).await.unwrap();
    let status = bench.status().await.unwrap();
    assert_eq!((status.daemon.running, status.daemon.pid), (true, Some(i64::from(pid))));
    all_delivered(bench).await;
}

fn now_ms() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    i64::try_from(now.unwrap().as_millis()).unwrap()
}
