//! A serial port that comes back by itself.
//!
//! Opened by its stable name, exclusively; when the device goes away the descriptor is
//! closed first, so that the kernel can give the name to the device when it returns.
//! Knows nothing of what the bytes mean.

mod reopen;
mod serial;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tokio_serial::{ClearBuffer, SerialPort, SerialStream};
use tracing::{debug, info, warn};

use crate::cause::chain;
use crate::config::Framing;
use crate::config::check::to_be_set;
use crate::health::Health;
use reopen::Reopen;

/// What opens a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Stable name of the device.
    pub path: PathBuf,
    /// Bits a second.
    pub baud: u32,
    /// Data bits, parity, stop bits.
    pub framing: Framing,
}

/// What went wrong with a port.
#[derive(Debug, Error)]
pub enum PortError {
    /// Nobody has said which it is.
    #[error("no port is set yet: put its name from /dev/serial/by-id in place of {path}")]
    Unset {
        /// What stands there.
        path: String,
    },
    /// It can't be opened.
    #[error("cannot open {path}; is it plugged in, and does nobody else hold it?")]
    Open {
        /// The port.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Reading failed: the device has most likely been unplugged.
    #[error("lost {path}")]
    Read {
        /// The port.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Writing failed.
    #[error("cannot send to {path}")]
    Send {
        /// The port.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The other end is gone.
    #[error("{path} was hung up")]
    HungUp {
        /// The port.
        path: String,
    },
    /// Open, but nothing came for so long that it is opened anew.
    #[error("{path} has been silent for {seconds} s; check power and wiring")]
    Silent {
        /// The port.
        path: String,
        /// How long.
        seconds: u64,
    },
}

/// What happens on a port.
#[derive(Debug)]
pub enum Event {
    /// It was opened (again): counts may have gone on unseen.
    Opened,
    /// So many bytes are in the buffer.
    Bytes(usize),
    /// It was closed; it will be opened again.
    Lost,
}

/// A serial port, open or waiting to be.
#[derive(Debug)]
pub struct Port {
    settings: Settings,
    stream: Option<SerialStream>,
    reopen: Reopen,
    health: Health,
}

impl Port {
    /// A port that will be opened at the first [`Port::next`].
    pub fn new(settings: Settings) -> Self {
        let health = Health::of(settings.path.display().to_string());
        Self { settings, stream: None, reopen: Reopen::new(Instant::now()), health }
    }

    /// Waits for the next thing to happen. Never returns an error: a port that can't be
    /// opened is tried again for ever, without a busy loop. May be cancelled at any await
    /// without losing bytes.
    pub async fn next(&mut self, buf: &mut [u8]) -> Event {
        loop {
            let Some(stream) = self.stream.as_mut() else {
                sleep_until(self.reopen.next_try()).await;
                if self.open() {
                    return Event::Opened;
                }
                continue;
            };
            let lost = match timeout_at(self.reopen.silent_until(), stream.read(buf)).await {
                Ok(Ok(0)) => PortError::HungUp { path: self.health.path.clone() },
                Ok(Ok(n)) => {
                    self.reopen.heard(Instant::now());
                    self.health.heard(n);
                    return Event::Bytes(n);
                }
                Ok(Err(source)) => PortError::Read { path: self.health.path.clone(), source },
                Err(_) => PortError::Silent {
                    path: self.health.path.clone(),
                    seconds: self.reopen.patience().as_secs(),
                },
            };
            self.close(&lost);
            return Event::Lost;
        }
    }

    /// Forgets what has come and was not read, and sends. What waits would be taken for the
    /// answer. False where it isn't open, or was lost over it.
    pub async fn ask(&mut self, bytes: &[u8]) -> bool {
        let Some(stream) = self.stream.as_mut() else { return false };
        let sent = match forget(stream) {
            Ok(()) => timeout(SEND_LIMIT, stream.write_all(bytes))
                .await
                .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())),
            Err(err) => Err(err),
        };
        match sent {
            Ok(()) => self.reopen.asked(Instant::now()),
            Err(source) => {
                self.close(&PortError::Send { path: self.health.path.clone(), source });
                return false;
            }
        }
        true
    }

    /// Uses other settings from now on; opens anew only if they differ.
    pub fn change(&mut self, settings: Settings) {
        if settings != self.settings {
            info!(from = %self.settings.path.display(), to = %settings.path.display(), "serial port changed");
            let fresh = Self::new(settings);
            let health = fresh.health.clone().counting_on_from(&self.health);
            *self = Self { health, ..fresh };
        }
    }

    /// Closes it until the next [`Port::next`], which opens it at once: what comes in between
    /// is nobody's, and others may have it.
    pub fn shut(&mut self) {
        if self.stream.take().is_some() {
            info!(port = self.health.path, "serial port closed");
        }
        self.health.shut();
        self.reopen = Reopen::new(Instant::now());
    }

    /// Its state.
    pub fn health(&self) -> &Health {
        &self.health
    }

    fn open(&mut self) -> bool {
        match serial::open(&self.settings) {
            Ok(stream) => {
                info!(port = self.health.path, "serial port open");
                self.stream = Some(stream);
                self.health.opened();
                self.reopen.opened(Instant::now());
                true
            }
            Err(source) => {
                let path = self.health.path.clone();
                let err = match to_be_set(&self.settings.path) {
                    true => PortError::Unset { path },
                    false => PortError::Open { path, source },
                };
                self.complain(&err);
                self.reopen.failed(Instant::now());
                false
            }
        }
    }

    /// The descriptor goes before anything else: while it is held, a device that is
    /// plugged in again gets another number and the stable name points past us.
    fn close(&mut self, err: &PortError) {
        drop(self.stream.take());
        self.health.lost();
        self.complain(err);
        self.reopen.closed(Instant::now(), matches!(err, PortError::Silent { .. }));
    }

    /// Says a new problem once, a repeated one only at debug level.
    fn complain(&mut self, err: &PortError) {
        let text = chain(err);
        if self.health.complains_anew(&text) {
            warn!(port = self.health.path, problem = text, "serial port away");
        } else {
            debug!(port = self.health.path, problem = text, "serial port still away");
        }
    }
}

/// What is on its way in, in the kernel and in the runtime's readiness.
fn forget(stream: &mut SerialStream) -> io::Result<()> {
    stream.clear(ClearBuffer::Input).map_err(io::Error::from)?;
    let mut old = [0; 256];
    for _ in 0..MOST_FORGOTTEN {
        match stream.try_read(&mut old) {
            // A hangup is told by the next read.
            Ok(0) => break,
            Ok(_) => {}
            Err(err) if err.kind() == io::ErrorKind::WouldBlock => break,
            Err(err) => return Err(err),
        }
    }
    Ok(())
}

/// A few bytes that the kernel doesn't take in that time are stopped by the other end for
/// good.
const SEND_LIMIT: Duration = Duration::from_secs(1);
/// Pieces of 256 bytes that are forgotten before a question: more than any kernel holds, so
/// that a line which never falls silent doesn't keep us from asking.
const MOST_FORGOTTEN: usize = 64;
/// How long a lost port may stay closed before the next try.
pub const RETRY_EVERY: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said of a port that can't be opened.
    async fn problem_with(path: &str) -> String {
        let mut port = Port::new(Settings {
            path: path.into(),
            baud: 9600,
            framing: Framing { data_bits: 8, parity: crate::config::Parity::None, stop_bits: 1 },
        });
        let mut buf = [0; 16];
        let waited = tokio::time::timeout(Duration::from_millis(50), port.next(&mut buf)).await;
        assert!(waited.is_err(), "still waiting");
        assert!(!port.health().open);
        port.health().problem.clone().unwrap()
    }

    #[tokio::test]
    async fn a_port_that_is_not_there_is_reported_once_and_tried_again() {
        let problem = problem_with("/nonexistent/meter").await;
        assert!(problem.contains("cannot open /nonexistent/meter"), "{problem}");
    }

    #[tokio::test]
    async fn a_port_that_nobody_has_set_is_not_looked_for_among_the_cables() {
        let problem = problem_with("/dev/serial/by-id/…").await;
        assert!(problem.contains("no port is set yet"), "{problem}");
        assert!(!problem.contains("plugged in"), "{problem}");
    }
}
