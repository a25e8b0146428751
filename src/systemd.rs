//! What systemd says and hears: signals, READY, RELOADING, WATCHDOG, STOPPING. Outside
//! systemd all of it is silent.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::interval;
use tracing::{debug, error};

use crate::clock::source::Clock;
use crate::progress::Pulse;
use crate::stop::Stop;

/// A task that hasn't beaten for so long is hung: the longest honest silence is that of
/// one SQLite transaction on a dying card.
const HUNG: Duration = Duration::from_secs(45);

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// SIGTERM or SIGINT.
    Stop,
    /// SIGHUP.
    Reload,
}

/// The signals that the agent listens to.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    /// Starts listening; from now on none of them ends the process.
    ///
    /// # Errors
    /// Where the handlers can't be installed.
    pub fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for the next one.
    pub async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.terminate.recv() => Asked::Stop,
            _ = self.interrupt.recv() => Asked::Stop,
            _ = self.hangup.recv() => Asked::Reload,
        }
    }
}

/// Recording has begun.
pub fn ready() {
    notify(&[NotifyState::Ready]);
}

/// Recording can't begin yet, and the agent is alive and trying: being started anew would
/// not help.
pub fn waiting(why: &str) {
    notify(&[NotifyState::Ready, NotifyState::Status(why), NotifyState::Watchdog]);
}

/// The configuration is being read again; ends with [`ready`].
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => notify(&[NotifyState::Reloading, now]),
        Err(err) => debug!(%err, "cannot tell systemd of the reload"),
    }
}

/// The agent is stopping.
pub fn stopping() {
    notify(&[NotifyState::Stopping]);
}

/// Feeds the watchdog while every task makes progress, until `stop`. A task that hangs
/// lets it starve, and systemd starts the agent anew.
pub async fn watchdog(pulses: Vec<Pulse>, clock: Clock, mut stop: Stop) {
    let Some(limit) = sd_notify::watchdog_enabled() else { return stop.asked().await };
    let mut feed = interval(limit / 4);
    loop {
        tokio::select! {
            () = stop.asked() => return,
            _ = feed.tick() => match hung(&pulses, &clock) {
                None => notify(&[NotifyState::Watchdog]),
                Some(task) => error!(task, "task makes no progress; not feeding the watchdog"),
            },
        }
    }
}

fn hung(pulses: &[Pulse], clock: &Clock) -> Option<&'static str> {
    let now = clock.now();
    pulses.iter().find(|p| p.age_ms(now) > HUNG.as_millis() as i64).map(Pulse::task)
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(err) = sd_notify::notify(states) {
        debug!(%err, "systemd does not listen");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::BootInstant;

    #[test]
    fn a_task_that_has_not_beaten_for_long_is_named() {
        let clock = Clock::system().unwrap();
        let fresh = Pulse::new("meter", clock.now());
        let old = Pulse::new("drain", BootInstant(clock.now().0 - 46_000));
        assert_eq!(hung(std::slice::from_ref(&fresh), &clock), None);
        assert_eq!(hung(&[fresh, old], &clock), Some("drain"));
    }
}
