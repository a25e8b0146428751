//! The daemon's end of the socket. Each connection is served by itself; a client that is
//! slow, silent or talks nonsense disturbs nobody else.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use thiserror::Error;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::timeout;
use tracing::{debug, error, info, warn};

use super::{Answer, Command, LINE_MAX, apply};
use crate::assignment::{self, Wanted};
use crate::cause::chain;
use crate::clock::resolve::resolve;
use crate::clock::source::Clock;
use crate::clock::{Anchor, AnchorSource};
use crate::config::Config;
use crate::delivery::Hint;
use crate::learnt::{Here, Order, Told};
use crate::progress::Pulse;
use crate::queue::Queue;
use crate::status::Live;
use crate::stop::Stop;
use crate::verified;

/// Clients served at once; a further one waits to be accepted.
const CLIENTS: usize = 16;
/// A client that says nothing, or doesn't take its answer, for so long is let go.
const SILENCE: Duration = Duration::from_secs(30);
/// Signs of life while nobody calls.
const BEAT_EVERY: Duration = Duration::from_secs(5);
/// How often a door that can't be opened is tried again.
const TRY_EVERY: Duration = Duration::from_secs(10);

/// Why there is no door.
#[derive(Debug, Error)]
enum ServerError {
    /// The socket can't be made.
    #[error("cannot listen at {path}; check status.socket and its directory")]
    Listen {
        /// The socket.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// What the server is made of; clones serve the connections.
#[derive(Debug, Clone)]
pub struct ControlParts {
    /// The queue.
    pub queue: Queue,
    /// The configuration, as it changes.
    pub config: watch::Receiver<Arc<Config>>,
    /// Where the wanted assignment is told, in turns of the queue alone.
    pub wanted: watch::Sender<Wanted>,
    /// The anchors of this boot: where one that an operator tells is added, after its commit.
    pub anchors: watch::Sender<Vec<Anchor>>,
    /// Where delivery is told to look again.
    pub hints: mpsc::Sender<Hint>,
    /// Where delivery is asked for a test record; each brings where to tell what became of
    /// it.
    pub canaries: mpsc::Sender<(Order, Here, oneshot::Sender<Told>)>,
    /// Where delivery is asked to verify jobs; each brings where to tell what came of it.
    pub verifications: mpsc::Sender<(verified::Order, oneshot::Sender<verified::Told>)>,
    /// Everything `status` shows.
    pub live: Live,
    /// The board's clocks.
    pub clock: Clock,
    /// Proof of life.
    pub pulse: Pulse,
}

/// The listening task.
#[derive(Debug)]
pub struct Control {
    path: PathBuf,
    parts: ControlParts,
    /// As soon as the door is open.
    listener: Option<UnixListener>,
}

impl Control {
    /// Listens at `path`, for its owner and group alone. Where that fails [`Self::run`]
    /// tries again now and then: a rig without a door records all the same.
    pub fn new(path: &Path, parts: ControlParts) -> Self {
        let listener = listen(path)
            .inspect_err(|err| {
                error!(
                    err = err as &dyn std::error::Error,
                    "no control socket: recording goes on, commands have to wait; trying again"
                );
            })
            .ok();
        Self { path: path.to_owned(), parts, listener }
    }

    /// The open door.
    async fn door(&mut self, stop: &mut Stop) -> Option<UnixListener> {
        loop {
            if let Some(listener) = self.listener.take() {
                return Some(listener);
            }
            self.parts.pulse.beat(self.parts.clock.now());
            tokio::select! {
                () = stop.asked() => return None,
                () = tokio::time::sleep(TRY_EVERY) => {}
            }
            self.listener = listen(&self.path).ok();
            if self.listener.is_some() {
                info!(path = %self.path.display(), "control socket is there now");
            }
        }
    }

    /// Serves until `stop`. Clients that are still there then are let go: what they asked
    /// of the queue is done all the same, and nobody holds the queue open after that.
    pub async fn run(mut self, mut stop: Stop) {
        let Some(listener) = self.door(&mut stop).await else { return };
        let places = Arc::new(Semaphore::new(CLIENTS));
        let mut clients = JoinSet::new();
        loop {
            self.parts.pulse.beat(self.parts.clock.now());
            tokio::select! {
                () = stop.asked() => break,
                () = tokio::time::sleep(BEAT_EVERY) => {}
                Some(ended) = clients.join_next() => look_at(ended),
                accepted = accept(&listener, &places) => match accepted {
                    Ok((stream, place)) => {
                        let parts = self.parts.clone();
                        clients.spawn(async move {
                            if let Err(err) = serve(stream, parts).await {
                                debug!(%err, "control connection ended");
                            }
                            drop(place);
                        });
                    }
                    Err(err) => {
                        warn!(%err, "control socket cannot accept");
                        tokio::time::sleep(BEAT_EVERY).await;
                    }
                },
            }
        }
        let _ = std::fs::remove_file(&self.path);
        clients.abort_all();
        while let Some(ended) = clients.join_next().await {
            look_at(ended);
        }
    }
}

/// Serving ends by itself or is told to; anything else is a mistake of ours.
fn look_at(ended: Result<(), JoinError>) {
    if let Err(err) = ended
        && err.is_panic()
    {
        error!(%err, "serving a control connection panicked");
    }
}

fn listen(path: &Path) -> Result<UnixListener, ServerError> {
    let fail = |source| ServerError::Listen { path: path.to_owned(), source };
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir).map_err(fail)?;
    }
    // The data directory's lock is ours, so a socket that is there was left behind.
    match std::fs::remove_file(path) {
        Err(err) if err.kind() != std::io::ErrorKind::NotFound => return Err(fail(err)),
        Ok(()) | Err(_) => {}
    }
    let listener = UnixListener::bind(path).map_err(fail)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660)).map_err(fail)?;
    Ok(listener)
}

