//! The door with clients that misbehave.

use std::pin::Pin;
use std::task::Poll;
use std::thread::JoinHandle;

use tokio::time::Instant;

use super::*;
use crate::clock::BootId;
use crate::drain::DrainView;
use crate::queue::Store;
use crate::reading::Assignment;
use crate::record::{GpsView, MeterView, RecordView};
use crate::status::AgentView;
use crate::stop;

/// All there is behind the door, and the queue's thread.
fn parts() -> (ControlParts, JoinHandle<()>) {
    let store = Store::open(Path::new(":memory:"), &BootId("boot-1".to_owned())).unwrap();
    let (queue, thread) = Queue::start(store).unwrap();
    let clock = Clock::system().unwrap();
    let config = watch::channel(Arc::new(Config::default())).1;
    let wanted = watch::Sender::new(None);
    let live = Live {
        agent: watch::channel(AgentView::default()).1,
        config: config.clone(),
        meter: watch::channel(MeterView::default()).1,
        gps: watch::channel(GpsView::default()).1,
        record: watch::channel(RecordView::default()).1,
        drain: watch::channel(DrainView::default()).1,
        room: watch::channel(crate::upkeep::room::RoomView::default()).1,
        anchors: watch::channel(Vec::new()).1,
        wanted: wanted.subscribe(),
        pulses: Vec::new(),
        clock: clock.clone(),
    };
    let (hints, canaries) = (mpsc::channel(1).0, mpsc::channel(1).0);
    let verifications = mpsc::channel(1).0;
    let pulse = Pulse::new("control", clock.now());
    let anchors = watch::Sender::new(Vec::new());
    let parts = ControlParts {
        queue,
        config,
        wanted,
        anchors,
        hints,
        canaries,
        verifications,
        live,
        clock,
        pulse,
    };
    (parts, thread)
}

#[tokio::test(start_paused = true)]
async fn a_client_that_never_reads_loses_its_place() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let (parts, _thread) = parts();
    let begun = Instant::now();
    let serving = tokio::spawn(serve(ours, parts));
    let (_never_read, mut says) = theirs.into_split();
    // Until neither side takes any more.
    let asked = async { while says.write_all(b"no\n").await.is_ok() {} };
    let stuck = timeout(SILENCE / 2, asked).await;
    assert!(stuck.is_err(), "the server waits for its answers to be taken");
    timeout(2 * SILENCE, serving).await.unwrap().unwrap().unwrap();
    assert!(begun.elapsed() >= SILENCE);
}

#[tokio::test]
async fn a_client_that_stays_does_not_keep_the_queue_open_after_a_stop() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("control.sock");
    let (parts, thread) = parts();
    let control = Control::new(&path, parts);
    let (stopper, stop) = stop::channel();
    let running = tokio::spawn(control.run(stop));
    let mut client = BufReader::new(UnixStream::connect(&path).await.unwrap());
    client.write_all(b"{\"cmd\":\"job_show\"}\n").await.unwrap();
    let mut said = String::new();
    client.read_line(&mut said).await.unwrap();
    assert!(said.starts_with("{\"ok\""), "{said}");

    stopper.stop();
    running.await.unwrap();
    let closed = tokio::task::spawn_blocking(move || thread.join());
    timeout(Duration::from_secs(5), closed).await.unwrap().unwrap().unwrap();
    assert_eq!(client.read_line(&mut said).await.unwrap(), 0, "the client was let go");
}

/// Polls a future once, as far as it gets.
async fn begin<F: Future + Unpin>(future: &mut F) {
    let once = std::future::poll_fn(|cx| Poll::Ready(Pin::new(&mut *future).poll(cx).is_ready()));
    assert!(!once.await, "it waits for the queue");
}

#[tokio::test]
async fn of_two_picks_at_once_the_one_told_last_is_the_one_stored_last() {
    let (parts, _thread) = parts();
    let pick = |job: &str| {
        let (event, job) = ("e".to_owned(), job.to_owned());
        let assignment = Assignment { event, job, item: None, product: None, note: String::new() };
        Command::JobUse { assignment }
    };
    // The queue is busy until both have been asked.
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let mut busy = Box::pin(parts.queue.call(move |_| {
        let _ = wait.recv();
        Ok(())
    }));
    begin(&mut busy).await;
    let mut first = Box::pin(answer(pick("a"), &parts));
    let mut second = Box::pin(answer(pick("b"), &parts));
    begin(&mut first).await;
    begin(&mut second).await;
    go.send(()).unwrap();
    // The second client's task happens to run first.
    second.await;
    first.await;
    let stored = parts.queue.call(|store| store.pick()).await.unwrap();
    let told = parts.wanted.borrow().clone().map(|(assignment, _)| assignment);
    assert_eq!(told, stored);
    assert_eq!(told.unwrap().job, "b");
}
