//! News that the network may be back: an address has come up on an interface. A hint and
//! no more; a router's port that is always up says nothing of what lies behind it.

use std::future::{pending, poll_fn};
use std::sync::Arc;

use if_watch::IfEvent;
use if_watch::tokio::IfWatcher;
use tokio::sync::Notify;
use tracing::{debug, warn};

use crate::stop::Stop;

/// The kernel's news of addresses.
#[derive(Debug)]
pub struct Links {
    watcher: Option<IfWatcher>,
}

impl Links {
    /// Starts listening. Where the kernel doesn't let us, no news ever comes, and delivery
    /// goes by its waits alone.
    pub fn listen() -> Self {
        let watcher = IfWatcher::new();
        if let Err(err) = &watcher {
            warn!(%err, "no news of network links; delivery tries by itself all the same");
        }
        Self { watcher: watcher.ok() }
    }

    /// Passes the news on until `stop`.
    pub async fn run(mut self, up: Arc<Notify>, mut stop: Stop) {
        loop {
            tokio::select! {
                () = stop.asked() => return,
                () = self.up() => up.notify_one(),
            }
        }
    }

    /// Waits until an address other than loopback comes up.
    async fn up(&mut self) {
        loop {
            let Some(watcher) = self.watcher.as_mut() else { return pending().await };
            match poll_fn(|cx| watcher.poll_if_event(cx)).await {
                Ok(IfEvent::Up(net)) if !net.addr().is_loopback() => {
                    debug!(%net, "address came up");
                    return;
                }
                Ok(IfEvent::Up(_) | IfEvent::Down(_)) => {}
                Err(err) => {
                    warn!(%err, "no more news of network links");
                    self.watcher = None;
                }
            }
        }
    }
}
