//! A connection to gpsd that comes back by itself.
//!
//! gpsd says nothing while it has nothing to say, so silence alone means little: it is asked
//! then for its devices, and only one that doesn't answer is given up. Knows nothing of what
//! its lines mean.

mod calls;

use std::io;
use std::time::Duration;

use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tracing::{debug, info, warn};

use crate::cause::chain;
use crate::health::Health;
use calls::{Calls, Quiet};

/// Begins the reports. `timing` adds when the epoch of each came in (gpsd_json(5), WATCH).
const WATCH: &[u8] = b"?WATCH={\"enable\":true,\"json\":true,\"timing\":true}\n";
/// Answered at once by a gpsd that is alive, and with what has become of its devices.
const ASK: &[u8] = b"?DEVICES;\n";
/// How long connecting may take. Less than the reader of the source waits for news, so that
/// no try is cut short twice.
const CONNECT_WITHIN: Duration = Duration::from_secs(3);

/// What went wrong with a connection.
#[derive(Debug, Error)]
pub enum ClientError {
    /// There is none.
    #[error(
        "cannot reach gpsd at {address}; is it running (systemctl status gpsd.socket), and is gps.gpsd right?"
    )]
    Connect {
        /// Host and port.
        address: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It broke.
    #[error("lost gpsd at {address}")]
    Read {
        /// Host and port.
        address: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// gpsd has closed it.
    #[error("gpsd at {address} has closed the connection")]
    HungUp {
        /// Host and port.
        address: String,
    },
    /// It is open, and nobody answers.
    #[error("gpsd at {address} has not answered for {seconds} s; restart it")]
    Silent {
        /// Host and port.
        address: String,
        /// How long.
        seconds: u64,
    },
}

/// What happens on a connection.
#[derive(Debug)]
pub enum Event {
    /// It was made (again).
    Opened,
    /// So many bytes are in the buffer.
    Bytes(usize),
    /// It was closed; it will be made again.
    Lost,
}

/// A connection, made or to be made.
#[derive(Debug)]
pub struct Client {
    stream: Option<TcpStream>,
    calls: Calls,
    health: Health,
}

impl Client {
    /// A connection that will be made at the first [`Client::next`], to `address`, a host and
    /// a port.
    pub fn new(address: &str) -> Self {
        let health = Health::of(address.to_owned());
        Self { stream: None, calls: Calls::new(Instant::now()), health }
    }

    /// Waits for the next thing to happen. Never returns an error: a gpsd that can't be
    /// reached is tried again for ever, without a busy loop. May be cancelled at any await
    /// without losing bytes.
    pub async fn next(&mut self, buf: &mut [u8]) -> Event {
        loop {
            let Some(stream) = self.stream.as_mut() else {
                sleep_until(self.calls.next_try()).await;
                if self.connect().await {
                    return Event::Opened;
                }
                continue;
            };
            let address = || self.health.path.clone();
            let lost = match timeout_at(self.calls.quiet_until(), stream.read(buf)).await {
                Ok(Ok(0)) => ClientError::HungUp { address: address() },
                Ok(Ok(n)) => {
                    self.calls.heard(Instant::now());
                    self.health.heard(n);
                    return Event::Bytes(n);
                }
                Ok(Err(source)) => ClientError::Read { address: address(), source },
                Err(_) => match self.calls.quiet(Instant::now()) {
                    Quiet::Ask => {
                        // One that takes not even this doesn't answer either.
                        let _ = stream.try_write(ASK);
                        continue;
                    }
                    Quiet::GiveUp { seconds } => {
                        ClientError::Silent { address: address(), seconds }
                    }
                },
            };
            self.stream = None;
            self.health.lost();
            self.complain(&lost);
            self.calls.failed(Instant::now());
            return Event::Lost;
        }
    }

    /// Goes to another address from now on; connects anew only if it differs.
    pub fn change(&mut self, address: &str) {
        if address != self.health.path {
            info!(from = self.health.path, to = address, "another gpsd");
            let fresh = Self::new(address);
            let health = fresh.health.clone().counting_on_from(&self.health);
            *self = Self { health, ..fresh };
        }
    }

    /// Closes it until the next [`Client::next`], which connects at once.
    pub fn shut(&mut self) {
        if self.stream.take().is_some() {
            info!(gpsd = self.health.path, "gpsd left");
        }
        self.health.shut();
        self.calls = Calls::new(Instant::now());
    }

    /// Its state; the path is gpsd's address.
    pub fn health(&self) -> &Health {
        &self.health
    }

    async fn connect(&mut self) -> bool {
        let connected = timeout(CONNECT_WITHIN, watched(&self.health.path)).await;
        let late = || Err(io::Error::new(io::ErrorKind::TimedOut, "no answer"));
        match connected.unwrap_or_else(|_| late()) {
            Ok(stream) => {
                info!(gpsd = self.health.path, "gpsd connected");
                self.stream = Some(stream);
                self.health.opened();
                self.calls.connected(Instant::now());
                true
            }
            Err(source) => {
                let address = self.health.path.clone();
                self.complain(&ClientError::Connect { address, source });
                self.calls.failed(Instant::now());
                false
            }
        }
    }

    /// Says a new problem once, a repeated one only at debug level.
    fn complain(&mut self, err: &ClientError) {
        let text = chain(err);
        if self.health.complains_anew(&text) {
            warn!(gpsd = self.health.path, problem = text, "gpsd away");
        } else {
            debug!(gpsd = self.health.path, problem = text, "gpsd still away");
        }
    }
}

/// A connection on which reports have been asked for.
async fn watched(address: &str) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(WATCH).await?;
    Ok(stream)
}

#[cfg(test)]
mod tests;
