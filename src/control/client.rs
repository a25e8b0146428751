//! The command line's end of the socket, and what it does where nobody answers: take the
//! data directory's lock and act itself.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use serde_json::Value;
use thiserror::Error;

use super::{Answer, Command, LINE_MAX, apply, look};
use crate::cause::chain;
use crate::clock::UtcMs;
use crate::clock::resolve::resolve;
use crate::clock::source::{Clock, ClockError};
use crate::config::Config;
use crate::queue::{DirLock, LockError, QueueError, Store, file_in, give_to_owner};

/// How long the daemon may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why a command wasn't carried out.
#[derive(Debug, Error)]
pub enum ClientError {
    /// The daemon isn't there.
    #[error("the daemon does not answer at {0}")]
    Down(String),
    /// It is there and this user may not talk to it.
    #[error("no permission for {0}; use sudo, or join the group spraylog")]
    Forbidden(String),
    /// It said no.
    #[error("{0}")]
    Refused(String),
    /// The conversation broke off.
    #[error("the daemon broke off the conversation")]
    Broken(#[source] std::io::Error),
    /// It has not answered in time.
    #[error(
        "no answer within {} s; it may still be carried out: look again with `spraylog status`",
        .0.as_secs()
    )]
    Late(Duration),
    /// The lock on the data directory wasn't taken.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The clocks can't be read.
    #[error(transparent)]
    Clock(#[from] ClockError),
    /// The queue failed.
    #[error(transparent)]
    Queue(#[from] QueueError),
}

/// Asks the daemon, or acts on the store where it is down.
///
/// # Errors
/// Where neither works, with what to do.
pub fn ask_or_act(command: &Command, config: &Config) -> Result<Value, ClientError> {
    match ask(command, config) {
        Err(ClientError::Down(_)) => act(command, config),
        said => said,
    }
}

/// Asks the daemon.
///
/// # Errors
/// [`ClientError::Down`] where nobody listens.
pub fn ask(command: &Command, config: &Config) -> Result<Value, ClientError> {
    let path = &config.status.socket;
    let mut stream = UnixStream::connect(path).map_err(|err| match err.kind() {
        std::io::ErrorKind::PermissionDenied => ClientError::Forbidden(path.display().to_string()),
        _ => ClientError::Down(path.display().to_string()),
    })?;
    let patience = patience(command, config);
    let said = talk(&mut stream, command, patience).map_err(|err| match err.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => ClientError::Late(patience),
        _ => ClientError::Broken(err),
    });
    said.and_then(|answer| match answer {
        Answer::Ok(said) => Ok(said),
        Answer::Error(why) => Err(ClientError::Refused(why)),
    })
}

/// A test record takes a dozen calls, and waits for the batch before it.
fn patience(command: &Command, config: &Config) -> Duration {
    match command {
        Command::Canary { .. } => {
            PATIENCE + config.jobcloser.timeout * 12 + config.jobcloser.settle_after * 2
        }
        // Two lists of each job, and a sign-in before each; the wait between them is one.
        Command::RecordsVerify { order } => {
            let asked = u32::try_from(order.jobs.len()).unwrap_or(u32::MAX).saturating_mul(4);
            let calls = config.jobcloser.timeout.saturating_mul(asked.saturating_add(2));
            calls.saturating_add(PATIENCE + config.jobcloser.settle_after * 2)
        }
        _ => PATIENCE,
    }
}

fn talk(stream: &mut UnixStream, command: &Command, patience: Duration) -> std::io::Result<Answer> {
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut line = serde_json::to_vec(command)?;
    line.push(b'\n');
    stream.write_all(&line)?;
    let mut answer = String::new();
    BufReader::new(stream.take(LINE_MAX as u64)).read_line(&mut answer)?;
    Ok(serde_json::from_str(&answer)?)
}

fn act(command: &Command, config: &Config) -> Result<Value, ClientError> {
    let file = file_in(&config.device.data_dir);
    // Who only asks makes nothing: neither a queue nor a lock.
    if *command == Command::JobShow {
        return Ok(look(&file, &config.job)?);
    }
    let _lock = DirLock::take(&config.device.data_dir)?;
    let clock = Clock::system()?;
    let opened = Store::open(&file, clock.boot());
    give_to_owner(&file);
    let mut store = opened?;
    let now = present(config, &clock, &store);
    apply(command, &mut store, &config.job, now).map_err(|err| match err {
        QueueError::Refused(why) => ClientError::Refused(why),
        err => ClientError::Refused(chain(&err)),
    })
}

/// The present as the daemon would know it; the system's clock only where it is trusted.
fn present(config: &Config, clock: &Clock, store: &Store) -> Option<UtcMs> {
    resolve(store.anchors(), clock.now()).or_else(|| clock.trusted(config.clock.trust_system))
}