/// The next client, once there is a place for it.
async fn accept(
    listener: &UnixListener,
    places: &Arc<Semaphore>,
) -> std::io::Result<(UnixStream, OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.map_err(std::io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    Ok((stream, place))
}

async fn serve(stream: UnixStream, parts: ControlParts) -> std::io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read);
    loop {
        let mut line = Vec::new();
        let mut bounded = (&mut read).take(LINE_MAX as u64);
        let asked = bounded.read_until(b'\n', &mut line);
        let Ok(got) = timeout(SILENCE, asked).await else { return Ok(()) };
        if got? == 0 {
            return Ok(());
        }
        let whole = line.ends_with(b"\n");
        let answer = match serde_json::from_slice(&line) {
            Ok(command) if whole => answer(command, &parts).await,
            Ok(_) => Answer::Error("the command does not end with a newline".to_owned()),
            Err(err) => Answer::Error(format!("not a command: {err}")),
        };
        let mut text = serde_json::to_vec(&answer)?;
        text.push(b'\n');
        let Ok(written) = timeout(SILENCE, write.write_all(&text)).await else { return Ok(()) };
        written?;
        if !whole {
            return Ok(());
        }
    }
}

async fn answer(command: Command, parts: &ControlParts) -> Answer {
    if command == Command::Status {
        return Answer::Ok(parts.live.snapshot());
    }
    if let Command::Canary { order } = command {
        return canary(order, parts).await;
    }
    if let Command::RecordsVerify { order } = command {
        return verify(order, parts).await;
    }
    let (asked, config, wanted) = (command.clone(), parts.config.clone(), parts.wanted.clone());
    let (clock, anchors) = (parts.clock.clone(), parts.anchors.clone());
    let done = parts
        .queue
        .call(move |store| {
            let fixed = config.borrow().job.clone();
            let now = resolve(store.anchors(), clock.now());
            let said = apply(&asked, store, &fixed, now)?;
            if asked.changes_pick() {
                // Durable before it is told, and told in the same turn of the queue: of two
                // commands at once the one stored last is the one told last.
                wanted.send_replace(assignment::wanted(store.pick()?, &fixed));
            }
            if matches!(asked, Command::RecordsRelease { .. }) {
                tell_by_hand(&anchors, store.anchors());
            }
            Ok(said)
        })
        .await;
    match done {
        Ok(said) => {
            if command.changes_pick() {
                let picked = matches!(command, Command::JobUse { .. });
                info!(picked, "assignment changed by command");
            }
            if command.changes_delivery() {
                // A full channel already holds the same word.
                let _ = parts.hints.try_send(Hint::TryAgain);
            }
            Answer::Ok(said)
        }
        Err(err) => Answer::Error(chain(&err)),
    }
}

/// The agent's own clock goes by what an operator told of the boot that is running, until
/// that is measured. What is measured is told by the recorder.
fn tell_by_hand(known: &watch::Sender<Vec<Anchor>>, stored: &[Anchor]) {
    let told = |a: &Anchor| a.source == AnchorSource::Operator;
    known.send_modify(|known| {
        known.retain(|a| !told(a));
        known.extend(stored.iter().filter(|a| told(a)));
    });
}

/// A test record, by the delivery: one request is in flight at a time.
async fn canary(order: Order, parts: &ControlParts) -> Answer {
    let record = parts.live.record.clone();
    let here: Here = Box::new(move || record.borrow().recorder.as_ref()?.place);
    let (reply, told) = oneshot::channel();
    if parts.canaries.try_send((order, here, reply)).is_err() {
        return Answer::Error("another test record is under way; try again later".to_owned());
    }
    match told.await {
        Ok(told) => in_json(&told),
        Err(_) => Answer::Error("delivery has stopped; the log says what was sent".to_owned()),
    }
}

/// A verification, by the delivery as well, in its turn.
async fn verify(order: verified::Order, parts: &ControlParts) -> Answer {
    let (reply, told) = oneshot::channel();
    if parts.verifications.try_send((order, reply)).is_err() {
        return Answer::Error("others are being verified; try again later".to_owned());
    }
    match told.await {
        Ok(told) => in_json(&told),
        Err(_) => Answer::Error("delivery has stopped; ask again when it runs".to_owned()),
    }
}

fn in_json(told: &impl Serialize) -> Answer {
    match serde_json::to_value(told) {
        Ok(told) => Answer::Ok(told),
        Err(err) => Answer::Error(format!("what became of it can't be told: {err}")),
    }
}

#[cfg(test)]
mod tests;
